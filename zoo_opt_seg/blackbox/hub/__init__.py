"""Models in folders of transformers as black boxes; nothing is downloaded."""

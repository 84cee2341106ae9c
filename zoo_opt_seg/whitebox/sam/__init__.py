"""Trained inside SAM: LoRA, and all of it."""

"""What a prompt generator sees: encoders of images, texts and points."""

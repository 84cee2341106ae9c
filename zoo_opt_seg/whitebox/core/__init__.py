"""What all white-box trainings share: trainer, recipe, files."""

"""What is kept on disk: checkpoints, the journal, and resuming from both."""

"""Runs jobs and records them: pace, executors, failures, resuming."""

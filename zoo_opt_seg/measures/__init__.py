"""Metrics, losses, evaluation, and baselines without a model."""

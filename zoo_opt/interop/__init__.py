"""Bridges to other libraries: their optimizers as ours, and ours as theirs."""

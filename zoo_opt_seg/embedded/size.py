"""The one size of the embedded models."""

TINY_SIZE = 96
"""Side of the tiny models' images in pixels."""

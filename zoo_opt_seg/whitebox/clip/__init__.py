"""Segmentation models on a CLIP backbone: CRIS and SAN."""

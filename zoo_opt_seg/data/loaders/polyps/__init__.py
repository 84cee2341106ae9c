"""Loaders of sets of polyps in colonoscopy."""

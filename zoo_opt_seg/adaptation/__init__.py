"""Adapting a black box by training a visual prompt from function values."""

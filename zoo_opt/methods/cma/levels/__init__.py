"""Integers and choices in an evolution strategy."""

"""Statistics of recorded runs."""

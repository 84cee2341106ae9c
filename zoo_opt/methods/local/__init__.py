"""Local searches for losses without noise: quasi-Newton and a search by coordinates."""

"""White-box comparators: what is reached by those who have the gradient, under one trainer."""

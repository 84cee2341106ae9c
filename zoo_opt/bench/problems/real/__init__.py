"""Real tasks with honest solvers inside: what people minimise who have no gradient."""

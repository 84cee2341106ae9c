"""A trust region around the best point, in which a quadratic through the points told stands for the loss."""

"""Bayesian optimisation: a Gaussian process through the points told stands for the loss."""

"""Moré and Wild's benchmark set for derivative-free optimisation."""

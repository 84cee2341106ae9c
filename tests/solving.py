"""Losses and runs that the tests of the methods share."""

import math

import numpy as np


def rastrigin(x):
    z = np.asarray(x) - 1.3
    return float((z * z + 10 * (1 - np.cos(2 * np.pi * z))).sum())


def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def advance(opt, loss, steps=1):
    """Take so many steps, and return the optimizer."""
    for _ in range(steps):
        batch = opt.ask()
        opt.tell(batch, [loss(x) for x in batch])
    return opt


def solve(opt, loss, steps=math.inf):
    """Take steps until the optimizer stops or has made so many, and return it."""
    while not opt.stop() and opt.nit < steps:
        advance(opt, loss)
    return opt

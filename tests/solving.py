"""Losses and runs that the tests of the methods share."""

import math

import numpy as np

from zoo_opt.testing import sphere


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


def trace(opt, loss):
    """Every point that the optimizer asks for until it stops, and its mean in the end."""
    points = []
    solve(opt, lambda x: points.append(x) or loss(x))
    return np.array([*points, opt.mean])


class Counted:
    """An objective that counts its calls; after `at` of them it raises `error` once, in place of one more."""

    def __init__(self, loss=sphere, *, at=None, error=KeyboardInterrupt):
        self.loss, self.at, self.error, self.calls = loss, at, error, 0

    def __call__(self, x):
        if self.calls == self.at:
            self.at = None
            raise self.error
        self.calls += 1
        return self.loss(x)

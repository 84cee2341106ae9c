"""BFGS with the exact gradient, step by step and in the plainest way, and a line search by bisection of the slope."""

from collections.abc import Callable

import numpy as np


def bfgs_update(H: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(6.17) of Nocedal and Wright, as written there: (I - rho s y') H (I - rho y s') + rho s s'."""
    identity, rho = np.eye(len(s)), 1.0 / (y @ s)
    return (identity - rho * np.outer(s, y)) @ H @ (identity - rho * np.outer(y, s)) + rho * np.outer(s, s)


def minimize(gradient: Callable[[np.ndarray], np.ndarray], x: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return the iterates of BFGS with exact line searches (the slope's root, bracketed and halved)."""
    H, iterates, g = np.eye(len(x)), [x], gradient(x)
    for k in range(steps):
        p = -H @ g
        low, high = 0.0, 1e-3
        while gradient(x + high * p) @ p < 0:
            high *= 2
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if gradient(x + middle * p) @ p < 0 else (low, middle)
        s = low * p
        y = gradient(x + s) - g
        if k == 0:
            H = (y @ s) / (y @ y) * H
        H = bfgs_update(H, s, y)
        x, g = x + s, g + y
        iterates.append(x)
    return iterates

"""BFGS with the exact gradient, step by step and in the plainest way, and a line search by bisection of the slope."""

from collections.abc import Callable

import numpy as np


def bfgs_update(H: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(6.17) of Nocedal and Wright, as written there: (I - rho s y') H (I - rho y s') + rho s s'."""
    identity, rho = np.eye(len(s)), 1.0 / (y @ s)
    return (identity - rho * np.outer(s, y)) @ H @ (identity - rho * np.outer(y, s)) + rho * np.outer(s, s)


def bfgs_of_pairs(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return H after all pairs (s, y), begun as the largest s's / s'y of them times the identity."""
    H = max((s @ s) / (s @ y) for s, y in pairs) * np.eye(len(pairs[0][0]))
    for s, y in pairs:
        H = bfgs_update(H, s, y)
    return H


def minimize(gradient: Callable[[np.ndarray], np.ndarray], x: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return the iterates of BFGS with exact line searches (the slope's root, bracketed and halved)."""
    H, iterates, g = np.eye(len(x)), [x], gradient(x)
    pairs = []
    for _ in range(steps):
        p = -H @ g
        low, high = 0.0, 1e-3
        while gradient(x + high * p) @ p < 0:
            high *= 2
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if gradient(x + middle * p) @ p < 0 else (low, middle)
        s = low * p
        y = gradient(x + s) - g
        pairs.append((s, y))
        H = bfgs_of_pairs(pairs)
        x, g = x + s, g + y
        iterates.append(x)
    return iterates

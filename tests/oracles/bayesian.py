"""A Gaussian process with Matérn's kernel in the plainest way: a point at a time, by the joint normal distribution."""

import math
import sys

import numpy as np


def kernel(x: np.ndarray, z: np.ndarray, length: float) -> float:
    """(4.17) of Rasmussen and Williams 2006, nu = 5/2."""
    r = math.dist(x, z) / length
    return (1 + math.sqrt(5) * r + 5 * r**2 / 3) * math.exp(-math.sqrt(5) * r)


def covariance(X: np.ndarray, length: float, noise: float) -> np.ndarray:
    """K + noise I, over sigma^2."""
    return np.array([[kernel(x, z, length) for z in X] for x in X]) + noise * np.eye(len(X))


def variance(X: np.ndarray, y: np.ndarray, length: float, noise: float) -> float:
    """The likeliest sigma^2."""
    r = y - y.mean()
    return float(r @ np.linalg.solve(covariance(X, length, noise), r)) / len(y)


def expected(X: np.ndarray, y: np.ndarray, length: float, noise: float, z: np.ndarray) -> tuple[float, float]:
    """Mean and deviation at z: those of its coordinate in a normal vector of which the others are known."""
    K, k = covariance(X, length, noise), np.array([kernel(x, z, length) for x in X])
    weights = np.linalg.solve(K, k)
    left = kernel(z, z, length) - weights @ k
    return y.mean() + weights @ (y - y.mean()), math.sqrt(variance(X, y, length, noise) * max(left, 0.0))


def minus_log_likelihood(X: np.ndarray, y: np.ndarray, length: float, noise: float) -> float:
    """(5.8), at the likeliest sigma^2."""
    C = variance(X, y, length, noise) * covariance(X, length, noise)
    r = y - y.mean()
    return 0.5 * (r @ np.linalg.solve(C, r) + np.linalg.slogdet(C)[1] + len(y) * math.log(2 * math.pi))


def squeezed(losses: list[float]) -> list[float]:
    """Losses as the process is told them."""
    finite = sorted(loss for loss in losses if math.isfinite(loss))
    n = len(finite)
    median = (finite[(n - 1) // 2] + finite[n // 2]) / 2
    scale = median - finite[0] or finite[-1] - median or 1.0

    def one(loss: float) -> float:
        z = (loss - median) / scale
        return math.log(1 + min(z, sys.float_info.max)) if z > 0 else z

    return [one(loss if math.isfinite(loss) else finite[-1]) for loss in losses]

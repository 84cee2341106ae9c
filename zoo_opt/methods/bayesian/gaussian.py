"""A Gaussian process with Matérn's kernel: what it expects of a loss at any point, and how sure it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

LENGTHS = 2.0 ** np.arange(-2.0, 4.0)  # of the kernel, over the points' root mean square distance from their mean
NOISES = (1e-6, 1e-3, 1e-2, 1e-1)  # variances of what is no function of x, over the kernel's
LEAST = 1e-12  # variance of the kernel at least, of losses squeezed
ROOT5 = math.sqrt(5.0)


class Process(NamedTuple):
    """A Gaussian process given the losses y at X (Rasmussen and Williams 2006, chapter 2).

    Attributes
    ----------
    X : (n, d) array
        The points.
    length, noise : float
        Of the kernel, and the noise's variance over the kernel's.
    mean : float
        Of the process before anything is known.
    variance : float
        sigma^2, the kernel's, at its likeliest.
    Ki : (n, n) array
        Inverse of K + noise I, K the kernel between the points over sigma^2.
    a : (n,) array
        Ki (y - mean).
    """

    X: Array
    length: float
    noise: float
    mean: float
    variance: float
    Ki: Array
    a: Array

    def expected(self, Z: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation (m,) of the loss at ``Z`` (m, d) (2.25, 2.26)."""
        k = matern(_squares(Z, self.X) / self.length**2)
        left = 1.0 - (k.dot(self.Ki) * k).sum(axis=1)
        return self.mean + k.dot(self.a), np.sqrt(self.variance * np.maximum(left, 0.0))

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Return what `expected` does, and the gradients (m, d) of the mean and of the deviation."""
        r = ROOT5 * np.sqrt(_squares(Z, self.X)) / self.length
        decay = np.exp(-r)
        k = (1.0 + r + r * r / 3.0) * decay
        w = -5.0 / 3.0 * (1.0 + r) * decay / self.length**2  # dk/dz = w (z - x)
        Kk = k.dot(self.Ki)
        deviation = np.sqrt(self.variance * np.maximum(1.0 - (Kk * k).sum(axis=1), 0.0))
        of_mean, of_square = w * self.a, w * Kk
        g_mean = of_mean.sum(axis=1)[:, None] * Z - of_mean.dot(self.X)
        g_square = of_square.sum(axis=1)[:, None] * Z - of_square.dot(self.X)
        g_deviation = -self.variance * g_square / np.where(deviation > 0.0, deviation, math.inf)[:, None]
        return self.mean + k.dot(self.a), deviation, g_mean, g_deviation

    def believing(self, x: Array) -> Process:
        """Return the process that has been told its own mean at ``x`` (d,) (Ginsbourger et al. 2010)."""
        y = np.append(self.losses(), self.expected(x[None])[0])
        told = process(np.concatenate([self.X, x[None]]), y, self.length, self.noise)
        return told._replace(variance=self.variance)

    def losses(self) -> Array:
        """Return the losses y (n,) that it was given."""
        K = matern(_squares(self.X, self.X) / self.length**2)
        y: Array = self.mean + K.dot(self.a) + self.noise * self.a
        return y


def matern(squares: Array) -> Array:
    """Return Matérn's kernel of nu = 5/2 at these squares of distances over its length (4.17)."""
    r = ROOT5 * np.sqrt(squares)
    kernel: Array = (1.0 + r + r * r / 3.0) * np.exp(-r)
    return kernel


def process(X: Array, y: Array, length: float, noise: float) -> Process:
    """Return the process given ``y`` (n,) at ``X`` (n, d), with these hyper-parameters."""
    K = matern(_squares(X, X) / length**2)
    K[np.diag_indices(len(y))] += noise
    Ki, mean = np.linalg.inv(K), float(y.mean())
    a = Ki.dot(y - mean)
    return Process(X, length, noise, mean, max(float(a.dot(y - mean)) / len(y), LEAST), Ki, a)


def likeliest(X: Array, y: Array) -> tuple[float, float]:
    """Return length and noise of the largest marginal likelihood on a grid (5.8), sigma^2 at its best in each.

    One eigendecomposition of K for each length serves all the noises.
    """
    squares, r = _squares(X, X), y - y.mean()
    unit = math.sqrt(float(squares.mean()) / 2.0) or 1.0
    best, found = math.inf, (unit, NOISES[0])
    for length in unit * LENGTHS:
        values, V = np.linalg.eigh(matern(squares / length**2))
        z = V.T.dot(r) ** 2
        for noise in NOISES:
            v = np.maximum(values, 0.0) + noise
            variance = max(float((z / v).mean()), LEAST)
            minus_log = 0.5 * (len(y) * math.log(variance) + float(np.log(v).sum()))
            if minus_log < best:
                best, found = minus_log, (float(length), noise)
    return found


def _squares(Z: Array, X: Array) -> Array:
    """Return the squares of the distances of each of Z (m, d) to each of X (n, d), (m, n)."""
    centre = X.mean(axis=0)  # so that little is lost where all of them are far from 0
    Z, X = Z - centre, X - centre
    squares: Array = (Z * Z).sum(axis=1)[:, None] + (X * X).sum(axis=1) - 2.0 * Z.dot(X.T)
    return np.maximum(squares, 0.0)

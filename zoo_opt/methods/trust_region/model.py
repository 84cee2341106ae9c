"""The quadratic through points that changes least: what stands for the loss in the trust region."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class Model(NamedTuple):
    """Q(x + s) = c + g's + s'Hs/2, and the Lagrange functions of its points, which are x + ``scale`` y.

    Attributes
    ----------
    c, g, H : float, (d,) array, (d, d) array
        Of the quadratic.
    Y : (m, d) array
        The points less x, over ``scale``.
    W : (m + 1 + d, m + 1 + d) array
        Inverse of the matrix of (3.9) in Powell 2004.
    scale : float
        Largest distance of a point from x.
    """

    c: float
    g: Array
    H: Array
    Y: Array
    W: Array
    scale: float

    def change(self, s: Array) -> float:
        """Return Q(x + s) - Q(x)."""
        return float(self.g.dot(s) + 0.5 * s.dot(self.H).dot(s))

    def lagrange_at(self, s: Array) -> Array:
        """Return the values of all Lagrange functions at x + s (m,)."""
        y = s / self.scale
        w = np.concatenate([0.5 * self.Y.dot(y) ** 2, [1.0], y])
        values: Array = self.W[: len(self.Y)].dot(w)
        return values

    def lagrange(self, t: int) -> tuple[float, Array, Array]:
        """Return c, g and H of the Lagrange function of point ``t``."""
        m, column = len(self.Y), self.W[:, t]
        H = (self.Y.T * column[:m]).dot(self.Y) / self.scale**2
        return float(column[m]), column[m + 1 :] / self.scale, 0.5 * (H + H.T)


def fitted(x: Array, X: Array, F: Array, H: Array) -> Model:
    """Return the quadratic through the points whose Hessian differs least from ``H``, in Frobenius' norm.

    The change is sum_i lambda_i y_i y_i', and lambda, c and g solve (3.9) of Powell 2004, Least Frobenius norm updating
    of quadratic models that satisfy interpolation conditions (Math. Program. 100). The system is solved anew for every
    model, not updated as there: it is small, and rounding does not add up.

    Parameters
    ----------
    x : (d,) array
        What Q is expanded about.
    X, F : (m, d) array, (m,) array
        The points and their losses; fewer than d + 1 leave the least gradient.
    H : (d, d) array
        The Hessian before.
    """
    m, d = X.shape
    D = X - x
    scale = math.sqrt(float((D * D).sum(axis=1).max())) or 1.0
    Y = D / scale
    K = np.zeros((m + 1 + d, m + 1 + d))
    K[:m, :m] = 0.5 * Y.dot(Y.T) ** 2
    K[:m, m] = K[m, :m] = 1.0
    K[:m, m + 1 :], K[m + 1 :, :m] = Y, Y.T
    W = _inverse(K, m > d)
    solution = W[:, :m].dot(F - 0.5 * (D.dot(H) * D).sum(axis=1))
    change = (Y.T * solution[:m]).dot(Y) / scale**2
    c, g, H = float(solution[m]), solution[m + 1 :] / scale, H + 0.5 * (change + change.T)
    if not (np.isfinite(g).all() and np.isfinite(H).all()):
        g, H = np.zeros(d), np.zeros((d, d))
    return Model(c, g, H, Y, W, scale)


def _inverse(K: Array, enough: bool) -> Array:
    """Return the inverse of K, or what is nearest to one where the points do not determine a model."""
    W: Array
    if enough:
        try:
            W = np.linalg.inv(K)
            if np.isfinite(W).all():
                return W
        except np.linalg.LinAlgError:
            pass
    W = np.linalg.pinv(K, hermitian=True)
    return W

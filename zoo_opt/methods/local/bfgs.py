"""The inverse Hessian as BFGS has it, with the scale of what no step has shown yet left open."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

CURVED = 1e-10  # s'y below this part of |s||y| shows no positive curvature; chosen, not tuned


class InverseHessian(NamedTuple):
    """H = R + gamma W: what the steps have shown of the inverse Hessian, and what they have left of the identity.

    BFGS begins with H_0 = gamma I, and its update (6.17) [1] is linear in H: so gamma can be chosen anew after every
    step, as L-BFGS does (7.20) [1], here with all steps of the run. It is the largest s's / s'y so far, the longer of
    the two step lengths of Barzilai and Borwein [2]: slopes lead along the steepest directions first, so those that no
    step has shown yet are as flat as any that one has. A step that is too long there costs one more trial; BFGS takes
    many steps to lengthen one that is too short.

    Attributes
    ----------
    R : (d, d) array
    W : (d, d) array
        Empty where H began otherwise, or was measured: nothing of it is open.
    gamma : float

    References
    ----------
    [1] J. Nocedal, S. J. Wright. Numerical Optimization. Springer, 2006.
    [2] J. Barzilai, J. M. Borwein. Two-point step size gradient methods. IMA J. Numerical Analysis 8, 1988.
    """

    R: Array
    W: Array
    gamma: float

    @property
    def matrix(self) -> Array:
        """H (d, d)."""
        return self.R + self.gamma * self.W if self.W.size else self.R

    def updated(self, s: Array, y: Array) -> InverseHessian:
        """Return H after a step ``s`` with the difference of gradients ``y``; itself where they show no curvature."""
        sy, ss = float(s.dot(y)), float(s.dot(s))
        if not sy > CURVED * math.sqrt(ss * float(y.dot(y))):
            return self
        rho = 1 / sy
        R = _between(self.R, s, y, rho)
        R += (rho * s)[:, None] * s
        gamma = max(self.gamma, ss / sy) if self.R.any() else ss / sy
        return InverseHessian(R, _between(self.W, s, y, rho) if self.W.size else self.W, gamma)


def unknown(d: int, gamma: float = 1.0) -> InverseHessian:
    """Return gamma I, of which nothing has been seen yet, in ``d`` dimensions."""
    return InverseHessian(np.zeros((d, d)), np.eye(d), gamma)


def given(matrix: Array) -> InverseHessian:
    """Return an inverse Hessian (d, d) that is known as a whole."""
    return InverseHessian(matrix, np.zeros((0, 0)), 0.0)


def _between(M: Array, s: Array, y: Array, rho: float) -> Array:
    """Return (I - rho s y') M (I - rho y s') of a symmetric M (d, d)."""
    My = M.dot(y)
    M = M - rho * (s[:, None] * My + My[:, None] * s)
    M += (rho * rho * float(y.dot(My)) * s)[:, None] * s
    return M

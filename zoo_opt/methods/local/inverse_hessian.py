"""What is known of the inverse Hessian: updated by gradients (BFGS), measured along its principal axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

CURVED = 1e-10  # s'y below this part of |s||y| shows no positive curvature; chosen, not tuned
ROUNDING = 1e-14  # of the largest eigenvalue: less than that is rounding; chosen, not tuned
CORRECTION = 100.0  # largest factor by which one measurement corrects a curvature; chosen, not tuned


class Axes(NamedTuple):
    """Principal axes: H = B diag(D)^2 B', so that the loss is expected to curve by 1 along each column of B diag(D)."""

    B: Array
    D: Array

    @property
    def columns(self) -> Array:
        """The columns of B diag(D), as rows (d, d)."""
        return (self.B * self.D).T


def bfgs(H: Array, s: Array, y: Array, known: bool) -> tuple[Array, bool]:
    """Return H after the BFGS update with step ``s`` and difference of gradients ``y``, and whether H is known.

    This is (6.17) of Nocedal and Wright, Numerical Optimization, 2006. Where H is not known yet, the first pair scales
    the identity before (6.20). A pair without positive curvature changes nothing.
    """
    sy = float(s.dot(y))
    if not sy > CURVED * math.sqrt(float(s.dot(s)) * float(y.dot(y))):
        return H, known
    if not known:
        H = sy / float(y.dot(y)) * np.eye(s.size)
    Hy = H.dot(y)
    rho = 1 / sy
    H = H - rho * (s[:, None] * Hy + Hy[:, None] * s)
    H += (rho * (1 + rho * float(y.dot(Hy))) * s)[:, None] * s
    return H, True


def principal_axes(H: Array) -> Axes:
    """Return the principal axes of H, which rounding may have left slightly indefinite."""
    values, B = np.linalg.eigh(H)
    return Axes(B, np.sqrt(np.maximum(values, ROUNDING * values[-1])))


def measured(
    axes: Axes, delta: float, f: float, ahead: Array, behind: Array, known: bool
) -> tuple[Array, Array | None]:
    """Return the gradient and the corrected H from losses at x +- delta times each axis.

    Parameters
    ----------
    axes : Axes
        Along which the losses were taken.
    delta : float
        How far, in units of the axes.
    f : float
        Loss at x.
    ahead, behind : (d,) array
        Losses on either side; where one has failed, that axis counts as level.
    known : bool
        Whether the lengths of the axes mean anything; if so, a correction is at most a factor of 100.

    Returns
    -------
    gradient : (d,) array
    H : (d, d) array or None
        None if no axis curves upwards and none can be corrected.
    """
    slope = (ahead - behind) / (2 * delta)
    slope = np.where(np.isfinite(slope), slope, 0.0)
    curvature = (ahead + behind - 2 * f) / delta**2  # 1 if H is right
    upwards = np.isfinite(curvature) & (curvature > 0.0)
    gradient = axes.B.dot(slope / axes.D)
    if not upwards.any():
        return gradient, None
    if known:
        curvature = np.where(upwards, np.clip(curvature, 1 / CORRECTION, CORRECTION), 1.0)
    else:
        curvature = np.where(upwards, curvature, np.exp(np.log(curvature[upwards]).mean()))
    return gradient, (axes.B * (axes.D**2 / curvature)).dot(axes.B.T)

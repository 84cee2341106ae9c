"""Principal axes of the inverse Hessian: curvatures measured along them, Newton's step with some of them held."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

ROUNDING = 1e-14  # of the largest eigenvalue: less than that is rounding; chosen, not tuned
FLATTEST = 1e-6  # of a Hessian's largest curvature: less is taken for so much; chosen, not tuned
CORRECTION = 100.0  # largest factor by which one measurement corrects a curvature; chosen, not tuned


class Axes(NamedTuple):
    """Principal axes: H = B diag(D)^2 B', so that the loss is expected to curve by 1 along each column of B diag(D).

    Attributes
    ----------
    B, D : (d, k) array, (k,) array
        Of H with the coordinates held that are near a bound: B is 0 there.
    near : (m,) array
        Those coordinates, none without bounds; k + m = d.
    inward : (m,) array
        How far into the box each of them is probed, with its sign.
    """

    B: Array
    D: Array
    near: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    inward: Array = np.zeros(0)

    def probes(self, delta: float) -> Array:
        """Return displacements over ``delta`` ahead and behind; near a bound the whole way and half of it (2 d, d)."""
        d, k = self.B.shape
        ahead, behind = np.zeros((d, d)), np.zeros((d, d))
        ahead[:k] = delta * (self.B * self.D).T
        behind[:k] = -ahead[:k]
        ahead[np.arange(k, d), self.near], behind[np.arange(k, d), self.near] = self.inward, self.inward / 2
        return np.concatenate([ahead, behind])


def reduced(H: Array, free: NDArray[np.bool_]) -> Array:
    """Return H of the ``free`` coordinates while the others, a, stand still: H_ff - H_fa H_aa^-1 H_af."""
    H_ff, H_fa = H[np.ix_(free, free)], H[np.ix_(free, ~free)]
    try:
        inside: Array = H_ff - H_fa.dot(np.linalg.solve(H[np.ix_(~free, ~free)], H_fa.T))
    except np.linalg.LinAlgError:  # rounding has left nothing of H_aa
        inside = H_ff
    return inside


def newton_step(H: Array, g: Array, free: NDArray[np.bool_]) -> Array:
    """Return Newton's step where only the ``free`` coordinates move (d,)."""
    p: Array
    if free.all():
        p = -H.dot(g)
    else:
        p = np.zeros_like(g)
        p[free] = -reduced(H, free).dot(g[free])
    return p


def inverse_of(hessian: Array) -> Array | None:
    """Return a positive definite inverse of a Hessian by the sizes of its curvatures; None if flat or infinite."""
    if not np.isfinite(hessian).all():
        return None
    values, B = np.linalg.eigh(hessian)
    sizes = np.abs(values)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        inverse: Array = (B / np.maximum(sizes, FLATTEST * sizes.max())).dot(B.T)
    return inverse if np.isfinite(inverse).all() else None


def principal_axes(H: Array) -> Axes:
    """Return the principal axes of H, which rounding may have left slightly indefinite."""
    values, B = np.linalg.eigh(H)
    return Axes(B, np.sqrt(np.maximum(values, ROUNDING * values.max(initial=0.0))))


def axes_inside(H: Array, delta: float, below: Array, above: Array) -> Axes:
    """Return the principal axes along which probes of length ``delta`` stay in the box.

    Probes of length delta move coordinate i by delta sqrt(H_ii) at most: a coordinate with less room is held, and
    probed alone, away from its bound.

    Parameters
    ----------
    H : (d, d) array
        Inverse Hessian.
    delta : float
        How far the axes will be probed.
    below, above : (d,) array
        Room between x and the bounds.
    """
    near = np.minimum(below, above) < delta * np.sqrt(np.maximum(H.diagonal(), 0.0))
    if not near.any():
        return principal_axes(H)
    whole, part = principal_axes(H), principal_axes(reduced(H, ~near))
    B = np.zeros((near.size, part.D.size))
    B[~near] = part.B
    alone = 1 / np.sqrt(((whole.B[near] / whole.D) ** 2).sum(axis=1))  # 1 / sqrt((H^-1)_ii)
    length = np.minimum(delta * alone, np.maximum(below, above)[near])
    return Axes(B, part.D, np.flatnonzero(near), np.where((above >= below)[near], length, -length))


def measured(
    axes: Axes, delta: float, f: float, ahead: Array, behind: Array, H: Array, known: bool
) -> tuple[Array, Array | None]:
    """Return the gradient and the corrected H from losses at `Axes.probes`.

    Parameters
    ----------
    axes : Axes
        Along which the losses were taken.
    delta : float
        How far, in units of the axes.
    f : float
        Loss at x.
    ahead, behind : (d,) array
        Losses on either side of each axis, then at the whole and half way into the box; where one has failed, that
        axis counts as level.
    H : (d, d) array
        What the axes are those of.
    known : bool
        Whether the lengths of the axes mean anything; if so, a correction is at most a factor of 100.

    Returns
    -------
    gradient : (d,) array
    H : (d, d) array or None
        Corrected where the axes lead. None if no axis curves upwards and none can be corrected.
    """
    k = axes.D.size
    inward = (4 * (behind[k:] - f) - (ahead[k:] - f)) / axes.inward  # of the parabola through f and both
    ahead, behind = ahead[:k], behind[:k]
    slope = (ahead - behind) / (2 * delta)
    slope = np.where(np.isfinite(slope), slope, 0.0)
    curvature = (ahead + behind - 2 * f) / delta**2  # 1 if H is right
    upwards = np.isfinite(curvature) & (curvature > 0.0)
    gradient = axes.B.dot(slope / axes.D)
    gradient[axes.near] = np.where(np.isfinite(inward), inward, 0.0)
    if not upwards.any():
        return gradient, None
    if known:
        curvature = np.where(upwards, np.clip(curvature, 1 / CORRECTION, CORRECTION), 1.0)
    else:
        typical = np.exp(np.log(curvature[upwards]).mean())
        curvature = np.where(upwards, curvature, typical)
    along = (axes.B * (axes.D**2 / curvature)).dot(axes.B.T)
    if not axes.near.size:
        return gradient, along
    # the held coordinates keep H_aa, and what the others do as they move, H_fa H_aa^-1
    whole = H - (axes.B * axes.D**2).dot(axes.B.T)
    return gradient, along + (whole if known else whole / typical)

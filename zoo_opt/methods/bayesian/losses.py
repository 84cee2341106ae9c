"""Losses as the Gaussian process is told them: as they are below the median, and on a log scale above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.methods.local.loss_units import loss_unit

if TYPE_CHECKING:
    from zoo_opt.typing import Array


def squeezed(F: Array) -> Array:
    """Return z = (F - median) / (median - lowest), log(1 + z) where z > 0, and the worst where F is no number (n,).

    High losses say where not to look and no more: a penalty, a wall or a fourth power would otherwise be all that there
    is to see. Adding to the losses, or multiplying them, changes nothing.

    Parameters
    ----------
    F : (n,) array
        At least one is finite.
    """
    finite = np.isfinite(F)
    values = F[finite] / (loss_unit(F) or 1.0)
    median, lowest = float(np.median(values)), float(values.min())
    with np.errstate(over="ignore"):  # of a difference that is hardly a number
        z = (values - median) / (median - lowest or float(values.max()) - median or 1.0)
    z = np.where(z > 0.0, np.log1p(np.clip(z, 0.0, np.finfo(float).max)), z)
    y = np.full(len(F), float(z.max()))
    y[finite] = z
    return y

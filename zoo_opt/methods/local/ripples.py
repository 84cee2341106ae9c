"""Whether a loss has ripples that are shorter than the steps of a quasi-Newton search, or plateaus that are longer."""

from __future__ import annotations

import math

from zoo_opt.methods.local.quasi_newton import GRADIENT, SEARCH, QNState


def disagreement(before: QNState, after: QNState) -> float:
    """Return by how much the change of the loss over a step deviates from the mean of the slopes at its ends.

    As a part of the largest of the three. The trapezoidal rule: 0 for a parabola; much where the loss has ripples that
    are shorter than the step. 0 too where no gradient has been taken between the two states after a step.
    """
    if not (before.stage == GRADIENT and after.stage == SEARCH and before.s.size and before.axes is None):
        return 0.0
    slopes = float(before.g_before.dot(before.s)), float(after.g.dot(before.s))
    largest = max(before.gain, *map(abs, slopes))
    return abs(before.gain + sum(slopes) / 2) / largest if 0.0 < largest < math.inf else 0.0


def plateau(before: QNState, after: QNState) -> bool:
    """Return whether forward differences between the two states were all zero, so that the search looks farther.

    Not once curvatures are known: near a minimum differences are zero by rounding.
    """
    return before.axes is None and after.axes is not None and not after.known and not after.g.any()

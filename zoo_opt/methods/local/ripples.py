"""Whether a loss has ripples that are shorter than the steps of a quasi-Newton search."""

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

"""What `Auto` does next, by what it has seen of the loss: the table of docs/auto.md, a function for each kind of step.

All of them take the state after a step whose losses are in it, and the box in units, None without bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.keys import RESTART, generator
from zoo_opt.methods.auto.searches import MOST_DENSE, coordinates, evolution, is_over, quasi_newton
from zoo_opt.methods.auto.state import EVOLUTION, EXCHANGE, QUASI_NEWTON, REPEAT, SAMPLE, SEARCH, AutoState
from zoo_opt.methods.auto.units import SPREAD
from zoo_opt.methods.local.coordinate_search import separable

if TYPE_CHECKING:
    from zoo_opt.typing import Array

TEST_AT = 8.0  # evaluations per dimension before a first search that goes on is tested for a sum; chosen, not tuned
MARGIN = 0.1  # part of the box on either side where no later quasi-Newton search starts; chosen, not tuned
GAIN = 1e-9  # a search that lowers the loss by less than this part of it has gained nothing; chosen, not tuned


def after_start(s: AutoState, box: Any) -> AutoState:
    """The start, and the centre of the box, have been evaluated: the start again, if that can show noise."""
    if s.noisy:  # standard errors were told
        return evolution(s, box)
    return quasi_newton(s, box, s.x, s.f) if math.isnan(s.f0) else s.evaluating(REPEAT, s.x0[None])


def after_repeat(s: AutoState, box: Any, loss: float) -> AutoState:
    """The start has been evaluated again: another loss is noise, and smooth losses need no more than a local search."""
    s = replace(s, noisy=s.noisy or (math.isfinite(loss) and loss != s.f0))
    return evolution(s, box) if s.noisy or s.x.size > MOST_DENSE else quasi_newton(s, box, s.x, s.f)


def after_exchange(s: AutoState, box: Any, f_best: float, losses: list[float], step: int) -> AutoState:
    """Two points that exchange coordinates between x0 and the best one, of loss ``f_best``: is the loss a sum?"""
    s = replace(s, sum_tested=True)
    if separable(s.f0, f_best, losses[0], losses[1]):
        return coordinates(s, box)
    return _after_search(s, box, step) if s.search.has_ended() else replace(s, stage=SEARCH)


def after_sample(s: AutoState, box: Any, X: Array, values: Array) -> AutoState:
    """Random points have been evaluated: a quasi-Newton search from the best of them."""
    k = int(values.argmin())
    return quasi_newton(s, box, X[k], float(values[k]))


def after_search_step(before: AutoState, s: AutoState, box: Any, step: int) -> AutoState:
    """A search has made a step: it goes on, or is over, or its points can show whether the loss is a sum."""
    d = s.x.size
    untested = s.active == QUASI_NEWTON and not s.sum_tested and box is not None
    if untested and (s.search.has_ended() or s.evaluations >= TEST_AT * d):
        half = generator(s.key, step, RESTART).permutation(d) < (d + 1) // 2
        return s.evaluating(EXCHANGE, np.where([half, ~half], s.x0, s.x))
    return _after_search(s, box, step) if is_over(before, s) else s


def _after_search(s: AutoState, box: Any, step: int) -> AutoState:
    """A search, or a run of the evolution strategy, is over: the strategy, or whichever search has used less."""
    d = s.x.size
    gained = s.f_before - s.f > GAIN * abs(s.f)  # not where no loss has been finite: inf - inf is NaN
    s = replace(s, f_before=s.f, without_gain=0 if gained else s.without_gain + 1)
    if EVOLUTION not in s.searches:
        return evolution(s, box)
    if QUASI_NEWTON not in s.searches or s.searches[QUASI_NEWTON].used + d > s.searches[EVOLUTION].used:
        return s.searching(EVOLUTION)
    low, high = (s.x0 - SPREAD, s.x0 + SPREAD) if box is None else box
    margin = MARGIN * (high - low)
    return s.evaluating(SAMPLE, generator(s.key, step, RESTART).uniform(low + margin, high - margin, (max(2, d), d)))

"""What `Auto` does next, by what it has seen of the loss: the table of docs/auto.md, a function for each kind of step.

All of them take the state after a step whose losses are in it, and the box in units, None without bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.keys import RESTART, generator
from zoo_opt.methods.auto import partition, shaking
from zoo_opt.methods.auto.searches import (
    COARSE,
    MOST_DENSE,
    PLANE,
    coarse,
    coordinates,
    evolution,
    finer,
    from_region,
    is_global,
    is_over,
    local,
    region,
)
from zoo_opt.methods.auto.state import (
    EVOLUTION,
    EXCHANGE,
    LINE,
    MOST_REGION,
    NEAR,
    PARTITION,
    QUASI_NEWTON,
    SAMPLE,
    SEARCH,
    SURROGATE,
    TRUST_REGION,
    AutoState,
)
from zoo_opt.methods.auto.surrogate import MOST_SURROGATE, bayesian, is_concave, is_parabola
from zoo_opt.methods.auto.units import SPREAD
from zoo_opt.methods.local.quasi_newton import GRADIENT, QNState
from zoo_opt.methods.local.quasi_newton import SEARCH as TRIAL
from zoo_opt.methods.local.ripples import disagreement, plateau
from zoo_opt.methods.local.sums import separable

if TYPE_CHECKING:
    from zoo_opt.typing import Array

# evaluations per dimension before a first search is tested for a sum, and where losses shake; docs/auto-tried.md
TEST_AT, TEST_LATER_AT = 3.0, 8.0
MOVED = 1e-2  # units by which two coordinates have to differ before the test can tell a sum; chosen, not tuned
MARGIN = 0.1  # part of the box on either side where no later quasi-Newton search starts; chosen, not tuned
WIDER, WIDTHS = 4.0, 9  # while no point has had a loss: factor between the regions of random points; how many; chosen
GIVE_UP = 200  # evaluations per dimension, none of them finite, after which a run without a budget ends; chosen
# evaluations per dimension of a run without a budget, and of one in which noise always shows a gain; chosen
MOST, MOST_NOISY = 10_000, 1000
MOST_WITHOUT_GAIN = 5  # searches in a row without a gain after which a run without a budget ends; chosen, not tuned
COARSE_UP_TO = 3  # dimensions in which a trust region looks first, over large distances; measured: docs/auto-tried.md
RIPPLED = 0.3  # part of a step's change of the loss that the slopes at its ends do not explain; chosen; no figures kept
NOISY = 0.01  # of the loss at the start, the least noise that is a population's; measured: docs/auto-tried.md
NOISY_THERE = 0.05  # the same, of the best loss when the first search has ended; chosen; no figures kept
GAIN = 1e-9  # a search that lowers the loss by less than this part of it has gained nothing; chosen, not tuned


def improved(s: Any, X: Array, losses: list[float]) -> Any:
    """Return the state, of `Auto` or `MixedAuto`, whose best point is that of ``X`` (n, d) if its loss is lower."""
    values = np.where(np.isnan(losses), math.inf, losses)
    k = int(values.argmin())
    return replace(s, x=X[k].copy(), f=float(values[k])) if values[k] < s.f else s


def endings(s: Any, most: int) -> dict[str, Any]:
    """Return why a run without a budget ends, of `Auto` or `MixedAuto`, with ``most`` evaluations per dimension."""
    if s.f == math.inf and s.evaluations >= GIVE_UP * (s.x.size + 1):
        return {"nothing_finite": s.evaluations}
    if s.evaluations >= most * (s.x.size + 1):
        return {"most_evaluations": s.evaluations}
    return {"converged": MOST_WITHOUT_GAIN} if s.without_gain >= MOST_WITHOUT_GAIN else {}


def after_start(s: AutoState, box: Any, losses: list[float], step: int) -> AutoState:
    """The start, and the centre of the box, have been evaluated: a point next to the better of them may show noise."""
    if s.f == math.inf:
        return _sample(s, box, step)
    if s.noisy:  # standard errors were told
        return _from(s, box, s.x, s.f)
    s = replace(s, base=s.x, line=(s.f,), digits=shaking.digits(losses))
    if _looks_first(s, box):  # noise can wait until that is over
        return coarse(s, box, s.x, s.f)
    return s.evaluating(NEAR, shaking.line(s, box, 1))


def after_near(s: AutoState, box: Any, loss: float) -> AutoState:
    """A point next to the best has been evaluated: what a slope cannot explain is looked at more closely."""
    s = replace(s, line=(*s.line, loss), digits=max(s.digits, shaking.digits([loss])))
    change = shaking.change(s)
    if shaking.STEEP < change < shaking.SURE or change > NOISY / 2:
        return s.evaluating(LINE, shaking.line(s, box, 2))
    noise = abs(s.line[1] - s.line[0]) / math.sqrt(2) if change >= shaking.SURE else shaking.rounding(s)
    s = replace(s, noise=noise)
    return _from(s, box, s.x, s.f)


def after_line(s: AutoState, box: Any, losses: list[float]) -> AutoState:
    """Four points on a line of almost no length have been evaluated: what is left of a slope is noise."""
    s = replace(s, line=(*s.line, *losses))
    noise, size = shaking.level(s.line), max(abs(f) for f in (s.f0, s.line[0]) if math.isfinite(f))
    if noise <= shaking.ROUNDING * size:
        return _from(s, box, s.x, s.f)
    return _from(replace(s, noise=noise, noisy=s.noisy or noise > NOISY * size), box, s.x, s.f)


def after_exchange(s: AutoState, box: Any, f_best: float, losses: list[float], step: int) -> AutoState:
    """Two points that exchange coordinates between x0 and the best one, of loss ``f_best``: is the loss a sum?"""
    s = replace(s, sum_tested=True)
    if separable(s.f0, f_best, losses[0], losses[1], s.noise):
        return coordinates(s, box)
    return _after_search(s, box, step) if s.search.has_ended() else replace(s, stage=SEARCH)


def after_sample(s: AutoState, box: Any, X: Array, losses: list[float], step: int) -> AutoState:
    """Random points have been evaluated: a quasi-Newton search from the best of them, more if all have failed."""
    values = np.where(np.isnan(losses), math.inf, losses)
    k = int(values.argmin())
    return _sample(s, box, step) if s.f == math.inf else _from(s, box, X[k], float(values[k]))


def after_search_step(before: AutoState, s: AutoState, box: Any, step: int) -> AutoState:
    """A search has made a step: it goes on, or is over, or its points can show whether the loss is a sum."""
    d = s.x.size
    if _is_level(before, s):
        return _after_search(replace(s, level=True), box, step)
    moved = np.abs(s.x - s.x0) > MOVED
    untested = s.active in (s.local, SURROGATE) and not s.sum_tested and box is not None
    untested = untested and bool(np.count_nonzero(moved) >= min(2, d))
    test_at = TEST_AT if s.noise == 0.0 and s.active != SURROGATE else TEST_LATER_AT
    if untested and (s.search.has_ended() or s.evaluations >= test_at * d) and np.isfinite(box).all():
        order = generator(s.key, step, RESTART).permutation(d)
        half = moved & (order <= np.median(order[moved]))
        return s.evaluating(EXCHANGE, np.where([half, ~half], s.x0, s.x))
    if partition.is_over(s) if s.active == PARTITION else is_over(before, s):
        return _after_search(s, box, step)
    if _is_rippled(before, s):
        s = replace(s, concave=True)
        return bayesian(s, box, True) if d <= MOST_SURROGATE else region(s, box, s.x, s.f, COARSE)
    return bayesian(s, box, False) if s.few and _has_iterated(before, s) else s


def _is_level(before: AutoState, s: AutoState) -> bool:
    """Return whether a quasi-Newton search has come to a plateau, where it sees nothing and a population does."""
    found = before.search.state
    return s.active == QUASI_NEWTON and isinstance(found, QNState) and plateau(found, s.search.state)


def _is_rippled(before: AutoState, s: AutoState) -> bool:
    """Return whether the first step of the first search shows ripples, which only larger differences see beyond."""
    if s.active != QUASI_NEWTON or len(s.searches) > 1 or s.stage != SEARCH or s.noise > 0.0:
        return False
    if s.x.size <= MOST_SURROGATE and is_concave(s):
        return True
    first = before.search.state
    return (
        isinstance(first, QNState)
        and not first.known
        and disagreement(first, s.search.state) > RIPPLED
        and s.x.size <= MOST_REGION
    )


def _has_iterated(before: AutoState, s: AutoState) -> bool:
    """Return whether the first iteration of the first search is over, and has not seen a parabola on its line."""
    state, now = before.search.state, s.search.state
    if s.active != QUASI_NEWTON or len(s.searches) > 1 or state.known or state.stage != TRIAL:
        return False
    return now.stage == GRADIENT and now.axes is None and not is_parabola(state, now)


def _after_search(s: AutoState, box: Any, step: int) -> AutoState:
    """A search, or a run of the evolution strategy, is over: the strategy, or whichever search has used less."""
    d = s.x.size
    gained = s.f_before - s.f > GAIN * abs(s.f)  # not where no loss has been finite: inf - inf is NaN
    if s.active != PARTITION:  # it and the local search that follows are one
        s = replace(s, f_before=s.f, without_gain=0 if gained else s.without_gain + 1)
    if PARTITION in s.searches:
        if partition.is_poor(s):
            return s.searching(EVOLUTION) if EVOLUTION in s.searches else evolution(s, box)
        return partition.following(s, box)
    if s.active == TRUST_REGION and s.local == QUASI_NEWTON:
        return s.evaluating(NEAR, shaking.line(s, box, 1)) if len(s.line) == 1 else from_region(s, box)
    if s.active == SURROGATE:
        return local(s, box, s.x, s.f)
    if not is_global(s):
        s = replace(s, noisy=s.noisy or s.noise > NOISY_THERE * abs(s.f))
        return partition.begun(s, box) if partition.suits(s, box) else evolution(s, box)
    if s.noisy or s.level or s.local not in s.searches or s.searches[s.local].used + d > s.searches[EVOLUTION].used:
        return s.searching(EVOLUTION)
    return _sample(s, box, step)


def _looks_first(s: AutoState, box: Any) -> bool:
    """Return whether a trust region looks first; without a box its lengths may be far from the right ones."""
    return s.x.size <= (PLANE if box is None else COARSE_UP_TO)


def _from(s: AutoState, box: Any, x: Array, f: float) -> AutoState:
    """A search from ``x``, of loss ``f``: a local one first, where its matrix is not too large."""
    if s.noisy or s.x.size > MOST_DENSE:
        return evolution(s, box)
    if s.active == TRUST_REGION and s.stage in (NEAR, LINE):  # it was a coarse one, before anything was known of noise
        return from_region(s, box) if s.noise == 0.0 else finer(s, box)
    if _looks_first(s, box) and not s.searches:
        return coarse(s, box, x, f)
    if s.few and s.noise > 0.0 and not s.searches:
        return bayesian(s, box, True)
    return local(s, box, x, f)


def _sample(s: AutoState, box: Any, step: int) -> AutoState:
    """Random points, within the box or not far from the start where a coordinate has no two bounds."""
    d = s.x.size
    n = max(2, d if s.f < math.inf else min(d, 2 * WIDTHS))
    room = np.full((2, d), math.inf) if box is None else np.stack([s.x0 - box[0], box[1] - s.x0])
    below, above = np.where(np.isfinite(room).all(axis=0), room, np.minimum(room, SPREAD))
    margin = MARGIN * (below + above)
    low, high = s.x0 - below + margin, s.x0 + above - margin
    if s.f == math.inf:  # the start has failed: some nearer to it, some farther away
        k = (s.evaluations + np.arange(n)[:, None]) % WIDTHS
        part = WIDER ** ((k + 1) // 2 * (-1.0) ** k)  # 1, 1/4, 4, 1/16, ...
        near, far = np.where(np.isfinite(room)[:, None], np.minimum(part, 1.0), part)  # the box is not left
        low, high = s.x0 + near * (low - s.x0), s.x0 + far * (high - s.x0)
    X = generator(s.key, step, RESTART).uniform(low, high, (n, d))
    return s.evaluating(SAMPLE, X if box is None else np.clip(X, *box))

"""How long a step may be, from probes that are as long as steps: a trial before the first one, which moves nothing."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo_opt.gradient.gains import Gain, Gains, Observation

# Ours, chosen on design seeds of three trainings: docs/torch.md, "Forwards".
_PART = 0.25  # of what the slopes promise a step, the most that the loss may rise along a probe as long as the step
_SHORTEST = 1 / 32  # shortest probe of a trial over the longest, and the factor on the steps before there was one
_AGAIN, _MOST = 0.25, 3  # a trial is made again at the new length where that is less than so much of the old; trials


class TrialState(NamedTuple):
    """What `TrialSteps` remembers.

    Attributes
    ----------
    base : object
        The state of the gains that it is about.
    slope : float
        Standard deviation of the losses of a step over its radius; NaN before there is one.
    factor : float
        On the learning rate.
    left : int
        Trials that may be made still.
    """

    base: Any
    slope: float = math.nan
    factor: float = 1.0
    left: int = _MOST

    @property
    def due(self) -> bool:
        """Whether the next step is a trial."""
        return self.left > 0 and self.slope > 0.0


@dataclass(frozen=True)
class TrialSteps(Gains):
    """Gains whose learning rate is cut to what a trial allows, for steps of `Centered` over `LossSpread`.

    Such a step is as long as a probe of radius r = lr / (c sqrt(q - 1)), and the slopes, of standard deviation s along
    the q directions, promise that the loss falls by r s sqrt(q - 1). The trial evaluates x, and q - 1 probes whose
    radii go from r down to r / 32, each along a direction of its own. Along these the loss rises by curvature as it
    does along a step; the rise over the promise, fitted by a line through zero, is a at r. Then lr is multiplied by
    1 / (4 a), if that is less than 1. Without other noise than that of the directions the best step has a = 1/2; the
    minibatch's noise, which the trial does not see, makes shorter ones better.

    Parameters
    ----------
    base : Gains
        The gains without a trial.
    q : int
        Directions of a step, all of its evaluations.
    """

    base: Gains
    q: int
    observes = True

    @property
    def start(self) -> TrialState:  # type: ignore[override]
        """The state before the first step."""
        return TrialState(self.base.start)

    def at(self, state: TrialState, t: int) -> Gain:
        """Return the gains with what the trial left of lr; in a trial c is the longest radius."""
        gain = self.base.at(state.base, t)
        gain = gain._replace(lr=gain.lr * state.factor)
        if self.radii(state, t) is not None:
            return gain._replace(c=gain.lr / (gain.c * math.sqrt(self.q - 1)))
        return gain if state.left == 0 else gain._replace(lr=gain.lr * _SHORTEST)

    def radii(self, state: TrialState, t: int) -> tuple[float, ...] | None:
        """See `Gains.radii`."""
        if not (state.due and self.base.at(state.base, t).lr > 0.0):
            return None
        return (0.0, *(_SHORTEST ** (k / (self.q - 2)) for k in range(self.q - 1)))

    def repeats(self, state: TrialState, t: int) -> bool:
        """See `Gains.repeats`."""
        return self.radii(state, t) is None and self.base.repeats(state.base, t)

    def told_sem(self, state: TrialState, sem: list[float]) -> TrialState:
        """See `Gains.told_sem`."""
        return state._replace(base=self.base.told_sem(state.base, sem))

    def observe(self, state: TrialState, seen: Observation) -> TrialState:
        """Take in a trial, or what a step says of the slopes."""
        if seen.radii is not None:
            cut = self._cut(seen, seen.radii, state.slope)
            left = state.left - 1 if cut < _AGAIN else 0
            return state._replace(factor=state.factor * cut, left=left)
        if self.base.observes:
            state = state._replace(base=self.base.observe(state.base, seen))
        if state.left and not state.due:
            alive = [loss for loss in seen.losses[seen.repeats :] if math.isfinite(loss)]
            if len(alive) > 2:
                state = state._replace(slope=statistics.stdev(alive) / seen.gain.c)
        return state

    def _cut(self, seen: Observation, radii: tuple[float, ...], slope: float) -> float:
        """Return the factor on lr: failed probes are too long ones."""
        first, *losses = seen.losses
        promise = slope * seen.gain.c * math.sqrt(self.q - 1)  # at the longest radius
        alive = [(l, (f - first) / promise) for l, f in zip(radii[1:], losses, strict=True) if math.isfinite(f - first)]
        if not alive:
            return _SHORTEST
        a = sum(rise for _, rise in alive) / sum(l * l for l, _ in alive)  # rise / (l promise) = a l, least squares
        longest = max(l for l, _ in alive)
        return longest if a <= 0.0 else min(longest, max(_PART / a, _SHORTEST))

"""How long a step may be, from probes that are as long as steps: a trial before the first one, which moves nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo_opt.gradient.gains import Gain, Gains, Observation

# Ours, chosen on design seeds of three trainings: docs/torch.md, "Forwards".
_PART = 0.125  # of what the slopes promise a step, the most that the loss may rise along a probe as long as the step
_SHORTEST = 1 / 32  # shortest probe of a trial over the longest, and the least factor of one trial
_AGAIN, _MOST = 0.25, 3  # a trial is made again at the new length where that is less than so much of the old; trials
_GROWN = 2.0  # and where steps have grown to so many times the length that was allowed: the rise is then a quarter


class TrialState(NamedTuple):
    """What `TrialSteps` remembers.

    Attributes
    ----------
    base : object
        The state of the gains that it is about.
    factor : float
        On the learning rate.
    left : int
        Trials that may be made still before the next step.
    allowed : float
        The radius that the last one has left; 0 before there was one.
    """

    base: Any
    factor: float = 1.0
    left: int = _MOST
    allowed: float = 0.0


@dataclass(frozen=True)
class TrialSteps(Gains):
    """Gains whose learning rate is cut to what a trial allows, for steps of `Centered` over `LossSpread`.

    Such a step is as long as a probe of radius r = lr / (c sqrt(q - 1)). The trial evaluates x, and q - 1 probes, whose
    radii r_j go from r down to r / 32, each along a direction of its own. Fitted by least squares is::

        (f(x + r_j u_j) - f(x)) / r_j = A r_j + s e_j

    A r^2 is what the loss rises by curvature, along a step as along a probe; s, the RMS of the residuals, is the size
    of the slopes, which promise that the loss falls by r s sqrt(q - 1) in a step. lr is multiplied by
    s sqrt(q - 1) / (8 A r), where that is less than 1: then the rise is an eighth of the promise. Without other noise
    than that of the directions a half is best; that of the minibatch, which a trial does not see and which grows
    beside the slopes as they flatten, makes shorter steps better. Where steps grow to more than twice what was allowed,
    as a schedule warms up, there is a trial again.

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
    def start(self) -> TrialState:
        """The state before the first step."""
        return TrialState(self.base.start)

    def at(self, state: TrialState, t: int) -> Gain:
        """Return the gains with what trials left of lr; in a trial c is the longest radius."""
        gain = self.base.at(state.base, t)
        gain = gain._replace(lr=gain.lr * state.factor)
        return gain if self.radii(state, t) is None else gain._replace(c=self._radius(gain))

    def _radius(self, gain: Gain) -> float:
        """Return r, that of a probe as long as a step."""
        return gain.lr / (gain.c * math.sqrt(self.q - 1))

    def radii(self, state: TrialState, t: int) -> tuple[float, ...] | None:
        """See `Gains.radii`."""
        r = self._radius(self.base.at(state.base, t)) * state.factor
        if r == 0.0 or not (state.left or r > _GROWN * state.allowed):
            return None
        return (0.0, *(_SHORTEST ** (k / (self.q - 2)) for k in range(self.q - 1)))

    def repeats(self, state: TrialState, t: int) -> bool:
        """See `Gains.repeats`."""
        return self.radii(state, t) is None and self.base.repeats(state.base, t)

    def told_sem(self, state: TrialState, sem: list[float]) -> TrialState:
        """See `Gains.told_sem`."""
        return state._replace(base=self.base.told_sem(state.base, sem))

    def observe(self, state: TrialState, seen: Observation) -> TrialState:
        """Take in a trial, or another step."""
        if seen.radii is None:
            return state._replace(base=self.base.observe(state.base, seen)) if self.base.observes else state
        r, left = seen.gain.c, (state.left or _MOST) - 1
        if not math.isfinite(seen.losses[0]):
            return state._replace(left=left, allowed=r)
        cut = self._cut(seen.losses[0], seen.losses[1:], seen.radii[1:])
        return state._replace(factor=state.factor * cut, left=left if cut < _AGAIN else 0, allowed=r * cut)

    def _cut(self, at_x: float, losses: list[float], radii: tuple[float, ...]) -> float:
        """Return the factor on lr, with r = 1; failed probes are too long ones."""
        alive = [(r, loss - at_x) for r, loss in zip(radii, losses, strict=True) if math.isfinite(loss - at_x)]
        if not alive:
            return _SHORTEST
        longest = max(r for r, _ in alive)
        A = sum(rise for _, rise in alive) / sum(r * r for r, _ in alive)
        if A <= 0.0 or len(alive) < 3:
            return longest
        s = math.hypot(*(rise / r - A * r for r, rise in alive)) / math.sqrt(len(alive) - 1)
        return min(longest, max(_PART * s * math.sqrt(self.q - 1) / A, _SHORTEST))

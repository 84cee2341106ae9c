"""Gains: learning rate, perturbation radius and momentum at step t = 0, 1, 2, ...

A schedule is any callable t -> float; a plain number is a constant. The dataclasses here can be written to a
checkpoint; an optimizer with a lambda as a schedule runs, but cannot be saved.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from zoo_opt.core.errors import finite, fraction, integer, non_negative, positive

if TYPE_CHECKING:
    from zoo_opt.typing import Schedule


class Gain(NamedTuple):
    """The gains of one step, Python floats: numpy keeps the type of an array that they multiply."""

    lr: float
    c: float
    momentum: float = 0.0


# ------------------------------------------------------------------------------------------------- schedules
@dataclass(frozen=True)
class Constant:
    """The same value at every step.

    Parameters
    ----------
    value : float
        The value.
    """

    value: float

    def __post_init__(self) -> None:
        finite("value", self.value)

    def __call__(self, t: int) -> float:
        """Return the value at step t."""
        return self.value


@dataclass(frozen=True)
class PowerLaw:
    """a / (t + 1 + A)^alpha, the gain sequence of Spall (1998).

    Parameters
    ----------
    a : float
        Numerator, > 0.
    A : float
        Stability constant, >= 0; Spall advises 10 % of the planned steps for the learning rate, 0 for c.
    alpha : float
        Exponent; Spall advises 0.602 for the learning rate and 0.101 for c (there called gamma).
    """

    a: float
    A: float = 0.0
    alpha: float = 0.602

    def __post_init__(self) -> None:
        positive("a", self.a)
        non_negative("A", self.A)
        non_negative("alpha", self.alpha)

    def __call__(self, t: int) -> float:
        """Return the value at step t."""
        return float(self.a / (t + 1 + self.A) ** self.alpha)


@dataclass(frozen=True)
class PolyDecay:
    """(start - end) (1 - t / steps)^power + end, and end from then on (BAR's learning rate).

    Parameters
    ----------
    start, end : float
        First and last value.
    steps : float
        Steps until ``end`` is reached, > 0; BAR takes 0.9 of those planned, which need not be whole.
    power : float
        Exponent, 0.9 in BAR.
    """

    start: float
    end: float
    steps: float
    power: float = 0.9

    def __post_init__(self) -> None:
        positive("start", self.start)
        non_negative("end", self.end)
        positive("steps", self.steps)
        positive("power", self.power)

    def __call__(self, t: int) -> float:
        """Return the value at step t."""
        return float((self.start - self.end) * max(0.0, 1.0 - t / self.steps) ** self.power + self.end)


@dataclass(frozen=True)
class StepDecay:
    """start * rate^((t + 1) // every), as the released BAPS trainer counts its steps from 1.

    Parameters
    ----------
    start : float
        First value.
    rate : float
        Factor, 0.33 in the released trainer.
    every : int
        Steps between two factors, 300 in the released trainer.
    """

    start: float
    rate: float = 0.33
    every: int = 300

    def __post_init__(self) -> None:
        positive("start", self.start)
        positive("rate", self.rate)
        integer("every", self.every, 1)

    def __call__(self, t: int) -> float:
        """Return the value at step t."""
        return float(self.start * self.rate ** ((t + 1) // self.every))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from start to end, and end from then on.

    Parameters
    ----------
    start, end : float
        First and last value.
    steps : int
        Steps until ``end`` is reached.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        positive("start", self.start)
        non_negative("end", self.end)
        integer("steps", self.steps, 1)

    def __call__(self, t: int) -> float:
        """Return the value at step t."""
        progress = min(1.0, t / self.steps)
        return self.end + 0.5 * (self.start - self.end) * (1.0 + math.cos(math.pi * progress))


def schedule(name: str, value: Any, check: Any = positive) -> Schedule:
    """Return ``value`` as a schedule; a number becomes a constant after ``check(name, value)``."""
    if callable(value):
        return value  # type: ignore[no-any-return]
    return Constant(check(name, value))


# --------------------------------------------------------------------------------------------------- policies
_LARGEST_FACTOR = 1e6  # a loss that stays flat must not drive c to infinity; the released trainer has no such bound


class GainState(NamedTuple):
    """What `Geass` remembers between steps; `Scheduled` leaves it at zero."""

    strikes: int = 0
    cooldown: int = 0
    c_factor: float = 1.0


class Gains(Protocol):
    """What decides the gains of a step."""

    @property
    def start(self) -> Any:
        """The state before the first step."""
        ...

    @property
    def observes(self) -> bool:
        """Whether `observe` wants the norm of ghat."""
        ...

    def at(self, state: Any, t: int) -> Gain:
        """Return the gains of step t."""
        ...

    def observe(self, state: Any, norm: float) -> Any:
        """Return the state after a step whose unscaled estimate had this 2-norm."""
        ...


@dataclass(frozen=True)
class Scheduled:
    """Gains that depend on t alone."""

    lr: Schedule
    c: Schedule
    momentum: Schedule = Constant(0.0)
    start = GainState()
    observes = False

    def at(self, state: GainState, t: int) -> Gain:
        """Return the scheduled gains."""
        return self._constant or checked(self.lr(t), self.c(t), self.momentum(t), t)

    @functools.cached_property
    def _constant(self) -> Gain | None:
        """The gains of all steps, where no schedule moves."""
        if all(isinstance(schedule, Constant) for schedule in (self.lr, self.c, self.momentum)):
            return checked(self.lr(0), self.c(0), self.momentum(0), 0)
        return None

    def observe(self, state: GainState, norm: float) -> GainState:
        """Return the state unchanged."""
        return state


@dataclass(frozen=True)
class Geass:
    """Gradient escape by an adaptive spike of the step size (figure 3 of BAPS) around scheduled gains.

    ``strikes`` counts steps in a row with |ghat| < ``threshold``; at ``k1`` of them lr and c are multiplied by
    ``eta1`` and ``eta2`` for the next ``k2`` steps, and all returns to the start.
    """

    base: Scheduled
    threshold: float
    k1: int
    k2: int
    eta1: float
    eta2: float
    count_in_cooldown: bool = False
    cooldown_momentum: float | None = None
    zero_gradient_boost: float = 1.0
    start = GainState()
    observes = True

    def at(self, state: GainState, t: int) -> Gain:
        """Return the scheduled gains, boosted while cooling down."""
        lr, c, beta = self.base.at(state, t)
        c *= state.c_factor
        if state.cooldown == 0:
            return Gain(lr, c, beta)
        boosted_beta = beta if self.cooldown_momentum is None else self.cooldown_momentum
        return checked(self.eta1 * lr, self.eta2 * c, boosted_beta, t)

    def observe(self, state: GainState, norm: float) -> GainState:
        """Count the strike; the boost that it may cause starts at the next step."""
        strikes, cooldown, c_factor = state
        if norm == 0.0:
            c_factor = min(c_factor * self.zero_gradient_boost, _LARGEST_FACTOR)
        cooling = cooldown > 0
        cooldown = max(0, cooldown - 1)
        if not cooling or self.count_in_cooldown:
            strikes = strikes + 1 if norm < self.threshold else 0
        if strikes >= self.k1:
            strikes, cooldown = 0, self.k2
        return GainState(strikes, cooldown, c_factor)


def checked(lr: Any, c: Any, momentum: Any, t: int) -> Gain:
    """Return the gains of step t, or raise if a schedule gave a value that no step can use."""
    try:
        gain = Gain(float(lr), float(c), float(momentum))
    except (TypeError, ValueError):
        raise TypeError(
            f"schedules must give numbers, got {(lr, c, momentum)} for lr, c, momentum at step {t}"
        ) from None
    if not 0.0 <= gain.lr < math.inf:
        raise ValueError(f"lr must be >= 0 and finite at every step, got {lr!r} at step {t}")
    if not 0.0 < gain.c < math.inf:
        raise ValueError(f"c must be > 0 and finite at every step, got {c!r} at step {t}")
    if not 0.0 <= gain.momentum < 1.0:
        raise ValueError(f"momentum must be in [0, 1) at every step, got {momentum!r} at step {t}")
    return gain


def momentum_schedule(value: Any) -> Schedule:
    """Return momentum as a schedule; a number must be in [0, 1)."""
    return schedule("momentum", value, fraction)

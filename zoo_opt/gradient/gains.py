"""Gains: learning rate, perturbation radius and momentum at step t = 0, 1, 2, ...

A schedule is any callable t -> float; a plain number is a constant. The dataclasses here can be written to a
checkpoint; an optimizer with a lambda as a schedule runs, but cannot be saved.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_opt.core.errors import finite, fraction, integer, non_negative, positive

if TYPE_CHECKING:
    from zoo_opt.gradient.estimators import Estimator
    from zoo_opt.typing import Array, Schedule


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
class Observation(NamedTuple):
    """What a step has shown.

    Attributes
    ----------
    losses : list of float
        Of its n candidates, NaN where failed.
    gain : Gain
        Its gains.
    repeats : bool
        Whether the second candidate was the first one again.
    estimator : Estimator
        What made the slopes.
    slopes : list of float or None
        Its slopes; None if too few losses were finite for an estimate.
    ghat : (d,) array or None
        The estimate times ``factor``, which the scaling gave; None beside slopes of None.
    length : callable or None
        Returns the 2-norm of ghat, where that is not at hand as an array.
    radii : tuple of float or None
        See `Gains.radii`.
    """

    losses: list[float]
    gain: Gain
    repeats: bool
    estimator: Estimator
    slopes: list[float] | None = None
    ghat: Array | None = None
    factor: float = 1.0
    length: Callable[[], float] | None = None
    radii: tuple[float, ...] | None = None

    @property
    def square(self) -> float:
        """Mean square of the slopes; NaN without an estimate."""
        return math.nan if self.slopes is None else self.estimator.square(self.slopes)

    @property
    def norm(self) -> float:
        """|ghat|, the 2-norm of the estimate before it was scaled; NaN without an estimate."""
        ghat = self.ghat
        if self.length is not None:
            return self.length() / self.factor
        return math.nan if ghat is None else math.sqrt(float(ghat.dot(ghat))) / self.factor


class Gains:
    """What decides the gains of a step: a subclass is a frozen dataclass, its state a named tuple.

    Attributes
    ----------
    start : object
        The state before the first step.
    observes : bool
        Whether `observe` is to be called.
    """

    start: Any = None
    observes: bool = False

    def at(self, state: Any, t: int) -> Gain:
        """Return the gains of step t."""
        raise NotImplementedError(f"{type(self).__name__} must define at")

    def repeats(self, state: Any, t: int) -> bool:
        """Return whether step t evaluates its first point twice."""
        return False

    def radii(self, state: Any, t: int) -> tuple[float, ...] | None:
        """Return, for a step that only measures, the multiple of c that each of its n candidates is away by."""
        return None

    def observe(self, state: Any, seen: Observation) -> Any:
        """Return the state after a step."""
        return state

    def told_sem(self, state: Any, sem: list[float]) -> Any:
        """Return the state after the standard errors of a step's losses, NaN where not told."""
        return state


@dataclass(frozen=True)
class Scheduled(Gains):
    """Gains that depend on t alone."""

    lr: Schedule
    c: Schedule
    momentum: Schedule = Constant(0.0)

    def at(self, state: Any, t: int) -> Gain:
        """Return the scheduled gains."""
        return self._constant or self._checked(t)

    @functools.cached_property
    def _constant(self) -> Gain | None:
        """The gains of all steps, where no schedule moves."""
        if all(isinstance(schedule, Constant) for schedule in (self.lr, self.c, self.momentum)):
            return self._checked(0)
        return None

    def _checked(self, t: int) -> Gain:
        return checked(self.lr(t), self.c(t), self.momentum(t), t)


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

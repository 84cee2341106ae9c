"""``"auto"``: gains from the scale of the parameters and the budget, for methods whose step has a known length."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import positive
from zoo_opt.gradient.adaptive import Adaptive
from zoo_opt.gradient.gains import Constant, Cosine, Gains, PowerLaw, Scheduled, schedule
from zoo_opt.gradient.noise import MeasuredRadius
from zoo_opt.gradient.scaling import Scaling, Unscaled
from zoo_opt.gradient.trend import GuardedRate

if TYPE_CHECKING:
    from zoo_opt.gradient.estimators import Estimator
    from zoo_opt.typing import Array, Schedule

AUTO = "auto"

# Fitted to two networks, 9,610 and 75,985 parameters, at three budgets: docs/gains.md, "Step length" and "Radius".
_RADIUS = (0.01, 0.3)  # length of a perturbation over that of x, least and most
_STEP, _LONGEST_STEP = 18.0, 0.3  # first step over the length of x: _STEP (sqrt(q) / (d T))^(1/3), at most the second
_LAST = 0.01  # last step over the first
_HORIZON, _POWER = 1000, 0.5  # without a budget: the first step for so many steps, and how it falls


def is_auto(value: Any) -> bool:
    """Return whether a gain was left open."""
    return isinstance(value, str) and value == AUTO


@dataclass(frozen=True)
class _Open:
    """The schedule of a gain that was left open: it has no values."""

    name: str

    def __call__(self, t: int) -> float:
        raise ValueError(f"{self.name} is 'auto': plan(x0, budget), which Optimizer calls, is to fill it in first")


def gain(name: str, value: Any) -> Schedule:
    """Return ``value`` as a schedule, that of "auto" being one without values."""
    return _Open(name) if is_auto(value) else schedule(name, value)


def gains(
    lr: Schedule,
    c: Any,
    estimator: Estimator,
    scaling: Scaling,
    momentum: Schedule = Constant(0.0),
    per_c: bool = False,
) -> Gains:
    """Return scheduled gains, or those that follow what is measured if ``lr`` or ``c`` does."""
    base = Scheduled(lr, gain("c", c), momentum)
    if not (isinstance(lr, GuardedRate) or isinstance(c, MeasuredRadius)):
        return base
    return Adaptive(base, estimator.noise, per_c, normalised=not isinstance(scaling, Unscaled))


def check_scale(scale: float | None, *gains: Any) -> None:
    """Raise unless ``scale`` is a number > 0 beside a gain that was left open, or None."""
    if scale is None:
        return
    positive("scale", scale)
    if not any(map(is_auto, gains)):
        raise ValueError(f"scale must be None unless lr or c is 'auto', got {scale!r}")


class Extent(NamedTuple):
    """What a plan needs of a start that is not at hand as an array: d, and the sum of the squares."""

    size: int
    square: float


@dataclass(frozen=True)
class Plan:
    """What gains are tied to.

    Attributes
    ----------
    length : float
        Of the parameter vector: sqrt(d) times a typical parameter.
    d : int
        Number of parameters.
    q : int
        Directions of a step.
    steps : int or None
        Steps that the budget allows; None where it is not known.
    """

    length: float
    d: int
    q: int
    steps: int | None

    @classmethod
    def of(cls, x0: Array | Extent, scale: float | None, q: int, n: int, budget: int | None) -> Plan:
        """Return the plan for a start, a declared scale, and n evaluations a step.

        A typical parameter is the declared scale, or the RMS of x0, or 1 where x0 = 0.
        """
        whole = math.sqrt(x0.size)
        if scale is not None:
            length = scale * whole
        elif isinstance(x0, Extent):
            length = math.sqrt(x0.square)
        else:
            length = math.sqrt(float(np.square(x0, dtype=np.float64).sum()))
        return cls(length or whole, x0.size, q, None if budget is None else max(1, budget // n))

    def radius(self, delta: float) -> MeasuredRadius:
        """Return c for perturbations of length c ``delta``."""
        smallest, largest = (part * self.length / delta for part in _RADIUS)
        return MeasuredRadius(smallest, largest)

    def rate(self, unit: float) -> GuardedRate:
        """Return lr for steps of length lr / ``unit``."""
        first = self._first_step(self.steps or _HORIZON) * self.length * unit
        if self.steps is None:
            return GuardedRate(PowerLaw(first * (1 + _HORIZON) ** _POWER, A=_HORIZON, alpha=_POWER))
        return GuardedRate(Cosine(first, _LAST * first, self.steps))

    def _first_step(self, steps: int) -> float:
        """Return the first step's length over that of the parameters."""
        return float(min(_LONGEST_STEP, _STEP * (math.sqrt(self.q) / (self.d * steps)) ** (1 / 3)))


def filled_in(
    method: Any, x0: Array | Extent, budget: int | None, *, unit: float = 1.0, per_c: bool = False, **with_lr: Any
) -> Any:
    """Return ``method`` with its open gains filled in.

    Parameters
    ----------
    method : dataclass
        With lr, c, draws, scale and compose.
    x0, budget
        As `Method.plan` has them.
    unit : float
        A step of estimates over their RMS is lr / unit * |psi| / sqrt(q) long.
    per_c : bool
        Whether it is lr / c in place of lr.
    **with_lr
        What else changes when lr is filled in.
    """
    if not (is_auto(method.lr) or is_auto(method.c)):
        return method
    estimator = method.compose().estimator
    plan = Plan.of(x0, method.scale, estimator.q, estimator.n, budget)
    delta, psi = method.draws.lengths(x0.size)
    changes: dict[str, Any] = {"scale": None}
    c = plan.radius(delta) if is_auto(method.c) else method.c
    if is_auto(method.lr):
        unit *= math.sqrt(plan.q) / psi
        changes |= {"lr": plan.rate(unit * schedule("c", c)(0) if per_c else unit), **with_lr}
    return replace(method, c=c, **changes)

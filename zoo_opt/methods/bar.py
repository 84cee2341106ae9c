"""One-sided BAR: the random gradient-free estimate of black-box adversarial reprogramming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo_opt.core.errors import integer, non_negative, positive
from zoo_opt.gradient.auto import check_scale, filled_in, gain, gains, is_auto
from zoo_opt.gradient.draws import Draws, Sphere
from zoo_opt.gradient.estimators import mean_slopes, mean_square
from zoo_opt.gradient.gains import PolyDecay
from zoo_opt.gradient.scaling import Scaling, SlopeRMS, Unscaled
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Rate


@dataclass(frozen=True)
class OneSided:
    """A base x shared by q probes x + c u_k: g = 1 / q sum_k (f(x + c u_k) - f(x)) / c psi_k, q + 1 evaluations.

    psi_k is the dual of u_k, d u_k on the unit sphere (Tsai et al. 2020; c is their beta). Lost with the base, or with
    fewer than ``at_least`` surviving probes.
    """

    q: int
    at_least: int = 1
    noise = 2.0

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return self.q + 1

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the base, then the probes."""
        if k == 0:
            X[0] = center  # x
        np.add(center, c_delta, out=X[1 + k : 1 + k + len(c_delta)])  # x + c u_k

    def delta(self, X: Array, c: float) -> Array:
        """Return (x_k - x_0) / c."""
        delta: Array = X[1:] - X[0]
        delta *= 1.0 / c
        return delta

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / c for each probe, and minus their sum for the base."""
        probes = [slope / c for slope in slopes]
        return [-sum(probes), *probes]

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each probe over the number of surviving probes."""
        f_x = losses[0]
        return mean_slopes([f_k - f_x for f_k in losses[1:]], c, self.at_least)  # (f(x + c u_k) - f(x)) / c / q

    def square(self, slopes: list[float]) -> float:
        """Return the mean square: curvature that the slopes share counts too, which keeps c from growing into it."""
        return mean_square(slopes)


@dataclass(frozen=True, kw_only=True)
class BAR(GradientMethod):
    """One-sided averaged random gradient-free estimate (Tsai, Chen and Ho, ICML 2020).

    ::

        g = (d / q) sum_k u_k (f(x + c u_k) - f(x)) / c,   x <- x - lr g,   u_k uniform on the unit sphere

    q + 1 evaluations a step. nevergrad has an unrelated optimiser of the same name.

    Parameters
    ----------
    lr : float, schedule or "auto", default 0.01
        Learning rate, the first one if ``steps`` is given. "auto": steps tied to the length of x0 and to the budget,
        with `SlopeRMS` as the scaling.
    c : float, schedule or "auto", default 0.01
        Radius, beta in the paper. "auto": a `MeasuredRadius` tied to the length of x0.
    directions : int, default 10
        q.
    lr_min : float, default 0
        Learning rate at the end of the decay.
    steps : int or None, default None
        Planned steps: lr then falls as (lr - lr_min) (1 - t / T)^0.9 + lr_min with T = 0.9 ``steps``. None: no decay.
    draws : Draws, default Sphere()
        Distribution of u.
    scaling : Scaling, default Unscaled()
        What the estimate is divided by: nothing in the paper.
    scale : float or None, default None
        Size of a typical parameter, for "auto". None: the root mean square of x0, or 1 where x0 = 0.
    bounds : None or bounds in any form, default None
        No candidate leaves them; see `GradientMethod`. x0 must lie inside.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or ``steps`` is combined with an ``lr`` that is a schedule.
    """

    lr: Rate = 0.01
    c: Rate = 0.01
    directions: int = 10
    lr_min: float = 0.0
    steps: int | None = None
    draws: Draws = Sphere()
    scaling: Scaling = Unscaled()
    scale: float | None = None
    bounds: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scale(self.scale, self.lr, self.c)
        integer("directions", self.directions, 1)
        non_negative("lr_min", self.lr_min)
        if self.steps is None and self.lr_min != 0.0:
            raise ValueError(f"lr_min must be 0 where steps is not given, got {self.lr_min!r}")
        if self.steps is not None:
            integer("steps", self.steps, 1)
            if callable(self.lr) or is_auto(self.lr):
                raise ValueError(f"lr must be a number where steps is given, got {self.lr!r}")
            if self.lr_min > positive("lr", self.lr):
                raise ValueError(f"lr_min must be at most lr, {self.lr!r}, got {self.lr_min!r}")
        self.compose()  # checks the rest

    def plan(self, x0: Array, budget: int | None) -> BAR:
        """See `Method.plan`."""
        scaling = SlopeRMS() if self.scaling == Unscaled() else self.scaling
        return cast("BAR", filled_in(self, x0, budget, scaling=scaling))

    def compose(self) -> ZOGradient:
        """Return one-sided differences with a plain update."""
        lr = gain("lr", self.lr)
        if self.steps is not None:
            lr = PolyDecay(lr(0), self.lr_min, 0.9 * self.steps, power=0.9)
        estimator = OneSided(self.directions)
        return ZOGradient(self.draws, estimator, gains(lr, self.c, estimator, self.scaling), scaling=self.scaling)

"""SPSA and SPSA-GC: simultaneous perturbation stochastic approximation, plain and with gradient correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.gradient.auto import check_scale, filled_in, gain, gains
from zoo_opt.gradient.draws import Draws, SegmentedUniform
from zoo_opt.gradient.estimators import mean_slopes, mean_square
from zoo_opt.gradient.gains import Gain, momentum_schedule
from zoo_opt.gradient.scaling import Scaling, SlopeRMS, Unscaled
from zoo_opt.gradient.updates import Plain
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Rate, Schedule


# On steps with momentum, which overshoot a minimum; fitted with the rest: docs/gains.md, "Step length".
_CAUTION = 0.7


@dataclass(frozen=True)
class TwoSided:
    """The estimate of equation 1, averaged over q directions delta_k.

    ::

        ghat = 1 / q sum_k (L(phi + c delta_k) - L(phi - c delta_k)) / (2 c) delta_k^-1

    ``draws`` give delta_k and delta_k^-1 (psi), `ZOGradient` their sum. A pair is lost with either probe, and with an
    infinite loss, whose difference measures nothing.
    """

    q: int
    noise = 0.5  # the variance of (e+ - e-) / 2

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return 2 * self.q

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the pairs one after another, the + probe first."""
        phi, stop = center, 2 * (k + len(c_delta))
        np.add(phi, c_delta, X[2 * k : stop : 2])  # phi + c delta_k
        np.subtract(phi, c_delta, X[2 * k + 1 : stop : 2])  # phi - c delta_k

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each pair over the number of surviving pairs."""
        L_plus, L_minus = losses[0::2], losses[1::2]
        differences = [plus - minus for plus, minus in zip(L_plus, L_minus, strict=True)]
        return mean_slopes(differences, 2 * c)  # (L(phi + c delta_k) - L(phi - c delta_k)) / (2 c) / q

    def delta(self, X: Array, c: float) -> Array:
        """Return (x+ - x-) / (2 c), the directions as rounding left them."""
        delta = X[0::2] - X[1::2]
        delta *= 0.5 / c
        return delta

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / (2 c) for each + probe, and its negative for the - probe."""
        return [weight for slope in slopes for weight in (0.5 / c * slope, -0.5 / c * slope)]

    def square(self, slopes: list[float]) -> float:
        """Return the mean square: the pairs are free of curvature."""
        return mean_square(slopes)


@dataclass(frozen=True, kw_only=True)
class SPSA(GradientMethod):
    """Simultaneous perturbation stochastic approximation (Spall 1992; equation 1 of BAPS).

    ::

        g_i = (L(phi + c delta) - L(phi - c delta)) / (2 c) / delta_i,   phi <- phi - lr g

    Two evaluations a pair, whatever the dimension. The best learning rate scales with the loss.

    Parameters
    ----------
    lr : float, schedule or "auto", default 0.01
        Learning rate: a constant, or a callable of the step t = 0, 1, ... such as `PowerLaw`. "auto": steps tied to
        the length of x0 and to the budget, with `SlopeRMS` as the scaling.
    c : float, schedule or "auto", default 0.01
        Perturbation radius, in the units of the parameters. "auto": a `MeasuredRadius` tied to the length of x0.
    pairs : int, default 1
        Estimates that are averaged in a step.
    draws : Draws, default SegmentedUniform()
        Distribution of delta: uniform on [-1, -0.5] U [0.5, 1] in the paper; `Rademacher` has less variance.
    scaling : Scaling, default Unscaled()
        What the estimate is divided by: nothing in the paper; `SlopeRMS` makes steps independent of the loss's scale.
    scale : float or None, default None
        Size of a typical parameter, for "auto". None: the root mean square of x0, or 1 where x0 = 0.
    bounds : None or bounds in any form, default None
        No candidate leaves them; see `GradientMethod`. x0 must lie inside.

    Raises
    ------
    ValueError, TypeError
        If ``lr`` or ``c`` is a number that is not positive, or ``pairs`` is not a positive integer.
    """

    lr: Rate = 0.01
    c: Rate = 0.01
    pairs: int = 1
    draws: Draws = SegmentedUniform()
    scaling: Scaling = Unscaled()
    scale: float | None = None
    bounds: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("pairs", self.pairs, 1)
        check_scale(self.scale, self.lr, self.c)
        self.compose()  # checks the rest

    def plan(self, x0: Array, budget: int | None) -> SPSA:
        """See `Method.plan`."""
        return cast("SPSA", filled_in(self, x0, budget, unit=self._settling(), scaling=self._normalised()))

    def _settling(self) -> float:
        """Return the step's length over that of all the steps that an estimate goes on to cause."""
        return 1.0

    def _normalised(self) -> Scaling:
        """Return a scaling under which steps have a known length."""
        return SlopeRMS() if self.scaling == Unscaled() else self.scaling

    def compose(self) -> ZOGradient:
        """Return equation 1: delta ~ draws, ghat by two-sided differences, phi <- phi - lr ghat."""
        estimator = TwoSided(self.pairs)
        follows = gains(gain("lr", self.lr), self.c, estimator, self.scaling)
        return ZOGradient(self.draws, estimator, follows, Plain(), self.scaling)


@dataclass(frozen=True)
class GradientCorrection:
    """Equation 2 of BAPS: m <- beta m - lr ghat(phi + beta m), phi <- phi + m."""

    def init(self, x: Array) -> Array:
        """Return m = 0."""
        return np.zeros_like(x)

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return the look-ahead point."""
        phi, beta = x, gain.momentum
        return phi + beta * m

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return the new phi and m."""
        phi, beta = x, gain.momentum
        ghat *= gain.lr
        m = beta * m
        m -= ghat  # m <- beta m - lr ghat(phi + beta m)
        return phi + m, m  # phi <- phi + m


@dataclass(frozen=True, kw_only=True)
class SPSAGC(SPSA):
    """SPSA with gradient correction, a Nesterov look-ahead (BlackVIP; equation 2 of BAPS).

    ::

        m <- beta m - lr ghat(phi + beta m),   phi <- phi + m

    With momentum 0.9 the effective learning rate is ten times that of `SPSA`.

    Parameters
    ----------
    lr, c, pairs, draws, scaling, scale, bounds
        As in `SPSA`; "auto" allows for the momentum.
    momentum : float or schedule, default 0.9
        beta, in [0, 1).

    Raises
    ------
    ValueError, TypeError
        As in `SPSA`, and if ``momentum`` is a number outside [0, 1).
    """

    momentum: float | Schedule = 0.9

    def _settling(self) -> float:
        return _CAUTION * (1.0 - momentum_schedule(self.momentum)(0))

    def compose(self) -> ZOGradient:
        """Return equation 2: ghat of equation 1 at the look-ahead point."""
        estimator = TwoSided(self.pairs)
        follows = gains(gain("lr", self.lr), self.c, estimator, self.scaling, momentum_schedule(self.momentum))
        return ZOGradient(self.draws, estimator, follows, GradientCorrection(), self.scaling)

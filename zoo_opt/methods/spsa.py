"""SPSA and SPSA-GC: simultaneous perturbation stochastic approximation, plain and with gradient correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_opt.errors import integer
from zoo_opt.gradient.draws import Draws, SegmentedUniform
from zoo_opt.gradient.estimators import TwoSided
from zoo_opt.gradient.gains import Scheduled, momentum_schedule, schedule
from zoo_opt.gradient.updates import GradientCorrection
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Schedule


@dataclass(frozen=True, kw_only=True)
class SPSA(GradientMethod):
    """Simultaneous perturbation stochastic approximation (Spall 1992; equation 1 of BAPS).

    ::

        g_i = (L(phi + c delta) - L(phi - c delta)) / (2 c) / delta_i,   phi <- phi - lr g

    Two evaluations a pair, whatever the dimension. The best learning rate scales with the loss.

    Parameters
    ----------
    lr : float or schedule, default 0.01
        Learning rate: a constant, or a callable of the step t = 0, 1, ... such as `PowerLaw`.
    c : float or schedule, default 0.01
        Perturbation radius, in the units of the parameters.
    pairs : int, default 1
        Estimates that are averaged in a step.
    draws : Draws, default SegmentedUniform()
        Distribution of delta: uniform on [-1, -0.5] U [0.5, 1] in the paper; `Rademacher` has less variance.

    Raises
    ------
    ValueError, TypeError
        If ``lr`` or ``c`` is a number that is not positive, or ``pairs`` is not a positive integer.
    """

    lr: float | Schedule = 0.01
    c: float | Schedule = 0.01
    pairs: int = 1
    draws: Draws = SegmentedUniform()

    def __post_init__(self) -> None:
        integer("pairs", self.pairs, 1)
        self.compose()  # checks the rest

    def compose(self) -> ZOGradient:
        """Return equation 1: two-sided differences, plain update."""
        gains = Scheduled(schedule("lr", self.lr), schedule("c", self.c))
        return ZOGradient(self.draws, TwoSided(self.pairs), gains)


@dataclass(frozen=True, kw_only=True)
class SPSAGC(SPSA):
    """SPSA with gradient correction, a Nesterov look-ahead (BlackVIP; equation 2 of BAPS).

    ::

        m <- beta m - lr ghat(phi + beta m),   phi <- phi + m

    With momentum 0.9 the effective learning rate is ten times that of `SPSA`.

    Parameters
    ----------
    lr, c, pairs, draws
        As in `SPSA`.
    momentum : float or schedule, default 0.9
        beta, in [0, 1).

    Raises
    ------
    ValueError, TypeError
        As in `SPSA`, and if ``momentum`` is a number outside [0, 1).
    """

    momentum: float | Schedule = 0.9

    def compose(self) -> ZOGradient:
        """Return equation 2: two-sided differences at the look-ahead point."""
        gains = Scheduled(schedule("lr", self.lr), schedule("c", self.c), momentum_schedule(self.momentum))
        return ZOGradient(self.draws, TwoSided(self.pairs), gains, GradientCorrection())

"""FZOO: normalised one-sided steps from a shared base point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_opt.errors import integer
from zoo_opt.gradient.draws import Draws, Rademacher
from zoo_opt.gradient.estimators import OneSided
from zoo_opt.gradient.gains import Scheduled, schedule
from zoo_opt.gradient.scaling import LossSpread
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Schedule


@dataclass(frozen=True, kw_only=True)
class FZOO(GradientMethod):
    """Fast zeroth-order optimizer: a batch of one-sided probes and a step over their spread (arXiv 2506.09034).

    ::

        g = 1 / (c N) sum_i (l_i - l_0) u_i,   x <- x - lr g / sigma,   u_i in {-1, 1}^d

    sigma is the standard deviation of the N losses l_i, so that the step does not depend on the scale of the loss: its
    length is about (lr / c) sqrt(d / N). N + 1 evaluations a step, all of which can run at once.

    Parameters
    ----------
    lr : float or schedule, default 1e-5
        Learning rate eta. A step moves a coordinate by about lr / c / sqrt(N) and never by more than 100 lr / c: read
        lr / c in parameter units.
    c : float or schedule, default 0.001
        Perturbation radius epsilon.
    directions : int, default 8
        N, at least 3.
    draws : Draws, default Rademacher()
        Distribution of u.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """

    lr: float | Schedule = 1e-5
    c: float | Schedule = 0.001
    directions: int = 8
    draws: Draws = Rademacher()

    def __post_init__(self) -> None:
        integer("directions", self.directions, 3)
        self.compose()  # checks the rest

    def compose(self) -> ZOGradient:
        """Return one-sided differences over the spread of the losses."""
        gains = Scheduled(schedule("lr", self.lr), schedule("c", self.c))
        return ZOGradient(self.draws, OneSided(self.directions, at_least=3), gains, scaling=LossSpread())

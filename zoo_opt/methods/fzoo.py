"""FZOO: normalised one-sided steps from a shared base point."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.gradient.auto import check_scale, filled_in, gain, gains, is_auto
from zoo_opt.gradient.draws import Draws, Rademacher
from zoo_opt.gradient.scaling import Memory
from zoo_opt.gradient.trial import TrialSteps
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.bar import OneSided
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Rate


_LARGEST_STEP = 100.0  # sigma is at least the RMS of the differences over this; ours, against a step without bound
_FEWEST = 20  # steps of a budget for which a trial, one of them or more, is worth its cost; chosen


@dataclass(frozen=True)
class LossSpread:
    """Divide by the standard deviation of the probes' losses (FZOO, arXiv 2506.09034).

    Probes that tie, all unlike the base, would give a step without bound, at the minimum of a symmetric loss for one:
    sigma is at least a hundredth of the RMS of the differences, so that no coordinate moves by more than 100 lr / c.
    That bound is ours. A step whose losses are all equal has an estimate of zero, and the factor is 1.

    Parameters
    ----------
    base : bool, default True
        Whether the first loss is that of a base that the probes share.
    """

    base: bool = True

    def factor(self, losses: list[float], slopes: list[float], memory: Memory) -> tuple[float, Memory]:
        """Return 1 / sigma, sigma over the N one-sided probes, N - 1 in the denominator."""
        probes = [loss for loss in losses[self.base :] if math.isfinite(loss)]
        n = len(probes)
        mean = sum(loss / n for loss in probes)
        sigma = math.hypot(*(loss - mean for loss in probes)) / math.sqrt(n - 1)
        if self.base:
            floor = math.hypot(*(loss - losses[0] for loss in probes)) / math.sqrt(n) / _LARGEST_STEP
            sigma = max(sigma, floor)
        return (1.0 / sigma if sigma > 0.0 else 1.0), memory


@dataclass(frozen=True)
class Centered:
    """q probes x + c delta_k and no base: coefficients (f_k - mean f) / (c (q - 1)), for q evaluations.

    Curvature that all probes share drops out, and so does a base's noise, which would enter every slope. Only for draws
    that are their own dual: the points alone do not tell where their centre is. Lost with fewer than ``at_least``
    surviving probes.
    """

    q: int
    at_least: int = 2
    noise = 1.0

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return self.q

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the probes."""
        np.add(center, c_delta, out=X[k : k + len(c_delta)])

    def delta(self, X: Array, c: float) -> Array:
        """Raise: the centre is not known."""
        raise NotImplementedError("Centered needs draws that are their own dual")

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / c for each probe; they sum to zero, so that the centre drops out."""
        return [slope / c for slope in slopes]

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each probe over the number of surviving probes less one."""
        alive = [loss for loss in losses if math.isfinite(loss)]
        n = len(alive)
        if n < self.at_least:
            return None
        if min(alive) == max(alive):  # their mean may differ from them by rounding
            return [0.0] * len(losses)
        mean = sum(loss / n for loss in alive)
        scale = 1.0 / (c * (n - 1))
        return [(loss - mean) * scale if math.isfinite(loss) else 0.0 for loss in losses]

    def square(self, slopes: list[float]) -> float:
        """Return the sample variance of the slopes."""
        alive = sum(slope != 0.0 for slope in slopes)
        return (alive - 1) * sum(slope * slope for slope in slopes) if alive else 0.0


@dataclass(frozen=True, kw_only=True)
class FZOO(GradientMethod):
    """Fast zeroth-order optimizer: a batch of one-sided probes and a step over their spread (arXiv 2506.09034).

    ::

        g = 1 / (c N) sum_i (l_i - l_0) u_i,   x <- x - lr g / sigma,   u_i in {-1, 1}^d

    sigma is the standard deviation of the N losses l_i, so that the step does not depend on the scale of the loss: its
    length is about (lr / c) sqrt(d / N). N + 1 evaluations a step, all of which can run at once.

    Parameters
    ----------
    lr : float, schedule or "auto", default 1e-5
        Learning rate eta. A step moves a coordinate by about lr / c / sqrt(N) and never by more than 100 lr / c: read
        lr / c in parameter units. "auto": steps tied to the length of x0 and to the budget.
    c : float, schedule or "auto", default 0.001
        Perturbation radius epsilon. "auto": a `MeasuredRadius` tied to the length of x0, with which lr grows.
    directions : int, default 8
        N, at least 3.
    draws : Draws, default Rademacher()
        Distribution of u.
    base : bool, default True
        Whether l_0 is evaluated, as in the paper. False takes the mean of the l_i for it: N evaluations a step, and
        the estimate times N / (N - 1), as one direction is lost. Half the variance under noise, and no bias from
        curvature that a larger c brings in; for draws that are their own dual (not `SegmentedUniform`).
    scale : float or None, default None
        Size of a typical parameter, for "auto". None: the root mean square of x0, or 1 where x0 = 0.
    trial : bool, default False
        Whether the first evaluations are of probes that are as long as steps, and lr is cut to what they allow
        (docs/gains.md, "A trial"). For base=False; within bounds there is none. "auto" makes none in a budget of less
        than 20 steps.
    bounds : None or bounds in any form, default None
        No candidate leaves them; see `GradientMethod`. x0 must lie inside.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """

    lr: Rate = 1e-5
    c: Rate = 0.001
    directions: int = 8
    draws: Draws = Rademacher()
    base: bool = True
    scale: float | None = None
    trial: bool = False
    bounds: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("directions", self.directions, 3)
        check_scale(self.scale, self.lr, self.c)
        kit = self.compose()  # checks the rest
        if not self.base and kit.draws.self_dual(1) is None:
            raise ValueError(f"base must be True for draws that are not their own dual, got {self.base!r}")
        if self.trial and self.base:
            raise ValueError(f"trial must be False with a base, got {self.trial!r}")

    @classmethod
    def untuned(cls, *, directions: int = 12, scale: float | None = None, trial: bool = False) -> FZOO:
        """Return the settings that need no tuning: what ``"auto"`` is for many parameters.

        Parameters
        ----------
        directions : int, default 12
            N.
        scale : float or None, default None
            As in the class.
        trial : bool, default False
            As in the class: for models that were trained before, whose losses may not take steps as long.
        """
        return cls(lr="auto", c="auto", directions=directions, base=False, scale=scale, trial=trial)

    def plan(self, x0: Array, budget: int | None) -> FZOO:
        """See `Method.plan`."""
        planned = cast("FZOO", filled_in(self, x0, budget, per_c=True))
        few = is_auto(self.lr) and self.trial and budget is not None and budget < _FEWEST * planned.directions
        return replace(planned, trial=False) if few else planned

    def compose(self) -> ZOGradient:
        """Return one-sided differences over the spread of the losses."""
        estimator = OneSided(self.directions, at_least=3) if self.base else Centered(self.directions, at_least=3)
        scaling = LossSpread(self.base)
        follows = gains(gain("lr", self.lr), self.c, estimator, scaling, per_c=True)
        if self.trial and self.bounds is None:
            follows = TrialSteps(follows, self.directions)
        return ZOGradient(self.draws, estimator, follows, scaling=scaling)

"""SPSA-GEASS: SPSA-GC that escapes flat ground by a spike of the step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_opt.core.errors import fraction, integer, non_negative, positive
from zoo_opt.gradient.draws import Draws, SegmentedUniform
from zoo_opt.gradient.estimators import TwoSided
from zoo_opt.gradient.gains import Geass, PowerLaw, Scheduled, StepDecay, momentum_schedule, schedule
from zoo_opt.gradient.updates import GradientCorrection, Nesterov, Update
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.base import GradientMethod

if TYPE_CHECKING:
    from zoo_opt.typing import Schedule


@dataclass(frozen=True, kw_only=True)
class SPSAGEASS(GradientMethod):
    """SPSA-GC with gradient escape by adaptive step size (figure 3 of BAPS, MICCAI 2024).

    ``strikes`` steps in a row whose estimate has a 2-norm below ``threshold`` trigger an escape: for the next
    ``cooldown`` steps lr is multiplied by ``lr_boost`` and c by ``c_boost``, then all returns to the start.

    The paper gives every setting but the threshold, and its released trainer departs from the paper, so that there
    are two presets, `paper` and `released`. A threshold of 0 never fires: the method is then `SPSAGC`.

    Parameters
    ----------
    lr, c : float or schedule, default 0.01
        Learning rate and perturbation radius, as in `SPSA`.
    pairs : int, default 1
        Estimates that are averaged in a step.
    draws : Draws, default SegmentedUniform()
        Distribution of delta.
    momentum : float or schedule, default 0.9
        beta of equation 2, in [0, 1).
    threshold : float, default 0
        Norm of the estimate below which a step is a strike, >= 0.
    strikes : int, default 3
        k1, steps in a row that trigger an escape.
    cooldown : int, default 2
        Steps that an escape lasts.
    lr_boost, c_boost : float, default 100
        eta1 and eta2.
    count_in_cooldown : bool, default False
        Whether strikes are counted during an escape too.
    cooldown_momentum : float or None, default None
        Momentum during an escape; None keeps ``momentum``.
    zero_gradient_boost : float, default 1
        Factor on c, for good, after an estimate of exactly zero.
    rule : Update, default GradientCorrection()
        Order of the momentum update; `Nesterov` is that of the released trainer.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside the range given above; the message names it.
    """

    lr: float | Schedule = 0.01
    c: float | Schedule = 0.01
    pairs: int = 1
    draws: Draws = SegmentedUniform()
    momentum: float | Schedule = 0.9
    threshold: float = 0.0
    strikes: int = 3
    cooldown: int = 2
    lr_boost: float = 100.0
    c_boost: float = 100.0
    count_in_cooldown: bool = False
    cooldown_momentum: float | None = None
    zero_gradient_boost: float = 1.0
    rule: Update = GradientCorrection()

    def __post_init__(self) -> None:
        integer("pairs", self.pairs, 1)
        non_negative("threshold", self.threshold)
        integer("strikes", self.strikes, 1)
        integer("cooldown", self.cooldown, 1)
        positive("lr_boost", self.lr_boost)
        positive("c_boost", self.c_boost)
        positive("zero_gradient_boost", self.zero_gradient_boost)
        if self.cooldown_momentum is not None:
            fraction("cooldown_momentum", self.cooldown_momentum)
        self.compose()  # checks the rest

    def compose(self) -> ZOGradient:
        """Return equation 2 under the gains of figure 3."""
        base = Scheduled(schedule("lr", self.lr), schedule("c", self.c), momentum_schedule(self.momentum))
        gains = Geass(
            base,
            threshold=self.threshold,
            k1=self.strikes,
            k2=self.cooldown,
            eta1=self.lr_boost,
            eta2=self.c_boost,
            count_in_cooldown=self.count_in_cooldown,
            cooldown_momentum=self.cooldown_momentum,
            zero_gradient_boost=self.zero_gradient_boost,
        )
        return ZOGradient(self.draws, TwoSided(self.pairs), gains, self.rule)

    @classmethod
    def paper(cls, *, threshold: float, lr: float | Schedule = 0.01) -> SPSAGEASS:
        """Return the settings of the paper: c = 0.01, beta = 0.9, k1 = 3, cooldown = 2, eta1 = eta2 = 100.

        Parameters
        ----------
        threshold : float
            Not in the paper. The released trainer takes 0.001 d, d the number of parameters.
        lr : float or schedule, default 0.01
            0.01 in the paper, 0.005 for EndoVis.
        """
        return cls(lr=lr, c=0.01, momentum=0.9, threshold=threshold, strikes=3, cooldown=2, lr_boost=100, c_boost=100)

    @classmethod
    def released(
        cls,
        *,
        dim: int,
        lr: float = 0.01,
        c: float = 0.01,
        momentum: float = 0.4,
        pairs: int = 5,
        cooldown: int = 2,
        lr_boost: float = 100.0,
        c_boost: float = 100.0,
    ) -> SPSAGEASS:
        """Return the rule of the released trainer.

        Its own: the update order m <- beta m + g, w <- w - lr (g + beta m); threshold 0.001 d; 10 strikes, counted
        during the escape too; momentum 0 during the escape; c / t^0.1; lr 0.33^(t // 300); c times 10 for good after
        a zero estimate; 5 estimates averaged; momentum 0.4 (its configuration file).

        From the paper, as the trainer has no defaults for them: lr, c, cooldown, lr_boost and c_boost.

        Parameters
        ----------
        dim : int
            d, the number of parameters.
        lr, c : float, default 0.01
            Values at the first step.
        momentum, pairs, cooldown, lr_boost, c_boost
            As in the class.
        """
        return cls(
            lr=StepDecay(lr, rate=0.33, every=300),
            c=PowerLaw(c, alpha=0.1),
            pairs=pairs,
            momentum=momentum,
            threshold=0.001 * integer("dim", dim, 1),
            strikes=10,
            cooldown=cooldown,
            lr_boost=lr_boost,
            c_boost=c_boost,
            count_in_cooldown=True,
            cooldown_momentum=0.0,
            zero_gradient_boost=10.0,
            rule=Nesterov(),
        )

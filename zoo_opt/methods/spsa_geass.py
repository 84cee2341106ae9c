"""SPSA-GEASS: SPSA-GC that escapes flat ground by a spike of the step size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from zoo_opt.core.errors import fraction, integer, non_negative, positive
from zoo_opt.gradient.gains import Gain, Gains, Observation, PowerLaw, StepDecay, checked
from zoo_opt.gradient.updates import UpdateRule
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.spsa import SPSAGC, GradientCorrection

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Schedule


_LARGEST_FACTOR = 1e6  # ours: a loss that stays flat must not drive c to infinity; the released trainer has no bound


class GainState(NamedTuple):
    """What `Geass` remembers between steps: strike and cooldown of figure 3, a factor on c, the state of the base."""

    strikes: int = 0
    cooldown: int = 0
    c_factor: float = 1.0
    base: Any = None


@dataclass(frozen=True)
class Geass(Gains):
    """Gradient escape by an adaptive spike of the step size (figure 3 of BAPS) around any other gains.

    ``strikes`` counts steps in a row with |ghat| < ``threshold``; at ``k1`` of them lr and c are multiplied by
    ``eta1`` and ``eta2`` for the next ``k2`` steps, and all returns to the start.
    """

    base: Gains
    threshold: float
    k1: int
    k2: int
    eta1: float
    eta2: float
    count_in_cooldown: bool = False
    cooldown_momentum: float | None = None
    zero_gradient_boost: float = 1.0
    observes = True

    @property
    def start(self) -> GainState:
        """No strikes, and the start of the base."""
        return GainState(base=self.base.start)

    def at(self, state: GainState, t: int) -> Gain:
        """Return the gains of the base, boosted while cooling down."""
        gain = self.base.at(state.base, t)
        lr, c, beta = gain.lr, gain.c * state.c_factor, gain.momentum
        if state.cooldown == 0:
            return Gain(lr, c, beta)
        boosted_beta = beta if self.cooldown_momentum is None else self.cooldown_momentum
        return checked(self.eta1 * lr, self.eta2 * c, boosted_beta, t)  # figure 3: lr <- eta1 lr, c <- eta2 c

    def repeats(self, state: GainState, t: int) -> bool:
        """See `Gains.repeats`."""
        return self.base.repeats(state.base, t)

    def told_sem(self, state: GainState, sem: list[float]) -> GainState:
        """See `Gains.told_sem`."""
        return state._replace(base=self.base.told_sem(state.base, sem))

    def observe(self, state: GainState, seen: Observation) -> GainState:
        """Count the strike; the boost that it may cause starts at the next step."""
        if self.base.observes:
            state = state._replace(base=self.base.observe(state.base, seen))
        # without an estimate no strike is counted, and an escape is not shortened
        return state if seen.slopes is None else self.after(state, seen.norm)

    def after(self, state: GainState, norm: float) -> GainState:
        """Return the state after an estimate of this norm (figure 3, in its order)."""
        strike, cooldown, c_factor, base = state
        if norm == 0.0:  # the released trainer's: c <- 10 c for good
            c_factor = min(c_factor * self.zero_gradient_boost, _LARGEST_FACTOR)
        if self.count_in_cooldown or not cooldown:
            strike = strike + 1 if norm < self.threshold else 0  # strikes in a row with |ghat| < threshold
        cooldown = max(0, cooldown - 1)
        if strike >= self.k1:
            strike, cooldown = 0, self.k2  # escape: for k2 steps, then all returns to the start
        return GainState(strike, cooldown, c_factor, base)


@dataclass(frozen=True)
class Nesterov:
    """m <- beta m + ghat(x); x <- x - lr (ghat + beta m), the order of BlackVIP's and BAPS's released code.

    For a constant lr and beta it is `GradientCorrection` seen from the look-ahead point: x here is x + beta m there.
    """

    def init(self, x: Array) -> Array:
        """Return m = 0, so that m = ghat after the first step."""
        return np.zeros_like(x)

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return x."""
        return x

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return x - lr (ghat + beta m) and m."""
        beta = gain.momentum
        m = beta * m + ghat
        ghat += beta * m
        ghat *= -gain.lr
        ghat += x
        return ghat, m


@dataclass(frozen=True, kw_only=True)
class SPSAGEASS(SPSAGC):
    """SPSA-GC with gradient escape by adaptive step size (figure 3 of BAPS, MICCAI 2024).

    ``strikes`` steps in a row whose estimate has a 2-norm below ``threshold`` trigger an escape: for the next
    ``cooldown`` steps lr is multiplied by ``lr_boost`` and c by ``c_boost``, then all returns to the start.

    The paper gives every setting but the threshold, and its released trainer departs from the paper, so that there
    are two presets, `paper` and `released`. A threshold of 0 never fires: the method is then `SPSAGC`.

    Parameters
    ----------
    lr, c : float, schedule or "auto", default 0.01
        Learning rate and perturbation radius, as in `SPSAGC`.
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
    scaling, scale, bounds
        As in `SPSA`. The threshold is compared with the estimate before it is scaled, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside the range given above; the message names it.
    """

    threshold: float = 0.0
    strikes: int = 3
    cooldown: int = 2
    lr_boost: float = 100.0
    c_boost: float = 100.0
    count_in_cooldown: bool = False
    cooldown_momentum: float | None = None
    zero_gradient_boost: float = 1.0
    rule: UpdateRule = GradientCorrection()
    presets: ClassVar[tuple[str, ...]] = ("paper", "released")  # each called with dim= and hyper-parameters

    def __post_init__(self) -> None:
        non_negative("threshold", self.threshold)
        integer("strikes", self.strikes, 1)
        integer("cooldown", self.cooldown, 1)
        positive("lr_boost", self.lr_boost)
        positive("c_boost", self.c_boost)
        positive("zero_gradient_boost", self.zero_gradient_boost)
        if self.cooldown_momentum is not None:
            fraction("cooldown_momentum", self.cooldown_momentum)
        super().__post_init__()

    def compose(self) -> ZOGradient:
        """Return equation 2 under the gains of figure 3."""
        gc = super().compose()
        geass = Geass(
            gc.gains,
            threshold=self.threshold,
            k1=self.strikes,
            k2=self.cooldown,
            eta1=self.lr_boost,
            eta2=self.c_boost,
            count_in_cooldown=self.count_in_cooldown,
            cooldown_momentum=self.cooldown_momentum,
            zero_gradient_boost=self.zero_gradient_boost,
        )
        return replace(gc, gains=geass, rule=self.rule)

    @classmethod
    def paper(cls, *, threshold: float | None = None, lr: float | Schedule = 0.01, dim: int | None = None) -> SPSAGEASS:
        """Return the settings of the paper: c = 0.01, beta = 0.9, k1 = 3, cooldown = 2, eta1 = eta2 = 100.

        Parameters
        ----------
        threshold : float, optional
            Not in the paper. By default that of the released trainer, 0.001 d, for which ``dim`` is needed.
        lr : float or schedule, default 0.01
            0.01 in the paper, 0.005 for EndoVis.
        dim : int, optional
            d, the number of parameters.
        """
        if threshold is None:
            if dim is None:
                raise TypeError("threshold must be given, or dim for that of the released trainer, got neither")
            threshold = 0.001 * integer("dim", dim, 1)
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

"""calibrate: a few evaluations around the start, and what they say of noise, slope and gains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from zoo_opt.core.errors import integer, vector
from zoo_opt.engines import Call, one_by_one, whole_steps
from zoo_opt.gradient.auto import is_auto
from zoo_opt.gradient.gains import Constant
from zoo_opt.gradient.trial import TrialState
from zoo_opt.methods import GradientMethod, make
from zoo_opt.methods.spsa_geass import GainState
from zoo_opt.optimizer import Optimizer

if TYPE_CHECKING:
    from zoo_opt.methods import Method
    from zoo_opt.typing import RNG


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` has measured.

    Attributes
    ----------
    method : Method
        The method with gains in place of ``"auto"``, ready to use.
    noise : float
        Standard deviation of one loss: 0 with common random numbers. NaN if it could not be measured.
    slope : float
        Root mean square of the slopes along the method's directions, in losses per c, less the noise in it. NaN if it
        could not be measured.
    c, lr : float
        Gains of the first step.
    nfev, nfail : int
        Evaluations spent, and how many of them failed.
    """

    method: Method
    noise: float
    slope: float
    c: float
    lr: float
    nfev: int
    nfail: int


def calibrate(
    fun: Callable[..., Any],
    x0: Any,
    method: GradientMethod | str = "fzoo",
    *,
    budget: int | None = None,
    steps: int = 6,
    rng: RNG = None,
    vectorized: bool = False,
    pass_step: bool = False,
    sem: bool = False,
) -> Calibration:
    """Measure noise and slope around x0, and return the method with gains that fit them.

    All points are around x0: nothing moves. The evaluations are counted in ``nfev`` of what is returned and are no
    part of ``budget``. A run with ``c="auto"`` measures the same in its first steps, where it costs next to nothing,
    and goes on measuring: calibrate where the gains are wanted as numbers, or fixed.

    Parameters
    ----------
    fun : callable
        As in `minimize`; a failed evaluation is passed over.
    x0 : array_like of shape (d,)
        Where to measure.
    method : Method or str, default "fzoo"
        A registered name, both of whose gains are calibrated, or a method with ``lr="auto"``, ``c="auto"`` or both:
        SPSA, SPSAGC, SPSAGEASS, BAR or FZOO.
    budget : int or None, optional
        Evaluations of the run to come, for the decay of lr.
    steps : int, default 6
        Steps of the method to spend, at least 5, of which the first 4 evaluate a point twice.
    rng, vectorized, pass_step, sem
        As in `minimize`. With ``sem`` the told standard errors are taken for the noise.

    Returns
    -------
    Calibration
        Frozen.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this form, or the method has no gain left to ``"auto"``.

    Examples
    --------
    >>> import numpy as np
    >>> import zoo_opt as zo
    >>> found = zo.calibrate(lambda x: float(x @ x), np.ones(100), "fzoo", budget=2000, rng=0)
    >>> found.noise, found.nfev
    (0.0, 54)
    >>> res = zo.minimize(lambda x: float(x @ x), np.ones(100), method=found.method, budget=2000, rng=0)
    >>> bool(res.fun < 10)
    True
    """
    if not callable(fun):
        raise TypeError(f"fun must be callable, got {fun!r}")
    named = isinstance(method, str) and isinstance(make(method), GradientMethod)
    given: Any = make(str(method), lr="auto", c="auto") if named else method
    open_c = is_auto(getattr(given, "c", None))
    if not isinstance(given, GradientMethod) or not (open_c or is_auto(getattr(given, "lr", None))):
        raise ValueError(f"method must be a gradient method with lr='auto' or c='auto', got {method!r}")
    if budget is not None:
        integer("budget", budget, 1)
    x = vector("x0", x0)
    resting: GradientMethod = replace(cast(Any, given), lr=Constant(0.0), c="auto")
    evaluations = integer("steps", steps, 5) * resting.compose().estimator.n
    opt = Optimizer(resting, x, rng=rng, budget=evaluations)
    call = Call(fun, pass_step, vectorized, sem)
    for arrived in (whole_steps if vectorized else one_by_one)(opt, call):
        for outcome in arrived:
            if outcome.reason:
                opt.tell_failed(outcome.id, reason=outcome.reason)
            else:
                opt.tell(outcome.id, outcome.loss, sem=None if math.isnan(outcome.sem) else outcome.sem)
    gains = opt.state.gains
    known = (gains.base if isinstance(gains, GainState | TrialState) else gains).noise
    c = cast(GradientMethod, opt.method).kit.gain(opt.state, 0).c
    ready = cast(GradientMethod, (replace(cast(Any, given), c=c) if open_c else given).plan(x, budget))
    first = ready.kit.gain(ready.init(x, opt.state.key), 0)
    return Calibration(
        method=ready,
        noise=math.sqrt(known.variance) if known.repeats else math.nan,
        slope=math.sqrt(max(0.0, known.slope2)) if known.steps else math.nan,
        c=first.c,
        lr=first.lr,
        nfev=opt.nfev,
        nfail=opt.nfail,
    )

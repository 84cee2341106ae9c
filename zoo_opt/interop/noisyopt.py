"""noisyopt's SPSA behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo_opt.interop.inverted import Inverted, Objective
from zoo_opt.interop.peer import FloatArray
from zoo_opt.support.loading import require


@dataclass(kw_only=True, eq=False, repr=False)
class NoisyoptSPSA(Inverted):
    """``noisyopt.minimizeSPSA``: gains a / (k + 1 + A)^alpha and c / (k + 1)^gamma, A a hundredth of the steps.

    The two probes of an iteration are two batches of one step, which is how its users share random numbers
    (``paired=True``). It draws from numpy's global generator: a private one during its turns.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    a, c, alpha, gamma : float
        Gains, with noisyopt's defaults.
    bounds : (float, float) or None
        Box that is kept to, the same for all coordinates.
    paired : bool
        Whether the two probes of an iteration belong to one step, and so see the same minibatch.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`. The iterations are those that the budget allows, 10,000 without one.
    """

    a: float = 1.0
    c: float = 1.0
    alpha: float = 0.602
    gamma: float = 0.101
    bounds: tuple[float, float] | None = None
    paired: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        spsa = require("noisyopt").minimizeSPSA
        start = self.x0.copy()
        settings = {name: getattr(self, name) for name in ("a", "alpha", "c", "gamma")}
        settings["niter"] = 10_000 if self.budget is None else max(1, self.budget // 2)
        settings["bounds"] = None if self.bounds is None else [tuple(self.bounds)] * start.size
        settings["paired"] = False  # its pairing passes seed=, which a step replaces
        current: list[FloatArray] = [start.copy()]  # the iterate
        self._current = current

        def minimise(evaluate: Objective) -> None:
            def loss(x: FloatArray) -> float:
                return float(evaluate(x)[0])

            def note(x: FloatArray) -> None:
                current[0] = x.copy()

            with np.errstate(all="ignore"):
                spsa(loss, start, callback=note, **settings)

        self._start(minimise)

    def _step(self) -> int:
        return self._steps // 2 if self.paired else self._steps

    def _mean(self) -> FloatArray:
        return self._current[0]

"""Optuna's samplers behind the ask/tell surface of zoo_opt, on a box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo_opt.interop.levels import Levels
from zoo_opt.interop.peer import FloatArray, Peer
from zoo_opt.support.loading import require


@dataclass(kw_only=True, eq=False, repr=False)
class OptunaSampler(Peer):
    """A study of Optuna with one of its samplers, a trial at a time.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Gives d; a study has no start.
    name : str
        ``"TPE"`` for ``optuna.samplers.TPESampler``, and so on.
    levels : sequence of int or None
        Number of levels of each coordinate, 0 (None: all) for the continuous ones. Integers are ``IntDistribution``.
    bounds : (float, float)
        Box of the search, the same for all coordinates; with levels the unit cube.
    options : dict
        Arguments of the sampler.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    name: str = "TPE"
    levels: Any = None
    bounds: tuple[float, float] = (0.0, 1.0)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.bounds
        if self.levels is not None and (low, high) != (0, 1):
            raise ValueError(f"bounds must be (0, 1) with levels, got {self.bounds!r}")
        optuna = require("optuna", "optuna", extra="optuna")
        self._levels = Levels.of(self.levels, self.x0.size)
        kind = getattr(optuna.samplers, f"{self.name}Sampler", None)
        if kind is None:
            raise ValueError(f"name must be that of a sampler of Optuna without 'Sampler', got {self.name!r}")
        loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=kind(seed=self.seed(), **self.options))
        optuna.logging.set_verbosity(loud)
        made = optuna.distributions
        self._space = {
            f"x{j}": made.IntDistribution(0, int(k) - 1) if k else made.FloatDistribution(low, high)
            for j, k in enumerate(self._levels.counts)
        }

    def _ask(self) -> FloatArray:
        self._trial = self._study.ask(self._space)
        return self._levels.snapped(np.array([[self._trial.params[name] for name in self._space]], dtype=np.float64))

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        self._study.tell(self._trial, float(losses[0]))

    def _mean(self) -> FloatArray:
        return np.array(self.x0 if self.best.x is None else self.best.x)

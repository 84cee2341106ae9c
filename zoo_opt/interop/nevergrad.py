"""nevergrad's optimisers behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.inverted import global_draws_from
from zoo_opt.interop.levels import Levels
from zoo_opt.interop.peer import FloatArray, Peer
from zoo_opt.support.loading import require


@dataclass(kw_only=True, eq=False, repr=False)
class Nevergrad(Peer):
    """Any nevergrad optimiser by its registered name.

    The parameters are one ``ng.p.Array(init=x0)`` with mutation scale `sigma0`, or, with ``levels``, an array in
    [0, 1] of the continuous coordinates of the unit cube and one with integer casting of the others.

    Parts of nevergrad draw from numpy's global generator. During a call it has a private state, and the caller's state
    is restored afterwards.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the search.
    name : str
        Name in ``ng.optimizers.registry``, such as "OnePlusOne", "TBPSA", "CMA".
    sigma0 : float
        Standard deviation of the parametrisation's mutation, in units of x.
    batch : int
        Candidates per ask, also given as ``num_workers``; those of one batch share a step. A value of 0 takes the
        population of the optimiser where it has one (CMA, TBPSA), and else 1.
    config : dict or None
        Settings of the optimiser's configurable family: ``{"popsize": 20}`` makes
        ``ng.families.ParametrizedCMA(popsize=20)``.
    levels : sequence of int or None
        Number of levels of each coordinate of the unit cube, 0 for the continuous ones; `sigma0` is not used then.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`. nevergrad itself is told the budget, as its users do.
    """

    name: str = "OnePlusOne"
    sigma0: float = 1.0
    batch: int = 0
    config: dict[str, Any] | None = None
    levels: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._global = np.random.MT19937(self.seed())
        with global_draws_from(self._global):  # its import draws, too
            ng = require("nevergrad")
        registry = ng.optimizers.registry
        name, config, family = self.name, self.config, f"Parametrized{self.name}"
        if name not in registry:
            raise ValueError(f"name must be an optimiser registered in nevergrad, got {name!r}")
        if config and not hasattr(ng.families, family):
            no_family = f"which has no nevergrad.families.{family}"
            raise ValueError(f"config must be empty for {name}, {no_family}; got {config!r}")
        if self.batch < 0:
            raise ValueError(f"batch must be 0 or positive, got {self.batch}")
        make = getattr(ng.families, family)(**config) if config else registry[name]
        with global_draws_from(self._global):
            space = self._space(ng)
            space.random_state = np.random.RandomState(self.seed())
            self._opt = make(parametrization=space, budget=self.budget, num_workers=max(1, self.batch))
        self._asked: list[Any] = []

    def _space(self, ng: Any) -> Any:
        """The parametrisation."""
        if self.levels is None:
            return ng.p.Array(init=self.x0.copy()).set_mutation(sigma=float(self.sigma0))
        self._levels = Levels.of(self.levels, self.x0.size)
        integers, rest = self._levels.integers, self._levels.continuous
        parts = []  # without a start of their own they begin in the middle, as nevergrad's scalars do
        if integers.size:
            most = self._levels.counts[integers] - 1
            parts.append(ng.p.Array(shape=most.shape, lower=0 * most, upper=most).set_integer_casting())
        if rest.size:
            parts.append(ng.p.Array(shape=rest.shape, lower=0.0, upper=1.0))
        return ng.p.Tuple(*parts)

    def _points(self, values: list[Any]) -> FloatArray:
        """The points (n, d) of nevergrad's ``values``."""
        if self.levels is None:
            return np.array(values, dtype=np.float64)
        order = np.argsort(np.concatenate([self._levels.integers, self._levels.continuous]))
        return self._levels.snapped(np.array([np.concatenate(value)[order] for value in values], dtype=np.float64))

    def _size(self) -> int:
        """Candidates of the next batch."""
        if self.batch:
            return self.batch
        if hasattr(self._opt, "_popsize"):  # CMA
            return int(self._opt._popsize)
        controller = getattr(self._opt, "popsize", None)  # TBPSA adapts its population
        return int(getattr(controller, "llambda", 1))

    def _ask(self) -> FloatArray:
        with global_draws_from(self._global):
            self._asked = [self._opt.ask() for _ in range(self._size())]
        return self._points([candidate.value for candidate in self._asked])

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        with global_draws_from(self._global):
            for candidate, loss in zip(self._asked, losses.tolist(), strict=True):
                self._opt.tell(candidate, loss)

    def _mean(self) -> FloatArray:
        with global_draws_from(self._global):
            recommended: FloatArray = self._points([self._opt.provide_recommendation().value])[0]
            return recommended

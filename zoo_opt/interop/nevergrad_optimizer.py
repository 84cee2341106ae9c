"""Ours as theirs: a zoo_opt method as an optimiser in nevergrad's registry."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_opt.methods import Method, make
from zoo_opt.optimizer import Optimizer
from zoo_opt.support.loading import require


def register(method: Method | str, name: str | None = None) -> Any:
    """Make a method of ours an optimiser of nevergrad, and enter it in ``nevergrad.optimizers.registry``.

    The method works in nevergrad's standardised space, which it starts at the origin of; a NaN is told as a failure.
    A name of ours says so: nevergrad has an optimiser "BAR" that is unrelated to ours.

    Parameters
    ----------
    method : Method or str
        What proposes the candidates, or its registered name. Step sizes are in units of the standardised space.
    name : str or None
        Name in the registry; None takes "zoo-" and the registered name, as in "zoo-cma-es".

    Returns
    -------
    type
        A subclass of ``nevergrad.optimization.base.Optimizer``. If more candidates are asked for before a tell than a
        step has, those beyond are random.

    Raises
    ------
    ValueError
        If the method has no registered name and none is given, or nevergrad has another optimiser of the name.

    Examples
    --------
    >>> from zoo_opt.interop.nevergrad_optimizer import register  # doctest: +SKIP
    >>> register("cma-es")(parametrization=5, budget=500).minimize(f)  # doctest: +SKIP
    """
    base = require("nevergrad.optimization.base", "nevergrad")
    require("nevergrad", "nevergrad")
    if name is None:
        if not isinstance(method, str):
            raise ValueError(f"name must be given for a method that is not named by a str, got {method!r}")
        name = f"zoo-{method}"
    chosen = make(method) if isinstance(method, str) else method

    class ZooOptimizer(base.Optimizer):  # type: ignore[misc,name-defined]
        """The interface of nevergrad around `Optimizer`."""

        is_zoo_opt = True

        def __init__(self, parametrization: Any, budget: int | None = None, num_workers: int = 1) -> None:
            super().__init__(parametrization, budget=budget, num_workers=num_workers)
            start = np.zeros(self.dimension)
            seed = int(self._rng.randint(2**31))
            self._zoo = Optimizer(chosen.plan(start, budget), start, rng=seed)
            self._zoo_ids: dict[str, int] = {}

        def _internal_ask_candidate(self) -> Any:
            batch = self._zoo.ask(1)
            if len(batch) == 0:
                return self.parametrization.sample()
            child = self.parametrization.spawn_child().set_standardized_data(batch[0].x)
            self._zoo_ids[child.uid] = batch[0].id
            return child

        def _internal_tell_candidate(self, candidate: Any, loss: float) -> None:
            identity = self._zoo_ids.pop(candidate.uid, None)
            if identity is not None:
                self._zoo.tell([identity], [loss])

        def _internal_tell_not_asked(self, candidate: Any, loss: float) -> None:
            """A point of the caller's own counts for the recommendation alone."""

    known = base.registry.get(name)
    if known is not None:
        if not getattr(known, "is_zoo_opt", False):
            raise ValueError(f"name must not be that of another optimiser of nevergrad, got {name!r}")
        base.registry.unregister(name)
    ZooOptimizer.__name__ = ZooOptimizer.__qualname__ = name
    base.registry.register_name(name, ZooOptimizer)
    return ZooOptimizer

"""pycma's CMA-ES (package ``cma``, N. Hansen) behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo_opt.interop.inverted import Inverted, Objective, global_draws_from
from zoo_opt.interop.levels import Levels
from zoo_opt.interop.peer import FloatArray, RestartedPeer, Restarts
from zoo_opt.interop.scipy_peers import local_search
from zoo_opt.support.loading import require

SAMPLERS = {"vd": "GaussVDSampler", "vkd": "GaussVkDSampler"}  # of cma.restricted_gaussian_sampler


def _options(cma: Any, rng: np.random.Generator, sampler: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Options of pycma: quiet, with draws from `rng`; `seed` is nan, or pycma would seed numpy's global generator."""
    base = {"seed": np.nan, "randn": lambda *shape: rng.standard_normal(shape), "verbose": -9, "verb_log": 0}
    if sampler is not None:
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler must be None or one of {sorted(SAMPLERS)}, got {sampler!r}")
        restricted = require("cma.restricted_gaussian_sampler", "cma (pycma)")
        base = getattr(restricted, SAMPLERS[sampler]).extend_cma_options(base)
    return {**base, **options}


def _of_run(popsize: int | None, limit: int | None) -> dict[str, int]:
    """Options of pycma for one run; None leaves one out."""
    options = {"popsize": popsize, "maxfevals": limit}
    return {name: value for name, value in options.items() if value is not None}


@dataclass(kw_only=True, eq=False, repr=False)
class PyCMA(RestartedPeer):
    """``cma.CMAEvolutionStrategy``, restarted by IPOP or BIPOP if asked for.

    Draws come from a Generator of our own. Numpy's global generator, which pycma would seed and its VD- and VkD-CMA-ES
    draw from, is a private one during its turns.

    Parameters
    ----------
    x0, sigma0, popsize, restarts, restart_from, rng, budget
        See :class:`zoo_opt.interop.peer.RestartedPeer`.
    diagonal : bool
        Use pycma's separable mode (``CMA_diagonal=True``), the one that it recommends in high dimension.
    sampler : None, "vd" or "vkd"
        Use pycma's VD- or VkD-CMA-ES, with the options that it prescribes for them.
    options : dict or None
        Further options of pycma, passed as they are.
    """

    diagonal: bool = False
    sampler: str | None = None
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._cma = require("cma", "cma (pycma)")
        diagonally = {"CMA_diagonal": True} if self.diagonal else {}
        self._options = _options(self._cma, self.rng, self.sampler, {**diagonally, **(self.options or {})})
        self._global = np.random.MT19937(self.seed())
        self._run(self.x0, float(self.sigma0), self.popsize)

    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        with global_draws_from(self._global):
            self._es = self._cma.CMAEvolutionStrategy(x0, sigma0, {**self._options, **_of_run(popsize, limit)})

    def _ask(self) -> FloatArray:
        with global_draws_from(self._global):
            return np.asarray(self._es.ask())

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        with global_draws_from(self._global):
            self._es.tell(list(X), losses.tolist())
        if self._restarts is not None and self._es.stop():
            self._run(*self._restarts.next(self._es.popsize, self._es.countevals))

    def _mean(self) -> FloatArray:
        return np.asarray(self._es.mean)

    def _reasons(self) -> dict[str, Any]:
        return dict(self._es.stop()) if self._restarts is None else {}


@dataclass(kw_only=True, eq=False, repr=False)
class PyCMAIntegers(PyCMA):
    """pycma's CMA-ES with its integer handling, on the unit cube.

    pycma gets integers in units of their levels, as ``integer_variables`` wants them, and the whole range of rounding
    as its bounds.

    Parameters
    ----------
    x0, sigma0, popsize, restarts, restart_from, rng, budget, diagonal, sampler, options
        See :class:`PyCMA`; ``sigma0`` and ``restart_from`` are in units of the cube.
    levels : sequence of int or None
        Number of levels of each coordinate, 0 (None: all) for the continuous ones.
    """

    levels: Any = None

    def __post_init__(self) -> None:
        self._levels = Levels.of(self.levels, np.size(self.x0))
        super().__post_init__()

    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        k = self._levels.counts
        self._options |= {
            "integer_variables": self._levels.integers.tolist(),
            "bounds": [np.where(k > 0, -0.4999, 0.0), np.where(k > 0, k - 0.5001, 1.0)],
            "CMA_stds": np.maximum(k, 1).astype(float),
        }
        super()._run(self._levels.numbers(x0), sigma0, popsize, limit)

    def _ask(self) -> FloatArray:
        self._asked = super()._ask()
        return self._levels.snapped(self._asked)

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        super()._tell(self._asked, losses)

    def _mean(self) -> FloatArray:
        return self._levels.snapped(np.asarray(self._es.result.xfavorite))


@dataclass(kw_only=True, eq=False, repr=False)
class PyCMANoiseHandler(Inverted):
    """pycma's CMA-ES with its ``NoiseHandler``, in the loop that pycma documents for it.

    Candidates are evaluated one by one, some of them again; the step size and the number of evaluations per candidate
    grow with the noise.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    sigma0 : float
        Initial step size, in units of x.
    maxevals : int or sequence of int
        As pycma's: evaluations per candidate at most, or (fewest, first, most).
    restarts, restart_from, options
        See :class:`PyCMA`.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    sigma0: float = 0.3
    maxevals: int | list[int] = 1
    restarts: str | None = None
    restart_from: tuple[float, float] | None = None
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        cma = require("cma", "cma (pycma)")
        given = _options(cma, self.rng, None, self.options or {})
        start, sigma0, maxevals = self.x0.copy(), float(self.sigma0), self.maxevals
        plan = None if self.restarts is None else Restarts(self.restarts, start, sigma0, self.restart_from, self.rng)
        self._runs = runs = list[Any]()  # the run now going

        def minimise(evaluate: Objective) -> None:
            def loss(x: ArrayLike) -> float:
                return float(evaluate(x)[0])

            x, sigma, more = start, sigma0, dict[str, int]()
            while True:
                es = cma.CMAEvolutionStrategy(x, sigma, {**given, **more})
                runs[:] = [es]
                handler = cma.NoiseHandler(es.N, maxevals)
                while not es.stop():
                    X, fit = es.ask_and_eval(loss, evaluations=handler.evaluations)
                    es.tell(X, fit)
                    es.sigma *= handler(X, fit, loss, es.ask)
                    es.countevals += handler.evaluations_just_done
                if plan is None:
                    return
                x, sigma, popsize, limit = plan.next(es.popsize, es.countevals)
                more = _of_run(popsize, limit)

        self._start(minimise)

    def _mean(self) -> FloatArray:
        return np.asarray(self._runs[0].mean) if self._runs else self.x0


@dataclass(kw_only=True, eq=False, repr=False)
class PyCMASurrogate(Inverted):
    """pycma's lq-CMA-ES, ``cma.fmin_lq_surr2``: a linear or quadratic model spares it most evaluations.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    sigma0 : float
        Initial step size, in units of x.
    restarts : int
        So many further runs, each with twice the population.
    restart_from : (float, float) or None
        They begin uniformly in this box; None begins at `x0` again.
    bounds : (float, float) or None
        Box that is kept to, the same for all coordinates.
    first : None or "SLSQP"
        "SLSQP": scipy's SLSQP with forward differences runs first, and the first run begins at its result.
    options : dict or None
        Further options of pycma, passed as they are.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    first: str | None = None
    sigma0: float = 0.3
    restarts: int = 0
    restart_from: tuple[float, float] | None = None
    bounds: tuple[float, float] | None = None
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        cma = require("cma", "cma (pycma)")
        given = _options(cma, self.rng, None, self.options or {})
        if self.bounds is not None:
            given["bounds"] = list(self.bounds)
        start, sigma0, restarts, box, draws = self.x0.copy(), self.sigma0, self.restarts, self.restart_from, self.rng
        bounds, first = self.bounds, self.first
        starts = [start if bounds is None else np.clip(start, *bounds)]
        if first not in (None, "SLSQP"):
            raise ValueError(f'first must be None or "SLSQP", got {first!r}')
        optimize = None if first is None else require("scipy.optimize", "scipy")

        def next_start() -> FloatArray:
            again = start if box is None else draws.uniform(*box, size=start.size)
            return starts.pop() if starts else np.asarray(again)

        def minimise(evaluate: Objective) -> None:
            if first is not None:
                starts[0] = local_search(optimize, evaluate, starts[0], name=first, bounds=bounds)
            cma.fmin_lq_surr2(lambda x: float(evaluate(x)[0]), next_start, sigma0, given, restarts=restarts)

        self._start(minimise)

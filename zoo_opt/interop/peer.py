"""What the adapters of other libraries' optimisers share: our ask/tell surface around theirs.

A peer is driven exactly as :class:`zoo_opt.Optimizer` is (``ask``, ``tell``, ``stop``, ``best``, ``mean``, ``nfev``),
so that a benchmark or a user's loop need not know whose optimiser it runs. Peers take whole batches only: their own
``tell`` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_opt.core.batch import Batch
from zoo_opt.core.best import Best
from zoo_opt.methods.cma.restarts import FIRST, LARGE, regime, small_popsize

FloatArray = NDArray[np.float64]


@dataclass(eq=False, repr=False)
class Peer(ABC):
    """Base of the adapters: a dataclass of a peer's settings, whose ``__post_init__`` makes the peer.

    A subclass gives `_ask`, `_tell`, `_mean` and may give `_reasons`.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the search.
    rng : int, Generator, SeedSequence or None
        Source of the peer's seed. A Generator is consumed once, here; None draws entropy.
    budget : int or None
        `stop()` is true once another batch would exceed it.
    """

    x0: Any
    _: KW_ONLY
    rng: Any = None
    budget: int | None = None

    def __post_init__(self) -> None:
        self.x0 = np.array(self.x0, dtype=np.float64)
        if self.x0.ndim != 1 or self.x0.size == 0:
            raise ValueError(f"x0 must be a non-empty vector, got an array of shape {self.x0.shape}")
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget must be a positive integer or None, got {self.budget!r}")
        self.rng = np.random.default_rng(self.rng)
        self.nfev = 0
        self.nfail = 0
        self.best = Best(None, np.inf, None)
        self._steps = 0
        self._open: Batch | None = None
        self._worst = -np.inf

    # what an adapter fills in
    @abstractmethod
    def _ask(self) -> FloatArray:
        """New candidates, shape (n, d)."""

    @abstractmethod
    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        """Pass the losses, shape (n,), of the last `_ask` on."""

    @abstractmethod
    def _mean(self) -> FloatArray:
        """The point that the peer would recommend under noise, shape (d,)."""

    def _step(self) -> int:
        """Step of the batch now asked for: the number of batches before it, unless several make a step."""
        return self._steps

    def _reasons(self) -> dict[str, Any]:
        """The peer's own reasons to stop."""
        return {}

    # the surface
    def seed(self) -> int:
        """A fresh seed for the peer, in [1, 2**31): some libraries read 0 as "the clock"."""
        return int(self.rng.integers(1, 2**31))

    def ask(self) -> Batch:
        """The open batch: asking again before a tell gives the same candidates."""
        if self._open is None:
            X = np.array(self._ask(), dtype=np.float64)
            X.flags.writeable = False
            self._open = Batch(X, range(self.nfev, self.nfev + len(X)), self._step())
        return self._open

    def tell(self, batch: Batch, losses: Sequence[float | None] | ArrayLike) -> None:
        """Tell the losses of the whole open batch.

        A failed evaluation (NaN or None) is told as the worst loss so far, since no peer knows of failures; +inf
        likewise.

        Raises
        ------
        ValueError
            If `batch` is not the open one, the number of losses differs from its length, or a loss is -inf.
        """
        if batch is not self._open:
            raise ValueError("batch must be the one that the last ask() returned, told once")
        y = np.array([np.nan if v is None else v for v in np.atleast_1d(np.asarray(losses, dtype=object))], dtype=float)
        if y.shape != (len(batch),):
            raise ValueError(f"losses must have length {len(batch)}, got {len(y)}")
        if np.isneginf(y).any():
            raise ValueError("losses must be greater than -inf, got -inf")
        finite = np.isfinite(y)
        self._worst = max(self._worst, float(np.max(y[finite], initial=-np.inf)))
        i = int(np.argmin(np.where(finite, y, np.inf)))
        if finite[i] and y[i] < self.best.loss:
            self.best = Best(batch.X[i], float(y[i]), batch.ids[i])
        self._tell(
            np.asarray(batch.X, np.float64), np.where(finite, y, self._worst if np.isfinite(self._worst) else 1e300)
        )
        self.nfail += int(np.isnan(y).sum())
        self.nfev += len(batch)
        self._steps += 1
        self._open = None

    def stop(self) -> dict[str, Any]:
        """Empty, or the reasons to stop; looks at the next batch's size, so a budget is never exceeded."""
        reasons = self._reasons()
        if not reasons and self.budget is not None and self.nfev + len(self.ask()) > self.budget:
            reasons = {"budget": self.budget}
        return reasons

    @property
    def mean(self) -> FloatArray:
        """The peer's current recommendation, shape (d,)."""
        return np.array(self._mean(), dtype=np.float64)


class NextRun(NamedTuple):
    """What a run of a CMA-ES is started with; ``limit`` is on its evaluations."""

    x0: FloatArray
    sigma0: float
    popsize: int
    limit: int | None


class Restarts:
    """What the next run of a CMA-ES is started with, by IPOP or BIPOP.

    IPOP doubles the population (Auger & Hansen 2005). BIPOP (Hansen 2009) spends the same on runs with a doubled
    population and on short ones with a small population and step size; the limit of these is that of pycma's `fmin2`.

    Parameters
    ----------
    kind : {"ipop", "bipop"}
    x0 : (d,) array
        Start of the first run.
    sigma0 : float
        Step size of the first run.
    box : (float, float) or None
        Where runs start, uniformly; None is x0.
    rng : Generator
    """

    def __init__(
        self, kind: str, x0: FloatArray, sigma0: float, box: tuple[float, float] | None, rng: np.random.Generator
    ) -> None:
        if kind not in ("ipop", "bipop"):
            raise ValueError(f'restarts must be None, "ipop" or "bipop", got {kind!r}')
        self.kind, self.x0, self.sigma0, self.box, self.rng = kind, x0, sigma0, box, rng
        self.popsize0 = 0
        self._now, self._ended = FIRST, list[tuple[str, int]]()

    def next(self, popsize: int, spent: int) -> NextRun:
        """Return the run that follows one with this population, which has spent so many evaluations."""
        self.popsize0 = self.popsize0 or popsize
        self._ended.append((self._now, spent))
        self._now, doublings, large = regime(self.kind, self._ended)
        if self._now == LARGE:
            return NextRun(self._start(), self.sigma0, self.popsize0 * 2**doublings, None)
        u, v = self.rng.uniform(size=2)
        small = small_popsize(self.popsize0, doublings, u)
        return NextRun(self._start(), self.sigma0 * 0.01**v, small, large // 2)

    def _start(self) -> FloatArray:
        return self.x0 if self.box is None else self.rng.uniform(*self.box, size=self.x0.size)


@dataclass(kw_only=True, eq=False, repr=False)
class RestartedPeer(Peer):
    """Base of the adapters of CMA-ES, restarted by IPOP or BIPOP if asked for; a subclass gives `_run` too.

    Parameters
    ----------
    sigma0 : float
        Initial step size, in units of x.
    popsize : int or None
        Population; None takes the library's 4 + 3 log(d).
    restarts : None, "ipop" or "bipop"
        What to do when the library's own criteria stop a run; None stops.
    restart_from : (float, float) or None
        Restarts begin uniformly in this box; None begins at `x0` again.
    """

    sigma0: float = 0.3
    popsize: int | None = None
    restarts: str | None = None
    restart_from: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = self.x0, float(self.sigma0), self.restart_from, self.rng
        self._restarts = None if self.restarts is None else Restarts(self.restarts, *settings)

    @abstractmethod
    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        """Start a run that may spend `limit` evaluations."""

"""Evolution strategies over continuous variables, integers and choices together."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import instance
from zoo_opt.core.keys import CHOICE, generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.cma.levels import choices, integers
from zoo_opt.methods.cma.levels.choices import Categorical
from zoo_opt.methods.cma.levels.integers import Margin
from zoo_opt.methods.cma.noise import NO_HANDLING
from zoo_opt.methods.cma.parameters import default_parameters, default_popsize, rank
from zoo_opt.methods.cma.runs import ESState
from zoo_opt.methods.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.methods.cma.strategy import EvolutionStrategy
    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class MixedState:
    """State between two generations.

    Attributes
    ----------
    start : (sum of K,) array
        The choices of x0, from which each run starts.
    inner : ESState
        That of the evolution strategy, over the continuous variables and the integers.
    margin : Margin
        The scales of the integers.
    choices : Categorical or None
        The distribution of the choices, None if there are none.
    """

    start: Array
    inner: ESState
    margin: Margin
    choices: Categorical | None


class MixedMemo(NamedTuple):
    """What the update needs of a generation: what the strategy asked for, and the samples before rounding."""

    inner: Asked
    V: Array


@dataclass(frozen=True, kw_only=True)
class MixedVariables(Method):
    """An evolution strategy with margin, and a categorical distribution beside it (Hamano et al. 2025).

    CatCMA with margin (arXiv 2504.07884) if the strategy is a `CMAES`. Continuous variables and integers are sampled
    together from the strategy's normal distribution; integers are rounded to their levels, and the distribution is
    corrected so that no level next to the mean becomes too rare. `Optimizer` makes one where a space with integers or
    choices meets a strategy of the CMA-ES family.

    Parameters
    ----------
    method : CMAES, SepCMAES or DDCMAES
        The strategy, without bounds of its own and without noise handling.
    grid : Grid
        Which coordinates are integers or choices.
    bounds : None or (low, high), default None
        Box of the continuous variables, numbers or a side for every coordinate. Samples beyond are evaluated on its
        border, where minima often are, and the mean is kept inside, in place of the paper's penalty.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.
    """

    method: EvolutionStrategy
    grid: Grid
    bounds: Any = None

    def __post_init__(self) -> None:
        if not hasattr(self.method, "kept_of"):
            raise TypeError(f"method must be of the CMA-ES family, got {self.method!r}")
        instance("grid", self.grid, Grid)
        if self.method.bounds is not None:
            raise ValueError(f"method must have no bounds inside a MixedVariables, got {self.method.bounds}")
        if self.method.handling is not NO_HANDLING:
            raise ValueError(f"noise must be None where there are integers or choices, got {self.method.handling}")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether the strategy ends."""
        return self.method.ends

    @functools.cached_property
    def alpha(self) -> float:
        """The margin."""
        return integers.margin(len(self.grid.integers) + len(self.grid.parts))

    # ------------------------------------------------------------------------------------- the four functions
    def plan(self, x0: Array, budget: int | None) -> MixedVariables:
        """See `Method.plan`: the population is that of all variables, a choice being one."""
        if self.method.popsize is not None:
            return self
        variables = len(self.grid.ordered) + len(self.grid.parts)
        return replace(self, method=replace(self.method, popsize=max(2, default_popsize(variables))))

    def init(self, x0: Array, key: Key) -> MixedState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if x0.size != self.grid.d:
            raise ValueError(f"x0 must have the {self.grid.d} coordinates of the grid, got {x0.size}")
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        # a strategy needs a coordinate: where all variables are choices it has one that nothing depends on
        m = x0[self.grid.ordered] if len(self.grid.ordered) else np.zeros(1)
        return self._begun(self.grid.weights(x0), self.method.init(m, key))

    def size(self, state: MixedState) -> int:
        """See `Method.size`."""
        return self.method.size(state.inner)

    def ask(self, state: MixedState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        inner, m = self.method.ask(state.inner, step), state.inner.distribution.m
        V = m + self._A(state) * (inner.X - m)  # ~ N(m, sigma^2 A C A)
        C = None
        if state.choices is not None:
            C = choices.sample(self.grid, state.choices.q, generator(state.inner.key, step, CHOICE), len(V))
        return Asked(self._assembled(V, C), MixedMemo(inner, V))

    def update(self, state: MixedState, asked: Asked, losses: list[float]) -> MixedState:
        """See `Method.update`."""
        inner, V = asked.memo
        order = rank(losses)
        if not len(order):
            return replace(state, inner=self.method.update(state.inner, inner, losses))
        w = default_parameters(V.shape[1], len(order)).plus
        chosen = order[: np.count_nonzero(w)]

        m, rows, mutated = state.inner.distribution.m, self.grid.integers_ordered, np.zeros(0, dtype=bool)
        if len(rows):
            V = V.copy()
            V[:, rows], mutated = integers.centred(self.grid, m[rows], V[:, rows], chosen)
        X = m + (V - m) / self._A(state)  # ~ N(m, sigma^2 C)
        kept = self.method.kept_of(state.inner.distribution, X)
        after = self.method.update(state.inner, Asked(X, inner.memo._replace(kept=kept)), losses)
        if len(after.log) > len(state.inner.log) and not after.reasons:  # another run has begun
            return self._begun(state.start, after)

        categorical = state.choices
        if categorical is not None:
            C = self.grid.weights(asked.X[chosen])
            categorical = choices.adapted(self.grid, categorical, C, w[: len(chosen)], self.alpha)
        return self._corrected(replace(state, inner=after, choices=categorical), mutated)

    def known(self, state: MixedState, X: Array, losses: list[float]) -> MixedState:
        """See `Method.known`: the strategy takes in what they are but for their choices."""
        if not len(self.grid.ordered):
            return state
        m = state.inner.distribution.m
        Y = m + (X[:, self.grid.ordered] - m) / self._A(state)
        return replace(state, inner=self.method.known(state.inner, Y, losses))

    def mean(self, state: MixedState) -> Array:
        """Return the mean, with integers on their levels and the most probable alternative of each choice."""
        q = None if state.choices is None else state.choices.q[None]
        x: Array = self.grid.snap(self._assembled(state.inner.distribution.m[None], q))[0]
        return x

    def stop(self, state: MixedState) -> dict[str, Any]:
        """See `Method.stop`."""
        return self.method.stop(state.inner)

    # -------------------------------------------------------------------------------------------------- parts
    def _begun(self, start: Array, inner: ESState) -> MixedState:
        """Return the state at the start of a run."""
        categorical = choices.first_categorical(self.grid, start) if self.grid.parts else None
        state = MixedState(start, inner, integers.first_margin(len(self.grid.integers)), categorical)
        return self._corrected(state, np.ones(len(self.grid.integers), dtype=bool))

    def _corrected(self, state: MixedState, mutated: NDArray[np.bool_]) -> MixedState:
        """Return the state with its mean inside the bounds, after the margin correction of its integers."""
        dist, grid = state.inner.distribution, self.grid
        m, after = dist.m.copy(), state.margin
        if self.bounds is not None and len(grid.ordered):
            low, high = (side[grid.ordered] for side in boxes.both(self.bounds, grid.d))
            m = np.where(grid.continuous[grid.ordered], np.clip(m, low, high), m)
        rows = grid.integers_ordered
        if len(rows):
            std = dist.sigma * dist.std()[rows]
            m[rows], after = integers.corrected(grid, m[rows], std, state.margin, mutated, self.alpha)
        return replace(state, inner=replace(state.inner, distribution=replace(dist, m=m)), margin=after)

    def _A(self, state: MixedState) -> Array:
        """Return the diagonal of A."""
        A = np.ones(state.inner.distribution.m.size)
        A[self.grid.integers_ordered] = state.margin.A
        return A

    def _assembled(self, V: Array, C: Array | None) -> Array:
        """Return the points (n, d) inside the bounds and on their levels, of samples ``V`` and choices ``C``."""
        X = np.empty((len(V), self.grid.d))
        if len(self.grid.ordered):
            X[:, self.grid.ordered] = V
        if C is not None:
            self.grid.put(X, C)
        X[:, self.grid.integers] = self.grid.nearest(X[:, self.grid.integers])
        return X if self.bounds is None else np.where(self.grid.continuous, np.clip(X, *self.bounds), X)

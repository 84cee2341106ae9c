"""What a method is to the shell: frozen settings and pure functions over a state that is data."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zoo_opt.gradient.zo_gradient import ZOGradient, ZOQueries, ZOState

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


class Method(ABC):
    """A zeroth-order method: subclass it as a frozen dataclass whose fields are its hyper-parameters.

    The state is a dataclass of arrays and scalars and holds the random key; queries are the recipe of one step. All
    functions are pure: the same state, step and losses give the same result, bit for bit.

    Attributes
    ----------
    lookahead : bool
        Whether a step may be placed before the steps before it are closed.
    ends : bool
        Whether `stop` gives reasons sooner or later; if not, only a budget ends a run.
    """

    lookahead: ClassVar[bool] = False
    ends: ClassVar[bool] = True

    def plan(self, x0: Array, budget: int | None) -> Method:
        """Return this method with what was left to ``"auto"`` filled in from ``x0`` (d,) and the budget.

        `Optimizer` calls it once, before `init`, and keeps what it returns: planning a planned method changes nothing.
        ``budget`` is None where it is not known.
        """
        return self

    @abstractmethod
    def init(self, x0: Array, key: Key) -> Any:
        """Return the state at ``x0`` (d,), a private float array that must not be written to."""

    @abstractmethod
    def size(self, state: Any) -> int:
        """Return n, the number of candidates of the next step."""

    @abstractmethod
    def propose(self, state: Any, step: int) -> Any:
        """Return the queries (the recipe) of step number ``step``."""

    @abstractmethod
    def points(self, state: Any, queries: Any, out: Array | None = None) -> Array:
        """Return X (n, d), the candidates of the whole step; in ``out``, an array to reuse, if that fits."""

    @abstractmethod
    def update(self, state: Any, queries: Any, X: Array, losses: list[float]) -> Any:
        """Return the state after the step.

        ``losses`` are the n losses in candidate order: NaN where the evaluation failed, never -inf.
        """

    @abstractmethod
    def mean(self, state: Any) -> Array:
        """Return the current iterate (d,)."""

    def stop(self, state: Any) -> dict[str, Any]:
        """Return the reasons to stop, empty if there are none."""
        return {}

    def again(self, state: Any, queries: Any) -> Sequence[int | None] | None:
        """Return which candidates of the step evaluate a point again; None, the default, if all points are new.

        For each candidate None, or the row of the candidate whose point it has, bit for bit, counted from the first
        of this step: 0 and more are earlier candidates of this step, -1 is the last one of the step before, -n that
        step's first. Such a candidate has a new id, and the first id that the point had as its ``of``.
        """
        return None

    def told_sem(self, state: Any, queries: Any, sem: list[float]) -> Any:
        """Return the state with what was told of the noise; called before `update` where anything was.

        ``sem`` are the n standard errors of the losses in candidate order, NaN where not told or failed.
        """
        return state


class GradientMethod(Method):
    """A method composed from the gradient kit: a subclass says how, in `compose`, and nothing else."""

    lookahead: ClassVar[bool] = True
    ends: ClassVar[bool] = False

    @abstractmethod
    def compose(self) -> ZOGradient:
        """Return the composition."""

    @functools.cached_property
    def _kit(self) -> ZOGradient:
        return self.compose()

    def init(self, x0: Array, key: Key) -> ZOState:
        """See `Method.init`."""
        return self._kit.init(x0, key)

    def size(self, state: ZOState) -> int:
        """See `Method.size`."""
        return self._kit.estimator.n

    def propose(self, state: ZOState, step: int) -> ZOQueries:
        """See `Method.propose`."""
        return self._kit.propose(state, step)

    def points(self, state: ZOState, queries: ZOQueries, out: Array | None = None) -> Array:
        """See `Method.points`."""
        return self._kit.points(state, queries, out)

    def update(self, state: ZOState, queries: ZOQueries, X: Array, losses: list[float]) -> ZOState:
        """See `Method.update`."""
        return self._kit.update(state, queries, X, losses)

    def mean(self, state: ZOState) -> Array:
        """See `Method.mean`."""
        return state.x

    def again(self, state: ZOState, queries: ZOQueries) -> list[int | None] | None:
        """See `Method.again`."""
        return self._kit.again(queries) if queries.repeats else None

    def told_sem(self, state: ZOState, queries: ZOQueries, sem: list[float]) -> ZOState:
        """See `Method.told_sem`."""
        return self._kit.told_sem(state, sem)

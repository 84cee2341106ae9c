"""What a method is to the shell: frozen settings and pure functions over a state that is data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


class Asked(NamedTuple):
    """What a method asks for in one step.

    Attributes
    ----------
    X : (n, d) array
        The candidates of the whole step.
    memo : object
        What the update needs of the step beside ``X`` and the state.
    again : sequence of (int or None), or None
        Which candidates evaluate a point again; None, the default, if all points are new. For each candidate None,
        or the row of the candidate whose point it has, bit for bit, counted from the first of this step: 0 and more
        are earlier candidates of this step, -1 is the last one of the step before, -n that step's first. Such a
        candidate has a new id, and the first id that the point had as its ``of``.
    """

    X: Array
    memo: Any = None
    again: Sequence[int | None] | None = None


class Method(ABC):
    """A zeroth-order method: subclass it as a frozen dataclass whose fields are its hyper-parameters.

    The state is a dataclass of arrays and scalars and holds the random key. All functions are pure: the same state,
    step and losses give the same result, bit for bit.

    Attributes
    ----------
    lookahead : bool
        Whether a step may be placed before the steps before it are closed.
    ends : bool, default False
        Whether `stop` gives a reason sooner or later; if not, only a budget ends a run.
    """

    lookahead: ClassVar[bool] = False
    ends: ClassVar[bool] = False

    def plan(self, x0: Array, budget: int | None) -> Method:
        """Return this method with what was left to ``"auto"`` filled in from ``x0`` (d,) and the budget.

        `Optimizer` calls it once, before `init`, and keeps what it returns: planning a planned method changes nothing.
        ``budget`` is None where it is not known.
        """
        return self

    def within(self, bounds: Any, grid: Any = None) -> Method:
        """Return this method in a box and, if it knows grids, on one.

        Parameters
        ----------
        bounds : box in any form, or None
            For its field ``bounds``, which says what forms there are.
        grid : Grid or None
            For its field ``grid``; a method without one searches between the grid's points, and is rounded to them.

        Raises
        ------
        ValueError
            If it has no field ``bounds`` and is to be bounded.
        """
        known: set[str] = {field.name for field in fields(self)} if is_dataclass(self) else set()
        changes = {name: value for name, value in (("bounds", bounds), ("grid", grid)) if value is not None}
        if "bounds" in changes and "bounds" not in known:
            raise ValueError(f"bounds must be None for {type(self).__name__}, which has none, got {bounds!r}")
        return replace(self, **{name: value for name, value in changes.items() if name in known})  # type: ignore[type-var]

    def replanned(self, budget: int | None) -> Method | None:
        """Return this planned method for another budget, to go on from any state of its run; None if it cannot."""
        return None

    @abstractmethod
    def init(self, x0: Array, key: Key) -> Any:
        """Return the state at ``x0`` (d,), a private float array that must not be written to."""

    @abstractmethod
    def size(self, state: Any) -> int:
        """Return n, the number of candidates of the next step."""

    @abstractmethod
    def ask(self, state: Any, step: int, out: Array | None = None) -> Asked:
        """Return the candidates of step number ``step``; in ``out``, an array to reuse, if that fits."""

    @abstractmethod
    def update(self, state: Any, asked: Asked, losses: list[float]) -> Any:
        """Return the state after the step that ``asked`` was.

        ``losses`` are the n losses in candidate order: NaN where the evaluation failed, never -inf.
        """

    @abstractmethod
    def mean(self, state: Any) -> Array:
        """Return the current iterate (d,)."""

    def stop(self, state: Any) -> dict[str, Any]:
        """Return the reasons to stop, empty if there are none."""
        return {}

    def believed(self, state: Any) -> str:
        """Return in words what has been learnt of the loss, and what that led to; "", the default, says nothing."""
        return ""

    def known(self, state: Any, X: Array, losses: list[float]) -> Any:
        """Return the state that makes use of points ``X`` (n, d) that nobody asked for, and their losses.

        Called between two steps, once there has been one: before that the best of them is the start. The state itself,
        the default, makes no use of them.
        """
        return state

    def told_sem(self, state: Any, asked: Asked, sem: list[float]) -> Any:
        """Return the state with what was told of the noise; called before `update` where anything was.

        ``sem`` are the n standard errors of the losses in candidate order, NaN where not told or failed.
        """
        return state

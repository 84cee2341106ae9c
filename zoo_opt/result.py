"""The result of a run, in the form of scipy's OptimizeResult."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_opt.core.history import History
    from zoo_opt.typing import Array


class Result(dict[str, Any]):
    """A dict whose items are attributes too, as scipy's ``OptimizeResult``.

    Attributes
    ----------
    x : (d,) array
        The recommended point.
    params : dict
        Its parameters, where a `Space` was given instead of x0.
    fun : float
        Its loss as it was told (noisy if the objective is).
    nfev, nit, nfail : int
        Evaluations, closed steps, failed evaluations among ``nfev``.
    success : bool
        Whether ``fun`` is finite and the run was ended by something else than an interruption, failures or an outage.
    status : int
        0: ended by the method's reasons, 1: by the budget, 2: by the callback, 3: interrupted, 4: no finite ``fun``,
        5: target reached, 6: out of time, 7: out of patience, 8: nothing works any more, 9: not served any more, 10:
        refused.
    message : str
        The same in words.
    stop : dict
        The reasons of `Optimizer.stop`.
    believed : str
        What the method has learnt of the loss, in words; "" where it says nothing.
    failures : dict
        Failed evaluations by reason.
    first_failures : dict
        The traceback, or the words, of the first failure of each reason.
    history : History
        All evaluations, as a table.
    last : History
        In what a callback gets: the evaluations since the call before.
    """

    x: Array
    params: dict[str, Any]
    fun: float
    nfev: int
    nit: int
    nfail: int
    success: bool
    status: int
    message: str
    stop: dict[str, Any]
    believed: str
    failures: dict[str, int]
    first_failures: dict[str, str]
    history: History
    last: History

    if not TYPE_CHECKING:  # a type checker knows the attributes above and no others

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(f"Result has no {name!r}; it has {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        shown = dict(self)
        if isinstance(tracebacks := shown.get("first_failures"), dict):  # of each what was raised, not the way there
            shown["first_failures"] = {why: text.rstrip().rpartition("\n")[2] for why, text in tracebacks.items()}
        return "\n".join(f"{name.rjust(width)}: {value}" for name, value in shown.items())

    def __dir__(self) -> list[str]:
        return list(self)

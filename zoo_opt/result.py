"""The result of a run, in the form of scipy's OptimizeResult."""

from __future__ import annotations

from typing import Any


class Result(dict[str, Any]):
    """A dict whose items are attributes too, as scipy's ``OptimizeResult``.

    Attributes
    ----------
    x : (d,) array
        The recommended point.
    fun : float
        Its loss as it was told (noisy if the objective is).
    nfev, nit, nfail : int
        Evaluations, closed steps, failed evaluations among ``nfev``.
    success : bool
        Whether the run was not interrupted and ``fun`` is finite.
    status : int
        0: ended by the method's reasons, 1: by the budget, 2: by the callback, 3: interrupted, 4: no finite ``fun``.
    message : str
        The same in words.
    stop : dict
        The reasons of `Optimizer.stop`.
    failures : dict
        Failed evaluations by reason.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"Result has no {name!r}; it has {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name.rjust(width)}: {value}" for name, value in self.items())

    def __dir__(self) -> list[str]:
        return list(self)

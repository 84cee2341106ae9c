"""The best point told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_opt.core.batch import params_of

if TYPE_CHECKING:
    from zoo_opt.core.ledger import OpenStep
    from zoo_opt.typing import Array


class _Best(NamedTuple):
    x: Array | None
    loss: float
    id: int | None


class Best(_Best):
    """The lowest loss told so far; of equal ones the lowest id. Biased downwards where the loss is noisy.

    Attributes
    ----------
    x : (d,) array or None
        The point, read-only; None before the first finite loss.
    loss : float
        Its loss; +inf before the first.
    id : int or None
        Its candidate.
    params : dict or None
        Its parameters, where the optimizer was given a `Space`.
    """

    _space: Any = None

    @property
    def params(self) -> dict[str, Any] | None:
        """The parameters of the point."""
        return None if self.x is None else params_of(self._space, self.x)

    def of(self, space: Any) -> Best:
        """Return the same as a point of ``space``."""
        best = Best(*self)
        best._space = space
        return best

    def improved(self, steps: list[OpenStep], ids: Sequence[int], losses: list[float]) -> Best:
        """Return the best of this and of the candidates ``ids`` of the open ``steps``."""
        best, best_id = self.loss, self.id
        for id_, loss in zip(ids, losses, strict=True):
            if loss < best or (loss == best and best_id is not None and id_ < best_id):
                best, best_id = loss, id_
        if best_id is None or best_id == self.id:
            return self
        step = next(step for step in steps if step.holds(best_id))
        x = step.X[best_id - step.first].copy()
        x.flags.writeable = False
        return Best(x, best, best_id)

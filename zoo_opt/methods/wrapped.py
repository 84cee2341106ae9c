"""What a method around another one shares: all but where the candidates are."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import instance
from zoo_opt.core.method import Asked, Method

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True)
class Wrapper(Method):
    """A method around another one, whose state is in the field ``inner`` of its own.

    Parameters
    ----------
    method : Method
        The inner method, which searches in coordinates of its own.
    """

    method: Method

    def __post_init__(self) -> None:
        instance("method", self.method, Method)

    @property
    def lookahead(self) -> bool:  # type: ignore[override]
        """Whether the inner method takes lookahead."""
        return self.method.lookahead

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether the inner method ends."""
        return self.method.ends

    def replanned(self, budget: int | None) -> Method | None:
        """See `Method.replanned`."""
        inner = self.method.replanned(budget)
        return None if inner is None else replace(self, method=inner)

    @abstractmethod
    def points(self, state: Any, W: Array, out: Array | None = None) -> Array:
        """Return the points X (n, d), in ``out`` if that fits, of points W (n, k) of the inner method."""

    def size(self, state: Any) -> int:
        """See `Method.size`."""
        return self.method.size(state.inner)

    def ask(self, state: Any, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        inner = self.method.ask(state.inner, step)
        return Asked(self.points(state, inner.X, out), inner, inner.again)

    def update(self, state: Any, asked: Asked, losses: list[float]) -> Any:
        """See `Method.update`."""
        return replace(state, inner=self.method.update(state.inner, asked.memo, losses))

    def mean(self, state: Any) -> Array:
        """Return the point of the inner method's mean."""
        x: Array = self.points(state, self.method.mean(state.inner)[None])[0]
        return x

    def stop(self, state: Any) -> dict[str, Any]:
        """See `Method.stop`."""
        return self.method.stop(state.inner)

    def believed(self, state: Any) -> str:
        """See `Method.believed`."""
        return self.method.believed(state.inner)

    def knowing(self, state: Any, W: Array, losses: list[float]) -> Any:
        """Return the state whose inner method knows of points W (n, k), itself if that makes no use of them."""
        inner = self.method.known(state.inner, W, losses)
        return state if inner is state.inner else replace(state, inner=inner)

    def told_sem(self, state: Any, asked: Asked, sem: list[float]) -> Any:
        """See `Method.told_sem`."""
        return replace(state, inner=self.method.told_sem(state.inner, asked.memo, sem))

"""Methods that are composed from the gradient kit."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from zoo_opt.core.method import Asked, Method
from zoo_opt.gradient.zo_gradient import ZOGradient, ZOState

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


class GradientMethod(Method):
    """A method composed from the gradient kit: a subclass says how, in `compose`, and nothing else."""

    lookahead: ClassVar[bool] = True

    @abstractmethod
    def compose(self) -> ZOGradient:
        """Return the composition."""

    @functools.cached_property
    def kit(self) -> ZOGradient:
        """The composition, made once."""
        return self.compose()

    def init(self, x0: Array, key: Key) -> ZOState:
        """See `Method.init`."""
        return self.kit.init(x0, key)

    def size(self, state: ZOState) -> int:
        """See `Method.size`."""
        return self.kit.estimator.n

    def ask(self, state: ZOState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        return self.kit.ask(state, step, out)

    def update(self, state: ZOState, asked: Asked, losses: list[float]) -> ZOState:
        """See `Method.update`."""
        return self.kit.update(state, asked, losses)

    def mean(self, state: ZOState) -> Array:
        """See `Method.mean`."""
        return state.x

    def told_sem(self, state: ZOState, asked: Asked, sem: list[float]) -> ZOState:
        """See `Method.told_sem`."""
        return self.kit.told_sem(state, sem)

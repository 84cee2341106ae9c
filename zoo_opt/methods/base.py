"""Methods that are composed from the gradient kit."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.method import Asked, Method
from zoo_opt.gradient.bounded import BoundedProbes
from zoo_opt.gradient.zo_gradient import ZOGradient, ZOState
from zoo_opt.methods import box as boxes

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


class GradientMethod(Method):
    """A method composed from the gradient kit: a subclass says how, in `compose`, and nothing else.

    It has bounds if it has a field ``bounds``: no candidate leaves them, and neither does `mean`. A step is projected,
    and the probes surround the nearest point where they stay inside at their full length (Sadegh 1997). Where the box
    is narrower than a probe, that is shortened, and used with its true length.
    """

    lookahead: ClassVar[bool] = True
    bounds: Any = None

    def __post_init__(self) -> None:
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    @abstractmethod
    def compose(self) -> ZOGradient:
        """Return the composition."""

    @functools.cached_property
    def kit(self) -> ZOGradient:
        """The composition, made once."""
        kit = self.compose()
        if self.bounds is None:
            return kit
        low, high = (np.asarray(side, np.float64) for side in self.bounds)
        return replace(kit, bounds=BoundedProbes(low, high))

    def init(self, x0: Array, key: Key) -> ZOState:
        """See `Method.init`."""
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
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

"""RandomSubspace: any method, searching a random low-dimensional subspace of a large one."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.buffers import empty
from zoo_opt.core.errors import integer
from zoo_opt.core.keys import SUBSPACE, generator
from zoo_opt.core.method import Asked
from zoo_opt.gradient.draws import Rademacher
from zoo_opt.methods.wrapped import Wrapper

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

_BLOCK = 2**17  # elements of A that are drawn at a time: A depends on it


@dataclass(frozen=True, slots=True)
class SubspaceState:
    """State between two steps: the origin, the key of A, and the state of the inner method, whose x is w."""

    key: Key
    x0: Array
    inner: Any


@dataclass(frozen=True)
class RandomSubspace(Wrapper):
    """Search x = x0 + A w over w in R^k, with A a d x k matrix of random signs over sqrt(k) (BBT, ICML 2022).

    A is drawn in blocks from the key whenever it is needed; the last 16 blocks, of at most 1 MB each, are kept: memory
    is that, the inner method's in k dimensions, and the candidates. A step of n candidates costs n d k multiplications.

    Parameters
    ----------
    method : Method
        The inner method, which starts at w = 0.
    dim : int
        k.

    Raises
    ------
    ValueError, TypeError
        If ``dim`` is not a positive integer or larger than d, or the inner method has bounds, which a subspace cannot
        keep.
    """

    dim: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.method, RandomSubspace):
            raise ValueError("method must not be a RandomSubspace itself: give the one the smaller dim")
        integer("dim", self.dim, 1)
        if getattr(self.method, "bounds", None) is not None:
            raise ValueError(f"method must have no bounds inside a RandomSubspace, got {self.method!r}")

    def plan(self, x0: Array, budget: int | None) -> RandomSubspace:
        """Return the method with the inner one planned at a w of the typical size of x0: A w is then about as long."""
        typical = np.sqrt(np.mean(np.square(x0, dtype=np.float64)))
        return replace(self, method=self.method.plan(np.full(self.dim, typical, x0.dtype), budget))

    def init(self, x0: Array, key: Key) -> SubspaceState:
        """See `Method.init`."""
        if self.dim > x0.size:
            raise ValueError(f"dim must be at most the length of x0, {x0.size}, got {self.dim}")
        return SubspaceState(key, x0, self.method.init(np.zeros(self.dim, x0.dtype), key))

    def ask(self, state: SubspaceState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`; repeats of points of the step before count as new, as they are embedded anew."""
        inner = self.method.ask(state.inner, step)
        X = self.points(state, inner.X, out)
        again = None if inner.again is None else [None if row is None or row < 0 else row for row in inner.again]
        for i, row in enumerate(again or ()):
            if row is not None:  # a product of matrices may round equal rows differently
                X[i] = X[row]
        return Asked(X, inner, again)

    def points(self, state: SubspaceState, W: Array, out: Array | None = None) -> Array:
        """Return x0 + W A', (n, d), block by block of the rows of A."""
        d = state.x0.size
        W = W.astype(state.x0.dtype, copy=False)
        X = empty((len(W), d), state.x0.dtype, out)
        rows = max(1, _BLOCK // self.dim)
        for b, start in enumerate(range(0, d, rows)):
            block = slice(start, min(start + rows, d))
            X[:, block] = W @ _block(state.key, b, (block.stop - start, self.dim), X.dtype).T
        X /= X.dtype.type(np.sqrt(self.dim))
        X += state.x0
        return X


@functools.lru_cache(maxsize=16)
def _block(key: Key, index: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Return rows of sqrt(k) A; the last few blocks are kept."""
    A = np.empty(shape, dtype)
    Rademacher().sample(generator(key, index, SUBSPACE), A)
    return A

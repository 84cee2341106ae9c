"""Inversion of control: a minimiser that calls a function becomes one that is asked for points and told their losses.

The minimiser runs in a thread of its own, which blocks in the function until the losses are told; either it or the
caller runs, never both.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo_opt.interop.peer import FloatArray, Peer

Objective = Callable[[ArrayLike], FloatArray]
Minimiser = Callable[[Objective], None]


def from_starts(
    run: Callable[[FloatArray], object], x: FloatArray, box: tuple[float, float] | None, rng: np.random.Generator
) -> None:
    """Run from ``x`` (d,), and then without end from uniform points of a box, if there is one."""
    run(x)
    while box is not None:
        run(rng.uniform(*box, size=x.size))


class _Closed(BaseException):
    """Raised in the minimiser's thread to end it; not an Exception, which the minimiser might catch."""


class Dialogue:
    """A call of ``minimiser(evaluate)``, told losses from outside.

    ``evaluate`` takes points of shape (n, d) or (d,) and returns their losses, shape (n,). The minimiser's thread is a
    daemon and ends with :meth:`close`, which the garbage collector calls too, as long as the minimiser holds no
    reference to the dialogue.

    Parameters
    ----------
    minimiser : callable
        Called once, in a new thread, at the first `advance`.
    """

    def __init__(self, minimiser: Minimiser) -> None:
        asked: SimpleQueue[FloatArray | BaseException | None] = SimpleQueue()
        told: SimpleQueue[FloatArray | None] = SimpleQueue()

        def evaluate(X: ArrayLike) -> FloatArray:
            asked.put(np.array(X, dtype=np.float64, ndmin=2))
            losses = told.get()
            if losses is None:
                raise _Closed
            return losses

        def run() -> None:
            try:
                minimiser(evaluate)
                asked.put(None)
            except _Closed:
                pass
            except BaseException as error:
                asked.put(error)

        self._asked, self._told = asked, told
        self._thread = threading.Thread(target=run, name="zoo-opt-minimiser", daemon=True)
        self.close = weakref.finalize(self, _close, self._thread, told)

    def advance(self, losses: FloatArray | None = None) -> FloatArray | None:
        """Tell the losses of the last points and return the next, shape (n, d); None once the minimiser returned.

        Raises
        ------
        Exception
            Whatever the minimiser raised.
        """
        if losses is not None:
            self._told.put(losses)
        elif self._thread.ident is None:
            self._thread.start()
        answer = self._asked.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _close(thread: threading.Thread, told: SimpleQueue[FloatArray | None]) -> None:
    """End the thread, which waits for losses if it has begun and not finished."""
    if thread.is_alive():
        told.put(None)
        thread.join(timeout=5)


@contextmanager
def global_draws_from(generator: Any) -> Iterator[None]:
    """Put `generator`, a bit generator, behind numpy's global functions for a while; then the caller's again."""
    theirs = np.random.mtrand.get_bit_generator()
    np.random.mtrand.set_bit_generator(generator)
    try:
        yield
    finally:
        np.random.mtrand.set_bit_generator(theirs)


class Inverted(Peer):
    """A peer made of a minimiser that calls a function.

    A subclass ends its ``__post_init__`` with `_start`. While the minimiser runs, numpy's global generator is a private
    one of this peer: some minimisers draw from it. A minimiser that returns ends the search. What it wants evaluated at
    once is one batch, of which only so many rows are asked for as the budget allows.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._global = np.random.MT19937(self.seed())
        self._dialogue: Dialogue
        self._next: FloatArray | None = None

    def _start(self, minimiser: Minimiser) -> None:
        """Run the minimiser up to its first evaluation; it must hold no reference to this object."""
        self._dialogue = Dialogue(minimiser)
        with global_draws_from(self._global):
            self._next = self._dialogue.advance()

    def _ask(self) -> FloatArray:
        if self._next is None:
            raise RuntimeError(f"{type(self).__name__} has ended by itself: look at stop() before ask()")
        return self._next if self.budget is None else self._next[: self.budget - self.nfev]

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        if self._next is not None and len(X) == len(self._next):
            with global_draws_from(self._global):
                self._next = self._dialogue.advance(losses)

    def _mean(self) -> FloatArray:
        return np.asarray(self.x0 if self.best.x is None else self.best.x, np.float64)

    def _reasons(self) -> dict[str, Any]:
        if self.budget is not None and self.nfev >= self.budget:
            return {"budget": self.budget}
        return {"returned": True} if self._next is None else {}

    def close(self) -> None:
        """End the minimiser's thread now rather than when this object is collected."""
        self._dialogue.close()

"""What can be read from an optimizer: the best point, the counts, the history, the state of its method."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import integer
from zoo_opt.core.limits import Clock

if TYPE_CHECKING:
    from zoo_opt.core.best import Best
    from zoo_opt.core.history import History
    from zoo_opt.core.limits import Limits
    from zoo_opt.core.method import Method
    from zoo_opt.core.pipeline import Pipeline
    from zoo_opt.core.tally import Tally
    from zoo_opt.typing import Array, Key


class ReadOuts:
    """What `Optimizer` shows of its parts; nothing here changes a run but `limits`."""

    _lock: threading.RLock
    _pipeline: Pipeline
    _tally: Tally
    _limits: Limits
    _space: Any
    _given: Method
    _origin: str
    _key: Key

    @property
    def best(self) -> Best:
        """The best point told: ``best.x``, ``best.loss``, ``best.id``; x and id are None before the first."""
        best = self._tally.best
        return best if self._space is None else best.of(self._space)

    @property
    def mean(self) -> Array:
        """The current iterate (d,), read-only: it changes only when a step closes."""
        view = self._pipeline.method.mean(self._pipeline.newest).view()
        view.flags.writeable = False
        return view

    @property
    def nfev(self) -> int:
        """Evaluations told, failed ones included."""
        return self._tally.nfev

    @property
    def nfail(self) -> int:
        """Failed evaluations."""
        return sum(self._tally.failures.values())

    @property
    def failures(self) -> dict[str, int]:
        """Failed evaluations by reason."""
        return dict(self._tally.failures)

    @property
    def first_failures(self) -> dict[str, str]:
        """The traceback of the first failure of each reason, where it was an exception in `minimize`."""
        return dict(self._tally.first_failures)

    @property
    def history(self) -> History:
        """The evaluations told so far, as a table in the order of their ids."""
        with self._lock:
            return self._of_space(self._pipeline.recorder.history(self._pipeline.ledger.open))

    def last(self, n: int) -> History:
        """Return the last ``n`` evaluations told, as a table."""
        with self._lock:
            return self._of_space(self._pipeline.recorder.last(integer("n", n, 0), self._pipeline.ledger.open))

    def _of_space(self, history: History) -> History:
        history.space = self._space
        return history

    @property
    def seconds(self) -> float:
        """Seconds of the run; the time between a save and a load is not counted."""
        return self._tally.clock.now

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._tally.clock = Clock(seconds)

    @property
    def seconds_left(self) -> float:
        """Seconds until ``timeout``, infinite where there is none."""
        timeout = self._limits.timeout
        return math.inf if timeout is None else max(0.0, timeout - self._tally.clock.here)

    @property
    def sem_told(self) -> bool:
        """Whether a standard error was told."""
        return self._tally.sem_told

    @property
    def nit(self) -> int:
        """Steps closed."""
        return self._pipeline.closed

    @property
    def pending(self) -> list[int]:
        """Ids of the candidates that are out: asked for and not told."""
        with self._lock:
            return [id_ for step in self._pipeline.ledger.open for id_ in step.out()]

    @property
    def told(self) -> dict[int, float]:
        """Losses told of the steps that wait for more, by id; NaN where an evaluation failed."""
        with self._lock:
            return {id_: loss for step in self._pipeline.ledger.open for id_, loss in step.told()}

    @property
    def reached(self) -> dict[str, Any]:
        """The reasons of `stop` that hold in the middle of a step too: target, timeout, patience, failures."""
        return self._limits.reached(self._tally, self._pipeline.closed)

    @property
    def limits(self) -> Limits:
        """Target, timeout and patience; can be set, which begins to count time and failures in a row anew."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._tally.begin()

    @property
    def lookahead(self) -> int:
        """Steps that may be placed before the steps before them are closed."""
        return self._pipeline.lookahead

    @property
    def method(self) -> Method:
        """The method as it was planned: with nothing left to "auto"."""
        return self._pipeline.method

    @property
    def believed(self) -> str:
        """What the method has learnt of the loss, in words; "" where it says nothing."""
        return self._pipeline.method.believed(self._pipeline.newest)

    @property
    def state(self) -> Any:
        """The method's state after the last closed step."""
        return self._pipeline.newest

    @property
    def identity(self) -> dict[str, Any]:
        """What two optimizers must share to be one run: method as given, lookahead, checksum of x0, space, key."""
        return {
            "method": self._given,
            "lookahead": self.lookahead,
            "x0": self._origin,
            "space": self._space,
            "rng": self._key,
        }

    @property
    def space(self) -> Any:
        """The space that was given instead of x0; None if it was an array."""
        return self._space

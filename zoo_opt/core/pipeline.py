"""The steps of a method in their order: placed from a state that is old enough, and updated with once all is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.buffers import Buffers
from zoo_opt.core.ledger import TOLD, Ledger, OpenStep
from zoo_opt.core.recorder import StepRecorder

if TYPE_CHECKING:
    from zoo_opt.core.method import Asked, Method
    from zoo_opt.typing import Array, Key


class Pipeline:
    """A method, its states and its open steps.

    Step s is placed from the state after update s - 1 - lookahead, however many updates were made by then, and updates
    are made in step order: what results depends on neither timing nor workers.

    Attributes
    ----------
    ledger : Ledger
        The open steps.
    states : deque
        The states after the last lookahead + 1 updates: the newest to go on from, the oldest to place from.
    closed : int
        Updates made.
    recorder : StepRecorder
        The steps that have closed.
    """

    def __init__(self, method: Method, states: list[Any], lookahead: int, closed: int = 0, next_id: int = 0) -> None:
        if lookahead and not method.lookahead:
            raise ValueError(
                f"lookahead must be 0 for {type(method).__name__}, which ranks whole steps, got {lookahead}"
            )
        self.method = method
        self.lookahead = lookahead
        self.states = deque(states, maxlen=lookahead + 1)
        self.closed = closed
        self.ledger = Ledger(next_id)
        self.recorder = StepRecorder()
        self._buffers = Buffers()
        self._previous: tuple[int, list[int | None] | None] = (next_id, None)  # first id and `of` of the newest step

    @property
    def newest(self) -> Any:
        """The state after the last update."""
        return self.states[-1]

    @property
    def next_step(self) -> int:
        """Number of the step that is placed next."""
        return self.closed + len(self.ledger.open)

    def place(self) -> bool:
        """Open the next step, if lookahead allows it."""
        if len(self.ledger.open) > self.lookahead:
            return False
        number, first = self.closed + len(self.ledger.open), self.ledger.next_id
        asked = self._asked(number)
        if not len(asked.X):  # such a step would close by itself, and the run never end
            raise ValueError(f"ask of {self.method!r} must give candidates, got none for step {number}")
        of = None if asked.again is None else self._first_ids(asked.again, first, len(asked.X))
        self._previous = first, of
        self.ledger.add(OpenStep(number, first, asked, of))
        return True

    def close(self) -> None:
        """Update with the oldest steps that are told as a whole."""
        steps = self.ledger.open
        while steps and not steps[0].left:
            step, state = steps[0], self.states[-1]
            if step.sem is not None:
                state = self.method.told_sem(state, step.asked, step.sem)
            self.states.append(self.method.update(state, step.asked, step.losses))
            self.closed += 1
            del steps[0]
            self.recorder.add(step)
            self._buffers.give(step.X)

    def know(self, X: Array, losses: list[float], key: Key, least: float) -> str:
        """Tell the method of points (n, d), n > 0, and their losses; return what becomes of them.

        "start": the best of them is where the run begins, as nothing was asked for yet, and none that was known before
        has a loss of at most ``least``; "used": by the method, from the state after the last update on; "ignored".
        """
        state = self.newest
        if is_start := not self.ledger.next_id and min(losses) < least:
            state = self.method.init(X[int(np.argmin(losses))].copy(), key)
        known = self.method.known(state, X, losses)
        if known is self.newest:
            return "ignored"
        self.states[-1] = known
        return "start" if is_start else "used"

    def _asked(self, number: int) -> Asked:
        """Return what the method asks for in step ``number``."""
        updates = max(0, number - self.lookahead)  # after so many of them the step is placed
        state = self.states[max(0, len(self.states) - 1 - (self.closed - updates))]
        return self.method.ask(state, number, self._buffers.take() if self._buffers.kept else None)

    def _first_ids(self, rows: Sequence[int | None], first: int, n: int) -> list[int | None]:
        """Return `of` for the ``n`` candidates of the step that is placed with id ``first``."""
        before, of_before = self._previous
        if len(rows) != n:
            raise ValueError(f"again of {self.method!r} must give a row or None for each of {n} candidates, got {rows}")
        of: list[int | None] = []
        for row in rows:
            id_ = None if row is None else first + row
            if id_ is not None and not before <= id_ < first + len(of):
                raise ValueError(
                    f"again of {self.method!r} must give rows from {before - first} to {len(of) - 1} "
                    f"for candidate {len(of)} of the step, got {row}"
                )
            if id_ is None:
                of.append(None)
            elif id_ >= first:
                of.append(id_ if of[id_ - first] is None else of[id_ - first])
            else:
                known = None if of_before is None else of_before[id_ - before]
                of.append(id_ if known is None else known)
        return of

    def replan(self, method: Method) -> bool:
        """Go on with ``method``, another plan of this one; return False, and do not, if an open step would change."""
        before, self.method = self.method, method
        if all(np.array_equal(self._asked(step.number).X, step.X) for step in self.ledger.open):
            return True
        self.method = before
        return False

    # -------------------------------------------------------------------------------------------- save, load
    def saved(self) -> dict[str, Any]:
        """Return all that `restored` needs: states and losses; candidates are placed again."""
        return {
            "method": self.method,
            "states": list(self.states),
            "lookahead": self.lookahead,
            "closed": self.closed,
            "next_id": self.ledger.next_id,
            "previous": list(self._previous),
            "history": self.recorder.saved(),
            "open": [
                {
                    "number": step.number,
                    "first": step.first,
                    "told": [status == TOLD for status in step.status],
                    "losses": list(step.losses),
                    "sem": step.sem and list(step.sem),
                    "of": step.of,
                    "times": list(step.times),
                    "failures": step.failures and dict(step.failures),
                }
                for step in self.ledger.open
            ],
        }

    @classmethod
    def restored(cls, data: dict[str, Any]) -> Pipeline:
        """Return the pipeline that was saved; what was out is out no more."""
        self = cls(data["method"], data["states"], data["lookahead"], data["closed"], data["next_id"])
        self._previous = tuple(data["previous"])
        if "history" in data:
            self.recorder = StepRecorder.restored(data["history"])
        for saved in data["open"]:
            step = OpenStep(saved["number"], saved["first"], self._asked(saved["number"]), saved["of"])
            told = [step.first + i for i, is_told in enumerate(saved["told"]) if is_told]
            step.record(told, [saved["losses"][id_ - step.first] for id_ in told], None, 0.0, "")
            step.sem = saved["sem"]
            step.times = saved.get("times", step.times)  # a file of an earlier release has no history
            step.failures = saved.get("failures")
            self.ledger.open.append(step)
        return self

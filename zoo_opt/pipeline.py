"""The steps of a method in their order: placed from a state that is old enough, and updated with once all is told."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from zoo_opt.buffers import Buffers
from zoo_opt.ledger import TOLD, Ledger, OpenStep

if TYPE_CHECKING:
    from zoo_opt.methods import Method


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
    """

    def __init__(self, method: Method, states: list[Any], lookahead: int, closed: int = 0, next_id: int = 0) -> None:
        self.method = method
        self.lookahead = lookahead
        self.states = deque(states, maxlen=lookahead + 1)
        self.closed = closed
        self.ledger = Ledger(next_id)
        self._buffers = Buffers()

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
        self.ledger.add(self._opened(self.next_step, self.ledger.next_id))
        return True

    def close(self) -> None:
        """Update with the oldest steps that are told as a whole."""
        while self.ledger.open and not self.ledger.open[0].left:
            step = self.ledger.open[0]
            self.states.append(self.method.update(self.newest, step.queries, step.X, step.losses))
            self.closed += 1
            del self.ledger.open[0]
            self._buffers.give(step.X)

    def _opened(self, number: int, first: int) -> OpenStep:
        updates = max(0, number - self.lookahead)  # after so many of them the step is placed
        state = self.states[max(0, len(self.states) - 1 - (self.closed - updates))]
        queries = self.method.propose(state, number)
        return OpenStep(number, first, queries, self.method.points(state, queries, self._buffers.take()))

    # -------------------------------------------------------------------------------------------- save, load
    def saved(self) -> dict[str, Any]:
        """Return all that `restored` needs: states and losses; candidates are placed again."""
        return {
            "method": self.method,
            "states": list(self.states),
            "lookahead": self.lookahead,
            "closed": self.closed,
            "next_id": self.ledger.next_id,
            "open": [
                {
                    "number": step.number,
                    "first": step.first,
                    "told": [status == TOLD for status in step.status],
                    "losses": list(step.losses),
                }
                for step in self.ledger.open
            ],
        }

    @classmethod
    def restored(cls, data: dict[str, Any]) -> Pipeline:
        """Return the pipeline that was saved; what was out is out no more."""
        self = cls(data["method"], data["states"], data["lookahead"], data["closed"], data["next_id"])
        for saved in data["open"]:
            step = self._opened(saved["number"], saved["first"])
            told = [step.first + i for i, is_told in enumerate(saved["told"]) if is_told]
            step.record(told, [saved["losses"][id_ - step.first] for id_ in told])
            self.ledger.open.append(step)
        return self

"""A run that is kept on the disk: every loss is written down before it is told, and a run that was cut off resumes.

``<path>`` is the optimizer's checkpoint; ``<path>.journal`` has a line for each loss told since: id, loss in
hexadecimal, why it failed, its standard error where that was told, when it was told, the traceback of the first failure
of its kind, and a checksum. To resume, the losses are told to the loaded optimizer, which is deterministic; those of
candidates that it has been told already are passed over.

A run that is resumed with another budget goes on as a run of that budget would, as far as that is possible: from its
start, if the method as planned for the new budget asks for the points that were evaluated; from here, if its plan can
be changed on the way (`Method.replanned`); else it keeps its plan, and says so.
"""

from __future__ import annotations

import json
import math
import os
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from zoo_opt.core.errors import CheckpointError
from zoo_opt.core.outcome import Outcome, Raised
from zoo_opt.optimizer import Optimizer
from zoo_opt.storage import checkpoint
from zoo_opt.storage.append import AppendFile

_FOLD = 2000  # losses after which the journal is folded into the checkpoint: replaying them takes about a second
_FINAL = -1  # id of the final evaluation of the mean, which is no candidate


class KeptRun:
    """Passes losses on to ``opt``; with a path, writes them down first.

    Parameters
    ----------
    opt : Optimizer
        A new optimizer. If there is a checkpoint at ``path`` it must be of the same run, and takes its place.
    path : path-like or None
        Checkpoint; the journal is ``<path>.journal``. None: nothing is kept.
    seeded : bool
        Whether ``opt`` was made from a seed, which the checkpoint's must then equal.

    Attributes
    ----------
    opt : Optimizer
        The optimizer to go on with.
    """

    def __init__(self, opt: Optimizer, path: str | os.PathLike[str] | None, *, seeded: bool) -> None:
        self.opt = opt
        self._journal: AppendFile | None = None
        self._since = 0
        self._whole = True
        self._final: dict[int, Outcome] = {}
        if path is None:
            return
        self._path = Path(path)
        log = self._path.with_name(self._path.name + ".journal")
        exists = self._path.exists()
        if not exists and log.exists() and log.stat().st_size:
            raise CheckpointError(
                f"{log} has no checkpoint {self._path} beside it: put that back, or delete the journal"
            )
        made = not log.exists()
        self._journal = AppendFile(log, in_use=CheckpointError(f"{log} is in use by another run"))
        try:
            if exists:
                self.opt = self._resumed(log, seeded)
            else:
                opt.save(self._path)
        except BaseException:
            self._journal.close()
            if made:  # a run that is refused leaves nothing behind
                log.unlink()
            raise

    def tell(self, outcomes: list[Outcome]) -> None:
        """Write the outcomes down and tell them."""
        if not outcomes:
            return
        if self._journal is None:
            self.opt.replay(outcomes)
            return
        steps, seconds, known = self.opt.nit, self.opt.seconds, self.opt.failures
        outcomes = [Outcome(*outcome[:-1], seconds) for outcome in outcomes]
        self._whole = False  # an interrupt from here on may leave the optimizer behind its journal
        self._journal.append(b"".join(_line(outcome, outcome.reason not in known) for outcome in outcomes))
        self.opt.replay(outcomes)
        self._whole = True
        self._since += len(outcomes)
        if self._since >= _FOLD and self.opt.nit > steps:
            self._fold()

    def final(self, evaluate: Callable[[], Outcome]) -> Outcome:
        """Return what the final mean gave, evaluated once in the life of a run."""
        nfev = self.opt.nfev
        if nfev not in self._final:
            outcome = evaluate()
            if self._journal is not None:
                self._fold()
                kept = outcome._replace(id=_FINAL, reason=f"{outcome.reason} {nfev}")
                self._journal.append(_line(kept, bool(outcome.reason)))
            self._final[nfev] = outcome
        return self._final[nfev]

    def _resumed(self, log: Path, seeded: bool) -> Optimizer:
        """Return the optimizer at the path, brought up to date by the journal."""
        new = self.opt
        mine = new.identity
        old = Optimizer.load(self._path, types=checkpoint.types_in([mine, new.method, new.state]))
        for what, theirs in old.identity.items():
            if mine[what] != theirs and (seeded or what != "rng"):
                raise CheckpointError(
                    f"{self._path} is of another run: its {what} is {theirs!r}, this call's is {mine[what]!r}"
                )
        outcomes = _outcomes(log)
        old.budget = None
        old.replay([outcome for outcome in outcomes if outcome.id != _FINAL])
        old.seconds = max([old.seconds, *(outcome.time for outcome in outcomes if outcome.time == outcome.time)])
        old.budget, old.limits = new.budget, new.limits
        spent = new.budget is not None and old.nfev >= new.budget  # nothing is left to plan
        if old.method != new.method and not spent:
            old = self._planned_anew(old)
        for outcome in outcomes:
            if outcome.id == _FINAL:
                reason, _, nfev = outcome.reason.rpartition(" ")
                self._final[int(nfev)] = outcome._replace(reason=reason)
        return old

    def _planned_anew(self, old: Optimizer) -> Optimizer:
        """Return ``old`` as a run of the new budget."""
        new = self.opt
        budget, points, outcomes = new.budget, {}, []
        history = old.history
        if len(history.x) == old.nfev and not old.sem_told:
            columns = (history.id.tolist(), history.loss.tolist(), history.time.tolist(), history.failure, history.x)
            for id_, loss, time, reason, x in zip(*columns, strict=True):
                points[id_] = x
                text = old.first_failures.get(reason)
                raised = None if text is None else Raised(RuntimeError(text), text)
                outcomes.append(Outcome(id_, loss, reason, raised=raised, time=time))
            new.budget = None
            try:
                new.replay(outcomes, points)
                new.seconds, new.limits = old.seconds, new.limits
                return new
            except CheckpointError:  # it asks for other points
                pass
            finally:
                new.budget = budget
        if not old.replan():
            warnings.warn(
                f"{self._path} goes on as it was planned for its first budget: with budget={budget} a run from the "
                "start would evaluate other points",
                stacklevel=2,
            )
        return old

    def _fold(self) -> None:
        """Move the journal's losses into the checkpoint. Cut off in between, both hold them, which is harmless."""
        if self._journal is not None:
            self.opt.save(self._path)
            self._journal.clear()
            self._since = 0

    def __enter__(self) -> KeptRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            if self._since and self._whole:
                self._fold()
            self._journal.close()


def _outcomes(log: Path) -> list[Outcome]:
    """Return the outcomes that the journal holds; raise CheckpointError if a line is corrupt."""
    outcomes = []
    for number, line in enumerate(log.read_bytes().split(b"\n")[:-1], start=1):
        body, _, check = line.rpartition(b" ")
        if not body or check != _checksum(body):
            raise CheckpointError(f"{log} is corrupt at line {number}")
        id_, loss, reason, *rest = json.loads(body)
        sem, time, text = [*rest, None, None, None][:3]  # lines of an earlier release have fewer
        raised = None if text is None else Raised(RuntimeError(text), text)
        outcomes.append(Outcome(id_, _number(loss), reason, _number(sem), raised, _number(time)))
    return outcomes


def _line(outcome: Outcome, is_first: bool) -> bytes:
    text = [outcome.raised.text] if is_first and outcome.raised else []
    numbers = [_hex(number) for number in (outcome.loss, outcome.sem, outcome.time)]
    body = json.dumps([outcome.id, numbers[0], outcome.reason, *numbers[1:], *text]).encode()
    return body + b" " + _checksum(body) + b"\n"


def _hex(number: float) -> str | None:
    return None if math.isnan(number) else float(number).hex()


def _number(text: str | None) -> float:
    return math.nan if text is None else float.fromhex(text)


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)

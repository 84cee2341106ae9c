"""A run that is kept on the disk: every loss is written down before it is told, and a run that was cut off resumes.

``<path>`` is the optimizer's checkpoint, ``<path>.journal`` has a line for each loss told since, and ``<path>.lock`` is
there while a run has them. A symbolic link is the file that it points to. To resume, the losses are told to the loaded
optimizer, which is deterministic; those of candidates that it has been told already are passed over.

A run that is resumed with another budget goes on as a run of that budget would, as far as that is possible: from its
start, if the method as planned for the new budget asks for the points that were evaluated; from here, if its plan can
be changed on the way (`Method.replanned`); else it keeps its plan, and says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from zoo_opt.core.errors import CheckpointError
from zoo_opt.core.outcome import Outcome, Raised
from zoo_opt.optimizer import Optimizer
from zoo_opt.storage import checkpoint
from zoo_opt.storage.append import AppendFile, ReplacedError
from zoo_opt.storage.journal import is_whole, journal_line, read_journal
from zoo_opt.storage.lock import Lock, is_read_only
from zoo_opt.storage.own_file import same_file

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
    resumed : Path or None
        The checkpoint that ``opt`` goes on from, if there was one.
    """

    def __init__(self, opt: Optimizer, path: str | os.PathLike[str] | None, *, seeded: bool) -> None:
        self.opt = opt
        self.resumed: Path | None = None
        self._journal: AppendFile | None = None
        self._read_only: OSError | None = None
        self._since = 0
        self._whole = True
        self._planned = False
        self._final: dict[int, Outcome] = {}
        if path is None:
            return
        self._identity, self._seeded = opt.identity, seeded
        self._types = checkpoint.types_in([self._identity, opt.method, opt.state])
        self._path = Path(os.path.realpath(path))
        self._log = self._path.with_name(self._path.name + ".journal")
        self._lock_file = self._path.with_name(self._path.name + ".lock")
        for place in (self._path, self._log, self._lock_file):
            if place.exists() and not place.is_file():
                raise CheckpointError(f"{place} must be a file: move away what is there")
        lock = self._locked()
        try:
            self._of_the_link(Path(path))
            if self._path.exists():
                self.opt, self.resumed = self._resumed(), self._path
            elif self._log.exists() and self._log.stat().st_size:
                raise CheckpointError(
                    f"{self._log} has no checkpoint {self._path} beside it: put that back, or delete the journal"
                )
            elif lock is not None:
                opt.save(self._path)
            if lock is not None:
                self._journal = AppendFile(self._log, whole=is_whole, lock=lock)
                self._saved = self._path.stat()
            if self._planned:  # what comes now is not to be told to the plan of before
                self._fold()
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        if lock is None and not self.opt.stop():
            self._refuse()

    def tell(self, outcomes: list[Outcome]) -> None:
        """Write the outcomes down and tell them."""
        if not outcomes:
            return
        journal = self._journal
        if journal is None:
            self.opt.replay(outcomes)
            return
        steps, seconds, known = self.opt.nit, self.opt.seconds, self.opt.failures
        outcomes = [Outcome(*outcome[:-1], seconds) for outcome in outcomes]
        self._whole = False  # an interrupt from here on may leave the optimizer behind its journal
        _append(journal, b"".join(journal_line(outcome, outcome.reason not in known) for outcome in outcomes))
        self.opt.replay(outcomes)
        self._whole = True
        self._since += len(outcomes)
        self._check(journal)
        if self._since >= _FOLD and self.opt.nit > steps:
            self._fold()

    def final(self, evaluate: Callable[[], Outcome]) -> Outcome:
        """Return what the final mean gave, evaluated once in the life of a run."""
        nfev = self.opt.nfev
        if nfev not in self._final:
            if self._read_only is not None:
                self._refuse()
            outcome = evaluate()
            if (journal := self._journal) is not None:
                self._fold()
                kept = outcome._replace(id=_FINAL, reason=f"{outcome.reason} {nfev}")
                _append(journal, journal_line(kept, bool(outcome.reason)))
                self._check(journal)
            self._final[nfev] = outcome
        return self._final[nfev]

    def _locked(self) -> Lock | None:
        """Return the lock of the run, before anything is looked at; None if the folder is only to be read."""
        try:
            return Lock(
                self._lock_file, lambda holder: CheckpointError(f"{self._path} is in use by another run{holder}")
            )
        except OSError as error:
            if not (is_read_only(error) and self._path.exists()):
                raise
            self._read_only = error
            return None

    def _refuse(self) -> NoReturn:
        """Raise that a run goes on that cannot be kept."""
        raise CheckpointError(
            f"{self._path} can be read but its run is not complete, and cannot be kept there: {self._read_only}"
        ) from self._read_only

    def _of_the_link(self, path: Path) -> None:
        """Refuse what an earlier release kept beside a symbolic link: losses that belong to the file it points to."""
        log = path.with_name(path.name + ".journal")
        if path.is_symlink() and log.exists() and log.stat().st_size and Path(os.path.realpath(log)) != self._log:
            raise CheckpointError(
                f"{log} has losses of the run at {self._path}, which {path} points to: move it to {self._log}, or "
                "delete it, and their calls are made again"
            )

    def _check(self, journal: AppendFile) -> None:
        """Raise if another run may have the files, or they are gone, before anything else is paid for."""
        path = self._path
        if journal.in_place() and same_file(path, self._saved):
            return
        self._since = 0
        place = path
        if not journal.is_locked or (path.exists() and not same_file(path, self._saved)):  # it may be another run's
            places = (path.with_name(f"{path.name}.kept{number}") for number in itertools.count(1))
            place = next(place for place in places if not place.exists())
        try:
            place.parent.mkdir(parents=True, exist_ok=True)  # the folder itself may have gone
            self.opt.save(place)
            then = f"are in {place}, from which it can go on"
        except OSError as error:
            then = f"cannot be saved: {error}"
        raise CheckpointError(
            f"{path}, its journal or its lock was deleted or replaced while a run had them; its {self.opt.nfev} "
            f"evaluations {then}"
        )

    def _on_disk(self) -> tuple[Optimizer, list[Outcome]]:
        """Return the optimizer that checkpoint and journal come to, and what is in the journal."""
        old = Optimizer.load(self._path, types=self._types)
        for what, theirs in old.identity.items():
            mine = self._identity[what]
            if mine != theirs and (self._seeded or what != "rng"):
                raise CheckpointError(
                    f"{self._path} is of another run: its {what} is {theirs!r}, this call's is {mine!r}; give another "
                    "path, or delete it to start anew"
                )
        outcomes = read_journal(self._log)
        budget, old.budget = old.budget, None
        try:
            old.replay(outcome for outcome in outcomes if outcome.id != _FINAL)
        except CheckpointError as error:
            raise CheckpointError(
                f"{self._log} is not of the run at {self._path}: {error}; put back the two that belong together, or "
                "delete the journal, and the calls in it are made again"
            ) from None
        old.budget = budget
        old.seconds = max([old.seconds, *(outcome.time for outcome in outcomes if outcome.time == outcome.time)])
        return old, outcomes

    def _resumed(self) -> Optimizer:
        """Return the optimizer at the path, brought up to date by the journal, and with this call's budget."""
        new = self.opt
        old, outcomes = self._on_disk()
        self._since = sum(outcome.id != _FINAL for outcome in outcomes)
        old.budget, old.limits = new.budget, new.limits
        spent = new.budget is not None and old.nfev >= new.budget  # nothing is left to plan
        planned = old.method
        if planned != new.method and not spent:
            old = self._planned_anew(old)
        self._planned = old.method != planned
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

    def interrupted(self) -> None:
        """Be told of an interrupt. It may have come in the middle of anything: from now on the disk counts."""
        self._whole = False

    def _fold(self) -> None:
        """Move the journal's losses into the checkpoint. Cut off in between, both hold them, which is harmless."""
        journal = self._journal
        if journal is None or not journal.is_open:  # not kept, or by the process this was forked from
            return
        self._check(journal)
        self._since = 0
        opt = self.opt if self._whole else self._on_disk()[0]
        try:
            opt.save(self._path)
            self._saved = self._path.stat()
            journal.clear()
        except OSError as error:
            warnings.warn(f"{self._path} stays as it was, its journal has all: {error}", stacklevel=2)

    def __enter__(self) -> KeptRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.interrupted()
        try:
            if self._since:
                self._fold()
        finally:
            if self._journal is not None:
                self._journal.close()


def _append(journal: AppendFile, lines: bytes) -> None:
    """Write the lines; that the file was replaced is said by `_check`, once the optimizer knows of them."""
    with contextlib.suppress(ReplacedError):
        journal.append(lines)

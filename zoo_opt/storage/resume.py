"""Recorder: tells an optimizer, keeping what was paid for on the disk first, and resumes a run that was cut off."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from zoo_opt.core.errors import CheckpointError
from zoo_opt.engines import Outcome
from zoo_opt.optimizer import Optimizer
from zoo_opt.storage import checkpoint, journal
from zoo_opt.storage.journal import Entry, Journal

_FOLD = 2000  # entries after which the journal is folded into the checkpoint
_FINAL = -1  # id of the final evaluation of the mean, which is no candidate


class Recorder:
    """Passes losses on to ``opt``; with a path, journals them first.

    Parameters
    ----------
    opt : Optimizer
        A new optimizer. If there is a checkpoint at ``path`` it must be of the same run, and takes its place.
    path : path-like or None
        Checkpoint; the journal is ``<path>.journal``. None: nothing is kept.
    seeded : bool
        Whether ``opt`` was made from a seed, which the checkpoint's must then equal.
    """

    def __init__(self, opt: Optimizer, path: str | os.PathLike[str] | None, *, seeded: bool) -> None:
        self.opt = opt
        self._journal: Journal | None = None
        self._since = 0
        self._whole = True
        self._final: dict[int, Outcome] = {}
        if path is None:
            return
        self._path = Path(path)
        log = self._path.with_name(self._path.name + ".journal")
        known = self._path.exists()
        if not known and log.exists() and log.stat().st_size:
            raise CheckpointError(
                f"{log} has no checkpoint {self._path} beside it: put that back, or delete the journal"
            )
        self._journal = Journal(log)  # locked, before anything is read or written
        try:
            if known:
                self.opt = self._resumed(opt, log, seeded)
            else:
                opt.save(self._path)
        except BaseException:
            self._journal.close()
            raise

    def tell(self, outcomes: list[Outcome]) -> None:
        """Write the outcomes down and tell them."""
        if not outcomes:
            return
        entries = [Entry(o.id, o.loss, o.reason, o.sem) for o in outcomes]
        steps = self.opt.nit
        self._whole = False  # an interrupt from here on may leave the optimizer behind its journal
        if self._journal is not None:
            self._journal.add(entries)
        self.opt._replay(entries)
        self._whole = True
        self._since += len(entries)
        if self._since >= _FOLD and self.opt.nit > steps:
            self._fold()

    def final(self, evaluate: Callable[[], Outcome]) -> Outcome:
        """Return what the final mean gave, evaluated once in the life of a run."""
        nfev = self.opt.nfev
        if nfev not in self._final:
            outcome = evaluate()
            if self._journal is not None:
                self._fold()
                self._journal.add([Entry(_FINAL, outcome.loss, f"{outcome.reason} {nfev}")])
            self._final[nfev] = outcome
        return self._final[nfev]

    def _resumed(self, new: Optimizer, log: Path, seeded: bool) -> Optimizer:
        """Return the optimizer at the path, brought up to date by the journal."""
        old = Optimizer.load(self._path, types=checkpoint.types_in(new._saved()))
        for what, ours, theirs in (
            ("method", new._given, old._given),
            ("lookahead", new.lookahead, old.lookahead),
            ("x0", new._origin, old._origin),
            ("rng", new._key if seeded else old._key, old._key),
        ):
            if ours != theirs:
                raise CheckpointError(
                    f"{self._path} is of another run: its {what} is {theirs!r}, this call's is {ours!r}"
                )
        old._budget = None
        entries = list(journal.entries(log))
        old._replay([entry for entry in entries if entry.id != _FINAL])
        for entry in entries:
            if entry.id == _FINAL:
                reason, _, nfev = entry.reason.rpartition(" ")
                self._final[int(nfev)] = Outcome(_FINAL, entry.loss, reason)
        old._budget = new.budget
        return old

    def _fold(self) -> None:
        """Move the journal's entries into the checkpoint. Cut off in between, both hold them, which is harmless."""
        if self._journal is not None:
            self.opt.save(self._path)
            self._journal.clear()
            self._since = 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            if self._since and self._whole:
                self._fold()
            self._journal.close()

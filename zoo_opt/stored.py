"""Saving an optimizer, loading it, and copying it."""

from __future__ import annotations

import copy
import dataclasses
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from zoo_opt.core.errors import CheckpointError, integer
from zoo_opt.core.limits import Limits
from zoo_opt.core.pipeline import Pipeline
from zoo_opt.core.readouts import ReadOuts
from zoo_opt.core.tally import Tally

if TYPE_CHECKING:
    from zoo_opt.space import Space

_SAVED = ("given", "budget", "d", "key", "origin")  # beside the pipeline and the tally


class Stored(ReadOuts):
    """What `Optimizer` is on the disk, and in a copy."""

    _space: Space | None
    _origin: str
    _key: Any
    _run: int
    _d: int
    _budget: int | None

    def _checksum(self) -> int:
        """Return what marks candidates as of this run, before their points are looked at; a save and load keep it."""
        from zoo_opt.storage import checkpoint

        return checkpoint.fingerprint([self._pipeline.method, self.lookahead, self._origin, self._key])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: all but the lock."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give a copy a lock of its own."""
        vars(self).update(state, _lock=threading.RLock())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, atomically: `load` goes on exactly from here, half-told steps included.

        Parameters
        ----------
        path : path-like
            File to write. A file that is there stays whole until the new one is on the disk.

        Raises
        ------
        TypeError
            If a hyper-parameter is not a number, string, tuple or dataclass of zoo_opt (a lambda as a schedule, say).
        """
        from zoo_opt.storage import checkpoint

        with self._lock:
            own = {name: copy.copy(getattr(self, f"_{name}")) for name in _SAVED}
            tally = {**self._tally.saved(), "limits": dataclasses.asdict(self._limits)}
            tree = {"pipeline": self._pipeline.saved(), "tally": tally, **own}
            tree |= {"space": self._space} if self._space else {}
        checkpoint.write(path, tree)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, types: Iterable[type] = ()) -> Self:
        """Return the optimizer that was saved at ``path``. Candidates that were out are free to be asked for again.

        Parameters
        ----------
        path : path-like
            A file written by `save`.
        types : iterable of dataclasses, optional
            Classes of your own that the method, its schedules or its state are made of.

        Raises
        ------
        CheckpointError
            If the file is corrupt, truncated, of a newer format, or names a class that is not known.
        OSError
            If the file cannot be read.
        """
        from zoo_opt.storage import checkpoint

        data = checkpoint.read(path, types)
        self = cls.__new__(cls)
        try:
            self._pipeline = Pipeline.restored(data["pipeline"])
            for name in _SAVED:
                setattr(self, f"_{name}", data[name])
            tally = data if "nfev" in data else data["tally"]  # at the top, in a file of an earlier release
            self._limits = Limits(**tally.get("limits", {}))
            self._tally = Tally.restored(tally)
            self._space = data.get("space")  # None if there is none
            self._run = self._checksum()
            self._lock = threading.RLock()
            self._look(checkpoint.most_bytes())
        except Exception as error:  # whatever comes of values that `save` has never written
            raise CheckpointError(
                f"{os.fspath(path)} is not a checkpoint of an Optimizer: {checkpoint.said(error)}"
            ) from error
        return self

    def _look(self, most: int) -> None:
        """Read what was loaded, and raise whatever comes of it if it is not as `save` writes it."""
        pipeline = self._pipeline
        integer("d", self._d, 0)
        if self._budget is not None:
            integer("budget", self._budget, 1)
        size, x = pipeline.method.size(pipeline.newest), pipeline.method.mean(pipeline.newest)
        if x.shape != (self._d,):
            raise ValueError(f"its mean has the shape {x.shape}, expected ({self._d},)")
        if size * x.nbytes > most:
            raise ValueError(f"a step of {size} candidates would take {size * x.nbytes} bytes, the limit is {most}")
        whole: Any = self  # an Optimizer
        _ = whole.stop(), self.history, self.best, repr(self)

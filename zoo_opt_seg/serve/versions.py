"""The versions of an adapted model that a server has: one answers, others can be asked for by name or taken back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt.core.errors import integer
from zoo_opt_seg.serve.segmenting import Segmenter

MOST = 100  # versions that are kept; chosen


@dataclass(frozen=True, eq=False)
class Version:
    """One version.

    Parameters
    ----------
    name : str
    segmenter : Segmenter
    about : mapping of str to Any
        What a list of versions says of it; anything for JSON.
    """

    name: str
    segmenter: Segmenter
    about: Mapping[str, Any] = field(default_factory=dict)


class Versions:
    """The versions of one model. Threads may share it; a question is answered as a whole by one version.

    Parameters
    ----------
    segmenter : Segmenter
        The first version.
    name : str
    about : mapping of str to Any, optional
    most : int
        Versions that are kept: of more the oldest is forgotten, but for the first one and the one that answers.
    """

    def __init__(
        self, segmenter: Segmenter, name: str = "1", about: Mapping[str, Any] | None = None, most: int = MOST
    ) -> None:
        self._current = Version(name, segmenter, about or {})
        self._known, self._first, self._lock = {name: self._current}, name, threading.Lock()
        self._most = integer("most", most, 2)

    @property
    def current(self) -> Version:
        """The one that answers."""
        return self._current

    @property
    def names(self) -> list[str]:
        """Of all versions, the oldest first."""
        with self._lock:
            return list(self._known)

    def __getitem__(self, name: str) -> Version:
        """Return a version; a KeyError that says which there are, if there is none of this name."""
        with self._lock:
            if name not in self._known:
                raise KeyError(f"there is no version {name!r:.80}, only {', '.join(self._known)}")
            return self._known[name]

    def put(
        self, segmenter: Segmenter, name: str = "", about: Mapping[str, Any] | None = None, *, use: bool = True
    ) -> Version:
        """Add a version, and have it answer from now on.

        Parameters
        ----------
        segmenter : Segmenter
        name : str
            By default the next number.
        about : mapping of str to Any, optional
        use : bool
            Whether it answers; else it is there to be asked for, and for `use`.

        Raises
        ------
        ValueError
            If there is one of this name.
        """
        with self._lock:
            name = name or str(1 + max((int(n) for n in self._known if n.isdecimal()), default=0))
            if name in self._known:
                raise ValueError(f"name must be that of no version yet, got {name!r}")
            version = self._known[name] = Version(name, segmenter, about or {})
            if use:
                self._current = version
            kept = (self._first, self._current.name, name)
            for old in [old for old in self._known if old not in kept][: max(0, len(self._known) - self._most)]:
                del self._known[old]
            return version

    def use(self, name: str) -> Version:
        """Have a version answer from now on, an earlier one for example; a KeyError if there is none of this name."""
        version = self[name]
        with self._lock:
            self._current = version
        return version

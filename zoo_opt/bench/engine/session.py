"""What a record says of each start: the experiment, its command, the versions and the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo_opt.bench.engine.record import FORMAT, Entry
from zoo_opt.support.installed import versions
from zoo_opt.support.json_files import plain
from zoo_opt.support.secrets import hidden_words


@dataclass(frozen=True)
class Experiment:
    """What the jobs are part of.

    Parameters
    ----------
    about : mapping
        What a reader needs to repeat it, plain values by name; ``suite`` is its name.
    program : str
        Of the command line.
    packages : tuple of str
        Whose versions are recorded.
    folder : Path or None
        Of the code whose commit is recorded.
    command : sequence of str or None
        None takes the command line's.
    """

    about: Mapping[str, Any] = field(default_factory=dict)
    program: str = "python"
    packages: tuple[str, ...] = ("zoo-opt", "numpy")
    folder: Path | None = None
    command: Sequence[str] | None = None

    def session(self) -> Entry:
        """The record's line for a start."""
        commit = {} if self.folder is None else {"commit": commit_of(self.folder)}
        return {
            "kind": "session",
            "format": FORMAT,
            **self.about,
            **commit,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join([self.program, *hidden_words(sys.argv[1:] if self.command is None else self.command)]),
            "versions": {"python": platform.python_version(), **versions(self.packages)},
            "machine": {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()},
        }

    def is_last_of(self, sessions: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the last session of this name says the same of it."""
        own = [session for session in sessions if session.get("suite") == self.about.get("suite")]
        return bool(own) and all(own[-1].get(name) == value for name, value in plain(self.about).items())


def processor() -> str:
    """The processor's name as Linux has it, else what Python knows."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit_of(folder: Path) -> str:
    """The commit that a folder's code is of, with "+" where it differs from it; "" outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "HEAD")
        return head + ("+" if head and git("status", "--porcelain", "--", str(folder)) else "")
    except OSError:
        return ""

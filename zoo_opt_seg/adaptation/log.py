"""The log of an adaptation, ``log.jsonl``: a line per step and per validation, in the order of the calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from zoo_opt.bench.engine.record import write_lines
from zoo_opt.support.json_files import json_line
from zoo_opt_seg.adaptation.folder import Line, read_lines


class RunLog:
    """The log, and the clock of the run.

    Parameters
    ----------
    path : Path or None
        The file, brought to where the optimizer and the validations are; None: nothing is written.
    steps : int
        Steps that are closed.
    validations : sequence of Line
        The lines of the validations that are done.
    """

    def __init__(self, path: Path | None, steps: int, validations: Sequence[Line]) -> None:
        self._path, self._before = path, 0.0
        if path is not None:
            closed = [line for line in read_lines(path) if line.get("kind") == "step" and line["step"] < steps]
            write_lines(sorted([*closed, *validations], key=lambda line: line["calls"]), path)
            self._before = max((line["seconds"] for line in closed), default=0.0)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far, those before an interruption included."""
        return self._before + time.monotonic() - self._began

    def add(self, line: Line) -> None:
        """Append one line."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(json_line(line))

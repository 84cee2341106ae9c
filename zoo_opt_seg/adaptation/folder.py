"""The folder of an adaptation: what was asked for, what has been paid for, and what came out.

::

    config.json     what the run is: everything to start it again, versions, the command
    log.jsonl       a line per step and per validation
    prompt.npz      the trained prompt
    refiner.safetensors    what corrects its answers, in a run with --refine
    metrics.json    what it gained; written last, so that its presence says that the run is complete
    panel.png, index.html
    state/          the optimizer's checkpoint and journal, validation and test results as they arrived

Everything is written so that a kill between any two instructions loses at most the question then asked to the black
box: whole files are written beside and renamed, journals are appended to, one line at a time, and synced.
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo_opt._version import __version__ as zoo_opt_version
from zoo_opt.core.errors import CheckpointError
from zoo_opt.optimizer import Optimizer
from zoo_opt.storage.append import AppendFile
from zoo_opt.storage.atomic import write_atomically
from zoo_opt.storage.format2 import CHANGED
from zoo_opt.storage.lock import Lock
from zoo_opt.support.installed import versions
from zoo_opt.support.json_files import is_json_object, json_line, plain, read_json, read_json_lines
from zoo_opt.support.secrets import hidden_command, hidden_in, hidden_words
from zoo_opt_seg.blackbox.cache import MaskFolder

Line = dict[str, Any]
REFINER = "refiner.safetensors"
_CHANGED = {place.rpartition(":")[2]: fields for place, fields in CHANGED.items()}  # by the names in a repr


class RunFolder:
    """Paths in a result folder, which is made where it does not exist.

    Parameters
    ----------
    path : path-like
        The folder.

    Raises
    ------
    ValueError
        If it cannot be made, or holds other things and no run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"out must be a folder, {self.path} is a file")
        ours = self.config.exists() or self.state.is_dir()
        if self.path.is_dir() and any(self.path.iterdir()) and not ours:
            raise ValueError(
                f"out must be a new or empty folder or that of a run to go on with, {self.path} is neither"
            )
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"out must be a folder that can be made, got {self.path}: {error}") from None

    config = property(lambda self: self.path / "config.json")
    log = property(lambda self: self.path / "log.jsonl")
    prompt = property(lambda self: self.path / "prompt.npz")
    refiner = property(lambda self: self.path / REFINER)
    metrics = property(lambda self: self.path / "metrics.json")
    panel = property(lambda self: self.path / "panel.png")
    page = property(lambda self: self.path / "index.html")
    state = property(lambda self: self.path / "state")

    @property
    def answers(self) -> MaskFolder:
        """Where the masks of a question are that was answered in part."""
        return MaskFolder(self.state / "answers", "masks", needed=True)

    @property
    def tested(self) -> MaskFolder:
        """Where answers about test images are that several rows of the test need."""
        return MaskFolder(self.state / "tested", "answers about test images", needed=True)

    @contextlib.contextmanager
    def claim(self, what: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[None]:
        """Write down what the run is, or check that the folder holds this run; no other has it until the end.

        Parameters
        ----------
        what : mapping
            What decides the result, JSON-able; compared.
        about : mapping
            What is good to know as well, such as versions; written, not compared.

        Raises
        ------
        CheckpointError
            If the folder holds another run, or one that is going on; the message names the first difference.
        """
        with Lock(self.state / "lock", lambda holder: CheckpointError(f"{self.path} is in use by another run{holder}")):
            self._compare(json.loads(json.dumps(what)), about)
            yield

    def _compare(self, what: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        paid = self._paid()
        before: Mapping[str, Any] = {}
        if self.config.exists():
            with contextlib.suppress(*(() if paid else (CheckpointError,))):
                before = read_json(self.config, CheckpointError)
        what, shown = without_secrets(what), without_secrets(before)
        differing = (name for name, value in what.items() if _comparable(before.get(name)) != _comparable(value))
        different = next((n for n in differing if not (n == "method" and _fewer(before.get(n), what[n]))), None)
        if paid and before and different:
            raise CheckpointError(
                f"{self.path} holds another run: its {different} is {short(shown.get(different))}, this call's is "
                f"{short(what[different])}; give another --out, or delete the folder"
            )
        if not paid and different:
            for path in (self.state / "optimizer.zoo", self.state / "validation.jsonl"):
                path.unlink(missing_ok=True)
        if not (paid and before):
            write_json(self.config, {**what, **without_secrets(hidden_in(about))})
        elif shown != before:  # as an earlier release wrote it
            write_json(self.config, shown)

    def _paid(self) -> bool:
        """Return whether the folder holds an answer that was paid for."""
        kept = (self.state / "optimizer.zoo.journal", self.log)
        if any(path.exists() and path.stat().st_size for path in kept) or self.metrics.exists():
            return True
        try:
            if any(line.get("dice") for line in read_lines(self.state / "validation.jsonl")):
                return True
            checkpoint = self.state / "optimizer.zoo"
            return checkpoint.exists() and Optimizer.load(checkpoint).nfev > 0
        except CheckpointError:  # corrupt, or of a method that is not of zoo_opt: it cannot be told
            return True


class Lines:
    """A journal of JSON lines; what `add` was given is on the disk when it returns.

    Parameters
    ----------
    path : Path or None
        Opened to append to; a last line that a kill cut off is taken away. None: nothing is kept.

    Attributes
    ----------
    known : list of Line
        What was there before.
    """

    def __init__(self, path: Path | None) -> None:
        self.known = [] if path is None else read_lines(path)
        self._file = None if path is None else AppendFile(path, whole=is_json_object)

    def add(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        if self._file is not None:
            self._file.append(json_line(line))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a journal, none if there is no file; one that was cut off by a kill is passed over.

    Raises
    ------
    CheckpointError
        If any other line is no JSON object.
    """
    return read_json_lines(path, error=CheckpointError)[0] if path.exists() else []


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(plain(value), indent=1, ensure_ascii=False)
    write_atomically(path, text.encode(errors="backslashreplace") + b"\n")  # names of files may be no Unicode


def floats(values: Iterable[float | None]) -> list[float]:
    """Return floats that a file of JSON held: null is NaN."""
    return [math.nan if value is None else float(value) for value in values]


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's ``config.json`` without the values of variables and other secrets in its model and command."""
    shown = dict(config)
    if isinstance(model := shown.get("model"), str):
        shown["model"] = hidden_command(model)
    if isinstance(command := shown.get("command"), list):
        shown["command"] = hidden_words(list(map(str, command)))
    return shown


def _comparable(value: Any) -> Any:
    """What tells runs apart: of a command not the values, nor whether they were given or named."""
    return hidden_command(value, references=True) if isinstance(value, str) else value


def short(value: Any) -> str:
    """Return ``value`` in at most 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def versions_used() -> dict[str, str]:
    """Return the versions of what a run runs on."""
    installed = versions(("numpy", "torch", "segment-anything", "monai", "timm"))
    return {"python": platform.python_version(), "zoo-opt": zoo_opt_version, **installed}


def _fewer(before: Any, now: str) -> bool:
    """Whether ``before`` is the method ``now`` as a version wrote it down that did not have all of its settings.

    Those that came since, or whose defaults have changed, are compared by the optimizer's checkpoint, where they have
    the values of today.
    """
    try:
        return _earlier(*(ast.parse(str(text), mode="eval").body for text in (before, now)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no call, as of another package's method, or forged
        return False


def _earlier(before: ast.expr, now: ast.expr) -> bool:
    if not (isinstance(before, ast.Call) and isinstance(now, ast.Call)):
        return ast.unparse(before) == ast.unparse(now)
    name = ast.unparse(now.func)
    theirs, ours = ({str(word.arg): word.value for word in call.keywords} for call in (before, now))
    if name in _CHANGED:
        known = {key: ast.literal_eval(value) for key, value in theirs.items()}
        kept = _CHANGED[name](known, lambda _, **parts: parts)
        theirs = {key: theirs[key] for key in kept}
    same = ast.unparse(before.func) == name and [*map(ast.unparse, before.args)] == [*map(ast.unparse, now.args)]
    return same and all(key in ours and _earlier(value, ours[key]) for key, value in theirs.items())

"""A black box in another process, which speaks bytes: any language, any environment, any machine behind a command.

A message is ``b"zoo1"``, its length as 8 bytes (little-endian), and an npz archive without pickles. The process first
says hello, with ``name`` and, where it is asked by text, ``prompted_by``, "text", in UTF-8; then each question
(``images``, and of ``points``, ``labels``, ``boxes``, ``masks`` what there is; ``texts`` as JSON in UTF-8) has one
answer: ``answer``, or ``error`` in UTF-8. It ends when its input does. Text is an array of uint8. `serve` is this other
end in Python.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import threading
import weakref
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

from zoo_opt.core.errors import positive
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBox,
    BlackBoxError,
    BlackBoxGone,
    SegmentationModel,
    as_black_box,
    check_answer,
    check_images,
    check_prompts,
)
from zoo_opt_seg.prompts import KINDS, Prompts

_MAGIC = b"zoo1"
_LARGEST = 1 << 40


class ProcessBlackBox(BlackBox):
    """A black box that asks another process, by bytes over its standard input and output.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; it calls `serve`, or speaks the protocol of this module. It is started at once.
    name : str, optional
        Its identity for `Cached` and records; by default what the process says.
    timeout : float, optional
        Seconds to wait for an answer (and for the start), after which the process is ended; None waits for ever.

    Attributes
    ----------
    pid : int
        The process.
    command : str
        The program and its arguments, as one types them in a shell.

    Raises
    ------
    BlackBoxError
        If the process cannot be started, dies, does not answer in time, says what is not the protocol, or reports an
        error of its model. The message ends with what the process wrote to its standard error. Only after the last of
        these can it be asked again; otherwise the next question raises `BlackBoxGone` and goes nowhere.

    Notes
    -----
    `close`, leaving a ``with`` block, the end of this object or of this process end the other one: its input closes,
    and 5 seconds later it is killed. Threads may share a black box; questions wait for one another.
    """

    def __init__(self, command: Sequence[str], name: str | None = None, timeout: float | None = None) -> None:
        if isinstance(command, str) or not command or not all(isinstance(c, (str, os.PathLike)) for c in command):
            raise TypeError(f"command must be a non-empty sequence of str, got {command!r}")
        self.command = shlex.join(map(os.fspath, command))
        self.timeout = None if timeout is None else positive("timeout", timeout)
        self._lock = threading.Lock()
        self._stderr: collections.deque[str] = collections.deque(maxlen=20)
        self._reason = ""
        try:
            self._process = subprocess.Popen(
                [os.fspath(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us; it ends when its input does
            )
        except OSError as error:
            raise BlackBoxError(f"the black box {os.fspath(command[0])!r} cannot be started: {error}") from None
        self.pid = self._process.pid
        self._reader = threading.Thread(target=_drain, args=(self._process.stderr, self._stderr), daemon=True)
        self._reader.start()
        self._finalizer = weakref.finalize(self, _end, self._process, self._reader)
        hello = self._exchange(None)
        self.name = name or _text(hello.get("name")) or None
        self.prompted_by = _text(hello.get("prompted_by")) or None

    @property
    def label(self) -> str:
        """Its name, or the command."""
        return self.name or self.command

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks that the process answers, checked."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        question = {"images": images, **_as_arrays(prompts)}
        with self._lock:
            answer = self._exchange(question)
        if "error" in answer:
            raise BlackBoxError(f"the black box in process {self.pid} failed: {_text(answer['error'])}{self._tail()}")
        if "answer" not in answer:
            raise BlackBoxError(f"the black box in process {self.pid} answered without 'answer', got {sorted(answer)}")
        return check_answer(answer["answer"], images.shape[:3], f"the black box in process {self.pid}")

    def close(self) -> None:
        """End the process; a second time nothing happens."""
        self._reason = self._reason or "it was closed"
        self._finalizer()

    def __enter__(self) -> ProcessBlackBox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, question: dict[str, Array] | None) -> dict[str, Array]:
        """Send a question (None: none, the start) and return the answer; whatever goes wrong ends the process."""
        if self._reason:
            raise BlackBoxGone(f"the black box in process {self.pid} cannot be asked any more: {self._reason}")
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        alarm = threading.Timer(self.timeout or 0, give_up)
        alarm.daemon = True
        if self.timeout is not None:
            alarm.start()
        try:
            if question is not None:
                send(self._process.stdin, question)  # type: ignore[arg-type]
            answer = receive(self._process.stdout)  # type: ignore[arg-type]
            if answer is None:
                raise EOFError("it closed its output")
            return answer
        except (OSError, EOFError, ValueError) as error:
            self._reason = f"no answer in {self.timeout:g} s" if late.is_set() else str(error)
            if isinstance(error, ValueError):  # it may go on talking for ever
                self._process.kill()
            elif not late.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._reason = f"it ended with status {self._process.wait(5.0)}"
            self.close()
            message = f"the black box in process {self.pid} did not answer: {self._reason}{self._tail()}"
            raise BlackBoxError(message) from None
        except BaseException:  # Ctrl-C: an answer may still come, and it would be taken for the next one
            self._reason = "it was interrupted"
            self._process.kill()
            self.close()
            raise
        finally:
            alarm.cancel()

    def _tail(self) -> str:
        if self._process.poll() is not None:
            self._reader.join(1.0)
        said = "".join(self._stderr).strip()
        return f"\nIt wrote:\n{said}" if said else ""


def process_of(command: str) -> ProcessBlackBox:
    """Return the black box that a command line starts, with the words that a shell would make of it."""
    return ProcessBlackBox(shlex.split(command))


def serve(
    model: SegmentationModel | Callable[..., Any], source: BinaryIO | None = None, sink: BinaryIO | None = None
) -> None:
    """Answer questions until the input ends: the other end of `ProcessBlackBox`.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes. Errors it raises are sent back, and the next question is
        awaited.
    source, sink : binary files, optional
        By default standard input and output; what the model prints then goes to standard error.
    """
    box = as_black_box(model)
    source = source or sys.stdin.buffer
    if sink is None:
        sys.stdout.flush()
        sink = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what C code prints as well
        sys.stdout = sys.stderr
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        send(sink, {"name": _bytes(box.name or ""), "prompted_by": _bytes(box.prompted_by or "")})
        while (question := receive(source)) is not None:
            try:
                answer = {"answer": box(question.pop("images"), _as_prompts(question))}
            except Exception as error:
                answer = {"error": _bytes(f"{type(error).__name__}: {error}")}
            send(sink, answer)


def send(file: BinaryIO, arrays: dict[str, Array]) -> None:
    """Write one message."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    payload = buffer.getbuffer()
    file.write(_MAGIC + len(payload).to_bytes(8, "little"))
    file.write(payload)
    file.flush()


def receive(file: BinaryIO) -> dict[str, Array] | None:
    """Read one message, or None at the end of the file.

    Raises
    ------
    EOFError
        If the file ends within a message.
    ValueError
        If what comes is no message.
    """
    head = file.read(12)
    if not head:
        return None
    size = int.from_bytes(head[4:], "little")
    if head[:4] != _MAGIC[: len(head)] or size > _LARGEST:
        raise ValueError(f"what it wrote to its output is not a message of serve(): it begins {head!r}")
    payload = file.read(size) if len(head) == 12 else b""
    if len(head) < 12 or len(payload) < size:
        raise EOFError("its output ended within a message")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"its message is no npz archive of arrays: {error}") from None


def _as_arrays(prompts: Prompts) -> dict[str, Array]:
    return {name: _bytes(json.dumps(value)) if name == "texts" else value for name, value in prompts.given()}


def _as_prompts(arrays: dict[str, Array]) -> Prompts:
    kinds: dict[str, Any] = {name: arrays[name] for name in KINDS if name in arrays}
    return Prompts(**kinds | ({"texts": tuple(json.loads(_text(kinds["texts"])))} if "texts" in kinds else {}))


def _bytes(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8)


def _text(array: Array | None) -> str:
    return "" if array is None else array.tobytes().decode(errors="replace")


def _drain(file: BinaryIO, into: collections.deque[str]) -> None:
    with contextlib.suppress(ValueError, OSError):  # closed
        for line in file:
            into.append(line.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    """Close the input, wait, kill."""
    with contextlib.suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    reader.join(1.0)
    if not reader.is_alive():  # else a child of its own has its standard error still
        process.stderr.close()  # type: ignore[union-attr]

"""A black box in another process, which speaks bytes: any language, any environment, any machine behind a command.

The process first says hello, with ``name`` and, where it is asked by text, ``prompted_by``, "text"; then each question
(``id``, ``images``, and of ``points``, ``labels``, ``boxes``, ``masks`` what there is; ``texts`` as JSON) has one
answer: the question's ``id``, and ``answer`` or ``error``. An error may have a ``kind``, "not served" or "refused", and
``retry_after``, seconds. Where some images have no mask, ``failed`` stands beside the answer: in JSON, by row, an
object of ``error``, ``kind`` and ``retry_after``. It ends when its input does. `zoo_opt_seg.blackbox.messages` has the
form of a message, `serve` is this other end in Python.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

from zoo_opt.core.errors import positive
from zoo_opt.support import children
from zoo_opt.support.secrets import hidden, hidden_words, resolved
from zoo_opt_seg.blackbox.messages import (
    SMALL,
    as_bytes,
    as_text,
    error_arrays,
    error_from,
    errors_from,
    longest_answer,
    prompt_arrays,
    prompts_from,
    receive,
    send,
)
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBox,
    BlackBoxError,
    BlackBoxGone,
    PartlyAnswered,
    SegmentationModel,
    as_black_box,
    check_images,
    check_prompts,
    whole_answer,
)
from zoo_opt_seg.prompts import Prompts

_KEPT = 1 << 16  # bytes of standard error that are kept; chosen
_SHOWN, _LINES = 4000, 20  # letters and lines of them that a message ends with; chosen


class ProcessBlackBox(BlackBox):
    """A black box that asks another process, by bytes over its standard input and output.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; it calls `serve`, or speaks the protocol of this module. It is started at once,
        with the environment's values for ``$NAME`` in a word.
    name : str, optional
        Its identity for `Cached` and records; by default what the process says.
    timeout : float, optional
        Seconds to wait for an answer (and for the start), after which the process is ended; None waits for ever.

    Attributes
    ----------
    pid : int
        The process.
    command : str
        The program and its arguments, as one types them in a shell, without the values of variables: ``***``.
    stderr : str
        What it wrote to its standard error, the last 64 KB.

    Raises
    ------
    BlackBoxError
        If the process cannot be started, or reports an error of its model, after which it can be asked again. The
        message ends with the last lines that the process wrote to its standard error.
    BlackBoxGone
        If it dies, does not answer in time, or says what is not the protocol, and for every question after that.
    NotServed, Refused, PartlyAnswered
        If the model raises them there.
    ValueError
        If a variable that the command names is not set.

    Notes
    -----
    `close`, leaving a ``with`` block, the end of this object or of this process end the other one: its input closes,
    and 5 seconds later it is killed. Where this process is killed, it and what it has started get SIGTERM at once, and
    SIGKILL 5 seconds later. Threads may share a black box; questions wait for one another.
    """

    def __init__(self, command: Sequence[str], name: str | None = None, timeout: float | None = None) -> None:
        if isinstance(command, str) or not command or not all(isinstance(c, (str, os.PathLike)) for c in command):
            raise TypeError(f"command must be a non-empty sequence of str, got {command!r}")
        words = [os.fspath(word) for word in command]
        self.command = shlex.join(hidden_words(words))
        self.timeout = None if timeout is None else positive("timeout", timeout)
        self._lock = threading.Lock()
        self._stderr = _LastBytes()
        self._ids = itertools.count(1)
        self._reason = ""
        try:
            self._process = subprocess.Popen(
                resolved(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us; it ends when its input does
            )
        except OSError as error:
            raise BlackBoxError(f"the black box {hidden(words[0])!r} cannot be started: {hidden(str(error))}") from None
        children.keep(self._process)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._stderr.drain, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self._finalizer = weakref.finalize(self, _end, self._process, self._reader)
        hello = self._exchange(None, SMALL)
        self.name = name or as_text(hello.get("name")) or None
        self.prompted_by = as_text(hello.get("prompted_by")) or None

    @property
    def label(self) -> str:
        """Its name, or the command."""
        return self.name or self.command

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks that the process answers, checked."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        question = {"images": images, **prompt_arrays(prompts)}
        with self._lock:
            answer = self._exchange(question, longest_answer(images.shape[:3]))
        who = f"the black box in process {self.pid}"
        if "error" in answer:
            raise error_from(answer, who, self._tail())
        if "answer" not in answer:
            raise BlackBoxError(f"{who} answered without 'answer', got {sorted(answer)}")
        if "failed" in answer:
            raise PartlyAnswered(answer["answer"], errors_from(answer["failed"], who)).checked(images.shape[:3], who)
        return whole_answer(answer["answer"], images.shape[:3], who)

    @property
    def stderr(self) -> str:
        """What it wrote to its standard error, the last 64 KB."""
        return self._stderr.data.decode(errors="replace")

    def close(self) -> None:
        """End the process; a second time nothing happens."""
        self._reason = self._reason or "it was closed"
        self._finalizer()

    def __enter__(self) -> ProcessBlackBox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, question: dict[str, Array] | None, most: int) -> dict[str, Array]:
        """Send a question (None: none, the start) and return its answer; whatever goes wrong ends the process."""
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
            number = 0 if question is None else next(self._ids)
            if question is not None:
                send(self._process.stdin, {**question, "id": np.array(number)})  # type: ignore[arg-type]
            while True:
                answer = receive(self._process.stdout, most)  # type: ignore[arg-type]
                if answer is None:
                    raise EOFError("it closed its output")
                if question is None or _number(answer) == number:
                    return {name: array for name, array in answer.items() if name != "id"}
                if not 0 < _number(answer) < number:  # else it says again what it has said
                    raise ValueError(f"it must repeat the question's id, {number}, in its answer, got {_said(answer)}")
        except (OSError, EOFError, ValueError) as error:
            self._reason = f"no answer in {self.timeout:g} s" if late.is_set() else str(error)
            if isinstance(error, ValueError):  # it may go on talking for ever
                self._process.kill()
            elif not late.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._reason = f"it ended with status {self._process.wait(5.0)}"
            self.close()
            message = f"the black box in process {self.pid} did not answer: {self._reason}{self._tail()}"
            raise BlackBoxGone(message) from None
        except BaseException:  # Ctrl-C: a message may be half written, or half read
            self._reason = "it was interrupted"
            self._process.kill()
            self.close()
            raise
        finally:
            alarm.cancel()

    def _tail(self) -> str:
        if self._process.poll() is not None:
            self._reader.join(1.0)
        said = hidden("\n".join(self.stderr[-_SHOWN:].strip().splitlines()[-_LINES:]))
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
        send(sink, {"name": as_bytes(box.name or ""), "prompted_by": as_bytes(box.prompted_by or "")})
        while (question := receive(source)) is not None:
            number = {"id": question["id"]} if "id" in question else {}  # an earlier release asks without
            try:
                answer = {"answer": box(question["images"], prompts_from(question))}
            except Exception as error:
                answer = error_arrays(error)
            send(sink, {**answer, **number})


class _LastBytes:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self.data = b""

    def drain(self, file: BinaryIO) -> None:
        """Read a stream to its end, whatever its lines."""
        with contextlib.suppress(ValueError, OSError):  # closed
            while block := file.read1(_KEPT):  # type: ignore[attr-defined]
                self.data = (self.data + block)[-_KEPT:]


def _number(answer: dict[str, Array]) -> int:
    """The id of an answer, -1 where it is none."""
    id_ = answer.get("id")
    return int(id_.item()) if id_ is not None and id_.size == 1 and id_.dtype.kind in "iu" else -1


def _said(answer: dict[str, Array]) -> str:
    return f"{answer['id'].tolist()!r:.80}" if "id" in answer else f"no id beside {sorted(answer)}"


def _end(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    """Close the input, wait, kill."""
    with contextlib.suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    children.release(process)
    process.stdout.close()  # type: ignore[union-attr]
    reader.join(1.0)
    if not reader.is_alive():  # else a child of its own has its standard error still
        process.stderr.close()  # type: ignore[union-attr]

"""What black boxes in other processes are told, and say: messages of arrays, by bytes.

A message is ``b"zoo1"``, its length as 8 bytes (little-endian), and an npz archive without pickles. Text is an array of
uint8, in UTF-8. Whoever reads says how long a message may be, and takes no memory for more than has come.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import Array, BlackBoxError, PartlyAnswered
from zoo_opt_seg.prompts import KINDS, Prompts

_MAGIC = b"zoo1"
_BLOCK = 1 << 20  # bytes that are read at a time
SMALL = 1 << 20  # bytes of a message without masks, and of what a message has beside them; chosen
LARGEST = 1 << 32  # bytes of a question: 1,300 float images of 512 x 512 with points; chosen
_WORDS = 2000  # letters of an error; chosen
_PER_PIXEL, _PER_IMAGE = 16, 1 << 14  # bytes of an answer at most: the widest float of numpy; an error in words
_LONGEST_HEADER = 1 << 16  # bytes of an .npy file that its header ends within; numpy takes less
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def send(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write one message."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with buffer.getbuffer() as payload:
        file.write(_MAGIC + len(payload).to_bytes(8, "little"))
        file.write(payload)
    file.flush()


def receive(file: BinaryIO, most: int = LARGEST) -> dict[str, Array] | None:
    """Read one message of at most so many bytes, or None at the end of the file.

    Raises
    ------
    EOFError
        If the file ends within a message.
    ValueError
        If what comes is no message, or a longer one.
    """
    head = file.read(12)
    if not head:
        return None
    size = int.from_bytes(head[4:], "little")
    if head[:4] != _MAGIC[: len(head)]:
        raise ValueError(f"what it wrote to its output is not a message of serve(): it begins {head!r}")
    if len(head) == 12 and size > most:
        raise ValueError(f"its message must have at most {most} bytes, got one of {size}")
    payload = bytearray()
    while len(head) == 12 and len(payload) < size:
        block = file.read(min(_BLOCK, size - len(payload)))
        if not block:
            break
        payload += block
    if len(head) < 12 or len(payload) < size:
        raise EOFError("its output ended within a message")
    try:
        return _arrays(payload, most)
    except Exception as error:  # whatever zip, zlib and numpy make of bytes that `send` never wrote
        raise ValueError(f"its message is no npz archive of arrays: {error}") from None


def longest_answer(shape: tuple[int, ...]) -> int:
    """Return how many bytes an answer of masks (n, H, W) may have."""
    return SMALL + _PER_PIXEL * math.prod(shape) + _PER_IMAGE * shape[0]


def _arrays(payload: bytearray, most: int) -> dict[str, Array]:
    """Return the arrays of an archive whose members have at most ``most`` bytes together."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most:
            raise ValueError(f"its arrays must have at most {most} bytes together")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{member.filename} is packed in a way that is not known")
            data, there = bytearray(member.file_size), 0
            with archive.open(member) as file:
                while more := file.readinto(memoryview(data)[there:]):  # type: ignore[attr-defined]
                    there += more
            arrays[member.filename.removesuffix(".npy")] = _array(data)
    return arrays


def _array(data: bytearray) -> Array:
    """Return the array of an .npy file; what its header says is held against the bytes that are there."""
    file = io.BytesIO(data[:_LONGEST_HEADER])
    shape, by_columns, kind = _HEADERS[np.lib.format.read_magic(file)](file)
    begin = file.tell()
    if kind.hasobject or math.prod(shape) * kind.itemsize != len(data) - begin:
        raise ValueError(f"an array of {kind} of shape {shape} has not {len(data) - begin} bytes")
    values = np.frombuffer(data, kind, offset=begin) if len(data) > begin else np.empty(0, kind)
    return values.reshape(shape, order="F" if by_columns else "C")


# ------------------------------------------------------------------------------------------------------------ prompts
def prompt_arrays(prompts: Prompts) -> dict[str, Array]:
    """Return prompts as a question has them."""
    return {name: as_bytes(json.dumps(value)) if name == "texts" else value for name, value in prompts.given()}


def prompts_from(arrays: Mapping[str, Array]) -> Prompts:
    """Return the prompts of a question."""
    kinds: dict[str, Any] = {name: arrays[name] for name in KINDS if name in arrays}
    return Prompts(**kinds | ({"texts": tuple(json.loads(as_text(kinds["texts"])))} if "texts" in kinds else {}))


def as_bytes(text: str) -> Array:
    """Return text as an array of uint8."""
    return np.frombuffer(text.encode(), np.uint8)


def as_text(array: Array | None) -> str:
    """Return the text of an array, "" of None."""
    return "" if array is None else array.tobytes().decode(errors="replace")


# ------------------------------------------------------------------------------------------------------------- errors
def error_arrays(error: Exception) -> dict[str, Array]:
    """Return what an answer has instead of masks, or beside those that came."""
    if isinstance(error, PartlyAnswered):
        failed = {row: _words(each) for row, each in error.errors.items()}
        return {"answer": error.masks, "failed": as_bytes(json.dumps(failed))}
    return {name: np.asarray(word) if name == "retry_after" else as_bytes(word) for name, word in _words(error).items()}


def error_from(answer: Mapping[str, Array], who: str, after: str) -> Exception:
    """Return the error that an answer has instead of masks, with words before and after its own."""
    words = {name: as_text(answer.get(name)) for name in ("error", "kind")}
    return _error({**words, "retry_after": answer.get("retry_after")}, f"{who} failed: ", after)


def errors_from(failed: Array, who: str) -> dict[int, Exception]:
    """Return the errors that an answer has beside masks, by row.

    Raises
    ------
    BlackBoxError
        If they are none.
    """
    try:
        return {int(row): _error(words, f"{who} failed: ") for row, words in json.loads(as_text(failed)).items()}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise BlackBoxError(f"{who} answered with 'failed' that is no JSON of errors by row: {error}") from None


def _words(error: Exception) -> dict[str, Any]:
    if isinstance(error, NotServed):
        later = {} if error.retry_after is None else {"retry_after": float(error.retry_after)}
        return {"error": str(error)[:_WORDS], "kind": "not served", **later}
    if isinstance(error, Refused):
        return {"error": str(error)[:_WORDS], "kind": "refused"}
    return {"error": f"{type(error).__name__}: {error}"[:_WORDS]}


def _error(words: Mapping[str, Any], before: str, after: str = "") -> Exception:
    text = f"{before}{hidden(words['error'])}{after}"
    if words.get("kind") == "not served":
        return NotServed(text, retry_after=_seconds(words.get("retry_after")))
    return Refused(text) if words.get("kind") == "refused" else BlackBoxError(text)


def _seconds(later: Any) -> float | None:
    """A number of seconds; None of anything else, since an outage stays one whatever is said of its end."""
    try:
        return None if later is None else float(np.asarray(later).item())
    except (TypeError, ValueError, OverflowError):
        return None

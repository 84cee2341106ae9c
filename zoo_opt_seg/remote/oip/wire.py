"""Messages of the Open Inference Protocol over HTTP: JSON, with tensors in it or, by the binary extension, behind it.

Written once: the client writes questions and reads answers with it, the server reads questions and writes answers.
Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.oip import tensors

BINARY = "binary_tensor_data"  # the extension's name in a server's metadata
LENGTH = "inference-header-content-length"  # the header that says how many bytes of a body are JSON
LARGEST_JSON = 1 << 28  # bytes of JSON; chosen. While it is read, JSON takes up to 25 times its bytes
_MOST_TENSORS = 256  # of a message; chosen
_ALIGNED = 8  # bytes: where tensors begin, so that they need not be copied
Side = Literal["inputs", "outputs"]


@dataclass(frozen=True)
class Message:
    """A question or an answer.

    Parameters
    ----------
    tensors : dict of str to array
        By name, in their order. Binary ones are views of the body: not to be written to.
    head : dict of str to Any
        What else is there: ``id``, ``parameters``, ``model_name``, ...
    asked : dict of str to bool or None
        Of a question: the outputs that are asked for by name, and whether as binary; None is not said.
    """

    tensors: Mapping[str, Array]
    head: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, bool | None] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        """Return whether a question asks for this output: by name, or for all by none."""
        return not self.asked or name in self.asked

    def wants_binary(self, name: str) -> bool:
        """Return whether a question asks for this output as binary."""
        said = self.asked.get(name)
        return (self.head.get("parameters") or {}).get("binary_data_output") is True if said is None else said


def write(
    side: Side,
    arrays: Mapping[str, Array],
    *,
    binary: Collection[str] = (),
    ask: Mapping[str, bool] | None = None,
    head: Mapping[str, Any] | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return the body of a message, and its headers.

    Parameters
    ----------
    side : {"inputs", "outputs"}
        Whether it is a question or an answer.
    arrays : mapping of str to array
    binary : collection of str
        Tensors that go as bytes behind the JSON.
    ask : mapping of str to bool, optional
        Outputs that a question asks for, and whether as binary.
    head : mapping of str to Any, optional
        ``id``, ``parameters``, ``model_name``, ``model_version``.

    Raises
    ------
    ValueError
        If an array has no datatype, or values that JSON has not.
    """
    entries: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = []
    for name, array in arrays.items():
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": tensors.datatype_of(array)}
        if name in binary:
            parts.append(tensors.to_bytes(array))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = tensors.to_json(name, array)
        entries.append(entry)
    whole = {**(head or {}), side: entries}
    if ask:
        whole["outputs"] = [
            {"name": name, **({"parameters": {"binary_data": True}} if as_bytes else {})}
            for name, as_bytes in ask.items()
        ]
    text = json.dumps(whole, allow_nan=False, separators=(",", ":")).encode()
    if not parts:
        return text, {"content-type": "application/json"}
    text += b" " * (-len(text) % _ALIGNED)
    return b"".join([text, *parts]), {"content-type": "application/octet-stream", LENGTH: str(len(text))}


def read(side: Side, content: bytes, headers: Mapping[str, str], *, most_json: int = LARGEST_JSON) -> Message:
    """Return the message of a body.

    Parameters
    ----------
    side : {"inputs", "outputs"}
        Whether it is a question or an answer.
    content : bytes
    headers : mapping of str to str
        Names in small letters.
    most_json : int
        Bytes of JSON that are read.

    Raises
    ------
    ValueError
        If it is no message; in one sentence.
    """
    size = _json_size(content, headers.get(LENGTH))
    if size > most_json:
        raise ValueError(f"the JSON of a message must have at most {most_json} bytes, got {size}")
    view = memoryview(content)
    whole = _parsed(content if size == len(content) else bytes(view[:size]))
    found: dict[str, Array] = {}
    begin = size
    for number, entry in enumerate(_entries(whole, side)):
        name = _name(entry, f"{side}[{number}]")
        if name in found:
            raise ValueError(f"{side} must have different names, got {name!r:.80} twice")
        behind = _binary_size(entry, name)
        datatype = tensors.check_datatype(name, entry.get("datatype"))
        shape = tensors.check_shape(name, entry.get("shape"))
        if behind is None:
            found[name] = tensors.from_json(name, datatype, shape, entry.get("data"))
            continue
        if begin + behind > len(content):
            raise ValueError(f"{name}: its {behind} binary bytes must follow the JSON, got {len(content) - begin}")
        found[name] = tensors.from_bytes(name, datatype, shape, view[begin : begin + behind])
        begin += behind
    if begin != len(content):
        raise ValueError(f"the body has {len(content) - begin} bytes that belong to no tensor")
    asked = _asked(whole) if side == "inputs" else {}
    head = {key: value for key, value in whole.items() if key not in ("inputs", "outputs")}
    return Message(found, head, asked)


def _json_size(content: bytes, said: str | None) -> int:
    """Return how many bytes of a body are JSON."""
    if said is None:
        return len(content)
    size = int(said) if said.isascii() and said.isdigit() and len(said) < 20 else -1
    if not 0 <= size <= len(content):
        raise ValueError(f"{LENGTH} must be a number of bytes up to the body's {len(content)}, got {said!r:.40}")
    return size


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the message must be JSON: {str(error)[:120]}") from None
    if not isinstance(whole, dict):
        raise ValueError(f"the message must be a JSON object, got {type(whole).__name__}")
    if not isinstance(whole.get("parameters") or {}, dict):
        raise ValueError(f"parameters must be an object, got {type(whole['parameters']).__name__}")
    return whole


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _entries(whole: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    entries = whole.get(side)
    if not isinstance(entries, list) or len(entries) > _MOST_TENSORS:
        raise ValueError(f"{side} must be a list of at most {_MOST_TENSORS} tensors, got {tensors.brief(entries)}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("parameters") or {}, dict):
            raise ValueError(f"{side}[{number}] must be an object whose parameters are one too")
    return entries


def _name(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name or len(name) > 1000:
        raise ValueError(f"{where}: name must be a text, got {tensors.brief(name)}")
    return name


def _binary_size(entry: Mapping[str, Any], name: str) -> int | None:
    """Return how many bytes of a tensor lie behind the JSON, None if it is in it."""
    size = (entry.get("parameters") or {}).get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise ValueError(f"{name}: binary_data_size must be a whole number >= 0, got {tensors.brief(size)}")
    if "data" in entry:
        raise ValueError(f"{name}: a tensor must have data or binary_data_size, got both")
    return size


def _asked(whole: Mapping[str, Any]) -> dict[str, bool | None]:
    if whole.get("outputs") is None:
        return {}
    asked: dict[str, bool | None] = {}
    for number, entry in enumerate(_entries(whole, "outputs")):
        said = (entry.get("parameters") or {}).get("binary_data")
        asked[_name(entry, f"outputs[{number}]")] = said is True if said is not None else None
    return asked

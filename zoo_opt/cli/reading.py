"""What the words of a command line say: numbers, vectors, boxes, options."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.space import Space, SpacePoint

_NEGATIVE = re.compile(r"-(\.?\d|inf)")


def joined(words: Sequence[str]) -> list[str]:
    """Return the words with ``--x0 -1,0`` as ``--x0=-1,0``: argparse takes most words with a minus for options."""
    read: list[str] = []
    for word in words:
        if read and _NEGATIVE.match(word) and re.fullmatch(r"--\w[\w-]*", read[-1]):
            read[-1] += f"={word}"
        else:
            read.append(word)
    return read


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["a=1", "b=text"]`` as a dict; values are JSON where they can be."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"an option must be NAME=VALUE, got {pair!r}")
        options[name] = _value(value)
    return options


def _value(text: str) -> Any:
    """JSON, else a number as Python writes it (.5), else the text itself."""
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def read_start(text: str) -> NDArray[Any]:
    """``"1,2"``, ``"zeros:3"`` or a .npy file as a vector."""
    import numpy as np

    try:
        if text.endswith(".npy"):
            loaded: NDArray[Any] = np.load(text, allow_pickle=False)
            return loaded
        if text.startswith("zeros:"):
            return np.zeros(int(text.removeprefix("zeros:")))
        return np.array([float(v) for v in text.split(",")])
    except (ValueError, OSError) as error:
        raise UsageError(
            f'--x0 must be numbers such as "1,2.5", "zeros:N" or a .npy file, got {text!r}: {error}'
        ) from None


def read_space(file: str, start: str | None) -> Space | SpacePoint:
    """The space that a TOML file describes, and a start ``"C=1,kernel=rbf"`` in it, which may leave parameters out."""
    import zoo_opt as zo

    try:
        space = zo.Space.from_dict(tomllib.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"--space {file}: {error}") from None
    return space if start is None else space.at(read_options(start.split(",")))


def read_bounds(text: str) -> tuple[Any, Any]:
    """``"-5:5"``, or a pair for each variable, ``"0:,-1:1"``, as (low, high); a side left empty is not bounded."""
    import numpy as np

    try:
        sides = [_sides(pair) for pair in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f'--bounds must be LOW:HIGH, such as "-5:5" or "0:", or one for each variable with commas between, '
            f"got {text!r}: {error}"
        ) from None
    if len(sides) == 1:
        return sides[0]
    low, high = np.array(sides).T
    return low, high


def _sides(pair: str) -> tuple[float, float]:
    low, colon, high = pair.partition(":")
    if not colon:
        raise ValueError(f"there is no colon in {pair!r}")
    return float(low or "-inf"), float(high or "inf")

"""Random directions some numbers at a time, made of raw words: the same for any split, on any device.

They are those of the core (`zoo_opt.gradient.draws`) for a vector of all parameters one after another: direction k of
a step begins at a whole word of the step's stream, and each word is a function of (key, step, place) alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo_opt.core.keys import Key, words
from zoo_opt.gradient.draws import (
    Draws,
    Gaussian,
    QuantileGaussian,
    Rademacher,
    SegmentedUniform,
    quantiles,
    sign_table,
)
from zoo_opt.torch.arrays import TYPES, Arrays, Flat, HostArrays

_HOST = HostArrays()
ALIGNED = 256  # numbers: where parts of a direction may begin, a whole block of the cipher for all kinds


class Term(NamedTuple):
    """A multiple of a direction, delta, or of its dual, psi."""

    a: float
    dual: bool = False


class Kind(NamedTuple):
    """A family of directions.

    Attributes
    ----------
    name : str
        In a log.
    index : numpy type
        What is cut out of the words.
    each : int
        Numbers that one index gives.
    reach, dual_reach : float
        The largest coordinate of delta, and of psi.
    """

    name: str
    index: Any
    each: int
    reach: float
    dual_reach: float

    def indices(self, key: Key, step: int, k: int, d: int, first: int, count: int) -> np.ndarray[Any, Any]:
        """Return the indices of the numbers from ``first``, a multiple of `ALIGNED`, of direction k in R^d."""
        held = 8 // np.dtype(self.index).itemsize * self.each  # numbers in a word
        place = k * -(-d // held) + first // held
        raw = words(key, step, place, -(-count // held))
        index: np.ndarray[Any, Any] = raw.view(self.index)[: -(-count // self.each)]
        return index


SIGNS = Kind("signs", np.uint8, 8, 1.0, 1.0)
NORMALS = Kind("normals", np.uint16, 1, 4.5, 4.5)
SEGMENTS = Kind("segments", np.uint32, 1, 1.0, 2.0)
KINDS = {kind.name: kind for kind in (SIGNS, NORMALS, SEGMENTS)}


def kind_of(draws: Draws) -> Kind:
    """Return the directions that ``draws`` are here; ValueError if there are none."""
    known = {Rademacher: SIGNS, QuantileGaussian: NORMALS, Gaussian: NORMALS, SegmentedUniform: SEGMENTS}
    if type(draws) not in known:
        raise ValueError(f"draws must be Rademacher(), Gaussian() or SegmentedUniform() in place, got {draws!r}")
    return known[type(draws)]


def table(
    kind: Kind, terms: Sequence[Term], q: float | None, dtype: torch.dtype, large: bool
) -> np.ndarray[Any, Any] | None:
    """Return the sum of the terms for each index, each term rounded to a multiple of q; None if it takes a formula.

    For normals it has 65,536 numbers, which are those of the formula; it is made where it may be ``large``.
    """
    own = np.dtype(TYPES[dtype])
    if kind is SIGNS:
        return sign_table(own.char, sum(term.a if q is None else round(term.a / q) * q for term in terms))
    if kind is NORMALS and large:
        z = quantiles(np.dtype(np.float32)).astype(own)
        total = np.zeros_like(z)
        _add_terms(_HOST, kind, z, terms, q, total)
        return total
    return None


def write_terms(
    arrays: Arrays, kind: Kind, index: Flat, values: Flat, terms: Sequence[Term], q: float | None, out: Flat
) -> None:
    """Write the sum of the terms to ``out``: by the table ``values``, or the formula where that is None.

    ``out`` may be longer; what is beyond the numbers that were asked for is not to be used.
    """
    if values is not None:
        arrays.take(values, index, out)
        return
    z = arrays.empty(len(index), torch.float32)
    if kind is NORMALS:
        arrays.take(arrays.quantiles(), index, z)
    else:
        arrays.segments(index, z)
    z = z.astype(out.dtype, copy=False) if isinstance(z, np.ndarray) else z.to(out.dtype)
    total = out[: len(z)]
    total[:] = 0.0
    _add_terms(arrays, kind, z, terms, q, total)


def _add_terms(arrays: Arrays, kind: Kind, z: Flat, terms: Sequence[Term], q: float | None, total: Flat) -> None:
    """Add the multiples of the directions ``z`` to ``total``, each rounded to the grid."""
    for term in terms:
        part = arrays.over(term.a, z) if term.dual and kind is SEGMENTS else term.a * z
        if q is not None:
            part *= 1.0 / q
            arrays.nearest(part)
            part *= q
        total += part


def exponent(value: float) -> int:
    """Return the least e with ``value`` < 2^e."""
    return math.frexp(value)[1]

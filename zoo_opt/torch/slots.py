"""The tensors that are trained, each once, on a dyadic grid: adding and taking away leaves every bit as it was."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo_opt.gradient.auto import Extent
from zoo_opt.torch.arrays import DIGITS, Arrays, Flat, arrays_on
from zoo_opt.torch.directions import exponent

APART = 16  # binary orders that the grids of two tensors are apart at most, so that one radius fits all; chosen
_ROOM = 2.0  # the grid of a tensor has room for so many times its largest number at first; chosen
_LEAST = 1.25  # and for so many times, where it is looked at again; chosen
_FINEST = -100  # least exponent of a grid, of which 1 / q is a float32 too
_LARGEST = float(np.finfo(np.float32).max)
_DIGITS = 24  # of a radius, so that it is a float32 in a log


class SavedGrid(NamedTuple):
    """The grid of a tensor, and what is known of its numbers: see `Slot`."""

    e: int
    bound: float
    ahead: float


class Slot:
    """One tensor, on the multiples of q = 2^(e - digits) up to 2^e, all of which its type holds exactly.

    Attributes
    ----------
    first : int
        Where it begins in the vector of all.
    flat : 1-D array or tensor
        Its numbers, or their master in single precision where its type is shorter or its memory not contiguous.
    e : int
        Exponent of the grid.
    bound, ahead : float
        No number of it, and none of the look-ahead of its momentum, is larger.
    m : 1-D array or tensor, or None
        Its momentum.
    """

    def __init__(self, name: str, parameter: torch.nn.Parameter, first: int, grid: SavedGrid | None = None) -> None:
        self.name, self.parameter, self.first = name, parameter, first
        self.size = parameter.numel()
        wide = parameter.dtype if parameter.dtype in DIGITS else torch.float32
        self.is_master = wide != parameter.dtype or not parameter.is_contiguous()
        data = parameter.detach().to(wide).contiguous().clone() if self.is_master else parameter.detach()
        self.dtype, self.arrays = wide, arrays_on(parameter.device)
        self._data, self._address = data, parameter.data_ptr()
        self.flat: Flat = self.arrays.of(data)
        self.m: Flat | None = None
        if grid is not None:
            self.e, self.bound, self.ahead = grid
            return
        self.bound, self.ahead = self.largest(), 0.0
        if not self.bound <= _LARGEST:
            raise ValueError(f"parameters must be finite in single precision, got {self.bound} in {name}")
        self.e = max(_FINEST, exponent(_ROOM * self.bound)) if self.bound else _FINEST

    @property
    def q(self) -> float:
        """Spacing of the grid."""
        return math.ldexp(1.0, self.e - DIGITS[self.dtype])

    def blocks(self) -> Iterator[Flat]:
        """Return the numbers, some at a time."""
        step = self.arrays.block
        return (self.flat[i : i + step] for i in range(0, self.size, step))

    def largest(self) -> float:
        """Return the largest size of a number."""
        sizes = [max(float(part.max()), -float(part.min())) for part in self.blocks()]
        return math.nan if any(map(math.isnan, sizes)) else max(sizes, default=0.0)

    def snap(self) -> None:
        """Round all numbers to the grid."""
        for part in self.blocks():
            to_grid(self.arrays, part, self.q)

    def push(self) -> None:
        """Write the master, if there is one, to the parameter."""
        if self.is_master:
            with torch.no_grad():
                self.parameter.detach().copy_(self._data.view_as(self.parameter))

    def check(self) -> None:
        """Raise if the parameter has its numbers elsewhere."""
        if self.parameter.data_ptr() != self._address:
            raise moved(self.name)


class Slots:
    """The trained tensors in fixed order: one vector, of which there is no copy.

    Parameters
    ----------
    named : iterable of (str, Parameter)
        Those that require a gradient are taken, each memory once.
    grids : mapping, optional
        The grids of tensors whose numbers are on them already; by default each is moved to its own, once.
    """

    def __init__(
        self, named: Iterable[tuple[str, torch.nn.Parameter]], grids: Mapping[str, SavedGrid] | None = None
    ) -> None:
        self.all: list[Slot] = []
        self.size = 0
        for name, parameter in once(named):
            self.all.append(Slot(name, parameter, self.size, None if grids is None else grids[name]))
            self.size += parameter.numel()
        if not self.size:
            raise ValueError("module must have parameters to train, got none that require a gradient")
        self.changed = True  # whether a grid has changed since it was last asked
        if grids is not None:
            return
        self._apart()
        for slot in self.all:
            slot.snap()
            slot.push()

    @property
    def shapes(self) -> list[list[Any]]:
        """Name, shape and type of each, as a log has them."""
        return [[slot.name, list(slot.parameter.shape), str(slot.parameter.dtype)] for slot in self.all]

    def extent(self) -> Extent:
        """Return the number of parameters and the sum of their squares, the same for any split."""
        parts = [part for slot in self.all for part in slot.blocks()]
        return Extent(self.size, math.fsum(squares for part in parts for squares in sums_of_squares(part)))

    def fits(self, reach: float) -> bool:
        """Return whether steps of ``reach`` in a coordinate keep all numbers on their grids."""
        return all(slot.bound + slot.ahead + reach <= math.ldexp(1.0, slot.e) for slot in self.all)

    def make_room(self, reach: float) -> None:
        """Make the grid of any tensor coarser that has no room for steps of ``reach``, a function of its numbers."""
        if self.fits(reach):
            return
        before = [slot.e for slot in self.all]
        for slot in self.all:
            if slot.bound + slot.ahead + reach > math.ldexp(1.0, slot.e):
                slot.bound = slot.largest()
                if _LEAST * slot.bound + slot.ahead + reach > math.ldexp(1.0, slot.e):
                    slot.e = max(_FINEST, exponent(_ROOM * slot.bound + slot.ahead + 2.0 * reach))
        self._apart()
        for slot, e in zip(self.all, before, strict=True):
            if slot.e != e:
                self.changed = True
                slot.snap()
                slot.push()

    def grow(self, reach: float) -> None:
        """Remember that all numbers have moved by up to ``reach``."""
        for slot in self.all:
            slot.bound += reach

    def radius(self, c: float) -> float:
        """Return the multiple of all spacings that is nearest to ``c``, at least one."""
        q = math.ldexp(1.0, max(slot.e for slot in self.all) - _DIGITS)
        return max(1, round(c / q)) * q

    def _apart(self) -> None:
        least = max(slot.e for slot in self.all) - APART
        for slot in self.all:
            slot.e = max(slot.e, least)

    def push(self) -> None:
        """Write all masters to their parameters."""
        for slot in self.all:
            slot.push()

    def check(self) -> None:
        """Raise RuntimeError if a parameter has its numbers elsewhere."""
        for slot in self.all:
            slot.check()

    def checksum(self) -> int:
        """Return a checksum of all numbers, and of the momentum."""
        digest = 0
        for slot in self.all:
            for part in slot.blocks():
                digest = zlib.crc32(slot.arrays.host(part).data, digest)
            if slot.m is not None:
                digest = zlib.crc32(slot.arrays.host(slot.m).data, digest)
        return digest


def moved(name: str) -> RuntimeError:
    """Return the error of a parameter that is not where it was."""
    return RuntimeError(
        f"the parameter {name} was moved or replaced (by .to or load_state_dict(assign=True)) since the "
        "trainer was made: make a new one"
    )


def to_grid(arrays: Arrays, flat: Flat, q: float) -> None:
    """Round numbers to multiples of q, in place, none to -0.0, which there and back would make 0.0."""
    flat *= 1.0 / q
    arrays.nearest(flat)
    flat *= q
    flat += 0.0


def sums_of_squares(part: Flat, each: int = 2**12) -> list[float]:
    """Return the sums of the squares of ``each`` numbers at a time, in double precision."""
    host = part if isinstance(part, np.ndarray) else part.detach().cpu().numpy()
    sums: list[float] = []
    for i in range(0, len(host), each):
        wide = host[i : i + each].astype(np.float64)
        sums.append(float(np.square(wide, out=wide).sum()))
    return sums


def once(named: Iterable[tuple[str, torch.nn.Parameter]]) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Return the parameters that require a gradient, each memory once."""
    seen: dict[int, tuple[str, int, torch.dtype]] = {}
    for name, parameter in named:
        if not parameter.requires_grad or not parameter.numel():
            continue
        if not parameter.is_floating_point() or parameter.layout != torch.strided or parameter.is_meta:
            raise ValueError(f"parameters must be dense floating tensors in memory, got {_said(parameter)} for {name}")
        span = 1 + sum((n - 1) * by for n, by in zip(parameter.shape, parameter.stride(), strict=True))
        if span < parameter.numel():
            raise ValueError(f"parameters must have a place for each number, got {name}, expanded from fewer: clone it")
        start = parameter.data_ptr()
        stop = start + span * parameter.element_size()
        if start in seen and seen[start][1:] == (stop, parameter.dtype):
            continue  # tied: the same memory by another name
        for other, (name_of, end, _) in seen.items():
            if start < end and other < stop and span == parameter.numel():
                raise ValueError(f"parameters must not overlap in part, got {name} and {name_of}")
        seen[start] = (name, stop, parameter.dtype)
        yield name, parameter


def _said(parameter: Any) -> str:
    return f"{parameter.dtype}, {parameter.layout}, on {parameter.device}"

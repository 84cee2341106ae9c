"""Moving the trained tensors along random directions, in blocks: no direction is ever held."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from zoo_opt.core.keys import Key
from zoo_opt.gradient.gains import Gain
from zoo_opt.gradient.updates import UpdateRule
from zoo_opt.torch.arrays import Arrays, Flat
from zoo_opt.torch.directions import ALIGNED, Kind, Term, table, write_terms
from zoo_opt.torch.slots import Slot, Slots, sums_of_squares, to_grid

_WORTH = 2**19  # numbers for which a table of 65,536 rounded ones is worth its making; chosen
_KEPT = 256  # blocks that are kept; chosen: some 200 kB


Direction: TypeAlias = tuple[int, int]  # its step, and its number there


class _Piece(NamedTuple):
    """What a block and a tensor have in common: the tensor's numbers, and where they are in the block."""

    slot: Slot
    flat: Flat
    inside: slice  # of the tensor
    at: slice  # of the block


class _Group(NamedTuple):
    """Pieces of a block in one kind of memory, of one type and on one grid."""

    arrays: Arrays
    dtype: torch.dtype
    q: float
    pieces: list[_Piece]

    @property
    def span(self) -> slice:
        """Where the pieces are in the block."""
        return slice(self.pieces[0].at.start, self.pieces[-1].at.stop)


class _Block(NamedTuple):
    first: int
    size: int
    groups: list[_Group]


class Moves:
    """The tensors of ``slots`` moved along directions of a kind that ``key`` gives.

    Parameters
    ----------
    slots : Slots
    kind : Kind
    key : Key
    block : int, optional
        Numbers at a time, a multiple of 256; the result does not depend on it.
    """

    def __init__(self, slots: Slots, kind: Kind, key: Key, block: int | None = None) -> None:
        self.slots, self.kind, self.key = slots, kind, key
        self._size = max(slot.arrays.block for slot in slots.all) if block is None else block
        self._size = -(-min(self._size, slots.size) // ALIGNED) * ALIGNED
        self._buffers: dict[Any, Flat] = {}
        self._tables: dict[Any, Flat | None] = {}
        self._blocks: list[_Block] = []

    @property
    def memory(self) -> int:
        """Bytes of buffers and tables."""
        tables = [each for each in self._tables.values() if each is not None]
        return sum(each.nbytes for each in (*self._buffers.values(), *tables))

    def by(self, terms: Mapping[Direction, Sequence[Term]]) -> None:
        """Add the terms of directions, each rounded to the grid."""
        if not terms:
            return
        self._tables.clear()
        for block in self._plan():
            for group, sums in self._sums(block, terms, on_grid=True):
                for piece in group.pieces:
                    flat = piece.flat
                    flat += sums[piece.at]
        self.slots.push()

    def look_ahead(self, rule: UpdateRule, gain: Gain, sign: float) -> None:
        """Add what the centre of the probes is from the iterate, or take it away again."""
        for slot in self.slots.all:
            for flat, m in zip(slot.blocks(), _parts(slot), strict=True):
                flat += sign * _ahead(slot, rule, m, gain)
        self.slots.push()

    def by_rule(
        self, terms: Mapping[Direction, Sequence[Term]], rule: UpdateRule, gain: Gain, looks_ahead: bool
    ) -> None:
        """Let ``rule`` move the tensors and their momentum by the estimate, the sum of the terms."""
        self._tables.clear()
        for slot in self.slots.all:
            slot.bound = slot.ahead = 0.0
        for block in self._plan():
            for group, ghat in self._sums(block, terms, on_grid=False):
                for slot, flat, inside, at in group.pieces:
                    momentum: Any = slot.m
                    x, m = rule.step(flat, momentum[inside], ghat[at], gain)
                    to_grid(group.arrays, x, group.q)
                    flat[:], momentum[inside] = x, m
                    slot.bound = max(slot.bound, float(x.max()), -float(x.min()))
                    if looks_ahead:
                        slot.ahead = max(slot.ahead, float(m.max()) + group.q, -float(m.min()) + group.q)
        self.slots.push()

    def norm(self, step: int, weights: Sequence[float]) -> float:
        """Return the length of the sum of ``weights`` times psi, of a vector of single precision."""
        terms = {(step, k): [Term(weight, dual=True)] for k, weight in enumerate(weights)}
        arrays, dtype, d = self.slots.all[0].arrays, torch.float32, self.slots.size
        squares: list[float] = []
        self._tables.clear()
        for first in range(0, d, self._size):
            count = min(self._size, d - first)
            whole = _Piece(self.slots.all[0], None, slice(0), slice(0, count))
            block = _Block(first, count, [_Group(arrays, dtype, 1.0, [whole])])
            for _, sums in self._sums(block, terms, on_grid=False):
                squares += sums_of_squares(sums[: block.size])
        return math.sqrt(math.fsum(squares))

    # ------------------------------------------------------------------------------------------------ blocks
    def _sums(
        self, block: _Block, terms: Mapping[Direction, Sequence[Term]], on_grid: bool
    ) -> Iterator[tuple[_Group, Flat]]:
        """Return each group of a block with the sum of the terms there, which the next one may overwrite."""
        kind = self.kind
        raw = {each: kind.indices(self.key, *each, self.slots.size, block.first, block.size) for each in terms}
        for group in block.groups:
            arrays, dtype, q = group.arrays, group.dtype, group.q if on_grid else None
            worth = self.slots.size >= _WORTH and len(terms) <= 2
            tables = [self._table(arrays, tuple(sums), q, dtype, worth) for sums in terms.values()]
            total = self._buffer(arrays, dtype, "total")
            low = group.span.start // kind.each
            part = slice(low, -(-group.span.stop // kind.each))
            for nth, (each, sums) in enumerate(terms.items()):
                index = arrays.brought(raw[each][part])
                out = total if nth == 0 else self._buffer(arrays, dtype, "more")
                write_terms(arrays, kind, index, tables[nth], sums, q, out[low * kind.each :])
                if nth:
                    inside = total[group.span]
                    inside += out[group.span]
            yield group, total

    def _table(
        self, arrays: Arrays, terms: tuple[Term, ...], q: float | None, dtype: torch.dtype, worth: bool
    ) -> Flat | None:
        """Return the table of some terms, kept while the same are asked for; a large one only where it is worth it."""
        asked = (arrays, terms, q, dtype)
        if asked not in self._tables:
            own = table(self.kind, terms, q, dtype, worth)
            self._tables[asked] = None if own is None else arrays.brought(own)
        return self._tables[asked]

    def _buffer(self, arrays: Arrays, dtype: torch.dtype, use: str) -> Flat:
        """Return memory to write to, the same each time."""
        if (arrays, dtype, use) not in self._buffers:
            self._buffers[arrays, dtype, use] = arrays.empty(self._size + ALIGNED, dtype)
        return self._buffers[arrays, dtype, use]

    def _plan(self) -> Iterable[_Block]:
        """Return the blocks; those of few are kept until a grid changes, those of many would take memory."""
        if self.slots.size > _KEPT * self._size:
            return self._blocks_anew()
        if self.slots.changed or not self._blocks:
            self._blocks = list(self._blocks_anew())
            self.slots.changed = False
        return self._blocks

    def _blocks_anew(self) -> Iterator[_Block]:
        slots, nth = self.slots.all, 0
        for first in range(0, self.slots.size, self._size):
            stop = min(first + self._size, self.slots.size)
            groups: dict[Any, _Group] = {}
            for i in range(nth, len(slots)):
                slot = slots[i]
                start, end = max(first, slot.first), min(stop, slot.first + slot.size)
                if start >= end:
                    break
                nth = i
                group = groups.setdefault(
                    (slot.arrays, slot.dtype, slot.e), _Group(slot.arrays, slot.dtype, slot.q, [])
                )
                inside = slice(start - slot.first, end - slot.first)
                group.pieces.append(_Piece(slot, slot.flat[inside], inside, slice(start - first, end - first)))
            if slots[nth].first + slots[nth].size == stop:
                nth += 1
            yield _Block(first, stop - first, list(groups.values()))


def _parts(slot: Slot) -> Iterator[Flat]:
    m: Any = slot.m
    return (m[i : i + slot.arrays.block] for i in range(0, slot.size, slot.arrays.block))


def _ahead(slot: Slot, rule: UpdateRule, m: Flat, gain: Gain) -> Flat:
    """Return the centre of the probes less the iterate, on the grid: the centre for an iterate of zero."""
    ahead = rule.center(0.0 * m, m, gain)
    to_grid(slot.arrays, ahead, slot.q)
    return ahead

"""Random access to random numbers: a draw is a function of (key, step, stream), never of history.

A Philox generator [1]_ is a block cipher run over a counter, so the numbers of any step can be had without
those before it. One live generator per thread is moved about, which costs 1 us; building one costs 7 us.

References
----------
.. [1] Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3. SC 2011.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import RNG

STEP, RESTART, SUBSPACE, NOISE, CHOICE = range(5)  # streams: disjoint parts of the counter space


class Key(NamedTuple):
    """The 128-bit Philox key that all draws of one optimizer derive from."""

    low: int
    high: int


def make_key(rng: RNG) -> Key:
    """Draw a key from ``rng`` as SPEC 7 has it: a Generator is consumed once, None draws entropy.

    Raises
    ------
    TypeError
        If ``rng`` is a legacy ``RandomState`` or nothing that ``numpy.random.default_rng`` takes.
    ValueError
        If ``rng`` is a negative integer.
    """
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng must be None, an int, a SeedSequence or a numpy Generator, got a legacy RandomState")
    try:
        if isinstance(rng, (bool, float, str, dict)):
            raise TypeError
        source = np.random.default_rng(rng)
    except TypeError:
        raise TypeError(f"rng must be None, an int, a SeedSequence or a numpy Generator, got {rng!r}") from None
    except ValueError:
        raise ValueError(f"rng must be >= 0, got {rng!r}") from None
    low, high = source.integers(2**64, size=2, dtype=np.uint64).tolist()
    return Key(low, high)


class _Live(threading.local):
    """One generator per thread, moved to the counter that is asked for."""

    def __init__(self) -> None:
        from numpy.random import Generator, Philox  # not before the first draw: it is half of our import time

        self.philox = Philox(key=0)
        self.generator = Generator(self.philox)
        self.current = Key(0, 0)
        self.key = np.zeros(2, np.uint64)
        self.counter = np.zeros(4, np.uint64)
        self.state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self.counter, "key": self.key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }


_live: _Live | None = None


def generator(key: Key, step: int, stream: int = STEP) -> Generator:
    """Return random numbers that are a function of a key and a step alone.

    Parameters
    ----------
    key : Key
        What `Method.init` was given.
    step : int
        Number of the step.
    stream : int, default 0
        Number of an independent stream, for draws that must differ from those of the steps.

    Returns
    -------
    numpy.random.Generator
        This thread's only one, set to the start of what belongs to the step: use it before another is asked for.
    """
    global _live
    if _live is None:
        _live = _Live()
    live = _live
    if key is not live.current:
        live.key[:] = live.current = key
    live.counter[2] = step  # words 0 and 1 count the 2**128 blocks within a step
    live.counter[3] = stream
    live.philox.state = live.state
    return live.generator


def words(key: Key, step: int, first: int, count: int, stream: int = STEP) -> NDArray[np.uint64]:
    """Return raw words of what belongs to a step, from any place: those that `generator` gives from its start.

    Parameters
    ----------
    key, step, stream
        As in `generator`.
    first : int
        Number of the first word.
    count : int
        How many.

    Returns
    -------
    (count,) uint64 array
    """
    generator(key, step, stream)
    live: Any = _live  # which generator has made
    block, offset = divmod(first, 4)  # a block of the cipher is four words
    if block:
        live.counter[0] = block
        live.philox.state = live.state
        live.counter[0] = 0
    raw: NDArray[np.uint64] = live.philox.random_raw(offset + count)
    return raw[offset:]

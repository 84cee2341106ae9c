"""Perturbation directions: the only place where the gradient family draws random numbers.

``sample`` gives directions delta; ``dual`` gives psi, the vectors that a measured slope along delta is multiplied with,
chosen such that E[psi delta'] = I and the estimate is unbiased to first order. Mostly psi is a multiple of delta.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.keys import generator

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import DTypeLike, NDArray

    from zoo_opt.typing import Array, Key


class Draws(ABC):
    """A family of perturbation directions.

    Attributes
    ----------
    by_columns : bool
        Whether a direction can be sampled some columns at a time (a multiple of 64, but for the last).
    """

    by_columns: ClassVar[bool] = True

    @abstractmethod
    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write c delta to ``out``, a contiguous (n, d) array: the next rows, or columns of a row, of the stream."""

    @abstractmethod
    def self_dual(self, d: int) -> float | None:
        """Return the number that delta in R^d is multiplied with to give psi; None where it takes more than that."""

    def dual(self, delta: Array) -> Array:
        """Return psi for whole directions ``delta`` (n, d), or for some of their columns if `self_dual` is None."""
        scale = self.self_dual(delta.shape[1])
        if scale is None:
            raise NotImplementedError(f"{type(self).__name__} must define dual, as its self_dual is None")
        return delta * scale

    def lengths(self, d: int) -> tuple[float, float]:
        """Return the root mean squares of the lengths of delta and psi in R^d; of product d where psi is a multiple."""
        scale = self.self_dual(d)
        if scale is None:
            raise NotImplementedError(f"{type(self).__name__} must define lengths, as its self_dual is None")
        return math.sqrt(d / scale), math.sqrt(d * scale)  # as E[psi . delta] = d

    def reach(self, d: int) -> float:
        """Return how far a coordinate of delta in R^d goes from 0, but for rare draws: two standard deviations."""
        return 2.0 * self.lengths(d)[0] / math.sqrt(d)  # chosen: 5 % of normal draws go farther

    def draw(self, key: Key, step: int, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return the (n, d) directions of ``step``, a function of (key, step) alone."""
        delta = np.empty(shape, dtype)
        self.sample(generator(key, step), delta)
        return delta


@dataclass(frozen=True)
class Rademacher(Draws):
    """Signs, +1 or -1 with equal chance: the direction of least variance (Spall 1992)."""

    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write signs, one raw bit each; a row starts at a whole word."""
        n, d = out.shape
        octets = rng.bit_generator.random_raw(n * -(-d // 64)).view(np.uint8).reshape(n, -1)[:, : -(-d // 8)]
        table = sign_table(out.dtype.char, c)
        if d % 8:
            out[:] = table.take(octets, axis=0).reshape(n, -1)[:, :d]
        else:
            table.take(octets, axis=0, out=out.reshape(n, -1, 8), mode="clip")

    def self_dual(self, d: int) -> float | None:
        """Return 1: the inverse of a sign is the sign."""
        return 1.0

    def reach(self, d: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class SegmentedUniform(Draws):
    """Uniform on [-1, -0.5] U [0.5, 1], as in BAPS and BlackVIP; costs 17 % more variance than signs."""

    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write draws made of random sign and mantissa bits under the exponent of [0.5, 1)."""
        n, d = out.shape
        if out.dtype == np.float32:
            bits = _raw(rng, n * -(-d // 2)).view(np.uint32).reshape(n, -1)[:, :d]
            bits &= np.uint32(0x807FFFFF)
            bits |= np.uint32(0x3F000000)
            np.multiply(bits.view(np.float32), np.float32(c), out=out)
        else:
            bits64 = _raw(rng, n * d).reshape(n, d)
            bits64 &= np.uint64(0x800FFFFFFFFFFFFF)
            bits64 |= np.uint64(0x3FE0000000000000)
            np.multiply(bits64.view(np.float64), c, out=out)

    def self_dual(self, d: int) -> float | None:
        """Return None: psi is 1 / delta."""
        return None

    def dual(self, delta: Array) -> Array:
        """Return 1 / delta (equation 1 of BAPS); 0 where rounding left the coordinate unmoved."""
        return np.divide(1, delta, out=np.zeros_like(delta), where=delta != 0)

    def lengths(self, d: int) -> tuple[float, float]:
        """Return them from E[delta_i^2] = 7/12 and E[1 / delta_i^2] = 2."""
        return math.sqrt(7 / 12 * d), math.sqrt(2 * d)

    def reach(self, d: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Gaussian(Draws):
    """Standard normal coordinates (Nesterov and Spokoiny 2017)."""

    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write normals."""
        rng.standard_normal(dtype=out.dtype, out=out)
        out *= c

    def self_dual(self, d: int) -> float | None:
        """Return 1, as E[z z'] = I."""
        return 1.0


@dataclass(frozen=True)
class QuantileGaussian(Draws):
    """Normal coordinates to 16 bits: 65,536 quantile midpoints of N(0, 1), scaled to unit variance, up to 4.3 in size.

    About five times faster than `Gaussian`, for methods that draw many; made of raw bits, so that the draws do not
    change between numpy releases.
    """

    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write normals, four to a raw word; a row starts at a whole word."""
        n, d = out.shape
        bits = _raw(rng, n * -(-d // 4)).view(np.uint16).reshape(n, -1)[:, :d]
        quantiles(out.dtype).take(bits, out=out, mode="clip")
        out *= c

    def self_dual(self, d: int) -> float | None:
        """Return 1, as E[z z'] = I."""
        return 1.0


@dataclass(frozen=True)
class Sphere(Draws):
    """Uniform on the unit sphere (Flaxman et al. 2005; Tsai et al. 2020)."""

    by_columns: ClassVar[bool] = False

    def sample(self, rng: Generator, out: Array, c: float = 1.0) -> None:
        """Write unit vectors times c."""
        Gaussian().sample(rng, out)
        out *= (c / np.sqrt(np.einsum("kd,kd->k", out, out)))[:, None]

    def self_dual(self, d: int) -> float | None:
        """Return d, as E[u u'] = I / d."""
        return float(d)


def _raw(rng: Generator, words: int) -> NDArray[np.uint64]:
    """Return uniform 64-bit words: raw words, unlike a Generator's methods, are the same in all numpy releases."""
    return rng.bit_generator.random_raw(words)


@functools.lru_cache(maxsize=64)
def sign_table(dtype: str, c: float) -> NDArray[Any]:
    """Return (256, 8): row b holds the bits of byte b as +c and -c."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return np.where(bits, c, -c).astype(dtype)


@functools.cache
def quantiles(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return (65536,): midpoints of equally likely intervals of N(0, 1), with unit variance: `QuantileGaussian`."""
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    half = np.array([inverse((k + 0.5) / 2**16) for k in range(2**15)])
    table: NDArray[Any] = np.concatenate((half, -half[::-1]))
    table /= table.std()
    return table.astype(dtype)

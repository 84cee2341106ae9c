"""Perturbation directions: the only place where the gradient family draws random numbers.

``sample`` gives directions delta; ``dual`` gives psi, the vectors that a measured slope along delta is multiplied with,
chosen such that E[psi delta'] = I and the estimate is unbiased to first order. Mostly psi is a multiple of delta.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.keys import generator

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import DTypeLike, NDArray

    from zoo_opt.typing import Array, Key


class Draws(ABC):
    """A family of perturbation directions."""

    @abstractmethod
    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return (n, d) directions, the next rows of the stream: two calls for parts give what one gives for all."""

    @abstractmethod
    def self_dual(self, d: int) -> float | None:
        """Return the number that delta in R^d is multiplied with to give psi; None where it takes more than that."""

    def dual(self, delta: Array) -> Array:
        """Return psi for whole directions ``delta`` (n, d), or for some of their columns if `self_dual` is None."""
        scale = self.self_dual(delta.shape[1])
        if scale is None:
            raise NotImplementedError(f"{type(self).__name__} must define dual, as its self_dual is None")
        return delta * delta.dtype.type(scale)

    def draw(self, key: Key, step: int, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return the (n, d) directions of ``step``, a function of (key, step) alone."""
        return self.sample(generator(key, step), shape, dtype)


@dataclass(frozen=True)
class Rademacher(Draws):
    """Signs, +1 or -1 with equal chance: the direction of least variance (Spall 1992)."""

    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return signs, one raw bit each; a row starts at a whole word."""
        n, d = shape
        words = -(-d // 64)
        octets = _raw(rng, n * words).view(np.uint8).reshape(n, 8 * words)[:, : -(-d // 8)]
        signs = _sign_table(np.dtype(dtype)).take(octets, axis=0).reshape(n, -1)
        return signs if signs.shape[1] == d else signs[:, :d]

    def self_dual(self, d: int) -> float | None:
        """Return 1: the inverse of a sign is the sign."""
        return 1.0


@dataclass(frozen=True)
class SegmentedUniform(Draws):
    """Uniform on [-1, -0.5] U [0.5, 1], as in BAPS and BlackVIP; costs 17 % more variance than signs."""

    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return draws made of random sign and mantissa bits under the exponent of [0.5, 1)."""
        n, d = shape
        if np.dtype(dtype) == np.float32:
            bits = _raw(rng, n * -(-d // 2)).view(np.uint32).reshape(n, -1)[:, :d]
            return ((bits & np.uint32(0x807FFFFF)) | np.uint32(0x3F000000)).view(np.float32)
        bits64 = _raw(rng, n * d).reshape(n, d)
        bits64 &= np.uint64(0x800FFFFFFFFFFFFF)
        bits64 |= np.uint64(0x3FE0000000000000)
        return bits64.view(np.float64)

    def self_dual(self, d: int) -> float | None:
        """Return None: psi is 1 / delta."""
        return None

    def dual(self, delta: Array) -> Array:
        """Return 1 / delta (equation 1 of BAPS); 0 where rounding left the coordinate unmoved."""
        return np.divide(1, delta, out=np.zeros_like(delta), where=delta != 0)


@dataclass(frozen=True)
class Gaussian(Draws):
    """Standard normal coordinates (Nesterov and Spokoiny 2017)."""

    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return normals."""
        return rng.standard_normal(shape, dtype=np.dtype(dtype).type)  # type: ignore[arg-type]

    def self_dual(self, d: int) -> float | None:
        """Return 1, as E[z z'] = I."""
        return 1.0


@dataclass(frozen=True)
class QuantileGaussian(Draws):
    """Normal coordinates to 16 bits: 65,536 quantile midpoints of N(0, 1), scaled to unit variance, up to 4.3 in size.

    About five times faster than `Gaussian`, for methods that draw many; made of raw bits, so that the draws do not
    change between numpy releases.
    """

    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return normals; a row starts at a whole word."""
        n, d = shape
        words = -(-d // 4)
        bits = _raw(rng, n * words).view(np.uint16).reshape(n, 4 * words)[:, :d]
        return _quantile_table(np.dtype(dtype)).take(bits, mode="clip")

    def self_dual(self, d: int) -> float | None:
        """Return 1, as E[z z'] = I."""
        return 1.0


@dataclass(frozen=True)
class Sphere(Draws):
    """Uniform on the unit sphere (Flaxman et al. 2005; Tsai et al. 2020)."""

    def sample(self, rng: Generator, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        """Return unit vectors."""
        z = Gaussian().sample(rng, shape, dtype)
        z /= np.sqrt(np.einsum("kd,kd->k", z, z))[:, None]
        return z

    def self_dual(self, d: int) -> float | None:
        """Return d, as E[u u'] = I / d."""
        return float(d)


def _raw(rng: Generator, words: int) -> NDArray[np.uint64]:
    """Return uniform 64-bit words: raw words, unlike a Generator's methods, are the same in all numpy releases."""
    return rng.bit_generator.random_raw(words)


@functools.cache
def _sign_table(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return (256, 8): row b holds the bits of byte b as +-1."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return (2.0 * bits - 1.0).astype(dtype)


@functools.cache
def _quantile_table(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return (65536,): the midpoints of equally likely intervals of N(0, 1), with unit variance."""
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    half = np.array([inverse((k + 0.5) / 2**16) for k in range(2**15)])
    table: NDArray[Any] = np.concatenate((half, -half[::-1]))
    table /= table.std()
    return table.astype(dtype)

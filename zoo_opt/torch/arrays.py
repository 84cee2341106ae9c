"""Numpy arrays for memory of this machine, torch tensors for that of a device: the few operations that differ."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from zoo_opt.gradient.draws import quantiles

Flat: TypeAlias = Any  # a 1-D numpy array or torch tensor, written to in place

TYPES: dict[torch.dtype, type[np.floating[Any]]] = {torch.float32: np.float32, torch.float64: np.float64}
DIGITS = {torch.float32: 24, torch.float64: 53}  # binary digits of a number


class Arrays(Protocol):
    """What differs between kinds of memory; all else is done by operators."""

    block: int  # numbers worked on at a time

    def of(self, tensor: torch.Tensor) -> Flat:
        """Return a flat view of a contiguous tensor."""
        ...

    def brought(self, array: np.ndarray[Any, Any]) -> Flat:
        """Return an array of this machine as one of this kind."""
        ...

    def host(self, flat: Flat) -> np.ndarray[Any, Any]:
        """Return it as an array of this machine."""
        ...

    def empty(self, size: int, dtype: torch.dtype) -> Flat:
        """Return an array to write to."""
        ...

    def quantiles(self) -> Flat:
        """Return the table of `QuantileGaussian`, float32."""
        ...

    def take(self, table: Flat, index: Flat, out: Flat) -> None:
        """Write the rows of ``table`` that ``index`` names, one after another, to ``out``."""
        ...

    def nearest(self, flat: Flat) -> None:
        """Round to whole numbers, halves to even ones, in place."""
        ...

    def over(self, a: float, flat: Flat) -> Flat:
        """Return ``a`` divided by the numbers, rounded once."""
        ...

    def segments(self, words: Flat, out: Flat) -> None:
        """Write numbers of +-[0.5, 1) of which 32 random bits each are the sign and the digits."""
        ...


class HostArrays:
    """Numpy, whose calls cost less than torch's, in one thread."""

    block = 2**16  # a quarter of a megabyte in float32; twice as many numbers were no faster

    def of(self, tensor: torch.Tensor) -> Flat:
        """See `Arrays.of`."""
        return tensor.detach().view(-1).numpy()

    def brought(self, array: np.ndarray[Any, Any]) -> Flat:
        """See `Arrays.brought`."""
        return array

    def host(self, flat: Flat) -> np.ndarray[Any, Any]:
        """See `Arrays.host`."""
        return np.asarray(flat)

    def empty(self, size: int, dtype: torch.dtype) -> Flat:
        """See `Arrays.empty`."""
        return np.empty(size, TYPES[dtype])

    def quantiles(self) -> Flat:
        """See `Arrays.quantiles`."""
        return quantiles(np.dtype(np.float32))

    def take(self, table: Flat, index: Flat, out: Flat) -> None:
        """See `Arrays.take`."""
        rows = out[: index.size * table[0].size].reshape(index.size, *table.shape[1:])
        table.take(index, axis=0, out=rows, mode="clip")

    def nearest(self, flat: Flat) -> None:
        """See `Arrays.nearest`."""
        np.rint(flat, out=flat)

    def over(self, a: float, flat: Flat) -> Flat:
        """See `Arrays.over`."""
        return a / flat

    def segments(self, words: Flat, out: Flat) -> None:
        """See `Arrays.segments`."""
        bits = (words & np.uint32(0x807FFFFF)) | np.uint32(0x3F000000)
        out[: bits.size] = bits.view(np.float32)


class DeviceArrays:
    """Torch tensors of one device. Random words are drawn on this machine: an eighth of a byte for a sign."""

    block = 2**20  # a launch for each block and operation: longer ones pay; not measured

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._quantiles: Flat | None = None

    def of(self, tensor: torch.Tensor) -> Flat:
        """See `Arrays.of`."""
        return tensor.detach().view(-1)

    def brought(self, array: np.ndarray[Any, Any]) -> Flat:
        """See `Arrays.brought`."""
        signed = array.view(array.dtype.str.replace("u", "i")) if array.dtype.kind == "u" else array
        return torch.from_numpy(np.ascontiguousarray(signed)).to(self.device)

    def host(self, flat: Flat) -> np.ndarray[Any, Any]:
        """See `Arrays.host`."""
        array: np.ndarray[Any, Any] = flat.detach().cpu().numpy()
        return array

    def empty(self, size: int, dtype: torch.dtype) -> Flat:
        """See `Arrays.empty`."""
        return torch.empty(size, dtype=dtype, device=self.device)

    def quantiles(self) -> Flat:
        """See `Arrays.quantiles`."""
        if self._quantiles is None:
            self._quantiles = self.brought(quantiles(np.dtype(np.float32)))
        return self._quantiles

    def take(self, table: Flat, index: Flat, out: Flat) -> None:
        """See `Arrays.take`."""
        rows = index.to(torch.int32) & (2 ** (8 * index.element_size()) - 1)
        width = table[0].numel()
        torch.index_select(table.view(len(table), width), 0, rows, out=out[: len(rows) * width].view(len(rows), width))

    def nearest(self, flat: Flat) -> None:
        """See `Arrays.nearest`."""
        flat.round_()

    def over(self, a: float, flat: Flat) -> Flat:
        """See `Arrays.over`."""
        return torch.full_like(flat, a) / flat  # a number over a tensor is its reciprocal times that: rounded twice

    def segments(self, words: Flat, out: Flat) -> None:
        """See `Arrays.segments`."""
        bits = (words & (0x807FFFFF - 2**32)) | 0x3F000000
        out[: len(bits)] = bits.view(torch.float32)


_HOST = HostArrays()
_DEVICES: dict[torch.device, DeviceArrays] = {}


def arrays_on(device: torch.device) -> Arrays:
    """Return the arrays of a device, always the same."""
    return _HOST if device.type == "cpu" else _DEVICES.setdefault(device, DeviceArrays(device))

"""The decoder of BAPS and BlackVIP: five deconvolutions of stride 2, the first four each followed by a 1x1.

Kernels are 2x2 with stride 2, so that no two pixels share an output: a pixel turns into 2x2 pixels by a linear map of
its channels. The whole decoder is therefore a chain of matrix products over a list of pixels, put in the order of an
image once, at the end. A deconvolution and its 1x1 have nothing in between and are multiplied out beforehand.
`Layout` says where its weights lie in the vector.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.prompts import Array

WIDTHS = ((64, 64), (64, 32), (32, 32), (32, 16))  # channels after the deconvolution and after the 1x1, as released
DOUBLINGS = len(WIDTHS) + 1
_EPS = 1e-6  # of the LayerNorm over channels, as in SAM


class Layout:
    """Where each named tensor lies in a flat vector.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        In order.

    Examples
    --------
    >>> layout = Layout({"weight": (2, 3), "bias": (3,)})
    >>> layout.dim, layout.split(torch.arange(9.0))["bias"].tolist()
    (9, [6.0, 7.0, 8.0])
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self._sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.dim = sum(self._sizes)

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """Return the tensors in ``x``, shape (dim,), as views of it."""
        parts = torch.split(x, self._sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def join(self, values: Mapping[str, Array]) -> Array:
        """Return the vector, float32 of shape (dim,), that holds ``values``."""
        return np.concatenate([np.asarray(values[name], np.float32).reshape(-1) for name in self.shapes])


class Decoder:
    """Settings and shapes of the decoder; the parameters are an argument of every call.

    Shapes are those of ``torch.nn.ConvTranspose2d``: (in, out / groups, kernel, kernel).

    Parameters
    ----------
    channels : int
        Channels of the input.
    widths : sequence of (int, int)
        Of the first four blocks: channels after the deconvolution, and after the 1x1 and LayerNorm.
    depthwise : bool
        False as in BAPS: full deconvolutions, with biases. True as in BlackVIP: grouped ones, no biases in the 1x1 and
        in the last.
    """

    def __init__(self, channels: int, widths: Sequence[Sequence[int]] = WIDTHS, depthwise: bool = False) -> None:
        self.widths = checked_widths(widths)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._groups: list[int] = []
        width = integer("channels", channels, 1)
        for i, (mid, out) in enumerate(self.widths, 1):
            groups = math.gcd(width, mid) if depthwise else 1
            self._groups.append(groups)
            self.shapes[f"up{i}.weight"] = (width, mid // groups, 2, 2)
            self.shapes[f"up{i}.bias"] = (mid,)
            self.shapes[f"mix{i}.weight"] = (mid, out, 1, 1)
            if not depthwise:
                self.shapes[f"mix{i}.bias"] = (out,)
            self.shapes[f"norm{i}.weight"] = (out,)
            self.shapes[f"norm{i}.bias"] = (out,)
            width = out
        self.shapes["last.weight"] = (width, 3, 2, 2)
        if not depthwise:
            self.shapes["last.bias"] = (3,)

    def start(self, seed: int) -> dict[str, Array]:
        """Return random parameters: uniform within 1 / sqrt(fan), torch's default for each kind of layer."""
        values = {}
        for i, (name, shape) in enumerate(self.shapes.items()):
            layer, kind = name.split(".")
            if layer.startswith("norm"):
                low = high = 1.0 if kind == "weight" else 0.0
            else:
                high = 1.0 / math.sqrt(math.prod(self.shapes[f"{layer}.weight"][1:]))
                low = -high
            values[name] = uniform(seed, i, shape, low, high)
        return values

    def hidden(self, z: Tensor, p: Mapping[str, Tensor]) -> Tensor:
        """Return what goes into the last layer.

        Parameters
        ----------
        z : Tensor, shape (n, channels, g, g)
        p : mapping of str to Tensor
            Parameters by name.

        Returns
        -------
        Tensor, shape (n, g * g * 256, width)
            Pixels in the order of the doublings: a pixel's four parts lie side by side.
        """
        h = z.flatten(2).transpose(1, 2)
        for i, groups in enumerate(self._groups, 1):
            up, mix = p[f"up{i}.weight"], p[f"mix{i}.weight"].flatten(1)
            width, (mid, out) = len(up), mix.shape
            product = torch.einsum(  # (groups, in / groups, 2 x 2, out)
                "gimk,gmo->giko",
                up.reshape(groups, width // groups, mid // groups, 4),
                mix.reshape(groups, mid // groups, out),
            ).reshape(width, 4 * out)
            bias = p[f"up{i}.bias"] @ mix
            if f"mix{i}.bias" in p:
                bias = bias + p[f"mix{i}.bias"]
            h = torch.matmul(h, product).add(bias.repeat(4)).reshape(len(h), -1, out)
            h = F.gelu(F.layer_norm(h, (out,), p[f"norm{i}.weight"], p[f"norm{i}.bias"], _EPS))
        return h

    def last(self, h: Tensor, p: Mapping[str, Tensor]) -> Tensor:
        """Return the residual images (n, 3, 32 g, 32 g) of `hidden`'s pixels."""
        weight = p["last.weight"].flatten(2).permute(0, 2, 1).flatten(1)  # (width, 4 x 3)
        image = torch.matmul(h, weight)
        if "last.bias" in p:
            image = image + p["last.bias"].repeat(4)
        return _in_order(image)


def checked_widths(widths: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """Return ``widths`` as four pairs of int, or raise."""
    try:
        pairs = [(int(mid), int(out)) for mid, out in widths]
    except (TypeError, ValueError):
        pairs = []
    if len(pairs) != len(WIDTHS) or any(min(pair) < 1 for pair in pairs):
        raise ValueError(f"widths must be {len(WIDTHS)} pairs of positive integers, got {widths!r}")
    return tuple(pairs)


def checked_grid(size: int) -> int:
    """Return the side of the decoder's input for images of ``size`` pixels, or raise."""
    if size % (1 << DOUBLINGS):
        raise ValueError(f"size must be a multiple of {1 << DOUBLINGS} for this decoder, got {size}")
    return size >> DOUBLINGS


def _in_order(image: Tensor) -> Tensor:
    """Return pixels (n, g * g * 256, 2 * 2 * 3) in the order of the doublings as images (n, 3, 32 g, 32 g)."""
    g = math.isqrt(image.shape[1] >> 2 * (DOUBLINGS - 1))
    side = g << DOUBLINGS
    values = image.reshape(len(image), -1).index_select(1, _order(g).to(image.device))
    return values.view(len(image), 3, side, side)


@functools.lru_cache(maxsize=8)
def _order(g: int) -> Tensor:
    """Return where, in the order of the doublings, each value of an image (3, 32 g, 32 g) lies: int64, flat."""
    k = DOUBLINGS
    tree = torch.arange(3 * (g << k) ** 2).reshape(g, g, *(2, 2) * k, 3)  # y, x, (dy, dx) of each doubling, channel
    rows, columns = range(0, 2 * k + 1, 2), range(1, 2 * k + 2, 2)
    return tree.permute(2 * k + 2, *rows, *columns).flatten()

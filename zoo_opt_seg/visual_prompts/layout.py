"""Named tensors laid end to end in a flat vector."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.prompts import Array

Shapes = Mapping[str, tuple[int, ...]]


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

    def __init__(self, shapes: Shapes) -> None:
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

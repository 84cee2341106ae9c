"""Image encoders in half precision: they take nearly all of a model's time and memory; the rest stays float32.

Prompt encoders and mask decoders stay as they are on purpose: a position in bfloat16 has 8 bits, which is 4 pixels of
1,024, and their share of the time is small.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import one_of
from zoo_opt_seg.blackbox.registry import PRECISIONS

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in PRECISIONS}


def lower(encoder: nn.Module, dtype: str) -> None:
    """Let an encoder compute in another precision, for callers that go on in float32.

    Parameters
    ----------
    encoder : torch.nn.Module
        Its weights are converted in place; tensors that go in are converted to its precision, those that come out to
        float32, also within tuples and mappings.
    dtype : {"float32", "float16", "bfloat16"}
        With float32 nothing is done.

    Raises
    ------
    ValueError
        If the precision is none of these.
    """
    wanted = DTYPES[one_of("dtype", dtype, DTYPES)]
    if wanted != torch.float32:
        encoder.to(wanted)
        encoder.register_forward_pre_hook(partial(_going_in, wanted), with_kwargs=True)
        encoder.register_forward_hook(_coming_out)


def _going_in(dtype: torch.dtype, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return _as(dtype, args), _as(dtype, kwargs)


def _coming_out(module: nn.Module, args: Any, output: Any) -> Any:
    return _as(torch.float32, output)


def _as(dtype: torch.dtype, value: Any) -> Any:
    """Return a value with the floats in it of another precision; mappings are changed in place."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, MutableMapping):
        for key in list(value):
            value[key] = _as(dtype, value[key])
    elif isinstance(value, (list, tuple)):
        return type(value)(_as(dtype, one) for one in value)
    return value

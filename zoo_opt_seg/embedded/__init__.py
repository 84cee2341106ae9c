"""Models that come with the package: a tiny SAM and a tiny image encoder, trained on the source scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_opt_seg.embedded.encoder import TinyEncoder as TinyEncoder
    from zoo_opt_seg.embedded.encoder import tiny_encoder as tiny_encoder
    from zoo_opt_seg.embedded.sam import build_tiny_sam as build_tiny_sam
    from zoo_opt_seg.embedded.sam import decode_batch as decode_batch
    from zoo_opt_seg.embedded.sam import tiny_sam as tiny_sam

TINY_SIZE = 96
"""Side of the tiny models' images in pixels."""

_HOME = {
    "TinyEncoder": "encoder",
    "tiny_encoder": "encoder",
    "build_tiny_sam": "sam",
    "decode_batch": "sam",
    "tiny_sam": "sam",
}

__all__ = ["TINY_SIZE", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

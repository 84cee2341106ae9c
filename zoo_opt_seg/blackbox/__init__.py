"""Segmentation models seen from outside: images and prompts in, masks out; counted, limited, cached, anywhere."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "BlackBox": "protocol",
    "BlackBoxError": "protocol",
    "SegmentationModel": "protocol",
    "as_black_box": "protocol",
    "BudgetExhausted": "wrappers",
    "Budgeted": "wrappers",
    "Counted": "wrappers",
    "Hardened": "wrappers",
    "Quantized": "wrappers",
    "Cached": "cache",
    "ProcessBlackBox": "process",
    "serve": "process",
    "SamBlackBox": "sam",
    "TinySam": "tiny",
}
__all__ = [  # noqa: RUF022 (in the order of reading)
    "BlackBox", "BlackBoxError", "SegmentationModel", "as_black_box",
    "BudgetExhausted", "Budgeted", "Counted", "Hardened", "Quantized",
    "Cached", "ProcessBlackBox", "serve", "SamBlackBox", "TinySam",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name's module when it is asked for: a black box that is no torch model needs no torch."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})

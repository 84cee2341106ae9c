"""Bridges to other libraries: their optimizers as ours, and ours as theirs. Each imports its library when used."""

from __future__ import annotations

import importlib
from typing import Any

_BRIDGES = ("cmaes", "nevergrad", "nevergrad_optimizer", "noisyopt", "optuna", "pycma", "scipy", "scipy_peers", "torch")


def __getattr__(name: str) -> Any:
    if name not in _BRIDGES:
        raise AttributeError(f"module 'zoo_opt.interop' has no attribute {name!r}")
    return importlib.import_module(f"zoo_opt.interop.{name}")


def __dir__() -> list[str]:
    return list(_BRIDGES)

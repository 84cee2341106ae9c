"""The methods, by their registered names."""

from __future__ import annotations

from typing import Any

from zoo_opt.core.method import Asked, Method
from zoo_opt.methods.auto.auto import Auto
from zoo_opt.methods.bar import BAR
from zoo_opt.methods.base import GradientMethod
from zoo_opt.methods.cma.dd import DDCMAES
from zoo_opt.methods.cma.full import CMAES
from zoo_opt.methods.cma.sep import SepCMAES
from zoo_opt.methods.fzoo import FZOO
from zoo_opt.methods.local.coordinate_search import CoordinateSearch
from zoo_opt.methods.local.quasi_newton import QuasiNewton
from zoo_opt.methods.spsa import SPSA, SPSAGC
from zoo_opt.methods.spsa_geass import SPSAGEASS
from zoo_opt.methods.subspace import RandomSubspace

METHODS: dict[str, type[Method]] = {
    "auto": Auto,
    "quasi-newton": QuasiNewton,
    "spsa": SPSA,
    "spsa-gc": SPSAGC,
    "spsa-geass": SPSAGEASS,
    "bar": BAR,
    "fzoo": FZOO,
    "cma-es": CMAES,
    "dd-cma-es": DDCMAES,
    "sep-cma-es": SepCMAES,
}


def make(name: str, **hyper: Any) -> Method:
    """Return the method registered under ``name`` with the given hyper-parameters.

    Parameters
    ----------
    name : str
        A key of `METHODS`.
    **hyper
        Keyword arguments of the method's class.

    Raises
    ------
    ValueError
        If no method has this name; the message lists those there are.
    TypeError
        If the method has no such hyper-parameter.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, or a Method, got {name!r}")
    return METHODS[name](**hyper)


__all__ = [
    "BAR",
    "CMAES",
    "DDCMAES",
    "FZOO",
    "METHODS",
    "SPSA",
    "SPSAGC",
    "SPSAGEASS",
    "Asked",
    "Auto",
    "CoordinateSearch",
    "GradientMethod",
    "Method",
    "QuasiNewton",
    "RandomSubspace",
    "SepCMAES",
    "make",
]

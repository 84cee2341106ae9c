"""Other libraries' optimisers that can be chosen by name in a suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo_opt.support.registry import Entry, Registry


@dataclass(frozen=True, kw_only=True)
class PeerEntry(Entry):
    """Another library's optimiser that can be chosen by name in a suite.

    Parameters
    ----------
    name, factory, about, needs, extra
        See `Entry`. The factory is called as ``factory(x0, rng=, budget=, **options)`` and returns a `Solver`; the
        first of `needs` is the library, whose version is part of a run's key.
    argument, default : str
        The factory's argument that takes what follows the name and a colon, as in ``"cmaes:SepCMA"``, and its value
        without; "" where nothing follows.
    evaluated : str
        The factory's argument whose texts the library evaluates as Python; "" for none.
    distribution : str
        The name under which the library is installed, where it is not that of its module.
    optional : bool
        Whether suites go on without it where something that it needs is not installed.
    """

    distribution: str = ""
    optional: bool = False
    argument: str = ""
    default: str = ""
    evaluated: str = ""


def _peer(name: str, factory: str, about: str, **rest: Any) -> PeerEntry:
    library = name.partition(":")[0]
    factory, needs = f"zoo_opt.interop.{factory}", ({"pycma": "cma"}.get(library, library),)
    return PeerEntry(name=name, factory=factory, about=about, **{"extra": "bench", "needs": needs, **rest})


_PYCMA = "pycma's CMA-ES: sigma0, popsize, diagonal, sampler, restarts, restart_from, options"
_HANDLER = "the same with its noise handler: sigma0, maxevals, restarts, restart_from, options"
_SURROGATE = "pycma's lq-CMA-ES, fmin_lq_surr2: first, sigma0, restarts, restart_from, bounds, options"
_INTEGERS = "the same with its integer handling, on the unit cube: levels, and the rest as for pycma"
_CMAES = "cmaes:CMA or cmaes:SepCMA: sigma0, popsize, lr_adapt, restarts, restart_from"
_MARGIN = "for mixed variables on the unit cube: levels, sigma0, popsize, restarts, restart_from"
_NEVERGRAD = "nevergrad:NAME for any registered optimiser: sigma0, batch, config, levels"
_OPTUNA = "optuna:TPE, optuna:GP, ... on a box: bounds, levels, options"
_SCIPY = "scipy:L-BFGS-B (finite differences), scipy:Nelder-Mead, ...: bounds, restart_from, step, options"
_GP, _TORCH = (
    "Optuna's Gaussian process, which needs torch (not of the extra): bounds, levels, options",
    ("optuna", "torch"),
)
_COBYQA = "scipy's COBYQA, one open run at a time: bounds, restart_from, options"
_BOBYQA = "Py-BOBYQA, if pip install Py-BOBYQA has been done: bounds, restart_from, options"
PEERS = Registry(
    "peer",
    "zoo_opt.peers",
    PeerEntry,
    _peer("pycma", "pycma:PyCMA", _PYCMA, evaluated="options"),
    _peer("pycma:noise-handler", "pycma:PyCMANoiseHandler", _HANDLER, evaluated="options"),
    _peer("pycma:lq", "pycma:PyCMASurrogate", _SURROGATE, evaluated="options"),
    _peer("pycma:integers", "pycma:PyCMAIntegers", _INTEGERS, evaluated="options"),
    _peer("cmaes:CMAwM", "cmaes:CMAwM", _MARGIN),
    _peer("cmaes:CatCMAwM", "cmaes:CatCMAwM", _MARGIN),
    _peer("cmaes", "cmaes:CMAESPackage", _CMAES, argument="kind", default="CMA"),
    _peer("nevergrad", "nevergrad:Nevergrad", _NEVERGRAD, argument="name", default="OnePlusOne"),
    _peer("optuna", "optuna_peer:OptunaSampler", _OPTUNA, argument="name", default="TPE"),
    _peer("optuna:GP", "optuna_peer:OptunaSampler", _GP, argument="name", default="GP", needs=_TORCH, optional=True),
    _peer("scipy", "scipy_peers:ScipyMinimize", _SCIPY, argument="name", default="L-BFGS-B"),
    _peer("scipy:differential_evolution", "scipy_peers:DifferentialEvolution", "bounds, options"),
    _peer("scipy:COBYQA", "trust_region_peers:Cobyqa", _COBYQA),
    _peer("pybobyqa", "trust_region_peers:PyBobyqa", _BOBYQA, extra="", distribution="Py-BOBYQA", optional=True),
    _peer("noisyopt", "noisyopt:NoisyoptSPSA", "its SPSA: a, c, alpha, gamma, bounds, paired"),
    _peer("noisyopt:SPSA", "noisyopt:NoisyoptSPSA", "the same"),
    colons=True,
)
"""Other libraries' optimisers by name."""

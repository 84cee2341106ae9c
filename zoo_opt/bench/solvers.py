"""From a method's entry in a suite to something with ask and tell: ours by registered name, or a peer's."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_opt.support.loading import load_object
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
    """

    extra: str = "bench"
    argument: str = ""
    default: str = ""


def _peer(name: str, factory: str, package: str, about: str, **rest: Any) -> PeerEntry:
    return PeerEntry(name=name, factory=f"zoo_opt.interop.{factory}", needs=(package,), about=about, **rest)


PEERS = Registry(
    "peer",
    "zoo_opt.peers",
    PeerEntry,
    _peer(
        "pycma",
        "pycma:PyCMA",
        "cma",
        "pycma's CMA-ES: sigma0, popsize, diagonal, sampler, restarts, restart_from, options",
    ),
    _peer(
        "pycma:noise-handler",
        "pycma:PyCMANoiseHandler",
        "cma",
        "the same with its noise handler: sigma0, maxevals, restarts, restart_from, options",
    ),
    _peer(
        "cmaes",
        "cmaes:CMAESPackage",
        "cmaes",
        "cmaes:CMA or cmaes:SepCMA: sigma0, popsize, lr_adapt, restarts, restart_from",
        argument="kind",
        default="CMA",
    ),
    _peer(
        "nevergrad",
        "nevergrad:Nevergrad",
        "nevergrad",
        "nevergrad:NAME for any registered optimiser: sigma0, batch, config",
        argument="name",
        default="OnePlusOne",
    ),
    _peer(
        "scipy",
        "scipy_peers:ScipyMinimize",
        "scipy",
        "scipy:L-BFGS-B (finite differences), scipy:Nelder-Mead, ...: bounds, restart_from, step, options",
        argument="name",
        default="L-BFGS-B",
    ),
    _peer("scipy:differential_evolution", "scipy_peers:DifferentialEvolution", "scipy", "bounds, options"),
    _peer("noisyopt", "noisyopt:NoisyoptSPSA", "noisyopt", "its SPSA: a, c, alpha, gamma, bounds, paired"),
    _peer("noisyopt:SPSA", "noisyopt:NoisyoptSPSA", "noisyopt", "the same"),
)
"""Other libraries' optimisers by name."""


class Solver(Protocol):
    """The part of the ask/tell surface that a benchmark drives, ours and the peers' alike."""

    def ask(self) -> Any:
        """A batch with ``X`` of shape (n, d) and ``step``."""

    def tell(self, batch: Any, losses: ArrayLike) -> Any:
        """Take the losses, shape (n,), of the whole batch."""

    def stop(self) -> Mapping[str, Any]:
        """Empty, or the reasons to stop."""
        ...

    @property
    def mean(self) -> NDArray[Any]:
        """The point that the method would recommend under noise, shape (d,)."""
        ...


def peer_of(method: str) -> PeerEntry | None:
    """Return the entry that a method of a suite belongs to, by its whole name or what is before the colon."""
    name = next((name for name in (method, method.partition(":")[0]) if name in PEERS), None)
    return None if name is None else PEERS.find(name)


@cache
def version_of(method: str) -> str:
    """Version of the library that a method of a suite comes from; empty for a factory of the user's.

    For a method that another package has declared, where its class is: another class of this name is another method.
    """
    import zoo_opt as zo

    if method in zo.METHODS:
        path = zo.METHODS.registry.find(method).path
        return zo.__version__ if path.startswith("zoo_opt.") else path
    peer = peer_of(method)
    try:
        return importlib.metadata.version(peer.needs[0]) if peer and peer.needs else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def make_solver(method: str, options: Mapping[str, Any], x0: NDArray[Any], *, seed: int, budget: int) -> Solver:
    """An optimiser that stands at `x0`.

    Parameters
    ----------
    method : str
        A registered name of ours ("cma-es"), a peer ("pycma", "cmaes:SepCMA", "scipy:L-BFGS-B"), or
        ``"module:function"`` of a factory called as ``factory(x0, rng=, budget=, **options)`` that returns a
        `Solver`.
    options : mapping
        Hyper-parameters. For ours, a table with a key ``type`` makes an object of the public surface, a gain or a draw:
        ``{type = "Cosine", start = 0.1, end = 0.001}``; its ``steps``, if not given, are the steps that the budget
        allows.
    x0 : ndarray, shape (d,)
        Start.
    seed : int
        Given as ``rng``.
    budget : int
        Evaluations.

    Raises
    ------
    ValueError
        If the name is unknown or the options do not fit it.
    """
    arguments: dict[str, Any] = {**options, "rng": np.random.SeedSequence(seed), "budget": budget}
    factory, fixed = _factory(method)
    if factory is None:
        import zoo_opt as zo

        arguments = {"rng": arguments["rng"], "budget": budget}
        solver: Solver = zo.Optimizer(make_method(method, options, budget=budget), x0, **arguments)
        return solver
    try:
        solver = factory(x0, **fixed, **arguments)
    except TypeError as error:
        raise ValueError(f"method {method!r} refuses its options {dict(options)}: {error}") from error
    return solver


def check_method(method: str, options: Mapping[str, Any], *, budget: int) -> None:
    """Raise the ValueError that `make_solver` would, as far as can be told without importing a peer."""
    factory, fixed = _factory(method)
    if factory is None:
        make_method(method, options, budget=budget)
        return
    try:
        inspect.signature(factory).bind(None, **fixed, **options, rng=0, budget=budget)
    except TypeError as error:
        raise ValueError(f"method {method!r} refuses its options {dict(options)}: {error}") from error


def _factory(method: str) -> tuple[Callable[..., Any] | None, dict[str, Any]]:
    """Who makes a method, and with what fixed arguments; None stands for ours."""
    name = method.partition(":")[2]
    peer = peer_of(method)
    if peer is not None and (peer.argument or peer.name == method):
        fixed = {peer.argument: name or peer.default} if peer.argument else {}
        return load_object(peer.path), fixed  # not `load`: a suite can be checked where its peers are not installed
    return (load_object(method), {}) if name else (None, {})


def make_method(name: str, options: Mapping[str, Any], *, budget: int) -> Any:
    """One of our methods from a registered name and plain options, as suites and the command line give them.

    Parameters
    ----------
    name : str
        Registered name.
    options : mapping
        Hyper-parameters; see `make_solver`. ``subspace = k`` wraps the method in `RandomSubspace`.
    budget : int
        Evaluations, for schedules that do not say their number of steps.

    Raises
    ------
    ValueError
        If the name is unknown, or a table among the options has no usable type.
    """
    import zoo_opt as zo

    if name not in zo.METHODS:
        raise ValueError(
            f"method must be one of {sorted(zo.METHODS)}, got {name!r} (a suite takes peers too: {sorted(PEERS)}, "
            'and "module:function")'
        )
    options = dict(options)
    subspace = options.pop("subspace", None)

    def build(value: Any) -> Any:
        """A table with a ``type`` becomes an object of the public surface, a list a tuple."""
        if isinstance(value, list):
            return tuple(build(v) for v in value)
        if not isinstance(value, Mapping):
            return value
        kind = getattr(zo, str(value.get("type")), None)
        if not inspect.isclass(kind):
            raise ValueError(f"a table among a method's options needs a type that zoo_opt has, got {dict(value)}")
        inner = {k: build(v) for k, v in value.items() if k != "type"}
        if "steps" in inspect.signature(kind).parameters and "steps" not in inner:
            inner["steps"] = max(1, budget // _step_size(name, options))
        try:
            return kind(**inner)
        except TypeError as error:
            raise ValueError(f"{kind.__name__} refuses its options {inner}: {error}") from error

    built = {key: build(value) for key, value in options.items()}
    try:
        method = zo.make(name, **built)
    except TypeError as error:
        raise ValueError(f"method {name!r} refuses its options {options}: {error}") from error
    return method if subspace is None else zo.RandomSubspace(method, dim=int(subspace))


def _step_size(name: str, options: Mapping[str, Any]) -> int:
    """Evaluations per step of one of our methods, from a first step with its schedules left out."""
    import zoo_opt as zo

    plain = {k: v for k, v in options.items() if not isinstance(v, Mapping | list)}
    return len(zo.Optimizer(zo.make(name, **plain), np.zeros(2), rng=0).ask())

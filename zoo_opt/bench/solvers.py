"""From a method's entry in a suite to something with ask and tell: ours by registered name, or a peer's."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

import zoo_opt as zo
from zoo_opt.bench.peers import PEERS, PeerEntry
from zoo_opt.methods.grid import cells
from zoo_opt.support.declaring import need_declared, need_trust
from zoo_opt.support.installed import versions
from zoo_opt.support.loading import load_object
from zoo_opt.support.registry import Entry, find_in


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


def entry_of(method: str) -> Entry | None:
    """Return the entry of a method of a suite, ours or a peer's, by its whole name or what is before the colon.

    None stands for a factory of the user's own, or a name that there is not.

    Raises
    ------
    ValueError
        If the name is that of a method and of a peer.
    """
    whole = find_in(method, zo.METHODS.registry, PEERS)
    return whole or find_in(method.partition(":")[0], PEERS)


@cache
def version_of(method: str) -> str:
    """Version of the library that a method of a suite comes from; empty for a factory of the user's.

    For a method that another package has declared, where its class is: another class of this name is another method.
    """
    entry = entry_of(method)
    if entry is None or isinstance(entry, PeerEntry):
        package = () if entry is None else (entry.distribution,) if entry.distribution else entry.needs[:1]
        return next(iter(versions(package).values()), "")
    return zo.__version__ if entry.path.startswith("zoo_opt.") else entry.path


def left_out(method: str) -> str:
    """Why a suite goes on without this method here; "" if it does not.

    An optional peer is left out too, where what it needs is not installed.
    """
    entry = entry_of(method)
    if not isinstance(entry, PeerEntry) or not entry.optional or not entry.missing:
        return ""
    missing = entry.missing[0]
    return f"{entry.distribution if missing == entry.needs[0] and entry.distribution else missing} is not installed"


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
        return zo.Optimizer(make_method(method, options, budget=budget), x0, rng=arguments["rng"], budget=budget)
    with _refusal(f"method {method!r}", options):
        solver: Solver = factory(x0, **fixed, **arguments)
    return solver


def check_method(method: str, options: Mapping[str, Any], *, budget: int) -> None:
    """Raise the ValueError that `make_solver` would, as far as can be told without importing a peer."""
    factory, fixed = _factory(method)
    if factory is None:
        make_method(method, options, budget=budget)
        return
    with _refusal(f"method {method!r}", options):
        inspect.signature(factory).bind(None, **fixed, **options, rng=0, budget=budget)


def check_method_in_file(method: str, options: Mapping[str, Any], trust: bool) -> None:
    """Raise a ValueError unless a file may name this method: see `zoo_opt.support.declaring`."""
    peer = _peer_of(method)
    if peer is None and ":" in method:
        need_declared(method, "method", trust)
    if peer is not None and peer.evaluated:
        for name, value in (options.get(peer.evaluated) or {}).items():
            if isinstance(value, str):  # signals_filename too, whose file pycma evaluates
                need_trust(f"option {name} = {value!r}, which {peer.name} evaluates,", trust)


@contextlib.contextmanager
def _refusal(what: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Name what refuses its options, and them, in place of the TypeError that says so."""
    try:
        yield
    except TypeError as error:
        raise ValueError(f"{what} refuses its options {dict(options)}: {error}") from error


def _factory(method: str) -> tuple[Callable[..., Any] | None, dict[str, Any]]:
    """Who makes a method, and with what fixed arguments; None stands for ours."""
    name, peer = method.partition(":")[2], _peer_of(method)
    if peer is not None:
        fixed = {peer.argument: name or peer.default} if peer.argument else {}
        return peer.loaded(), fixed  # not `load`: a suite can be checked where its peers are not installed
    return (load_object(method), {}) if name else (None, {})


def _peer_of(method: str) -> PeerEntry | None:
    """The entry of a peer by its whole name, or by what is before the colon where it takes something after it."""
    entry = entry_of(method)
    return entry if isinstance(entry, PeerEntry) and (entry.argument or entry.name == method) else None


def make_method(name: str, options: Mapping[str, Any], *, budget: int) -> Any:
    """One of our methods from a registered name and plain options, as suites and the command line give them.

    Parameters
    ----------
    name : str
        Registered name.
    options : mapping
        Hyper-parameters; see `make_solver`. ``subspace = k`` wraps the method in `RandomSubspace`; ``levels``, numbers
        of levels of the unit cube's coordinates, puts it on their grid.
    budget : int
        Evaluations, for schedules that do not say their number of steps.

    Raises
    ------
    ValueError
        If the name is unknown, or a table among the options has no usable type.
    """
    if name not in zo.METHODS:
        raise ValueError(
            f"method must be one of {sorted(zo.METHODS)}, got {name!r} (a suite takes peers too: {sorted(PEERS)}, "
            'and "module:function")'
        )
    options = dict(options)
    subspace, levels = options.pop("subspace", None), options.pop("levels", None)
    bounds = None if levels is None else options.pop("bounds", None)

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
        with _refusal(kind.__name__, inner):
            return kind(**inner)

    built = {key: build(value) for key, value in options.items()}
    with _refusal(f"method {name!r}", options):
        method = zo.make(name, **built)
        if levels is not None:
            method = method.within(bounds, cells(levels))
    return method if subspace is None else zo.RandomSubspace(method, dim=int(subspace))


def _step_size(name: str, options: Mapping[str, Any]) -> int:
    """Evaluations per step of one of our methods, from a first step with its schedules left out."""
    plain = {k: v for k, v in options.items() if not isinstance(v, Mapping | list)}
    return len(zo.Optimizer(zo.make(name, **plain), np.zeros(2), rng=0).ask())

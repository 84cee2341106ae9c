"""``zoo-opt list``: what there is."""

from __future__ import annotations

import argparse
import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import zoo_opt as zo


def do_list(_: argparse.Namespace) -> int:
    """Print what can be run."""
    from zoo_opt.bench.problems.registry import PROBLEMS
    from zoo_opt.bench.problems.targets import target_lines
    from zoo_opt.bench.solvers import PEERS
    from zoo_opt.bench.suite import load_title, shipped

    methods = zo.METHODS.registry.lines()
    for entry in zo.METHODS.registry.entries():
        with contextlib.suppress(Exception):  # of another package: its line says what it is without the defaults
            methods[entry.name] = f"{entry.about}: {_defaults(entry.load())}"
    show("methods (zoo-opt run --method NAME, with their defaults)", methods)
    show("problems (zoo-opt run NAME, and in suites)", PROBLEMS.lines())
    if targets := target_lines():
        show("problems of plugins (the same)", targets)
    show("suites (zoo-opt bench NAME)", {name: load_title(path) for name, path in shipped().items()})
    show('peers, in suites (from the extra: pip install "zoo-opt[bench]")', PEERS.lines())
    return 0


def show(title: str, lines: Mapping[str, str]) -> None:
    """Print a line about each name, below a title."""
    print(title)
    width = max(map(len, lines), default=0)
    for name, line in lines.items():
        print(f"  {name:<{width}}  {line}")
    print()


def _defaults(method: Callable[..., Any]) -> str:
    """The signature of a method's class as one line."""
    signature = inspect.signature(method)
    parts = [
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in signature.parameters.values()
        if p.default is p.empty or "factory" not in repr(p.default)
    ]
    return f"{getattr(method, '__name__', method)}({', '.join(parts)})"

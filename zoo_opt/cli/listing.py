"""``zoo-opt list``: what there is."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

import zoo_opt as zo


def do_list(arguments: argparse.Namespace) -> int:
    """Print what can be run."""
    from zoo_opt.bench.peers import PEERS
    from zoo_opt.bench.problems.registry import PROBLEMS
    from zoo_opt.bench.problems.targets import target_lines
    from zoo_opt.bench.suite import load_title, shipped

    made = _signatures()
    methods = zo.METHODS.registry.lines() | {name: zo.METHODS.registry.find(name).about for name in made}
    problems, targets, peers = PROBLEMS.lines(), target_lines(), PEERS.lines()
    suites = {name: load_title(path) for name, path in shipped().items()}
    if arguments.json:
        groups = {"methods": methods, "problems": problems | targets, "suites": suites, "peers": peers}
        found: dict[str, dict[str, Any]] = {
            group: {name: {"about": line} for name, line in lines.items()} for group, lines in groups.items()
        }
        for name, (kind, settings) in made.items():
            found["methods"][name] |= {"class": kind} | _as_json(settings)
        print(json.dumps(found, indent=1))
        return 0
    for name, (kind, settings) in made.items():
        given = (
            s if default is inspect.Parameter.empty else f"{s}={short(default)}" for s, default in settings.items()
        )
        methods[name] += f": {kind}({', '.join(given)})"
    show("methods (zoo-opt run --method NAME, with their defaults)", methods)
    show("problems (zoo-opt run NAME, and in suites)", problems)
    if targets:
        show("problems of plugins (the same)", targets)
    show("suites (zoo-opt bench NAME)", suites)
    show('peers, in suites (from the extra: pip install "zoo-opt[bench]")', peers)
    return 0


def show(title: str, lines: Mapping[str, str]) -> None:
    """Print a line about each name, below a title."""
    print(title)
    width = max(map(len, lines), default=0)
    for name, line in lines.items():
        print(f"  {name:<{width}}  {line}")
    print()


def settings_of(method: str) -> dict[str, Any]:
    """The settings of a method with their defaults; ``Parameter.empty`` for what must be given."""
    parameters = inspect.signature(zo.METHODS[method]).parameters.values()
    return {p.name: p.default for p in parameters if "factory" not in repr(p.default)}


def short(value: Any) -> str:
    """The repr of a method, or of a part of one, with the settings alone that are not its defaults."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    settings = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
    signature = inspect.signature(type(value)).parameters
    given = [
        f"{n}={short(v)}" for n, v in settings.items() if n not in signature or repr(v) != repr(signature[n].default)
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def _signatures() -> dict[str, tuple[str, dict[str, Any]]]:
    """The class and settings of each method that can be loaded; another package's fault hides no other."""
    made = {}
    for name in zo.METHODS:
        with contextlib.suppress(Exception):
            made[name] = getattr(zo.METHODS[name], "__name__", str(zo.METHODS[name])), settings_of(name)
    return made


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their defaults, which are text where JSON has no such value, and those that must be given."""
    plain = (bool, int, float, str, type(None))
    required = [name for name, default in settings.items() if default is inspect.Parameter.empty]
    rest = {name: default for name, default in settings.items() if name not in required}
    return {
        "settings": {name: default if isinstance(default, plain) else repr(default) for name, default in rest.items()},
        "required": required,
    }

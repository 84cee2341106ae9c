"""Benchmark targets that other packages bring, found through entry points and imported only when one is asked for.

A package offers targets under a prefix by an entry point in the group ``zoo_opt.objectives``, which names a module::

    [project.entry-points."zoo_opt.objectives"]
    seg = "zoo_opt_seg.targets"

The module has two functions: ``targets()``, a mapping from what can follow ``seg:`` to a line about it, and
``make(name, **arguments)``, which returns the `zoo_opt.bench.Problem` that ``seg:name`` stands for. Importing the
module should be quick: what is heavy is for `make`. A single problem is declared in the group ``zoo_opt.problems``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_opt.support.loading import install, reason
from zoo_opt.support.registry import Entry, Registry

TARGETS = Registry("prefix", "zoo_opt.objectives", Entry)
BROUGHT_BY = {"seg": "seg"}  # prefixes that we know of, and the extra of zoo-opt that brings them


def is_target(kind: str) -> bool:
    """Whether ``kind`` names a plugin's target: what is before the colon is a prefix, or what follows has a slash.

    ``"module:function"`` is a target of a plugin only if one is installed whose prefix is that module's name.
    """
    prefix, colon, name = kind.partition(":")
    return bool(colon) and (prefix in BROUGHT_BY or "/" in name or prefix in TARGETS)


def make_target(kind: str, arguments: Mapping[str, Any]) -> Any:
    """Make a plugin's target.

    Parameters
    ----------
    kind : str
        ``"prefix:name"``, such as ``"seg:tiny/disc/baps"``.
    arguments : mapping
        Keyword arguments of the target.

    Raises
    ------
    ValueError
        If no installed plugin has the prefix; the message says what to install.
    TypeError
        If the target has no such argument.
    ImportError
        If the plugin's own dependencies are not installed.
    """
    prefix, _, name = kind.partition(":")
    if prefix not in TARGETS:
        known = f"prefixes installed: {', '.join(TARGETS)}" if len(TARGETS) else "none is installed"
        todo = (
            f"{install(BROUGHT_BY[prefix])} brings it"
            if prefix in BROUGHT_BY
            else f"install the package that has an entry point {prefix!r} in the group {TARGETS.group!r}"
        )
        raise ValueError(f"problem {kind!r} needs the plugin {prefix!r}, which is not installed: {todo} ({known})")
    return TARGETS.find(prefix).load().make(name, **arguments)


def target_lines() -> dict[str, str]:
    """What the installed plugins offer, ``"prefix:name"`` with a line about each; why, where one cannot be loaded."""
    lines: dict[str, str] = {}
    for prefix in TARGETS:
        try:
            offered = TARGETS.find(prefix).load().targets()
        except Exception as error:  # another package's fault must not keep ours from listing the rest
            lines[f"{prefix}:"] = f"cannot be loaded: {reason(error)}"
            continue
        lines |= {f"{prefix}:{name}": what for name, what in offered.items()}
    return lines

"""Benchmark targets that other packages bring, found through entry points and imported only when one is asked for.

A package offers targets under a prefix by an entry point in the group ``zoo_opt.objectives``, which names a module::

    [project.entry-points."zoo_opt.objectives"]
    seg = "zoo_opt_seg.targets"

The module has two functions: ``targets()``, a mapping from what can follow ``seg:`` to a line about it, and
``make(name, **arguments)``, which returns the `zoo_opt.bench.Problem` that ``seg:name`` stands for. Importing the
module should be quick: what is heavy is for `make`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["GROUP", "is_plugin", "listed", "make_target", "plugins"]

GROUP = "zoo_opt.objectives"
BROUGHT_BY = {"seg": "zoo-opt[seg]"}  # prefixes that we know of, and what to install for them


def plugins() -> dict[str, EntryPoint]:
    """The installed plugins by prefix.

    Raises
    ------
    ValueError
        If two packages claim one prefix.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ValueError(f"the prefix {entry.name!r} belongs to one plugin, got {other.value} and {entry.value}")
    return dict(sorted(found.items()))


def is_plugin(kind: str) -> bool:
    """Whether ``kind`` names a plugin's target: what is before the colon is a prefix, or what follows has a slash.

    ``"module:function"`` is a target of a plugin only if one is installed whose prefix is that module's name.
    """
    prefix, colon, name = kind.partition(":")
    if not colon:
        return False
    return prefix in BROUGHT_BY or "/" in name or prefix in plugins()


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
    found = plugins()
    if prefix not in found:
        known = f"prefixes installed: {', '.join(found)}" if found else "none is installed"
        install = (
            f'pip install "{BROUGHT_BY[prefix]}" brings it'
            if prefix in BROUGHT_BY
            else f"install the package that has an entry point {prefix!r} in the group {GROUP!r}"
        )
        raise ValueError(f"problem {kind!r} needs the plugin {prefix!r}, which is not installed: {install} ({known})")
    return found[prefix].load().make(name, **arguments)


def listed() -> dict[str, str]:
    """What the installed plugins offer, ``"prefix:name"`` with a line about each; why, where one cannot be loaded."""
    lines: dict[str, str] = {}
    for prefix, entry in plugins().items():
        try:
            offered = entry.load().targets()
        except Exception as error:  # another package's fault must not keep ours from listing the rest
            lines[f"{prefix}:"] = f"cannot be loaded: {type(error).__name__}: {error}"
            continue
        lines |= {f"{prefix}:{name}": what for name, what in offered.items()}
    return lines

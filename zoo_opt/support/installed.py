"""Which versions of packages are installed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of the packages that are installed, by name."""
    known = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    return known

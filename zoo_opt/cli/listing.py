"""What there is, for the commands ``list``."""

from __future__ import annotations

from collections.abc import Mapping


def show(title: str, lines: Mapping[str, str]) -> None:
    """Print a line about each name, below a title."""
    print(title)
    width = max(map(len, lines), default=0)
    for name, line in lines.items():
        print(f"  {name:<{width}}  {line}")
    print()

"""``zoo-opt-seg spend``: what the ledgers of services come to."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo_opt_seg.cli.inputs import blamed

if TYPE_CHECKING:
    from zoo_opt_seg.remote.books import Spent

COLUMNS = {
    "calls": "{:,}",
    "images": "{:,}",
    "perhaps": "{:,}",
    "failed": "{:,}",
    "refused": "{:,}",
    "unserved": "{:,}",
    "unsent": "{:,}",
    "money": "{:,.8g}",
    "seconds": "{:,.1f}",
    "bytes": "{:,}",
}


def do_spend(arguments: argparse.Namespace) -> int:
    """Print the sums of ledgers by run, model and day."""
    from zoo_opt_seg.remote.books import Spent, added
    from zoo_opt_seg.remote.ledger_file import read_ledger

    sums: dict[tuple[str, str, str], Spent] = {}
    for path in arguments.ledgers:
        with blamed("LEDGER"):
            books = read_ledger(path)
        for key, spent in books.sums.items():
            sums[key] = sums.get(key, Spent()) + spent
    total = added(sums.values())
    parts: list[tuple[str, Callable[[tuple[str, str, str]], str]]]
    parts = [("run", lambda key: key[0]), ("model", lambda key: key[1]), ("day", lambda key: key[2])]
    groups: dict[str, dict[str, Spent]] = {}
    for name, part in parts:
        groups[name] = {}
        for key, spent in sorted(sums.items()):
            groups[name][part(key)] = groups[name].get(part(key), Spent()) + spent
    if arguments.json:
        plain = {name: {value: spent.plain() for value, spent in rows.items()} for name, rows in groups.items()}
        print(json.dumps({"total": total.plain(), **plain}, indent=1))
        return 0
    names = [f"{name} {_shown(value)}" for name, rows in groups.items() for value in rows]
    width = min(max(map(len, [*names, "total"])), 60)
    print(" " * width + "".join(f"  {name:>9}" for name in COLUMNS))
    for name, rows in groups.items():
        for value, spent in rows.items():
            _row(f"{name} {_shown(value)}", width, spent)
    _row("total", width, total)
    return 0


def _row(name: str, width: int, spent: Spent) -> None:
    cells = (form.format(getattr(spent, column)) for column, form in COLUMNS.items())
    print(f"{name[:width]:<{width}}" + "".join(f"  {cell:>9}" for cell in cells))


def _shown(value: str) -> str:
    """A text of a ledger as a terminal may show it."""
    from zoo_opt_seg.remote.exchange import presentable

    return presentable(value) or "-"

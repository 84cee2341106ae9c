"""Reads table suites from TOML; every mistake is a message with the place and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_opt.bench.suite_reader import REQUIRED, Reader, SuiteError
from zoo_opt_seg.tables.suite import FIGURES, OVERRIDES, Group, Published, Row, TableSuite, uses
from zoo_opt_seg.whitebox.comparators import COMPARATORS

__all__ = ["SuiteError", "load_table", "read_table"]


def load_table(path: Path) -> TableSuite:
    """Read a table suite from a file.

    Raises
    ------
    SuiteError
        If there is no such file or it is not valid; the message says where and what was expected.
    """
    if not path.is_file():
        raise SuiteError(f"no suite file {str(path)!r}")
    try:
        return read_table(path.read_text(encoding="utf-8"), path.stem)
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path.name}: not valid TOML: {error}") from error


def read_table(text: str, name: str) -> TableSuite:
    """Read a table suite from its text; see `load_table`."""
    try:
        reader = Reader(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{name}: not valid TOML: {error}") from error
    tables: dict[str, dict[str, Any]] = {}
    groups = tuple(_group(reader, tables) for reader in _group_readers(reader.take("group", list, REQUIRED), name))
    if not groups or len({group.name for group in groups}) != len(groups):
        raise SuiteError(f"{name}: expected [[group]] tables with different names, got {[g.name for g in groups]}")
    title, description = reader.take("title", str, name), reader.take("description", str, "")
    note = reader.take("note", str, "")
    papers = [Reader(f"{name}, published {i}", t) for i, t in enumerate(reader.take("published", list, []), 1)]
    published = tuple(_paper(paper) for paper in papers)
    reader.done()
    return TableSuite(name, title, description, note, groups, text, published)


def _paper(reader: Reader) -> Published:
    title, columns = reader.take("title", str, REQUIRED), tuple(_list(reader, "columns", str))
    rows = {label: tuple(map(str, row)) for label, row in reader.take("rows", dict, REQUIRED).items()}
    for label, row in rows.items():
        if len(row) != len(columns):
            raise SuiteError(f"{reader.where}: row {label!r} must have {len(columns)} figures, got {len(row)}")
    reader.done()
    return Published(title, columns, rows)


def _group_readers(tables: list[Any], name: str) -> list[Reader]:
    return [Reader(f"{name}, group {i}", table) for i, table in enumerate(tables, 1)]


def _group(reader: Reader, earlier: dict[str, dict[str, Any]]) -> Group:
    """Read a group and put its table, with what it has from another, among the `earlier` ones."""
    name = reader.take("name", str, REQUIRED)
    reader.where += f" ({name})"
    if like := reader.take("like", str, ""):
        if like not in earlier:
            raise SuiteError(f"{reader.where}: 'like' must be the name of a group before it, got {like!r}")
        reader.table = _inherited(reader, earlier[like])
    earlier[name] = dict(reader.table)
    defaults = {use: reader.take(use, dict, {}) for use in ("adapt", *COMPARATORS)}
    rows = tuple(
        _row(Reader(f"{reader.where}, row {i}", row)) for i, row in enumerate(reader.take("row", list, REQUIRED), 1)
    )
    rows = tuple(replace(row, settings={**defaults.get(row.use, {}), **row.settings}) for row in rows)
    labels = [row.label for row in rows]
    if not rows or len(set(labels)) != len(labels):
        raise SuiteError(f"{reader.where}: expected [[group.row]] tables with different labels, got {labels}")
    group = Group(
        name,
        tuple(_list(reader, "seeds", int, minimum=0)),
        _at_least(reader, "calls", *((REQUIRED, 1) if any(row.use == "adapt" for row in rows) else (0, 0))),
        tuple(_list(reader, "domains", str)),
        rows,
        reader.take("black_box", dict, {"use": "tiny"}),
        _at_least(reader, "size", 96, 8),
        _at_least(reader, "repeats", 3, 1),
        reader.take("reference", str, ""),
        reader.take("floor", str, ""),
        reader.take("ceiling", str, ""),
        reader.take("note", str, ""),
        tuple(map(str, reader.take("figures", list, ["dice", "hd95"]))),
    )
    reader.done()
    _check(reader.where, group)
    return group


def _check(where: str, group: Group) -> None:
    """Raise SuiteError where parts of a group do not fit together."""
    if not isinstance(group.black_box.get("use"), str):
        raise SuiteError(f"{where}: 'black_box' must be a table with a 'use', got {group.black_box}")
    if not group.figures or set(group.figures) - set(FIGURES) or len(set(group.figures)) < len(group.figures):
        raise SuiteError(f"{where}: 'figures' must be of {', '.join(FIGURES)}, got {list(group.figures)}")
    labels = [row.label for row in group.rows]
    for key in ("reference", "floor", "ceiling"):
        if (label := getattr(group, key)) and label not in labels:
            raise SuiteError(f"{where}: {key!r} must be the label of a row, got {label!r}")
    for row in group.rows:
        for unknown in {*row.domains, *row.on, *row.published, *row.published_organs} - set(group.domains):
            raise SuiteError(f"{where}, row {row.label!r}: the group has no domain {unknown!r}")
        for domain, figures in row.published.items():
            if len(figures) not in (1, len(group.figures)):
                expected = f"[{group.figures[0]}] or [{', '.join(group.figures)}]"
                raise SuiteError(f"{where}, row {row.label!r}: 'published.{domain}' must be {expected}, got {figures}")


def _inherited(reader: Reader, base: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a group with all that it does not say itself taken from `base`, and rows of both."""
    keep = reader.take("keep", list, [row.get("label") for row in base.get("row", [])])
    table = {**base, **reader.table}
    known = {row.get("label"): row for row in base.get("row", [])}
    if unknown := [label for label in keep if label not in known]:
        raise SuiteError(f"{reader.where}: 'keep' must be labels of rows, got {unknown[0]!r}")
    domains = table.get("domains", [])
    rows = [_of_domains(known[label], domains) for label in keep]
    labels = {row.get("label") for row in rows}
    for key in ("reference", "floor", "ceiling"):
        if table.get(key) not in labels and key not in reader.table:
            table.pop(key, None)
    return {**table, "row": [*rows, *reader.table.get("row", [])]}


def _of_domains(row: Mapping[str, Any], domains: list[str]) -> dict[str, Any]:
    """A row without what it says of other domains."""
    kept = dict(row)
    for key in ("on", "published", "published_organs"):
        if key in kept:
            kept[key] = {domain: value for domain, value in kept[key].items() if domain in domains}
    if kept.get("domains"):
        kept["domains"] = [domain for domain in kept["domains"] if domain in domains]
    return kept


def _row(reader: Reader) -> Row:
    label, use = reader.take("label", str, REQUIRED), reader.take("use", str, REQUIRED)
    reader.where += f" ({label})"
    if use not in uses():
        raise SuiteError(f"{reader.where}: 'use' must be one of {', '.join(uses())}, got {use!r}")
    prompt, method = reader.take("prompt", str, ""), reader.take("method", str, "")
    prompted = ("adapt", *(comparator.name for comparator in COMPARATORS.entries() if comparator.prompt))
    for key, value, goes_with in (("prompt", prompt, prompted), ("method", method, ("adapt",))):
        if bool(value) is not (use in goes_with):
            raise SuiteError(f"{reader.where}: {key!r} goes with {' and '.join(goes_with)}, got {value!r} with {use!r}")
    on = reader.take("on", dict, {})
    for domain, table in on.items():
        if not isinstance(table, Mapping) or set(table) - set(OVERRIDES):
            raise SuiteError(f"{reader.where}: 'on.{domain}' may have {', '.join(OVERRIDES)}, got {table!r}")
    row = Row(
        label,
        use,
        prompt,
        reader.take("prompt_options", dict, {}),
        method,
        reader.take("options", dict, {}),
        reader.take("settings", dict, {}),
        on,
        tuple(reader.take("domains", list, [])),
        {domain: _published(reader, figures) for domain, figures in reader.take("published", dict, {}).items()},
        {domain: _organs(reader, organs) for domain, organs in reader.take("published_organs", dict, {}).items()},
        reader.take("grid", dict, {}),
        reader.take("note", str, ""),
    )
    for name, values in row.grid.items():
        if name.partition(".")[0] not in OVERRIDES or "." not in name or not isinstance(values, list):
            raise SuiteError(f"{reader.where}: 'grid' must have lists by names such as \"options.lr\", got {name!r}")
    reader.done()
    return row


def _list(reader: Reader, key: str, kind: type, minimum: int | None = None) -> list[Any]:
    values = reader.take(key, list, REQUIRED)
    good = values and len(set(map(repr, values))) == len(values) and all(type(v) is kind for v in values)
    if not good or (minimum is not None and min(values) < minimum):
        raise SuiteError(f"{reader.where}: {key!r} must be different {kind.__name__} values, got {values}")
    return list(values)


def _at_least(reader: Reader, key: str, default: Any, minimum: int) -> int:
    value: int = reader.take(key, int, default)
    if value < minimum:
        raise SuiteError(f"{reader.where}: {key!r} must be {minimum} or more, got {value}")
    return value


def _published(reader: Reader, figures: Any) -> tuple[float, ...]:
    if isinstance(figures, list) and 1 <= len(figures) <= len(FIGURES) and all(map(_is_number, figures)):
        return tuple(float(v) for v in figures)
    raise SuiteError(f"{reader.where}: 'published' must have [Dice] or [Dice, HD95] by domain, got {figures!r}")


def _organs(reader: Reader, organs: Any) -> dict[str, float]:
    if isinstance(organs, Mapping) and all(map(_is_number, organs.values())):
        return {name: float(v) for name, v in organs.items()}
    raise SuiteError(f"{reader.where}: 'published_organs' must have Dice by domain and organ, got {organs!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Reads table suites from TOML; every mistake is a message with the place and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from zoo_opt.bench.suite_reader import REQUIRED, Reader, SuiteError
from zoo_opt.support.declaring import need_declared
from zoo_opt_seg.blackbox.registry import check_black_box_in_file
from zoo_opt_seg.data.draws import checked_kind
from zoo_opt_seg.tables.suite import (
    FIGURES,
    OVERRIDES,
    OWN_USES,
    PROMPTED,
    Published,
    Row,
    TableGroup,
    TableSuite,
    on_volumes,
    uses,
)
from zoo_opt_seg.whitebox.comparators import COMPARATORS

__all__ = ["SuiteError", "load_table", "read_table"]

GROUP_KEYS = {*(key.name for key in fields(TableGroup)), "like", "keep", "row"}  # which no comparator is named like


def load_table(path: Path, *, trust: bool = False) -> TableSuite:
    """Read a table suite from a file.

    Parameters
    ----------
    path : Path
    trust : bool
        Whether the file may have code run that is not of a registry: black boxes and data by ``"module:function"`` that
        declare themselves (`zoo_opt.bench.factory`), and the command of a black box that is a process.

    Raises
    ------
    SuiteError
        If there is no such file or it is not valid; the message says where and what was expected.
    """
    if not path.is_file():
        raise SuiteError(f"no suite file {str(path)!r}")
    suite = _suite(Reader.of_file(path.stem, path.read_bytes()), path.read_text(encoding="utf-8"))
    for group in suite.groups:
        try:
            check_black_box_in_file(group.black_box["use"], trust)
            for domain in group.domains:
                if ":" in domain:
                    need_declared(domain, "data", trust)
        except ValueError as error:
            raise SuiteError(f"{suite.name} ({group.name}): {error}") from error
    return suite


def read_table(text: str, name: str) -> TableSuite:
    """Read a table suite from its text, as a record holds it, for a report; see `load_table`.

    Nothing that it names is imported.
    """
    return _suite(Reader.of_toml(name, text), text)


def _suite(reader: Reader, text: str) -> TableSuite:
    name, tables = reader.where, dict[str, dict[str, Any]]()
    groups = tuple(_group(part, tables) for part in reader.readers("group", "group"))
    if not groups or len({group.name for group in groups}) != len(groups):
        raise reader.error(f"expected [[group]] tables with different names, got {[g.name for g in groups]}")
    published = tuple(map(_paper, reader.readers("published", "published", [])))
    title = reader.take("title", str, name)
    return reader.fill(TableSuite, name=name, title=title, groups=groups, text=text, published=published)


def _paper(reader: Reader) -> Published:
    columns = tuple(_list(reader, "columns", str))
    rows = {label: tuple(map(str, row)) for label, row in reader.take("rows", dict, REQUIRED).items()}
    for label, row in rows.items():
        if len(row) != len(columns):
            raise reader.error(f"row {label!r} must have {len(columns)} figures, got {len(row)}")
    return reader.fill(Published, columns=columns, rows=rows)


def _group(reader: Reader, earlier: dict[str, dict[str, Any]]) -> TableGroup:
    """Read a group and put its table, with what it has from another, among the `earlier` ones."""
    name = reader.take("name", str, REQUIRED)
    reader.where += f" ({name})"
    if like := reader.take("like", str, ""):
        if like not in earlier:
            raise reader.error(f"'like' must be the name of a group before it, got {like!r}")
        reader.table = _inherited(reader, earlier[like])
    earlier[name] = dict(reader.table)
    defaults = {use: reader.take(use, dict, {}) for use in ("adapt", *COMPARATORS) if use not in GROUP_KEYS}
    rows = tuple(map(_row, reader.readers("row", "row")))
    rows = tuple(replace(row, settings={**defaults.get(row.use, {}), **row.settings}) for row in rows)
    labels = [row.label for row in rows]
    if not rows or len(set(labels)) != len(labels):
        raise reader.error(f"expected [[group.row]] tables with different labels, got {labels}")
    group = reader.fill(
        TableGroup,
        name=name,
        rows=rows,
        seeds=tuple(_list(reader, "seeds", int, minimum=0)),
        calls=_at_least(reader, "calls", *((REQUIRED, 1) if any(row.use == "adapt" for row in rows) else (0, 0))),
        domains=tuple(_list(reader, "domains", str)),
        size=_at_least(reader, "size", 96, 8),
        repeats=_at_least(reader, "repeats", 3, 1),
        figures=tuple(map(str, reader.take("figures", list, ["dice", "hd95"]))),
    )
    _check(reader.where, group)
    return group


def _check(where: str, group: TableGroup) -> None:
    """Raise SuiteError where parts of a group do not fit together."""
    if not isinstance(group.black_box.get("use"), str):
        raise SuiteError(f"{where}: 'black_box' must be a table with a 'use', got {group.black_box}")
    if not group.figures or set(group.figures) - set(FIGURES) or len(set(group.figures)) < len(group.figures):
        raise SuiteError(f"{where}: 'figures' must be of {', '.join(FIGURES)}, got {list(group.figures)}")
    if group.points:
        try:
            checked_kind(group.points, "'points'")
        except ValueError as error:
            raise SuiteError(f"{where}: {error}") from None
    labels = [row.label for row in group.rows]
    for domain, options in group.data.items():
        if domain not in group.domains or not isinstance(options, Mapping) or "size" in options:
            raise SuiteError(f"{where}: 'data' must have options of load_data by domain, got {domain!r}: {options}")
    if group.data and any(on_volumes(row.use) for row in group.rows):
        raise SuiteError(f"{where}: 'data' is for images, rows on volumes have 'options.data', got {group.data}")
    for key in ("reference", "floor", "ceiling"):
        if (label := getattr(group, key)) and label not in labels:
            raise SuiteError(f"{where}: {key!r} must be the label of a row, got {label!r}")
    for row in group.rows:
        if group.points and row.use in COMPARATORS:
            raise SuiteError(f"{where}, row {row.label!r}: 'points' goes with {', '.join(OWN_USES)}, got {row.use!r}")
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
        raise reader.error(f"'keep' must be labels of rows, got {unknown[0]!r}")
    domains = table.get("domains", [])
    rows = [_of_domains(known[label], domains) for label in keep]
    labels = {row.get("label") for row in rows}
    if "data" in table and "data" not in reader.table:
        table["data"] = {domain: options for domain, options in table["data"].items() if domain in domains}
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
        raise reader.error(f"'use' must be one of {', '.join(uses())}, got {use!r}")
    if use in COMPARATORS and use in (*OWN_USES, *GROUP_KEYS):
        place = COMPARATORS.find(use).path
        raise reader.error(f"'use' must be the name of one thing, got {use!r}, a word of tables and that of {place}")
    row = reader.fill(
        Row,
        label=label,
        use=use,
        published={name: _published(reader, own) for name, own in reader.take("published", dict, {}).items()},
        published_organs={name: _organs(reader, o) for name, o in reader.take("published_organs", dict, {}).items()},
    )
    prompted = (*PROMPTED, *(comparator.name for comparator in COMPARATORS.entries() if comparator.prompt))
    for key, value, goes_with in (("prompt", row.prompt, prompted), ("method", row.method, ("adapt",))):
        if bool(value) is not (use in goes_with):
            raise reader.error(f"{key!r} goes with {' and '.join(goes_with)}, got {value!r} with {use!r}")
    for domain, table in row.on.items():
        if not isinstance(table, Mapping) or set(table) - set(OVERRIDES):
            raise reader.error(f"'on.{domain}' may have {', '.join(OVERRIDES)}, got {table!r}")
    for name, values in row.grid.items():
        if name.partition(".")[0] not in OVERRIDES or "." not in name or not isinstance(values, list):
            raise reader.error(f"'grid' must have lists by names such as \"options.lr\", got {name!r}")
    return row


def _list(reader: Reader, key: str, kind: type, minimum: int | None = None) -> list[Any]:
    values = reader.take(key, list, REQUIRED)
    good = values and len(set(map(repr, values))) == len(values) and all(type(v) is kind for v in values)
    if not good or (minimum is not None and min(values) < minimum):
        raise reader.error(f"{key!r} must be different {kind.__name__} values, got {values}")
    return list(values)


def _at_least(reader: Reader, key: str, default: Any, minimum: int) -> int:
    value: int = reader.take(key, int, default)
    if value < minimum:
        raise reader.error(f"{key!r} must be {minimum} or more, got {value}")
    return value


def _published(reader: Reader, figures: Any) -> tuple[float, ...]:
    if isinstance(figures, list) and 1 <= len(figures) <= len(FIGURES) and all(map(_is_number, figures)):
        return tuple(float(v) for v in figures)
    raise reader.error(f"'published' must have [Dice] or [Dice, HD95] by domain, got {figures!r}")


def _organs(reader: Reader, organs: Any) -> dict[str, float]:
    if isinstance(organs, Mapping) and all(map(_is_number, organs.values())):
        return {name: float(v) for name, v in organs.items()}
    raise reader.error(f"'published_organs' must have Dice by domain and organ, got {organs!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

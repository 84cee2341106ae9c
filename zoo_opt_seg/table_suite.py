"""Suite files of tables: rows (a prompt and a method, or a comparator) by domains and seeds, at one number of calls.

A table suite is TOML::

    title = "BAPS, table 3"
    note = "domains, splits and LoRA settings are those of commit 0123456"

    [[group]]
    name = "3,200 calls"
    seeds = [0, 1, 2]
    calls = 3200                       # image evaluations of each adaptation, validation included
    domains = ["disc", "skin"]         # names that load_data knows, or "module:function" that returns Splits
    black_box = { use = "tiny" }       # or { use = "sam", model_type = "vit_b", checkpoint = "sam_vit_b.pth" }
    reference = "SPSA-GEASS"           # row that the others are compared with

    [[group.row]]
    label = "SPSA-GEASS"
    use = "adapt"                      # or "zero-shot", "disk", "lora", "backprop"
    prompt = "baps"
    method = "spsa-geass"
    options = { lr = 0.01, c = 0.01 }  # of the method, or of LoRA
    settings = { augment = "paper" }   # of `adapt`, or of the trainer's recipe
    published = { skin = [0.74] }      # Dice and HD95 of the paper, by domain
    on.disc = { options = { lr = 0.003 } }
    grid = { "options.lr" = [0.001, 0.003, 0.01] }          # what benchmarks/tune_seg.py tries
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo_opt.bench.suite_reader import REQUIRED, Reader, SuiteError

__all__ = ["FORMAT", "USES", "Cell", "Group", "Place", "Row", "SuiteError", "TableSuite", "load_table", "read_table"]

FORMAT = 1  # of what a cell records; part of its key
USES = ("zero-shot", "disk", "adapt", "lora", "backprop")
OVERRIDES = ("prompt_options", "options", "settings")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    label : str
    use : str
        One of `USES`.
    prompt, prompt_options
        The visual prompt of ``adapt`` and ``backprop``: `zoo_opt_seg.visual_prompts.make_prompt`.
    method : str
        Of ``adapt``: a name in `zoo_opt.METHODS`.
    options : dict
        The method's hyper-parameters, or those of `zoo_opt_seg.whitebox.lora.LoRA`.
    settings : dict
        Keywords of `zoo_opt_seg.adapt.adapt`, or of `zoo_opt_seg.whitebox.recipe.Recipe` (and ``augment``).
    on : dict
        By domain, what differs there: a dict of `prompt_options`, `options` and `settings`.
    domains : tuple of str
        That the row is for; empty: all of the group.
    published : dict
        By domain, the paper's (Dice,) or (Dice, HD95).
    grid : dict
        By dotted name such as ``"options.lr"``, values to try in tuning.
    note : str
    """

    label: str
    use: str
    prompt: str = ""
    prompt_options: dict[str, Any] = field(default_factory=dict)
    method: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    on: dict[str, dict[str, Any]] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    published: dict[str, tuple[float, ...]] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    note: str = ""

    def at(self, domain: str) -> Row:
        """The row as it is on a domain."""
        other = self.on.get(domain, {})
        return replace(self, **{name: {**getattr(self, name), **other.get(name, {})} for name in OVERRIDES}, on={})


@dataclass(frozen=True)
class Place:
    """Where a table is made; results do not depend on it.

    Attributes
    ----------
    out : str
        Folder of the results; a cell resumes from its own under it.
    data_root, weights : str or None
        Folders of the data sets and of checkpoints.
    """

    out: str
    data_root: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Cell:
    """One run: a row on a domain with a seed."""

    row: Row
    domain: str
    seed: int
    calls: int
    size: int
    repeats: int
    black_box: dict[str, Any]
    place: Place = Place("")

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on; a finished cell is not repeated, whatever group it is in."""
        row = {name: getattr(self.row, name) for name in ("use", "prompt", "method", *OVERRIDES)}
        said = {name: getattr(self, name) for name in ("domain", "seed", "size", "repeats", "black_box")}
        budget = self.calls if self.row.use == "adapt" else None
        text = json.dumps([FORMAT, row, said, budget], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def method(self) -> Row:
        """The row, by the name that `zoo_opt.bench.executors` knows it by."""
        return self.row

    @property
    def problem_name(self) -> str:
        """The domain, likewise."""
        return self.domain


@dataclass(frozen=True)
class Group:
    """Rows on the same domains at the same number of calls.

    Attributes
    ----------
    name, note : str
    seeds : tuple of int
    calls : int
    domains : tuple of str
    size : int
        Side of the images in pixels.
    repeats : int
        Random points for each test image.
    black_box : dict
        ``use`` and its options.
    rows : tuple of Row
    reference, floor, ceiling : str
        Labels of the row that others are tested against, and of those between which the gap is measured; or "".
    """

    name: str
    seeds: tuple[int, ...]
    calls: int
    domains: tuple[str, ...]
    rows: tuple[Row, ...]
    black_box: dict[str, Any]
    size: int = 96
    repeats: int = 3
    reference: str = ""
    floor: str = ""
    ceiling: str = ""
    note: str = ""

    def cells(self, place: Place = Place("")) -> list[Cell]:
        """Every cell, seed by seed."""
        return [self.cell(row, domain, seed, place) for seed in self.seeds for row, domain in self.places()]

    def places(self) -> list[tuple[Row, str]]:
        """Every (row, domain) that belongs to the table."""
        return [(row, d) for d in self.domains for row in self.rows if not row.domains or d in row.domains]

    def cell(self, row: Row, domain: str, seed: int, place: Place = Place("")) -> Cell:
        """The cell of a row, a domain and a seed."""
        return Cell(row.at(domain), domain, seed, self.calls, self.size, self.repeats, self.black_box, place)


@dataclass(frozen=True)
class TableSuite:
    """A table suite, as read from a file; `text` is the file as it was."""

    name: str
    title: str
    description: str
    note: str
    groups: tuple[Group, ...]
    text: str

    @property
    def labels(self) -> list[str]:
        """The rows' labels, each once."""
        return list(dict.fromkeys(row.label for group in self.groups for row in group.rows))

    @property
    def domains(self) -> list[str]:
        """The domains, each once."""
        return list(dict.fromkeys(domain for group in self.groups for domain in group.domains))

    def cells(self, place: Place = Place("")) -> list[Cell]:
        """Every cell once: rows that do not depend on the calls are shared by groups."""
        return list({cell.key: cell for group in self.groups for cell in group.cells(place)}.values())


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
    tables = reader.take("group", list, REQUIRED)
    groups = tuple(_group(Reader(f"{name}, group {i}", table)) for i, table in enumerate(tables, 1))
    if not groups or len({group.name for group in groups}) != len(groups):
        raise SuiteError(f"{name}: expected [[group]] tables with different names, got {[g.name for g in groups]}")
    title, description = reader.take("title", str, name), reader.take("description", str, "")
    note = reader.take("note", str, "")
    reader.done()
    return TableSuite(name, title, description, note, groups, text)


def _group(reader: Reader) -> Group:
    name = reader.take("name", str, REQUIRED)
    reader.where += f" ({name})"
    rows = tuple(
        _row(Reader(f"{reader.where}, row {i}", row)) for i, row in enumerate(reader.take("row", list, REQUIRED), 1)
    )
    labels = [row.label for row in rows]
    if not rows or len(set(labels)) != len(labels):
        raise SuiteError(f"{reader.where}: expected [[group.row]] tables with different labels, got {labels}")
    group = Group(
        name,
        tuple(_list(reader, "seeds", int, minimum=0)),
        _at_least(reader, "calls", REQUIRED, 1),
        tuple(_list(reader, "domains", str)),
        rows,
        reader.take("black_box", dict, {"use": "tiny"}),
        _at_least(reader, "size", 96, 8),
        _at_least(reader, "repeats", 3, 1),
        *(reader.take(key, str, "") for key in ("reference", "floor", "ceiling", "note")),
    )
    reader.done()
    if not isinstance(group.black_box.get("use"), str):
        raise SuiteError(f"{reader.where}: 'black_box' must be a table with a 'use', got {group.black_box}")
    for key in ("reference", "floor", "ceiling"):
        if (label := getattr(group, key)) and label not in labels:
            raise SuiteError(f"{reader.where}: {key!r} must be the label of a row, got {label!r}")
    for row in rows:
        for unknown in {*row.domains, *row.on, *row.published} - set(group.domains):
            raise SuiteError(f"{reader.where}, row {row.label!r}: the group has no domain {unknown!r}")
    return group


def _row(reader: Reader) -> Row:
    label, use = reader.take("label", str, REQUIRED), reader.take("use", str, REQUIRED)
    reader.where += f" ({label})"
    if use not in USES:
        raise SuiteError(f"{reader.where}: 'use' must be one of {', '.join(USES)}, got {use!r}")
    prompt, method = reader.take("prompt", str, ""), reader.take("method", str, "")
    for key, value, uses in (("prompt", prompt, ("adapt", "backprop")), ("method", method, ("adapt",))):
        if bool(value) is not (use in uses):
            raise SuiteError(f"{reader.where}: {key!r} goes with {' and '.join(uses)}, got {value!r} with {use!r}")
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
    if isinstance(figures, list) and 1 <= len(figures) <= 2 and all(isinstance(v, int | float) for v in figures):
        return tuple(float(v) for v in figures)
    raise SuiteError(f"{reader.where}: 'published' must have [Dice] or [Dice, HD95] by domain, got {figures!r}")

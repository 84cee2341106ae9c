"""Tables to be made: rows (a prompt and a method, or a comparator) by domains and seeds, at one number of calls.

A table suite is TOML, read by `zoo_opt_seg.tables.reader`::

    title = "BAPS, table 3"
    note = "domains, splits and LoRA settings are those of commit 0123456"

    [[group]]
    name = "3,200 calls"
    seeds = [0, 1, 2]
    calls = 3200                       # image evaluations of each adaptation, validation included
    domains = ["disc", "skin"]         # names that load_data knows, or, in a file that is trusted, "module:function"
    black_box = { use = "tiny" }       # or "small", or { use = "sam", model_type = "vit_b", checkpoint = "vit_b.pth" },
                                       # or, asked by text, { use = "clipseg", folder = "clipseg-rd64" }
    points = "box"                     # by what it is asked, in all rows; without, by what the black box wants
    data.kvasir = { fit = "pad" }      # further options of load_data, by domain
    reference = "SPSA-GEASS"           # row that the others are compared with
    figures = ["dice", "hd95"]         # "iou" too, if it is to be shown
    adapt = { batch = 16 }             # settings that all rows of this use have; "lora", "vlsm", ... likewise

    [[group.row]]
    label = "SPSA-GEASS"
    use = "adapt"                      # or "zero-shot", "disk", "lora", "backprop", ...: see `uses`
    prompt = "baps"
    method = "spsa-geass"              # or a preset: "spsa-geass:paper", "spsa-geass:released"
    options = { lr = 0.01, c = 0.01 }  # of the method, or of LoRA, the adapters, ...
    settings = { augment = "paper" }   # of `adapt`, or of the trainer's recipe
    published = { skin = [0.74] }      # Dice of the paper by domain, or Dice and HD95 (all of `figures`)
    on.disc = { options = { lr = 0.003 } }
    grid = { "options.lr" = [0.001, 0.003, 0.01] }          # what benchmarks/tune_seg.py tries

    [[group]]
    name = "30,000 calls"
    like = "3,200 calls"               # all that is not said here, and the rows
    keep = ["SPSA-GEASS"]              # of these only; [[group.row]] tables come after them
    calls = 30000

    [[published]]                      # a table of the paper, shown as it is below ours
    title = "As published, table 3"
    columns = ["SPSA", "SPSA-GEASS"]
    rows = { "ISIC 2018" = ["0.68", "0.74"] }
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from zoo_opt_seg.whitebox.comparators import COMPARATORS

__all__ = ["FIGURES", "FORMAT", "OVERRIDES", "Cell", "Place", "Published", "Row", "TableGroup", "TableSuite", "uses"]

FORMAT = 1  # of what a cell records; part of its key
TRIVIAL = ("disk", "whole-image", "region-growing", "ellipse")  # no model at all
OWN_USES = ("zero-shot", *TRIVIAL, "start", "tta", "atlas", "adapt")  # the others are comparators
PROMPTED = ("start", "adapt")  # of these, those that name a visual prompt
FIGURES = ("dice", "iou", "hd95")  # that a table can show
OVERRIDES = ("prompt_options", "options", "settings")


def uses() -> tuple[str, ...]:
    """What a row can be of: adaptation, baselines, and the comparators, those of other packages too."""
    return (*OWN_USES, *COMPARATORS)


def is_floor(row: Row) -> bool:
    """Whether a row trains nothing, or asks nobody: what the other rows have to be above to be worth their calls."""
    return row.use in (*TRIVIAL, "start", "tta") or (row.use == "refiner" and row.options.get("box") is False)


def on_volumes(use: str) -> bool:
    """Whether rows of this use are on volumes; all others are on images."""
    return use == "atlas" or (use not in OWN_USES and COMPARATORS.find(use).volumes)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    label : str
    use : str
        One of `uses`.
    prompt, prompt_options
        The visual prompt of ``adapt``, ``start`` and ``backprop``: `zoo_opt_seg.visual_prompts.make_prompt`.
    method : str
        Of ``adapt``: a name in `zoo_opt.METHODS`.
    options : dict
        The method's hyper-parameters, those of `zoo_opt_seg.visual_prompts.Averaged` (``tta``), or those of a
        comparator: see the function that its declaration names.
    settings : dict
        Keywords of `zoo_opt_seg.adaptation.run.adapt`, or of `zoo_opt_seg.whitebox.core.recipe.Recipe` (and
        ``augment``, ``loss``; of `stop_after` and `clip` 0 is None).
    on : dict
        By domain, what differs there: a dict of `prompt_options`, `options` and `settings`.
    domains : tuple of str
        That the row is for; empty: all of the group.
    published : dict
        By domain, the paper's (Dice,), or all of the group's `TableGroup.figures`.
    published_organs : dict
        By domain and organ, the paper's Dice.
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
    published_organs: dict[str, dict[str, float]] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    note: str = ""

    def at(self, domain: str) -> Row:
        """The row as it is on a domain."""
        other = self.on.get(domain, {})
        changed: dict[str, Any] = {name: {**getattr(self, name), **other.get(name, {})} for name in OVERRIDES}
        return replace(self, **changed, on={})


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
    points: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on; a finished cell is not repeated, whatever group it is in."""
        row = {name: getattr(self.row, name) for name in ("use", "prompt", "method", *OVERRIDES)}
        said = {name: getattr(self, name) for name in ("domain", "seed", "size", "repeats", "black_box")}
        said |= {"points": self.points} if self.points else {}
        said |= {"data": self.data} if self.data else {}
        text = json.dumps([FORMAT, row, said, self.budget or None], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def budget(self) -> int:
        """Calls that it may make; 0 where it does not depend on them."""
        return self.calls if self.row.use == "adapt" else 0


@dataclass(frozen=True)
class TableGroup:
    """Rows on the same domains at the same number of calls.

    Attributes
    ----------
    name, note : str
    seeds : tuple of int
    calls : int
        0 where no row adapts.
    domains : tuple of str
    size : int
        Side of the images in pixels.
    repeats : int
        Random points, or texts, for each test image.
    black_box : dict
        ``use`` and its options.
    data : dict
        By domain, further options of `zoo_opt_seg.data.load_data`, such as ``fit``; not on volumes.
    rows : tuple of Row
    reference, floor, ceiling : str
        Labels of the row that others are tested against, and of those between which the gap is measured; or "".
    figures : tuple of str
        Of `FIGURES`, those that are shown.
    points : str
        By what the black box is asked, see `zoo_opt_seg.data.draws.draw_prompts`; "": by what it wants.
    """

    name: str
    seeds: tuple[int, ...]
    calls: int
    domains: tuple[str, ...]
    rows: tuple[Row, ...]
    black_box: dict[str, Any] = field(default_factory=lambda: {"use": "tiny"})
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    size: int = 96
    repeats: int = 3
    reference: str = ""
    floor: str = ""
    ceiling: str = ""
    note: str = ""
    figures: tuple[str, ...] = ("dice", "hd95")
    points: str = ""

    def cells(self, place: Place = Place("")) -> list[Cell]:
        """Every cell, seed by seed."""
        return [self.cell(row, domain, seed, place) for seed in self.seeds for row, domain in self.places()]

    def places(self) -> list[tuple[Row, str]]:
        """Every (row, domain) that belongs to the table."""
        return [(row, d) for d in self.domains for row in self.rows if not row.domains or d in row.domains]

    def cell(self, row: Row, domain: str, seed: int, place: Place = Place("")) -> Cell:
        """The cell of a row, a domain and a seed."""
        names = ("calls", "size", "repeats", "black_box", "points")
        about: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Cell(row.at(domain), domain, seed, **about, place=place, data=self.data.get(domain, {}))


@dataclass(frozen=True)
class Published:
    """A table of the paper as it is there, shown below ours: what of it has no place beside ours."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class TableSuite:
    """A table suite, as read from a file; `text` is the file as it was."""

    name: str
    title: str
    groups: tuple[TableGroup, ...]
    text: str
    description: str = ""
    note: str = ""
    published: tuple[Published, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The rows' labels, each once."""
        return list(dict.fromkeys(row.label for group in self.groups for row in group.rows))

    @property
    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "table": True,
            "suite": self.name,
            "title": self.title,
            "description": self.description,
            "toml": self.text,
        }

    def cells(self, place: Place = Place("")) -> list[Cell]:
        """Every cell once: rows that do not depend on the calls are shared by groups."""
        return list({cell.key: cell for group in self.groups for cell in group.cells(place)}.values())

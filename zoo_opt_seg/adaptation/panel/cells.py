"""The picture panel on the page: its cells as rows that fit any width, with their captions as text."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from zoo_opt_seg.adaptation.panel.pictures import CAPTIONS, CELL, GAP, HEAD, panel_size


@dataclass(frozen=True)
class Captions:
    """What a panel says: a title for each column, and what is written below each cell."""

    columns: list[str]
    rows: list[list[str]]


def read_captions(path: Path) -> Captions | None:
    """Return the captions that a panel carries; None where it has none, or they are not of its size."""
    with Image.open(path) as picture:
        try:
            said = json.loads(picture.info[CAPTIONS])
            columns, rows = [str(name) for name in said["columns"]], [[str(x) for x in row] for row in said["rows"]]
        except (KeyError, TypeError, ValueError):
            return None
        fits = picture.size == panel_size(len(columns), len(rows)) and all(len(row) == len(columns) for row in rows)
    return Captions(columns, rows) if fits else None


def panel_html(path: Path) -> str:
    """Return a panel as HTML: a row of cells for each image, or the picture as it is where it has no captions."""
    data = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    said = read_captions(path)
    if said is None:
        return (
            '<div class="scroll" tabindex="0"><img class="panel" alt="For each image: the image, its prompt, the '
            f'prompted image, the masks before and after, the truth" src="{data}"></div>'
        )
    width, height = panel_size(len(said.columns), len(said.rows))
    sheet = f'<image id="panel" href="{data}" width="{width}" height="{height}"/>'
    rows = "".join(_row(i, said.columns, captions) for i, captions in enumerate(said.rows))
    return f'<svg class="sheet" aria-hidden="true"><defs>{sheet}</defs></svg>{rows}'


def _row(i: int, columns: list[str], captions: list[str]) -> str:
    """One image: a cut of the sheet for each column."""
    cells = []
    for j, (column, caption) in enumerate(zip(columns, captions, strict=True)):
        title, below = html.escape(column), f"<small>{html.escape(caption)}</small>" if caption else ""
        cells.append(
            f'<div class="cell"><svg viewBox="{GAP + j * (CELL + GAP)} {HEAD + i * (CELL + HEAD)} {CELL} {CELL}" '
            f'role="img" aria-label="{title}"><use href="#panel"/></svg>{title}{below}</div>'
        )
    return f'<div class="cells" role="group" aria-label="{html.escape(captions[0])}">{"".join(cells)}</div>'

"""The page of a project: what was asked and learnt, and which version answers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from zoo_opt_seg.serve.label_studio.learner import Learner

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .4rem .8rem .4rem 0 }
tr { border-bottom: 1px solid #ddd } .present { background: #eef6ee } button { font: inherit; padding: .2rem .8rem }
.trouble { color: #a00 }
"""


def versions_page(learner: Learner) -> str:
    """Return the page as HTML."""
    present, missing = learner.present, learner.missing
    if learner.learning:
        coming = "The next version is being learnt now."
    else:
        coming = f"The next version is learnt after {missing} more labelled image{'s' * (missing != 1)}."
    if present.held:
        coming += " It will wait: you have chosen the version that answers."
    rows = "".join(_row(n, about, n == present.number) for n, about in reversed(learner.versions().items()))
    newest = '<p><button name="version" value="newest">Always use the newest</button></p>' if present.held else ""
    trouble = f'<p class="trouble">{escape(learner.trouble)}</p>' if learner.trouble else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Versions</title><style>{_STYLE}</style>'
        f"<h1>Versions</h1><p>{learner.paid} answers of the black box so far; {len(learner.records.labelled)} labelled "
        f"images, {len(learner.records.usable)} of them with clicks to learn from. {coming}</p>{trouble}"
        f'<form method="post" action="/rollback">{newest}<table><tr><th>Version<th>Learnt from<th>Corrections an image '
        f"needs<th>Networks<th>Made<th></tr>{rows}</table></form>"
        "<p>Corrections are clicks after the first one until Dice is .9, ten at most: the mean over the labelled "
        "images, each judged by networks that did not learn from it. Before the arrow: of the black box.</p></html>"
    )


def _row(number: int, about: Mapping[str, Any], present: bool) -> str:
    name = f"{number}" if number else "0, the black box"
    button = "answers now" if present else f'<button name="version" value="{number}">Use this</button>'
    if number:
        learnt = f"{about.get('images', '?')} images, {about.get('questions', '?')} clicks"
        taken = " → ".join(f"{about.get(key, float('nan')):.1f}" for key in ("corrections_before", "corrections"))
        share = f"followed to {100 * about.get('share', 0.0):.0f} %"
    else:
        learnt = taken = share = ""
    cells = "".join(f"<td>{escape(str(cell))}" for cell in (name, learnt, taken, share, about.get("made", "")))
    return f"<tr{' class=present' * present}>{cells}<td>{button}</tr>"

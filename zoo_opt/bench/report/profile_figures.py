"""Moré and Wild's profiles in a report: a figure that needs no script, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zoo_opt.bench.report.line_looks import Look
from zoo_opt.bench.report.page import Markup, esc, table
from zoo_opt.bench.report.terminal import fraction
from zoo_opt.bench.statistics.data_profile import SHOWN, has_profiles, solved
from zoo_opt.bench.statistics.hits import FloatArray, Run, by_group

KAPPAS = (10, 20, 50, 100)  # simplex gradients of the table
WIDTH, HEIGHT, GAP, LEFT, BOTTOM = 270, 180, 30, 34, 34  # of a panel, in pixels, and around it
LETTER, LINE = 6.4, 20  # width of a letter in the legend and height of its lines, in pixels


def profile_rows(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: the share of problems that each method solved at each tolerance within so many gradients."""
    headings = [
        "solved within so many simplex gradients",
        *(f"{_short(tau)}: {kappa}" for tau in SHOWN for kappa in KAPPAS),
    ]
    parts = [solved(runs, tau) for tau in SHOWN]
    shares = np.hstack([part.data(KAPPAS) for part in parts])
    order = sorted(range(len(shares)), key=lambda m: -np.nansum(shares[m]))
    return headings, [[parts[0].methods[m], *(fraction(v) for v in shares[m])] for m in order]


def _short(tau: float) -> str:
    return f"1e{round(np.log10(tau))}"


def profiles(runs: Sequence[Run], looks: Mapping[str, Look]) -> str:
    """A section of the page with the profiles of every group on Moré and Wild's problems; "" where there is none."""
    groups = [own for own in by_group(runs).values() if has_profiles(own)]
    if not groups:
        return ""
    parts = [
        f"<h3>{esc(own[0]['group'])}</h3>{_figure(own, looks)}"
        f"<details><summary>As numbers</summary>{table(*profile_rows(own))}</details>"
        for own in groups
    ]
    return (
        '<section id="more-wild"><h2>Data and performance profiles</h2><p class="sub">After J. J. Moré and S. M. Wild '
        "(2009): a problem is solved when f(x) ≤ f_L + τ (f(x₀) − f_L). Above: the share solved within so many simplex "
        "gradients, of d + 1 evaluations each. Below: within so many times the least evaluations of all methods. f_L "
        "is the lowest value known, not the lowest that these methods found. Filters do not change it.</p>"
        f"{''.join(parts)}</section>"
    )


def _figure(runs: Sequence[Run], looks: Mapping[str, Look]) -> Markup:
    """Six panels: data profiles above, performance profiles below, a column for each tolerance; and the legend."""
    methods = list(dict.fromkeys(run["method"] for run in runs))
    styles = {
        method: f"stroke:{look.color};stroke-dasharray:{look.dash or 'none'};fill:none"
        for method in methods
        for look in [looks[method]]
    }
    most = max(run["budget"] / (run["dim"] + 1) for run in runs)
    kappa, alpha = np.linspace(0, most, 241), 2.0 ** np.linspace(0, 5, 121)
    panels = []
    for column, tau in enumerate(SHOWN):
        found = solved(runs, tau)
        ticks = [(most * share, f"{most * share:g}") for share in (0, 0.25, 0.5, 0.75, 1)]
        lines = dict(zip(found.methods, found.data(kappa), strict=True))
        panels.append(
            _panel(column, 0, f"τ = {_short(tau)}: simplex gradients", kappa / most, lines, styles, ticks, most)
        )
        lines = dict(zip(found.methods, found.performance(alpha), strict=True))
        ticks = [(float(k), str(2**k)) for k in range(6)]
        title = f"τ = {_short(tau)}: × least"
        panels.append(_panel(column, 1, title, np.log2(alpha) / 5, lines, styles, ticks, 5.0))
    width, height = 3 * (WIDTH + LEFT + GAP), 2 * (HEIGHT + BOTTOM + GAP)
    legend, lines_high = _legend(methods, styles, width, height)
    return Markup(
        f'<figure class="drawn"><figcaption>{esc(runs[0]["group"])}: data and performance profiles</figcaption>'
        f'<div class="scroll"><svg viewBox="0 0 {width} {height + lines_high}" width="{width}" role="img" '
        f'aria-label="Data and performance profiles">{"".join(panels)}{legend}</svg></div></figure>'
    )


def _legend(methods: Iterable[str], styles: Mapping[str, str], width: int, top: int) -> tuple[str, int]:
    """A line and a name for every method, in lines as wide as the figure, and their height."""
    parts, x, y = [], 0.0, top
    for method in methods:
        room = 50 + LETTER * len(method)
        if x and x + room > width:
            x, y = 0.0, y + LINE
        parts.append(
            f'<path d="M{x:g} {y + 8}h26" style="{styles[method]};stroke-width:2"/>'
            f'<text x="{x + 32:g}" y="{y + 12}" font-size="12" style="fill:var(--text)">{esc(method)}</text>'
        )
        x += room
    return "".join(parts), y + LINE - top


def _panel(
    column: int,
    row: int,
    title: str,
    across: FloatArray,
    lines: dict[str, FloatArray],
    styles: dict[str, str],
    ticks: list[tuple[float, str]],
    most: float,
) -> str:
    """One chart: a step line for every method, `across` from 0 to 1, shares from 0 to 1."""
    x0, y0 = LEFT + column * (WIDTH + LEFT + GAP), GAP + row * (HEIGHT + BOTTOM + GAP)
    text = 'font-size="11" style="fill:var(--soft)"'
    parts = [f'<text x="{x0}" y="{y0 - 8}" font-size="12" style="fill:var(--text)">{esc(title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = y0 + HEIGHT * (1 - share)
        parts.append(f'<path d="M{x0} {y:g}h{WIDTH}" style="stroke:var(--line);fill:none"/>')
        parts.append(f'<text x="{x0 - 5}" y="{y + 4:g}" text-anchor="end" {text}>{share:g}</text>')
    for at, name in ticks:
        x = x0 + WIDTH * at / most
        parts.append(f'<text x="{x:g}" y="{y0 + HEIGHT + 16}" text-anchor="middle" {text}>{name}</text>')
    for method, shares in lines.items():
        if np.isfinite(shares).all():
            rises = np.flatnonzero(np.diff(shares)) + 1
            points = [f"H{x0 + WIDTH * across[k]:.1f}V{y0 + HEIGHT * (1 - shares[k]):.1f}" for k in rises]
            start = f"M{x0} {y0 + HEIGHT * (1 - shares[0]):.1f}"
            parts.append(
                f'<path d="{start}{"".join(points)}H{x0 + WIDTH}" style="{styles[method]};stroke-width:1.8">'
                f"<title>{esc(method)}</title></path>"
            )
    return "".join(parts)

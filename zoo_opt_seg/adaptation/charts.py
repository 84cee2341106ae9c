"""Small charts as inline SVG, drawn by Python: no script, colours from the page's style."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 440, 330
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 14, 44

Points = Sequence[tuple[float, float]]


@dataclass
class Chart:
    """Axes and what is drawn in them.

    Parameters
    ----------
    x, y : str
        Titles of the axes.
    x_range, y_range : (float, float)
        What they span.
    """

    x: str
    y: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    _parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is in pixels."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        u, v = (x - x0) / (x1 - x0 or 1.0), (y - y0) / (y1 - y0 or 1.0)
        return LEFT + u * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM)

    def line(self, points: Points, look: str) -> None:
        """Draw a line through points."""
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        self._parts.append(f'<polyline class="line {look}" points="{path}"/>')

    def dots(self, points: Points, look: str, radius: float, titles: Sequence[str] = ()) -> None:
        """Draw dots, each with what a pointer on it is told."""
        for i, point in enumerate(points):
            cx, cy = self.at(*point)
            title = f"<title>{html.escape(titles[i])}</title>" if titles else ""
            self._parts.append(
                f'<circle class="dot {look}" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:g}">{title}</circle>'
            )

    def svg(self, description: str) -> str:
        """Return the chart."""
        axes = []
        bottom, end = HEIGHT - BOTTOM, WIDTH - RIGHT
        for value in ticks(*self.y_range, 5):
            _, y = self.at(self.x_range[0], value)
            axes.append(f'<line x1="{LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>')
            axes.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
        for value in ticks(*self.x_range, 4):
            x, _ = self.at(value, self.y_range[0])
            axes.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{number(value)}</text>')
        axes.append(f'<text class="title" x="{(LEFT + end) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{self.x}</text>')
        middle = (TOP + bottom) / 2
        axes.append(
            f'<text class="title" x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
            f"{self.y}</text>"
        )
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(description)}">'
            f'<g class="axes">{"".join(axes)}</g>{"".join(self._parts)}</svg>'
        )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Return a number for an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def smoothed(points: Points, parts: int = 40) -> list[tuple[float, float]]:
    """Return means over stretches of a noisy curve, about ``parts`` of them."""
    size = max(1, math.ceil(len(points) / parts))
    blocks = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in blocks]

"""Pictures as small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

DARK: dict[str, Any] = {  # matplotlib's settings for a dark page
    "text.color": "#cfd0d0",
    "axes.labelcolor": "#cfd0d0",
    "axes.edgecolor": "#8a8f98",
    "xtick.color": "#cfd0d0",
    "ytick.color": "#cfd0d0",
    "figure.facecolor": "#131416",
    "axes.facecolor": "#131416",
    "savefig.facecolor": "#131416",
}


def shrink(path: Path, colours: int = 192) -> None:
    """Write a PNG again with so many colours, which makes it small."""
    Image.open(path).convert("RGB").quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )

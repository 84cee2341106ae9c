"""The adaptation of the README: a SAM that can only be called, on three drawn data sets, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drawn.small import DARK, shrink
from zoo_opt_seg.adaptation.run import adapt
from zoo_opt_seg.blackbox.tiny import TinySam
from zoo_opt_seg.data import load_data
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.visual_prompts import make_prompt

ROWS = {"disc": "optic discs", "polyp": "polyps", "tool": "instruments"}
COLUMNS = ("image and point", "before", "after", "truth")
SETTINGS: dict[str, Any] = {"method": "cma-es", "options": {"sigma0": 0.1}, "calls": 1000, "seed": 0}
BEFORE, AFTER, TRUTH = (0.88, 0.2, 0.75), (0.0, 0.78, 0.55), (0.16, 0.47, 1.0)
SIDE = 288  # pixels to which an image is enlarged


def main(root: Path, out: Path) -> None:
    """Adapt on each data set, and write adaptation.png and adaptation-dark.png."""
    rows = [row(name) for name in ROWS]
    for name, settings in (("adaptation", {}), ("adaptation-dark", DARK)):
        draw(rows, settings, out / f"{name}.png")


def row(name: str) -> dict[str, Any]:
    """Adapt the tiny SAM to a data set; of its test images take the one whose gain is the median."""
    model, splits = TinySam(), load_data(name)
    adapted = adapt(model, make_prompt("filter", 96), splits, test=False, **SETTINGS)
    test, seed = splits.test, 0
    before = evaluate(model, test, repeats=1, seed=seed, distances=False).dice[0]
    after = evaluate(model, test, prompt=adapted.prompt, repeats=1, seed=seed, distances=False).dice[0]
    print(f"{name}: {adapted.calls} calls, test Dice {before.mean():.3f} to {after.mean():.3f}, {len(test)} images")
    chosen = int(np.argsort(after - before, kind="stable")[len(test) // 2])
    images, prompts = np.asarray(test.images), draw_prompts(1, test, (seed, 0), exact=True)
    shown, by = images[chosen : chosen + 1], prompts[chosen : chosen + 1]
    masks = (
        model(shown, by)[0] > 0.5,
        adapted.prompt.predict(model, shown, by)[0] > 0.5,
        np.asarray(test.masks)[chosen],
    )
    return {
        "title": f"{ROWS[name]}\n{before.mean():.2f} to {after.mean():.2f}",
        "image": shown[0],
        "point": by.points[0, 0],
        "masks": masks,
        "dice": (before[chosen], after[chosen]),
    }


def overlay(image: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Lay a mask over an image, and a line around it."""
    large = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255
    area = Image.fromarray(mask.astype(np.uint8) * 255).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    inside = np.asarray(area) > 127
    wide = np.pad(inside, 3)
    around = [wide[3 + dy : 3 + dy + SIDE, 3 + dx : 3 + dx + SIDE] for dy in (-3, 0, 3) for dx in (-3, 0, 3)]
    edge = np.logical_or.reduce(around) & ~np.logical_and.reduce(around)
    picture = np.where(inside[..., None], 0.65 * large + 0.35 * np.array(colour), large)
    return np.where(edge[..., None], np.array(colour), picture)


def draw(rows: list[dict[str, Any]], settings: dict[str, Any], path: Path) -> None:
    """Draw the rows as a panel."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 5.5), layout="constrained")
        panels = figure.subplots(len(rows), len(COLUMNS))
        for found, line in zip(rows, panels, strict=True):
            image = found["image"]
            large = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            pictures = [
                large,
                *(overlay(image, m, c) for m, c in zip(found["masks"], (BEFORE, AFTER, TRUTH), strict=True)),
            ]
            below = ["", *(f"Dice {dice:.2f}" for dice in found["dice"]), ""]
            for ax, picture, text in zip(line, pictures, below, strict=True):
                ax.imshow(picture)
                ax.set(xticks=[], yticks=[])
                ax.set_xlabel(text, fontsize="small")
                ax.spines[:].set_visible(False)
            x, y = (np.asarray(found["point"]) + 0.5) * SIDE / len(image)
            line[0].plot(x, y, "o", color="#d5283c", markersize=7, markeredgecolor="white", markeredgewidth=1.5)
            line[0].set_ylabel(found["title"], fontsize="small")
        for ax, column in zip(panels[0], COLUMNS, strict=True):
            ax.set_title(column, fontsize="medium")
        figure.savefig(path, dpi=110)
    shrink(path, 255)

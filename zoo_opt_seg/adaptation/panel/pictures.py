"""The picture panel of an adaptation: a row per image, from its prompt to the masks before and after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from zoo_opt_seg.data.draws import Kind, draw_prompts
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine.prompted import RefinedPrompt

if TYPE_CHECKING:
    from zoo_opt_seg.blackbox.protocol import BlackBox
    from zoo_opt_seg.visual_prompts import TrainedPrompt

COLUMNS: tuple[str, ...] = ("image", "prompt", "prompted image", "zero-shot mask", "adapted mask", "truth")
REFINED_COLUMNS = (*COLUMNS[:-1], "refined mask", "truth")
ROWS = 5
CELL, GAP, HEAD = 200, 8, 30  # pixels of the panel
CAPTIONS = "captions"  # keyword of the text in its file
PAPER, INK, SOFT = (255, 255, 255), (27, 34, 48), (86, 96, 114)
BEFORE, AFTER, TRUTH = (225, 50, 190), (0, 200, 140), (40, 120, 255)  # colours of the masks
POINT = (213, 40, 60)


def panel(
    model: BlackBox,
    trained: TrainedPrompt | RefinedPrompt,
    samples: Samples,
    *,
    seed: int = 0,
    rows: Sequence[int] | None = None,
    points: Kind = "random",
) -> Image.Image:
    """Return a picture of what a prompt does, a call per image and one for each view of the prompt.

    The columns are image, prompt, prompted image, zero-shot mask, adapted mask, the refined mask where
    there is a refiner, and truth; Dice is written below the masks.

    Parameters
    ----------
    model : BlackBox
    trained : TrainedPrompt or RefinedPrompt
    samples : Samples
        Of a split, in its order, on which their prompts depend.
    seed : int
        Of the prompts: those of the first repeat of `zoo_opt_seg.measures.evaluation.evaluate`.
    rows : sequence of int, optional
        The samples to show; all without. Their prompts are those that they have among all of them.
    points : int, str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.

    Returns
    -------
    PIL.Image.Image
        RGB; ``info["captions"]`` is JSON of the titles of its columns and of what is written below its cells.
    """
    prompts = draw_prompts(points, samples, (seed, 0), exact=True)
    if rows is not None:
        samples, prompts = samples[rows], prompts[rows]
    images, truths = np.asarray(samples.images), np.asarray(samples.masks)
    before = model(images, prompts)
    plain = trained.trained if isinstance(trained, RefinedPrompt) else trained
    answers = [plain.predict(model, images, prompts, batch=len(samples))]
    columns = COLUMNS
    if isinstance(trained, RefinedPrompt):
        answers.append(trained.refiner.correct(images, prompts, answers[0]))
        columns = REFINED_COLUMNS
    shown = trained.apply(images, prompts)
    prompted = np.rint(shown * 255).astype(np.uint8)
    titles = [f"{_word(prompts)} prompt" if column == "prompt" else column for column in columns]
    sheet = Image.new("RGB", panel_size(len(columns), len(samples)), PAPER)
    draw, font = ImageDraw.Draw(sheet), _font(15)
    said: list[list[str]] = []
    for j, title in enumerate(titles):
        draw.text((GAP + j * (CELL + GAP) + CELL // 2, HEAD // 2), title, INK, _font(16), anchor="mm")
    for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
        top = HEAD + i * (CELL + HEAD)
        large, shown_by = _big(image), trained.prompt.prompts(prompts[i : i + 1])
        cells = (  # in the order of the columns, each with what is written below
            (large, samples.names[i]),
            (_with_prompts(large.copy(), prompts[i : i + 1], image.shape), ""),
            (_with_prompts(_big(prompted[i]), shown_by, image.shape, text=False), ""),
            (_overlay(image, before[i] > 0.5, BEFORE), _dice(before[i], truth)),
            *((_overlay(image, after[i] > 0.5, AFTER), _dice(after[i], truth)) for after in answers),
            (_overlay(image, truth, TRUTH), ""),
        )
        said.append([caption for _, caption in cells])
        for j, (cell, caption) in enumerate(cells):
            left, ink = GAP + j * (CELL + GAP), INK if j else SOFT
            sheet.paste(cell, (left, top))
            draw.text((left + CELL // 2, top + CELL + HEAD // 2), _fitted(caption, font), ink, font, anchor="mm")
    sheet.info[CAPTIONS] = json.dumps({"columns": titles, "rows": said})
    return sheet


def panel_size(columns: int, rows: int) -> tuple[int, int]:
    """Return width and height of a panel in pixels."""
    return columns * (CELL + GAP) + GAP, HEAD + rows * (CELL + HEAD)


def save_panel(picture: Image.Image, path: Path) -> None:
    """Write a panel as PNG with its captions in it, which the page shows as text."""
    words = PngImagePlugin.PngInfo()
    words.add_itxt(CAPTIONS, picture.info[CAPTIONS])
    picture.save(path, pnginfo=words)


def chosen_rows(n: int, before: Sequence[float | None] | None, after: Sequence[float | None] | None) -> list[int]:
    """Return which images to show: from the largest loss to the largest gain, evenly spaced in rank.

    Parameters
    ----------
    n : int
        How many there are.
    before, after : sequence of float or None, length n, optional
        Dice of each image without and with the prompt; without them the first images are shown.
    """
    shown = min(ROWS, n)
    if before is None or after is None or len(before) != n:
        return list(range(shown))
    gains = np.array(after, float) - np.array(before, float)  # NaN where there is none
    order = [row for row in np.argsort(gains, kind="stable").tolist() if np.isfinite(gains[row])]
    shown = min(shown, len(order))
    if shown < 2:
        return order[:1] or list(range(min(ROWS, n)))
    return [order[round(k * (len(order) - 1) / (shown - 1))] for k in range(shown)]


def _word(prompts: Prompts) -> str:
    """Return what the images are asked by."""
    if prompts.texts is not None:
        return "text"
    return "point" if prompts.boxes is None else "box" if prompts.points is None else "box and point"


def _dice(answer: Array, truth: Array) -> str:
    if np.isnan(answer).any():
        return "no answer"
    mask = answer > 0.5
    total = int(mask.sum()) + int(truth.sum())
    return f"Dice  {2.0 * int((mask & truth).sum()) / total if total else 1.0:.3f}"


def _big(image: Array) -> Image.Image:
    return Image.fromarray(image).resize((CELL, CELL), Image.Resampling.BICUBIC)


def _overlay(image: Array, mask: Array, colour: tuple[int, int, int]) -> Image.Image:
    """Return the image with a mask laid over it and outlined."""
    picture = np.asarray(_big(image), np.float32)
    area = Image.fromarray(mask.astype(np.uint8) * 255).resize((CELL, CELL), Image.Resampling.BILINEAR)
    inside = np.asarray(area) > 127
    wide = np.pad(inside, 2)
    shifts = [wide[2 + dy : 2 + dy + CELL, 2 + dx : 2 + dx + CELL] for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    tint = np.array(colour, np.float32)
    picture[inside] = 0.68 * picture[inside] + 0.32 * tint
    picture[np.logical_or.reduce(shifts) & ~inside] = 255  # a white line keeps every colour apart from the image's
    picture[inside & ~np.logical_and.reduce(shifts)] = tint
    return Image.fromarray(np.rint(picture).astype(np.uint8))


def _with_prompts(picture: Image.Image, prompts: Prompts, shape: tuple[int, ...], text: bool = True) -> Image.Image:
    """Draw the prompts of one image: points, red on the object and grey beside it, boxes, and the text below."""
    draw = ImageDraw.Draw(picture)
    sx, sy = CELL / shape[1], CELL / shape[0]
    if prompts.points is not None and prompts.labels is not None:
        for (px, py), label in zip(prompts.points[0], prompts.labels[0], strict=True):
            if label < 0:
                continue
            x, y = (float(px) + 0.5) * sx, (float(py) + 0.5) * sy
            draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=(255, 255, 255))
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=POINT if label else SOFT)
    if prompts.boxes is not None and np.isfinite(prompts.boxes).all():
        x0, y0, x1, y1 = (float(v) for v in prompts.boxes[0])
        draw.rectangle((x0 * sx, y0 * sy, (x1 + 1) * sx - 1, (y1 + 1) * sy - 1), outline=POINT, width=2)
    if text and prompts.texts is not None:
        font = _font(15)
        lines = _wrapped(prompts.texts[0], font)
        draw.rectangle((0, CELL - 20 * len(lines) - 4, CELL, CELL), fill=PAPER)
        for i, line in enumerate(reversed(lines)):
            draw.text((CELL // 2, CELL - 12 - 20 * i), line, INK, font, anchor="mm")
    return picture


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Return the lines of a text that fit into a cell's width."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= CELL - 8:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size)
    except (TypeError, OSError, ImportError):  # a Pillow without FreeType has one small font
        return ImageFont.load_default()


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return the end of a name that fits into a cell."""
    if font.getlength(text) <= CELL:
        return text
    while text and font.getlength("…" + text) > CELL:
        text = text[1:]
    return "…" + text

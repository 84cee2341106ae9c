"""Prompts as a service writes them: in its units, as its objects, lists or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo_opt_seg.prompts import ABSENT as NO_POINT
from zoo_opt_seg.prompts import BACKGROUND, OBJECT, Array, Prompts
from zoo_opt_seg.remote.mapping.forms import PlaceForm, ServiceMapping
from zoo_opt_seg.remote.mapping.templates import ABSENT, as_json, filled_in, names_in

_OF = {"px": None, "fraction": 1.0, "percent": 100.0}


def prompt_values(mapping: ServiceMapping, prompts: Prompts, size: tuple[int, int]) -> dict[str, Any]:
    """Return the values of a mapping's places for the prompts of one image.

    Parameters
    ----------
    mapping : ServiceMapping
    prompts : Prompts
        One row, in pixels of the image.
    size : (int, int)
        Height and width.

    Raises
    ------
    ValueError
        If the service has no place for a kind of prompt that is given, or is given none that it has.
    """
    points, labels, box, text = _row(prompts)
    used = mapping.used
    who = f"the service {mapping.name!r}"
    if len(points) and not used & {"points", "positive", "negative"}:
        raise ValueError(f"{who} takes no points, got {len(points)}")
    if (labels == BACKGROUND).any() and not _takes_background(mapping):
        raise ValueError(f"{who} takes no points of the background, got {(labels == BACKGROUND).sum()}")
    if box is not None and not used & {"box", "boxes"}:
        raise ValueError(f"{who} takes no boxes, got one")
    if prompts.masks is not None and np.isfinite(prompts.masks).all():
        raise ValueError(f"{who} takes no masks as prompts, got one")
    by_text = mapping.prompted_by == "text"
    if text and not ("text" in used or by_text):
        raise ValueError(f"{who} takes no texts, got {text!r:.40}")
    if by_text and not text:
        raise ValueError(f"{who} is asked by a text, got none")
    if not (len(points) or box is not None or text):
        raise ValueError(f"{who} needs {'points or a box' if mapping.point and mapping.box else mapping.prompted_by}")
    values: dict[str, Any] = {"text": text or ABSENT, "width": size[1], "height": size[0]}
    values |= _points(mapping.point, points, labels, size)
    return values | _boxes(mapping.box, box, size)


def _row(prompts: Prompts) -> tuple[Array, Array, Array | None, str]:
    """Points that are there, their labels, the box and the text of the one row."""
    if len(prompts) != 1:
        raise ValueError(f"prompts must be of one image, got {len(prompts)}")
    points, labels = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
    if prompts.points is not None and prompts.labels is not None:
        there = prompts.labels[0] != NO_POINT
        points, labels = prompts.points[0][there], prompts.labels[0][there]
    box = None if prompts.boxes is None or np.isnan(prompts.boxes[0, 0]) else prompts.boxes[0]
    return points, labels, box, prompts.texts[0] if prompts.texts else ""


def _takes_background(mapping: ServiceMapping) -> bool:
    labelled = mapping.point is not None and "label" in names_in(mapping.point.item)
    return labelled or bool(mapping.used & {"labels", "negative"})


def _points(form: PlaceForm | None, points: Array, labels: Array, size: tuple[int, int]) -> dict[str, Any]:
    if form is None:
        return {name: ABSENT for name in ("points", "labels", "positive", "negative")}
    scale = _scale(form, size)
    written = []
    for (x, y), label in zip(points.astype(np.float64), labels.tolist(), strict=True):
        at = {"x": _number(x * scale[0], form), "y": _number(y * scale[1], form)}
        written.append(filled_in(form.item, at | {"label": form.object if label == OBJECT else form.background}))
    named = [form.object if label == OBJECT else form.background for label in labels.tolist()]
    told = {
        "points": _together(written, form),
        "labels": named
        if form.join is None
        else form.join.join(label if isinstance(label, str) else as_json(label) for label in named),
    }
    sides = {
        name: _together([item for item, label in zip(written, labels.tolist(), strict=True) if label == side], form)
        for name, side in (("positive", OBJECT), ("negative", BACKGROUND))
    }
    return (told if len(points) else dict.fromkeys(told, ABSENT)) | sides


def _boxes(form: PlaceForm | None, box: Array | None, size: tuple[int, int]) -> dict[str, Any]:
    if form is None or box is None:
        return {"box": ABSENT, "boxes": ABSENT}
    sx, sy = _scale(form, size)
    x0, y0, x1, y1 = box.astype(np.float64) * (sx, sy, sx, sy)
    numbers = {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "cx": (x0 + x1) / 2, "cy": (y0 + y1) / 2}
    numbers |= {"w": x1 - x0, "h": y1 - y0}
    item = filled_in(form.item, {name: _number(number, form) for name, number in numbers.items()})
    return {"box": item, "boxes": _together([item], form)}


def _scale(form: PlaceForm, size: tuple[int, int]) -> tuple[float, float]:
    of = _OF[form.units]
    return (1.0, 1.0) if of is None else (of / size[1], of / size[0])


def _number(value: float, form: PlaceForm) -> float | int:
    return round(float(value)) if form.whole else float(value)


def _together(items: Sequence[Any], form: PlaceForm) -> Any:
    return list(items) if form.join is None else form.join.join(items)

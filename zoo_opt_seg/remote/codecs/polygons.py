"""Masks as polygons: the outlines of an object, filled. What is a hole in the object is lost in this form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.codecs.reading import shown

_POINTS = 30_000  # of all outlines of a mask; chosen: 1024 x 1024 pixels have a few thousand; many take seconds
_FAR = 4  # widths or heights of the image, beyond which a point is a mistake

Point = tuple[float, float]


def filled(value: Any, size: tuple[int, int], what: str) -> Array:
    """Return the mask that outlines enclose, bool (H, W), the pixels of the outlines included.

    Parameters
    ----------
    value : list
        One outline or several: ``[[x, y], ...]``, ``[x, y, x, y, ...]`` or ``[{"x": x, "y": y}, ...]``, in pixels. All
        are filled, none is taken for a hole.
    size : (int, int)
        Height and width.
    what : str
        For messages.

    Raises
    ------
    Unanswerable
        If it is of another form, has too many points, or some far outside of the image.
    """
    from PIL import Image, ImageDraw

    height, width = size
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    left = _POINTS
    for outline in _outlines(value, what):
        left -= len(outline)
        if left < 0:
            raise Unanswerable(f"{what} has more than {_POINTS} points")
        points = [_point(point, size, what) for point in outline]
        if len(points) > 2:
            draw.polygon(points, fill=1, outline=1)
        elif points:
            draw.line(points * 2, fill=1)  # of one pixel, or two ends
    return np.asarray(canvas).astype(np.bool_)


def _outlines(value: Any, what: str) -> list[list[Any]]:
    """The outlines, each a list of pairs or of objects."""
    if not isinstance(value, list):
        raise Unanswerable(f"{what} must be a polygon, a list of points, or a list of polygons, got {shown(value)}")
    if not value:
        return []
    if _is_outline(value):
        return [_paired(value, what)]
    outlines = []
    for outline in value:
        if not isinstance(outline, list) or (outline and not _is_outline(outline)):
            raise Unanswerable(f"{what} must be a list of polygons, got {shown(outline)} in it")
        outlines.append(_paired(outline, what))
    return outlines


def _is_outline(value: list[Any]) -> bool:
    """Whether it is one outline, not a list of them; looked at by its first part."""
    first = value[0]
    if isinstance(first, list):
        return len(first) == 2 and not isinstance(first[0], (list, dict))
    return isinstance(first, dict) or _is_number(first)


def _paired(outline: list[Any], what: str) -> list[Any]:
    if not outline or not _is_number(outline[0]):
        return outline
    if len(outline) % 2:
        raise Unanswerable(f"{what} must have an x and a y for each point, got {len(outline)} numbers")
    return [outline[i : i + 2] for i in range(0, len(outline), 2)]


def _point(value: Any, size: tuple[int, int], what: str) -> Point:
    match value:
        case [x, y] | {"x": x, "y": y} if _is_number(x) and _is_number(y):
            near = all(math.isfinite(at) and abs(at) <= _FAR * side for at, side in ((x, size[1]), (y, size[0])))
            if near:
                return (float(round(x)), float(round(y)))
            raise Unanswerable(f"{what} has a point far outside of the image of {size[1]} x {size[0]} pixels")
    raise Unanswerable(f"{what} must have points [x, y], got {shown(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

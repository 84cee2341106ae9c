"""Label Studio's clicks and boxes as prompts, its brush results as masks, and masks as its results."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt_seg.data.limits import check_pixels
from zoo_opt_seg.prompts import BACKGROUND, OBJECT, Array, Prompts
from zoo_opt_seg.serve.label_studio.brush import decoded, encoded
from zoo_opt_seg.serve.label_studio.scheme import Scheme

MOST = 200  # points of a question; chosen


@dataclass(frozen=True)
class Clicks:
    """What a person asks about one image.

    Parameters
    ----------
    size : tuple of int
        Width and height of the image, in pixels.
    prompts : Prompts
        One row, in pixels of the image, a pixel's centre being a whole number.
    label : str
        Of the first click or box.
    """

    size: tuple[int, int]
    prompts: Prompts
    label: str


def read_context(context: Any) -> Clicks | None:
    """Return what the clicks and boxes of a request ask, None if there are none.

    Several points belong together, each the object or not; of several boxes the last is meant.

    Parameters
    ----------
    context : mapping or None
        ``params.context`` of Label Studio's request.

    Raises
    ------
    ValueError
        If it is not of Label Studio's form; the message says what is wrong.
    """
    results = None if context is None else _mapping("context", context).get("result")
    if results is None:
        return None
    if not isinstance(results, list) or len(results) > MOST:
        raise ValueError(f"context.result must be a list of at most {MOST} clicks and boxes")
    points: list[tuple[float, float]] = []
    kinds: list[int] = []
    box, label, size = None, "", None
    for result in results:
        result = _mapping("a result", result)
        kind = result.get("type")
        if kind not in ("keypointlabels", "keypoint", "rectanglelabels", "rectangle"):
            continue
        given, value = _size(result), _mapping("value", result.get("value"))
        if size not in (None, given):
            raise ValueError(f"all results must be about one image, got the sizes {size} and {given}")
        size = given
        x, y = _share(value, "x") * size[0], _share(value, "y") * size[1]
        if str(kind).startswith("keypoint"):
            points.append((min(max(x - 0.5, 0), size[0] - 1), min(max(y - 0.5, 0), size[1] - 1)))
            kinds.append(BACKGROUND if result.get("is_positive", True) in (False, 0) else OBJECT)
        else:
            if value.get("rotation"):
                raise ValueError(f"a box must be upright, got a rotation of {value['rotation']} degrees")
            box = _box(x, y, _share(value, "width") * size[0], _share(value, "height") * size[1], size)
        names = value.get(str(kind))
        label = label or (names[0] if isinstance(names, list) and names and isinstance(names[0], str) else "")
    if size is None:
        return None
    prompts = Prompts(
        np.array([points], np.float32).reshape(1, -1, 2) if points else None,
        np.array([kinds], np.int64) if points else None,
        None if box is None else np.array([box], np.float32),
    )
    return Clicks(size, prompts, label)


def brush_result(mask: Array, scheme: Scheme, label: str, score: float) -> dict[str, Any]:
    """Return a mask as a result of Label Studio.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        As large as the image.
    scheme : Scheme
    label : str
        One of the scheme's.
    score : float
        In [0, 1].
    """
    height, width = mask.shape
    return {
        "id": uuid.uuid4().hex[:10],
        "from_name": scheme.brush,
        "to_name": scheme.image,
        "type": "brushlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": score,
        "value": {"format": "rle", "rle": encoded(mask.astype(np.uint8) * np.uint8(255)), "brushlabels": [label]},
    }


def brush_results(results: Any) -> list[dict[str, Any]]:
    """Return those results of an annotation that are brush masks, with nothing but what their masks need.

    Raises
    ------
    ValueError
        If they are not of Label Studio's form.
    """
    if not isinstance(results, list):
        raise ValueError(f"an annotation's result must be a list, got {type(results).__name__}")
    found = []
    for result in results:
        if _mapping("a result", result).get("type") == "brushlabels":
            width, height = _size(result)
            rle = _mapping("value", result.get("value")).get("rle")
            if isinstance(rle, list):
                found.append({"width": width, "height": height, "rle": rle})
    return found


def brush_masks(results: Sequence[Mapping[str, Any]]) -> list[Array]:
    """Return the masks of `brush_results`, bool (H, W): where the brush covers at least half."""
    return [decoded(one["rle"], one["height"], one["width"]) > 127 for one in results]


def _box(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> tuple[float, ...]:
    """Return the first and the last pixel of a box that begins at a place and is so large."""
    ends = np.clip([x, y, max(x, x + width - 1), max(y, y + height - 1)], 0, [*np.subtract(size, 1)] * 2)
    return tuple(ends.tolist())


def _size(result: Mapping[str, Any]) -> tuple[int, int]:
    width, height = result.get("original_width"), result.get("original_height")
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side < 1 << 20:
            raise ValueError(f"original_width and original_height must be whole numbers > 0, got {side!r:.40}")
    assert isinstance(width, int) and isinstance(height, int)
    check_pixels("the image", width, height)
    if result.get("image_rotation") not in (None, 0):
        raise ValueError(f"image_rotation must be 0, got {result['image_rotation']!r:.40}: turn the image back")
    return width, height


def _share(value: Mapping[str, Any], name: str) -> float:
    """Return a number of percent as a share."""
    number = value.get(name)
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
        raise ValueError(f"{name} must be a number of percent, got {number!r:.40}")
    if not -1 <= number <= 101:  # the browser rounds
        raise ValueError(f"{name} must be from 0 to 100 percent, got {number!r:.40}")
    return float(number) / 100


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object of JSON, got {type(value).__name__}")
    return value

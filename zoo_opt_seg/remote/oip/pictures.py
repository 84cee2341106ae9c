"""Images as a model takes them, and of its answers the one mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.codecs.images import stretched
from zoo_opt_seg.remote.oip import tensors
from zoo_opt_seg.remote.oip.form import OipForm


def image_tensor(form: OipForm, image: Array) -> Array:
    """Return an image as its tensor.

    Parameters
    ----------
    form : OipForm
    image : (H, W, 3) array
        uint8, or float32 in [0, 1].
    """
    size = form.options.size
    if size and image.shape[:2] != (size, size):
        image = stretched(image, size, size)
    if form.image[0] == "UINT8" or (image.dtype == np.uint8 and "UINT8" in form.image):
        pixels = to_bytes(image)
    else:
        pixels = image / np.float32(255) if image.dtype == np.uint8 else image
        pixels = pixels * np.float32(255) if form.options.pixels == "0-255" else pixels
        pixels = pixels.astype(tensors.DTYPES[form.image[0]], copy=False)
    pixels = pixels.transpose(2, 0, 1) if form.layout == "CHW" else pixels
    return pixels[None] if form.batch else pixels


def mask_of(form: OipForm, mask: Array, scores: Array | None, shape: tuple[int, int]) -> Array:
    """Return the one mask (H, W) of an answer: float32 probabilities or bool.

    Parameters
    ----------
    form : OipForm
    mask : array (..., h, w)
    scores : array, optional
        A number for each of the masks.
    shape : (int, int)
        H and W.

    Raises
    ------
    Unanswerable
        If it is none, or of another size, and the image was not stretched.
    """
    options, name = form.options, form.options.mask
    if mask.dtype == np.object_ or mask.ndim < 2 or 0 in mask.shape[-2:]:
        raise Unanswerable(f"{name} must be numbers of shape [..., h, w], got {mask.dtype} of shape {list(mask.shape)}")
    masks = mask.reshape(-1, *mask.shape[-2:])
    if masks.shape[1:] != shape and not options.size:
        raise Unanswerable(
            f"{name} must be as large as the image, {list(shape)}, got {list(mask.shape)}; where the model takes "
            "images of one size alone, -m size=N stretches image and mask"
        )
    if not len(masks):  # nothing found
        return np.zeros(shape, np.bool_ if options.cut is not None or mask.dtype == np.bool_ else np.float32)
    one = _chosen(options.choose or ("best" if options.score else "first"), masks, scores, options.score)
    if options.answer == "bool":
        one = one != 0
    if one.dtype.kind in "iu" and options.answer == "" and options.cut is None:
        if not np.isin(one, (0, 1)).all():
            raise Unanswerable(f"{name} has whole numbers up to {one.max()}: say what they are by -m answer or -m cut")
        one = one == 1
    if one.dtype != np.bool_:
        one = one.astype(np.float32, copy=False)
        if np.isnan(one).any():
            raise Unanswerable(f"{name} has NaN")
    if one.shape != shape:
        one = stretched(one, *shape)
    if one.dtype == np.bool_ or options.cut is not None:
        return one if one.dtype == np.bool_ else one > options.cut
    return _probabilities(name, one, options.answer)


def _chosen(choose: str, masks: Array, scores: Array | None, score: str) -> Array:
    if choose == "union":
        union: Array = masks.max(axis=0)
        return union
    if choose == "first" or len(masks) == 1:
        first: Array = masks[0]
        return first
    numbers: Any = None if scores is None else scores.reshape(-1)
    if numbers is None or len(numbers) != len(masks) or numbers.dtype.kind not in "fiu":
        got = "none" if numbers is None else f"{len(numbers)} of {numbers.dtype}"
        raise Unanswerable(f"{score} must have a number for each of {len(masks)} masks, got {got}")
    best: Array = masks[int(np.argmax(np.nan_to_num(numbers.astype(np.float64), nan=-np.inf)))]
    return best


def _probabilities(name: str, values: Array, answer: str) -> Array:
    if answer == "logits":
        with np.errstate(over="ignore"):
            return np.float32(1) / (np.float32(1) + np.exp(-values))
    low, high = float(values.min()), float(values.max())
    if low < -1e-5 or high > 1 + 1e-5:
        raise Unanswerable(
            f"{name} must be probabilities in [0, 1], got values from {low:g} to {high:g}: if they are logits, "
            "-m answer=logits; if the mask is where they are greater than N, -m cut=N"
        )
    return values

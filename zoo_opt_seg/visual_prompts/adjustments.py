"""Common adjustments of an image, as filters do them: where a search for a filter can begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo_opt_seg.prompts import Array
from zoo_opt_seg.visual_prompts.maps import GREY

_AS_IT_IS = np.eye(3)
_GREY = np.tile(GREY, (3, 1))


def _adjusted(colours: Any = _AS_IT_IS, *, blur: float = 0.0, local: float = 0.0, brighter: float = 0.0) -> Array:
    """Return A in R^(3 x 10) of a filter with the standard groups, see `FilterPrompt`.

    Parameters
    ----------
    colours : (3, 3) array_like
        New colours of old ones, about a middling grey.
    blur : {0, 2, 6}
        Standard deviation of the blur that comes first, of 96 pixels.
    local : float
        How much of the difference to the image's surroundings is added.
    brighter : float
        What is added to all colours.
    """
    M = np.asarray(colours, np.float64)
    image, soft, softer = (M * (blur == sigma) for sigma in (0, 2, 6))
    bias = np.full((3, 1), 2 * brighter)  # the constant map is .5
    return np.concatenate([image - _AS_IT_IS + local * M, soft, softer - local * M, bias], axis=1)


def _saturated(factor: float) -> Array:
    return _GREY + factor * (_AS_IT_IS - _GREY)


ADJUSTMENTS: Mapping[str, Array] = {
    "as it is": _adjusted(),
    "soft": _adjusted(blur=2),
    "very soft": _adjusted(blur=6),
    "soft, twice the saturation": _adjusted(_saturated(2), blur=2),
    "soft, three times the saturation": _adjusted(_saturated(3), blur=2),
    "soft, red and blue exchanged": _adjusted(_AS_IT_IS[::-1], blur=2),
    "soft, negative": _adjusted(-_AS_IT_IS, blur=2),
    "soft, the blue alone": _adjusted(np.tile([0, 0, 1], (3, 1)), blur=2),
    "red less blue": _adjusted(np.tile([1, 0, -1], (3, 1))),
    "blue less red": _adjusted(np.tile([-1, 0, 1], (3, 1))),
    "more local contrast": _adjusted(local=0.5),
    "brighter": _adjusted(brighter=0.1),
}
"""By name; the first changes nothing. Chosen on the validation split of the drawn domains and of DSB2018."""

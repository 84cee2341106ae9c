"""What a model behind the Open Inference Protocol takes and gives, as its user says it.

What is not said is as the model's metadata says, and else as ``zoo-opt-seg serve`` has it:

=========  ==============  ==============================================================
``image``  FP32, UINT8     [H, W, 3]: RGB, in [0, 1] or 0 to 255
``points`` FP32            [k, 2]: x, y in pixels of the image; left out without points
``labels`` INT64           [k]: 1 object, 0 background
``box``    FP32            [4]: x0, y0, x1, y1; left out without a box
``text``   BYTES           [1]; left out without a text
``mask``   FP32, or BOOL   [H, W]: probabilities, or a hard mask: the answer
=========  ==============  ==============================================================
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.oip import tensors

_WORDS = {  # an option that is one of these words
    "layout": ("", "HWC", "CHW"),
    "pixels": ("", "0-1", "0-255", "uint8"),
    "boxes": ("xyxy", "points"),
    "answer": ("", "probability", "logits", "bool"),
    "choose": ("", "best", "first", "union"),
    "binary": ("auto", "yes", "no"),
}
_LARGEST = 1 << 14  # pixels of a side; chosen


@dataclass(frozen=True, kw_only=True)
class OipOptions:
    """Options of ``oip:URL/MODEL``; "" and None are as the model's metadata says, else as the default form has it.

    Parameters
    ----------
    image, points, labels, box, text : str
        Names of inputs; "" is none, but for the image.
    mask : str
        Name of the output that has the masks.
    score : str
        That of the output with a number for each mask; "" is none.
    layout : {"", "HWC", "CHW"}
        Of the image.
    batch : bool, optional
        Whether each input has a leading axis of 1.
    pixels : {"", "0-1", "0-255", "uint8"}
        Floats in [0, 1], floats from 0 to 255, or bytes. By default an image goes as it is, if the model takes both.
    size : int
        The image is stretched to so many pixels a side before it is sent, and the mask back; 0: it is sent as it is.
    frame : "image", "unit" or int
        What points and boxes are in: pixels of the image, of a frame of so many pixels a side that it is stretched to,
        or 0 to 1 of its sides.
    boxes : {"xyxy", "points"}
        Whether a box has an input, or goes as two points with the labels 2 and 3, as in SAM's decoder.
    labels_type : str
        Datatype of the labels, such as ``"FP32"``.
    answer : {"", "probability", "logits", "bool"}
        What the mask holds. By default floats are probabilities; "bool" is a hard mask of whatever is not 0.
    cut : float, optional
        The mask is hard: where its values are greater.
    choose : {"", "best", "first", "union"}
        Of several masks: that of the highest score (the default where there is `score`), the first one (the default
        where there is not), or the greatest value of all at each pixel.
    binary : {"auto", "yes", "no"}
        Whether tensors go as bytes. By default where the server says that it can; JSON gives the same numbers, slower.
    version : str
        Of the model.
    height, width : str
        Names of inputs that hold the image's sides, INT64 [1]; "" is none.
    parameters : dict
        Those of each question, such as ``{"mask_datatype": "BOOL"}``.
    constants : dict of str to dict
        Inputs that are always the same, each with ``datatype``, ``shape`` and ``data``, as in a question of JSON.

    Raises
    ------
    ValueError
        If one is not of its form.
    """

    image: str = "image"
    points: str = "points"
    labels: str = "labels"
    box: str = "box"
    text: str = "text"
    mask: str = "mask"
    score: str = ""
    layout: str = ""
    batch: bool | None = None
    pixels: str = ""
    size: int = 0
    frame: str | int = "image"
    boxes: str = "xyxy"
    labels_type: str = ""
    answer: str = ""
    cut: float | None = None
    choose: str = ""
    binary: str = "auto"
    version: str = ""
    height: str = ""
    width: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                known = ", ".join(filter(None, words))
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r:.60}")
        for name in NAMES:
            if not isinstance(getattr(self, name), str) or (name in ("image", "mask") and not getattr(self, name)):
                raise ValueError(f"{name} must be a name, got {getattr(self, name)!r:.60}")
        inputs = [value for name in (*PROMPTS, "image", "height", "width") if (value := getattr(self, name))]
        inputs += list(self.constants) if isinstance(self.constants, Mapping) else []
        if len(set(inputs)) < len(inputs):
            raise ValueError(f"inputs must have different names, got {', '.join(sorted(inputs))}")
        if self.batch not in (True, False, None):
            raise ValueError(f"batch must be true or false, got {self.batch!r:.60}")
        if type(self.size) is not int or not 0 <= self.size <= _LARGEST:
            raise ValueError(f"size must be a number of pixels up to {_LARGEST}, got {self.size!r:.60}")
        if self.frame not in ("image", "unit") and (type(self.frame) is not int or not 0 < self.frame <= _LARGEST):
            raise ValueError(f"frame must be image, unit or a number of pixels, got {self.frame!r:.60}")
        if self.labels_type and not is_number(self.labels_type):
            raise ValueError(f"labels_type must be a datatype of numbers, such as INT64, got {self.labels_type!r:.60}")
        if self.cut is not None and (type(self.cut) not in (int, float) or not math.isfinite(self.cut)):
            raise ValueError(f"cut must be a finite number, got {self.cut!r:.60}")
        if self.answer == "bool" and self.cut is not None:
            raise ValueError(f"a mask of bool has no cut, got {self.cut!r}")
        if self.choose == "best" and not self.score:
            raise ValueError("choose=best needs score, the name of the output with a number for each mask")
        if not isinstance(self.parameters, Mapping):
            raise ValueError(f"parameters must be a table, got {type(self.parameters).__name__}")
        self.constant_arrays()

    def constant_arrays(self) -> dict[str, Array]:
        """Return the inputs that are always the same."""
        if not isinstance(self.constants, Mapping):
            raise ValueError(f"constants must be a table of tensors, got {type(self.constants).__name__}")
        arrays = {}
        for name, entry in self.constants.items():
            if not isinstance(entry, Mapping):
                raise ValueError(f"constants.{name} must have datatype, shape and data, got {type(entry).__name__}")
            datatype = tensors.check_datatype(f"constants.{name}", entry.get("datatype"))
            shape = tensors.check_shape(f"constants.{name}", entry.get("shape"))
            arrays[name] = tensors.from_json(f"constants.{name}", datatype, shape, entry.get("data"))
        return arrays

    def said(self) -> dict[str, Any]:
        """Return the options that are not the default, by which answers differ: not how tensors are sent."""
        fields = dataclasses.fields(self)
        blank = OipOptions()
        changed = {each.name: getattr(self, each.name) for each in fields if each.name not in ("binary", "version")}
        return {name: value for name, value in changed.items() if value != getattr(blank, name)}


PROMPTS = ("points", "labels", "box", "text")
NAMES = ("image", *PROMPTS, "mask", "score", "height", "width", "version")


def is_number(datatype: str) -> bool:
    """Return whether a datatype is one of numbers."""
    return datatype in tensors.DTYPES and datatype not in ("BYTES", "BOOL")


def read_options(given: Mapping[str, Any]) -> OipOptions:
    """Return the options of a command line: those of the file ``config``, if there is one, and the others over them.

    Raises
    ------
    ValueError
        If there is no such option, or the file is not there or no TOML.
    """
    options = dict(given)
    config = options.pop("config", None)
    if config is not None:
        try:
            options = tomllib.loads(Path(str(config)).read_text(encoding="utf-8")) | options
        except (OSError, ValueError) as error:
            raise ValueError(f"config must be a TOML file of options, got {config}: {error}") from None
    known = [each.name for each in dataclasses.fields(OipOptions)]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"options of oip are config, {', '.join(known)}, got {', '.join(unknown)}")
    if type(options.get("version")) is int:
        options["version"] = str(options["version"])
    return OipOptions(**options)

"""The form of a model's tensors: its options held against its metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt_seg.remote.exchange import presentable
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.remote.oip.options import PROMPTS, OipOptions, is_number

PLATFORM = "zoo-opt-seg"  # what our own server calls itself: its image may be FP32 or UINT8
_SHAPES = {"points": (-1, 2), "labels": (-1,), "box": (4,), "text": (1,)}
_FLOATS = ("FP16", "FP32", "FP64")


@dataclass(frozen=True)
class TensorSpec:
    """What metadata says of a tensor.

    Parameters
    ----------
    datatype : str
    shape : tuple of int or None
        -1 is any; None is not said.
    """

    datatype: str
    shape: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return self.datatype if self.shape is None else f"{self.datatype} {list(self.shape)}"


@dataclass(frozen=True)
class ModelMetadata:
    """What a server says of a model.

    Parameters
    ----------
    inputs, outputs : dict of str to TensorSpec
        Empty is not said.
    platform : str
    """

    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    outputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    platform: str = ""

    def __str__(self) -> str:
        inputs, outputs = (
            presentable(", ".join(f"{name} {spec}" for name, spec in side.items()), 2000) or "nothing"
            for side in (self.inputs, self.outputs)
        )
        return f"the model says that it takes {inputs} and gives {outputs}"


def read_metadata(content: bytes) -> ModelMetadata:
    """Return the metadata of a model from a server's answer.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        whole = json.loads(content)
        inputs, outputs = (
            {str(entry["name"]): TensorSpec(str(entry["datatype"]), _shape(entry.get("shape"))) for entry in entries}
            for entries in (whole.get("inputs") or [], whole.get("outputs") or [])
        )
        return ModelMetadata(inputs, outputs, platform=str(whole.get("platform", "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"the model's metadata cannot be read: {type(error).__name__}: {error}"[:300]) from None


def _shape(shape: Any) -> tuple[int, ...] | None:
    return tuple(int(side) for side in shape) if shape else None


@dataclass(frozen=True)
class OipForm:
    """How tensors are written and read.

    Parameters
    ----------
    options : OipOptions
    batch : bool
    layout : {"HWC", "CHW"}
    image : tuple of str
        Datatypes that the image may go as, the first one by preference; ("UINT8",) are bytes alone.
    types : dict of str to str
        Datatypes of the prompts that can be given, by the option's name.
    """

    options: OipOptions
    batch: bool
    layout: str
    image: tuple[str, ...]
    types: Mapping[str, str]

    @property
    def prompted_by(self) -> str | None:
        """What the model must be asked by, where it takes one kind alone."""
        kinds = [
            kind for kind, name in (("points", "points"), ("boxes", "box"), ("text", "text")) if name in self.types
        ]
        return kinds[0] if len(kinds) == 1 or kinds == ["points", "boxes"] else None


def form_of(options: OipOptions, metadata: ModelMetadata | None = None) -> OipForm:
    """Return the form that options and metadata say.

    Raises
    ------
    ValueError
        If they do not fit; the message says what the model has.
    """
    metadata = metadata or ModelMetadata()

    def need(fits: bool, what: str) -> None:
        if not fits:
            raise ValueError(f"{what}; {metadata}")

    image, mask = _found(options, metadata, "image"), _found(options, metadata, "mask")
    for name in (*PROMPTS, "score", "height", "width"):
        _found(options, metadata, name)
    for name in options.constants:
        need(not metadata.inputs or name in metadata.inputs, f"constants.{name} must be an input of the model")
    batch, layout = options.batch, options.layout
    if image is not None and image.shape is not None:
        rank = len(image.shape)
        said = "3 or 4" if batch is None else f"{3 + batch}, as batch says,"
        need(rank in (3, 4) and batch in (None, rank == 4), f"image must have {said} axes")
        batch = rank == 4
        sides = image.shape[1:] if batch else image.shape
        likely = "CHW" if sides[0] == 3 and sides[2] != 3 else "HWC"
        need(
            layout in ("", likely) or (sides[0] == 3) == (sides[2] == 3),
            f"image must be {likely}, layout says {layout}",
        )
        layout = layout or likely
        height, width, colours = (sides[1], sides[2], sides[0]) if layout == "CHW" else sides
        need(colours in (-1, 3), f"image must be {layout} with 3 colours")
        for side in (height, width):
            need(side == -1 or options.size == side, f"image must be stretched to its size by -m size={max(side, 0)}")
    kinds = _image_types(options, metadata, image, need)
    types = _prompt_types(options, metadata, bool(batch), need)
    if mask is not None:
        need(mask.datatype != "BYTES", "mask must be an output of numbers or BOOL")
        known = not mask.datatype.startswith(("INT", "UINT")) or bool(options.answer) or options.cut is not None
        need(known, "a mask of whole numbers needs -m answer or -m cut")
        need(mask.shape is None or len(mask.shape) >= 2, "mask must have two axes or more")
    return OipForm(options, bool(batch), layout or "HWC", kinds, types)


def _found(options: OipOptions, metadata: ModelMetadata, option: str) -> TensorSpec | None:
    """Return what metadata says of the tensor that an option names; None for nothing."""
    name = getattr(options, option)
    side, what = (metadata.outputs, "output") if option in ("mask", "score") else (metadata.inputs, "input")
    by_default = option in PROMPTS and name == getattr(OipOptions(), option)
    if side and name and name not in side and not by_default:
        raise ValueError(f"{option} must be an {what} of the model, got {name!r:.60}; {metadata}")
    return side.get(name)


def _image_types(
    options: OipOptions, metadata: ModelMetadata, image: TensorSpec | None, need: Callable[[bool, str], None]
) -> tuple[str, ...]:
    """Return the datatypes that an image may go as."""
    if image is None or metadata.platform == PLATFORM:
        return ("UINT8",) if options.pixels == "uint8" else ("FP32",) if options.pixels else ("FP32", "UINT8")
    need(image.datatype in (*_FLOATS, "UINT8"), "image must be an input of floats or UINT8")
    need(options.pixels != "uint8" or image.datatype == "UINT8", "image must be floats, -m pixels=0-1 or 0-255")
    need(options.pixels in ("", "uint8") or image.datatype != "UINT8", "image must be bytes, -m pixels=uint8")
    return (image.datatype,)


def _prompt_types(
    options: OipOptions, metadata: ModelMetadata, batch: bool, need: Callable[[bool, str], None]
) -> dict[str, str]:
    """Return the datatypes of the prompts that can be given."""
    types = {"points": "FP32", "labels": options.labels_type or "INT64", "box": "FP32", "text": "BYTES"}
    found = {}
    for option, usual in types.items():
        name = getattr(options, option)
        if not name or (option == "box" and options.boxes != "xyxy"):
            continue
        if metadata.inputs and name not in metadata.inputs:
            continue
        spec = metadata.inputs.get(name, TensorSpec(usual))
        if option == "text":
            need(spec.datatype == "BYTES", "text must be an input of BYTES")
        else:
            need(is_number(spec.datatype), f"{option} must be an input of numbers")
            asked = option != "labels" or options.labels_type in ("", spec.datatype)
            need(asked, f"labels must be {spec.datatype}, -m labels_type says {options.labels_type}")
        sent = (1, *_SHAPES[option]) if batch else _SHAPES[option]
        fits = spec.shape is None or (
            len(spec.shape) == len(sent) and all(-1 in (a, b) or a == b for a, b in zip(spec.shape, sent, strict=True))
        )
        need(fits, f"{option} is sent as {list(sent)}, which the model does not take")
        found[option] = spec.datatype
    return found


def sends_binary(content: bytes) -> bool:
    """Return whether a server's answer about itself says that it takes binary tensors."""
    try:
        return wire.BINARY in json.loads(content)["extensions"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False

"""EndoVis 2017 robotic instrument segmentation: frames of eight and ten sequences (Allan et al. 2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record, image_size
from zoo_opt_seg.data.fitting import Crop
from zoo_opt_seg.data.loaders.layout import check_pairs, folder, images_in

EMPTY = "skip"  # an instrument that is out of view in a frame has an empty file
FRAME = (1920, 1080)
BORDERS = (28, 28, 320, 320)  # of the frame around the camera image: top, bottom, left, right
TYPES = range(1, 7)  # of TypeSegmentation: six instruments; 7 is "other", as is the folder Other_labels


def files(root: str | Path, *, seed: int = 0, objects: str = "instruments") -> dict[str, list[Record]]:
    """Return the records of ``instrument_dataset_<k>/left_frames/frame###.png`` and their labels, found below the root.

    Training labels are ``ground_truth/<instrument>_labels/frame###.png`` (10 shaft, 20 wrist, 30 claspers;
    Other_labels is left out). Test labels are
    ``instrument_2017_test/**/instrument_dataset_<k>/**/TypeSegmentation/frame###.png`` (1 to 6, the type of
    instrument). Frames of 1920 x 1080 are cut to the camera image, 1280 x 1024 at (320, 28), unless ``load_data`` is
    told another ``crop``.

    BAPS counts 3231 training samples (of which 366 validation) and 2878 test samples from 1800 and 1200 frames, which
    agrees with one sample per frame and instrument. Its choice of validation samples is not known: here it is one of
    the training sequences, chosen by the seed.

    Parameters
    ----------
    root : path
        The folder that holds the unpacked archives.
    seed : int
        Of the validation sequence.
    objects : {"instruments", "all"}
        One sample per frame and instrument, or one per frame with all instruments together.
    """
    one_of("objects", objects, ("instruments", "all"))
    base = folder(root, "")
    # Whatever the archives are called: a sequence with ground_truth beside its frames is for training.
    frames = sorted(path for path in base.rglob("left_frames") if path.is_dir() and "__MACOSX" not in path.parts)
    train = [path for path in frames if (path.parent / "ground_truth").is_dir()]
    test = [path for path in frames if path not in train]
    if len(train) < 2:
        raise DataError(
            f"{base}: expected two or more folders instrument_dataset_<k> with left_frames and ground_truth"
        )
    if not test:
        raise DataError(f"{base}: expected test folders instrument_dataset_<k> with left_frames alone")
    types = {_sequence(p.parent): p for p in sorted(base.rglob("TypeSegmentation")) if "__MACOSX" not in p.parts}
    held = int(np.random.default_rng(seed).integers(len(train)))
    return {
        "train": [r for i, path in enumerate(train) if i != held for r in _train(path, objects)],
        "validation": _train(train[held], objects),
        "test": [record for path in test for record in _test(path, types, objects)],
    }


def _sequence(path: Path) -> str:
    """Return the innermost part of a path that is called instrument_dataset_<k>."""
    for part in reversed(path.parts):
        if part.startswith("instrument_dataset_"):
            return part
    raise DataError(f"{path}: expected to lie in a folder instrument_dataset_<k>")


def _train(path: Path, objects: str) -> list[Record]:
    sequence, images, crop = _frames(path)
    tools = {
        tool.name.removesuffix("_labels"): images_in(tool)
        for tool in sorted((path.parent / "ground_truth").iterdir())
        if tool.is_dir() and tool.name.endswith("_labels") and tool.name != "Other_labels"
    }
    if not tools:
        raise DataError(f"{path.parent / 'ground_truth'}: expected folders <instrument>_labels in it")
    records = []
    for tool, labels in tools.items():
        check_pairs(images, labels, f" in {path.parent / 'ground_truth' / tool}_labels")
    for stem, image in images.items():
        masks: dict[str, tuple[Path, ...]] = {f"-{tool}": (labels[stem],) for tool, labels in tools.items()}
        if objects == "all":
            masks = {"": tuple(files[0] for files in masks.values())}
        name, group = f"train-{sequence}-{stem}", f"train-{sequence}"
        records += [Record(f"{name}{end}", image, files, (1, 255), group, crop=crop) for end, files in masks.items()]
    return records


def _test(path: Path, types: dict[str, Path], objects: str) -> list[Record]:
    sequence, images, crop = _frames(path)
    if sequence not in types:
        raise DataError(f"{path}: expected labels of the sequence in a folder {sequence}/gt/TypeSegmentation")
    labels = images_in(types[sequence])
    check_pairs(images, labels, f" in {types[sequence]}")
    spans = {"": (1, 6)} if objects == "all" else {f"-{k}": (k, k) for k in TYPES}
    return [
        Record(f"test-{sequence}-{stem}{end}", image, (labels[stem],), span, f"test-{sequence}", crop=crop)
        for stem, image in images.items()
        for end, span in spans.items()
    ]


def _frames(path: Path) -> tuple[str, dict[str, Path], Crop | None]:
    images = images_in(path)
    if not images:
        raise DataError(f"{path}: expected images there, found none")
    crop = BORDERS if image_size(next(iter(images.values()))) == FRAME else None  # some copies are cut already
    return _sequence(path), images, crop

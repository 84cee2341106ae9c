"""Writers of every data set's layout, in a few tiny files."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from refusals import raises

from zoo_opt_seg.data import DataError, Samples, Splits
from zoo_opt_seg.data.fitting import box_within
from zoo_opt_seg.data.loaders import endovis2017

W, H = 24, 16
SPLITS = ("train", "validation", "test")


def every(splits: Splits) -> list[Samples]:
    """The three parts."""
    return [getattr(splits, name) for name in SPLITS]


def refused(call: Callable[[], object], *parts: str) -> None:
    """The call raises a DataError of one line with all these parts."""
    message = str(raises(DataError, None, call))
    assert "\n" not in message and all(part in message for part in parts), message


def saved(path: Path, array: np.ndarray, **options: int) -> Path:
    """Write an image file of the array, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (W, H), mode: str = "RGB") -> Path:
    channels = len(Image.new(mode, (1, 1)).getbands())
    array = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return saved(path, array.squeeze())


def label(path: Path, value: int = 255, size: tuple[int, int] = (W, H), background: int = 0, where: int = 1) -> Path:
    """A mask file with an object of half the width."""
    array = np.full(size[::-1], background, np.uint8)
    array[:, where * size[0] // 4 : (where + 2) * size[0] // 4] = value
    return saved(path, array)


def pairs(root: Path, numbers: Iterable[object], image: str, mask: str, value: int = 255) -> Path:
    """Files of images and masks, whose names hold the number or the like; returns the folder."""
    for i in numbers:
        picture(root / image.format(i), i if isinstance(i, int) else 0)
        label(root / mask.format(i), value)
    return root


# ------------------------------------------------------------------------------------------------ layouts


def write_kvasir(root: Path, n: int = 10) -> Path:
    pairs(root / "Kvasir-SEG", range(n), "images/cju{:02}.jpg", "masks/cju{:02}.jpg")
    (root / "Kvasir-SEG/kavsir_bboxes.json").write_text("{}")
    return root


def write_isic2018(root: Path) -> Path:
    for split, numbers in (("Training", range(4)), ("Validation", range(10, 12)), ("Test", range(20, 25))):
        image, mask = f"ISIC2018_Task1-2_{split}_Input", f"ISIC2018_Task1_{split}_GroundTruth"
        pairs(root, numbers, f"{image}/ISIC_{{:07}}.jpg", f"{mask}/ISIC_{{:07}}_segmentation.png")
        for name in ("ATTRIBUTION", "LICENSE"):
            (root / image / f"{name}.txt").write_text("x")
    return root


def disc_and_cup(path: Path) -> None:
    array = np.full((H, W), 255, np.uint8)
    array[:, 6:18] = 128
    array[:, 10:14] = 0
    saved(path, array)


def write_refuge(root: Path) -> Path:
    for kind, letter in (("Glaucoma", "g"), ("Non-Glaucoma", "n")):
        picture(root / f"Training400/{kind}/{letter}0001.jpg")
        disc_and_cup(root / f"Annotation-Training400/Disc_Cup_Masks/{kind}/{letter}0001.bmp")
    picture(root / "REFUGE-Validation400/REFUGE-Validation400/V0001.jpg")  # doubled, as it may unpack
    disc_and_cup(root / "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp")
    for letter, i in (("G", 1), ("N", 2)):
        picture(root / f"REFUGE-Test400/T{i:04}.jpg")
        disc_and_cup(root / f"REFUGE-Test-GT/Disc_Cup_Masks/{letter}/T{i:04}.bmp")
    return root


def write_endovis2017(root: Path) -> Path:
    full = endovis2017.FRAME
    for k, i in itertools.product((1, 2, 3), (0, 1)):
        base = root / f"instrument_1_4_training/instrument_dataset_{k}"
        image = Image.new("RGB", full, (9, 9, 9))
        image.paste((200, 200, 200), box_within(full, endovis2017.BORDERS))
        (base / "left_frames").mkdir(parents=True, exist_ok=True)
        image.save(base / f"left_frames/frame{i:03}.png")
        for tool, value in (("Left_Prograsp_Forceps", 30), ("Right_Prograsp_Forceps", 10 if i else 0), ("Other", 30)):
            label(base / f"ground_truth/{tool}_labels/frame{i:03}.png", value, full)
    for k in (1, 9):
        part = "instrument_1_4_testing" if k == 1 else "instrument_9_10_testing"
        (root / part / f"instrument_dataset_{k}/left_frames").mkdir(parents=True)
        Image.new("RGB", full).save(root / part / f"instrument_dataset_{k}/left_frames/frame225.png")
        types = root / f"instrument_2017_test/instrument_2017_test/instrument_dataset_{k}/gt/TypeSegmentation"
        path = label(types / "frame225.png", 2, full)
        array = np.asarray(Image.open(path)).copy()
        array[-full[1] // 4 :, :] = 6
        array[: full[1] // 4, :] = 7
        Image.fromarray(array).save(path)
    return root


def write_polypgen(root: Path) -> Path:
    names = [f"{k}OLCV1_100H{i:04}" for k, i in itertools.product((106, 117, 123, 177), (2, 38))]
    names += [f"{k}_endocv2021_positive_{i}" for k, i in itertools.product((9, 14, 29), (323, 864))]
    for i, name in enumerate(names):
        picture(root / f"images/{name}.jpg", i)
        label(root / f"masks/{name}_mask.{'png' if i % 2 else 'jpg'}")
    picture(root / "images/35_endocv2021_negative_1027.jpg")
    label(root / "masks/35_endocv2021_negative_1027_mask.jpg", 0)
    return root


def write_polypgen_centres(root: Path) -> Path:
    for k in (1, 6):
        folder = root / f"PolypGen2021_MultiCenterData_v3/data_C{k}"
        pairs(folder, range(0, 200, 20), f"images_C{k}/100H{{:04}}.jpg", f"masks_C{k}/100H{{:04}}_mask.jpg")
    return root


def write_dsb2018(root: Path) -> Path:
    for i in range(10):
        name = f"{i:064x}"
        picture(root / f"stage1_train/{name}/images/{name}.png", i, (200, 160), "RGBA")
        for k in range(12):
            array = np.zeros((160, 200), np.uint8)
            array[10 + 10 * k : 18 + 10 * k, 15 * k : 15 * k + 12] = 255
            saved(root / f"stage1_train/{name}/masks/{k:064x}.png", array)
    return root


def write_chase_db1(root: Path) -> Path:
    for k, eye in itertools.product(range(1, 15), "LR"):
        picture(root / f"Image_{k:02}{eye}.jpg", k)
        for annotator, where in (("1st", 0), ("2nd", 2)):
            array = np.zeros((H, W), bool)
            array[:, where * W // 4 : (where + 2) * W // 4] = True
            saved(root / f"Image_{k:02}{eye}_{annotator}HO.png", array)
    return root


def write_folder(root: Path) -> Path:
    for i in range(10):
        picture(root / f"images/p{i // 2}_{i}.png", i)
        label(root / f"masks/p{i // 2}_{i}_mask.png", 1)
    return root


# name: writer, sizes of train, validation, test
LAYOUTS: dict[str, tuple[Callable[[Path], Path], tuple[int, int, int]]] = {
    "kvasir": (write_kvasir, (6, 1, 3)),
    "kvasir-poudel": (write_kvasir, (8, 1, 1)),
    "isic2018": (write_isic2018, (4, 2, 5)),
    "refuge": (write_refuge, (4, 2, 4)),
    "refuge-disc": (write_refuge, (2, 1, 2)),
    "refuge-cup": (write_refuge, (2, 1, 2)),
    "endovis2017": (write_endovis2017, (6, 3, 4)),
    "endovis2017-all": (write_endovis2017, (4, 2, 2)),
    "polypgen": (write_polypgen, (6, 4, 4)),
    "dsb2018": (write_dsb2018, (40, 16, 24)),
    "dsb2018-union": (write_dsb2018, (5, 2, 3)),
    "chase_db1": (write_chase_db1, (16, 4, 8)),
    "folder": (write_folder, (5, 2, 3)),
}

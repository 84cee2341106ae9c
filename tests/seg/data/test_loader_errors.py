"""Every error of the loaders: one sentence that names the file."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg import layouts
from seg.checks import raises
from seg.layouts import LAYOUTS, label, picture, write_folder, write_kvasir
from seg.layouts_vlsm import VLSM

from zoo_opt_seg.data import DATA_SETS, DataError, load_data
from zoo_opt_seg.data.files import Record, image_size, load
from zoo_opt_seg.data.loaders.layout import divide

# An image and a mask of each layout, and a folder that must be there.
ISIC18, ISIC16, VIDEO = "ISIC2018_Task1", "ISBI2016_ISIC_Part1", "instrument_1_4_training/instrument_dataset_2"
ISIC18_MASK = f"{ISIC18}_Training_GroundTruth/ISIC_0000001_segmentation.png"
ISIC16_MASK = f"{ISIC16}_Training_GroundTruth/ISIC_0000002_Segmentation.png"
REFUGE_MASK = "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp"
TOOL = f"{VIDEO}/ground_truth/Left_Prograsp_Forceps_labels/frame001.png"
CELLS, BUSI = f"stage1_train/{3:064x}", "Dataset_BUSI_with_GT"
PLACES = {
    "kvasir": ("Kvasir-SEG/images/cju03.jpg", "Kvasir-SEG/masks/cju03.jpg", "Kvasir-SEG/masks"),
    "isic2018": (f"{ISIC18}-2_Training_Input/ISIC_0000001.jpg", ISIC18_MASK, f"{ISIC18}_Test_GroundTruth"),
    "refuge": ("Training400/Glaucoma/g0001.jpg", REFUGE_MASK, "REFUGE-Test-GT"),
    "endovis2017": (f"{VIDEO}/left_frames/frame001.png", TOOL, "instrument_2017_test"),
    "polypgen": ("images/106OLCV1_100H0002.jpg", "masks/106OLCV1_100H0002_mask.jpg", "masks"),
    "dsb2018": (f"{CELLS}/images/{3:064x}.png", f"{CELLS}/masks/{4:064x}.png", f"{CELLS}/masks"),
    "chase_db1": ("Image_04L.jpg", "Image_04L_1stHO.png", "."),
    "folder": ("images/p1_2.png", "masks/p1_2_mask.png", "masks"),
    "clinicdb": ("PNG/Original/3.png", "PNG/Ground Truth/3.png", "PNG/Ground Truth"),
    "bkai": (f"train/train/{3:032x}.jpeg", f"train_gt/train_gt/{3:032x}.jpeg", "train_gt"),
    "isic2016": (f"{ISIC16}_Training_Data/ISIC_0000002.jpg", ISIC16_MASK, f"{ISIC16}_Test_GroundTruth"),
    "dfuc2022": ("DFUC2022_train_images/100003.jpg", "DFUC2022_train_masks/100003.png", "DFUC2022_train_masks"),
    "busi": (f"{BUSI}/benign/benign (3).png", f"{BUSI}/benign/benign (3)_mask.png", f"{BUSI}/normal"),
}
OTHER = {"camus", "chexlocalize"}  # no image files, or no files of masks: see test_loaders_vlsm.py
WRITERS = LAYOUTS | VLSM
pytestmark = pytest.mark.usefixtures("small_video_frames")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path, Path]:
    """Name, root, an image and a mask of a written set; every nucleus is taken, so that the chosen file is read."""
    name = request.param
    WRITERS[name][0](tmp_path)
    image, mask, _ = PLACES[name]
    assert (tmp_path / image).is_file() and (tmp_path / mask).is_file()
    return name, tmp_path, tmp_path / image, tmp_path / mask


def refused(name: str, root: Path, *parts: str, **options: object) -> None:
    if name == "dsb2018":
        options["per_image"] = 12
    layouts.refused(lambda: load_data(name, root, size=16, **options), *parts)


def test_table_holds_every_layout() -> None:
    assert set(PLACES) | OTHER == {dataset.folder for dataset in DATA_SETS.entries() if not dataset.drawn}


def test_no_root(tmp_path: Path) -> None:
    for name in PLACES:
        refused(name, tmp_path / "absent", str(tmp_path / "absent"), "the root folder is missing")
        refused(name, tmp_path, str(tmp_path))


def test_missing_folder(place: tuple[str, Path, Path, Path]) -> None:
    name, root, _, _ = place
    gone = root / PLACES[name][2]
    shutil.rmtree(gone)
    refused(name, root, str(gone if name == "chase_db1" else root))


def test_image_without_mask(place: tuple[str, Path, Path, Path]) -> None:
    name, root, image, mask = place
    if name == "dsb2018":
        for path in mask.parent.iterdir():
            path.unlink()
    mask.unlink(missing_ok=True)
    refused(name, root, str(image), "has no mask")


def test_mask_without_image(place: tuple[str, Path, Path, Path]) -> None:
    name, root, image, mask = place
    image.unlink()
    if name == "dsb2018":
        refused(name, root, str(image), "the image file is missing")
    else:
        # EndoVis has several masks per image: the first is named.
        refused(name, root, mask.name if name == "endovis2017" else str(mask), "the mask has no image")


@pytest.mark.parametrize("which", ["image", "mask"])
@pytest.mark.parametrize("damage", ["text", "nothing", "half"])
def test_corrupt(place: tuple[str, Path, Path, Path], which: str, damage: str) -> None:
    name, root, image, mask = place
    file = image if which == "image" else mask
    content = file.read_bytes()
    file.write_bytes({"text": b"not an image", "nothing": b"", "half": content[: len(content) // 2]}[damage])
    refused(name, root, str(file), f"the {which} cannot be read (")


def test_mask_of_another_size(place: tuple[str, Path, Path, Path]) -> None:
    name, root, image, mask = place
    with Image.open(mask) as old:
        new = old.resize((old.width + 2, old.height), Image.Resampling.NEAREST)
    new.save(mask)
    refused(name, root, str(mask), str(image), f"the mask has {new.width} x {new.height} pixels")


def test_empty_mask(place: tuple[str, Path, Path, Path]) -> None:
    name, root, _, mask = place
    with Image.open(mask) as old:
        blank = Image.new(old.mode, old.size, 255 if name == "refuge" else 0)
    blank.save(mask)
    stated = {"polypgen": "skip", "endovis2017": "skip"}.get(name, "raise")
    named = str(mask) if stated == "raise" else str(root)  # the other two were written with an empty mask already
    refused(name, root, named, "the mask is empty (no pixel", "empty='skip'", empty="raise")
    options = {"per_image": 12} if name == "dsb2018" else {}
    kept, left = (load_data(name, root, size=16, empty=what, **options) for what in ("keep", "skip"))
    for part in ("train", "validation", "test"):
        assert len(getattr(left, part)) == getattr(kept, part).masks.any(axis=(1, 2)).sum()
    if stated == "raise":
        refused(name, root, str(mask), "the mask is empty")
    else:
        assert load_data(name, root, size=16).train.names == left.train.names


def test_file_that_vanishes(tmp_path: Path) -> None:
    record = Record("a", picture(tmp_path / "a.png"), (tmp_path / "m.png",))
    raises(DataError, r"m\.png: the mask file is missing", load, [record], 8)
    label(tmp_path / "m.png")
    record.image.unlink()
    raises(DataError, r"a\.png: the image file is missing", load, [record], 8)
    raises(DataError, r"a\.png: the image file is missing", image_size, record.image)
    record.image.write_text("x")
    raises(DataError, r"a\.png: the image cannot be read \(not an image, or none of BMP", image_size, record.image)


def test_sixteen_bit_image(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 24), 4000, np.uint16)).save(tmp_path / "a.png")
    record = Record("a", tmp_path / "a.png", (label(tmp_path / "m.png"),))
    raises(
        DataError,
        r"a\.png: expected 8 bits per channel, got uint16 with values 4000 to 4000; window=",
        load,
        [record],
        8,
    )


def test_box_outside_the_image(tmp_path: Path) -> None:
    record = Record("a", picture(tmp_path / "a.png"), (label(tmp_path / "m.png"),), box=(0, 0, 25, 16))
    raises(DataError, r"a\.png: the image of 24 x 16 pixels does not hold the box \(0, 0, 25, 16\)", load, [record], 8)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    root = write_kvasir(tmp_path)
    twin = picture(root / "Kvasir-SEG/images/cju01.png")
    refused("kvasir", root, str(twin), "a second file for 'cju01' beside")


def test_two_masks_of_one_image(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    label(root / "masks/p0_0_gt.png")
    refused("folder", root, "p0_0_mask.png", "a second mask for 'p0_0'")


def test_every_mask_of_a_split_is_empty(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for path in (root / "masks").iterdir():
        label(path, 0)
    refused("folder", root, str(root), "all 5 masks of the train split are empty", empty="skip")


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    for name, ending in (("isic2018", "_segmentation"), ("isic2016", "_Segmentation"), ("polypgen", "_mask")):
        root = WRITERS[name][0](tmp_path / name)
        mask = root / PLACES[name][1]
        odd = mask.rename(mask.with_name(f"odd{mask.suffix}"))
        refused(name, root, str(odd), f"expected a name that ends in {ending}")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("instrument_1_4_testing", "labels"),
        ("instrument_1_4_training", "expected two or more folders instrument_dataset_<k> with left_frames and ground_"),
        ("instrument_2017_test/instrument_2017_test/instrument_dataset_9", "expected labels of the sequence"),
        ("instrument_2017_test/instrument_2017_test/instrument_dataset_1/gt/TypeSegmentation/frame225.png", "no mask"),
        ("instrument_1_4_testing/instrument_dataset_1/left_frames/frame225.png", "expected images there, found none"),
    ],
)
def test_parts_of_endovis(gone: str, message: str, tmp_path: Path) -> None:
    root = LAYOUTS["endovis2017"][0](tmp_path / "root")
    (root / gone).rename(tmp_path / "moved")
    if gone == "instrument_1_4_testing":
        (root / "instrument_9_10_testing").rename(tmp_path / "moved too")
        message = "expected test folders"
    refused("endovis2017", root, message, str(root))


def test_endovis_without_tools(tmp_path: Path) -> None:
    root = LAYOUTS["endovis2017"][0](tmp_path)
    tools = root / "instrument_1_4_training/instrument_dataset_1/ground_truth"
    for path in tools.iterdir():
        path.rename(path.with_name("Other_labels" if path.name == "Other_labels" else path.name[:4]))
    refused("endovis2017", root, str(tools), "expected folders <instrument>_labels")


def test_stray_type_segmentation(tmp_path: Path) -> None:
    root = LAYOUTS["endovis2017"][0](tmp_path)
    (root / "elsewhere/TypeSegmentation").mkdir(parents=True)
    refused("endovis2017", root, "elsewhere", "expected to lie in a folder instrument_dataset_<k>")


def test_chase_without_the_last_children(tmp_path: Path) -> None:
    root = LAYOUTS["chase_db1"][0](tmp_path)
    for path in root.glob("Image_1[1-4]*"):
        path.unlink()
    refused("chase_db1", root, str(root), "expected the images of 14 children, found none for test")


def test_nuclei_of_an_image_without_any(tmp_path: Path) -> None:
    root = LAYOUTS["dsb2018"][0](tmp_path)
    for path in (root / "stage1_train").iterdir():
        path.rename(path.with_name(f".{path.name}"))
    refused("dsb2018", root, "expected folders <id>/images and <id>/masks there, found none")


def test_too_few_for_the_shares(tmp_path: Path) -> None:
    root = write_kvasir(tmp_path, 2)
    refused("kvasir", root, str(root), "2 images or groups of images are too few", "validation stays empty")
    parts = load_data("kvasir", root, size=8, fractions=(0, 0, 1))
    assert (len(parts.train), len(parts.test)) == (0, 2)


ARGUMENTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: load_data("nothing", root), "name must be one of skin"),
    (lambda root: load_data("kvasir"), "root must be the folder of 'kvasir'"),
    (lambda root: load_data("kvasir", root, size=0), "size must be a number of pixels >= 1, got 0"),
    (lambda root: load_data("kvasir", root, empty="drop"), "empty must be one of raise, skip, keep, got 'drop'"),
    (lambda root: load_data("kvasir", root, colour=1), "options must be those of 'kvasir'"),
    (lambda root: load_data("kvasir", root, fractions=(1, 2)), "fractions must be three shares"),
    (lambda root: load_data("kvasir", root, fractions=(1, -2, 3)), "fractions must be three shares"),
    (lambda root: load_data("refuge", root, label="vessel"), "label must be one of both, disc, cup, rim, got 'vessel'"),
    (lambda root: load_data("endovis2017", root, objects="x"), "objects must be one of instruments, all, got 'x'"),
    (lambda root: load_data("chase_db1", root, annotator=3), "annotator must be 1 or 2, got 3"),
    (lambda root: load_data("dsb2018", root, per_image=0), "per_image must be at least 1, got 0"),
    (lambda root: load_data("dsb2018", root, diameters=0.5), "diameters must be at least 1, got 0.5"),
]


@pytest.mark.parametrize(("call", "message"), ARGUMENTS)
def test_arguments(call: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    raises(ValueError, f"^{re.escape(message)}", call, write_kvasir(tmp_path))


def test_groups_are_never_divided() -> None:
    sizes = [7, 1, 1, 1, 4, 2, 9, 3, 1, 1]
    records = [Record(f"{g}-{i}", Path("i"), (), group=str(g)) for g, n in enumerate(sizes) for i in range(n)]
    for seed in range(20):
        parts = divide(records, (0.5, 0.2, 0.3), seed, "here") if seed in (0, 3) else None
        if parts:
            owners = [{r.group for r in part} for part in parts.values()]
            assert sum(map(len, owners)) == len(sizes)
            assert sorted(r.name for part in parts.values() for r in part) == sorted(r.name for r in records)

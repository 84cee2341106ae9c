"""Loaders of the sets with text prompts, each reading a folder in the official layout; their errors name the file."""

import json
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from seg import layouts_vlsm as layouts
from seg.checks import raises
from seg.layouts import SPLITS, H, W, every, label, picture, refused
from seg.layouts_vlsm import VLSM, heart, metaimage, nifti, object_array, rle, tif

from zoo_opt_seg.data import DataError, load_data
from zoo_opt_seg.data.files import Record, load, mask_array
from zoo_opt_seg.data.loaders import busi, camus, chexlocalize, dfuc2022, isic2016
from zoo_opt_seg.data.loaders.layout import POUDEL, divide
from zoo_opt_seg.data.loaders.polyps import bkai, clinicdb, kvasir
from zoo_opt_seg.data.readers.pictures import Channels
from zoo_opt_seg.data.readers.rle import Rle
from zoo_opt_seg.data.readers.scans import Scan


@pytest.mark.parametrize(
    ("images", "fractions", "sizes"),
    [
        (1000, kvasir.POUDEL, (800, 100, 100)),
        (612, clinicdb.POUDEL, (490, 61, 61)),
        (1000, bkai.POUDEL, (800, 100, 100)),
        (900, isic2016.SHARES, (810, 90, 0)),
        (2000, dfuc2022.POUDEL, (1600, 200, 200)),
        (437 + 210 + 133, busi.POUDEL, (624, 78, 78)),
        (500, camus.POUDEL, (400, 50, 50)),
    ],
)
def test_counts_of_poudel(images: int, fractions: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    records = [Record(f"{i:04}", Path("i"), (Path("m"),)) for i in range(images)]
    assert tuple(map(len, divide(records, fractions, 3, "here").values())) == sizes


@pytest.mark.parametrize("name", VLSM)
def test_splits_by_name(name: str, tmp_path: Path) -> None:
    root = VLSM[name][0](tmp_path)
    options = {"fractions": (0.6, 0.2, 0.2)} if name == "camus" else {}
    load_data(name, root, size=8, split="poudel", **options)
    message = r"^split must be one of (poudel|owners).*, got 'mine'$"
    raises(ValueError, message, load_data, name, root, size=8, split="mine")


# ------------------------------------------------------------------------------------------------ ClinicDB


def test_clinicdb_tif_files(tmp_path: Path) -> None:
    root = layouts.write_clinicdb_tif(tmp_path)
    raises(OSError, "cannot identify image file", Image.open, root / "CVC-ClinicDB/Original/1.tif")
    png, twin = tmp_path / "a.png", tmp_path / "CVC-ClinicDB/Original/7.tif"
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (H, W, 3), np.uint8)).save(png)
    mask = (label(tmp_path / "m.png"),)
    first, second = load([Record("png", png, mask), Record("tif", twin, mask)], 16).images
    assert (first == second).all()
    splits = load_data("clinicdb", root, size=16)
    assert [len(part) for part in every(splits)] == [8, 1, 1] and splits.train.masks.mean() == 0.5


@pytest.mark.parametrize("damage", ["text", "half", "nothing", "float"])
def test_unreadable_tif(damage: str, tmp_path: Path) -> None:
    root = layouts.write_clinicdb_tif(tmp_path)
    file = root / "CVC-ClinicDB/Original/4.tif"
    content = file.read_bytes()
    if damage == "float":
        tifffile.imwrite(file, np.full((H, W, 3), 0.5), photometric="rgb")
    else:
        file.write_bytes({"text": b"no image", "half": content[: len(content) // 2], "nothing": b""}[damage])
    what = "expected 8 bits per channel, got float64" if damage == "float" else "the image cannot be read ("
    refused(lambda: load_data("clinicdb", root, size=16), str(file), what)


def test_tif_forms(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", array, photometric="rgb")
    tif(tmp_path / "planes.tif", array)
    mask = (label(tmp_path / "m.png"),)
    first, second = load([Record(n, tmp_path / f"{n}.tif", mask) for n in ("rgb", "planes")], 16).images
    assert (first == second).all()


def test_clinicdb_places_and_blocks(tmp_path: Path) -> None:
    root = layouts.write_clinicdb(tmp_path)
    (root / "PNG").rename(root / "TIF")
    assert len(clinicdb.files(root)["train"]) == 8
    for i in range(11, 201):
        shutil.copy(root / "TIF/Original/1.png", root / f"TIF/Original/{i}.png")
        shutil.copy(root / "TIF/Ground Truth/1.png", root / f"TIF/Ground Truth/{i}.png")
    parts = clinicdb.files(root, split="blocks", fractions=(0.5, 0.25, 0.25))
    blocks = [{(int(record.name) - 1) // 25 for record in parts[split]} for split in SPLITS]
    assert sum(map(len, blocks)) == 8
    (root / "TIF/Original/1.png").rename(root / "TIF/Original/one.png")
    (root / "TIF/Ground Truth/1.png").rename(root / "TIF/Ground Truth/one.png")
    refused(lambda: clinicdb.files(root, split="blocks"), "one.png: expected a number for a name")
    shutil.rmtree(root / "TIF")
    refused(lambda: clinicdb.files(root), str(root), "expected a folder 'PNG/Original' or 'Original'")


# ------------------------------------------------------------------------------------------------ BKAI, ISIC 2016, DFUC


def test_bkai_colours(tmp_path: Path) -> None:
    root = layouts.write_bkai(tmp_path)
    options = {"size": 24, "fractions": (1, 0, 0)}
    sizes = {label: sum(map(len, every(load_data("bkai", root, label=label, **options)))) for label in bkai.CHANNELS}
    assert sizes == {"polyp": 10, "neoplastic": 5, "non-neoplastic": 6}
    path = root / f"train_gt/train_gt/{0:032x}.jpeg"
    red, green, both = (mask_array(Channels(path, c), (128, 255)) for c in ((0,), (1,), (0, 1)))
    assert abs(red.mean() - 0.5) < 0.06 and abs(green.mean() - 0.5) < 0.06 and both.mean() > 0.95
    kept = load_data("bkai", root, label="neoplastic", empty="keep", **options)
    assert sum(len(part) for part in every(kept)) == 10
    message = "label must be one of polyp, neoplastic, non-neoplastic, got 'blue'"
    raises(ValueError, message, bkai.files, root, label="blue")


def test_bkai_without_doubled_folders(tmp_path: Path) -> None:
    layouts.write_bkai(tmp_path / "a")
    shutil.copytree(tmp_path / "a/train/train", tmp_path / "bkai-igh-neopolyp/train")
    shutil.copytree(tmp_path / "a/train_gt/train_gt", tmp_path / "bkai-igh-neopolyp/train_gt")
    assert [r.name for r in bkai.files(tmp_path)["test"]] == [r.name for r in bkai.files(tmp_path / "a")["test"]]


def test_isic2016_validation(tmp_path: Path) -> None:
    root = layouts.write_isic2016(tmp_path)
    for shares, sizes in (((1, 1, 9), [5, 5, 4]), ((1, 0, 0), [10, 0, 4])):
        parts = isic2016.files(root, fractions=shares)
        assert [len(parts[s]) for s in SPLITS] == sizes


def test_dfuc2022_leaves_unmasked_folders_out(tmp_path: Path) -> None:
    root = layouts.write_dfuc2022(tmp_path)
    names = {record.name for part in dfuc2022.files(root).values() for record in part}
    assert len(names) == 10 and "300001" not in names
    for file in (root / "DFUC2022_train_masks").iterdir():
        file.rename(root / "DFUC2022_train_images" / file.name)  # all in one folder
    assert sum(map(len, dfuc2022.files(root).values())) == 10
    for file in (root / "DFUC2022_train_images").glob("*.png"):
        file.unlink()
    refused(lambda: dfuc2022.files(root), str(root), "expected masks as ######.png")


# ------------------------------------------------------------------------------------------------ BUSI


def test_busi_lesions_and_modes(tmp_path: Path) -> None:
    root = layouts.write_busi(tmp_path)
    records = {record.name: record for part in busi.files(root).values() for record in part}
    assert len(records["benign (2)"].masks) == 2
    modes = set()
    for record in records.values():
        for path in record.masks:
            with Image.open(path) as image:
                modes.add(image.mode)
    assert modes == {"1", "L", "RGB", "RGBA"}
    for name, record in records.items():
        (mask,) = load([record], 24).masks
        assert mask.mean() == (0 if name.startswith("normal") else 0.5)
    assert len({name for name in records if name.startswith("normal")}) == 4
    without = load_data("busi", root, size=8, normal=False)
    assert sum(len(part) for part in every(without)) == 16
    skipped = load_data("busi", root, size=8, empty="skip")
    assert sum(len(part) for part in every(skipped)) == 16
    refused(lambda: load_data("busi", root, size=8, empty="raise"), "normal (", "_mask.png: the mask is empty")


def test_busi_names(tmp_path: Path) -> None:
    root = layouts.write_busi(tmp_path)
    odd = picture(root / "Dataset_BUSI_with_GT/benign/malignant (3).png")
    refused(lambda: busi.files(root), str(odd), "expected a name as 'benign (1).png'")
    odd.unlink()
    for path in (root / "Dataset_BUSI_with_GT/normal").iterdir():
        path.unlink()
    refused(lambda: busi.files(root), "normal: expected images there, found none")


# ------------------------------------------------------------------------------------------------ CAMUS


def test_camus_structures_and_lists(tmp_path: Path) -> None:
    root = layouts.write_camus(tmp_path)
    parts = camus.files(root)
    assert {record.group for record in parts["train"]} == {"patient0001", "patient0004", "patient0005"}
    assert {record.group for record in parts["test"]} == {"patient0002"}
    for record in parts["validation"]:
        kind = record.name.partition("-")[2]
        assert (mask_array(record.masks[0], record.values) == (heart() == camus.STRUCTURES[kind])).all()
    splits = load_data("camus", root, size=24, structure="left-atrium")
    assert [len(part) for part in every(splits)] == [12, 4, 4]
    assert all(name.endswith("-left-atrium") for name in splits.test.names)
    raises(ValueError, "structure must be one of all, left-ventricle", camus.files, root, structure="aorta")


def test_nifti_is_transposed_and_has_spacing(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (H, W), np.uint8)
    scan = Scan(nifti(tmp_path / "a.nii.gz", array, (0.5, 0.25)))
    assert (scan.read() == array).all() and scan.spacing() == (0.5, 0.25)
    other = Scan(metaimage(tmp_path / "b.mhd", array))
    assert (other.read() == array).all() and other.spacing() == (0.5, 0.25)
    assert camus.spacing(Record("a", scan, (scan,)), 48) == (0.5 * H / 48, 0.25 * W / 48)
    raises(TypeError, "record must be one of CAMUS", camus.spacing, Record("a", tmp_path / "a.png", ()), 48)


def test_camus_of_the_older_release(tmp_path: Path) -> None:
    root = layouts.write_camus_mhd(tmp_path)
    refused(lambda: camus.files(root), "database_split: the folder is missing; split='poudel' divides")
    parts = camus.files(root, split="poudel")
    assert [len(parts[s]) for s in SPLITS] == [96, 12, 12]
    groups = [{record.group for record in parts[s]} for s in SPLITS]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert load_data("camus", root, size=24, split="poudel").test.masks.any(axis=(1, 2)).all()
    # Since the masks of the test patients came out:
    layouts.write_camus_frames(root / "testing/patient0001", metaimage, ".mhd")
    names = {record.name for part in camus.files(root, split="poudel").values() for record in part}
    assert len(names) == 132 and "testing-patient0001_4CH_ES-myocardium" in names


def camus_file(root: Path, older: bool, what: str) -> Path:
    folder = "training" if older else "database_nifti"
    return root / f"{folder}/patient0004/patient0004_4CH_ED{what}{'.mhd' if older else '.nii.gz'}"


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("what", ["", "_gt"])
def test_errors_of_scans(older: bool, what: str, tmp_path: Path) -> None:
    root = (layouts.write_camus_mhd if older else layouts.write_camus)(tmp_path)
    file, kind = camus_file(root, older, what), "mask" if what else "image"
    read = partial(load_data, "camus", root, size=16, split="poudel" if older else "owners")
    content = file.read_bytes()
    for damage in (b"", b"not a header", content[: len(content) // 2]):
        file.write_bytes(damage)
        refused(read, f"{file}: the {kind} cannot be read (")
    if older:
        file.write_bytes(content.replace(b"ElementSpacing = 0.25 0.5 1\n", b""))
    else:
        nifti(file, object_array(), (0.5, 0))
    refused(read, str(file), "the header has no spacing")
    (metaimage if older else nifti)(file, object_array()[:, :-2])
    if older:
        file.write_bytes(file.read_bytes().replace(f"DimSize = {W} ".encode(), f"DimSize = {W - 2} ".encode()))
    refused(read, str(file), f"{W - 2} x {H}" if what else f"its image {file} has {W - 2} x {H}")
    file.unlink()
    refused(read, f"{file}: the {kind} file is missing")


def test_other_errors_of_scans(tmp_path: Path) -> None:
    root = layouts.write_camus_mhd(tmp_path / "a")
    file, read = camus_file(root, True, "_gt"), partial(load_data, "camus", root, size=16, split="poudel")
    file.with_suffix(".raw").unlink()
    refused(read, f"{file}: its data file {file.stem}.raw is missing")
    file.with_suffix(".raw").write_bytes(b"12")
    refused(read, str(file), "the mask cannot be read (")

    root = layouts.write_camus(tmp_path / "b")
    file, read = camus_file(root, False, "_gt"), partial(load_data, "camus", root, size=16)
    for array, message in (
        (object_array(4), "the mask is empty (no pixel from 1 to 1; its values are 0, 4)"),
        (np.full((H, W), 0.5, np.float32), "expected whole numbers in the mask, got float32 with the values 0.5"),
        (np.zeros((3, H, W), np.uint8), "expected one two-dimensional mask, got the shape"),
    ):
        nifti(file, array)
        refused(read, str(file), message)


def test_errors_of_camus_lists(tmp_path: Path) -> None:
    root = layouts.write_camus(tmp_path)
    file = root / "database_split/subgroup_testing.txt"
    file.write_text("patient0002\npatient0099\n")
    refused(lambda: camus.files(root), str(file), "expected names of patients in the data, got patient0099")
    for names, said in (("patient0001", "subgroup_training.txt has"), ("patient0002\npatient0002", f"{file.name} has")):
        file.write_text(names)  # a patient of two splits, or twice in one
        refused(lambda: camus.files(root), str(file), "is there a second time", said)
    file.write_text("")
    refused(lambda: camus.files(root), str(file), "got none")
    file.unlink()
    refused(lambda: camus.files(root), f"{file}: the list of patients is missing")
    shutil.rmtree(root / "database_nifti")
    refused(lambda: camus.files(root), str(root), "expected a folder 'database_nifti' or 'training'")
    (root / "database_nifti").mkdir()
    refused(lambda: camus.files(root), "database_nifti: expected folders patient#### in it")


# ------------------------------------------------------------------------------------------------ CheXlocalize


def test_chexlocalize_masks_and_splits(tmp_path: Path) -> None:
    root = layouts.write_chexlocalize(tmp_path)
    splits = load_data("chexlocalize", root, size=24)
    patients = [{name.partition("_")[0] for name in part.names} for part in every(splits)]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 10
    assert all((part.masks.mean(axis=(1, 2)) == 0.5).all() for part in every(splits))
    official = load_data("chexlocalize", root, size=24, split="owners", fractions=(0.6, 0.4, 0))
    assert {name[:12] for name in official.test.names} == {f"patient{i}" for i in range(64741, 64746)}
    some = load_data("chexlocalize", root, size=24, pathologies=["Pleural Effusion"])
    assert sum(len(part) for part in every(some)) == 16
    assert all(name.endswith("_pleural_effusion") for part in every(some) for name in part.names)
    for wrong in (["Fracture"], "Edema", []):
        with pytest.raises(ValueError, match="pathologies must be some of Enlarged Cardiomediastinum"):
            chexlocalize.files(root, pathologies=wrong)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"size": [H, W], "counts": "0"}, f"bad RLE, its runs have 0 pixels, expected {H} x {W} = {H * W}"),
        ({"size": [H, W], "counts": ""}, "bad RLE, its runs have 0 pixels"),
        ({"size": [H, W], "counts": "c"}, "bad RLE, its runs have 0 pixels and are cut off"),
        ({"size": [H, W], "counts": "é"}, "bad RLE, COCO's strings have no 'é'"),
        ({"size": [W, W], "counts": None}, "bad RLE, expected size [height, width] and counts as a string"),
        ({"size": [H], "counts": "0"}, "bad RLE, expected size"),
        ({"size": [H, -W], "counts": "0"}, "bad RLE, expected size"),
        ([1, 2], "bad RLE, expected size"),
    ],
)
def test_bad_rle(entry: object, message: str, tmp_path: Path) -> None:
    root = layouts.write_chexlocalize(tmp_path)
    file = root / "CheXlocalize/gt_segmentations_val.json"
    masks = json.loads(file.read_text())
    masks["patient64543_study1_view1_frontal"]["Edema"] = entry
    file.write_text(json.dumps(masks))
    refused(lambda: chexlocalize.files(root), f"{file}, patient64543_study1_view1_frontal, Edema: {message}")


def test_rle_agrees_with_pycocotools(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = (rng.random((37, 61)) < share).astype(np.uint8)
        encoded = coco.encode(np.asfortranarray(mask))
        entry = {"size": [37, 61], "counts": encoded["counts"].decode()}
        assert entry == rle(mask)
        found = Rle.of(tmp_path, "x", entry)
        assert (found.read() == mask).all() and found.area() == mask.sum()
        assert found.runs().sum() == mask.size
        if len(found.counts) > 3:
            refused(Rle(tmp_path, "x", 37, 61, found.counts[:-1]).read, "x: bad RLE")
            refused(Rle(tmp_path, "x", 37, 62, found.counts).read, "x: bad RLE")


def test_errors_of_chexlocalize(tmp_path: Path) -> None:
    root = layouts.write_chexlocalize(tmp_path)
    file = root / "CheXlocalize/gt_segmentations_test.json"
    masks = json.loads(file.read_text())

    def says(*parts: str, **changes: object) -> None:
        file.write_text(json.dumps({**masks, **changes}))
        refused(lambda: load_data("chexlocalize", root, size=16), *parts)

    key = "patient64741_study1_view1_frontal"
    fewer = {name: masks[key][name] for name in layouts.PATHOLOGIES[:9]}
    says(f"{file}, {key}: Support Devices is missing", **{key: fewer})
    says(f"{file}, x: expected patient#####_study#_view#_frontal", x={})
    says(f"{file}, {key}: expected", **{key: []})
    says("patient9/study1/view1_frontal.jpg: the image file is missing", patient9_study1_view1_frontal=masks[key])
    wrong = {**masks[key], "Pleural Effusion": rle(object_array()[:, :-1])}
    image = root / "CheXpert/test/patient64741/study1/view1_frontal.jpg"
    says(f"{file}, {key}, Pleural Effusion: the mask has {W - 1} x {H} pixels, its image {image}", **{key: wrong})
    nothing = {**masks[key], **{p: rle(object_array(0)) for p in layouts.PATHOLOGIES}}
    says(f"{file}: expected masks of images, found none", **dict.fromkeys(masks, nothing))
    file.write_text("[1]")
    refused(lambda: chexlocalize.files(root), f"{file}: expected an object with an entry per image, got list")
    file.write_text("{")
    refused(lambda: chexlocalize.files(root), f"{file}: the masks cannot be read (")
    file.unlink()
    refused(lambda: chexlocalize.files(root), f"{file}: the file of masks is missing")
    layouts.write_chexlocalize(tmp_path)
    image.write_bytes(b"x")
    refused(lambda: load_data("chexlocalize", root, size=16), f"{image}: the image cannot be read (")
    shutil.rmtree(root / "CheXpert/val")
    refused(lambda: chexlocalize.files(root), str(root), "expected a folder 'CheXpert/val'")


# ------------------------------------------------------------------------------------------------ absent readers


@pytest.mark.parametrize(
    ("module", "write", "name", "options"),
    [
        ("tifffile", layouts.write_clinicdb_tif, "clinicdb", {}),
        ("nibabel", layouts.write_camus, "camus", {}),
    ],
)
def test_absent_reader(module, write, name, options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"{re.escape(str(root))}.*: reading it needs {module}, which is not installed"
    raises(DataError, message, load_data, name, root, size=8, **options)


def test_shares_of_poudel() -> None:
    assert POUDEL == (0.8, 0.1, 0.1)

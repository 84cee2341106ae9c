"""Loaders: every layout is written in tiny files and read back; the real sets where present."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg import layouts
from seg.checks import raises
from seg.layouts import LAYOUTS, SPLITS, H, W, every, label, pairs, picture
from seg.layouts_vlsm import VLSM

from zoo_opt_seg.data import DATA_SETS, DataError, load_data
from zoo_opt_seg.data.files import Record, load, mask_array
from zoo_opt_seg.data.fitting import Fit, box_within
from zoo_opt_seg.data.loaders import dsb2018, endovis2017, folder, isic2018, refuge
from zoo_opt_seg.data.loaders.layout import divide
from zoo_opt_seg.data.loaders.polyps import kvasir, polypgen

pytestmark = pytest.mark.usefixtures("small_video_frames")  # test_endovis_at_its_own_size undoes it


def test_every_set_has_a_layout() -> None:
    assert set(LAYOUTS) | set(VLSM) == {entry.name for entry in DATA_SETS.entries() if not entry.drawn}


@pytest.mark.parametrize("name", LAYOUTS | VLSM)
def test_layout(name: str, tmp_path: Path) -> None:
    write, sizes = (LAYOUTS | VLSM)[name]
    root = write(tmp_path)
    splits = load_data(name, root, size=32)
    assert tuple(len(part) for part in every(splits)) == sizes
    assert splits.name == name
    names = [n for part in every(splits) for n in part.names]
    assert len(set(names)) == len(names)
    for part in every(splits):
        assert part.images.shape[1:] == (32, 32, 3)
        assert part.masks.any(axis=(1, 2)).tolist() == [not n.startswith("normal") for n in part.names]
        assert name in LAYOUTS or part.images.std(axis=(1, 2, 3)).min() > 0
    again = load_data(name, str(root), size=32)  # a path as text; the same seed, the same samples
    for part, other in zip(every(splits), every(again), strict=True):
        assert part.names == other.names
        assert (part.images == other.images).all() and (part.masks == other.masks).all()


def test_unofficial_splits_follow_the_seed(tmp_path: Path) -> None:
    root = layouts.write_kvasir(tmp_path)
    assert len({tuple(r.name for r in kvasir.files(root, seed=seed)["train"]) for seed in range(8)}) > 4
    parts = kvasir.files(root, fractions=(0.8, 0.1, 0.1))
    assert [len(parts[s]) for s in SPLITS] == [8, 1, 1]


def test_kvasir_has_the_papers_counts() -> None:
    parts = divide([Record(f"{i:04}", Path("i"), (Path("m"),)) for i in range(1000)], kvasir.BAPS, 3, "here")
    assert [len(parts[s]) for s in SPLITS] == [600, 100, 300]


def test_isic_takes_some_of_the_test_images(tmp_path: Path) -> None:
    root = layouts.write_isic2018(tmp_path)
    chosen = {tuple(r.name for r in isic2018.files(root, seed=seed, test=2)["test"]) for seed in range(9)}
    assert len(chosen) > 3 and all(len(names) == 2 for names in chosen)
    assert len(isic2018.files(root, test=None)["test"]) == 5


def test_refuge_masks_are_inverted(tmp_path: Path) -> None:
    splits = load_data("refuge", layouts.write_refuge(tmp_path), size=48)
    assert splits.train.names == ("g0001-disc", "g0001-cup", "n0001-disc", "n0001-cup")
    disc, cup = splits.train.masks[:2]
    assert disc.mean() == 0.5 and cup.mean() == pytest.approx(4 / 24) and not (cup & ~disc).any()
    rim = load_data("refuge", tmp_path, size=48, label="rim").train
    assert rim.names == ("g0001-rim", "n0001-rim") and (rim.masks[0] == (disc & ~cup)).all()


def test_endovis_cuts_the_frame_and_leaves_other_out(tmp_path: Path) -> None:
    root = layouts.write_endovis2017(tmp_path)
    splits = load_data("endovis2017", root, size=32)
    assert (splits.train.images == 200).all()  # nothing of the black border of the video frame
    assert all("Other" not in name for part in every(splits) for name in part.names)
    held = {endovis2017.files(root, seed=seed)["validation"][0].group for seed in range(20)}
    assert held == {f"train-instrument_dataset_{k}" for k in (1, 2, 3)}
    # Half of the width is type 2, a band at the bottom type 6; type 7 is other.
    assert [name[-1] for name in splits.test.names] == ["2", "6", "2", "6"]
    together = load_data("endovis2017-all", root, size=32).test.masks
    assert (together[0] == (splits.test.masks[0] | splits.test.masks[1])).all()


def test_endovis_at_its_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    layouts.write_endovis2017(tmp_path)
    crops = {record.crop for part in endovis2017.files(tmp_path).values() for record in part}
    assert [box_within((1920, 1080), crop) for crop in crops] == [(320, 28, 320 + 1280, 28 + 1024)]


def test_endovis_copies_that_are_cut_already(tmp_path: Path) -> None:
    root = layouts.write_endovis2017(tmp_path)
    for path in root.rglob("*.png"):
        Image.open(path).crop(box_within(endovis2017.FRAME, endovis2017.BORDERS)).save(path)
    assert len(load_data("endovis2017", root, size=32).test) == 4


def test_polypgen_keeps_patients_and_sequences_together(tmp_path: Path) -> None:
    root = layouts.write_polypgen(tmp_path)
    for seed in range(5):
        parts = polypgen.files(root, seed=seed)
        groups = [{record.group for record in parts[split]} for split in SPLITS]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert polypgen.group("177OLCV1_100S0005") == polypgen.group("177OLCV1_100H0038") == "patient-177"
    assert polypgen.group("29_endocv2021_positive_254") == polypgen.group("29_endocv2021_positive_323")
    assert polypgen.group("EndoCV2021_C5_50000354") == polypgen.group("EndoCV2021_C5_50000358")
    assert polypgen.group("EndoCV2021_C5_50000048") != polypgen.group("C3_EndoCV2021_0048")
    assert polypgen.group("no number") == "no number"


def test_polypgen_archive_of_the_owners(tmp_path: Path) -> None:
    splits = load_data("polypgen", layouts.write_polypgen_centres(tmp_path), size=16)
    names = [name for part in every(splits) for name in part.names]
    assert len(names) == 20 and {name[:3] for name in names} == {"C1-", "C6-"}


def test_a_window_holds_its_nucleus(tmp_path: Path) -> None:
    parts = dsb2018.files(layouts.write_dsb2018(tmp_path), per_image=12)
    places = set()
    for record in parts["train"]:
        x0, y0, x1, y1 = record.box
        assert x1 - x0 == y1 - y0 == 48 and x0 >= 0 and x1 <= 200 and y0 >= 0 and y1 <= 160
        whole = mask_array(record.masks[0], record.values)
        assert whole[y0:y1, x0:x1].sum() == whole.sum() == 96
        places.add(int(np.argmax(whole.any(axis=0))) - x0)
    assert len(places) > 10  # not always in the middle
    small = dsb2018.files(tmp_path, diameters=10.0)["test"][0].box
    assert small[2] - small[0] == small[3] - small[1] == 120
    whole_height = dsb2018.files(tmp_path, diameters=50.0)["test"][0].box
    assert (whole_height[1], whole_height[3]) == (0, 160) and whole_height[2] - whole_height[0] == 160


def test_images_of_nuclei_stay_in_one_split(tmp_path: Path) -> None:
    parts = dsb2018.files(layouts.write_dsb2018(tmp_path))
    images = [{record.image for record in parts[split]} for split in SPLITS]
    assert [len(some) for some in images] == [5, 2, 3] and len(set.union(*images)) == 10


def test_chase_annotators_and_children(tmp_path: Path) -> None:
    root = layouts.write_chase_db1(tmp_path)
    first, second = (load_data("chase_db1", root, size=32, annotator=k) for k in (1, 2))
    assert (first.train.masks != second.train.masks).all()
    assert {name[6:8] for name in first.test.names} == {"11", "12", "13", "14"}


def test_plain_folder_with_its_own_split(tmp_path: Path) -> None:
    for part, n in (("train", 3), ("val", 2), ("test", 4)):
        pairs(tmp_path / part, range(n), "images/{}.jpg", "masks/{}.png")
    assert [len(part) for part in every(load_data("folder", tmp_path, size=8))] == [3, 2, 4]
    (tmp_path / "test").rename(tmp_path / "other")
    raises(DataError, "expected a folder 'test'", load_data, "folder", tmp_path)


def test_plain_folder_keeps_groups_together(tmp_path: Path) -> None:
    root = layouts.write_folder(tmp_path)
    parts = folder.files(root, group=r"^(p\d)_")
    groups = [{record.name[:2] for record in parts[split]} for split in SPLITS]
    assert sum(map(len, groups)) == 5
    raises(DataError, r"p0_0\.png: the pattern of group", folder.files, root, group="q")


def test_refuge_ignores_what_an_archiver_left(tmp_path: Path) -> None:
    root = layouts.write_refuge(tmp_path)
    picture(root / "__MACOSX/Training400/Glaucoma/g0001.jpg")
    (root / "Training400/Glaucoma/._g0001.jpg").write_bytes(b"x")
    picture(root / "Training400/AMD/A0001.jpg")
    assert len(refuge.files(root)["train"]) == 4


# ------------------------------------------------------------------------------------------------ synthetic, real


def test_synthetic_domains_have_the_same_entrance() -> None:
    splits = load_data("skin", size=48, seed=1, sizes=(3, 2, 2))
    assert [len(part) for part in every(splits)] == [3, 2, 2] and "source" in DATA_SETS
    raises(ValueError, "root must be None for 'skin', which is drawn, got 'folder'", load_data, "skin", "folder")


REAL = {"polypgen": (67, 31, 40), "dsb2018": (232, 93, 143), "chase_db1": (16, 4, 8)}


@pytest.mark.parametrize(
    ("name", "sizes"), [*REAL.items(), pytest.param("dsb2018-union", (30, 12, 18), marks=pytest.mark.slow)]
)
def test_real_sets(name: str, sizes: tuple[int, int, int], shared_data: Path) -> None:
    splits = load_data(name, shared_data / name.removesuffix("-union"), size=96)
    assert tuple(len(part) for part in every(splits)) == sizes
    for part in every(splits):
        assert part.masks.any(axis=(1, 2)).all() and part.images.std(axis=(1, 2, 3)).min() > 0


def test_empty_masks_of_the_real_polypgen(shared_data: Path) -> None:
    kept = load_data("polypgen", shared_data / "polypgen", size=16, empty="keep")
    assert sum((~part.masks.any(axis=(1, 2))).sum() for part in every(kept)) == 12
    with pytest.raises(DataError, match=r"_mask\.png: the mask is empty"):
        load_data("polypgen", shared_data / "polypgen", size=16, empty="raise")


# ------------------------------------------------------------------------------------------------ resizing


def test_masks_are_resized_by_area() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = mask[0, 6] = True
    fitted = {side: Fit(side, (8, 8)).mask for side in (2, 4, 16)}
    assert fitted[4](mask).sum() == 4  # a quarter of a pixel is less than half of it
    assert fitted[16](mask).sum() == 17 * 4  # enlarged: the nearest pixel
    mask[:] = False
    mask[5, 2] = True
    assert np.argwhere(fitted[2](mask)).tolist() == [[1, 0]]  # nothing vanishes
    assert not fitted[4](mask & False).any()


def test_images_are_resized_without_aliasing(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 254
    Image.fromarray(stripes).save(tmp_path / "a.png")
    label(tmp_path / "m.png", size=(64, 64))
    (image,) = load([Record("a", tmp_path / "a.png", (tmp_path / "m.png",))], 8).images
    assert abs(image.astype(int) - 127).max() < 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_masks_of_every_mode(mode: str, tmp_path: Path) -> None:
    array = np.zeros((H, W), np.uint8)
    array[:, 5:] = 255
    image = Image.fromarray(array.astype(np.uint16)) if mode == "I;16" else Image.fromarray(array).convert(mode)
    path = tmp_path / ("m.tif" if mode == "CMYK" else "m.png")
    image.save(path)
    for values in (None, (128, 255)):
        assert (mask_array(path, values) == (array > 0)).all()


@pytest.mark.parametrize("values", [2, (2, "2"), [2], (1, 2, 3), "(2,2)", (True, 2)])
def test_values_of_another_form(values: object, tmp_path: Path) -> None:
    message = r"values must be the lowest and highest mask value of the object, as \[2,2\]"
    raises(ValueError, message, load_data, "folder", tmp_path, values=values)


def test_values_choose_a_label(tmp_path: Path) -> None:
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
        for i in range(6):
            array = np.zeros((16, 16), np.uint8)
            array[:4], array[10:] = 1, 2
            Image.fromarray(array).save(tmp_path / place / f"{i}.png")
    for values, rows in (((2, 2), 6), ([1, 2], 10)):  # a list, as from the command line
        for part in every(load_data("folder", tmp_path, size=16, values=values)):
            assert (part.masks.any(axis=2).sum(axis=1) == rows).all()


def test_palettes_and_colours(tmp_path: Path) -> None:
    indices = np.zeros((H, W), np.uint8)
    indices[:, 5:] = 1
    coloured = Image.fromarray(indices)
    coloured.putpalette([0, 0, 0, 128, 0, 0])  # as in VOC: the index counts
    coloured.save(tmp_path / "p.png")
    red = np.zeros((H, W, 3), np.uint8)
    red[:, 5:, 0] = 255
    Image.fromarray(red).save(tmp_path / "r.png")
    for name in ("p.png", "r.png"):
        assert (mask_array(tmp_path / name, None) == (indices > 0)).all()


def test_large_jpeg_files_are_decoded_small_but_checked_at_full_size(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", size=(640, 480))
    record = Record("a", tmp_path / "a.jpg", (label(tmp_path / "m.png", size=(640, 480)),))
    assert load([record], 16).masks.mean() == 0.5
    label(tmp_path / "m.png", size=(320, 240))
    raises(DataError, r"320 x 240 pixels, its image .*a\.jpg has 640 x 480", load, [record], 16)

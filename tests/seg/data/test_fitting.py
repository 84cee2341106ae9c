"""From an image of any shape to a square and back: stretched or padded, whole or cut."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg.checks import raises
from seg.layouts import label, picture, write_dsb2018, write_endovis2017, write_folder

from zoo_opt_seg.data import DataError, load_data
from zoo_opt_seg.data.files import Record, load, mask_array, sample_image
from zoo_opt_seg.data.fitting import Fit, box_within, check_crop
from zoo_opt_seg.data.loaders.polyps import polypgen


def wide(path: Path, width: int = 60, height: int = 30) -> tuple[Path, np.ndarray]:
    """An image file that is grey on the left and white on the right."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    pixels[:, width // 2 :] = 255
    Image.fromarray(pixels).save(path)
    return path, pixels


def test_padded_images_keep_their_aspect_ratio(tmp_path: Path) -> None:
    path, _ = wide(tmp_path / "a.png")
    mask = label(tmp_path / "m.png", size=(60, 30))  # the middle half of the width
    square = load([Record("a", path, (mask,))], 20, fit="pad")
    image, truth = square.images[0], square.masks[0]
    assert (image[:10, :9] == 120).all() and (image[:10, 11:] == 255).all() and not image[10:].any()
    assert truth[:10, 5:15].all() and truth.sum() == 100
    assert (load([Record("a", path, (mask,))], 20).images[0, 19, 0] == 120).all()  # stretched: no black
    tall = Fit(20, (30, 60), "pad")
    assert (
        tall.inner == (10, 20)
        and Fit(20, (31, 60), "pad").inner == (10, 20)
        and Fit(20, (1, 900), "pad").inner == (1, 20)
    )
    assert Fit(20, (30, 60)).inner == Fit(20, (30, 30), "pad").inner == (20, 20)


@pytest.mark.parametrize("how", ["stretch", "pad"])
@pytest.mark.parametrize("box", [None, (10, 4, 50, 24)])
def test_points_and_answers_find_their_way_back(how: str, box: tuple[int, int, int, int] | None) -> None:
    fit = Fit(40, (60, 30), how, box)
    mask = np.zeros((30, 60), bool)
    mask[8:16, 20:36] = True
    small = fit.mask(mask)
    assert small.shape == (40, 40)
    corners = np.array([[20.0, 8.0], [35.0, 15.0]])  # centres of the first and the last pixel
    (x0, y0), (x1, y1) = np.rint(fit.points(corners)).astype(int)
    assert small[y0, x0] and small[y1, x1] and not small[max(0, y0 - 2), x0] and not small[y1, x1 + 2]
    again = fit.back(small) > 0.5
    assert 2 * (again & mask).sum() / (again.sum() + mask.sum()) > 0.9
    outside = np.ones((30, 60), bool)
    outside[fit.shown[1] : fit.shown[3], fit.shown[0] : fit.shown[2]] = False
    assert not fit.back(np.ones((40, 40))).astype(bool)[outside].any()


def test_fit_in_the_middle_of_a_pixel() -> None:
    """One pixel of the square is one pixel of the image: nothing moves."""
    assert Fit(30, (30, 20), "pad").points(np.array([[7.0, 3.0]])).tolist() == [[7.0, 3.0]]
    assert Fit(20, (40, 20), "pad").points(np.array([[39.0, 19.0]])).tolist() == [[19.0, 9.0]]  # kept inside


def test_nearest_masks_are_nearly_the_same(shared_data: Path) -> None:
    """As VLSM-Adapter's code makes masks smaller, on real ones, against ours."""
    dice = []
    for record in (record for part in polypgen.files(shared_data / "polypgen").values() for record in part):
        mask = mask_array(record.masks[0], record.values)
        if mask.any():
            ours = Fit(352, (mask.shape[1], mask.shape[0])).mask(mask)
            theirs = np.asarray(Image.fromarray(mask).resize((352, 352), Image.Resampling.NEAREST))
            dice.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    print(f"{len(dice)} masks, mean Dice {np.mean(dice):.4f}, lowest {np.min(dice):.4f}")
    assert np.mean(dice) > 0.99


def test_crop_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    cut = load_data("folder", tmp_path, size=12, crop=(2, 2, 6, 6))
    rows = np.asarray(Image.open(tmp_path / f"images/{cut.train.names[0]}.png"))[2:-2, 6:-6]
    assert rows.shape == (12, 12, 3) and (cut.train.images[0] == rows).all()
    same = load_data("folder", tmp_path, size=12, crop=(0, 0, 0, 0))
    assert (same.train.images == load_data("folder", tmp_path, size=12).train.images).all()
    file = tmp_path / f"images/{cut.train.names[0]}.png"
    assert (sample_image(file, 12, crop=(2, 2, 6, 6))[0] == rows).all()


@pytest.mark.usefixtures("small_video_frames")
def test_endovis_as_released_with_baps(tmp_path: Path) -> None:
    """Its crop of the whole frame, [60:-60, 350:-350], in place of ours, here in proportion."""
    write_endovis2017(tmp_path)
    ours, theirs = (load_data("endovis2017", tmp_path, size=32, **how) for how in ({}, {"crop": (4, 4, 22, 22)}))
    assert ours.train.names == theirs.train.names and (theirs.train.images == 200).all()
    assert (load_data("endovis2017", tmp_path, size=32, crop=(0, 0, 1, 1)).train.images == 9).any()  # the black border


def test_folders_of_other_names(tmp_path: Path) -> None:
    """The cropped REFUGE as it is passed around: labels 1 (disc without cup) and 2 (cup)."""
    for part, n in {"train": 2, "val": 1, "test": 1}.items():
        for i in range(n):
            picture(tmp_path / f"{part}/Images_Cropped/{i}.jpg", i)
            label(tmp_path / f"{part}/Masks_Cropped/{i}.png", 1 + i % 2)
    named = {"images": "Images_Cropped", "masks": "Masks_Cropped"}
    splits = load_data("folder", tmp_path, size=16, values=(1, 1), empty="skip", **named)
    assert splits.train.names == ("train-0",) and len(splits.validation) == len(splits.test) == 1
    assert load_data("folder", tmp_path, size=16, values=(1, 2), **named).train.names == ("train-0", "train-1")
    raises(DataError, "expected a folder 'images' in it", load_data, "folder", tmp_path, masks="Masks_Cropped")
    raises(ValueError, "masks must be the name of a folder, got 3", load_data, "folder", tmp_path, masks=3)


def test_what_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "a")
    write_dsb2018(tmp_path / "b")
    word = "fit must be one of stretch, pad, got 'fill'"
    raises(ValueError, word, load_data, "folder", tmp_path / "a", fit="fill")
    raises(ValueError, "fit must be 'stretch' for 'skin', whose images are square", load_data, "skin", fit="pad")
    raises(ValueError, "crop must be None for 'skin', which has its own", load_data, "skin", crop=(1, 1, 1, 1))
    word = r"crop must be None for 'dsb2018', which shows windows of its images, got \(1, 1, 1, 1\)"
    raises(ValueError, word, load_data, "dsb2018", tmp_path / "b", crop=(1, 1, 1, 1))
    word = r"p\d_\d\.png: nothing is left of the image of 24 x 16 pixels with the crop \(9, 9, 0, 0\)"
    raises(DataError, word, load_data, "folder", tmp_path / "a", crop=(9, 9, 0, 0))
    word = r"p\d_\d_mask\.png: the mask is empty .* with the crop \(0, 0, 19, 0\)"
    raises(DataError, word, load_data, "folder", tmp_path / "a", crop=(0, 0, 19, 0), values=(1, 1))
    for wrong in ((1, 2, 3), "1,2,3,4", 5):
        raises(ValueError, r"crop must be four numbers of pixels \(top, bottom, left, right\)", check_crop, wrong)
    raises(ValueError, "crop must be >= 0, got -1", check_crop, (0, 0, -1, 0))
    raises(TypeError, "crop must be an integer", check_crop, (0, 0, 0.5, 0))
    assert check_crop(None) is check_crop((0, 0, 0, 0)) is box_within((8, 8), (4, 4, 0, 0)) is None

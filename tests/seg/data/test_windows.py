"""What a file's values mean: windows of more than 8 bits, DICOM, slices of NIfTI, EXIF orientation, pages, labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from seg import layouts
from seg.checks import raises
from seg.formats import DEEP, GREY, NOISE, RGB, dicom, png16, tif16
from seg.layouts import H, W, every, label, picture, saved
from seg.layouts_vlsm import nifti

from zoo_opt_seg.data import DataError, load_data
from zoo_opt_seg.data.files import Record, image_size, load, mask_array, rgb_image, sample_image
from zoo_opt_seg.data.loaders import folder
from zoo_opt_seg.data.readers.dicom import Dicom
from zoo_opt_seg.data.readers.scans import Scan, Slice
from zoo_opt_seg.data.readers.windows import Window, check_window, eight_bits


def rgb(path: Path, window: Window | None = None) -> np.ndarray:
    return np.asarray(rgb_image(path, window=window)[0])


# ------------------------------------------------------------------------------------------------ more than 8 bits

RAMP = np.linspace(0, 2683, 24 * 32).astype(np.uint16).reshape(24, 32)


def grey_png(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array[..., 0]).save(path)


def tif(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array, photometric="rgb")


def alpha(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.full_like(array[..., :1], 65535)], axis=2)


SIXTEEN: dict[str, tuple[str, Callable[[Path, np.ndarray], Any]]] = {
    "grey png": ("png", grey_png),
    "grey tif": ("tif", grey_png),
    "colour png": ("png", png16),
    "colour png with alpha": ("png", lambda path, array: png16(path, alpha(array))),
    "colour tif": ("tif", tif),
    "deflated colour tif": ("tif", lambda path, array: tifffile.imwrite(path, array, photometric="rgb", compression=8)),
    "colour tif with alpha": ("tif", lambda path, array: tif(path, alpha(array))),
}


@pytest.mark.parametrize("name", SIXTEEN)
def test_twelve_bits_keep_their_values(name: str, tmp_path: Path) -> None:
    """A maximum of 2683 of 4095 is 167 of 255; the high byte alone of 16 bits is 10."""
    end, write = SIXTEEN[name]
    path = tmp_path / f"a.{end}"
    write(path, np.stack([RAMP] * 3, axis=2))
    refusal = str(raises(DataError, "got uint16 with values 0 to 2683; window='full'", rgb, path))
    assert refusal.startswith(str(path))
    for window, top, middle in (
        ((0, 4095), 167, 84),
        ("full", 255, 127),
        ((0, 2683), 255, 127),
        ((1000, 2000), 255, 87),
    ):
        found = rgb(path, window)
        assert found.shape == (24, 32, 3) and found.max() == top, window
        assert abs(int(found[12, 0, 0]) - middle) <= 1 and (np.diff(found[..., 0].ravel().astype(int)) >= 0).all()
    label(tmp_path / "m.png", size=(32, 24))
    (image,) = load([Record("a", path, (tmp_path / "m.png",))], 8, window=(0, 4095)).images
    assert 140 < image.max() <= 167
    assert (sample_image(path, 8, (0, 4095))[0] == image).all()


def test_grey_of_sixteen_bits_with_alpha(tmp_path: Path) -> None:
    png16(tmp_path / "a.png", DEEP[..., :2])
    raises(DataError, r"a\.png: grey of 16 bits with alpha is not read", rgb, tmp_path / "a.png", "full")


def test_windows() -> None:
    values = np.repeat(np.array([10, 20], np.int16), 5000).reshape(100, 100)
    values[0, :20], values[99, 80:] = -3000, 3000  # less than half a percent of each
    assert eight_bits(values, "full", "a")[[0, 1, 99], [0, 0, 99]].tolist() == [0, 128, 255]
    for window in ("percentile", (10, 20)):
        assert eight_bits(values, window, "a")[[0, 1, 98, 99], [0, 0, 0, 99]].tolist() == [0, 0, 255, 255]
    for window in ("full", "percentile"):  # one value
        assert not eight_bits(np.full((4, 4), 7.0), window, "a").any()
    few = np.zeros((40, 40))
    few[0, 0] = 2.0  # fewer pixels than the percentile leaves out: as "full"
    assert eight_bits(few, "percentile", "a").max() == 255
    assert eight_bits(GREY, "full", "a").max() == 255 and eight_bits(GREY, None, "a") is GREY
    assert eight_bits(GREY.astype(np.float64), None, "a").dtype == np.uint8
    for bad in (np.nan, np.inf):
        raises(DataError, "a: expected finite values", eight_bits, np.array([[bad, 1.0]]), "full", "a")
        raises(DataError, "a: expected 8 bits per channel", eight_bits, np.array([[bad, 1.0]]), None, "a")
    raises(
        DataError,
        "expected 8 bits per channel, got float64 with values 0.5 to 0.5",
        eight_bits,
        few[:1, :1] / 4,
        None,
        "a",
    )


@pytest.mark.parametrize(
    "window", ["half", (1, 1), (2, 1), (1,), (1, 2, 3), ("0", "1"), (0, np.nan), 3, (True, 2), (0, np.inf)]
)
def test_windows_of_another_form(window: object, tmp_path: Path) -> None:
    message = r"window must be 'full', 'percentile' or \(low, high\) with low < high, got"
    raises(ValueError, message, check_window, window)
    raises(ValueError, message, load_data, "folder", tmp_path, window=window)
    raises(ValueError, message, load, [], 8, window=window)


def test_a_drawn_domain_has_no_window() -> None:
    raises(ValueError, "window must be None for 'skin', which has its own", load_data, "skin", window="full")


# ------------------------------------------------------------------------------------------------ DICOM


def test_dicom_values_and_windows(tmp_path: Path) -> None:
    """Stored 0 to 3120, in HU -1024 to 2096; the window of centre 40 and width 400 shows -160 to 240."""
    path = tmp_path / "a.dcm"
    scaled = {"RescaleSlope": 2, "RescaleIntercept": -1024}
    dicom(path, DEEP[..., 0], **scaled, WindowCenter=[40, 600], WindowWidth=[400, 1500])
    units = DEEP[..., 0].astype(float) * 2 - 1024
    low, high = 40 - 0.5 - 399 / 2, 40 - 0.5 + 399 / 2
    wanted = np.rint(np.clip((units - low) / (high - low), 0, 1) * 255)
    assert abs(rgb(path)[..., 0] - wanted).max() <= 1 and 0 < wanted.mean() < 255
    assert (rgb(path)[..., 0] == rgb(path)[..., 2]).all() and image_size(path) == (32, 24)
    assert abs(rgb(path, (-160, 240))[..., 0] - np.rint(np.clip((units + 160) / 400, 0, 1) * 255)).max() <= 1
    full = rgb(path, "full")
    assert (full.min(), full.max()) == (0, 255)
    for function, centre in (("LINEAR_EXACT", 40), ("SIGMOID", 40)):
        dicom(path, DEEP[..., 0], **scaled, WindowCenter=centre, WindowWidth=400, VOILUTFunction=function)
        share = (units - 40) / 400
        exact = 1 / (1 + np.exp(-4 * share)) if function == "SIGMOID" else np.clip(share + 0.5, 0, 1)
        assert abs(rgb(path)[..., 0] - np.rint(255 * exact)).max() <= 1
    dicom(path, DEEP[..., 0], PhotometricInterpretation="MONOCHROME1", WindowCenter=1000, WindowWidth=2000)
    inverted = rgb(path)
    dicom(path, DEEP[..., 0], WindowCenter=1000, WindowWidth=2000)
    assert (inverted == 255 - rgb(path)).all()


def test_dicom_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    assert (rgb(dicom(path, RGB)) == RGB).all()
    assert (rgb(dicom(path, GREY))[..., 1] == GREY).all()  # 8 bits need no window
    signed = DEEP[..., 0].astype(np.int16) - 1000
    assert rgb(dicom(path, signed), "full").max() == 255 and (Dicom(path).read() == signed).all()
    for changes, message in (
        ({}, "the file has no window of its own; window='full'"),
        ({"WindowCenter": 1, "WindowWidth": 0}, "its window has the centre 1 and the width 0"),
        ({"WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "CURVED"}, "expected the VOI LUT function LINEAR"),
        ({"NumberOfFrames": 3}, "expected one image, got 3 frames; save each"),
        ({"PhotometricInterpretation": "OTHER"}, "a.dcm"),
        ({"Rows": None}, "the image cannot be read"),
        ({"PixelData": b"12"}, "the image cannot be read"),
    ):
        refusal = str(raises(DataError, message, rgb, dicom(path, DEEP[..., 0], **changes)))
        assert refusal.startswith(str(path))


def test_dicom_that_is_deflated_as_a_whole(tmp_path: Path) -> None:
    from pydicom import dcmread
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    data = dcmread(dicom(tmp_path / "a.dcm"))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "b.dcm")
    raises(DataError, "b.dcm: a DICOM file that is deflated as a whole is not read", rgb, tmp_path / "b.dcm")


def test_without_pydicom_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dicom(tmp_path / "a.dcm")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    message = r"a\.dcm: reading it needs pydicom, which is not installed \(it is in zoo-opt\[dicom\]\)"
    raises(DataError, message, rgb, tmp_path / "a.dcm")
    png16(tmp_path / "a.png")
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    raises(DataError, r"a\.png: reading it needs SimpleITK, which is not installed \(it is in", rgb, tmp_path / "a.png")


# ------------------------------------------------------------------------------------------------ a plain folder


def test_folder_of_dicom_files(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / "images").mkdir(exist_ok=True)
        dicom(tmp_path / f"images/{i}.dcm", np.full((H, W), 100 * i, np.uint16), WindowCenter=500, WindowWidth=1001)
        label(tmp_path / f"masks/{i}_mask.png")
    splits = load_data("folder", tmp_path, size=8)
    means = {name: image.mean() for part in every(splits) for name, image in zip(part.names, part.images, strict=True)}
    assert [abs(means[str(i)] - 25.5 * i) < 1 for i in range(10)] == [True] * 10


def volumes(root: Path, depth: int = 4, files: int = 4) -> Path:
    for i in range(files):
        array = np.random.default_rng(i).integers(-1000, 1000, (depth, H, W), np.int16)
        array[0] = 0  # a slice that alone could be taken for one of 8 bits
        mask = np.zeros((depth, H, W), np.uint8)
        mask[1:3, 4:8, 6:12] = 1
        nifti(root / f"images/p{i}.nii.gz", array)
        nifti(root / f"masks/p{i}_label.nii.gz", mask)
    return root


def test_slices_of_nifti_files_are_samples_of_one_group(tmp_path: Path) -> None:
    root = volumes(tmp_path)
    splits = load_data("folder", root, size=16, window=(-1000, 1000))
    parts = every(splits)
    assert [len(part) for part in parts] == [4, 2, 2]  # slices 1 and 2 of each; the others are empty
    groups = [set(part.groups) for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 4
    assert splits.train.names[0].endswith("-slice001")
    kept = load_data("folder", root, size=16, window="full", empty="keep")
    assert sum(len(part) for part in every(kept)) == 16
    raises(DataError, r"\.nii\.gz: expected 8 bits per channel, got int16", load_data, "folder", root, size=16)
    scan = Slice(root / "images/p0.nii.gz", 1)
    values = np.random.default_rng(0).integers(-1000, 1000, (4, H, W), np.int16)
    assert (scan.read() == values[1]).all()
    values[0] = 0
    low, high = values.min(), values.max()  # of the volume, so that its slices can be compared
    assert abs(scan.picture("full") - np.rint((values[1].astype(float) - low) / (high - low) * 255)).max() <= 1


def test_what_does_not_fit_a_nifti_file(tmp_path: Path) -> None:
    root = volumes(tmp_path)
    mask = root / "masks/p1_label.nii.gz"
    nifti(mask, np.zeros((3, H, W), np.uint8))
    raises(DataError, rf"p1_label\.nii\.gz: the mask has the size \({W}, {H}, 3\), its image", folder.files, root)
    mask.unlink()
    label(root / "masks/p1.png")
    raises(DataError, r"p1\.png: expected the mask of a NIfTI file of 4 slices as a NIfTI file", folder.files, root)
    raises(DataError, "expected one two-dimensional image, got the shape", rgb, root / "images/p0.nii.gz", "full")
    nifti(root / "images/p1.nii.gz", GREY)
    assert (rgb(root / "images/p1.nii.gz")[..., 0] == GREY).all() and image_size(root / "images/p1.nii.gz") == (32, 24)


def test_scaled_and_other_nifti_values(tmp_path: Path) -> None:
    import nibabel

    for dtype, slope, shift in ((np.int16, 0.5, -100), (np.float32, None, None), (np.uint8, 2.0, 0.0)):
        image = nibabel.Nifti1Image(NOISE.T.astype(dtype), np.eye(4))
        image.header.set_slope_inter(slope, shift)
        image.to_filename(tmp_path / "a.nii.gz")
        wanted = np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj).T
        assert np.allclose(Scan(tmp_path / "a.nii.gz").read(), wanted)
    big = nibabel.Nifti1Image(NOISE.T.astype(">i2"), np.eye(4), nibabel.Nifti1Header(endianness=">"))
    big.to_filename(tmp_path / "b.nii")
    assert (Scan(tmp_path / "b.nii").read() == NOISE).all()
    nibabel.Nifti2Image(NOISE.T, np.eye(4)).to_filename(tmp_path / "c.nii")
    assert (Scan(tmp_path / "c.nii").read() == NOISE).all()


# ------------------------------------------------------------------------------------------------ EXIF, pages


def oriented(path: Path, array: np.ndarray, orientation: int, stored: bool = False) -> Path:
    """A file that is shown as ``array`` (or that stores it), with this orientation."""
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    back |= {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM}
    back |= {5: Image.Transpose.TRANSPOSE, 7: Image.Transpose.TRANSVERSE}
    image, exif = Image.fromarray(array), Image.Exif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if stored or orientation == 1 else image.transpose(back[orientation])).save(
        path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {})
    )
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("end", ["png", "tif", "webp"])
def test_images_and_masks_are_turned_as_exif_says(orientation: int, end: str, tmp_path: Path) -> None:
    mask = (GREY > 120).astype(np.uint8) * 255
    path, labels = (oriented(tmp_path / f"{i}.{end}", array, orientation) for i, array in enumerate((RGB, mask)))
    assert (rgb(path) == RGB).all() and image_size(path) == (32, 24)
    assert (mask_array(labels, None) == (mask > 0)).all()


def test_turned_jpeg_beside_a_mask_that_is_upright(tmp_path: Path) -> None:
    """With orientation 3 zero-shot Dice was .178 in place of .983, without a word."""
    bright = np.full((240, 320, 3), 40, np.uint8)
    bright[20:100, 30:150] = 220
    mask = saved(tmp_path / "m.png", (bright[..., 0] > 128).astype(np.uint8) * 255)
    for orientation in range(1, 9):
        path = oriented(tmp_path / "a.jpg", bright, orientation)
        samples = load([Record("a", path, (mask,))], 16)  # decoded at a smaller scale
        threshold = samples.images[0, ..., 0] > 128
        both = (threshold & samples.masks[0]).sum()
        assert 2 * both / (threshold.sum() + samples.masks[0].sum()) > 0.95, orientation


def test_sizes_that_differ_after_turning(tmp_path: Path) -> None:
    path = oriented(tmp_path / "a.jpg", RGB, 6, stored=True)
    mask = label(tmp_path / "m.png", size=(32, 24))
    message = r"m\.png: the mask has 32 x 24 pixels, its image .*a\.jpg has 24 x 32 when turned as its EXIF orient"
    raises(DataError, message, load, [Record("a", path, (mask,))], 8)
    turned = oriented(tmp_path / "n.png", GREY, 8, stored=True)
    message = r"n\.png: the mask has 24 x 32 pixels when turned as its EXIF orientation 8 says, its image"
    raises(DataError, message, load, [Record("a", picture(tmp_path / "b.png", size=(32, 24)), (turned,), (1, 255))], 8)


def test_sixteen_bits_are_turned_too(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    assert (rgb(tmp_path / "a.tif", (0, 4095)) == np.rot90(eight_bits(DEEP, (0, 4095), "a"), -1)).all()
    tifffile.imwrite(tmp_path / "g.tif", DEEP[..., 0], extratags=[(274, "H", 1, 3, True)])
    assert (rgb(tmp_path / "g.tif", (0, 4095))[..., 0] == eight_bits(DEEP[..., 0], (0, 4095), "g")[::-1, ::-1]).all()
    tif16(tmp_path / "b.tif")
    assert image_size(tmp_path / "a.tif") == (24, 32) and image_size(tmp_path / "b.tif") == (32, 24)


@pytest.mark.parametrize("end", ["tif", "gif", "png", "webp"])
def test_pages_are_not_lost_in_silence(end: str, tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in (GREY, GREY[::-1], NOISE)]
    path = tmp_path / f"a.{end}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for kind, read in (("image", rgb), ("mask", lambda p: mask_array(p, (1, 255)))):
        if end != "gif":
            raises(
                DataError, rf"a\.{end}: expected one page, the {kind} has several, and all but the first", read, path
            )
        else:
            raises(DataError, "expected one page", read, path)


def test_a_smaller_copy_is_no_page(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB, photometric="rgb")
        file.write(RGB[::2, ::2], photometric="rgb", subfiletype=1)
    assert (rgb(tmp_path / "a.tif") == RGB).all()


# ------------------------------------------------------------------------------------------------ labels, names


def test_masks_of_labels_need_values(tmp_path: Path) -> None:
    """A mask whose highest value is 1 is an object only where its values are 0 and 1."""
    array = np.zeros((H, W), np.uint8)
    array[:4], array[10:] = 1, 2
    path = saved(tmp_path / "m.png", array)
    message = (
        r"m\.png: expected a mask of 0 and 1, or of 0 and 255, got the values 0, 1, 2; for labels values=\(low, high\)"
    )
    raises(DataError, message, mask_array, path, None)
    assert (mask_array(path, (2, 2)) == (array == 2)).all()
    many = saved(tmp_path / "n.png", np.arange(100, dtype=np.uint8).reshape(10, 10))
    raises(DataError, r"got the values 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.;", mask_array, many, None)
    for top, rest, rows in ((1, 0, 4), (255, 0, 4), (0, 0, 0), (1, 1, H), (128, 127, 4)):
        array[:], array[:4] = rest, top
        assert mask_array(saved(path, array), None).any(axis=1).sum() == rows
    for values in ((0.0, 0.2), (0.5, 1.0)):
        part = np.full((H, W), values[0], np.float32)
        part[:4] = values[1]
        Image.fromarray(part).save(tmp_path / "f.tif")
        raises(
            DataError, r"f\.tif: expected whole numbers in the mask, got float32", mask_array, tmp_path / "f.tif", None
        )


def test_an_empty_mask_is_told_with_its_values(tmp_path: Path) -> None:
    record = Record("a", picture(tmp_path / "a.png"), (label(tmp_path / "m.png", 3),), (2, 2))
    raises(DataError, r"the mask is empty \(no pixel from 2 to 2; its values are 0, 3\)", load, [record], 8)


@pytest.mark.parametrize("name", ["p0_0_segm.png", "P0_0.png", "p0_0_mask.gif", "mask_p0_0.png"])
def test_names_of_masks_are_listed(name: str, tmp_path: Path) -> None:
    root = layouts.write_folder(tmp_path)
    (root / "masks/p0_0_mask.png").rename(root / "masks" / name)
    message = str(
        raises(DataError, "p0_0.png: the image has no mask; a mask has the name of its image", folder.files, root)
    )
    assert all(word in message for word in (*folder.ENDINGS, ".png", ".nii.gz", ".dcm"))


@pytest.mark.parametrize("ending", ["", *folder.ENDINGS])
def test_names_that_are_listed_are_read(ending: str, tmp_path: Path) -> None:
    root = layouts.write_folder(tmp_path)
    (root / "masks/p0_0_mask.png").rename(root / f"masks/p0_0{ending}.png")
    assert sum(map(len, folder.files(root).values())) == 10

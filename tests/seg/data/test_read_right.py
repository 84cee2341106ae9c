"""Files that were read as another image than they hold, without a word: each is read right, or refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from seg.checks import raises
from seg.formats import DEEP, GREY, RGB, dicom
from seg.layouts import label, picture

from zoo_opt_seg.data import DataError
from zoo_opt_seg.data.files import mask_array, mask_values, rgb_image
from zoo_opt_seg.data.loaders import folder
from zoo_opt_seg.data.readers.dicom import Dicom
from zoo_opt_seg.data.readers.scans import Scan

OBJECT = np.where(GREY > 120, 255, 0).astype(np.uint8)


def nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A NIfTI file of values (x, y) or (x, y, z); without an affine its header does not say where the axes point."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


# ------------------------------------------------------------------------------------------------ TIFF


@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_of_a_tiff_whatever_its_byte_order(dtype: str, compression: Any, order: str, tmp_path: Path) -> None:
    values = DEEP[..., 0].astype(dtype) * 3
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=order, compression=compression)
    assert np.array_equal(mask_values(tmp_path / "a.tif"), values)


def test_images_behind_one_another_in_one_page_are_several(tmp_path: Path) -> None:
    stack = np.stack([GREY, GREY[::-1]]).repeat(2, axis=0)
    for values in (stack, stack.astype(np.float64)):  # of the second Pillow knows nothing
        tifffile.imwrite(tmp_path / "a.tif", values, volumetric=True, tile=(1, 16, 16), photometric="minisblack")
        raises(DataError, "expected one page, the mask has several", mask_values, tmp_path / "a.tif")


# ------------------------------------------------------------------------------------------------ masks


def test_a_mask_that_lies_in_its_alpha_channel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    white, clear = np.full_like(OBJECT, 255), np.zeros_like(OBJECT)
    for grey in (white, clear):
        for bands in ((grey, OBJECT), (grey, grey, grey, OBJECT)):
            Image.fromarray(np.dstack(bands)).save(path)
            raises(DataError, r"a\.png: .*its alpha channel says another thing", mask_array, path, None)
    for alpha in (OBJECT, white, np.maximum(OBJECT, 128), np.full_like(OBJECT, 7)):  # says the same, or nothing
        Image.fromarray(np.dstack([OBJECT, OBJECT, OBJECT, alpha])).save(path)
        assert np.array_equal(mask_array(path, None), OBJECT > 0)


def test_labels_of_more_than_eight_bits_are_not_cut_at_127(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    labels = np.arange(GREY.size, dtype=np.uint16).reshape(GREY.shape) % 300
    Image.fromarray(labels).save(path)
    raises(DataError, "got the values 0, 1, 2, .*for labels values=", mask_array, path, None)
    assert np.array_equal(mask_array(path, (1, 300)), labels > 0)
    for high in (1, 255, 4095, 65535):
        Image.fromarray(np.where(OBJECT > 0, high, 0).astype(np.uint16)).save(path)
        assert np.array_equal(mask_array(path, None), OBJECT > 0)


def test_values_are_lowest_and_highest(tmp_path: Path) -> None:
    raises(ValueError, "values must be the lowest and highest .* got 3 above 2", folder.files, tmp_path, values=(3, 2))


# ------------------------------------------------------------------------------------------------ DICOM


def sequence(**elements: Any) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return Sequence([item])


def test_an_enhanced_file_says_rescale_and_window_elsewhere(tmp_path: Path) -> None:
    about = {
        "PixelValueTransformationSequence": sequence(RescaleSlope=1, RescaleIntercept=-1024),
        "FrameVOILUTSequence": sequence(WindowCenter=40, WindowWidth=400),
    }
    plain = dicom(tmp_path / "a.dcm", RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        enhanced = dicom(tmp_path / "b.dcm", **{groups: sequence(**about)})
        for window in (None, (-500.0, 500.0)):
            assert np.array_equal(Dicom(enhanced).picture(window), Dicom(plain).picture(window))


def test_dicom_files_that_cannot_be_shown_as_they_mean(tmp_path: Path) -> None:
    table = sequence(LUTDescriptor=[256, 0, 8], LUTData=bytes(range(256)))
    for changes, message in (
        ({"VOILUTSequence": table}, "the file has no window of its own"),
        ({"BitsStored": 4}, "expected the highest of 4 bits as number 3, got number 7"),
        ({"PixelData": GREY.tobytes() * 3}, r"expected values of the shape \(24, 32, 1\), got \(3, 24, 32\)"),
    ):
        raises(DataError, message, Dicom(dicom(tmp_path / "a.dcm", GREY, **changes)).picture, None)
    other = dicom(tmp_path / "b.dcm", RGB, PhotometricInterpretation="YBR_PARTIAL_420")
    raises(DataError, "got the photometric interpretation YBR_PARTIAL_420", Dicom(other).picture, None)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_compressed_picture_has_the_size_that_the_file_says(kind: str, tmp_path: Path) -> None:
    """Another with as many pixels was laid out anew, one with more of them decompressed before it was refused."""
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

    data = dcmread(dicom(tmp_path / "a.dcm", GREY))
    data.file_meta.TransferSyntaxUID = {"JPEG": JPEGBaseline8Bit, "JPEG2000": JPEG2000Lossless}[kind]
    for shown in (GREY, GREY.T, np.tile(GREY, (30, 30))):
        frame = io.BytesIO()
        Image.fromarray(shown).save(frame, kind)
        data.PixelData = encapsulate([frame.getvalue()])
        data["PixelData"].is_undefined_length = True
        data.save_as(tmp_path / "b.dcm")
        if shown is GREY:
            assert abs(Dicom(tmp_path / "b.dcm").read().astype(int) - GREY).max() < 20
        else:
            size = f"expected 32 x 24 pixels, got {shown.shape[1]} x {shown.shape[0]}"
            raises(DataError, size, Dicom(tmp_path / "b.dcm").read)


# ------------------------------------------------------------------------------------------------ NIfTI


def test_values_of_a_nifti_file_lie_where_its_header_says(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", GREY.T, np.eye(4))
    whole = bytearray(path.read_bytes())
    unset, fewer = bytearray(whole), bytearray(whole)
    unset[108:112] = bytes(4)
    fewer[44:46] = (20).to_bytes(2, "little")
    path.write_bytes(unset)
    assert np.array_equal(Scan(path).read(), GREY)
    path.write_bytes(fewer)
    raises(DataError, "128 bytes more than the 640 of values that its header asks for", Scan(path).read)


def test_a_nifti_mask_is_not_turned_against_its_image(tmp_path: Path) -> None:
    turned = np.diag([-1.0, 1.0, 1.0, 1.0])
    for shape in ((32, 24), (32, 24, 1), (32, 24, 3)):
        values = np.ones(shape, np.uint8)
        for i, affine in enumerate((np.eye(4), turned, None)):
            nifti(tmp_path / f"images/{i}.nii.gz", values, np.eye(4))
            nifti(tmp_path / f"masks/{i}.nii.gz", values, affine)
        message = r"masks/1\.nii\.gz: the axes of the mask point to LA.*, those of its image .* to RA"
        raises(DataError, message, folder.files, tmp_path, fractions=(1, 0, 0))
        nifti(tmp_path / "images/1.nii.gz", values, turned)
        assert len(folder.files(tmp_path, fractions=(1, 0, 0))["train"]) == 3 * (shape[2] if len(shape) > 2 else 1)


# ------------------------------------------------------------------------------------------------ names


def test_a_name_that_is_no_unicode_ends_no_run(tmp_path: Path) -> None:
    """Names of an old archive, in Latin-1 say, are written as what they are."""
    from zoo_opt.support.json_files import read_json
    from zoo_opt_seg.adaptation.folder import write_json

    names = ["caf\udce9", "日本", "a\nb"]
    write_json(tmp_path / "a.json", {"names": names})
    assert read_json(tmp_path / "a.json") == {"names": names}
    picture(tmp_path / "b" / "images" / f"{names[0]}.png")
    label(tmp_path / "b" / "masks" / f"{names[0]}.png")
    assert folder.files(tmp_path / "b", fractions=(1, 0, 0))["train"][0].name == names[0]
    rgb_image(tmp_path / "b" / "images" / f"{names[0]}.png")

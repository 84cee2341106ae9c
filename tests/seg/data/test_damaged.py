"""Damaged and hostile files: read to their checksums, no error but DataError, no memory before the look."""

import contextlib
import gzip
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from seg.checks import raises
from seg.formats import FORMATS, GREY, NOISE, as_hdf5, as_npz, as_rgb, as_scan, chunk, dicom, hdf5, mha, png16, tif16
from seg.layouts import H, W
from seg.layouts_vlsm import VLSM, nifti

from zoo_opt_seg.data import DataError
from zoo_opt_seg.data.files import image_size
from zoo_opt_seg.data.loaders import chexlocalize
from zoo_opt_seg.data.loaders.synapse import splits
from zoo_opt_seg.data.readers.lists import read_json
from zoo_opt_seg.data.readers.rle import Rle
from zoo_opt_seg.data.readers.scans import Scan
from zoo_opt_seg.data.texts import read_texts
from zoo_opt_seg.data.volumes import check_spacing
from zoo_opt_seg.prompts import Prompts

FLIPS, FILES = 200, 100  # bits flipped, and files mutated, of each format


def outcome(path: Path, read: Callable[[Path], np.ndarray], whole: np.ndarray) -> str:
    """What comes of a file: the same array, another, or an error that names it; any other error is the test's."""
    try:
        found = read(path)
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return "error"
    return "same" if found.shape == whole.shape and (found == whole).all() else "other"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_a_flipped_bit_below_a_checksum_is_no_other_image(name: str, tmp_path: Path) -> None:
    """195 of 200 flipped bits of a compressed NIfTI file were read as another image."""
    end, write, read, checked = FORMATS[name]
    path = tmp_path / f"a.{end}"
    write(path)
    content, whole = path.read_bytes(), read(path)
    found = []
    for place in np.random.default_rng(3).permutation(8 * len(content))[:FLIPS]:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found.append(outcome(path, read, whole))
    print(f"{name}: {found.count('other')} of {FLIPS} read as another, {found.count('error')} refused")
    assert not checked or "other" not in found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_no_other_error_leaves_a_reader(name: str, tmp_path: Path) -> None:
    end, write, read, _ = FORMATS[name]
    path = tmp_path / f"a.{end}"
    write(path)
    content, whole = path.read_bytes(), read(path)
    for seed in range(FILES):
        path.write_bytes(mutated(content, np.random.default_rng([seed, 7])))
        tracemalloc.start()
        outcome(path, read, whole)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100e6, f"{peak / 1e6:.0f} MB for {len(content)} bytes, seed {seed}"
    for content in (b"", b"\0" * 600, b"[" * 10**6):
        path.write_bytes(content)
        assert outcome(path, read, whole) == "error"
    path.unlink()
    assert outcome(path, read, whole) == "error"
    path.mkdir()
    assert outcome(path, read, whole) == "error"


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to five bytes or words set, taken out or put in, half of them near its head."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(damaged) if rng.integers(2) else min(len(damaged), 600)))
        match rng.integers(4):
            case 0:
                damaged[place] = rng.integers(256)
            case 1:
                damaged[place : place + 4] = rng.choice(np.array([0, 1, 127, 128, 255], np.uint8), 4).tobytes()
            case 2 if len(damaged) > 100:
                del damaged[place : place + int(rng.integers(1, 40))]
            case _:
                damaged[place:place] = rng.integers(0, 256, rng.integers(1, 20), np.uint8).tobytes()
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tiff deflate", "tiff of 16 bits", "metaimage zlib", "hdf5 gzip", "hdf5 fletcher"])
def test_the_checksum_of_the_values_is_reached(name: str, tmp_path: Path) -> None:
    """Of these formats the headers have none; each of the values' own bytes counts."""
    end, write, read, _ = FORMATS[name]
    path = tmp_path / f"a.{end}"
    write(path)
    content, whole = path.read_bytes(), read(path)
    places = {"tiff deflate": b"x", "metaimage zlib": b"LOCAL\n", "tiff of 16 bits": b"\x78", "hdf5 gzip": b"\x78"}
    start = content.find(NOISE[0, :8].tobytes()) if name == "hdf5 fletcher" else content.find(places[name])
    assert start > 0
    ends = [place for place in range(start + 40, len(content), 7)][:60]
    found = []
    for place in ends:
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        found.append(outcome(path, read, whole))
    assert "other" not in found and "error" in found


# ------------------------------------------------------------------------------------------------ more than it seems


def large_nifti(path: Path) -> None:
    """1 MB that expand to 3 GB, and a header that says so."""
    nifti(path, np.zeros((4, 4), np.uint8))
    head = bytearray(gzip.decompress(path.read_bytes())[:352])
    head[40:48] = np.array([3, 1500, 1500, 1400], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(head) + bytes(10**6)))


def long_nifti(path: Path) -> None:
    """Values as the header says, then zeros without an end."""
    nifti(path, GREY)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + bytes(60 * 10**6)))


def large_png(path: Path) -> None:
    """A header of 13000 x 13000 pixels, 169 megapixels."""
    head = np.array([13000, 13000], ">u4").tobytes() + b"\x08\x02\0\0\0"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND")
    )


def tiled_tif(path: Path) -> None:
    """A small image in one tile of 60000 x 60000 pixels."""
    tifffile.imwrite(path, GREY, tile=(16, 16), compression="zlib")
    content = path.read_bytes()
    for tag in (322, 323):
        place = content.index(tag.to_bytes(2, "little"))
        content = content[: place + 8] + (60000).to_bytes(4, "little") + content[place + 12 :]
    path.write_bytes(content)


def large_npz(path: Path) -> None:
    """Zeros of 60 MB in 60 kB."""
    np.savez_compressed(path, image=np.zeros(30 * 10**6, np.uint8), label=np.zeros(30 * 10**6, np.uint8))


def forged_npz(path: Path) -> None:
    """An array whose header asks for 10^12 values."""
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("image", "label"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + bytes(10))


def large_hdf5(path: Path) -> None:
    """10^12 values in 2 kB, none of them written."""
    import h5py

    with h5py.File(path, "w") as file:
        for name in ("image", "label"):
            file.create_dataset(name, (10**4, 10**4, 10**4), "f4", chunks=(64, 64, 64))


def large_chunk(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name in ("image", "label"):
            file.create_dataset(name, (4, 4), "u1", chunks=(60000, 60000), maxshape=(None, None), compression="gzip")


LARGE = {
    "nifti": ("nii.gz", large_nifti, as_scan),
    "nifti that goes on": ("nii.gz", long_nifti, as_scan),
    "png": ("png", large_png, as_rgb),
    "size of a png": ("png", large_png, lambda path: np.array(image_size(path))),
    "tile of a tif": ("tif", tiled_tif, as_rgb),
    "metaimage": ("mha", partial(mha, DimSize="60000 60000 1"), as_scan),
    "npz": ("npz", large_npz, as_npz),
    "npz by its header": ("npz", forged_npz, as_npz),
    "hdf5": ("h5", large_hdf5, as_hdf5),
    "chunk of an hdf5": ("h5", large_chunk, as_hdf5),
    "dicom": ("dcm", partial(dicom, Rows=60000, Columns=60000), as_rgb),
    "frames of a dicom": ("dcm", partial(dicom, NumberOfFrames=10**6), as_rgb),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_memory_is_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, write, read = LARGE[name]
    path = tmp_path / f"a.{end}"
    write(path)
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", "50000000")
    tracemalloc.start()
    message = str(raises(DataError, None, read, path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in message and "\n" not in message
    assert "raises" in message or "frames" in message
    assert peak < 10e6


def test_a_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    monkeypatch.setenv("ZOO_OPT_MAX_PIXELS", "767")
    raises(
        DataError,
        "32 x 24 pixels are more than the limit of 767, which the environment variable ZOO_OPT_MAX_PIXELS",
        as_rgb,
        path,
    )
    monkeypatch.setenv("ZOO_OPT_MAX_PIXELS", "768")
    assert as_rgb(path).shape == (24, 32, 3)
    for text in ("many", "0", "-1", "1e9"):
        monkeypatch.setenv("ZOO_OPT_MAX_PIXELS", text)
        raises(
            DataError,
            f"the environment variable ZOO_OPT_MAX_PIXELS must be a whole number > 0, got '{text}'",
            as_rgb,
            path,
        )
    large_png(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv("ZOO_OPT_MAX_PIXELS", str(10**9))
    assert image_header(path) == (13000, 13000)


def image_header(path: Path) -> tuple[int, int]:
    from zoo_opt_seg.data.readers.pictures import _opened

    with _opened(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("size", "counts", "message"),
    [
        ([10**6, 10**6], "0", "1000000 x 1000000 pixels are more than the limit of 80000000"),
        ([4, 6], "o" * 10**6 + "0", "bad RLE, a run of more than 50 bits"),
        ([4, 6], "o" * 10**6, "bad RLE, a run of more than 50 bits"),
        ([4, 10**400], "0", ".* pixels are more than the limit"),
    ],
    ids=["1e12 pixels", "1e6 letters of one run", "1e6 letters without an end", "a number of 400 digits"],
)
def test_rle_bounds(size: list[int], counts: str, message: str) -> None:
    path = Path("masks.json")
    raises(DataError, f"^masks.json, a: {message}", lambda: Rle.of(path, "a", {"size": size, "counts": counts}).read())


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "1" * 10**5, '"\\ud800"', "NaN", "\xff"])
def test_json_that_is_no_table_of_texts(text: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(text.encode("latin-1"))
    assert "train.json" in str(raises(DataError, None, read_texts, tmp_path))


@pytest.mark.parametrize(
    "value", [None, 1, True, "123", [], {}, [1, 2], [1, 2, "3"], [[1], 2, 3], [10**400, 1, 1], [1, 1, True]]
)
def test_spacings_that_are_none(value: object) -> None:
    raises(ValueError, "spacing must be three numbers > 0", check_spacing, value)


def test_half_a_character_in_a_text(tmp_path: Path) -> None:
    entry = {"img_name": "1.png", "mask_name": "1.png", "prompts": {"p1": ["a polyp", "\ud800"]}}
    (tmp_path / "train.json").write_text(json.dumps([entry]))
    raises(DataError, r"train\.json, entry 0 \('1\.png'\): expected 'p1' in Unicode", read_texts, tmp_path)
    raises(ValueError, "texts must be Unicode", lambda: Prompts(texts=("a", "\udc00")))


# What stands in a file of masks or texts, in the place of something else.
ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\0",
    "\ud800",
    [],
    [[]],
    {},
    {"size": []},
    [1, 2],
    {"size": [2, 2], "counts": 3},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd).encode("unicode_escape").decode())
def test_odd_values_in_files_of_masks_and_texts(odd: object, tmp_path: Path) -> None:
    whole = {"size": [H, W], "counts": "0"}
    for entry in (odd, {**whole, "size": odd}, {**whole, "size": [odd, W]}, {**whole, "counts": odd}):
        with contextlib.suppress(DataError):
            Rle.of(Path("a.json"), "a", entry).read()
    root = VLSM["chexlocalize"][0](tmp_path)
    file = root / "CheXlocalize/gt_segmentations_test.json"
    masks = json.loads(file.read_text())
    key = next(iter(masks))
    for content in (odd, {**masks, key: odd}, {**masks, key: {**masks[key], "Edema": odd}}, {str(odd): masks[key]}):
        file.write_text(json.dumps(content))
        with contextlib.suppress(DataError):
            chexlocalize.files(root)
    entry = {"img_name": "1.png", "mask_name": "1.png", "prompts": {"p1": "a polyp"}}
    texts = [{**entry, name: odd} for name in entry] + [{**entry, "prompts": {"p1": odd}}, odd]
    for content in ([odd], *([text] for text in texts), odd):
        (tmp_path / "train.json").write_text(json.dumps(content))
        raises(DataError, None, read_texts, tmp_path)  # if for nothing else, for val.json


def test_json_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps(list(range(1000))))
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", "1000")
    raises(
        DataError,
        r"a\.json: the masks would take \d+ bytes, more than the limit of 1000",
        read_json,
        tmp_path / "a.json",
        "masks",
    )


# ------------------------------------------------------------------------------------------------ other files


def linked(path: Path, how: str) -> None:
    """An HDF5 file whose array is, or is filled from, a file beside or above it."""
    import h5py

    other = path.parent.parent / "other.h5"
    hdf5()(other)
    raw = path.parent.parent / "raw"
    raw.write_bytes(NOISE.tobytes())
    with h5py.File(path, "w") as file:
        file["label"] = GREY
        if how == "external link":
            file["image"] = h5py.ExternalLink(str(other), "image")
        elif how == "link through an external link":
            file["there"] = h5py.ExternalLink(str(other), "/")
            file["image"] = h5py.SoftLink("/there/image")
        elif how == "external storage":
            file.create_dataset("image", GREY.shape, "u1", external=[(str(raw), 0, GREY.size)])
        else:
            layout = h5py.VirtualLayout(GREY.shape, "u1")
            layout[:] = h5py.VirtualSource(str(other), "image", GREY.shape)
            file.create_virtual_dataset("image", layout)


@pytest.mark.parametrize("how", ["external link", "link through an external link", "external storage", "virtual"])
def test_hdf5_stays_in_its_file(how: str, tmp_path: Path) -> None:
    (tmp_path / "test_vol_h5").mkdir()
    path = tmp_path / "test_vol_h5/case0001.npy.h5"
    linked(path, how)
    raises(DataError, rf"^{path}: expected image as an array of this file", as_hdf5, path)
    (tmp_path / "train_npz").mkdir()
    for i in (2, 3, 4):
        np.savez(tmp_path / f"train_npz/case{i:04}_slice000.npz", image=np.zeros((4, 4)), label=np.zeros((4, 4)))
    raises(DataError, "expected image as an array of this file", splits, tmp_path)


@pytest.mark.parametrize(
    "data",
    ["../secret.raw", "/etc/passwd", "below/secret.raw", "..", "LIST", "img%02d.raw 1 2 1", ".", "..\\secret.raw", ""],
)
def test_metaimage_stays_in_its_folder(data: str, tmp_path: Path) -> None:
    (tmp_path / "a/below").mkdir(parents=True)
    for place in ("secret.raw", "a/below/secret.raw"):
        (tmp_path / place).write_bytes(GREY.tobytes())
    path = tmp_path / "a/scan.mhd"
    path.write_text(f"ElementSpacing = 1 1\nDimSize = 32 24\nElementType = MET_UCHAR\nElementDataFile = {data}\n")
    message = str(raises(DataError, None, Scan(path).read))
    assert str(path) in message and ("in a file beside it" in message or "is missing" in message)


def test_metaimage_is_read_as_simpleitk_does(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    for kind, packed in (("u1", False), ("u1", True), ("i2", True), ("f4", False)):
        array = (NOISE.astype(kind) - (100 if kind != "u1" else 0)).astype(kind)
        image = itk.GetImageFromArray(array)
        image.SetSpacing((0.25, 0.5))
        for end in ("mhd", "mha"):
            itk.WriteImage(image, str(tmp_path / f"a.{end}"), packed)
            scan = Scan(tmp_path / f"a.{end}")
            assert (scan.read() == array).all() and scan.read().dtype == kind and scan.spacing() == (0.5, 0.25)
    mha(tmp_path / "a.mha", packed=False, BinaryDataByteOrderMSB=True, ElementType="MET_USHORT", DimSize="16 24 1")
    assert (Scan(tmp_path / "a.mha").read() == itk.GetArrayFromImage(itk.ReadImage(str(tmp_path / "a.mha")))[0]).all()


def test_a_format_that_starts_a_program_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path, format="EPS")
    raises(DataError, "not an image, or none of BMP, GIF, JPEG, PNG, TIFF, WEBP", as_rgb, path)


def test_writers_of_this_file_are_read(tmp_path: Path) -> None:
    """Else a test above could pass since nothing is read at all."""
    for name, (end, write, read, _) in FORMATS.items():
        path = tmp_path / f"whole.{end}"
        write(path)
        assert read(path).size >= 60, name
    png16(tmp_path / "a.png")
    tif16(tmp_path / "a.tif")
    assert (as_rgb(tmp_path / "a.png") == as_rgb(tmp_path / "a.tif")).all()

"""A small file of each format that images, masks and volumes come in, and how it is read."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from seg.layouts_vlsm import nifti

from zoo_opt_seg.data.files import rgb_image
from zoo_opt_seg.data.readers.arrays import hdf5_arrays, hdf5_attribute, hdf5_file, npz_arrays
from zoo_opt_seg.data.readers.lists import read_json
from zoo_opt_seg.data.readers.scans import Scan

Y, X = np.mgrid[:24, :32]
GREY = ((np.sin(X / 7) + np.cos(Y / 5) + 2) * 60).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, GREY.shape, np.uint8)
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
DEEP = RGB.astype(np.uint16) * 13  # 12 bits


def picture_file(**options: Any) -> Callable[[Path], Any]:
    return lambda path: Image.fromarray(RGB).save(path, **options)


def png16(path: Path, array: np.ndarray = DEEP) -> Path:
    """A PNG file of 16 bits per channel: grey with alpha, RGB or RGBA, which Pillow does not write."""
    height, width, channels = array.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND"))
    return path


def chunk(name: bytes, content: bytes = b"") -> bytes:
    """A part of a PNG file, with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def tif16(path: Path) -> None:
    tifffile.imwrite(path, DEEP, photometric="rgb", compression="zlib")


def mha(path: Path, packed: bool = True, **changes: object) -> None:
    """A MetaImage with its values in the same file."""
    fields = {"NDims": 3, "BinaryData": True, "CompressedData": packed, "ElementSpacing": "1 1 1"}
    fields |= {"DimSize": "32 24 1", "ElementType": "MET_UCHAR", **changes, "ElementDataFile": "LOCAL"}
    head = "".join(f"{name} = {value}\n" for name, value in fields.items()).encode()
    path.write_bytes(head + (zlib.compress(GREY.tobytes()) if packed else GREY.tobytes()))


def hdf5(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            for name, array in (("image", NOISE), ("label", GREY)):
                file.create_dataset(name, data=array, **options)
            file.attrs["spacing"] = [1.0, 2.0, 3.0]

    return write


def dicom(path: Path, values: np.ndarray = DEEP[..., 0], **changes: Any) -> Path:
    """A DICOM file, not compressed; ``changes`` set its elements, None leaves one out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    data, data.file_meta = Dataset(), FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, "1.2.3"
    bits = 8 * values.dtype.itemsize
    elements = {"Rows": values.shape[0], "Columns": values.shape[1], "BitsAllocated": bits, "BitsStored": bits}
    elements |= {"SamplesPerPixel": 1 if values.ndim == 2 else 3, "HighBit": bits - 1, "PlanarConfiguration": 0}
    elements |= {"PixelRepresentation": int(values.dtype.kind == "i"), "PixelData": values.tobytes()}
    elements |= {"PhotometricInterpretation": "MONOCHROME2" if values.ndim == 2 else "RGB"}
    for name, value in {**elements, **changes}.items():
        if value is not None:
            setattr(data, name, value)
    data["PixelData"].VR = "OB" if bits == 8 else "OW"
    data.save_as(path, enforce_file_format=True)
    return path


def table(path: Path) -> None:
    path.write_text(json.dumps({"a": {"size": [4, 6], "counts": "8428"}, "b": [1, 2.5, None, True, "x"]}))


def as_rgb(path: Path) -> np.ndarray:
    return np.asarray(rgb_image(path, window=(0, 4095))[0])


def as_scan(path: Path) -> np.ndarray:
    return Scan(path).picture(None)


def as_npz(path: Path) -> np.ndarray:
    return np.stack(list(npz_arrays(path, ("image", "label"), "slice").values()))


def as_hdf5(path: Path) -> np.ndarray:
    with hdf5_file(path, "volume") as file:
        assert hdf5_attribute(path, file, "spacing") is not None or path.stat().st_size
        return np.stack(list(hdf5_arrays(path, file, ("image", "label")).values()))


def as_text(path: Path) -> np.ndarray:
    return np.frombuffer(repr(read_json(path, "masks")).encode(), np.uint8)


PAIR = {"image": NOISE, "label": GREY}
# name: the end of the file's name, what writes it, what reads it, whether every byte that counts is below a checksum
FORMATS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], np.ndarray], bool]] = {
    "png": ("png", picture_file(), as_rgb, True),
    "png of 16 bits": ("png", png16, as_rgb, True),
    "jpeg": ("jpg", picture_file(), as_rgb, False),
    "bmp": ("bmp", picture_file(), as_rgb, False),
    "webp": ("webp", picture_file(lossless=True), as_rgb, False),
    "gif": ("png", picture_file(format="GIF"), as_rgb, False),
    "tiff": ("tif", picture_file(), as_rgb, False),
    "tiff lzw": ("tif", picture_file(compression="tiff_lzw"), as_rgb, False),
    "tiff deflate": ("tif", picture_file(compression="tiff_adobe_deflate"), as_rgb, False),  # its tags are not
    "tiff of 16 bits": ("tif", tif16, as_rgb, False),
    "nifti": ("nii", lambda path: nifti(path, NOISE), as_scan, False),
    "nifti gzip": ("nii.gz", lambda path: nifti(path, NOISE), as_scan, True),
    "metaimage": ("mha", lambda path: mha(path, packed=False), as_scan, False),
    "metaimage zlib": ("mha", mha, as_scan, False),  # its header is not
    "npz": ("npz", lambda path: np.savez(path, **PAIR), as_npz, True),
    "npz deflate": ("npz", lambda path: np.savez_compressed(path, **PAIR), as_npz, True),
    "hdf5": ("h5", hdf5(), as_hdf5, False),
    "hdf5 gzip": ("h5", hdf5(compression="gzip"), as_hdf5, False),  # its headers are not
    "hdf5 fletcher": ("h5", hdf5(fletcher32=True), as_hdf5, False),
    "dicom": ("dcm", dicom, as_rgb, False),
    "json": ("json", table, as_text, False),
}

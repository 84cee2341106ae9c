"""Arrays of an archive: what numpy writes comes back in memory of its own, anything else is refused before it."""

import io
import struct
import zipfile

import numpy as np
import pytest
from refusals import raises

from zoo_opt.storage import checkpoint
from zoo_opt.storage.archive import StoredArrays, npy_array


def npy(array, version=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version)
    return buffer.getvalue()


def header(**fields):
    """A header with these fields, and 8 bytes."""
    buffer = io.BytesIO()
    plain = {"descr": "<f8", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(buffer, plain | fields)
    return buffer.getvalue() + bytes(8)


ARRAYS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "one": np.array(2.5),
    "nothing": np.zeros((0, 3), np.float32),
    "nothing by columns": np.zeros((3, 0), order="F"),
    "no number": np.zeros(0),
    "booleans": np.array([True, False]),
    "bytes": np.array([b"ab", b"c"]),
    "texts": np.array(["ab", "c"]),
    "times": np.array(["2020-01-01", "NaT"], "M8[s]"),
    "spans": np.array([3, 4], "m8[ms]"),
    "complex": np.array([1 + 2j], np.complex64),
    "words": np.arange(3, dtype=np.uint16),
    "big-endian": np.arange(3, dtype=">i4"),
}


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name, version):
    array = ARRAYS[name]
    back = npy_array(npy(array, version))
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.flags.writeable and back.flags.owndata
    if array.size:
        assert back.flags.f_contiguous == array.flags.f_contiguous
        assert back.flags.c_contiguous == array.flags.c_contiguous


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy(np.zeros(1), (3, 0)), r"has npy format \(3, 0\), expected 1.0 or 2.0"),
        (b"\x93NUMPX\x01\x00" + npy(np.zeros(1))[8:], "magic string"),
        (b"", "EOF|magic"),
        (header(descr="|O"), "of type object and shape"),
        (header(descr=[("a", "<f8")]), r"of type \[\('a', '<f8'\)\]"),
        (header(descr="|S0"), "expected numbers or strings"),
        (header(shape=(-1,)), r"shape \(-1,\), expected numbers"),
        (header(shape=(-1, -1)), r"shape \(-1, -1\), expected numbers"),
        (header(shape=(2,)), r"type float64 and shape \(2,\) has 8 bytes"),
        (header(shape=(0,)), r"shape \(0,\) has 8 bytes"),
        (header(shape=(1,))[:-1], "has 7 bytes"),
        (header(shape=(1,)) + b"x", "has 9 bytes"),
        (header(shape=(2**40, 2**40)), "has 8 bytes"),
        (header(shape=(1,) * 4000), "large"),  # a header of more than 10,000 bytes
    ],
)
def test_what_is_no_array(member, message):
    raises(ValueError, message, npy_array, member)


def test_headers_up_to_the_limit_are_read():
    assert header(shape=(1,) * 30)[6:8] == b"\x01\x00" and npy_array(header(shape=(1,) * 30)).shape == (1,) * 30


# ----------------------------------------------------------------------------------------------------------- archives
def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def patched(payload, at, form, value):
    """The archive with another value in the first record of its directory."""
    data, start = bytearray(payload), payload.index(b"PK\1\2")
    struct.pack_into(form, data, start + at, value)
    return bytes(data)


def test_each_array_is_made_once():
    arrays = StoredArrays(archive(a=ARRAYS["numbers"], größe=ARRAYS["words"]))  # a name that is not ASCII has a flag
    assert arrays("a") is arrays("a") and arrays("a").tolist() == ARRAYS["numbers"].tolist()
    assert arrays("größe").tolist() == [0, 1, 2]
    assert arrays.size("a") == len(npy(ARRAYS["numbers"])) and arrays.size("größe") == len(npy(ARRAYS["words"]))
    for what in (arrays, arrays.size):
        raises(KeyError, "b.npy", what, "b")


ONE = archive(a=np.zeros(4))
SIZE = len(npy(np.zeros(4)))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "it is no archive of arrays: File is not a zip file"),
        (ONE[:-1], "it is no archive of arrays"),
        (patched(ONE, 6, "<H", 99), "it is no archive of arrays: zip file version 9.9"),  # from the future
        (patched(ONE, 10, "<H", zipfile.ZIP_DEFLATED), "its a.npy is compressed or encrypted"),
        (patched(ONE, 8, "<H", 1), "its a.npy is compressed or encrypted"),
        (patched(ONE, 8, "<H", 0x801), "its a.npy is compressed or encrypted"),
        (patched(ONE, 24, "<L", SIZE - 1), "its a.npy is compressed or encrypted"),  # less than it takes
        (patched(ONE, 24, "<L", SIZE + 1), "its a.npy is compressed or encrypted"),
        (patched(patched(ONE, 20, "<L", 10**6), 24, "<L", 10**6), "its arrays are larger than the file"),
    ],
)
def test_what_is_no_archive(payload, message):
    raises(ValueError, message, StoredArrays, payload)


def test_an_archive_may_be_as_large_as_its_file_and_no_larger():
    for size, fits in ((len(ONE), True), (len(ONE) + 1, False)):
        other = patched(patched(ONE, 20, "<L", size), 24, "<L", size)
        if fits:
            assert StoredArrays(other).size("a") == size
        else:
            raises(ValueError, "larger than the file", StoredArrays, other)


def test_what_an_error_says_is_one_line_of_bounded_length():
    assert checkpoint.said(ValueError("one\ntwo   three")) == "ValueError: one two three"
    for length, whole in ((288, True), (289, False)):  # beside "ValueError: "
        text = checkpoint.said(ValueError("x" * length))
        assert len(text) == 300 and text.endswith("x" if whole else "xxx...")


def test_a_tree_may_take_64_times_what_it_takes_in_the_file(tmp_path, monkeypatch):
    """32 bytes for each byte of JSON, and as much for what is made of it."""
    path = tmp_path / "tree.zoo"
    checkpoint.write(path, [1.5] * 1000)
    with np.load(io.BytesIO(path.read_bytes().partition(b"\n")[2])) as file:
        most = 64 * len(npy(file["tree"]))
    assert most > path.stat().st_size
    monkeypatch.setenv(checkpoint.MAX_BYTES, str(most))
    assert checkpoint.read(path) == [1.5] * 1000
    monkeypatch.setenv(checkpoint.MAX_BYTES, str(most - 1))
    raises(checkpoint.CheckpointError, f"its tree would take {most} bytes", checkpoint.read, path)

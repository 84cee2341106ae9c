"""Masks from what services send, and images as they take them: exact where they should be, one error where not."""

import base64
import io
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo_opt_seg.blackbox.protocol import BlackBoxError
from zoo_opt_seg.data.limits import BYTES, PIXELS
from zoo_opt_seg.remote.codecs.arrays import npz_masks
from zoo_opt_seg.remote.codecs.images import encoded, png
from zoo_opt_seg.remote.codecs.masks import MaskForm
from zoo_opt_seg.remote.codecs.reading import bytes_of, json_value

SIZE = (5, 9)
Array = np.ndarray[Any, Any]
masks = st.binary(min_size=6, max_size=6).map(
    lambda b: np.unpackbits(np.frombuffer(b, np.uint8))[:45].reshape(SIZE) > 0
)


def png_of(array: Array, mode: str | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(file, "PNG", **options)
    return file.getvalue()


def npz_of(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def a_mask() -> Array:
    mask = np.zeros(SIZE, bool)
    mask[1:4, 2:8] = True
    mask[2, 4] = False
    return mask


def coco(mask: Array) -> dict[str, Any]:
    from pycocotools import mask as tools

    rle = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}


def lengths(mask: Array) -> dict[str, Any]:
    flat = mask.T.reshape(-1)
    ends = [*np.flatnonzero(np.diff(flat.astype(int))) + 1, len(flat)]
    counts = np.diff([0, *ends]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


# ------------------------------------------------------------------------------------------------- what is the mask
HARD: dict[str, tuple[MaskForm, Callable[[Array], Any]]] = {
    "PNG": (MaskForm(codec="png"), lambda m: png_of(m.astype(np.uint8) * 255)),
    "PNG in base64": (MaskForm(codec="png"), lambda m: base64.b64encode(png_of(m.astype(np.uint8) * 255)).decode()),
    "PNG in base64 by lines": (
        MaskForm(codec="png"),
        lambda m: base64.encodebytes(png_of(m.astype(np.uint8) * 255)).decode(),
    ),
    "PNG in base64 for addresses": (
        MaskForm(codec="png"),
        lambda m: base64.urlsafe_b64encode(png_of(m.astype(np.uint8) * 255)).decode(),
    ),
    "PNG in a data URI": (
        MaskForm(codec="png"),
        lambda m: "data:image/png;base64," + base64.b64encode(png_of(m.astype(np.uint8) * 255)).decode(),
    ),
    "PNG of one bit": (MaskForm(codec="png"), lambda m: png_of(m.astype(np.uint8) * 255, "1")),
    "PNG in colour": (MaskForm(codec="png"), lambda m: png_of(m.astype(np.uint8) * 255, "RGB")),
    "PNG with a palette": (MaskForm(codec="png"), lambda m: png_of(m.astype(np.uint8) * 255, "P")),
    "PNG of 16 bits": (MaskForm(codec="png"), lambda m: png_of(m.astype(np.uint16) * 65535)),
    "PNG, not black": (MaskForm(codec="png", values="nonzero"), lambda m: png_of(m.astype(np.uint8))),
    "alpha of a PNG": (
        MaskForm(codec="png", channel="alpha"),
        lambda m: png_of(np.dstack([np.zeros((*m.shape, 3), np.uint8), m.astype(np.uint8) * 255])),
    ),
    "COCO": (MaskForm(codec="rle"), coco),
    "COCO, not compressed": (MaskForm(codec="rle"), lengths),
    "0 and 1": (MaskForm(codec="list"), lambda m: m.astype(int).tolist()),
    "0 and 255": (MaskForm(codec="list"), lambda m: (m.astype(int) * 255).tolist()),
    "true and false": (MaskForm(codec="list"), lambda m: m.tolist()),
    "not 0": (MaskForm(codec="list", values="nonzero"), lambda m: (m.astype(int) * 7).tolist()),
    "cut at .5": (MaskForm(codec="list", values="probability", hard=True), lambda m: np.where(m, 0.6, 0.5).tolist()),
    "cut at 0": (MaskForm(codec="list", values="logits", hard=True), lambda m: np.where(m, 0.1, 0.0).tolist()),
}


@pytest.mark.parametrize("name", HARD)
@settings(max_examples=20, deadline=None)
@given(mask=masks)
def test_masks_come_back(name: str, mask: Array) -> None:
    form, write = HARD[name]
    got = form.read(write(mask), SIZE)
    assert not form.soft and got.dtype == np.bool_ and (got == mask).all()


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (MaskForm(codec="png", values="probability"), png_of(np.full(SIZE, 51, np.uint8)), 0.2),
        (MaskForm(codec="png", values="probability"), png_of(np.full(SIZE, 13107, np.uint16)), 0.2),
        (MaskForm(codec="list", values="probability"), np.full(SIZE, 0.2).tolist(), 0.2),
        (MaskForm(codec="list", values="probability"), np.ones(SIZE, bool).tolist(), 1.0),
        (MaskForm(codec="list", values="logits"), np.full(SIZE, -1.3862944).tolist(), 0.2),
        (MaskForm(codec="list", values="logits"), np.full(SIZE, 1e300).tolist(), 1.0),
        (MaskForm(codec="npz", values="logits"), np.full(SIZE, -np.inf, np.float32), 0.0),
    ],
)
def test_probabilities(form: MaskForm, value: Any, expected: float) -> None:
    got = form.read(value, SIZE)
    assert form.soft and got.dtype == np.float32 and np.allclose(got, expected, atol=1e-6)


OUTLINE = [[2, 1], [7, 1], [7, 3], [2, 3]]


@pytest.mark.parametrize(
    "value",
    [
        OUTLINE,
        [OUTLINE],
        [x for point in OUTLINE for x in point],
        [[x for point in OUTLINE for x in point]],
        [{"x": x, "y": y} for x, y in OUTLINE],
        [[*OUTLINE[:2], [6.6, 3.4], [2.2, 2.9]], []],
        [OUTLINE, [[3, 2], [5, 2], [5, 2]]],  # what may have been a hole
    ],
)
def test_outlines_are_filled_with_their_border(value: Any) -> None:
    filled = a_mask()
    filled[2, 4] = True
    assert (MaskForm(codec="polygon").read(value, SIZE) == filled).all()


def test_all_outlines_count_and_small_ones_too() -> None:
    got = MaskForm(codec="polygon").read([[[0, 0]], [[8, 4], [7, 4]]], SIZE)
    assert np.argwhere(got).tolist() == [[0, 0], [4, 7], [4, 8]]
    assert not MaskForm(codec="polygon").read([], SIZE).any()


def test_arrays_of_an_npz_file() -> None:
    logits = np.linspace(-3, 3, 45, dtype=np.float32).reshape(SIZE)
    content = npz_of(masks=logits[None, None], scores=np.array([0.5]))
    (got,), scores = npz_masks(content, "the mask", "masks", "scores")
    assert (got == logits).all() and scores == [0.5]
    both, none = npz_masks(npz_of(masks=np.stack([logits, -logits]).astype(np.float16)), "the mask", "masks")
    assert none is None and len(both) == 2 and both[0].dtype == np.float32
    (hard,), _ = npz_masks(npz_of(masks=a_mask()), "the mask", "masks")
    assert hard.dtype == np.bool_


def test_a_mask_of_another_size_is_resized_only_where_that_is_said() -> None:
    mask = a_mask()
    double = mask.repeat(2, 0).repeat(2, 1)
    with pytest.raises(BlackBoxError, match="has 18 x 10 pixels, the image 9 x 5"):
        MaskForm(codec="rle").read(coco(double), SIZE)
    assert (MaskForm(codec="rle", resize=True).read(coco(double), SIZE) == mask).all()
    soft = MaskForm(codec="list", values="probability", resize=True).read(double.astype(float).tolist(), SIZE)
    assert soft.dtype == np.float32 and soft.shape == SIZE and 0 < soft.mean() < 1
    turned = MaskForm(codec="png")  # an image that the service has turned by its EXIF tag
    with pytest.raises(BlackBoxError, match="has 5 x 9 pixels, the image 9 x 5"):
        turned.read(png_of(mask.T.astype(np.uint8) * 255), SIZE)


# ------------------------------------------------------------------------------------------------- what is malformed
ROWS = [[0] * 9] * 5
BAD: dict[str, tuple[MaskForm, Any, str]] = {
    "no image": (MaskForm(codec="png"), b"GIF89a", "must be a PNG image, got 6 bytes"),
    "no text": (MaskForm(codec="png"), 5, "must be base64 or a data URI, got a int"),
    "no base64": (MaskForm(codec="png"), "not base64!", "must be base64 or a data URI, got the text 'not base64!'"),
    "no data": (MaskForm(codec="png"), "data:image/png,abc", "must be a data URI of base64"),
    "cut short": (MaskForm(codec="png"), png_of(np.zeros(SIZE, np.uint8))[:-30], "cannot be read"),
    "no alpha": (MaskForm(codec="png", channel="alpha"), png_of(np.zeros(SIZE, np.uint8)), "must have an alpha"),
    "no rle": (MaskForm(codec="rle"), [1, 2], "bad RLE, expected size"),
    "no size": (MaskForm(codec="rle"), {"counts": "abc"}, "bad RLE, expected size"),
    "short runs": (MaskForm(codec="rle"), {"size": [5, 9], "counts": [3, 4]}, "its runs have 7 pixels"),
    "no runs": (MaskForm(codec="rle"), {"size": [5, 9], "counts": [3.5]}, "expected lengths of runs, got 3.5"),
    "runs below 0": (MaskForm(codec="rle"), {"size": [5, 9], "counts": [-1, 46]}, "expected lengths of runs"),
    "a letter": (MaskForm(codec="rle"), {"size": [5, 9], "counts": "]é"}, "have no 'é'"),
    "letters": (MaskForm(codec="rle"), {"size": [1, 1], "counts": "0" * 1000}, "more runs than 1 x 1 pixels can have"),
    "no outline": (MaskForm(codec="polygon"), "x", "must be a polygon"),
    "an odd outline": (MaskForm(codec="polygon"), [1, 2, 3], "an x and a y for each point, got 3"),
    "a far point": (MaskForm(codec="polygon"), [[1, 2], [1e9, 3], [4, 5]], "far outside of the image of 9 x 5"),
    "a point of text": (MaskForm(codec="polygon"), [[1, 2], ["a", 3]], "must have points"),
    "many points": (MaskForm(codec="polygon"), [[0, 0]] * 30_001, "more than 30000 points"),
    "NaN": (MaskForm(codec="list", values="logits"), [[float("nan")] * 9] * 5, "has NaN in it"),
    "rows": (MaskForm(codec="list"), [*ROWS[:4], [0] * 8], "rows of 9 numbers, got a list of 8 as row 4"),
    "no rows": (MaskForm(codec="list"), [0] * 45, "must be a list of rows"),
    "texts": (MaskForm(codec="list"), [["0"] * 9] * 5, "rows of numbers or booleans, got the text '0'"),
    "large numbers": (MaskForm(codec="list"), [[10**400] * 9] * 5, "too many digits"),
    "no probability": (MaskForm(codec="list", values="probability"), [[2] * 9] * 5, "got values from 2 to 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_malformed_is_one_clear_sentence(name: str) -> None:
    form, value, words = BAD[name]
    with pytest.raises(BlackBoxError) as caught:
        form.read(value, SIZE)
    assert words in str(caught.value) and "the mask of the reply" in str(caught.value)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"codec": "gif"}, "codec must be one of png"),
        ({"codec": "rle", "values": "logits"}, "values must be 'mask' for the codec 'rle'"),
        ({"codec": "png", "values": "logits"}, "must not be 'logits'"),
        ({"codec": "png", "hard": True}, "hard is for probabilities"),
        ({"codec": "list", "channel": "alpha"}, "channel is for the codec 'png'"),
    ],
)
def test_forms_that_do_not_go_together(form: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MaskForm(**form)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["size", "counts", "x", "y"]), inner),
    max_leaves=20,
)
FORMS = [form for form, _ in HARD.values()] + [MaskForm(codec="polygon"), MaskForm(codec="list", values="logits")]


@settings(max_examples=300, deadline=None)
@given(value=json_values, form=st.sampled_from(FORMS))
def test_any_json_is_a_mask_or_a_black_box_error(value: Any, form: MaskForm) -> None:
    try:
        got = form.read(value, SIZE)
    except BlackBoxError as error:
        assert len(str(error)) < 500
    else:
        assert got.shape == SIZE and got.dtype == (np.float32 if form.soft else np.bool_)


FILES: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "png": (png_of(a_mask().astype(np.uint8) * 200), lambda b: MaskForm(codec="png").read(b, SIZE)),
    "deep png": (png_of(a_mask().astype(np.uint16) * 200), lambda b: MaskForm(codec="png").read(b, SIZE)),
    "palette": (png_of(a_mask().astype(np.uint8), "P"), lambda b: MaskForm(codec="png").read(b, SIZE)),
    "base64": (
        base64.b64encode(png_of(a_mask().astype(np.uint8))),
        lambda b: MaskForm(codec="png").read(b.decode("latin-1"), SIZE),
    ),
    "npz": (npz_of(masks=np.zeros((1, *SIZE), np.float32)), lambda b: read_npz(b)),
    "rle": (
        json.dumps(coco(a_mask())).encode(),
        lambda b: MaskForm(codec="rle").read(json_value(b, "the reply"), SIZE),
    ),
    "polygon": (json.dumps(OUTLINE).encode(), lambda b: MaskForm(codec="polygon").read(json_value(b, "it"), SIZE)),
    "list": (json.dumps(ROWS).encode(), lambda b: MaskForm(codec="list").read(json_value(b, "it"), SIZE)),
}


def read_npz(content: bytes) -> Array:
    from zoo_opt_seg.remote.codecs.reading import readable

    with readable("the mask of the reply"):
        found, _ = npz_masks(content, "the mask of the reply", "masks")
    return MaskForm(codec="npz", values="logits").read(found[0], SIZE)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_bytes_are_a_mask_or_a_black_box_error(kind: str) -> None:
    """Bytes changed, cut and repeated; nothing else is raised, and no more memory taken than a few times the file."""
    content, read = FILES[kind]
    rng = np.random.default_rng(17)
    failed = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        if rng.random() < 0.2:
            damaged = damaged[: rng.integers(len(damaged))]
        try:
            assert read(bytes(damaged)).shape == SIZE
        except BlackBoxError as error:
            failed += 1
            assert "\n" not in str(error) and len(str(error)) < 500
    assert failed > 40


def test_memory_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_of(np.zeros((3000, 3000), np.uint8))  # 9 MB in 9 KB
    rle = {"size": [100_000, 100_000], "counts": [10_000_000_000]}
    npz = npz_of(masks=np.zeros((300, 100, 100), np.float32))
    rows = [[0] * 3000] * 3000
    nested = b"[" * 100_000
    monkeypatch.setenv(PIXELS, "1000000")
    monkeypatch.setenv(BYTES, "1000000")
    tracemalloc.start()
    try:
        for form, value in (
            (MaskForm(codec="png"), bomb),
            (MaskForm(codec="rle"), rle),
            (MaskForm(codec="list"), rows),
        ):
            with pytest.raises(BlackBoxError, match="more than the limit"):
                form.read(value, (3000, 3000))
        with pytest.raises(BlackBoxError, match="more than the limit"):
            read_npz(npz)
        with pytest.raises(BlackBoxError, match="more than the limit"):
            json_value(b"[" + b"0," * 100_000 + b"0]", "the reply")
        with pytest.raises(BlackBoxError, match="is not JSON"):
            json_value(nested, "the reply")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_no_object_is_unpickled() -> None:
    file = io.BytesIO()
    np.savez(file, masks=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BlackBoxError, match="got objects"):
        read_npz(file.getvalue())


# -------------------------------------------------------------------------------------------------------- images out
@settings(max_examples=20, deadline=None)
@given(levels=st.binary(min_size=3 * 4 * 5, max_size=3 * 4 * 5))
def test_images_arrive_exactly(levels: bytes) -> None:
    image = np.frombuffer(levels, np.uint8).reshape(4, 5, 3)
    decoded = np.asarray(Image.open(io.BytesIO(png(image))))
    assert (decoded == image).all()
    assert bytes_of(encoded(image, "base64"), "it") == png(image) == bytes_of(encoded(image, "data-uri"), "it")
    assert (np.array(encoded(image, "list")) == image).all()
    assert (np.array(encoded(image, "list", "chw")) == np.moveaxis(image, 2, 0)).all()
    floats = image.astype(np.float32) / 255
    assert (np.array(encoded(floats, "list", "hwc", "0-1"), np.float32) == floats).all()
    assert np.array(encoded(image, "list", "hwc", "0-1")).max() <= 1.0
    assert png(floats) == png(image)


def test_a_view_of_an_image_is_written_as_it_looks() -> None:
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    for view in (image[::-1], image[:, ::-1], image.transpose(1, 0, 2), image[::2, 1::2]):
        assert (np.asarray(Image.open(io.BytesIO(png(view)))) == view).all()

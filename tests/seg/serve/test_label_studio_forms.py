"""Label Studio's forms: brush masks in bits, clicks in percent, and the names of a labelling configuration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.serve.label_studio.brush import decoded, encoded
from zoo_opt_seg.serve.label_studio.clicks import MOST, brush_masks, brush_result, brush_results, read_context
from zoo_opt_seg.serve.label_studio.scheme import EXAMPLE, Scheme, read_scheme

SCHEME = Scheme("image", "image", "brush", ("object", "other"))

# ------------------------------------------------------------------------------------------------------------ brushes

# A mask of 2 x 3 pixels by hand: 24 values of 8 bits, lengths of 3, 4, 8 and 16 bits; 255 four times, then 20 times 7.
BITS = f"{24:032b}" + f"{7:05b}" + "0010001101111111"
BY_HAND = BITS + "1" + "00" + f"{3:03b}" + f"{255:08b}" + "1" + "10" + f"{19:08b}" + f"{7:08b}"
LITERAL = BITS + "0" + "10" + f"{23:08b}" + "".join(f"{value:08b}" for value in range(24))  # R, G, B, A of each pixel


def packed(bits):
    return np.packbits([int(bit) for bit in bits]).tolist()


def test_a_brush_mask_by_hand():
    mask = decoded(packed(BY_HAND), 2, 3)
    np.testing.assert_array_equal(mask, [[255, 7, 7], [7, 7, 7]])
    np.testing.assert_array_equal(decoded(packed(LITERAL), 2, 3), [[3, 7, 11], [15, 19, 23]])  # the fourth of each
    np.testing.assert_array_equal(decoded(encoded(mask), 2, 3), mask)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_every_mask_survives_greys_too(mask):
    rle = encoded(mask)
    assert all(0 <= value <= 255 for value in rle)
    np.testing.assert_array_equal(decoded(rle, *mask.shape), mask)


@pytest.mark.parametrize("side", [127, 128, 200])  # 4 * 128 * 128 values are exactly one run of the longest kind
def test_runs_that_are_too_long_for_one(side):
    mask = np.full((side, side), 9, np.uint8)
    np.testing.assert_array_equal(decoded(encoded(mask), side, side), mask)


HOSTILE = [
    ([], "list of bytes"),
    ([0], "must hold all runs"),
    ("abc", "list of bytes"),
    (None, "list of bytes"),
    ({"a": 1}, "list of bytes"),
    ([1.5], "list of bytes"),
    ([[1]], "list of bytes"),
    ([[1], 2], "list of bytes"),
    ([True], "list of bytes"),
    ([256], "0 to 255"),
    ([-1], "0 to 255"),
    ([2**70], "list of bytes"),
    ([0] * 1000, "list of bytes"),
    (packed(BY_HAND)[:-2], "must hold all runs"),
    (packed(f"{2**32 - 1:032b}" + BY_HAND[32:]), "got 4294967295 values"),
    (packed(BY_HAND[:32] + f"{31:05b}" + BY_HAND[37:]), "values of 32 bits"),
    (packed(BITS + "1" + "11" + f"{65535:016b}" + f"{1:08b}"), "run that ends at 65536"),
]


@pytest.mark.parametrize(("rle", "complaint"), HOSTILE)
def test_what_is_no_brush_mask(rle, complaint):
    with pytest.raises(ValueError, match=complaint):
        decoded(rle, 2, 3)


def test_no_memory_is_taken_for_a_size_that_somebody_claims():
    with pytest.raises(DataError, match="pixels are more than the limit"):
        decoded(packed(BY_HAND), 1 << 19, 1 << 19)


@settings(max_examples=300)
@given(st.lists(st.integers(0, 255), max_size=60), st.integers(1, 6), st.integers(1, 6))
def test_noise_is_a_mask_or_a_clear_error(noise, height, width):
    for rle in (noise, packed(f"{4 * height * width:032b}" + f"{7:05b}" + "0010001101111111" + "000") + noise):
        try:
            assert decoded(rle, height, width).shape == (height, width)
        except ValueError as error:
            assert str(error).startswith("rle must")


# ------------------------------------------------------------------------------------------------------------- clicks


def point(x, y, positive=True, size=(200, 100), label="object", **more):
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
    result = {"type": "keypointlabels", "from_name": "point", "to_name": "image", "image_rotation": 0, "value": value}
    return {**result, "original_width": size[0], "original_height": size[1], "is_positive": positive, **more}


def box(x, y, width, height, size=(200, 100), **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rectanglelabels": ["other"], **more}
    size = {"original_width": size[0], "original_height": size[1]}
    return {"type": "rectanglelabels", "from_name": "box", "to_name": "image", "value": value, **size}


def test_points_of_one_image_belong_together_and_are_no_whole_numbers():
    asked = read_context({"result": [point(10, 50), point(33.3, 20, False), point(100, 100)]})
    assert (asked.size, asked.label) == ((200, 100), "object")
    np.testing.assert_allclose(asked.prompts.points, [[[19.5, 49.5], [66.1, 19.5], [199, 99]]], rtol=1e-6)
    assert asked.prompts.labels.tolist() == [[1, 0, 1]] and asked.prompts.boxes is None


def test_a_box_is_its_first_and_last_pixel():
    asked = read_context({"result": [box(10, 20, 30, 40)]})  # pixels 20 to 79 and 20 to 59
    assert asked.prompts.boxes.tolist() == [[20, 20, 79, 59]] and asked.prompts.points is None
    assert asked.label == "other"
    both = read_context({"result": [box(10, 20, 30, 40), point(50, 50), box(0, 0, 100, 100)]})
    assert both.prompts.boxes.tolist() == [[0, 0, 199, 99]] and both.prompts.points.shape == (1, 1, 2)


@pytest.mark.parametrize("context", [None, {}, {"result": None}, {"result": []}, {"result": [{"type": "brushlabels"}]}])
def test_nothing_is_asked(context):
    assert read_context(context) is None


WRONG = [
    ([], "context must be an object"),
    ({"result": {}}, "context.result must be a list"),
    ({"result": [point(1, 1)] * (MOST + 1)}, "at most 200"),
    ({"result": ["x"]}, "a result must be an object"),
    ({"result": [{**point(1, 1), "value": None}]}, "value must be an object"),
    ({"result": [point(float("nan"), 1)]}, "x must be a number of percent"),
    ({"result": [point(1, "2")]}, "y must be a number of percent"),
    ({"result": [point(1, True)]}, "y must be a number of percent"),
    ({"result": [point(1, 150)]}, "from 0 to 100 percent"),
    ({"result": [point(1, 1, size=(0, 5))]}, "whole numbers > 0"),
    ({"result": [point(1, 1, size=(2.5, 5))]}, "whole numbers > 0"),
    ({"result": [point(1, 1, size=(1 << 19, 1 << 19))]}, "more than the limit"),
    ({"result": [point(1, 1), point(1, 1, size=(9, 9))]}, "about one image"),
    ({"result": [point(1, 1, image_rotation=90)]}, "image_rotation must be 0"),
    ({"result": [box(1, 1, 5, 5, rotation=30)]}, "must be upright"),
]


@pytest.mark.parametrize(("context", "complaint"), WRONG)
def test_what_is_no_question(context, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_context(context)


def test_a_mask_as_a_result_and_back():
    mask = np.zeros((30, 40), bool)
    mask[5:20, 10:30] = True
    result = brush_result(mask, SCHEME, "other", 0.75)
    assert (result["from_name"], result["to_name"], result["type"]) == ("brush", "image", "brushlabels")
    assert (result["original_width"], result["original_height"], result["score"]) == (40, 30, 0.75)
    assert result["value"]["brushlabels"] == ["other"] and result["value"]["format"] == "rle"
    (kept,) = brush_results([result, point(1, 1), {"type": "choices"}])
    np.testing.assert_array_equal(brush_masks([kept])[0], mask)
    with pytest.raises(ValueError, match="must be a list"):
        brush_results(None)


# ------------------------------------------------------------------------------------------------------------- scheme


def test_the_names_of_a_configuration():
    scheme = read_scheme(EXAMPLE.replace('name="image"', 'name="pic"').replace('toName="image"', 'toName="pic"'))
    assert scheme == Scheme("pic", "image", "brush", ("object",))
    assert scheme.label("object") == scheme.label("another") == "object"
    assert scheme.address({"image": "/data/upload/1/a.png"}) == "/data/upload/1/a.png"
    for data in ({}, {"image": 3}, {"image": ""}):
        with pytest.raises(ValueError, match="image's address as 'image'"):
            scheme.address(data)


@pytest.mark.parametrize(
    "xml",
    [
        *("", None, 7, "<View>", "<View/>", "x" * 1_000_001),
        EXAMPLE.replace("BrushLabels", "PolygonLabels"),
        EXAMPLE.replace('value="$image"', 'value="image"'),
        EXAMPLE.replace('<Label value="object"/>', ""),
        EXAMPLE.replace('toName="image"', 'toName="another"'),
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><View>&b;</View>',
    ],
)
def test_what_is_no_configuration(xml):
    with pytest.raises(ValueError, match="the labelling configuration must"):
        read_scheme(xml)

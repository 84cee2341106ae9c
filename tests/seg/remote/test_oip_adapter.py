"""The adapter of the Open Inference Protocol: what it sends, how it reads what comes, and what it says of misfits."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_opt.core.errors import Refused
from zoo_opt_seg.blackbox.protocol import BlackBoxError
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.exchange import Reply, Request
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.remote.oip.adapter import OipAdapter
from zoo_opt_seg.remote.oip.options import read_options
from zoo_opt_seg.remote.oip.tensors import DTYPES

URL = "http://127.0.0.1:8000"
RNG = np.random.default_rng(17)
IMAGE = RNG.random((6, 8, 3), dtype=np.float32)
POINT = Prompts(points=[[[3.0, 2.0], [7.0, 5.0]]], labels=[[1, 0]])
BOX = Prompts(boxes=[[1.0, 2.0, 5.0, 4.0]])
MASK = RNG.random((6, 8), dtype=np.float32)


def adapter(**options: Any) -> OipAdapter:
    return OipAdapter(f"{URL}/sam", read_options(options))


def asked(box: OipAdapter, prompts: Prompts = POINT, image: Any = IMAGE) -> wire.Message:
    """What a server gets."""
    request = next(box.question(image, prompts))
    assert request.paid and request.method == "POST"
    return wire.read("inputs", request.content, request.headers)


def answered(box: OipAdapter, outputs: Mapping[str, Any], prompts: Prompts = POINT, binary: bool = True) -> Any:
    """What is made of an answer."""
    exchange = box.question(IMAGE, prompts)
    next(exchange)
    body, headers = wire.write("outputs", outputs, binary=tuple(outputs) if binary else ())
    with pytest.raises(StopIteration) as end:
        exchange.send(Reply(200, headers, body))
    return end.value.value


def said(inputs: Mapping[str, Any], outputs: Mapping[str, Any], **more: Any) -> Callable[[Request], Reply]:
    """A server's answers about itself and the model."""
    sides = [
        [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in side.items()]
        for side in (inputs, outputs)
    ]
    extensions = more.pop("extensions", [wire.BINARY])

    def ask(request: Request) -> Reply:
        assert not request.paid and request.method == "GET"
        if request.url.endswith("/v2"):
            return Reply(200, {}, json.dumps({"name": "s", "extensions": extensions}).encode())
        return Reply(200, {}, json.dumps({"name": "sam", "inputs": sides[0], "outputs": sides[1], **more}).encode())

    return ask


OURS = (
    {
        "image": ("FP32", [-1, -1, 3]),
        "points": ("FP32", [-1, 2]),
        "labels": ("INT64", [-1]),
        "box": ("FP32", [4]),
        "text": ("BYTES", [1]),
    },
    {"mask": ("FP32", [-1, -1])},
)


# ------------------------------------------------------------------------------------------------------ the place
@pytest.mark.parametrize(
    ("place", "url"),
    [
        (f"{URL}/sam", f"{URL}/v2/models/sam"),
        (f"{URL}/sam/", f"{URL}/v2/models/sam"),
        ("https://host/base/path/sam", "https://host/base/path/v2/models/sam"),
        (f"{URL}/v2/models/sam", f"{URL}/v2/models/sam"),
        (f"{URL}/v2/models/sam/infer", f"{URL}/v2/models/sam"),
        (f"{URL}/v2/models/my%20sam/versions/3", f"{URL}/v2/models/my%20sam/versions/3"),
    ],
)
def test_the_place_of_a_model(place: str, url: str) -> None:
    box = OipAdapter(place)
    assert box.url == url and box.name == f"oip:{url}"
    assert next(box.question(IMAGE, POINT)).url == f"{url}/infer"


@pytest.mark.parametrize("place", ["sam", URL, "ftp://host/sam", f"{URL}/sam?key=1", "http://me:word@host/sam", ""])
def test_what_is_no_place(place: str) -> None:
    with pytest.raises(ValueError, match="oip must be given as URL/MODEL") as error:
        OipAdapter(place)
    assert "word" not in str(error.value)


def test_the_name_tells_what_answers_depend_on() -> None:
    names = [
        adapter(**options).name
        for options in (
            {},
            {"binary": "no"},
            {"version": 2},
            {"answer": "logits"},
            {"cut": 0.25},
            {"parameters": {"api_key": "hush-hush"}},
            {"parameters": {"api_key": "hush-hosh"}},
        )
    ]
    assert names[0] == names[1] and len(set(names)) == 6
    assert names[3] == f'oip:{URL}/v2/models/sam{{"answer":"logits"}}' and "hush" not in "".join(names)


# ---------------------------------------------------------------------------------------------------- what is sent
def test_our_own_form() -> None:
    """float32 as it is, bytes as bytes; what is not asked by is left out."""
    got = asked(adapter())
    assert list(got.tensors) == ["image", "points", "labels"] and got.wants_binary("mask")
    assert got.tensors["image"].tobytes() == IMAGE.tobytes() and got.tensors["image"].dtype == np.float32
    assert got.tensors["points"].tolist() == [[3, 2], [7, 5]] and got.tensors["points"].dtype == np.float32
    assert got.tensors["labels"].tolist() == [1, 0] and got.tensors["labels"].dtype == np.int64
    bytes_ = (255 * IMAGE).astype(np.uint8)
    assert asked(adapter(), image=bytes_).tensors["image"].tobytes() == bytes_.tobytes()
    assert asked(adapter(), BOX).tensors["box"].tolist() == [1, 2, 5, 4]
    text = asked(adapter(), Prompts(texts=("a disç",))).tensors["text"]
    assert text.shape == (1,) and text[0] == "a disç".encode()
    assert list(asked(adapter(), Prompts.nothing(1)).tensors) == ["image"]
    absent = Prompts(points=[[[1, 1], [2, 2]]], labels=[[-1, 1]], boxes=[[np.nan] * 4], texts=("",))
    assert {name: array.tolist() for name, array in asked(adapter(), absent).tensors.items() if name != "image"} == {
        "points": [[2, 2]],
        "labels": [1],
    }


def test_json_has_the_same_numbers() -> None:
    box = adapter(binary="no")
    request = next(box.question(IMAGE, POINT))
    assert request.headers == {"content-type": "application/json"} and json.loads(request.content)
    assert asked(box).tensors["image"].tobytes() == IMAGE.tobytes() and not asked(box).wants_binary("mask")


@pytest.mark.parametrize(
    ("options", "prompts", "sent"),
    [
        ({"frame": "unit"}, POINT, {"points": [[3 / 8, 2 / 6], [7 / 8, 5 / 6]]}),
        ({"frame": 1024}, POINT, {"points": [[384, 1024 / 3], [896, 2560 / 3]]}),
        ({"frame": 16}, BOX, {"box": [2, 16 / 3, 10, 32 / 3]}),
        ({"boxes": "points"}, BOX, {"points": [[1, 2], [5, 4]], "labels": [2, 3]}),
        ({"batch": True}, POINT, {"points": [[[3, 2], [7, 5]]], "labels": [[1, 0]]}),
        ({"labels_type": "FP32", "labels": "point_labels"}, POINT, {"point_labels": [1.0, 0.0]}),
        ({"height": "h", "width": "w"}, POINT, {"h": [6], "w": [8]}),
        ({"constants": {"multi": {"datatype": "BOOL", "shape": [1], "data": [True]}}}, POINT, {"multi": [True]}),
        ({"labels": ""}, Prompts(points=[[[3, 2]]]), {"points": [[3, 2]]}),
    ],
)
def test_what_options_change(options: dict[str, Any], prompts: Prompts, sent: dict[str, Any]) -> None:
    got = asked(adapter(**options), prompts).tensors
    for name, values in sent.items():
        np.testing.assert_array_equal(got[name], np.array(values, got[name].dtype))


def test_images_of_other_forms() -> None:
    bytes_ = np.rint(255 * IMAGE).astype(np.uint8)
    chw = asked(adapter(layout="CHW", batch=True)).tensors["image"]
    assert chw.shape == (1, 3, 6, 8) and (chw[0].transpose(1, 2, 0) == IMAGE).all()
    assert (asked(adapter(pixels="uint8")).tensors["image"] == bytes_).all()
    wide = asked(adapter(pixels="0-255"), image=bytes_).tensors["image"]
    assert wide.dtype == np.float32 and np.abs(wide - bytes_).max() < 1e-4
    unit = asked(adapter(pixels="0-1"), image=bytes_).tensors["image"]
    assert (unit == bytes_ / np.float32(255)).all()
    flat = np.full((6, 8, 3), 0.25, np.float32)
    assert (asked(adapter(size=16), image=flat).tensors["image"] == np.full((16, 16, 3), 0.25)).all()
    assert asked(adapter(size=16), image=bytes_).tensors["image"].shape == (16, 16, 3)


def test_what_cannot_be_asked_is_said_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="the model takes no text"):
        adapter(text="").question(IMAGE, Prompts(texts=("disc",)))
    with pytest.raises(ValueError, match="the model takes no labels"):
        adapter(labels="").question(IMAGE, POINT)
    with pytest.raises(ValueError, match="no input for masks"):
        adapter().question(IMAGE, Prompts(masks=np.zeros((1, 4, 4))))


# ---------------------------------------------------------------------------------------------------- what comes back
@pytest.mark.parametrize("binary", [True, False])
def test_probabilities_come_back_bit_for_bit(binary: bool) -> None:
    assert answered(adapter(), {"mask": MASK}, binary=binary).tobytes() == MASK.tobytes()
    hard = answered(adapter(), {"mask": MASK > 0.5}, binary=binary)
    assert hard.dtype == np.bool_ and (hard == (MASK > 0.5)).all()


STACK = np.stack([MASK, 1 - MASK, MASK / 2])


@pytest.mark.parametrize(
    ("options", "outputs", "mask"),
    [
        ({"answer": "logits"}, {"mask": 4 * MASK - 2}, 1 / (1 + np.exp(2 - 4 * MASK))),
        ({"answer": "logits"}, {"mask": np.full((6, 8), -1000, np.float32)}, np.zeros((6, 8))),
        ({"answer": "logits", "cut": 0.0}, {"mask": MASK - 0.5}, MASK > 0.5),
        ({"cut": 0.25}, {"mask": MASK}, MASK > 0.25),
        ({"cut": 127}, {"mask": np.rint(255 * MASK).astype(np.uint8)}, np.rint(255 * MASK) > 127),
        ({"answer": "bool"}, {"mask": np.rint(3 * MASK).astype(np.int32)}, np.rint(3 * MASK) > 0),
        ({}, {"mask": (MASK > 0.5).astype(np.uint8)}, MASK > 0.5),
        ({}, {"mask": MASK.astype(np.float16)}, MASK.astype(np.float16)),
        ({}, {"mask": MASK[None, None]}, MASK),
        ({}, {"mask": STACK[None]}, MASK),
        ({"score": "iou"}, {"mask": STACK[None], "iou": np.array([[0.1, 0.9, np.nan]], np.float32)}, 1 - MASK),
        ({"score": "iou", "choose": "first"}, {"mask": STACK, "iou": np.zeros(3, np.float32)}, MASK),
        ({"choose": "union"}, {"mask": STACK}, np.maximum(MASK, 1 - MASK)),
        ({"choose": "union"}, {"mask": STACK > 0.5}, np.ones((6, 8), bool) & (MASK != 0.5)),
        ({}, {"mask": np.zeros((0, 6, 8), bool)}, np.zeros((6, 8), bool)),
        ({}, {"mask": np.zeros((0, 6, 8), np.float32)}, np.zeros((6, 8))),
        ({"size": 4}, {"mask": np.full((4, 4), 0.5, np.float32)}, np.full((6, 8), 0.5)),
        ({"size": 4}, {"mask": np.eye(4, dtype=bool).repeat(2, 1)[:, :8]}, None),
    ],
)
def test_masks_of_other_forms(options: dict[str, Any], outputs: dict[str, Any], mask: Any) -> None:
    came = answered(adapter(**options), outputs)
    assert came.shape == (6, 8) and came.dtype in (np.bool_, np.float32)
    if mask is not None:
        assert (came.dtype == np.bool_) == (np.asarray(mask).dtype == np.bool_)
        np.testing.assert_allclose(came, mask, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "outputs", "complaint"),
    [
        ({}, {"masks": MASK}, "must have the output mask, got masks"),
        ({}, {"mask": MASK.T}, r"mask must be as large as the image, \[6, 8\], got \[8, 6\]"),
        ({}, {"mask": MASK[0]}, "mask must be numbers of shape"),
        ({}, {"mask": np.full((6, 8), "a", object)}, "mask must be numbers of shape"),
        ({}, {"mask": 4 * MASK - 2}, "must be probabilities in .* answer=logits"),
        ({}, {"mask": np.rint(255 * MASK).astype(np.uint8)}, "whole numbers up to .* -m answer or -m cut"),
        ({"cut": 0.5}, {"mask": np.full((6, 8), np.nan, np.float32)}, "mask has NaN"),
        ({"score": "iou"}, {"mask": STACK, "iou": np.zeros(2, np.float32)}, "a number for each of 3 masks, got 2"),
    ],
)
def test_answers_that_are_none(options: dict[str, Any], outputs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BlackBoxError, match=complaint):
        answered(adapter(**options), outputs)


def test_an_answer_that_cannot_be_read() -> None:
    exchange = adapter().question(IMAGE, POINT)
    next(exchange)
    with pytest.raises(BlackBoxError, match="cannot be read: the message must be JSON"):
        exchange.send(Reply(200, {}, b"<html>"))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"error": "no  such\\nmodel"}', "no such model"),
        (b'{"detail": [{"msg": "field required"}]}', '[{"msg": "field required"}]'),
        (b"Internal Server Error", "Internal Server Error"),
        (b"Traceback (most recent call last):\n  ...\nRuntimeError: no\n", "RuntimeError: no"),
        (b"[1]", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error": "' + b"x" * 5000 + b'"}', "x" * 300),
    ],
)
def test_what_the_server_complains_of(body: bytes, complaint: str) -> None:
    assert adapter().complaint(Reply(400, {}, body)) == complaint


# ---------------------------------------------------------------------------------------------------- the metadata
def test_check_takes_from_the_metadata_what_is_not_said() -> None:
    inputs = {
        "image": ("UINT8", [-1, 3, -1, -1]),
        "points": ("INT32", [-1, -1, 2]),
        "labels": ("FP32", [-1, -1]),
    }
    box = adapter()
    box.check(said(inputs, {"mask": ("BOOL", [-1, -1, -1])}, extensions=[]))
    got = asked(box)
    assert got.tensors["image"].dtype == np.uint8 and got.tensors["image"].shape == (1, 3, 6, 8)
    assert got.tensors["points"].dtype == np.int32 and got.tensors["labels"].dtype == np.float32
    assert box.hard is True and not got.wants_binary("mask")
    with pytest.raises(ValueError, match="the model takes no box"):
        box.question(IMAGE, BOX)


def test_check_with_our_own_server() -> None:
    box = adapter()
    box.check(said(*OURS, platform="zoo-opt-seg"))
    assert asked(box, image=np.zeros((4, 4, 3), np.uint8)).tensors["image"].dtype == np.uint8
    assert asked(box).tensors["image"].tobytes() == IMAGE.tobytes() and box.hard is False
    other = adapter()
    other.check(said(*OURS))
    assert asked(other, image=np.zeros((4, 4, 3), np.uint8)).tensors["image"].dtype == np.float32


def test_check_where_a_server_says_nothing() -> None:
    """As MLServer without settings: the form is that of the options, JSON."""

    def ask(request: Request) -> Reply:
        if request.url.endswith("/v2"):
            raise Refused("404")
        return Reply(200, {}, b'{"name": "sam", "inputs": [], "outputs": []}')

    box = adapter()
    box.check(ask)
    assert list(asked(box).tensors) == ["image", "points", "labels"] and not asked(box).wants_binary("mask")
    sure = adapter(binary="yes")
    sure.check(ask)
    assert asked(sure).wants_binary("mask")


def changed(**entries: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs, outputs = dict(OURS[0]), dict(OURS[1])
    for name, entry in entries.items():
        side = outputs if name in ("mask", "masks") else inputs
        side.pop(name, None)
        if entry is not None:
            side[name] = entry
    return inputs, outputs


@pytest.mark.parametrize(
    ("options", "metadata", "complaint"),
    [
        ({}, changed(image=None, picture=("FP32", [-1, -1, 3])), "image must be an input of the model, got 'image'"),
        ({}, changed(mask=None, masks=("FP32", [-1])), "mask must be an output of the model, got 'mask'"),
        ({"score": "iou"}, OURS, "score must be an output of the model, got 'iou'"),
        ({"points": "point_coords"}, OURS, "points must be an input of the model, got 'point_coords'"),
        ({"batch": True}, OURS, "image must have 4, as batch says, axes"),
        ({"layout": "CHW"}, OURS, "image must be HWC, layout says CHW"),
        ({}, changed(image=("FP32", [-1, -1, 4])), "image must be HWC with 3 colours"),
        ({}, changed(image=("FP32", [1024, 1024, 3])), "stretched to its size by -m size=1024"),
        ({"size": 512}, changed(image=("FP32", [1024, 1024, 3])), "stretched to its size by -m size=1024"),
        ({}, changed(image=("FP32", [-1, -1])), "image must have 3 or 4 axes"),
        ({}, changed(image=("BYTES", [1])), "image must have 3 or 4 axes"),
        ({}, changed(image=("INT64", [-1, -1, 3])), "image must be an input of floats or UINT8"),
        ({"pixels": "uint8"}, OURS, "image must be floats, -m pixels=0-1"),
        ({"pixels": "0-1"}, changed(image=("UINT8", [-1, -1, 3])), "image must be bytes, -m pixels=uint8"),
        ({"labels_type": "INT32"}, OURS, "labels must be INT64, -m labels_type says INT32"),
        ({}, changed(points=("FP32", [-1, 3])), r"points is sent as \[-1, 2\], which the model does not take"),
        ({}, changed(labels=("BYTES", [-1])), "labels must be an input of numbers"),
        ({}, changed(text=("FP32", [1])), "text must be an input of BYTES"),
        ({}, changed(mask=("BYTES", [-1, -1])), "mask must be an output of numbers or BOOL"),
        ({}, changed(mask=("UINT8", [-1, -1])), "a mask of whole numbers needs -m answer or -m cut"),
        ({}, changed(mask=("FP32", [-1])), "mask must have two axes or more"),
        ({"constants": {"c": {"datatype": "INT8", "shape": [0], "data": []}}}, OURS, "constants.c must be an input"),
    ],
)
def test_check_says_what_does_not_fit(options: dict[str, Any], metadata: Any, complaint: str) -> None:
    """In one sentence, and what the model has."""
    with pytest.raises(ValueError, match=rf"{complaint}.*; the model says that it takes .* and gives "):
        adapter(**options).check(said(*metadata))


ODD_SHAPE = b'{"inputs": [{"name": "a", "datatype": "x", "shape": "y"}]}'


@pytest.mark.parametrize("body", [b"", b"[]", b'{"inputs": 3}', b'{"inputs": [{}]}', ODD_SHAPE])
def test_metadata_that_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="the model's metadata cannot be read"):
        adapter(binary="no").check(lambda request: Reply(200, {}, body))


# ----------------------------------------------------------------------------------------------------- the options
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lable": "x"}, "options of oip are config, image, .*, got lable"),
        ({"layout": "WHC"}, "layout must be one of HWC, CHW, got 'WHC'"),
        ({"pixels": 255}, "pixels must be one of"),
        ({"image": ""}, "image must be a name"),
        ({"box": 3}, "box must be a name, got 3"),
        ({"box": "points"}, "inputs must have different names"),
        ({"batch": "yes"}, "batch must be true or false"),
        ({"size": -1}, "size must be a number of pixels"),
        ({"frame": "pixels"}, "frame must be image, unit or a number of pixels"),
        ({"frame": True}, "frame must be image, unit or a number of pixels"),
        ({"labels_type": "BYTES"}, "labels_type must be a datatype of numbers"),
        ({"cut": "high"}, "cut must be a finite number"),
        ({"answer": "bool", "cut": 0.5}, "a mask of bool has no cut"),
        ({"choose": "best"}, "choose=best needs score"),
        ({"parameters": 3}, "parameters must be a table"),
        ({"constants": 3}, "constants must be a table of tensors"),
        ({"constants": {"a": 3}}, "constants.a must have datatype, shape and data"),
        ({"constants": {"a": {"datatype": "FP32", "shape": [2], "data": [1]}}}, "constants.a: shape .* has 2 values"),
        ({"config": "no/such.toml"}, "config must be a TOML file of options, got no/such.toml"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_options(options)


def test_options_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sam2.toml"
    file.write_text(
        'points = "point_coords"\nframe = 1024\n[constants.n]\ndatatype = "INT64"\nshape = [1]\ndata = [3]\n'
    )
    options = read_options({"config": str(file), "frame": "unit"})
    assert (options.points, options.frame) == ("point_coords", "unit") and options.constant_arrays()["n"].tolist() == [
        3
    ]
    file.write_text("points = ")
    with pytest.raises(ValueError, match="config must be a TOML file"):
        read_options({"config": str(file)})


def test_what_the_model_is_asked_by() -> None:
    assert [
        adapter(**options).prompted_by
        for options in ({}, {"text": ""}, {"points": "", "labels": "", "box": ""}, {"points": "", "text": ""})
    ] == [None, "points", "text", "boxes"]


def test_the_page_has_options_that_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "remote-oip.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "decoder.toml"
    file.write_text(example, encoding="utf-8")
    options = read_options({"config": str(file)})
    assert options.frame == 1024 and options.answer == "logits"
    named = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page.partition("## Other forms")[2], re.MULTILINE)
    listed = {name.strip("`") for names in named for name in names.split(", ")}
    assert listed == {each.name for each in dataclasses.fields(options)}


SHAPES = st.sampled_from([(6, 8), (1, 6, 8), (3, 6, 8), (0, 6, 8), (1, 3, 6, 8), (6,), (), (8, 6), (2, 0, 8), (4, 4)])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "answer": st.sampled_from(["probability", "logits", "bool"]),
        "cut": st.sampled_from([0, 0.5]),
        "score": st.just("iou"),
        "choose": st.sampled_from(["first", "union", "best"]),
        "size": st.sampled_from([0, 4]),
    },
)

EXTREMES = {
    "b": [True, False],
    "i": [0, 1, -1, 127],
    "u": [0, 1, 255],
    "f": [0, 0.5, 1, 2, -1e4, np.nan, np.inf, -np.inf],
}


@given(OPTIONS, SHAPES, st.sampled_from(list(DTYPES.values())), st.data())
def test_any_answer_is_a_mask_or_refused(options: Any, shape: Any, dtype: Any, data: st.DataObject) -> None:
    try:
        box = adapter(**options)
    except ValueError:  # options that do not go together
        return
    values = st.sampled_from([b"", b"\xff"] if dtype.kind == "O" else EXTREMES[dtype.kind])
    mask, scores = np.empty(shape, dtype), np.empty(data.draw(st.sampled_from([(0,), (1,), (3,), (1, 3)])), dtype)
    for array in (mask, scores):
        array[...] = data.draw(values)
        if array.size:
            array.flat[0] = data.draw(values)
    try:
        came = answered(box, {"mask": mask, "iou": scores})
    except BlackBoxError as error:
        assert 0 < len(str(error)) < 500
        return
    assert came.shape == (6, 8) and came.dtype in (np.bool_, np.float32)
    assert came.dtype == np.bool_ or (came.min() >= -1e-5 and came.max() <= 1 + 1e-5)

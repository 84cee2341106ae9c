"""The wire form of the Open Inference Protocol: what is written is read again, and nothing else is read."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zoo_opt_seg.remote.oip import tensors, wire

NUMERIC = {name: dtype for name, dtype in tensors.DTYPES.items() if name != "BYTES"}


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if draw(st.booleans()):
        elements = draw(st.lists(st.text(max_size=5), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        array = np.empty(len(elements), object)
        array[:] = [text.encode() for text in elements]
        return array.reshape(shape)
    dtype = draw(st.sampled_from(list(NUMERIC.values())))
    more = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **more)))


@given(st.dictionaries(st.text(min_size=1, max_size=5), arrays(), max_size=4), st.data())
def test_what_is_written_is_read_again(given_: dict[str, Any], data: st.DataObject) -> None:
    """Bit for bit, by JSON and by bytes in any mixture."""
    binary = [name for name in given_ if data.draw(st.booleans())]
    body, headers = wire.write("inputs", given_, binary=binary, ask={"mask": True}, head={"id": "7"})
    message = wire.read("inputs", body, headers)
    assert list(message.tensors) == list(given_) and message.head == {"id": "7"} and message.asked == {"mask": True}
    for name, array in given_.items():
        came = message.tensors[name]
        assert came.dtype == array.dtype and came.shape == array.shape and came.flags.aligned
        assert came.tolist() == array.tolist() if array.dtype == object else came.tobytes() == array.tobytes()


def test_the_form_of_the_binary_extension() -> None:
    """As the extension's document says: the JSON, then the tensors' bytes in its order."""
    image, text = np.array([[1.5, -2.0]], np.float32), np.array(["disc", b"\xff"], object)
    body, headers = wire.write("outputs", {"a": image, "t": text}, binary=["a", "t"])
    size = int(headers[wire.LENGTH])
    first, second = json.loads(body[:size])["outputs"]
    assert first == {"name": "a", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    assert second == {"name": "t", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 13}}
    assert body[size:] == struct.pack("<2f", 1.5, -2.0) + struct.pack("<I4sI1s", 4, b"disc", 1, b"\xff")


def test_nan_goes_as_bytes_alone() -> None:
    array = np.array([np.nan, np.inf], np.float32)
    body, headers = wire.write("inputs", {"a": array}, binary=["a"])
    assert wire.read("inputs", body, headers).tensors["a"].tobytes() == array.tobytes()
    with pytest.raises(ValueError, match="a: numbers in JSON must be finite"):
        wire.write("inputs", {"a": array})


def test_nested_data_and_ints_for_floats() -> None:
    entry = {"name": "a", "shape": [2, 2], "datatype": "FP16", "data": [[1, 2.5], [3, 4]]}
    read = wire.read("inputs", json.dumps({"inputs": [entry]}).encode(), {})
    assert read.tensors["a"].tolist() == [[1.0, 2.5], [3.0, 4.0]] and read.tensors["a"].dtype == np.float16


def test_by_which_form_the_outputs_are_asked_for() -> None:
    """An output's own word goes before that for all."""
    asked = [{"name": "mask"}, {"name": "score", "parameters": {"binary_data": False}}]
    whole = {"inputs": [], "outputs": asked, "parameters": {"binary_data_output": True}}
    message = wire.read("inputs", json.dumps(whole).encode(), {})
    assert message.wants_binary("mask") and not message.wants_binary("score")
    assert message.wants("mask") and not message.wants("other")
    plain = wire.read("inputs", b'{"inputs": []}', {})
    assert plain.wants("mask") and not plain.wants_binary("mask")


def one(**entry: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "a", "shape": [2], "datatype": "INT8", "data": [1, 2], **entry}]}


REFUSED: list[tuple[Any, str]] = [
    ([], "must be a JSON object, got list"),
    ({}, "inputs must be a list"),
    ({"inputs": 3}, "inputs must be a list"),
    ({"inputs": [3]}, r"inputs\[0\] must be an object"),
    ({"inputs": [], "parameters": []}, None),  # empty and null are nothing said
    ({"inputs": [], "parameters": [1]}, "parameters must be an object"),
    ({"inputs": [], "outputs": [{}]}, r"outputs\[0\]: name must be a text, got None"),
    ({"inputs": 2 * one()["inputs"]}, "different names, got 'a' twice"),
    (one(name=""), r"inputs\[0\]: name must be a text"),
    (one(shape=2), "a: shape must be a list"),
    (one(shape=[-2]), "a: shape must be a list"),
    (one(shape=[True, 2]), "a: shape must be a list"),
    (one(shape=[2.0]), "a: shape must be a list"),
    (one(shape=[1] * 9), "a: shape must be a list"),
    (one(shape=[10**12, 10**12]), "a: shape .* has 10{24} values, got 2"),
    (one(shape=[3]), "a: shape .* has 3 values, got 2"),
    (one(datatype="INT7"), "a: datatype must be one of"),
    (one(datatype=["INT8"]), "a: datatype must be one of"),
    (one(data=None), "a: data must be a list"),
    (one(data="12"), "a: data must be a list"),
    (one(data=[1, 300]), "a: a value does not fit into INT8"),
    (one(data=[1, True]), "a: data of INT8 must be whole numbers"),
    (one(data=[1, 2.0]), "a: data of INT8 must be whole numbers"),
    (one(data=[1, [2]]), "a: data of INT8 must be whole numbers"),
    (one(shape=[1, 2], data=[[1], [2]]), "a: data must be flat, or nested as its shape"),
    (one(shape=[2, 2], data=[[1, 2], [2]]), "a: data must be flat, or nested as its shape"),
    (one(datatype="UINT8", data=[1, -1]), "a: a value does not fit into UINT8"),
    (one(datatype="FP16", data=[1, 1e6]), "a: a value does not fit into FP16"),
    (one(datatype="FP32", data=[1, 10**400]), "a: a value does not fit into FP32"),
    (one(datatype="FP32", data=["1", "2"]), "a: data of FP32 must be numbers"),
    (one(datatype="BOOL", data=[0, 1]), "a: data of BOOL must be true and false"),
    (one(datatype="BYTES"), "a: data of BYTES must be texts"),
    (one(datatype="BYTES", data=["a", "\ud800"]), "a: texts must be Unicode"),
    (one(parameters={"binary_data_size": 2}), "a: a tensor must have data or binary_data_size"),
    (one(parameters={"binary_data_size": "2"}), "a: binary_data_size must be a whole number"),
    (one(parameters=[1]), r"inputs\[0\] must be an object whose parameters are one too"),
]


@pytest.mark.parametrize(("whole", "complaint"), REFUSED)
def test_json_that_is_refused(whole: Any, complaint: str | None) -> None:
    body = json.dumps(whole).encode()
    if complaint is None:
        assert wire.read("inputs", body, {}).tensors == {}
        return
    with pytest.raises(ValueError, match=complaint):
        wire.read("inputs", body, {})


RAW = [
    (b"", "must be JSON"),
    (b"\xff", "must be JSON"),
    (b"[" * 100_000, "must be JSON"),
    (b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [NaN]}]}', "NaN is no number of JSON"),
    (b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1e999]}]}', "does not fit into FP32"),
    (b'{"inputs": [{"name": "a", "shape": ' + b"9" * 5000 + b"}]}", "must be JSON"),
]


@pytest.mark.parametrize(("body", "complaint"), RAW)
def test_bytes_that_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        wire.read("inputs", body, {})


@pytest.mark.parametrize("said", ["-1", "1.0", "", "9" * 30, "1000", "٣", "abc"])
def test_a_length_that_is_none(said: str) -> None:
    with pytest.raises(ValueError, match=f"{wire.LENGTH} must be a number of bytes up to the body's 14"):
        wire.read("inputs", b'{"inputs": []}', {wire.LENGTH: said})


def binary(datatype: str, shape: list[int], data: bytes, size: int | None = None) -> tuple[bytes, dict[str, str]]:
    said = len(data) if size is None else size
    entry = {"name": "a", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": said}}
    text = json.dumps({"inputs": [entry]}).encode()
    return text + data, {wire.LENGTH: str(len(text))}


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        (binary("FP32", [2], bytes(7)), r"a: FP32 of shape \[2\] has 8 bytes, got 7"),
        (binary("FP32", [2], bytes(7), 8), "a: its 8 binary bytes must follow the JSON, got 7"),
        (binary("FP32", [2], bytes(9), 8), "1 bytes that belong to no tensor"),
        (binary("FP32", [1 << 40] * 8, bytes(8)), "a: FP32 of shape"),
        (binary("BOOL", [2], b"\x00\x02"), "a: a BOOL must be 0 or 1, got 2"),
        (binary("BYTES", [1 << 40], b"\x00\x00\x00\x00"), "BYTES have at least"),
        (binary("BYTES", [1], b"\xff\xff\xff\xffa"), "must end within its 5 bytes"),
        (binary("BYTES", [2], b"\x04\x00\x00\x00abcd"), "must end within its 8 bytes"),
        (binary("BYTES", [1], b"\x00\x00\x00\x00a"), "1 BYTES end at byte 4, got 5"),
    ],
)
def test_binary_that_is_refused(question: tuple[bytes, dict[str, str]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        wire.read("inputs", *question)


def test_json_is_bounded() -> None:
    body, headers = wire.write("inputs", {"a": np.zeros(100, np.int8)})
    with pytest.raises(ValueError, match="must have at most 100 bytes"):
        wire.read("inputs", body, headers, most_json=100)


def test_what_has_no_datatype() -> None:
    with pytest.raises(ValueError, match=r"a tensor must be of BOOL, .* got an array of complex64"):
        wire.write("inputs", {"a": np.zeros(1, np.complex64)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["FP32", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SHAPES = st.lists(st.integers(-1, 5) | st.integers(), max_size=4) | JSON
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("a") | JSON,
        "shape": SHAPES,
        "datatype": st.sampled_from(list(tensors.DTYPES)) | JSON,
        "data": st.lists(st.integers(0, 9)) | JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(0, 20) | JSON}) | JSON,
    },
)


@given(
    st.fixed_dictionaries({}, optional={"inputs": st.lists(ENTRY, max_size=3) | JSON, "outputs": JSON}) | JSON,
    st.binary(max_size=24),
    st.none() | st.integers(-3, 3),
)
def test_anything_is_read_or_refused_in_one_sentence(whole: Any, behind: bytes, shift: int | None) -> None:
    text = json.dumps(whole).encode()
    body, headers = text + behind, {} if shift is None else {wire.LENGTH: str(len(text) + shift)}
    try:
        message = wire.read("inputs", body, headers)
    except ValueError as error:
        assert 0 < len(str(error)) < 500 and "\n" not in str(error)
    else:
        assert sum(array.nbytes for array in message.tensors.values()) <= 8 * len(body)


@given(st.data())
def test_a_damaged_message_is_read_or_refused(data: st.DataObject) -> None:
    arrays_ = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "t": np.array(["x", "yz"], object)}
    body, headers = wire.write("inputs", arrays_, binary=["a", "t"])
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for one_ in (bytes(damaged), bytes(damaged[:cut])):
        try:
            wire.read("inputs", one_, headers)
        except ValueError as error:
            assert str(error)

"""Our client of the Open Inference Protocol against real servers: Triton, MLServer, KServe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from services import asking
from services.asking import IMAGES, PROMPTS, answers, expected

from zoo_opt import Refused
from zoo_opt_seg.blackbox.protocol import BlackBoxError, PartlyAnswered
from zoo_opt_seg.prompts import Prompts

pytestmark = pytest.mark.slow
DECODER = {  # of the model ``decoder`` of `servers/triton.py`
    "image": "picture",
    "points": "point_coords",
    "labels": "point_labels",
    "mask": "masks",
    "score": "iou_predictions",
    "frame": 64,
    "answer": "logits",
}
ONE_POINT = Prompts(points=[[[3, 4]], [[27, 19]], [[14, 10]], [[20, 2]]])


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with asking.triton(tmp_path_factory.mktemp("triton")) as url:
        yield url


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with asking.mlserver(tmp_path_factory.mktemp("mlserver")) as url:
        yield url


# ------------------------------------------------------------------------------------------------------------- Triton
@pytest.mark.parametrize("binary", ["auto", "yes", "no"])
def test_triton_answers_bit_for_bit(triton: str, binary: str) -> None:
    assert answers(f"{triton}/likeness", binary=binary).tobytes() == expected().tobytes()
    assert answers(f"{triton}/likeness", binary=binary, version=1, cut=0.5).tolist() == (expected() > 0.5).tolist()


def test_triton_with_another_form(triton: str) -> None:
    """Names, CHW, bytes, a batch's axis, a frame of 64 pixels, labels of FP32, logits, the best of three masks."""
    bytes_ = np.rint(255 * IMAGES).astype(np.uint8)
    likeness = expected(bytes_.astype(np.float32) / np.float32(255), ONE_POINT)
    probabilities = np.float32(1) / (np.float32(1) + np.exp(-8 * (likeness - np.float32(0.5))))
    for binary in ("auto", "no"):
        for images in (bytes_, IMAGES):
            came = answers(f"{triton}/decoder", images, ONE_POINT, **DECODER, binary=binary)
            assert came.dtype == np.float32 and came.tobytes() == probabilities.tobytes()


def test_triton_says_what_it_has(triton: str) -> None:
    with pytest.raises(
        ValueError, match=r"image must be an input .*, got 'image'; the model says that it takes picture UI"
    ):
        answers(f"{triton}/decoder")
    with pytest.raises(ValueError, match="the model takes no text"):
        answers(f"{triton}/likeness", IMAGES[:1], Prompts(texts=("disc",)))
    with pytest.raises(Refused, match="unknown model: 'nothing' is not found"):
        answers(f"{triton}/nothing")


def test_what_fails_in_triton_fails_alone(triton: str) -> None:
    """The model raises for one image: the others have their masks."""
    outside = Prompts(points=[[[3, 4]], [[-1, -1]], [[14, 10]], [[20, 2]]])
    with pytest.raises(PartlyAnswered, match="a point outside") as part:
        answers(f"{triton}/likeness", IMAGES, outside)
    assert list(part.value.errors) == [1] and type(part.value.errors[1]) is BlackBoxError
    there = part.value.answered
    assert part.value.masks[there].tobytes() == expected(IMAGES, ONE_POINT)[there].tobytes()


# ----------------------------------------------------------------------------------------------------------- MLServer
@pytest.mark.parametrize("model", ["likeness", "silent"])
def test_mlserver_answers_bit_for_bit(mlserver: str, model: str) -> None:
    """By JSON, as its metadata says, whether it says anything of the model or nothing."""
    assert answers(f"{mlserver}/{model}").tobytes() == expected().tobytes()


def test_mlserver_takes_no_binary_tensors(mlserver: str) -> None:
    """Why the client asks the server first what it can."""
    with pytest.raises(BlackBoxError, match=r"answered (422|500)"):
        answers(f"{mlserver}/likeness", binary="yes")


def test_mlserver_says_what_it_has(mlserver: str) -> None:
    with pytest.raises(ValueError, match=r"mask must be an output of the model, got 'masks'; .* gives mask FP32"):
        answers(f"{mlserver}/likeness", mask="masks")
    with pytest.raises(BlackBoxError, match="must have the output masks, got "):
        answers(f"{mlserver}/silent", mask="masks")
    with pytest.raises(Refused, match="Model nothing not found"):
        answers(f"{mlserver}/nothing")


# ------------------------------------------------------------------------------------------------------------- KServe
def test_kserve_answers_bit_for_bit(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = [{}, {"binary": "yes"}]
    for came in asking.kserve_answers(tmp_path, asked):
        assert came.tobytes() == expected(IMAGES, PROMPTS).tobytes()


def test_our_predictor_in_kserve(tmp_path: Path) -> None:
    """As `zoo-opt-seg serve` answers: probabilities, and BOOL where a question asks for it."""
    asked: list[dict[str, Any]] = [{}, {"binary": "yes"}, {"parameters": {"mask_datatype": "BOOL"}}]
    as_json, as_bytes, hard = asking.kserve_answers(tmp_path, asked, "kserve_ours.py")
    assert as_json.tobytes() == as_bytes.tobytes() == expected().tobytes()
    assert hard.dtype == np.bool_ and (hard == (expected() > 0.5)).all()
    status, text = json.loads((tmp_path / "wrong.json").read_text())
    assert status == 400 and "inputs must be some of image, points, labels, box, text, got 'picture'" in text

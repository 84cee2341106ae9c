"""An image of any size through a square, a visual prompt and a refiner, and back."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from seg.checks import raises
from seg.small import SIZE, small_sam

from zoo_opt import NotServed, Refused
from zoo_opt_seg.blackbox import SamBlackBox
from zoo_opt_seg.blackbox.protocol import BlackBoxError, PartlyAnswered
from zoo_opt_seg.data.fitting import Fit
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine import RefinedPrompt, Refiner
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet
from zoo_opt_seg.serve.segmenting import Segmenter, Shown, segmenter_in
from zoo_opt_seg.visual_prompts import TrainedPrompt, make_prompt, save_prompt

POINT = Prompts(points=np.array([[[9.0, 7.0]]], np.float32))
BOX = Prompts(boxes=np.array([[2.0, 3.0, 20.0, 15.0]], np.float32))


@cache
def sam():
    return SamBlackBox(sam=small_sam(), name="small")


def picture(height=SIZE, width=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def adapted(refined=False):
    prompt = make_prompt("filter", SIZE)
    trained = TrainedPrompt(prompt, np.linspace(-0.2, 0.2, prompt.dim).astype(np.float32))
    if not refined:
        return trained
    torch.manual_seed(3)
    net = RefinerNet(RefinerConfig(channels=(4, 8)))
    torch.nn.init.constant_(net.trust, 0.7)
    return RefinedPrompt(trained, Refiner([net]))


class Telling:
    """Answers with the red of the image; raises what it is given, once for each; counts."""

    name = "telling"

    def __init__(self, *raises):
        self.raises, self.asked = list(raises), []

    def __call__(self, images, prompts):
        self.asked.append(len(images))
        if self.raises and (error := self.raises.pop(0)):
            raise error
        return images[..., 0].astype(np.float32) / (255 if images.dtype == np.uint8 else 1)


@pytest.mark.parametrize("prompts", [POINT, BOX], ids=["point", "box"])
@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_has_the_size_is_answered_as_in_process_bit_for_bit(prompts, size, kind):
    image = picture() if kind == np.uint8 else np.float32(picture() / 255 + 1e-4).clip(0, 1)
    np.testing.assert_array_equal(Segmenter(sam(), size=size)(image, prompts), sam()(image[None], prompts)[0])


def test_any_size_is_asked_as_it_is_without_a_size():
    image = picture(40, 56)
    np.testing.assert_array_equal(Segmenter(sam())(image, POINT), sam()(image[None], POINT)[0])


@pytest.mark.parametrize("size", [None, SIZE])
def test_an_image_of_one_row_is_answered(size):
    answer = Segmenter(sam(), size=size)(picture(1, 40 * SIZE), Prompts(points=np.float32([[[30, 0]]])))
    assert answer.shape == (1, 40 * SIZE) and np.isfinite(answer).all()


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("how", [{}, {"fit": "pad"}, {"fit": "pad", "crop": (2, 1, 0, 3)}])
def test_an_adapted_model_is_its_parts_one_after_the_other(refined, how):
    image, prompt = picture(40, 56), adapted(refined)
    answer = Segmenter(sam(), prompt, **how)(image, POINT)
    part = (0, 2, 53, 39) if "crop" in how else None
    fit = Fit(SIZE, (56, 40), how.get("fit", "stretch"), part)
    square = fit.picture(Image.fromarray(image))
    expected = fit.back(prompt.predict(sam(), square[None], POINT.moved(fit.points))[0])
    assert answer.shape == (40, 56) and answer.dtype == np.float32
    np.testing.assert_array_equal(answer, expected)
    assert np.ptp(answer) > 0 and not np.array_equal(answer, Segmenter(sam(), size=SIZE, **how)(image, POINT))


@pytest.mark.parametrize("refined", [False, True])
def test_questions_of_one_kind_are_one_question_and_answer_as_one_by_one(refined):
    images = [picture(40, 56, seed) for seed in range(3)] + [picture(30, 30, 9)]
    prompts = [POINT, BOX, POINT, POINT]
    segmenter = Segmenter(sam(), adapted(refined))
    asked = [segmenter.shown(image, given) for image, given in zip(images, prompts, strict=True)]
    together = segmenter.answers(asked)
    for shown, answer in zip(asked, together, strict=True):
        np.testing.assert_allclose(answer, segmenter.answer(shown), atol=2e-6)
    telling = Telling()
    squares = Segmenter(telling, size=SIZE)
    squares.answers([squares.shown(image, given) for image, given in zip(images, prompts, strict=True)])
    assert sorted(telling.asked) == [1, 3]  # the box, and three points


def shown(n):
    return [Shown(picture(seed=seed), POINT) for seed in range(n)]


def test_one_that_fails_takes_no_other_with_it():
    telling = Telling(RuntimeError("all"), RuntimeError("the first"))
    first, second = Segmenter(telling).answers(shown(2))
    assert str(first) == "the first" and second.shape == (SIZE, SIZE) and telling.asked == [2, 1, 1]
    for error in (NotServed("busy", retry_after=2.0), Refused("no")):
        telling = Telling(error)
        assert Segmenter(telling).answers(shown(2)) == [error, error] and telling.asked == [2]
    masks = np.zeros((3, SIZE, SIZE), np.float32)
    busy = NotServed("busy")
    part = PartlyAnswered(masks, {1: busy})
    telling = Telling(part)
    answers = Segmenter(telling, adapted()).answers(shown(3))
    assert answers[1] is busy and telling.asked == [3]  # nothing that was answered is asked again
    assert all(np.array_equal(answers[row], masks[row]) for row in (0, 2))
    telling = Telling(PartlyAnswered(masks[:1], {0: busy}))
    raises(NotServed, "busy", Segmenter(telling), picture(), POINT)
    raises(ValueError, "got NaN", Segmenter(lambda images, _: np.full(images.shape[:3], np.nan)), picture(), POINT)


def test_one_view_that_fails_fails_the_image():
    prompt = make_prompt("views", SIZE)
    trained = TrainedPrompt(prompt, prompt.x0(0))
    masks = np.zeros((prompt.views, SIZE, SIZE), np.float32)
    telling = Telling(PartlyAnswered(masks, {1: BlackBoxError("broken")}))
    raises(BlackBoxError, "broken", Segmenter(telling, trained), picture(), POINT)


def at(x, y):
    return Prompts(points=np.array([[[x, y]]], np.float32))


def around(*sides):
    return Prompts(boxes=np.array([sides], np.float32))


@pytest.mark.parametrize(
    ("image", "prompts", "error", "said"),
    [
        (picture()[..., 0], POINT, ValueError, "image must have shape"),
        (picture()[..., :2], POINT, ValueError, "images must have shape"),
        (picture().astype(np.int32), POINT, TypeError, "images must be a numpy array of uint8"),
        (np.full((9, 9, 3), 2.0, np.float32), POINT, ValueError, "images must be"),
        (picture(), Prompts.nothing(2), ValueError, "prompts must be one per image, got 2"),
        (picture(), at(SIZE, 3), ValueError, r"points must lie in \(0, 0, 32, 32\), which is shown"),
        (picture(), at(-1, 3), ValueError, "points must lie in"),
        (picture(), around(40, 1, 50, 5), ValueError, "boxes must lie in"),
        (picture(), around(-40, 1, 50, 5), ValueError, "boxes must lie in"),
        (picture(), around(1, 1, 1e30, 5), ValueError, "boxes must lie in"),
    ],
)
@pytest.mark.parametrize("size", [None, SIZE])
def test_what_is_wrong_is_said(image, prompts, error, said, size):
    telling = Telling()
    raises(error, said, Segmenter(telling, size=size), image, prompts)
    assert telling.asked == []


def test_settings():
    raises(ValueError, f"size must be {SIZE}, that of the prompt, got 64", Segmenter, sam(), adapted(), 64)
    raises(ValueError, "fit and crop need a size", Segmenter, sam(), fit="pad")
    raises(ValueError, "crop must be four numbers", Segmenter, sam(), size=32, crop=3)
    raises(ValueError, "nothing is left", Segmenter(sam(), size=SIZE, crop=(20, 20, 0, 0)), picture(), POINT)


@pytest.mark.parametrize("refined", [False, True])
def test_a_result_folder(tmp_path, refined):
    prompt = adapted(refined)
    save_prompt(tmp_path / "prompt.npz", prompt.prompt, prompt.x)
    if refined:
        prompt.refiner.save(tmp_path / "refiner.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"prepared": {"fit": "pad", "crop": [1, 2, 3, 4]}}))
    loaded = segmenter_in(tmp_path, sam())
    assert (loaded.size, loaded.fit, loaded.crop) == (SIZE, "pad", (1, 2, 3, 4))
    expected = Segmenter(sam(), prompt, fit="pad", crop=(1, 2, 3, 4))(picture(50, 40), POINT)
    np.testing.assert_array_equal(loaded(picture(50, 40), POINT), expected)
    raises(FileNotFoundError, "none", segmenter_in, tmp_path / "none", sam())


WRONG_KINDS = {
    ("points", "texts"): (Prompts(texts=("a disc",)), "the model is asked by points or boxes, got texts"),
    ("points", "nothing"): (Prompts.nothing(1), "the model is asked by points or boxes, got an image alone"),
    ("boxes", "points"): (POINT, "the model is asked by boxes, got points, labels"),
    ("boxes", "a row of NaN"): (
        Prompts(boxes=np.full((1, 4), np.nan)),
        "the model is asked by boxes, got an image alone",
    ),
    ("text", "boxes"): (BOX, "the model is asked by texts, got boxes"),
}


@pytest.mark.parametrize("case", WRONG_KINDS)
def test_a_question_of_another_kind_is_refused_before_the_model_is_asked(case):
    """So that whoever asks is told what to ask by, 400, and not that the model failed, 500."""
    model = Telling()
    model.prompted_by = case[0]
    prompts, words = WRONG_KINDS[case]
    raises(ValueError, words, Segmenter(model).shown, picture(), prompts)
    assert not model.asked


def test_any_kind_will_do_where_the_model_does_not_say():
    for prompts in (POINT, BOX, Prompts(texts=("a disc",)), Prompts.nothing(1)):
        assert Segmenter(Telling())(picture(), prompts).shape == (SIZE, SIZE)

"""Refiners: what they see, that they change nothing before they learn, and that they learn from answers alone."""

import numpy as np
import pytest
import torch
from refusals import raises

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import PartlyAnswered
from zoo_opt_seg.data import load_data
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.trivial import Disk
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine import Answers, Refined, Refiner, Silent, ask, load_refiner, train_refiner
from zoo_opt_seg.refine import training as refine_training
from zoo_opt_seg.refine.network import REACH, RefinerConfig, RefinerNet, evidence_of, guides_of
from zoo_opt_seg.refine.training import moved_together

SIZE = 32
SMALL = RefinerConfig(channels=(8, 16))


class Uncertain:
    """A disk around the point as probabilities of .3 and .7; counts what it is asked."""

    name = "disk of .3 and .7"

    def __init__(self):
        self.asked = []

    def __call__(self, images, prompts):
        self.asked.append((images, prompts))
        return np.where(Disk(6.0)(images, prompts), 0.7, 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def splits():
    return load_data("disc", None, SIZE, 0)


@pytest.fixture(scope="module")
def samples(splits):
    return splits.train[splits.train.with_object][:12]


@pytest.fixture(scope="module")
def trained(samples):
    return train_refiner(ask(Uncertain(), samples, questions=2), config=SMALL, steps=40)[0]


def fresh(**config):
    torch.manual_seed(0)
    return Refiner(RefinerNet(RefinerConfig(channels=(8, 16), **config)))


def question(n=3, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)
    return images, Prompts(points=rng.uniform(0, SIZE - 1, (n, 1, 2)))


# ---------------------------------------------------------------------------------------------- before it has learnt
def test_an_untrained_refiner_changes_no_probability():
    images, prompts = question()
    answers = np.random.default_rng(1).uniform(0.03, 0.97, (3, SIZE, SIZE)).astype(np.float32)
    np.testing.assert_allclose(fresh().correct(images, prompts, answers), answers, atol=1e-6)


@pytest.mark.parametrize("mask", ["blob", "nothing", "everything"])
def test_an_untrained_refiner_changes_no_mask(mask):
    images, prompts = question()
    answers = np.zeros((3, SIZE, SIZE), bool) if mask == "nothing" else np.ones((3, SIZE, SIZE), bool)
    if mask == "blob":
        answers[:, :7] = answers[:, :, 20:] = False
    corrected = fresh(hard=True).correct(images, prompts, answers)
    np.testing.assert_array_equal(corrected > 0.5, answers)


def test_a_row_that_was_not_answered_stays_so():
    images, prompts = question()
    answers = np.full((3, SIZE, SIZE), 0.4, np.float32)
    answers[1, 3, 3] = np.nan
    corrected = fresh().correct(images, prompts, answers)
    assert np.isnan(corrected).all(axis=(1, 2)).tolist() == [False, True, False]
    assert not np.isnan(corrected[[0, 2]]).any()


# ------------------------------------------------------------------------------------------------------ what it sees
def test_prompts_as_images():
    prompts = Prompts(
        points=np.array([[[5, 9], [20, 3]], [[1, 1], [7, 7]]]),
        labels=np.array([[1, 0], [-1, 1]]),
        boxes=np.array([[np.nan] * 4, [2, 3, 10, 12]]),
    )
    guides = guides_of(prompts, (16, 24), sigma=0.05)
    assert guides.shape == (2, 3, 16, 24)
    peaks = [np.unravel_index(guides[row, channel].argmax(), (16, 24)) for row, channel in ((0, 0), (0, 1), (1, 0))]
    assert peaks == [(9, 5), (3, 20), (7, 7)]
    assert guides[0, 0, 9, 5] == 1.0 and guides[0, 0, 9, 8] == pytest.approx(np.exp(-0.5 * (3 / 1.2) ** 2), abs=1e-6)
    assert not guides[1, 1].any() and not guides[0, 2].any()
    box = np.zeros((16, 24), np.float32)
    box[3:13, 2:11] = 1
    np.testing.assert_array_equal(guides[1, 2], box)


def test_probabilities_as_evidence():
    p = np.array([0.0, 0.1, 0.5, 0.9, 1.0], np.float32).reshape(1, 1, 5)
    logits = [-REACH, np.log(1 / 9), 0.0, np.log(9), REACH]
    np.testing.assert_allclose(evidence_of(p).ravel(), logits, rtol=1e-5, atol=1e-6)


def test_masks_as_evidence():
    mask = np.zeros((1, 64, 64), bool)
    mask[0, :, 32:] = True
    row = evidence_of(mask)[0, 0, 5]
    np.testing.assert_array_equal(row[29:36], [-3, -2, -1, 1, 2, 3, 4])
    assert (row[:28] == -REACH).all() and (row[36:] == REACH).all()


@pytest.mark.parametrize("seed", range(4))
def test_image_prompt_answer_and_label_move_together(seed, monkeypatch):
    for light in ("_LIGHT", "_CONTRAST", "_SATURATION"):
        monkeypatch.setattr(refine_training, light, 0.0)
    picture = torch.rand(3, 1, 24, 24, generator=torch.Generator().manual_seed(seed))
    moved = moved_together(picture.repeat(1, 8, 1, 1), np.random.default_rng(seed))
    for layer in range(1, 8):
        torch.testing.assert_close(moved[:, layer], moved[:, 0], atol=1e-5, rtol=0)
    assert not torch.allclose(moved[:, 0], picture[:, 0], atol=0.1)


# ------------------------------------------------------------------------------------------------------ what it asks
def test_asks_each_image_so_often_as_evaluate_does(samples):
    box, measured = Uncertain(), Uncertain()
    answers = ask(box, samples, questions=3, seed=5, batch=7)
    evaluate(measured, samples, repeats=3, seed=5, distances=False)
    asked, known = (np.concatenate([prompts.points for _, prompts in one.asked]) for one in (box, measured))
    assert len(answers) == len(asked) == 3 * len(samples) and max(len(images) for images, _ in box.asked) == 7
    np.testing.assert_array_equal(asked, known)
    np.testing.assert_array_equal(answers.images[answers.rows], np.concatenate([images for images, _ in box.asked]))


def test_what_was_not_answered_is_left_out(samples):
    bad = {image.tobytes() for image in samples.images[::2]}

    def flaky(images, prompts):
        errors = {row: ValueError("no") for row, image in enumerate(images) if image.tobytes() in bad}
        raise PartlyAnswered(np.full(images.shape[:3], 0.5, np.float32), errors)

    answers = ask(flaky, samples, questions=1, batch=4)
    assert answers.rows.tolist() == list(range(1, len(samples), 2))
    np.testing.assert_array_equal(answers.prompts.points, draw_prompts("random", samples, (0, 0)).points[answers.rows])


# ------------------------------------------------------------------------------------------------------ what it learns
def test_learns_to_correct(splits, trained):
    held_out = splits.validation[splits.validation.with_object]
    before, after = (
        evaluate(box, held_out, repeats=1, distances=False).per_image().mean()
        for box in (Uncertain(), Refined(Uncertain(), trained))
    )
    assert before < 0.7 and after > before + 0.1


def test_learns_from_masks_and_keeps_the_best_epoch(splits, samples):
    def hard(images, prompts):
        return Disk(6.0)(images, prompts)

    held_out = ask(hard, splits.validation[splits.validation.with_object][:10], questions=1)
    refiner, fitted = train_refiner(ask(hard, samples, questions=2), held_out, config=SMALL, steps=25)
    assert refiner.config.hard
    assert fitted.best_dice == max(epoch.dice for epoch in fitted.history) > fitted.history[0].dice + 0.05
    truth = held_out.masks[held_out.rows]
    mask = refiner.correct(held_out.images[held_out.rows], held_out.prompts, held_out.answers) > 0.5
    both = 2 * (mask & truth).sum((1, 2)) / (mask.sum((1, 2)) + truth.sum((1, 2)))
    assert both.mean() == pytest.approx(fitted.best_dice, abs=1e-6)


def test_the_same_answers_and_seed_give_the_same_refiner(samples, trained):
    torch.rand(3)  # what was drawn before says nothing
    again = train_refiner(ask(Uncertain(), samples, questions=2), config=SMALL, steps=40)[0]
    for ours, theirs in zip(again.net.parameters(), trained.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_refiner_of_nobody_asks_nobody(samples):
    answers = ask(Silent(), samples, questions=1)
    assert (answers.answers == 0.5).all() and not evidence_of(answers.answers).any()


# ------------------------------------------------------------------------------------------------------ file and name
def test_a_file_gives_the_same_refiner(tmp_path, trained):
    trained.save(tmp_path / "refiner.safetensors")
    again = load_refiner(tmp_path / "refiner.safetensors")
    images, prompts = question()
    answers = Uncertain()(images, prompts)
    corrected = trained.correct(images, prompts, answers)
    np.testing.assert_array_equal(again.correct(images, prompts, answers), corrected)
    boxes = [Refined(Uncertain(), refiner) for refiner in (trained, again, fresh())]
    assert boxes[0].name == boxes[1].name != boxes[2].name
    np.testing.assert_array_equal(boxes[0](images, prompts), corrected)


def test_what_is_no_refiner(tmp_path, trained):
    path = tmp_path / "refiner.safetensors"
    trained.save(path)
    whole = path.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole.replace(b"refiner 1", b"refiner 9")):
        path.write_bytes(broken)
        raises(CheckpointError, "refiner.safetensors", load_refiner, path)
    raises(FileNotFoundError, None, load_refiner, tmp_path / "none")


IMAGES, PROMPTS = question()
GIVEN = {
    "images": IMAGES,
    "masks": np.ones((3, SIZE, SIZE), bool),
    "rows": [0, 1, 2],
    "prompts": PROMPTS,
    "answers": np.full((3, SIZE, SIZE), 0.5, np.float32),
}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Answers(**GIVEN | {"masks": np.ones((3, 8, 8), bool)}), "masks must have the shape"),
        (lambda: Answers(**GIVEN | {"rows": [0, 1, 3]}), "rows must be numbers of the 3 images"),
        (lambda: Answers(**GIVEN | {"rows": [0, 1]}), "prompts must be one per image"),
        (lambda: Answers(**GIVEN | {"answers": np.full((3, SIZE, SIZE), 7.0)}), "probabilities in"),
        (lambda: ask(Silent(), load_data("disc", None, SIZE, 0).train[:0]), "samples must hold an image"),
        (lambda: train_refiner(None), "answers must be"),
        (lambda: train_refiner(Answers(**GIVEN), steps=0), "steps must be"),
        (lambda: fresh().correct(IMAGES, PROMPTS, GIVEN["masks"]), "answers must be probabilities"),
        (lambda: RefinerConfig(channels=(2,)), "channels must be"),
    ],
)
def test_refusals(call, message):
    raises((ValueError, TypeError), message, call)

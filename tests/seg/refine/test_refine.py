"""Refiners: what they see, that they change nothing before they learn, and that they learn from answers alone."""

import itertools

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
from zoo_opt_seg.refine import Answers, Refined, Refiner, Silent, ask, augmentation, load_refiner, train_refiner
from zoo_opt_seg.refine import training as refine_training
from zoo_opt_seg.refine.augmentation import moved_together
from zoo_opt_seg.refine.network import REACH, RefinerConfig, RefinerNet, evidence_of, guides_of

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
    return load_data("disc", size=SIZE, sizes=(12, 60, 1))


@pytest.fixture(scope="module")
def samples(splits):
    return splits.train[splits.train.with_object][:12]


@pytest.fixture(scope="module")
def trained(samples):
    return train_refiner(ask(Uncertain(), samples, questions=2), config=SMALL, members=2, steps=40).refiner


def fresh(**config):
    torch.manual_seed(0)
    return Refiner([RefinerNet(RefinerConfig(channels=(8, 16), **config))])


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
        monkeypatch.setattr(augmentation, light, 0.0)
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
    done = train_refiner(ask(hard, samples, questions=2), held_out, config=SMALL, members=1, steps=25)
    (fitted,) = done.members
    assert done.refiner.config.hard and done.judged == "validation"
    assert fitted.best_dice == max(epoch.dice for epoch in fitted.history) > fitted.history[0].dice + 0.05
    truth = held_out.masks[held_out.rows]
    mask = done.refiner.correct(held_out.images[held_out.rows], held_out.prompts, held_out.answers) > 0.5
    both = 2 * (mask & truth).sum((1, 2)) / (mask.sum((1, 2)) + truth.sum((1, 2)))
    assert done.shares[1.0] == pytest.approx(fitted.best_dice, abs=1e-6)
    assert both.mean() == pytest.approx(max(done.shares.values()), abs=1e-6)


# -------------------------------------------------------------------------------------------------------- the committee
def test_each_network_is_judged_by_images_that_it_has_not_seen(samples, monkeypatch):
    seen, judged = [], []
    train, correct = refine_training.RefinerTraining, Refiner.corrections

    def training(net, answers, validation):
        seen.append((net, set(answers.about.tolist())))
        return train(net, answers, validation)

    def correcting(self, images, prompts, answers, shares):
        judged.append((self.nets, {image.tobytes() for image in images}))
        return correct(self, images, prompts, answers, shares)

    monkeypatch.setattr(refine_training, "RefinerTraining", training)
    monkeypatch.setattr(Refiner, "corrections", correcting)
    answers = ask(Uncertain(), samples[:7], questions=2)
    twice = Answers.concatenate([answers, answers])  # the same images, in two places
    done = train_refiner(twice, config=SMALL, members=3, steps=1)
    assert len(done.members) == len(seen) == 3 and all(
        net is own for (net, _), own in zip(seen, done.refiner.nets, strict=True)
    )
    assert sorted(len(images) for _, images in seen) == [4, 5, 5]
    number = {image.tobytes(): k for k, image in enumerate(samples.images[:7])}
    for net, images in seen:
        left_out = {number[image] for nets, about in judged if nets == (net,) for image in about}
        assert left_out == set(range(7)) - images


@pytest.mark.parametrize(("times", "given", "steps"), [(1, None, 8), (4, None, 24), (4, 3, 8)])
def test_three_passes_over_the_answers_and_a_least_number_of_steps(samples, monkeypatch, times, given, steps):
    """Many answers are seen three times each, few as often as the least number of steps allows, in whole passes."""
    monkeypatch.setattr(refine_training, "STEPS", 8)
    answers = ask(Uncertain(), samples[:8], questions=2)
    asked = answers[np.tile(np.arange(16), times)]
    done = train_refiner(asked, config=SMALL, members=1, steps=given)  # by eight
    assert done.steps == steps and len(done.members[0].history) == 1 + steps / (2 * times)


def test_where_the_black_box_is_right_it_is_left_alone(samples):
    def oracle(images, prompts):
        return np.stack([known[image.tobytes()] for image in images])

    known = {image.tobytes(): mask for image, mask in zip(samples.images, samples.masks, strict=True)}
    answers = ask(oracle, samples, questions=1)
    done = train_refiner(answers, config=SMALL, members=2, steps=3)
    assert done.refiner.share == 0.0 and done.shares[0.0] == 1.0 and done.judged == "left out"
    corrected = done.refiner.correct(answers.images[answers.rows], answers.prompts, answers.answers)
    np.testing.assert_array_equal(corrected > 0.5, answers.answers)


@pytest.mark.parametrize(("wanted", "best"), [((0, 1, 2, 3, 4), 1.0), ((0, 2, 1, 2, 0), 0.25)])
def test_the_share_is_chosen_by_the_measure(samples, wanted, best):
    answers, scores = ask(Uncertain(), samples, questions=1), itertools.cycle(wanted)

    def measure(probabilities, prompts, truth):
        assert probabilities.shape == truth.shape and len(prompts) == len(truth) and truth.dtype == np.bool_
        return np.full(len(truth), next(scores))

    done = train_refiner(answers, config=SMALL, members=2, steps=1, measure=measure)
    assert done.refiner.share == best and tuple(done.shares.values()) == wanted


@pytest.mark.parametrize(("sure", "share"), [(0.0, 0.5), (1.0, 0.5), (3.0, 0.0)])
def test_a_gain_that_may_be_chance_is_not_followed(samples, sure, share):
    """Twelve images lose 1 or gain 3 in turn: a mean gain of 1 with a standard error of 2 / sqrt(11) = .6."""
    answers, calls = ask(Uncertain(), samples[:12], questions=1), itertools.count()

    def measure(probabilities, prompts, truth):
        changed = next(calls) % 5 == 2  # the third of the five shares
        return np.where(np.arange(len(truth)) % 2, 3.0, -1.0) * changed

    done = train_refiner(answers, config=SMALL, members=2, steps=1, measure=measure, sure=sure)
    assert done.shares[0.5] == 1.0 and done.shares[1.0] == 0.0 and done.refiner.share == share


def test_progress_goes_over_all_networks(samples):
    """The bar began anew with each of four networks, and its time left was that of one."""
    seen = []
    report = lambda epoch, recipe: seen.append((epoch.epoch, recipe.epochs))  # noqa: E731
    answers = ask(Uncertain(), samples, questions=2)
    train_refiner(answers, config=SMALL, members=2, steps=4, report=report)
    each = seen[-1][1] // 2
    assert seen == [(epoch, 2 * each) for before in (0, each) for epoch in range(before, before + each + 1)]


def test_the_answers_that_judge(samples):
    answers = ask(Uncertain(), samples, questions=2)
    all_of_them, some = (
        train_refiner(answers, judge=judge, config=SMALL, members=2, steps=5) for judge in (None, answers[:6])
    )
    assert all_of_them.shares != some.shares and some.shares[0.0] == pytest.approx(answers[:6].dice().mean())
    nobody = train_refiner(answers, judge=answers[:0], config=SMALL, members=2, steps=5)
    assert nobody.shares == {} and nobody.judged == "" and nobody.refiner.share == 1.0
    alone = train_refiner(answers, config=SMALL, members=1, steps=5)
    assert alone.shares == {} and len(alone.refiner.nets) == 1


def test_the_mean_of_the_networks_and_the_share(samples, trained):
    images, prompts = question()
    answers = np.random.default_rng(1).uniform(0.03, 0.97, (3, SIZE, SIZE)).astype(np.float32)

    def logits(refiner):
        p = refiner.correct(images, prompts, answers).astype(np.float64)
        return np.log(p) - np.log1p(-p)

    each = [logits(Refiner([net])) for net in trained.nets]
    np.testing.assert_allclose(logits(Refiner(trained.nets)), np.mean(each, axis=0), atol=1e-3)
    half = 0.5 * np.mean(each, axis=0) + 0.5 * evidence_of(answers)[:, 0]
    np.testing.assert_allclose(logits(Refiner(trained.nets, 0.5)), half, atol=1e-3)


def test_the_same_answers_and_seed_give_the_same_refiner(samples, trained):
    torch.rand(3)  # what was drawn before says nothing
    again = train_refiner(ask(Uncertain(), samples, questions=2), config=SMALL, members=2, steps=40).refiner
    assert again.digest == trained.digest


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
    assert b'"nets": "2"' in whole.replace(b'":"', b'": "')
    many = whole.replace(b'"nets":"2"', b'"nets":"9"')
    assert many != whole
    for broken in (b"", many, whole[: len(whole) // 2], whole.replace(b"refiner 3", b"refiner 9")):
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
        (lambda: ask(Silent(), load_data("disc", size=SIZE, sizes=(1, 1, 1)).train[:0]), "samples must hold an image"),
        (lambda: train_refiner(None), "answers must be"),
        (lambda: train_refiner(Answers(**GIVEN), steps=0), "steps must be"),
        (lambda: train_refiner(Answers(**GIVEN), members=0), "members must be"),
        (lambda: train_refiner(Answers(**GIVEN), judge=Answers(**GIVEN | {"answers": GIVEN["masks"]})), "judge must"),
        (lambda: Answers(**GIVEN, sources=[1, 2]), "sources must be one for each of the 3 images"),
        (lambda: Refiner([]), "nets must be 1 to 64"),
        (lambda: Refiner(fresh().nets, 1.5), "share must be in"),
        (lambda: fresh().correct(IMAGES, PROMPTS, GIVEN["masks"]), "answers must be probabilities"),
        (lambda: RefinerConfig(channels=(2,)), "channels must be"),
        (lambda: RefinerConfig(side=8), "side must be >= 16, got 8"),
    ],
)
def test_refusals(call, message):
    raises((ValueError, TypeError), message, call)

"""The objective against an oracle written out by hand, and that nothing but (seed, step, x) decides a loss."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seg.checks import raises, refused
from seg.prompt_fakes import LinearEncoder, Recorded, brightness, scenes

from zoo_opt_seg import Objective, Prompts
from zoo_opt_seg.data import Samples, centre_points, random_points
from zoo_opt_seg.data.augmentation import augment
from zoo_opt_seg.visual_prompts import BAR, VPT, FilterPrompt, IPDecoder

SAMPLES = scenes(10)


def make(model=brightness, prompt=None, samples=SAMPLES, **options):
    return Objective(model, prompt or FilterPrompt(32), samples, **{"batch": 4, "seed": 3} | options)


def candidates(m: int, dim: int = 30, seed: int = 0):
    return 0.3 * np.random.default_rng(seed).standard_normal((m, dim))


def hand_loss(p, y, loss):
    """BCE + Dice, or Dice, of one image after another."""
    total = []
    for q, t in zip(p.astype(np.float64), y, strict=True):
        value = 1 - (2 * q[t].sum() + 1e-6) / (q.sum() + t.sum() + 1e-6)
        if loss == "bce+dice":
            value += -np.where(t, np.log(q), np.log1p(-q)).mean()
        total.append(value)
    return np.mean(total)


@pytest.mark.parametrize("loss", ["bce+dice", "dice"])
@pytest.mark.parametrize("kind", [None, "paper", "released"])
def test_against_an_oracle(loss, kind):
    objective, X = make(loss=loss, augment=kind), candidates(3)
    for step in (0, 1, 7):
        images, masks, prompts = objective.minibatch(step)
        rows = objective.rows(step)
        expected = SAMPLES.images[rows], SAMPLES.masks[rows]
        if kind is not None:
            expected = augment(*expected, [3, 2, step], kind)
        assert np.array_equal(images, expected[0]) and np.array_equal(masks, expected[1])
        assert np.array_equal(prompts.points, random_points(masks, [3, 3, step]).points)
        losses = objective.losses(X, step)
        assert losses.shape == (3,) and losses.dtype == np.float64
        for x, value in zip(X, losses, strict=True):
            prompt = FilterPrompt(32)
            prompted = prompt(x, prompt.context(images, prompts))
            assert value == pytest.approx(hand_loss(brightness(prompted, prompts), masks, loss), rel=1e-5)


def test_a_start_of_zeros_is_the_zero_shot_loss():
    objective = make(prompt=VPT(32))
    images, masks, prompts = objective.minibatch(0)
    value = hand_loss(brightness(images.astype(np.float32) / np.float32(255), prompts), masks, "bce+dice")
    assert objective(np.zeros(3 * 32 * 32), 0) == pytest.approx(value, rel=1e-5)


def test_rows_are_epochs():
    objective = make(batch=4)
    rows = np.concatenate([objective.rows(step) for step in range(15)])  # 6 epochs of 10
    for epoch in rows.reshape(6, 10):
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in rows.reshape(6, 10)}) == 6
    assert sorted(make(batch=25).rows(0)[:20].tolist()) == sorted([*range(10)] * 2)  # a batch may span epochs
    assert not np.array_equal(make(seed=4).rows(0), objective.rows(0))


def test_empty_masks_are_left_out():
    masks = SAMPLES.masks.copy()
    masks[[2, 5]] = False
    objective = make(samples=Samples(SAMPLES.images, masks, SAMPLES.names))
    assert set(np.concatenate([objective.rows(s) for s in range(8)])) == set(range(10)) - {2, 5}
    with pytest.raises(ValueError, match=r"^samples must hold a mask that is not empty, got none in 10"):
        make(samples=Samples(SAMPLES.images, np.zeros_like(masks), SAMPLES.names))


@settings(max_examples=25)
@given(
    step=st.integers(0, 40),
    order=st.permutations(range(6)),
    cuts=st.lists(st.integers(0, 6), max_size=4),
    kind=st.sampled_from([None, "paper"]),
)
def test_parts_of_a_step_in_any_order_give_the_same_losses(step, order, cuts, kind):
    X = candidates(6)
    whole = make(augment=kind).losses(X, step)
    objective = make(augment=kind)
    for start, end in itertools.pairwise([0, *sorted(cuts), 6]):
        rows = list(order[start:end])
        assert np.array_equal(objective.losses(X[rows].reshape(-1, 30), step), whole[rows])
    assert objective(X[2], step) == whole[2]


def test_steps_in_any_order_give_the_same_losses():
    X = candidates(2)
    one = make(augment="paper")
    forward = {s: one.losses(X, s) for s in range(6)}
    other = make(augment="paper")
    for s in (5, 0, 5, 3, 4, 3, 1, 2, 0):
        assert np.array_equal(other.losses(X, s), forward[s])


def test_calls_and_one_context_a_step():
    class Counting(FilterPrompt):
        contexts = 0

        def context(self, images, prompts):
            self.contexts += 1
            return super().context(images, prompts)

    prompt, model = Counting(32), Recorded()
    objective = make(model, prompt)
    objective.losses(candidates(3), 0)
    objective.losses(candidates(2, seed=1), 0)
    assert prompt.contexts == 1 and objective.calls == 4
    assert sum(len(images) for images, _ in model.asked) == 5 * objective.calls
    objective.losses(candidates(1), 1)
    objective.losses(candidates(1), 0)  # the step before is kept
    assert prompt.contexts == 2
    assert all(np.array_equal(p.points, model.asked[0][1].points) for _, p in model.asked[:5])


def test_the_box_sees_bar_as_it_must():
    prompt, model = BAR(32), Recorded()
    objective = make(model, prompt)
    objective(prompt.x0(0), 0)
    images, prompts = model.asked[0]
    minibatch = objective.minibatch(0)
    assert np.array_equal(prompts.points, prompt.prompts(minibatch.prompts).points)
    expected = hand_loss(prompt.restore(brightness(images, prompts), None, None), minibatch.masks, "bce+dice")
    assert objective(prompt.x0(0), 0) == pytest.approx(expected, rel=1e-5)


def test_hard_masks():
    def hard(images, prompts):
        return brightness(images, prompts) > 0.3

    objective = make(hard, loss="dice")
    value = objective(np.zeros(30), 0)
    images, masks, prompts = objective.minibatch(0)
    assert value == pytest.approx(hand_loss(hard(images.astype(np.float32) / 255, prompts), masks, "dice"), rel=1e-5)
    assert make(hard)(np.zeros(30), 0) == value  # "bce+dice": masks have no cross-entropy
    message = r"^loss must be 'dice' or 'bce\+dice' for a black box that returns hard masks"
    raises(ValueError, message, make(hard, loss="bce"), np.zeros(30), 0)


def test_points():
    centre = make(points="centre")
    assert np.array_equal(centre.minibatch(2).prompts.points, centre_points(centre.minibatch(2).masks).points)
    seeds = []

    def boxes(masks, seed):
        seeds.append(seed)
        return Prompts(boxes=np.array([[0, 0, 5, 5]] * len(masks)), points=np.ones((len(masks), 1, 2)))

    assert make(points=boxes).minibatch(2).prompts.boxes is not None and seeds == [[3, 3, 2]]
    assert not np.array_equal(make().minibatch(0).prompts.points, make().minibatch(1).prompts.points)


def test_candidates_that_are_not_finite_are_not_evaluated():
    model = Recorded()
    X = candidates(3)
    X[1, 4] = np.inf
    losses = make(model).losses(X, 0)
    assert np.isnan(losses[1]) and np.isfinite(losses[[0, 2]]).all() and len(model.asked) == 2


def test_reduction():
    objective = make(loss="dice", reduction="batch")
    images, masks, prompts = objective.minibatch(0)
    p = brightness(images.astype(np.float32) / 255, prompts).astype(np.float64)
    assert objective(np.zeros(30), 0) == pytest.approx(1 - 2 * p[masks].sum() / (p.sum() + masks.sum()), rel=1e-5)


def test_with_an_encoder():
    prompt = IPDecoder(32, encoder=LinearEncoder(), prompt_in=16)
    X = prompt.x0(0) + candidates(2, prompt.dim).astype(np.float32) / 10
    losses = make(prompt=prompt, augment="paper").losses(X, 1)
    assert losses[0] != losses[1] and np.array_equal(losses, make(prompt=prompt, augment="paper").losses(X, 1))


test_wrong_settings = refused(
    make,
    ({"loss": "focal"}, "^loss must be one of 'bce\\+dice'"),
    ({"augment": "heavy"}, "^augment must be one of None, 'paper', 'released', got 'heavy'"),
    ({"reduction": "none"}, "^reduction must be one of"),
    ({"points": "middle"}, "^points must be a number of points >= 1, 'random'"),
    ({"batch": 0}, "^batch must be >= 1"),
    ({"seed": -1}, "^seed must be >= 0"),
    ({"prompt": FilterPrompt(48)}, "^samples must be 48 pixels square, the prompt's size, got 32 x 32"),
)


def test_wrong_calls():
    objective = make()
    for X in (np.zeros(30), np.zeros((2, 29))):
        raises(ValueError, r"^X must have shape \(m, 30\), got", objective.losses, X, 0)
    raises(ValueError, r"^step must be >= 0", objective, np.zeros(30), -1)


def test_global_state_is_left_alone(generators):
    make(augment="released").losses(candidates(1), 0)

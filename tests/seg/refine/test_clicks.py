"""Clicks that correct: where the next one lies, that training gives some, and that a refiner follows them."""

import numpy as np
import pytest
import torch

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine import Refiner, train_refiner
from zoo_opt_seg.refine.answers import Answers
from zoo_opt_seg.refine.clicks import MOST, corrected, next_click
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet, bump, reached

SIZE = 24


def square(x0, y0, side):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y0 : y0 + side, x0 : x0 + side] = True
    return mask


CASES = {
    "missed": (square(4, 8, 5), square(0, 0, 0), (6, 10, 1)),
    "too much": (square(0, 0, 0), square(10, 2, 7), (13, 5, 0)),
    "the larger of two": (square(2, 2, 3) | square(12, 12, 5), square(0, 0, 0), (14, 14, 1)),
    "at the border, which counts as outside": (square(0, 0, 5), square(0, 0, 0), (2, 2, 1)),
    "more missed than too much": (square(2, 2, 5), square(14, 14, 3), (4, 4, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_next_click(name):
    truth, mask, click = CASES[name]
    assert next_click(truth, mask) == click
    for seed in range(20):  # one drawn lies in the same region
        x, y, kind = next_click(truth, mask, np.random.default_rng(seed))
        assert kind == click[2] and (truth ^ mask)[y, x]


def test_no_click_where_nothing_is_wrong():
    assert next_click(square(3, 3, 4), square(3, 3, 4)) is None


def test_training_questions_are_given_clicks_where_the_network_is_wrong():
    net = RefinerNet(RefinerConfig(channels=(4, 4)))
    images, guides, evidence = (torch.zeros(2, n, SIZE, SIZE) for n in (3, 3, 1))
    truth = torch.from_numpy(np.stack([square(4, 4, 9), square(0, 0, 0)]))  # an untrained network finds nothing
    counts = set()
    for seed in range(30):
        given = corrected(net, images, guides, evidence, truth, np.random.default_rng(seed))
        assert not guides.any() and not given[1].any() and not given[0, 1:].any()
        counts.add(int((given[0, 0] == 1).sum()))
        assert truth[0][given[0, 0] == 1].all()
    assert counts == set(range(MOST + 1))


def test_reach():
    prompts = Prompts(np.array([[[3, 3], [18, 12]], [[5, 5], [0, 0]]]), np.array([[1, 0], [1, -1]]))
    found = reached(prompts, (SIZE, SIZE), 0.15)
    np.testing.assert_array_equal(found[0], bump(18, 12, (SIZE, SIZE), 0.15))
    assert not found[1].any()  # one click alone is no correction
    assert reached(prompts, (SIZE, SIZE), 0.0) is None
    assert reached(Prompts(boxes=np.array([[1, 1, 5, 5]])), (SIZE, SIZE), 0.15) is None


def test_near_a_correcting_click_the_networks_are_followed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = RefinerNet(RefinerConfig(channels=(4, 4), reach=0.15))
        torch.nn.init.normal_(net.head.weight)
    images, answers = np.zeros((1, SIZE, SIZE, 3), np.uint8), np.full((1, SIZE, SIZE), 0.9, np.float32)
    for points, near in (([[3, 3]], False), ([[3, 3], [18, 12]], True)):
        prompts = Prompts(np.array([points]))
        as_it_is, part, alone = Refiner([net]).corrections(images, prompts, answers, (0.0, 0.25, 1.0))
        np.testing.assert_allclose(as_it_is, answers, atol=1e-6)  # a share of 0 leaves all as it is, clicks or not
        assert bool(abs(part - alone)[0, 12, 18] < 1e-6) == near and abs(part - alone)[0, 12, 2] > 1e-3


@pytest.mark.slow
def test_a_refiner_learns_to_follow_clicks():
    """Noise, and an answer that knows nothing: two squares look alike, and the clicks alone tell which is meant."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (12, SIZE, SIZE, 3), dtype=np.uint8)
    left, right = square(3, 8, 7), square(14, 8, 7)
    images[:, left | right] = 200
    masks = np.stack([left | right if k % 2 else left for k in range(12)])
    prompts = Prompts(np.tile(np.array([[[6, 11]]]), (12, 1, 1)))
    answers = Answers(images, masks, np.arange(12), prompts, np.full((12, SIZE, SIZE), 0.5, np.float32))
    config = RefinerConfig(channels=(8, 8), reach=0.15)
    refiner = train_refiner(answers, members=1, steps=150, clicks=True, config=config).refiner
    for label in (0, 1):
        two = Prompts(np.array([[[6, 11], [17, 11]]]), np.array([[1, label]]))
        found = refiner.correct(images[:1], two, answers.answers[:1])[0]
        assert (found[right].mean() > 0.5) == bool(label) and found[left].mean() > 0.5, (label, found[right].mean())

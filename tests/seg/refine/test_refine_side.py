"""Images larger than a refiner's networks work at: shrunk for them, and their correction enlarged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.transform import resize

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine import Answers, Refiner, load_refiner, train_refiner
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet, shrunk

SIDE = 24


def doubled(array):
    return array.repeat(2, axis=1).repeat(2, axis=2)


def asked(hard, n=6):
    """Answers about small images, and the same about images twice as large, each pixel there four times."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 16, SIDE, 3), np.uint8)
    corner = rng.integers(0, 8, (n, 2))
    boxes = np.concatenate([corner, corner + 7], axis=1)
    answers = rng.uniform(0.02, 0.98, (n, 16, SIDE)).astype(np.float32)
    answers = answers > 0.5 if hard else answers
    masks = rng.random((n, 16, SIDE)) > 0.5
    large = Prompts(boxes=2 * boxes + [0, 0, 1, 1])
    return (
        Answers(images, masks, range(n), Prompts(boxes=boxes), answers),
        Answers(doubled(images), doubled(masks), range(n), large, doubled(answers)),
    )


def a_refiner(**config):
    """Of networks that change answers."""
    torch.manual_seed(0)
    net = RefinerNet(RefinerConfig(channels=(4, 8), side=SIDE, **config))
    torch.nn.init.normal_(net.head.weight)
    return Refiner([net], 0.75)


def logit(p):
    p = p.astype(np.float64)
    return np.log(p) - np.log1p(-p)


def test_a_refiner_learns_the_same_from_what_shrinks_to_the_same():
    config = RefinerConfig(channels=(4, 8), side=SIDE)
    small, large = (
        train_refiner(answers, members=2, steps=6, config=config).refiner.tensors() for answers in asked(hard=False)
    )
    assert small.keys() == large.keys()
    for name, tensor in small.items():
        np.testing.assert_array_equal(large[name].detach(), tensor.detach(), err_msg=name)


def test_the_correction_is_enlarged_and_added_to_the_answer():
    refiner = a_refiner()
    small, large = asked(hard=False)
    near = refiner.correct(small.images, small.prompts, small.answers)
    far = refiner.correct(large.images, large.prompts, large.answers)
    change = logit(near) - logit(small.answers)
    assert np.abs(change).max() > 0.1
    enlarged = np.stack([resize(one, (32, 2 * SIDE), order=1, mode="edge", anti_aliasing=False) for one in change])
    np.testing.assert_allclose(logit(far), logit(large.answers) + enlarged, atol=1e-4)


@pytest.mark.parametrize("hard", [False, True])
def test_an_untrained_refiner_changes_no_large_answer(hard):
    _, large = asked(hard)
    refiner = Refiner([RefinerNet(RefinerConfig(channels=(4, 8), side=SIDE, hard=hard))])
    corrected = refiner.correct(large.images, large.prompts, large.answers)
    if hard:
        np.testing.assert_array_equal(corrected > 0.5, large.answers)
    else:
        np.testing.assert_allclose(corrected, large.answers, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "seen"),
    [((16, 24), (16, 24)), ((48, 20), (24, 10)), ((25, 25), (24, 24)), ((7, 480), (1, 24))],
)
def test_the_longer_side_is_as_long_as_asked(size, seen):
    layers = torch.rand(2, 3, *size)
    small = shrunk(layers, SIDE)
    assert tuple(small.shape) == (2, 3, *seen)
    assert float(small.mean()) == pytest.approx(float(layers.mean()), abs=0.01)


def test_the_side_is_in_the_file(tmp_path):
    a_refiner().save(tmp_path / "refiner.safetensors")
    assert load_refiner(tmp_path / "refiner.safetensors").config == replace(a_refiner().config, side=SIDE)

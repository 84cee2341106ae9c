"""Images larger than a refiner's networks work at: shrunk for them, and their correction enlarged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.transform import resize

from zoo_opt_seg.measures.metrics import dice
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
    _, large = asked(hard=False)
    larger = Answers(
        doubled(large.images),
        doubled(large.masks),
        large.rows,
        Prompts(boxes=2 * large.prompts.boxes + [0, 0, 1, 1]),
        doubled(large.answers),
    )
    one, other = (
        train_refiner(answers, members=2, steps=6, config=config).refiner.tensors() for answers in (large, larger)
    )
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        np.testing.assert_allclose(other[name].detach(), tensor.detach(), atol=1e-5, err_msg=name)


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


@pytest.mark.parametrize("size", [(1, 5), (7, 7), (17, 25), (34, 64), (3, 60)])
def test_images_of_any_shape_are_corrected(size):
    """A U-Net of three levels halves twice; sides that are no multiple of four had been refused."""
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    prompts, answers = Prompts(points=np.zeros((2, 1, 2))), np.full((2, *size), 0.4, np.float32)
    refiner = Refiner([RefinerNet(RefinerConfig(channels=(4, 4, 8), side=31))])
    np.testing.assert_allclose(refiner.correct(images, prompts, answers), answers, atol=1e-6)
    done = train_refiner(Answers(images, answers > 0, range(2), prompts, answers), config=refiner.config, steps=2)
    assert done.refiner.correct(images, prompts, answers).shape == (2, *size)


def test_thin_objects_are_not_unlearnt():
    """Lines of one pixel, a quarter of a pixel as the network sees them, which the black box finds."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 64, 64, 3), np.uint8)
    masks = np.zeros((6, 64, 64), bool)
    masks[np.arange(6), rng.integers(8, 56, 6)] = True
    answers = np.where(masks, 0.97, 0.03).astype(np.float32)
    prompts = Prompts(points=np.full((6, 1, 2), 32.0))
    config = RefinerConfig(channels=(4, 8), side=16)
    refiner = train_refiner(Answers(images, masks, range(6), prompts, answers), config=config, steps=60, members=1)
    found = refiner.refiner.correct(images, prompts, answers) > 0.5
    assert refiner.refiner.share == 1.0 and dice(found, masks).mean() > 0.9

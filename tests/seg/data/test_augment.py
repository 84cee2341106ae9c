"""Augmentation: a function of (seed, row), image and mask together, the ranges of the paper and the released code."""

import numpy as np
import pytest
from seg.prompt_fakes import scenes

from zoo_opt_seg.data.augmentation import Change, apply, augment, draw


@pytest.mark.parametrize("kind", ["paper", "released"])
def test_function_of_seed_and_row(kind):
    samples = scenes(6)
    before = samples.images.copy(), samples.masks.copy()
    np.random.seed(1)  # noqa: NPY002
    images, masks = augment(samples.images, samples.masks, 5, kind)
    np.random.seed(2)  # noqa: NPY002
    again = augment(samples.images, samples.masks, 5, kind)
    assert np.array_equal(images, again[0]) and np.array_equal(masks, again[1])
    first = augment(samples.images[:2], samples.masks[:2], [5], kind)
    assert np.array_equal(images[:2], first[0]) and np.array_equal(masks[:2], first[1])
    same = np.repeat(samples.images[:1], 6, 0), np.repeat(samples.masks[:1], 6, 0)
    assert len(np.unique(augment(*same, 5, kind)[0], axis=0)) > 3  # each row has draws of its own
    assert not np.array_equal(images, augment(samples.images, samples.masks, [5, 1], kind)[0])
    assert images.dtype == np.uint8 and masks.dtype == bool and images.shape == samples.images.shape
    assert np.array_equal(samples.images, before[0]) and np.array_equal(samples.masks, before[1])


def test_global_state_is_left_alone(generators):
    samples = scenes(3)
    augment(samples.images, samples.masks, 0, "released")


def test_paper_ranges():
    changes = [draw("paper", np.random.default_rng(i)) for i in range(500)]
    angles, saturations, brightnesses = (
        np.array([getattr(c, k) for c in changes]) for k in ("angle", "saturation", "brightness")
    )
    assert -10 <= angles.min() < -9.8 and 9.8 < angles.max() <= 10
    for factors in (saturations, brightnesses):
        assert 1 <= factors.min() < 1.02 and 1.98 < factors.max() <= 2
    assert not any(c.flip for c in changes)


def test_released_rates():
    changes = [draw("released", np.random.default_rng(i)) for i in range(2000)]
    assert np.mean([c.flip for c in changes]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([c.angle != 0 for c in changes]) == pytest.approx(0.5, abs=0.04)
    assert {c.angle for c in changes} == set(map(float, range(11)))
    assert np.mean([c.saturation == 2 for c in changes]) == pytest.approx(0.2, abs=0.04)
    brighter = [c.brightness for c in changes if c.brightness != 1]
    assert len(brighter) == pytest.approx(500, abs=80) and min(brighter) > 1 and max(brighter) <= 2  # .5 of .5 are 1


def test_image_and_mask_go_together():
    """The object stays where its mask is."""
    samples = scenes(4, 64)
    grey = np.full_like(samples.images, 40)
    grey[samples.masks] = 200
    for i in range(4):
        image, mask = apply(Change(flip=True, angle=9.0), grey[i], samples.masks[i])
        assert ((image[..., 0] > 120) == mask).mean() > 0.97
        flipped = apply(Change(flip=True), grey[i], samples.masks[i])
        assert np.array_equal(flipped[0], grey[i][:, ::-1]) and np.array_equal(flipped[1], samples.masks[i][:, ::-1])


def test_colours():
    image = np.full((8, 8, 3), (100, 60, 60), np.uint8)
    mask = np.ones((8, 8), bool)
    bright, same = apply(Change(brightness=1.5), image, mask)
    assert bright[0, 0].tolist() == [150, 90, 90] and np.array_equal(same, mask)
    vivid, _ = apply(Change(saturation=2.0), image, mask)
    grey = 0.299 * 100 + 0.587 * 60 + 0.114 * 60
    np.testing.assert_allclose(vivid[0, 0], 2 * np.array([100, 60, 60]) - grey, atol=1.5)
    assert np.array_equal(apply(Change(), image, mask)[0], image)


def test_an_object_is_not_turned_out_of_sight():
    image = np.full((32, 32, 3), 90, np.uint8)
    mask = np.zeros((32, 32), bool)
    mask[0, 0] = True
    turned, kept = apply(Change(angle=10.0), image, mask)
    assert np.array_equal(kept, mask) and np.array_equal(turned, image)


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"^kind must be one of paper, released, got 'heavy'"):
        augment(*(getattr(scenes(1), k) for k in ("images", "masks")), 0, "heavy")


def test_released_rotation_invents_no_colours():
    """Of an image of two colours and the black that comes in, nearest pixels make none; a bilinear rotation does."""
    samples = scenes(1, 64)
    image = np.where(samples.masks[0][..., None], np.uint8(200), np.uint8(40)).repeat(3, axis=2)
    assert draw("released", np.random.default_rng(0)).nearest and not draw("paper", np.random.default_rng(0)).nearest
    nearest, _ = apply(Change(angle=7.0, nearest=True), image, samples.masks[0])
    bilinear, _ = apply(Change(angle=7.0), image, samples.masks[0])
    assert set(np.unique(nearest)) == {0, 40, 200} and len(np.unique(bilinear)) > 3

"""The domains drawn by the project itself."""

import hashlib

import numpy as np
import pytest
from seg.checks import raises

from zoo_opt_seg.data.synthetic import DOMAINS, SPLIT_SIZES, domain, draw, shapes, source_scenes, textures

NAMES = (*DOMAINS, "source", "referring")


def digests(images):
    return {hashlib.sha256(image.tobytes()).hexdigest() for image in images}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_a_function_of_name_seed_and_index(name):
    image, mask = draw(name, 0, 5)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    assert mask.shape == (96, 96) and mask.dtype == np.bool_ and 0.01 < mask.mean() < 0.6
    np.random.default_rng(0).random(7)  # nothing else is drawn from
    again = draw(name, 0, 5)
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(mask, again[1])
    assert (draw(name, 0, 6)[0] != image).any() and (draw(name, 1, 5)[0] != image).any()


@pytest.mark.parametrize("name", NAMES)
def test_global_random_state_is_not_changed(name, generators):
    draw(name, 3, 0)


@pytest.mark.parametrize("name", NAMES)
def test_splits_have_their_sizes_and_share_no_image(name):
    splits = domain(name, seed=4, sizes=(12, 5, 7))
    assert splits.name == name
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [12, 5, 7]
    assert len(digests(np.concatenate([splits.train.images, splits.validation.images, splits.test.images]))) == 24
    assert len({*splits.train.names, *splits.validation.names, *splits.test.names}) == 24
    np.testing.assert_array_equal(splits.validation.images[0], draw(name, 4, 12)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", DOMAINS)
def test_the_default_splits_share_no_image(name):
    splits = domain(name)
    assert tuple(len(part) for part in (splits.train, splits.validation, splits.test)) == SPLIT_SIZES
    every = np.concatenate([splits.train.images, splits.validation.images, splits.test.images])
    assert len(digests(every)) == sum(SPLIT_SIZES)
    areas = splits.train.masks.mean(axis=(1, 2))
    assert areas.max() > 4 * areas.min()  # no single size of disk is right


@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_can_be_drawn(name):
    for size in (48, 160):
        image, mask = draw(name, 0, 1, size)
        assert image.shape == (size, size, 3) and mask.any() and not mask.all()


def test_source_scenes_have_numbered_objects():
    images, labels = source_scenes(40, seed=2)
    assert images.shape == (40, 96, 96, 3) and labels.shape == (40, 96, 96) and labels.dtype == np.uint8
    for label in labels:
        assert label.max() >= 1 and set(np.unique(label)) >= set(range(1, label.max() + 1))
        assert (np.bincount(label.ravel())[1:] >= 0.01 * label.size).all()
    later = source_scenes(3, seed=2, first=7)
    np.testing.assert_array_equal(later[0], images[7:10])
    np.testing.assert_array_equal(later[1], labels[7:10])
    assert len({int(label.max()) for label in labels}) > 1


def test_bad_names_and_sizes_are_errors():
    raises(ValueError, "skin, disc, tool, polyp, source or referring, got 'lung'", domain, "lung")
    raises(ValueError, "at least 32 pixels, got 20", draw, "skin", 0, 0, size=20)


def test_filled_agrees_with_skimage():
    from skimage.measure import points_in_poly

    rng = np.random.default_rng(0)
    for _ in range(10):
        outline = shapes.polygon(rng, 0.3, 7) + rng.uniform(0, 1, 2)
        centres = np.stack(textures.grid(32), axis=-1).reshape(-1, 2)
        expected = points_in_poly(centres, outline).reshape(32, 32)
        assert (shapes.filled(outline, 32) != expected).mean() < 0.002


def test_strokes_cover_their_area_and_may_leave_the_image():
    cover = np.zeros((64, 64), np.float32)
    path = np.stack([np.linspace(0.2, 0.8, 24), np.full(24, 0.5)], axis=1)
    shapes.add_stroke(cover, path, 0.05)
    assert abs(cover.sum() / 64**2 - 0.6 * 0.05) < 0.002 and cover.max() <= 1
    before = cover.copy()
    shapes.add_stroke(cover, path + 3, 0.05)
    np.testing.assert_array_equal(cover, before)
    shapes.add_stroke(cover, path, 0.05, strength=0.3)  # the larger of the two remains
    np.testing.assert_array_equal(cover, before)


def test_fields_have_unit_variance_and_blur_keeps_constants():
    rng = np.random.default_rng(1)
    fields = np.stack([textures.smooth_field(rng, 32, 4) for _ in range(200)])
    assert abs(fields.mean()) < 0.1 and abs(fields.std() - 1) < 0.1
    fields = np.stack([textures.fractal_field(rng, 32) for _ in range(200)])
    assert abs(fields.std() - 1) < 0.15
    np.testing.assert_allclose(textures.blur(np.full((20, 20, 3), 0.3, np.float32), 2.0), 0.3, rtol=1e-5)


def test_shifting_brings_in_zeros():
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(shapes.shifted(image, 1, 0), [[0, 0, 1, 2], [0, 4, 5, 6], [0, 8, 9, 10]])
    np.testing.assert_array_equal(shapes.shifted(image, 0, -2), [[8, 9, 10, 11], [0] * 4, [0] * 4])

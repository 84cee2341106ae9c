"""Samples and splits, and the points that prompts are made of."""

import numpy as np
import pytest
from seg.checks import raises

from zoo_opt_seg.data import Samples, Splits, centre_points, random_points
from zoo_opt_seg.data.boxes import mask_boxes, moved_boxes


def some_masks(n=6, size=20):
    masks = np.zeros((n, size, size + 4), bool)
    for i in range(n):
        masks[i, 2 + i : 9 + i, 3 : 6 + i] = True
    return masks


def some_samples(n=4):
    images = np.random.default_rng(n).integers(0, 256, (n, 20, 24, 3), dtype=np.uint8)
    return Samples(images, some_masks(n), tuple("abcdefg"[:n]))


def test_random_points_lie_on_the_object_and_are_labelled_so():
    masks = some_masks()
    prompts = random_points(masks, seed=3, k=5)
    assert prompts.points.shape == (6, 5, 2) and prompts.points.dtype == np.float32
    assert prompts.labels.shape == (6, 5) and (prompts.labels == 1).all()
    x, y = prompts.points[..., 0].astype(int), prompts.points[..., 1].astype(int)
    assert masks[np.arange(6)[:, None], y, x].all()
    for row in prompts.points:
        assert len(np.unique(row, axis=0)) == 5


def test_random_points_are_uniform_over_the_object():
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 1, 1] = mask[0, 3, 2] = mask[0, 4, 4] = True
    points = np.concatenate([random_points(mask, seed).points[0] for seed in range(600)])
    assert sorted(map(tuple, np.unique(points, axis=0))) == [(1, 1), (2, 3), (4, 4)]
    counts = np.unique(points, axis=0, return_counts=True)[1]
    assert (abs(counts - 200) < 60).all()


def test_random_points_of_a_row_depend_on_the_seed_and_its_number_alone():
    masks = some_masks()
    whole = random_points(masks, seed=9).points
    np.testing.assert_array_equal(random_points(masks[:3], seed=9).points, whole[:3])
    np.testing.assert_array_equal(random_points(masks[[4, 1]], seed=9, rows=[4, 1]).points, whole[[4, 1]])
    assert (random_points(masks, seed=10).points != whole).any()
    assert (random_points(masks, seed=(9, 1)).points != whole).any()
    np.testing.assert_array_equal(random_points(masks, seed=[9]).points, whole)


def test_more_points_than_pixels_repeat_pixels():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 2, 1] = True
    np.testing.assert_array_equal(random_points(mask, 0, k=3).points[0], [[1, 2]] * 3)


def test_centre_points_are_farthest_from_the_border():
    masks = np.zeros((3, 15, 15), bool)
    masks[0, 2:7, 4:13] = True  # depth 3 along row 4: the first such pixel
    masks[1] = True  # the image's edge is a border too
    masks[2, 0:3, 0:3] = True
    points = centre_points(masks)
    np.testing.assert_array_equal(points.points[:, 0], [[6, 4], [7, 7], [1, 1]])
    assert points.points.shape == (3, 1, 2) and (points.labels == 1).all()


def test_boxes_are_the_first_and_last_pixels_of_the_object():
    masks = np.zeros((2, 12, 15), bool)
    masks[0, 3, 4] = masks[0, 9, 2] = True
    masks[1] = True
    np.testing.assert_array_equal(mask_boxes(masks).boxes, [[2, 3, 4, 9], [0, 0, 14, 11]])


def test_moved_boxes_are_moved_as_in_the_training_of_sam():
    masks = np.zeros((2000, 8, 1024), bool)
    masks[:, 4, 100:201] = True  # a tenth of 100 pixels is within the 20 that a side may move at most
    moves = moved_boxes(masks, 5).boxes[:, [0, 2]] - (100, 200)
    assert abs(moves.mean()) < 0.5 and 0.85 < (np.abs(moves) < 20).mean() < 0.99 and np.abs(moves).max() == 20
    inner = moves[np.abs(moves) < 20]
    assert abs(inner.std() - 8.8) < 0.4  # of a normal deviate of 10, between -20 and 20
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.1
    masks = some_masks()
    boxes = moved_boxes(masks, (9, 1)).boxes
    assert (boxes[:, :2] <= boxes[:, 2:]).all() and (boxes >= 0).all() and (boxes <= [23, 19, 23, 19]).all()
    np.testing.assert_array_equal(moved_boxes(masks[[4, 1]], (9, 1), rows=[4, 1]).boxes, boxes[[4, 1]])
    assert (moved_boxes(masks, (9, 2)).boxes != boxes).any()
    assert (mask_boxes(np.ones((1, 5, 5), bool)).boxes == [0, 0, 4, 4]).all()
    assert (moved_boxes(np.ones((9, 5, 5), bool), 1).boxes >= 0).all()


@pytest.mark.parametrize(
    "draw",
    [lambda masks: random_points(masks, 0), centre_points, mask_boxes, lambda masks: moved_boxes(masks, 0)],
    ids=["random", "centre", "box", "moved"],
)
def test_an_empty_mask_is_an_error_that_names_the_row(draw):
    masks = some_masks()
    masks[4] = False
    raises(ValueError, "row 4 is empty", draw, masks)
    raises(ValueError, "must be bool", draw, masks.astype(float))
    raises(ValueError, r"\(n, H, W\)", draw, masks[0])


def test_bad_numbers_of_points_and_rows_are_errors():
    raises(ValueError, "at least 1 point", random_points, some_masks(), 0, k=0)
    raises(ValueError, "rows must be 6", random_points, some_masks(), 0, rows=[1, 2])


def test_samples_can_be_cut_and_picked():
    samples = some_samples()
    assert len(samples) == 4 and samples.size == (20, 24)
    part = samples[1:3]
    assert part.names == ("b", "c")
    np.testing.assert_array_equal(part.images, samples.images[1:3])
    picked = samples[[3, -4]]
    assert picked.names == ("d", "a")
    np.testing.assert_array_equal(picked.masks, samples.masks[[3, 0]])
    assert samples[np.array([True, False, False, True])].names == ("a", "d")
    assert len(samples[[]]) == 0
    with pytest.raises(TypeError, match="rows"):
        samples[2]
    with pytest.raises(IndexError):
        samples[[7]]


def test_samples_that_do_not_fit_together_are_errors():
    good = some_samples()
    for change, message in (
        (dict(images=good.images.astype(float)), "images must be an array of uint8, got float64"),
        (dict(images=good.images.tolist()), "images must be an array of uint8, got list"),
        (dict(masks=good.masks.astype(np.uint8)), "masks must be an array of bool"),
        (dict(images=good.images[..., 0]), "images must have the shape"),
        (dict(masks=good.masks[:, :-1]), "masks must have the shape"),
        (dict(names=("a",)), "names must be 4"),
    ):
        fields = dict(images=good.images, masks=good.masks, names=good.names) | change
        raises((TypeError, ValueError), message, Samples, **fields)
    raises(TypeError, "test must be Samples", Splits, "x", good, good, None)

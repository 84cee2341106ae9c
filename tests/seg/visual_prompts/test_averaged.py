"""Test-time augmentation: what the black box is asked, and the mean of its answers."""

from functools import partial

import numpy as np
import pytest
from scipy import ndimage
from seg.checks import raises, refused
from seg.prompt_fakes import Recorded

from zoo_opt_seg import Prompts, evaluate, make_prompt
from zoo_opt_seg.adaptation.run import adapt
from zoo_opt_seg.data import Samples, random_points
from zoo_opt_seg.visual_prompts import Averaged

SIZE = 48


def discs(n: int = 4) -> Samples:
    """White discs on black."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIZE, :SIZE]
    masks = np.stack([(x - rng.integers(10, 38)) ** 2 + (y - rng.integers(10, 38)) ** 2 <= 30 for _ in range(n)])
    return Samples(np.repeat(255 * masks[..., None].astype(np.uint8), 3, 3), masks, tuple(map(str, range(n))))


def answer(tta: Averaged, model, samples: Samples, points: Prompts) -> np.ndarray:
    return tta.answer(model, tta.x0(), tta.context(samples.images, points))


@pytest.mark.parametrize("settings", [{}, {"zooms": (1.0, 2.0)}, {"mirror": False, "points": 5}, {"points": 3}])
def test_every_view_is_asked_about_at_its_own_place(settings: dict) -> None:
    """The picture under the point of each view is that of the image under its own; one question of all views."""
    samples, tta = discs(), Averaged(SIZE, **settings, spread=2.0)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.uint8)
    ramp = Samples(np.repeat(np.stack([x, y, x], 2)[None], 4, 0), samples.masks, samples.names)
    model, points = Recorded(lambda images, prompts: images[..., 0]), random_points(samples.masks, 0)
    answer(tta, model, ramp, points)
    ((images, asked),) = model.asked
    assert len(images) == len(asked) == 4 * tta.views and tta.views > 1
    assert asked.points is not None and points.points is not None
    given = np.tile(points.points[:, 0], (tta.views, 1))
    for image, (u, v), xy in zip(images, asked.points[:, 0], given, strict=True):
        seen = [255 * ndimage.map_coordinates(image[..., c], [[v], [u]], order=1, mode="nearest")[0] for c in (0, 1)]
        moved = np.abs(np.array(seen) - xy).max()
        assert moved < 0.05 or (settings.get("points", 1) > 1 and moved < 1.05)  # 2 pixels of 96 are 1 here
    assert len(np.unique(asked.points.reshape(-1, 2), axis=0)) > 4


def test_masks_come_back_to_their_place_and_outside_a_view_the_others_decide() -> None:
    samples = discs()
    points = random_points(samples.masks, 0)
    for settings in ({}, {"zooms": (1.0, 2.0, 0.7)}, {"zooms": (1.0, 3.0), "points": 3}):
        tta = Averaged(SIZE, **settings)
        found = answer(tta, lambda images, prompts: images[..., 0], samples, points)
        assert found.dtype == np.float32 and ((found > 0.5) != samples.masks).mean() < 0.01
        hard = answer(tta, lambda images, prompts: images[..., 0] > 0.5, samples, points)
        assert hard.dtype == bool and (hard != samples.masks).mean() < 0.02
    # An object larger than the enlarged view is not cut off.
    everything = answer(Averaged(SIZE, zooms=(1.0, 4.0)), lambda images, _: np.ones(images.shape[:3]), samples, points)
    np.testing.assert_allclose(everything, 1.0, atol=1e-6)


def test_the_mean_is_over_the_views_of_one_image() -> None:
    samples, tta = discs(3), Averaged(SIZE, points=2)
    levels = np.arange(12, dtype=np.float32) / 16  # image by image within a view

    def model(images: np.ndarray, prompts: Prompts) -> np.ndarray:
        return np.broadcast_to(levels[:, None, None], images.shape[:3]).copy()

    found = answer(tta, model, samples, random_points(samples.masks, 0))
    np.testing.assert_allclose(found[:, 0, 0], levels.reshape(4, 3).mean(0), rtol=1e-6)

    def failing(images: np.ndarray, prompts: Prompts) -> np.ndarray:  # about one view of the second image
        return np.where(np.arange(12)[:, None, None] == 4, np.nan, model(images, prompts))

    lost = answer(tta, failing, samples, random_points(samples.masks, 0))
    assert np.isnan(lost[1]).all() and np.array_equal(lost[[0, 2]], found[[0, 2]])


def test_calls_are_counted_and_boxes_and_texts_asked_by() -> None:
    samples, tta = discs(), Averaged(SIZE, zooms=(1.0, 2.0))
    model = Recorded(lambda images, prompts: images[..., 0])
    evaluation = evaluate(model, samples, prompt=tta, x=tta.x0(), repeats=2)
    assert evaluation.calls == 2 * 4 * 4 and evaluation.summary()["dice"] > 0.95
    boxes = tta.prompts(Prompts(boxes=np.array([[8, 10, 20, 14]], np.float32))).boxes
    assert boxes is not None
    np.testing.assert_allclose(boxes[:2], [[8, 10, 20, 14], [27, 10, 39, 14]])
    assert tta.prompts(Prompts(texts=("a",))).texts == ("a",) * 4
    raises(ValueError, "masks cannot be moved", tta.prompts, Prompts(masks=np.zeros((1, 8, 8))))


test_refused = refused(
    partial(Averaged, SIZE),
    ({"zooms": (2.0, 1.0)}, "zooms must begin with 1"),
    ({"zooms": ()}, "zooms must begin with 1"),
    ({"zooms": (1.0, -1.0)}, "zooms must be"),
    ({"points": 0}, "points must be >= 1"),
    ({"spread": 0.0}, "spread must be"),
)


def test_nothing_is_there_to_be_trained() -> None:
    from zoo_opt_seg.data import Splits

    samples = discs()
    message = "prompt must have something to train, got Averaged"
    raises(ValueError, message, adapt, Recorded(), Averaged(SIZE), Splits("d", samples, samples, samples), calls=50)
    raises(ValueError, "name must be one of", make_prompt, "averaged", SIZE)

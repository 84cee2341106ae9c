"""Evaluation over repeated random points, and the trivial baselines."""

import json
import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from seg.checks import raises, refused
from seg.prompt_fakes import Recorded

from zoo_opt_seg import Prompts, evaluate
from zoo_opt_seg.data import Samples, Splits, centre_points, random_points
from zoo_opt_seg.data.boxes import mask_boxes
from zoo_opt_seg.measures.metrics import dice, hd95, iou
from zoo_opt_seg.measures.trivial import Disk, EllipseInBox, RegionGrowing, WholeImage, baselines, best_disk

SIZE = 32


def scenes(n: int = 5, seed: int = 0) -> Samples:
    """Bright disks on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    masks = np.stack([np.hypot(x - cx, y - cy) <= r for cx, cy, r in rng.uniform((9, 9, 4), (23, 23, 8), (n, 3))])
    images = rng.integers(20, 60, (n, SIZE, SIZE, 3)) + 150 * masks[..., None]
    return Samples(images.astype(np.uint8), masks, tuple(f"scene{i}" for i in range(n)))


def recording() -> Recorded:
    return Recorded(Disk(6))


def test_zero_shot_scores_are_the_metrics_of_each_image_and_repeat() -> None:
    samples, box = scenes(), recording()
    result = evaluate(box, samples, repeats=3, seed=7, batch=2)
    assert result.calls == box.calls == 15 and result.failed == 0 and result.names == samples.names
    for repeat in range(3):
        prompts = random_points(samples.masks, (7, repeat))
        asked = Prompts.concatenate([asked for _, asked in box.asked[3 * repeat : 3 * repeat + 3]])
        assert (asked.points == prompts.points).all()
        predicted = Disk(6)(samples.images, prompts)
        for measure, values in ((dice, result.dice), (iou, result.iou), (hd95, result.hd95)):
            assert (values[repeat] == measure(predicted, samples.masks)).all()
    assert len({tuple(asked.points.ravel()) for _, asked in box.asked[::3]}) == 3  # other points in each repeat


def test_batch_size_changes_nothing() -> None:
    one, two = (evaluate(Disk(5), scenes(), repeats=2, batch=batch) for batch in (2, 64))
    assert (one.dice == two.dice).all() and (one.hd95 == two.hd95).all() and one.calls is None


def test_summary() -> None:
    result = evaluate(Disk(6), scenes(), repeats=3)
    summary = result.summary()
    assert summary["dice"] == pytest.approx(result.dice.mean())
    assert summary["hd95_sd"] == pytest.approx(result.hd95.mean(axis=0).std(ddof=1))
    assert (summary["images"], summary["repeats"], summary["failed"]) == (5, 3, 0)
    assert json.loads(json.dumps(summary)) == summary
    single = evaluate(Disk(6), scenes(1), repeats=1).summary()
    assert math.isnan(single["dice_sd"]) and not math.isnan(single["dice"])
    raises(ValueError, "measure must be one of dice, iou, hd95, got 'asd'", result.per_image, "asd")


def test_probabilities_and_nan() -> None:
    samples = scenes()

    def model(images: np.ndarray, prompts: Prompts) -> np.ndarray:
        answer = Disk(6)(images, prompts).astype(np.float32) * 0.2 + 0.4
        answer[1, 0, 0] = np.nan
        return answer

    result = evaluate(model, samples, repeats=2)
    assert result.failed == 2 and np.isnan(result.per_image("hd95")).tolist() == [False, True, False, False, False]
    clean = evaluate(Disk(6), samples, repeats=2)
    assert result.summary()["dice"] == pytest.approx(np.delete(clean.per_image(), 1).mean())
    never = evaluate(lambda images, prompts: np.full(images.shape[:3], np.nan), samples)
    assert math.isnan(never.summary()["dice"]) and never.failed == 15


def test_without_distances_and_in_mm() -> None:
    samples = scenes()
    assert np.isnan(evaluate(Disk(6), samples, distances=False).hd95).all()
    pixels, mm = evaluate(Disk(6), samples), evaluate(Disk(6), samples, spacing=0.25)
    assert mm.hd95 == pytest.approx(pixels.hd95 / 4) and (mm.dice == pixels.dice).all()


def test_other_prompts() -> None:
    samples, box = scenes(), recording()
    evaluate(box, samples, repeats=1, draw=lambda masks, seed: centre_points(masks))
    assert (box.asked[0][1].points == centre_points(samples.masks).points).all()
    evaluate(box, samples, repeats=1, points=4)
    assert box.asked[1][1].points.shape == (5, 4, 2)


class Brighter:
    """A visual prompt in the shape of the plan's interface: adds x to the images, moves points and masks by one."""

    def context(self, images: np.ndarray, prompts: Prompts) -> SimpleNamespace:
        return SimpleNamespace(images=images, asked=prompts.scaled(1.0, 1.0))

    def __call__(self, x: np.ndarray, context: SimpleNamespace) -> np.ndarray:
        return context.images.astype(np.float32) / 255 + np.float32(x[0])

    def answer(self, model: Any, x: np.ndarray, context: SimpleNamespace) -> np.ndarray:
        return model(self(x, context), context.asked)[:, :, ::-1]


def test_visual_prompt_with_its_vector() -> None:
    samples, model = scenes(), Recorded(lambda images, prompts: images.mean(axis=3)[:, :, ::-1] > 0.6)
    result = evaluate(model, samples, prompt=Brighter(), x=np.array([0.1]), repeats=1)
    assert model.asked[0][0] == pytest.approx(samples.images / 255 + 0.1, abs=1e-6)
    assert (result.dice == 1).all()  # what restore turned back


def test_trained_prompt() -> None:
    trained = SimpleNamespace(predict=lambda model, images, prompts, batch: model(images // 2, prompts))
    model = recording()
    result = evaluate(model, scenes(), prompt=trained, repeats=1)
    assert (model.asked[0][0] == scenes().images // 2).all()
    assert (result.dice == evaluate(Disk(6), scenes(), repeats=1).dice).all()


def test_known_batches_are_not_sent_again() -> None:
    samples, told = scenes(), {}
    whole = evaluate(Disk(6), samples, batch=2, on_batch=lambda r, row, scores: told.update({(r, row): scores}))
    assert sorted(told) == [(r, i) for r in range(3) for i in (0, 2, 4)]
    told = {key: json.loads(json.dumps(scores)) for key, scores in told.items()}  # as from a journal
    for known in ({}, dict(list(told.items())[:4]), told):
        box, news = recording(), []
        again = evaluate(box, samples, batch=2, known=known, on_batch=lambda *told, news=news: news.append(told[:2]))
        assert news == [key for key in told if key not in known]
        assert again.calls == box.calls == 15 - sum(len(scores["dice"]) for scores in known.values())
        for measure in ("dice", "iou", "hd95"):
            assert (getattr(again, measure) == getattr(whole, measure)).all()
    with pytest.raises(ValueError, match=r"known must hold 2 scores of each measure from row 0 on, got \[1, 0, 0\]"):
        evaluate(Disk(6), samples, batch=2, known={(0, 0): {"dice": [1.0]}})


test_bad_arguments = refused(
    partial(evaluate, Disk(6), scenes()),
    ({"repeats": 0}, "repeats must be >= 1, got 0"),
    ({"batch": 2.5}, "batch must be an integer, got 2.5"),
    ({"points": True}, "points must be an integer, got True"),
    ({"x": np.zeros(1)}, "x must not be given without the visual prompt"),
    ({"prompt": Brighter()}, "x must be the vector of the visual prompt, got None"),
    ({"prompt": SimpleNamespace(predict=print), "x": np.zeros(1)}, "x must not be given with a trained prompt"),
    error=(TypeError, ValueError),
)


def test_bad_model_and_samples() -> None:
    for answer, message in (
        (np.zeros((5, 32)), r"model must return masks of shape \(5, 32, 32\), got \(5, 32\)"),
        (np.full((5, 32, 32), 3.0), r"model must return probabilities in \[0, 1\], got values from 3 to 3"),
        (np.ones((5, 32, 32), np.uint8), "for 0 and 1 masks == 1"),
    ):
        raises((ValueError, TypeError), message, evaluate, lambda images, prompts, answer=answer: answer, scenes())
    raises(ValueError, "samples must hold at least one", evaluate, Disk(6), scenes()[:0])
    empty = Samples(scenes().images, scenes().masks & False, scenes().names)
    raises(ValueError, "row 0 is empty", evaluate, Disk(6), empty)


# ------------------------------------------------------------------------------------------------ baselines


def test_disk_pixels() -> None:
    (mask,) = Disk(2)(np.zeros((1, 9, 9, 3), np.uint8), Prompts(points=[[[4.0, 3.0]]]))
    assert mask.sum() == 13 and mask[1, 4] and mask[3, 6] and not mask[1, 5]


def test_ellipse_fills_its_box_and_the_image_where_there_is_none() -> None:
    black = np.zeros((3, 9, 9, 3), np.uint8)
    boxes = np.array([[1, 3, 7, 5], [4, 4, 4, 4], [np.nan] * 4], np.float32)
    flat, pixel, whole = EllipseInBox()(black, Prompts(boxes=boxes))
    assert flat.any(axis=0).tolist() == [1 <= x <= 7 for x in range(9)] and flat[4, 1] and not flat[3, 1]
    assert flat.any(axis=1).tolist() == [3 <= y <= 5 for y in range(9)]
    assert np.argwhere(pixel).tolist() == [[4, 4]]
    y, x = np.mgrid[:9, :9]
    assert (whole == (np.hypot(x - 4, y - 4) <= 4.5)).all()
    assert (EllipseInBox()(black, Prompts(points=np.zeros((3, 1, 2)))) == whole).all()


def test_best_disk_is_the_best_of_all_radii() -> None:
    samples = scenes(8)
    best = best_disk(samples, repeats=2, seed=3)
    scores = [evaluate(Disk(r), samples, repeats=2, seed=3, distances=False).dice.mean() for r in range(46)]
    assert best.radius == int(np.argmax(scores))


def test_whole_image_and_region_growing() -> None:
    samples = scenes(8)
    points = random_points(samples.masks, 0)
    assert WholeImage()(samples.images, points).all()
    assert dice(RegionGrowing()(samples.images, points), samples.masks).min() > 0.95
    assert RegionGrowing()(np.full((1, 8, 8, 3), 9, np.uint8), Prompts(points=[[[7.4, -0.4]]])).all()


def test_baselines_by_name_take_the_first_point_on_the_object() -> None:
    samples = scenes(6)
    models = baselines(Splits("scenes", samples[:3], samples[3:4], samples[4:]), seed=1)
    assert list(models) == ["disk", "whole image", "region growing"]
    assert models["disk"] == best_disk(samples[:3], seed=1)
    points = Prompts(points=[[[1.0, 1.0], [20.0, 9.0]]], labels=[[0, 1]])
    (mask,) = Disk(0)(np.zeros((1, SIZE, SIZE, 3), np.uint8), points)
    assert np.argwhere(mask).tolist() == [[9, 20]]


def test_without_a_point_on_the_object_it_is_the_middle_of_the_box_or_of_the_image() -> None:
    black, beside = np.zeros((2, 9, 9, 3), np.uint8), {"points": [[[1.0, 1.0]]] * 2, "labels": [[0], [-1]]}
    box = [[0, 0, 4, 6], [np.nan] * 4]
    for asked, places in (
        (Prompts(boxes=box), [(3, 2), (4, 4)]),
        (Prompts(boxes=box, **beside), [(3, 2), (4, 4)]),
        (Prompts(**beside), [(4, 4)] * 2),
        (Prompts.nothing(2), [(4, 4)] * 2),
        (Prompts(texts=("a", "b")), [(4, 4)] * 2),
    ):
        assert [tuple(np.argwhere(mask)[0]) for mask in Disk(0)(black, asked)] == places
    grown = RegionGrowing()(black, Prompts(boxes=box))
    assert grown[0].sum() == 5 * 7 and grown[0, :7, :5].all() and grown[1].all()


def test_baselines_of_boxes() -> None:
    samples = scenes(6)
    splits = Splits("scenes", samples[:3], samples[3:4], samples[4:])
    rest = ["whole image", "region growing"]
    assert list(baselines(splits, points="box")) == ["ellipse", *rest]
    assert list(baselines(splits, points="box+point")) == ["disk", "ellipse", *rest]
    assert list(baselines(splits, points=lambda masks, seed: mask_boxes(masks))) == ["ellipse", *rest]
    assert baselines(splits, points=3) == baselines(splits) == baselines(splits, points=1)  # the first is the same
    for model in baselines(splits, points="box").values():
        result = evaluate(model, samples, draw="box", repeats=3)
        assert result.dice.shape == (1, 6) and result.failed == 0
    ellipse = evaluate(EllipseInBox(), samples, draw="box").dice
    assert ellipse.min() > 0.9  # the scenes are disks


def test_a_box_or_a_centre_is_asked_about_once_and_texts_and_points_as_often_as_told() -> None:
    samples = scenes(4)
    for draw, calls in (("box", 4), ("centre", 4), ("box+point", 12), (2, 12), ("random", 12)):
        box = recording()
        result = evaluate(box, samples, draw=draw, repeats=3, distances=False)
        assert (box.calls, result.repeats) == (calls, calls // 4)
    asked = [prompts for _, prompts in recording_of("box+point", samples)]
    exact = mask_boxes(samples.masks).boxes
    for repeat in range(3):
        assert (asked[repeat].boxes == exact).all()
        assert (asked[repeat].points == random_points(samples.masks, (0, repeat)).points).all()
    assert (evaluate(recording(), samples, points=3).dice == evaluate(recording(), samples, draw=3).dice).all()


def recording_of(draw: str, samples: Samples) -> list[tuple[np.ndarray, Prompts]]:
    """What a black box is asked in an evaluation."""
    box = recording()
    evaluate(box, samples, draw=draw, repeats=3, distances=False)
    return box.asked

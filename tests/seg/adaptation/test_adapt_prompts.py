"""adapt with boxes and with several points: to the end, measures, page and panel, and cut off anywhere."""

import json

import numpy as np
import pytest
from seg.adapting import CMA, FILTER, Faulty
from seg.tiny_box import splits

from zoo_opt_seg import Prompts, adapt
from zoo_opt_seg.data.boxes import mask_boxes, moved_boxes
from zoo_opt_seg.data.points import random_points

KINDS = ("box", "box+point", 3)
BRIEF = {"method": CMA, "calls": 120, "batch": 4, "validate": 2, "repeats": 2}


class Within(Faulty):
    """Finds what is reddish between the sides of its box, or around its points; needs one or the other."""

    def __init__(self, *how, **more):
        super().__init__(*how, **more)
        self.asked: list[Prompts] = []

    def __call__(self, images, prompts):
        self.asked.append(prompts)
        answer = super().__call__(images, prompts)
        y, x = np.mgrid[: images.shape[1], : images.shape[2]]
        if prompts.boxes is not None:
            x0, y0, x1, y1 = (side[:, None, None] for side in prompts.boxes.T)
            return answer * ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))
        px, py = np.moveaxis(prompts.points, 2, 0)[..., None, None]
        return answer * (np.hypot(x - px, y - py) < 12).any(axis=1)


def kept(result):
    """The metrics, but for times and for calls that a restarted process cannot know."""
    metrics = json.loads(json.dumps(result.metrics))
    for part, name in (("", "seconds"), ("", "panel_calls"), ("refiner", "seconds"), ("test", "calls")):
        (metrics.get(part, {}) if part else metrics).pop(name, None)
    return metrics


@pytest.mark.parametrize("points", KINDS)
def test_to_the_end_with_measures_page_and_panel(points, tmp_path):
    box = Within()
    result = adapt(box, FILTER, splits(), points=points, out=tmp_path, **{**BRIEF, "calls": 400})
    test, repeats = result.metrics["test"], 1 if points == "box" else 2
    trivial = {"box": ["ellipse"], "box+point": ["disk", "ellipse"], 3: ["disk"]}[points]
    assert list(test["rows"]) == ["zero-shot", "adapted", *trivial, "whole image", "region growing"]
    assert test["calls"] == 2 * repeats * 5 and box.sent == result.calls + test["calls"] + result.metrics["panel_calls"]
    assert all(row["repeats"] == repeats and row["failed"] == 0 for row in test["rows"].values())
    assert test["rows"]["adapted"]["dice"] > test["rows"]["zero-shot"]["dice"] + 0.3
    if points != 3:
        assert test["rows"]["ellipse"]["dice"] > 0.8  # discs of some pixels
    assert json.loads((tmp_path / "config.json").read_text())["points"] == points
    page = (tmp_path / "index.html").read_text()
    said = {"box": "with their boxes", "box+point": "boxes and 2 random points each", 3: "3 random points each, 2 t"}
    option = {"box": "--box x0,y0,x1,y1 --out", "box+point": "--box x0,y0,x1,y1 --point x,y", 3: "--point x,y"}
    assert said[points] in page and option[points] in page and ("in the box, no model" in page) is (points != 3)
    asked = box.sent
    assert kept(adapt(box, FILTER, splits(), points=points, out=tmp_path, **{**BRIEF, "calls": 400})) == kept(result)
    assert box.sent == asked  # it is complete


def test_boxes_are_moved_in_training_and_exact_in_validation_and_test():
    box, data = Within(), splits()
    adapt(box, FILTER, data, points="box", **BRIEF)
    first, last, (some, *_) = box.asked[0], box.asked[-1], [p for p in box.asked[2:] if len(p) == 4]
    exact = mask_boxes(data.validation.masks).boxes
    assert all(any((side == known).all() for known in exact) for side in first.boxes)
    np.testing.assert_array_equal(last.boxes, mask_boxes(data.test.masks).boxes[-len(last) :])
    exact = mask_boxes(data.train.masks).boxes
    assert not any((side == known).all() for side in some.boxes for known in exact)
    assert all(any(np.abs(side - known).max() <= 0.5 for known in exact) for side in some.boxes)


@pytest.mark.slow
@pytest.mark.parametrize(("points", "refine"), [("box", True), ("box+point", False), (3, True)])
def test_cut_off_anywhere_it_ends_in_the_same(points, refine, tmp_path):
    settings = {**BRIEF, "calls": 60, "points": points, "refine": refine, "refine_steps": 4, "test_images": 3}
    whole_box = Within()
    whole = adapt(whole_box, FILTER, splits(), out=tmp_path / "whole", **settings)
    for cut in range(2, whole_box.questions, 5):
        dying = Within(lambda box, _, cut=cut: box.questions == cut, error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            adapt(dying, FILTER, splits(), out=tmp_path / str(cut), **settings)
        box = Within()
        result = adapt(box, FILTER, splits(), out=tmp_path / str(cut), **settings)
        np.testing.assert_array_equal(result.x, whole.x)
        assert kept(result) == kept(whole), cut
        assert dying.sent + box.sent <= whole_box.sent + 4  # the question in flight, and no other


def test_a_black_box_that_is_prompted_by_boxes_is_asked_by_boxes():
    box = Within()
    box.prompted_by = "boxes"
    result = adapt(box, FILTER, splits(), refine=True, refine_steps=3, **BRIEF)
    assert all(prompts.points is None and prompts.boxes is not None for prompts in box.asked)
    assert {"ellipse", "refined", "without the box"} <= result.metrics["test"]["rows"].keys()
    with pytest.raises(ValueError, match="points must not be 'random' for a black box that is prompted by boxes"):
        adapt(box, FILTER, splits(), points="random", **BRIEF)


def test_a_callable_that_gives_boxes_has_its_measures():
    result = adapt(Within(), FILTER, splits(), points=lambda masks, seed: moved_boxes(masks, seed), **BRIEF)
    assert "ellipse" in result.metrics["test"]["rows"]
    assert result.metrics["test"]["rows"]["adapted"]["repeats"] == 2  # what a callable draws may differ


def test_the_first_of_several_points_is_the_one_that_is_drawn_alone():
    masks = splits().train.masks
    one, two, five = (random_points(masks, (4, 1), k).points for k in (1, 2, 5))
    np.testing.assert_array_equal(two[:, :1], one)
    np.testing.assert_array_equal(five[:, :1], one)

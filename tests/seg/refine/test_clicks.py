"""Clicks that correct: where the next one lies, and that answers follow them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from zoo_opt_seg.blackbox import as_black_box
from zoo_opt_seg.prompts import ABSENT, Prompts
from zoo_opt_seg.refine import FollowingClicks, followed, question
from zoo_opt_seg.refine.clicks import WIDTH, corrections, next_click

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


Y, X = np.mgrid[:48, :64]


def disc(x: float, y: float, r: float) -> np.ndarray:
    return np.hypot(X - x, Y - y) <= r


def clicks(*rows, boxes=None) -> Prompts:
    """Prompts of rows of (x, y, label)."""
    most = max(len(row) for row in rows)
    points, labels = np.full((len(rows), most, 2), np.nan, np.float32), np.full((len(rows), most), ABSENT)
    for k, row in enumerate(rows):
        for j, (x, y, kind) in enumerate(row):
            points[k, j], labels[k, j] = (x, y), kind
    return Prompts(points, labels, boxes)


def plainly(mask: np.ndarray, asked: list, corrections: list) -> np.ndarray:
    """The rule in the plainest way: the whole image, one pixel's formula."""
    for k, (x, y, kind) in enumerate(corrections):
        if mask[y, x] == bool(kind):
            continue
        side = mask if kind else ~mask
        distance = distance_transform_edt(~side) - 0.5
        r = distance[y, x]
        everything = [*asked, *corrections[:k], *corrections[k + 1 :]]
        barred = [np.hypot(a - x, b - y) / 2 for a, b, other in everything if other != kind]
        wide = min([max(WIDTH * np.sqrt(mask.sum() / np.pi), r), *barred])
        moved = side | (distance < 2 * r * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * wide**2)))
        mask = moved if kind else ~moved
    return mask


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_it_is_the_rule_of_its_docstring(seed, k):
    rng = np.random.default_rng(seed)
    mask = disc(*rng.uniform((10, 10), (54, 38)), rng.uniform(3, 14)) ^ disc(*rng.uniform((5, 5), (60, 44)), 4)
    places = rng.permutation(48 * 64)[: k + 1]
    (asked, *corrections) = [(int(p % 64), int(p // 64), int(rng.integers(2))) for p in places]
    asked = (*asked[:2], 1)
    found = followed(mask[None], clicks([asked, *corrections]))[0]
    assert found.dtype == np.bool_ and (found == plainly(mask, [asked], corrections)).all()


def test_the_border_moves_past_the_click_and_not_elsewhere():
    mask, right = disc(30, 24, 12), disc(30, 24, 12) | disc(40, 24, 8)
    (found,) = followed(mask[None], clicks([(30, 24, 1), (45, 24, 1)]))  # the middle of what is missing
    assert (found & right).sum() / right.sum() > 0.97 and (found & ~right).sum() < 40
    assert (found == mask)[:, :28].all()
    (less,) = followed(found[None], clicks([(30, 24, 1), (45, 24, 0)]))
    assert not less[24, 45] and less[24, 30] and (less <= found).all()


def test_probabilities_stay_where_the_mask_does():
    p = np.where(disc(30, 24, 12), 0.8, 0.1).astype(np.float32)
    p[0, 0] = 0.5
    (found,) = followed(p[None], clicks([(30, 24, 1), (45, 24, 1)]))
    change = (found > 0.5) != (p > 0.5)
    assert found.dtype == np.float32 and change[24, 45] and np.allclose(found[change], 0.9)
    assert found[~change].tobytes() == p[~change].tobytes()
    (all_over,) = followed(np.full((1, 48, 64), 0.5, np.float32), clicks([(30, 24, 1), (45, 24, 1)]))
    assert all_over[24, 45] > 0.5  # .5 is outside


def test_what_is_asked_is_no_correction():
    empty = np.zeros((3, 48, 64), np.float32)
    box = np.array([[5, 5, 20, 20], [np.nan] * 4, [np.nan] * 4], np.float32)
    rows = clicks([(9, 9, 1)], [(9, 9, 0), (20, 20, 1)], [(9, 9, 1), (20, 20, 1)], boxes=box)
    found = followed(empty, rows) > 0.5
    assert found[0, 9, 9] and not found[1].any() and found[2, 20, 20] and not found[2, 9, 9]
    assert followed(empty, Prompts(boxes=box)) is empty


def test_a_mask_without_a_border_and_a_row_without_an_answer():
    answers = np.zeros((3, 48, 64), np.float32)
    answers[1], answers[2] = 1, np.nan
    found = followed(answers, clicks(*[[(9, 9, 1), (40, 30, 1), (20, 20, 0)]] * 3))
    assert found[0, 30, 40] > 0.5 and found[0].sum() < 60 and found[1, 20, 20] < 0.5 and found[1, 9, 9] > 0.5
    assert np.isnan(found[2]).all()
    (corner,) = followed(answers[:1], clicks([(9, 9, 1), (63.4, 47.4, 1)]))  # between the last pixels and the border
    assert corner[47, 63] > 0.5


@pytest.mark.parametrize(
    ("row", "boxed", "asked", "kept"),
    [
        ([(1, 1, 1), (2, 2, 0), (3, 3, 1)], False, 1, [1]),
        ([(1, 1, 1), (2, 2, 0), (3, 3, 1)], False, 2, [1, 2]),
        ([(1, 1, 0), (2, 2, 1), (3, 3, 1)], False, 1, [1, 2]),  # a click beside the object asks for none
        ([(1, 1, 0), (2, 2, 0)], False, 1, [1, 2]),
        ([(1, 1, 1), (2, 2, 0)], True, 1, []),
        ([(1, 1, 1), (2, 2, 0)], True, 2, [1]),
        ([(1, 1, 1)], False, 9, [1]),
    ],
)
def test_by_what_the_model_is_asked(row, boxed, asked, kept):
    box = np.array([[0, 0, 9, 9]], np.float32) if boxed else None
    given = clicks(row, boxes=box)
    found = question(given, asked)
    left = [] if found.points is None else found.points[0, :, 0].tolist()
    assert left == kept and (found.boxes is None) == (not boxed)
    wanted = clicks(row[: len(kept)], boxes=box) if kept else Prompts(boxes=box)
    assert found.key(0) == wanted.key(0)  # the same question as without the corrections: it is paid once


def test_rows_of_several_kinds_are_asked_together():
    box = np.array([[np.nan] * 4, [0, 0, 9, 9]], np.float32)
    found = question(clicks([(1, 1, 1), (2, 2, 0)], [(3, 3, 1)], boxes=box))
    assert found.labels.tolist() == [[1], [ABSENT]] and np.isnan(found.boxes[0]).all()
    words = Prompts(texts=("a cell",))
    assert question(words) is words


def test_how_many_corrections_an_answer_takes():
    right = np.stack([disc(30, 24, 12)] * 4)
    answers = np.stack([disc(30, 24, 12), disc(30, 24, 9), disc(10, 10, 3), np.zeros((48, 64), bool)])
    asked = Prompts(np.full((4, 1, 2), [[30, 24]], np.float32))
    few = corrections(answers, asked, right, most=3)
    assert few[0] == 0 and 0 < few[1] <= 3 and few[2] == few[3] == 3
    assert corrections(answers[1:2], asked[1], right[:1], enough=0.6).tolist() == [0]
    boxed = Prompts(boxes=np.full((4, 4), [18, 12, 42, 36], np.float32))
    assert corrections(answers, boxed, right, most=3)[0] == 0
    mask = followed(answers[1:2], clicks([(30, 24, 1), next_click(right[1], answers[1])]))
    assert corrections(mask, asked[1], right[:1])[0] in (few[1] - 1, few[1])


def test_a_black_box_that_follows_is_asked_once_for_an_object():
    seen = []

    def model(images, prompts):
        seen.append(prompts.points[0].tolist())
        return np.repeat(disc(30, 24, 12)[None], len(images), axis=0).astype(np.float32)

    box = FollowingClicks(as_black_box(model, name="disc"))
    image = np.zeros((1, 48, 64, 3), np.uint8)
    first = box(image, clicks([(30, 24, 1)]))
    assert first.tobytes() == model(image, clicks([(30, 24, 1)])).tobytes()
    assert box(image, clicks([(30, 24, 1), (45, 24, 1)]))[0, 24, 45] > 0.5
    assert seen == [[[30, 24]]] * 3
    assert box.name == "disc+followed:1" and FollowingClicks(model, 3).asked == 3
    with pytest.raises(ValueError, match="asked"):
        FollowingClicks(model, 0)

"""Prompts: what is valid, rows and batches, geometry, absent prompts, keys."""

import numpy as np
import pytest
from seg.checks import raises, refused

from zoo_opt_seg.prompts import Prompts

RNG = np.random.default_rng(0)
NAN = np.nan


def full(n: int = 5) -> Prompts:
    corner = RNG.random((n, 2)) * 50
    return Prompts(
        points=RNG.random((n, 3, 2)) * 96,
        labels=RNG.integers(0, 2, (n, 3)),
        boxes=np.concatenate([corner, corner + 20], axis=1),
        masks=RNG.normal(size=(n, 8, 8)),
        texts=[f"a polyp {i}" for i in range(n)],
    )


def same(one: Prompts, other: Prompts) -> bool:
    kinds = ("points", "labels", "boxes", "masks")
    return one.texts == other.texts and all(
        (a is None) == (b is None) and (a is None or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
        for a, b in ((getattr(one, kind), getattr(other, kind)) for kind in kinds)
    )


def test_types_and_defaults() -> None:
    prompts = full()
    assert (prompts.points.dtype, prompts.labels.dtype, prompts.boxes.dtype) == (np.float32, np.int64, np.float32)
    assert prompts.texts == tuple(f"a polyp {i}" for i in range(5))
    assert np.array_equal(Prompts(points=[[[1, 2]], [[3, 4]]]).labels, [[1], [1]])
    assert len(Prompts(texts=("x", "y"))) == 2
    assert len(Prompts.nothing(7)) == 7
    assert len(Prompts.nothing(0)) == 0


test_bad_prompts = refused(
    Prompts,
    ({}, ValueError, r"use Prompts.nothing\(n\)"),
    ({"labels": [[1]]}, ValueError, "labels need points"),
    ({"points": np.zeros((2, 2))}, ValueError, r"points must have shape \(n, k, 2\), got \(2, 2\)"),
    ({"points": np.zeros((2, 1, 3))}, ValueError, "points must have shape"),
    ({"points": "here"}, TypeError, "points must be an array"),
    ({"points": [[[1, 2]], [[1, 2], [3, 4]]]}, TypeError, "points must be an array"),
    ({"points": np.full((1, 1, 2), NAN)}, ValueError, "points must be finite"),
    ({"points": np.zeros((2, 1, 2)), "labels": np.ones((2, 2))}, ValueError, r"labels must have shape \(2, 1\)"),
    ({"points": np.zeros((1, 1, 2)), "labels": [[2]]}, ValueError, "labels must be 1"),
    ({"points": np.zeros((1, 1, 2)), "labels": [[0.5]]}, ValueError, "labels must be 1"),
    ({"boxes": np.zeros((2, 3))}, ValueError, r"boxes must have shape \(n, 4\)"),
    ({"boxes": [[5, 5, 1, 9]]}, ValueError, "x0 <= x1"),
    ({"boxes": [[1, 2, 3, 4], [NAN, 1, 2, 3]]}, ValueError, "got neither in row 1"),
    ({"boxes": [[1, 2, 3, np.inf]]}, ValueError, "boxes must be finite"),
    ({"masks": np.zeros((2, 4))}, ValueError, r"masks must have shape \(n, h, w\)"),
    ({"masks": np.array([[[NAN, 0.0]]])}, ValueError, "masks must be finite"),
    ({"texts": "a polyp"}, TypeError, "texts must be a sequence of str"),
    ({"texts": (1, 2)}, TypeError, "texts must be a sequence of str"),
    ({"boxes": np.zeros((2, 4)), "texts": ("x",)}, ValueError, "got lengths {'boxes': 2, 'texts': 1}"),
)


@pytest.mark.parametrize(
    "rows", [slice(1, 4), slice(None, None, -2), [3, 0, 3], np.array([1]), np.arange(5) > 2, [], -1, 2, np.int64(4)]
)
def test_rows(rows: object) -> None:
    prompts = full()
    part = prompts[rows]
    index = np.atleast_1d(np.arange(5)[rows if not isinstance(rows, list) else np.array(rows, int)])
    assert len(part) == len(index)
    assert np.array_equal(part.points, prompts.points[index])
    assert np.array_equal(part.labels, prompts.labels[index])
    assert part.texts == tuple(prompts.texts[i] for i in index)


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="row 5 of 5"):
        full()[5]
    with pytest.raises(IndexError):
        full()[[7]]
    assert [len(row) for row in full()] == [1] * 5


def test_repeat_is_block_after_block() -> None:
    prompts = full(3)
    tiled = prompts.repeat(2)
    assert same(tiled[:3], prompts)
    assert same(tiled[3:], prompts)
    assert len(prompts.repeat(0)) == 0


def test_concatenate_is_the_inverse_of_rows() -> None:
    prompts = full()
    assert same(Prompts.concatenate([prompts[:2], prompts[2:]]), prompts)
    assert same(Prompts.concatenate(list(prompts)), prompts)


def test_concatenate_marks_what_some_lack() -> None:
    parts = [Prompts(points=np.ones((1, 1, 2))), Prompts(texts=("x",))]
    parts.insert(1, Prompts(points=np.full((1, 3, 2), 2.0), boxes=[[1, 2, 3, 4]], masks=np.zeros((1, 4, 4))))
    both = Prompts.concatenate(parts)
    assert np.array_equal(both.labels, [[1, -1, -1], [1, 1, 1], [-1, -1, -1]])
    assert np.isnan(both.boxes[[0, 2]]).all()
    assert np.isnan(both.masks[0]).all()
    assert both.texts == ("", "", "x")
    sizes = [Prompts(masks=np.zeros((1, height, 4))) for height in (4, 5)]
    raises(ValueError, "masks must all have the same size", Prompts.concatenate, sizes)
    raises(ValueError, "at least one", Prompts.concatenate, [])


def test_groups_hold_nothing_absent_and_every_row_once() -> None:
    prompts = Prompts(
        points=np.arange(24).reshape(4, 3, 2),
        labels=[[1, -1, 0], [-1, -1, -1], [1, 1, 1], [-1, 0, 1]],
        boxes=[[NAN] * 4, [1, 2, 3, 4], [NAN] * 4, [NAN] * 4],
    )
    groups = prompts.groups()
    assert sorted(np.concatenate([rows for rows, _ in groups])) == [0, 1, 2, 3]
    found = {tuple(rows.tolist()): part for rows, part in groups}
    assert set(found) == {(0, 3), (1,), (2,)}
    assert np.array_equal(found[0, 3].points, [[[0, 1], [4, 5]], [[20, 21], [22, 23]]])
    assert np.array_equal(found[0, 3].labels, [[1, 0], [0, 1]])
    assert found[0, 3].boxes is None
    assert found[(1,)].points.shape == (1, 0, 2)
    assert np.array_equal(found[(1,)].boxes, [[1, 2, 3, 4]])


def test_groups_of_a_uniform_batch_are_one() -> None:
    ((rows, part),) = full().groups()
    assert np.array_equal(rows, np.arange(5))
    assert part.points.shape == (5, 3, 2)
    assert [len(rows) for rows, _ in Prompts.nothing(3).groups()] == [3]
    assert [len(rows) for rows, _ in Prompts(texts=("x", "y")).groups()] == [2]
    assert Prompts.nothing(0).groups() == []


def test_scaled_as_sam_does() -> None:
    prompts = full()
    scaled = prompts.scaled(2.0, 0.5)
    assert np.allclose(scaled.points, prompts.points * [2, 0.5])
    assert np.allclose(scaled.boxes, prompts.boxes * [2, 0.5, 2, 0.5])
    assert np.array_equal(scaled.masks, prompts.masks)
    assert np.array_equal(scaled.labels, prompts.labels)


def test_moved_keeps_boxes_upright() -> None:
    prompts = Prompts(points=[[[10.0, 20.0]]], boxes=[[10, 20, 30, 60]])
    turned = prompts.moved(lambda xy: np.stack([95 - xy[..., 1], xy[..., 0]], axis=-1))
    assert np.array_equal(turned.points, [[[75, 10]]])
    assert np.array_equal(turned.boxes, [[35, 10, 75, 30]])
    raises(ValueError, "masks cannot be moved", full().moved, lambda xy: xy)


def test_moved_leaves_the_absent_absent() -> None:
    moved = Prompts(points=[[[1, 2], [NAN, NAN]]], labels=[[1, -1]], boxes=[[NAN] * 4]).moved(lambda xy: xy + 1)
    assert np.array_equal(moved.points, [[[2, 3], [NAN, NAN]]], equal_nan=True)
    assert np.isnan(moved.boxes).all()


def test_key_is_of_the_content_alone() -> None:
    one = Prompts(points=[[[1, 2]]])
    assert one.key(0) == Prompts(points=[[[9, 9], [1, 2]]], labels=[[-1, 1]], boxes=[[NAN] * 4], texts=("",)).key(0)
    others = [{"points": [[[1, 2]]], "labels": [[0]]}, {"points": [[[2, 1]]]}, {"points": [[[1, 2], [1, 2]]]}]
    others += [{"points": [[[1, 2]]], "texts": ("x",)}, {"boxes": [[0, 0, 1, 2]]}]
    others += [{"masks": [[[0, 0], [1, 2]]]}, {"masks": [[[0, 0, 1, 2]]]}]
    others = [Prompts.nothing(1), *(Prompts(**kinds) for kinds in others)]
    assert len({one.key(0), *(other.key(0) for other in others)}) == 1 + len(others)
    batch = full()
    assert [batch.key(i) for i in range(5)] == [batch[i].key(0) for i in range(5)]

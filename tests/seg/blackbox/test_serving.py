"""Black boxes that are out of service for a while, and that answer a part of what they were asked."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seg.checks import raises

from zoo_opt import outage
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.blackbox import (
    BlackBox,
    Budgeted,
    BudgetExhausted,
    Cached,
    Counted,
    Hardened,
    PartlyAnswered,
    Quantized,
    Served,
    as_black_box,
)
from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.blackbox.serving import TRIES
from zoo_opt_seg.prompts import Prompts

IMAGES = np.random.default_rng(1).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
POINTS = Prompts(points=np.arange(12).reshape(6, 1, 2) % 8)
Errors = dict[int, Exception]


def grey(images: np.ndarray, prompts: Prompts) -> np.ndarray:
    """A model whose answers depend on the image and the prompt."""
    scaled = images.astype(np.float32) / 255
    return scaled.mean(axis=3) * (np.float32(0.5) + prompts.points[:, :1, :1] / 16).astype(np.float32)


class Service:
    """Answers ``grey``, but for what ``fails(k, n)`` says of question k of n images: an error, or errors by row."""

    name = "service"

    def __init__(self, fails: Callable[[int, int], Any] = lambda k, n: None, hard: bool = False) -> None:
        self.fails, self.hard, self.asked = fails, hard, []

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        self.asked.append(len(images))
        masks = grey(images, prompts)
        masks = masks > 0.3 if self.hard else masks
        failed = self.fails(len(self.asked), len(images))
        if isinstance(failed, Exception):
            raise failed
        if failed:
            masks[list(failed)] = self.hard or 99.0  # nobody looks at it
            raise PartlyAnswered(masks, failed)
        return masks


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, on a clock of their own."""
    pauses: list[float] = []
    monkeypatch.setattr(outage, "time", types.SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses)))
    monkeypatch.setattr(outage, "_share", lambda: 1.0)  # each as long as it may be
    return pauses


def first(*errors: Any) -> Callable[[int, int], Any]:
    """The first questions fail with these, the others not at all."""
    return lambda k, n: errors[k - 1] if k <= len(errors) else None


# ------------------------------------------------------------------------------------------------- part of an answer
WRONG: list[tuple[dict[int, Any], type[Exception], str]] = [
    ({}, ValueError, "at least one row"),
    ({6: ValueError()}, ValueError, "rows below 6, got row 6"),
    ({-1: ValueError()}, ValueError, "rows below 6, got row -1"),
    ({0: "words"}, TypeError, "exceptions by row, got 'words' for row 0"),
]


@pytest.mark.parametrize(("errors", "kind", "words"), WRONG)
def test_what_is_no_part_of_an_answer(errors: dict[int, Any], kind: type[Exception], words: str) -> None:
    raises(kind, words, PartlyAnswered, grey(IMAGES, POINTS), errors)


def test_masks_that_came_are_checked_and_others_are_not() -> None:
    masks = grey(IMAGES, POINTS)
    masks[2] = np.nan

    def partly(masks: np.ndarray, row: int, error: Exception) -> BlackBox:
        def model(images: np.ndarray, prompts: Prompts) -> np.ndarray:
            raise PartlyAnswered(masks, {row: error})

        return as_black_box(model)

    words = "1 of 6 images have no answer, .* TimeoutError: slow"
    part = raises(PartlyAnswered, words, partly(masks, 2, TimeoutError("slow")), IMAGES, POINTS)
    assert part.answered == [0, 1, 3, 4, 5] and isinstance(part.errors[2], NotServed)
    raises(ValueError, "got NaN", partly(masks, 1, ValueError()), IMAGES, POINTS)
    raises(ValueError, r"\(6, 8, 10\), got \(5, 8, 10\)", partly(masks[1:], 1, ValueError()), IMAGES, POINTS)


def test_masks_of_nan_are_images_without_an_answer() -> None:
    """Of the callable that answers so the whole question had been thrown away, with the masks that came."""
    asked: list[int] = []

    def model(images: np.ndarray, prompts: Prompts) -> np.ndarray:
        masks = grey(images, prompts)
        masks[1 : 2 + bool(asked)] = np.nan
        asked.append(len(images))
        return masks

    part = raises(PartlyAnswered, "1 of 6 images have no answer, .*answered NaN", as_black_box(model), IMAGES, POINTS)
    assert part.answered == [0, 2, 3, 4, 5]
    asked.clear()
    assert np.array_equal(Served(model)(IMAGES, POINTS), grey(IMAGES, POINTS)) and asked == [6, 1]


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("row_error", [ValueError("dark"), NotServed("busy"), ConnectionResetError("gone")])
def test_only_missing_rows_are_asked_again(row_error: Exception, hard: bool, slept: list[float]) -> None:
    service = Service(first({1: row_error, 4: row_error}, {0: row_error}), hard)
    answer = Served(service)(IMAGES, POINTS)
    whole = grey(IMAGES, POINTS)
    np.testing.assert_array_equal(answer, whole > 0.3 if hard else whole)
    assert answer.dtype == (bool if hard else np.float32) and service.asked == [6, 2, 1]
    assert bool(slept) == (not isinstance(row_error, ValueError))


def test_an_image_that_always_fails_is_nan_after_five_times() -> None:
    bad = IMAGES[3]

    class Model(Service):
        def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
            self.fails = lambda k, n: {i: ValueError("dark") for i in range(n) if np.array_equal(images[i], bad)}
            return super().__call__(images, prompts)

    model = Model()
    answer = Served(model)(IMAGES, POINTS)
    assert np.isnan(answer[3]).all() and model.asked == [6, *[1] * (TRIES - 1)]
    np.testing.assert_array_equal(np.delete(answer, 3, 0), np.delete(grey(IMAGES, POINTS), 3, 0))
    raises(ValueError, "dark", Served(model), IMAGES[3:4], POINTS[3:4])
    assert np.isnan(Served(Model(hard=True))(IMAGES, POINTS)).any(axis=(1, 2)).tolist() == [i == 3 for i in range(6)]


def test_a_failure_of_the_question_is_raised_at_once_and_of_its_rest_is_that_of_its_images() -> None:
    service = Service(lambda k, n: RuntimeError("out of memory"))
    raises(RuntimeError, "out of memory", Served(service), IMAGES, POINTS)
    assert service.asked == [6]
    service = Service(first({1: ValueError("dark"), 2: ValueError("dark")}, RuntimeError("out of memory")))
    np.testing.assert_array_equal(Served(service)(IMAGES, POINTS), grey(IMAGES, POINTS))
    assert service.asked == [6, 2, 2]


def test_no_images_are_no_outage() -> None:
    assert Served(Service())(IMAGES[:0], POINTS[:0]).shape == (0, 8, 10)


# ------------------------------------------------------------------------------------------------------------ outages
def test_an_outage_is_waited_for(slept: list[float]) -> None:
    service = Service(first(ConnectionRefusedError("down"), TimeoutError(), NotServed("busy", retry_after=5)))
    np.testing.assert_array_equal(Served(service)(IMAGES, POINTS), grey(IMAGES, POINTS))
    assert service.asked == [6] * 4 and np.allclose(slept, [0.1, 0.2, 5.0])


def test_an_outage_that_lasts_is_raised_and_what_answers_now_and_then_is_not_out(slept: list[float]) -> None:
    down = Served(Service(lambda k, n: ConnectionRefusedError("down")), 9)
    raises(NotServed, "ConnectionRefusedError: down", down, IMAGES, POINTS)
    assert np.isclose(sum(slept), 9)
    slept.clear()
    slow = Service(lambda k, n: {i: NotServed("busy", retry_after=6) for i in range(1, n)})  # one image at a time
    np.testing.assert_array_equal(Served(slow, 9)(IMAGES, POINTS), grey(IMAGES, POINTS))
    assert slow.asked == [6, 5, 4, 3, 2, 1] and np.allclose(slept, [6.0] * 5)


@pytest.mark.parametrize("error", [Refused("no key"), {2: Refused("no key")}], ids=["whole", "row"])
def test_a_refusal_costs_one_question(error: Any) -> None:
    service = Service(lambda k, n: error)
    raises(Refused, "no key", Served(service), IMAGES, POINTS)
    assert service.asked == [6]


def test_what_came_is_there_for_the_next_process(tmp_path: Path) -> None:
    """Down after four images of a question: another process asks about two, and the masks go with the next question."""
    kept = MaskFolder(tmp_path, "masks")
    down = Service(lambda k, n: dict.fromkeys(range(4, n), NotServed("busy")) or NotServed("busy"))
    raises(NotServed, "busy", Served(down, 0, kept), IMAGES, POINTS)
    raises(NotServed, "busy", Served(down, 0, MaskFolder(tmp_path, "masks")), IMAGES, POINTS)
    assert down.asked == [6, 2]
    up = Service()
    box = Served(up, 0, MaskFolder(tmp_path, "masks"))
    np.testing.assert_array_equal(box(IMAGES, POINTS), grey(IMAGES, POINTS))
    box(IMAGES, POINTS[[1, 2, 3, 4, 5, 0]])
    assert up.asked == [2, 6]
    up.fails = lambda k, n: {0: ValueError("dark")} if n > 1 else None
    box(IMAGES[:2] ^ 1, POINTS[:2])
    assert len(list(tmp_path.glob("*/*.mask"))) == 2  # those of the question before are gone


# ----------------------------------------------------------------------------------------------------- other wrappers
@pytest.mark.parametrize("error", [ConnectionRefusedError("down"), NotServed("busy"), Refused("no key")])
def test_what_was_not_served_is_not_counted(error: Exception) -> None:
    class Own(BlackBox):  # its errors are nobody's who made it from a callable
        def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
            raise error

    for model in (Own(), Service(lambda k, n: error)):
        for box in (Counted(model), Budgeted(model, 6)):
            for _ in range(3):
                raises((NotServed, Refused), None, box, IMAGES, POINTS)
            assert box.calls == 0
    rows = {0: error, 1: ValueError("dark")}
    box = Counted(Service(lambda k, n: rows))
    raises(PartlyAnswered, None, box, IMAGES, POINTS)
    assert box.calls == 5
    box = Counted(Service(lambda k, n: RuntimeError("may have been paid for")))
    raises(RuntimeError, None, box, IMAGES, POINTS)
    assert box.calls == 6


def test_a_budget_of_questions_counts_an_image_once_whatever_it_took(slept: list[float]) -> None:
    fails = first({1: ValueError("dark"), 2: NotServed("busy")}, ConnectionResetError("gone"), {0: ValueError("dark")})
    box, inner = Budgeted(Served(Service(fails)), 6), Counted(Service(fails))
    assert np.array_equal(box(IMAGES, POINTS), Served(inner)(IMAGES, POINTS)) and box.calls == 6
    assert inner.calls == 6 + 2  # two rows were answered by an error
    raises(BudgetExhausted, "1 calls asked for, 0 left", box, IMAGES[:1], POINTS[:1])


def test_the_cache_keeps_what_came(tmp_path: Path) -> None:
    service = Service(first({1: ValueError("dark"), 4: ValueError("dark")}))
    box = Cached(service, tmp_path)
    part = raises(PartlyAnswered, "2 of 6 images", box, IMAGES, POINTS)
    assert part.answered == [0, 2, 3, 5]
    np.testing.assert_array_equal(box(IMAGES, POINTS), grey(IMAGES, POINTS))
    assert service.asked == [6, 2]
    twice, same = IMAGES[[0, 1, 1]] ^ 1, POINTS[[0, 1, 1]]
    service.fails = lambda k, n: {1: ValueError("dark")}
    part = raises(PartlyAnswered, None, box, twice, same)
    assert part.answered == [0] and service.asked[-1] == 2


def test_wrappers_pass_parts_on() -> None:
    service = Service(lambda k, n: {1: ValueError("dark")})
    part = raises(PartlyAnswered, None, Hardened(Quantized(service)), IMAGES.astype(np.float32) / 255, POINTS)
    assert part.masks.dtype == bool and part.answered == [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(part.masks[2], grey(IMAGES, POINTS)[2] > 0.5)

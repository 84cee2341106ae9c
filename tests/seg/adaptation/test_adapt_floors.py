"""What an adaptation stands beside: the prompt before its training, rows that ask nobody, and what is said of them."""

import numpy as np
import pytest
from seg.adapting import Faulty, quick
from seg.tiny_box import SIZE, splits

import zoo_opt as zo
from zoo_opt_seg import make_prompt
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.verdicts import said_of

VIEWS = make_prompt("views", SIZE)
FRAME = make_prompt("bar", SIZE, inner=18)
STILL = zo.CMAES(sigma0=1e-6, popsize=6)  # whose steps change no mask, so that the start is kept
TEST = {"test": True, "repeats": 2}
IMAGES = 2 * 5  # test images and repeats


def test_the_untrained_start_is_a_row_and_pays_for_no_view_twice() -> None:
    box = Faulty()
    result = quick(box, VIEWS, **TEST)
    test = result.metrics["test"]
    assert list(test["rows"])[:3] == ["zero-shot", "start", "adapted"]
    wanted = evaluate(Faulty(), splits().test, prompt=VIEWS, x=VIEWS.x0(), repeats=2).summary()
    assert test["rows"]["start"] == pytest.approx(wanted, abs=1e-6)
    assert test["rows"]["adapted"]["dice"] > test["rows"]["start"]["dice"]
    assert test["start_calls"] == IMAGES  # of its two views one is the image as it is
    assert test["calls"] == IMAGES + IMAGES + 2 * IMAGES == box.sent - result.calls
    assert test["over_start"]["views"] == 2 and not test["over_start"]["kept"]
    assert set(test["images"]) == {"names", "zero-shot", "start", "adapted"}


def test_it_can_be_left_out_and_is_none_where_it_is_the_black_box_as_it_is() -> None:
    for prompt, settings in ((VIEWS, {"test_start": False}), (make_prompt("filter", SIZE), {})):
        box = Faulty()
        result = quick(box, prompt, **TEST, **settings)
        test = result.metrics["test"]
        assert "start" not in test["rows"] and "over_start" not in test and test["start_calls"] == 0
        assert test["calls"] == (1 + prompt.views) * IMAGES == box.sent - result.calls
    one = quick(Faulty(), FRAME, **TEST).metrics["test"]
    assert one["over_start"]["views"] == 1 and one["start_calls"] == IMAGES


@pytest.mark.parametrize("settings", [{}, {"refine": True, "refine_steps": 2, "refine_networks": 2}])
def test_what_is_kept_unchanged_is_not_asked_about_again(settings: dict) -> None:
    for prompt, same, calls in ((make_prompt("filter", SIZE), "zero-shot", IMAGES), (VIEWS, "start", 2 * IMAGES)):
        box = Faulty()
        result = quick(box, prompt, method=STILL, **TEST, **settings)
        test = result.metrics["test"]
        assert result.metrics["chosen"]["mark"] == 0
        assert test["rows"]["adapted"] == test["rows"][same]
        assert test["calls"] == calls == box.sent - result.calls
    assert test["over_start"]["kept"]
    assert "The untrained start is what is kept: this is an ensemble of 2 views, not training" in said_of(test)[0]


class Killed(BaseException):
    """As a kill: nothing of the driver may catch it."""


def test_a_test_that_is_cut_off_asks_nothing_again(tmp_path) -> None:
    def run(box, name):
        return quick(box, VIEWS, **TEST, test_images=4, calls=120, out=tmp_path / name)

    whole_box = Faulty()
    whole = run(whole_box, "whole").metrics["test"]
    assert not any((tmp_path / "whole" / "state" / "tested").rglob("*.mask"))
    asked = 6  # zero-shot, start and adapted, twice each
    for cut in range(whole_box.questions - asked + 1, whole_box.questions + 1):
        dying = Faulty(lambda box, _, cut=cut: box.questions == cut, error=Killed)
        with pytest.raises(Killed):
            run(dying, str(cut))
        box = Faulty()
        test = run(box, str(cut)).metrics["test"]
        assert test["rows"] == whole["rows"] and test["over_start"] == whole["over_start"], cut
        assert dying.sent + box.sent <= whole_box.sent + 8, cut  # the question in flight, and no other


def test_the_best_row_that_asks_nobody_is_the_floor() -> None:
    test = quick(Faulty(), **TEST).metrics["test"]
    rows, over = test["rows"], test["over_floor"]
    floors = {name: rows[name]["dice"] for name in ("disk", "whole image", "region growing")}
    assert over["row"] == max(floors, key=floors.get)
    assert over["dice"] == pytest.approx(rows["adapted"]["dice"] - floors[over["row"]], abs=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.1, "Training gained over its start; untrained Dice 0.400, trained 0.500"),
        (-0.1, -0.01, "The untrained start does better: this is an ensemble of 2 views, not training"),
        (-0.1, 0.1, "The untrained start does as well: this is an ensemble of 2 views, not training"),
        (None, None, "No interval for what training gained"),
    ],
)
def test_what_is_said_of_the_start(low, high, words) -> None:
    rows = {"start": {"dice": 0.4}, "adapted": {"dice": 0.5}}
    over = {"dice": 0.1, "low": low, "high": high, "views": 2, "kept": False}
    (said,) = said_of({"rows": rows, "over_start": over})
    assert said.startswith(words)
    (said,) = said_of({"rows": rows, "over_start": {**over, "views": 1}})
    assert "ensemble" not in said


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.1, "The black box is above what needs no model; the best disk, no model: Dice 0.400, with it 0.500"),
        (-0.1, -0.01, "You do not need the black box for this; the best disk"),
        (-0.1, 0.1, "You may not need the black box for this; the best disk"),
        (None, None, "No interval, as there is one group of images; the best disk"),
    ],
)
def test_what_is_said_of_the_floor(low, high, words) -> None:
    rows = {"adapted": {"dice": 0.5}, "disk": {"dice": 0.4}}
    (said,) = said_of({"rows": rows, "over_floor": {"row": "disk", "dice": 0.1, "low": low, "high": high}})
    assert said.startswith(words) and ("--refine" in said) is (words.startswith("The black box is above"))


def test_the_page_and_the_summary_show_and_say_it(tmp_path, run) -> None:
    box = ["--model", "seg.tiny_box:factory", "--data", "seg.tiny_box:splits", "--prompt", "views", "--quiet"]
    words = ["adapt", *box, "--size", str(SIZE), "--repeats", "2", "-o", "sigma0=0.1", "-o", "popsize=6"]
    words += ["--calls", "440", "--batch", "4", "--validate", "2"]
    status, out, err = run(*words, "--out", str(tmp_path / "run"))
    assert status == 0, err
    assert "40 more to measure the test images, 10 of them the start" in out and "\n           start " in out
    page = (tmp_path / "run" / "index.html").read_text()
    said = [line for line in out.splitlines() if "untrained" in line.lower() or "black box" in line]
    assert len(said) == 2 and all(line.split(";")[0] in page for line in said)
    assert "Untrained start" in page and "the visual prompt before its training" in page
    status, out, err = run(*words, "--no-test-start", "--out", str(tmp_path / "without"))
    assert status == 0 and "30 more to measure the test images\n" in out and "\n           start " not in out
    status, out, err = run(*words, "--no-test-start", "--out", str(tmp_path / "run"))
    assert status == 2 and "its test is" in err  # complete with another setting: another run


def test_a_start_given_by_hand_is_a_start_too() -> None:
    x0 = np.full(make_prompt("filter", SIZE).dim, 0.01, np.float32)
    test = quick(Faulty(), x0=x0, **TEST).metrics["test"]
    assert list(test["rows"])[:3] == ["zero-shot", "start", "adapted"] and test["over_start"]["views"] == 1

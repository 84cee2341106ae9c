"""adapt with a refiner: one budget, every answer used once more, and nothing asked twice after a kill."""

import errno
import json

import numpy as np
import pytest
from seg.adapting import CMA, Faulty
from seg.tiny_box import SIZE, Bright, splits

from zoo_opt_seg import adapt, make_prompt
from zoo_opt_seg.adaptation.retrying import BlackBoxDown
from zoo_opt_seg.blackbox import cache
from zoo_opt_seg.cli import main
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.verdicts import said_of
from zoo_opt_seg.refine import RefinedPrompt, load_refiner
from zoo_opt_seg.visual_prompts import load_prompt

FILTER = make_prompt("filter", SIZE)
CALLS = 100
REFINE = {"method": CMA, "calls": CALLS, "batch": 4, "validate": 0, "refine": True}
REFINE |= {"refine_steps": 6, "refine_networks": 2}


class Hard(Bright):
    """Answers with masks."""

    def __call__(self, images, prompts):
        return super().__call__(images, prompts) > 0.5


def refined(model=None, data=None, **changes):
    """Adapt the bright box, or another, with a refiner of six steps."""
    return adapt(model or Bright(), FILTER, data or splits(), **{**REFINE, "test": False, "panel": False, **changes})


def weights(result):
    return {name: value.detach().numpy().tobytes() for name, value in result.prompt.refiner.tensors().items()}


def kept(result):
    """The metrics, without times, and what a restarted process cannot know of the calls of an earlier one."""
    metrics = {name: value for name, value in result.metrics.items() if name not in ("seconds", "panel_calls")}
    if "refiner" in metrics:
        metrics["refiner"] = {name: value for name, value in metrics["refiner"].items() if name != "seconds"}
    if "test" in metrics:
        metrics["test"] = {name: value for name, value in metrics["test"].items() if name != "calls"}
    return json.loads(json.dumps(metrics))


# ------------------------------------------------------------------------------------------------------- the budget


@pytest.mark.parametrize("changes", [{}, {"validate": 2}, {"refine_share": 0.0}, {"calls": 131}, {"augment": "paper"}])
def test_search_validation_and_refiner_have_one_budget(changes):
    box = Faulty()
    result = refined(box, **changes)
    about = result.metrics["refiner"]
    assert box.sent == result.calls == result.metrics["calls"] <= changes.get("calls", CALLS)
    assert result.calls > changes.get("calls", CALLS) - 8
    assert about["of_the_search"] == 4 * result.nfev
    assert about["answers"] >= about["of_the_search"] + about["calls"]  # a question that was drawn twice is paid once


def test_every_view_of_a_prompt_is_paid_for():
    box = Faulty()
    settings = {**REFINE, "calls": 300, "test": False, "panel": False}
    result = adapt(box, make_prompt("views", SIZE), splits(), **settings)
    assert box.sent == result.calls <= 300
    assert 0 < result.metrics["refiner"]["calls"] <= 2 * (result.metrics["refiner"]["answers"] - 4 * result.nfev)


def test_too_few_calls_say_how_many_are_enough():
    with pytest.raises(ValueError, match=r"calls must be at least \d+") as caught:
        refined(calls=25)
    least = int(str(caught.value).partition("at least ")[2].partition(",")[0])
    assert refined(calls=least).calls <= least
    with pytest.raises(ValueError, match="calls must be at least"):
        refined(calls=least - 1)


def test_labelled_images_can_be_limited():
    data = splits(train=12)
    shown = []

    class Seen(Bright):
        def __call__(self, images, prompts):
            shown.extend(np.rint(255 * images).astype(np.uint8) if images.dtype != np.uint8 else images)
            return super().__call__(images, prompts)

    result = refined(Seen(), data, train_images=3, refine_share=0.5)
    assert result.metrics["refiner"]["answers"] > 30
    first = {image.tobytes() for image in data.train.images}
    assert len({image.tobytes() for image in shown} & first) == 3  # the start leaves images as they are
    with pytest.raises(ValueError, match="train_images must be at most 12, the training images with an object, got 13"):
        refined(data=data, train_images=13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refine_share": 1.0}, "refine_share must be in [0, 1), got 1.0"),
        ({"refine_steps": 0}, "refine_steps must be >= 1, got 0"),
        ({"train_images": 0}, "train_images must be >= 1, got 0"),
    ],
)
def test_wrong_settings_are_said(changes, message):
    with pytest.raises((TypeError, ValueError), match=message.replace("[", r"\[").replace(")", r"\)")):
        refined(**changes)


# ------------------------------------------------------------------------------------------------------- the result


def test_the_prompt_predicts_what_the_refiner_makes_of_its_answers():
    result, test = refined(), splits().test
    assert isinstance(result.prompt, RefinedPrompt)
    points = evaluate_prompts(test)
    answers = result.prompt.trained.predict(Bright(), test.images, points)
    corrected = result.prompt.predict(Bright(), test.images, points)
    assert np.array_equal(corrected, result.prompt.refiner.correct(test.images, points, answers))
    assert not np.array_equal(corrected, answers)
    assert np.allclose(result.prompt.predict(Bright(), test.images[0], points[:1]), corrected[0], atol=1e-6)


def evaluate_prompts(samples):
    from zoo_opt_seg.data.draws import draw_prompts

    return draw_prompts("random", samples, (0,))


def test_the_start_is_kept_where_the_search_found_nothing_better():
    class Blind:
        """Knows the reddish discs in images as they are, and nothing in others."""

        name = "blind"

        def __call__(self, images, prompts):
            levels = images.astype(np.float32) * (1 if images.dtype == np.uint8 else 255)
            red = levels[..., 0] - levels[..., 1:].mean(axis=3) > 20
            return np.where(red & np.isclose(levels, np.rint(levels), atol=1e-3).all(axis=3), 0.9, 0.1).astype(
                np.float32
            )

    result = refined(Blind())
    found, start = result.metrics["refiner"]["training_dice"]
    assert start > found
    assert result.metrics["chosen"]["by"] == "start"
    assert np.array_equal(result.x, FILTER.x0()) and np.array_equal(result.prompt.x, result.x)


def test_validation_judges_the_prompt_and_the_refiner_and_its_answers_are_used_again():
    box = Faulty()
    result = refined(box, validate=2, validation_images=5)
    about = result.metrics["refiner"]
    assert len(about["training_dice"]) == 1  # no question about the start: validation has judged it
    assert about["judged"] == "validation"
    assert about["shares"]["0"] == pytest.approx(result.metrics["chosen"]["dice"], abs=1e-6)  # the answers themselves
    assert about["shares"][f"{about['share']:g}"] == max(about["shares"].values())
    assert box.sent == result.calls


def test_hard_masks_do():
    result = refined(Hard(), loss="dice")
    assert result.prompt.refiner.config.hard
    assert result.prompt.predict(Hard(), splits().test.images, evaluate_prompts(splits().test)).dtype == np.float32


def test_a_folder_holds_the_refiner_and_its_rows(tmp_path):
    box = Faulty()
    result = refined(box, test=True, panel=True, out=tmp_path / "run", repeats=2)
    rows = result.metrics["test"]["rows"]
    assert list(rows)[:4] == ["zero-shot", "adapted", "refined", "without the box"]
    assert result.metrics["test"]["calls"] == 2 * 2 * 5  # zero-shot and adapted; the refined row asks nothing
    assert box.sent == result.calls + 20 + result.metrics["panel_calls"]
    again = RefinedPrompt(
        load_prompt(tmp_path / "run" / "prompt.npz"), load_refiner(tmp_path / "run" / "refiner.safetensors")
    )
    settings = {"repeats": 2, "seed": 0, "distances": False}
    assert evaluate(Bright(), splits().test, prompt=again, **settings).summary()["dice"] == rows["refined"]["dice"]
    page = (tmp_path / "run" / "index.html").read_text()
    assert "Refined" in page and "Without the box" in page and said_of(result.metrics["test"])[0].split(";")[0] in page
    asked = box.sent
    complete = refined(box, test=True, panel=True, out=tmp_path / "run", repeats=2)  # complete: nothing is asked
    assert box.sent == asked and weights(complete) == weights(result) and complete.calls == result.calls


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.1, "is worth its calls"),
        (-0.1, -0.01, "You do not need the black box"),
        (-0.1, 0.1, "You may not need the black box"),
        (None, None, "No interval"),
    ],
)
def test_the_verdict_is_that_of_the_interval(low, high, words):
    rows = {name: {"dice": 0.5} for name in ("refined", "without the box")}
    (said,) = said_of({"rows": rows, "over_floor": {"dice": 0.0, "low": low, "high": high}})
    assert words in said and said_of({"rows": rows}) == []


def test_a_refiner_is_judged_by_answers_with_the_prompt_that_is_kept(monkeypatch):
    from zoo_opt_seg.adaptation import refining

    train, given = refining.train_refiner, []

    def noted(answers, validation, **others):
        given.append((answers, others["judge"]))
        return train(answers, validation, **others)

    monkeypatch.setattr(refining, "train_refiner", noted)
    result = refined()
    (answers, judge) = given[0]
    expected = result.prompt.trained.predict(Bright(), judge.images[judge.rows], judge.prompts)
    np.testing.assert_allclose(judge.answers, expected, atol=1e-6)
    images = {k: image for k, image in enumerate(splits().train.images)}
    for part in (answers, judge):  # one number is one labelled image, wherever it stands
        assert all(np.array_equal(part.images[row], images[k]) for row, k in zip(part.rows, part.about, strict=True))
    assert set(judge.about) <= set(answers.about)


# --------------------------------------------------------------------------------------------------- kills, failures


class Killed(BaseException):
    """As a kill: nothing of the driver may catch it."""


@pytest.mark.slow
def test_a_run_that_is_cut_off_anywhere_ends_in_the_same_refiner(tmp_path):
    settings = {"calls": 50, "test": True, "test_images": 4, "repeats": 1, "validate": 2, "validation_images": 4}
    whole_box = Faulty()
    whole = refined(whole_box, out=tmp_path / "whole", **settings)
    assert whole.metrics["refiner"]["calls"] > 8
    for cut in range(2, whole_box.questions, 3):
        dying = Faulty(lambda box, _, cut=cut: box.questions == cut, error=Killed)
        with pytest.raises(Killed):
            refined(dying, out=tmp_path / str(cut), **settings)
        box = Faulty()
        result = refined(box, out=tmp_path / str(cut), **settings)
        assert weights(result) == weights(whole), cut
        assert kept(result) == kept(whole), cut
        assert dying.sent + box.sent <= whole_box.sent + 4  # the question in flight, and no other


@pytest.mark.slow
def test_a_training_that_is_cut_off_goes_on(tmp_path, monkeypatch):
    from zoo_opt_seg.adaptation import run

    whole = refined(out=tmp_path / "whole", test=True)

    def dies(*_):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(run, "without_the_box", dies)
        refined(out=tmp_path / "cut", test=True)
    box = Faulty()
    result = refined(box, out=tmp_path / "cut", test=True)
    assert weights(result) == weights(whole) and kept(result) == kept(whole)
    assert box.sent == whole.metrics["test"]["calls"]


def test_questions_that_fail_are_left_out():
    box = Faulty(lambda box, _: box.questions % 5 == 0)
    result = refined(box)
    about = result.metrics["refiner"]
    assert 0 < about["answers"] < about["of_the_search"] + about["calls"]
    assert result.calls == box.sent


@pytest.mark.parametrize("whole", [True, False], ids=["questions", "images"])
def test_hard_masks_stay_hard_where_some_were_not_answered(whole):
    asked = []

    class Failing(Hard):
        def __call__(self, images, prompts):
            asked.append(len(images))
            masks = super().__call__(images, prompts)
            if len(asked) % 5:
                return masks
            if whole:
                raise RuntimeError("quota")
            return np.where(np.arange(len(masks))[:, None, None] > 0, masks, np.nan).astype(np.float32)

    result = refined(Failing(), loss="dice", validate=2, validation_images=6)
    assert result.prompt.refiner.config.hard
    assert len(asked) > 20
    test = splits().test
    assert not np.isnan(result.prompt.predict(Hard(), test.images, evaluate_prompts(test))).any()


def test_a_black_box_that_goes_down_after_the_search_ends_the_run_and_loses_nothing(tmp_path):
    dead = Faulty(lambda box, _: box.sent > 85)
    with pytest.raises(BlackBoxDown, match="failed 2 times in a row"):
        refined(dead, out=tmp_path / "run", patience=2)
    box = Faulty()
    result = refined(box, out=tmp_path / "run", patience=2)
    assert weights(result) == weights(refined(patience=2))
    assert box.sent < 20


# ------------------------------------------------------------------------------------------------------ command line


def test_adapt_and_predict_on_the_command_line(tmp_path, capsys, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    words = ["--model", "seg.tiny_box:factory"]
    data = ["--data", "seg.tiny_box:splits", "--size", str(SIZE)]
    adapting = ["--refine", "--refine-share", "0.3", "--train-images", "8", "--calls", "100", "--batch", "4"]
    adapting += ["--validate", "0", "--out", "run", "--quiet", "-o", "popsize=6", "--refine-steps", "6"]
    adapting += ["--refine-networks", "2"]
    assert main(["adapt", *words, *data, *adapting]) == 0
    said = capsys.readouterr().out
    assert "refined" in said and "without the box" in said and "The black box is worth its calls here" in said
    assert main(["evaluate", *words, *data, "--prompt", "run", "--repeats", "1"]) == 0
    Image.fromarray(splits().test.images[0]).save("image.png")
    for prompt, out in (("run", "refined.png"), ("run/prompt.npz", "plain.png")):
        asked = ["--image", "image.png", "--point", "11,11", "--out", out, "--probabilities"]
        assert main(["predict", *words, "--size", str(SIZE), "--prompt", prompt, *asked]) == 0
    assert (tmp_path / "refined.png").read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_a_full_disk_loses_no_answer_that_the_refiner_learns_from(tmp_path, monkeypatch):
    """It had been a warning: the run went on, and the refiner of a later call learned from fewer answers."""
    want, box, write = refined(validate=2), Faulty(), cache.write_mask
    for room in (3, 30, 60):  # in the search, and the refiner's questions

        def full(*arguments, left=[room]):  # noqa: B006 (its own)
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(cache, "write_mask", full)
            with pytest.raises(RuntimeError, match=r"answers .*cannot be kept in .*No space left"):
                refined(box, out=tmp_path / "run", validate=2)
    result = refined(box, out=tmp_path / "run", validate=2)
    assert weights(result) == weights(want)
    assert want.calls <= box.sent <= want.calls + 3 * 4  # one question each time

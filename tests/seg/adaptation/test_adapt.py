"""adapt: budget, steps, selection, failures, resuming, and what it leaves in its folder."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from seg.adapting import CMA, FILTER, SERVE, Faulty, quick
from seg.checks import raises, refused
from seg.tiny_box import Bright, samples, splits

import zoo_opt as zo
from zoo_opt_seg import Objective, Splits, load_prompt
from zoo_opt_seg.adaptation.folder import Lines, RunFolder, read_lines
from zoo_opt_seg.adaptation.history import History
from zoo_opt_seg.adaptation.plan import planned
from zoo_opt_seg.adaptation.retrying import BlackBoxDown
from zoo_opt_seg.adaptation.settings import settings_from
from zoo_opt_seg.adaptation.validation import Validator
from zoo_opt_seg.blackbox import Counted, PartlyAnswered, ProcessBlackBox, Unanswerable


def log_of(folder):
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------------- budget, steps


@pytest.mark.parametrize("calls", [100, 221, 333])
@pytest.mark.parametrize("method", [CMA, zo.FZOO(lr=0.01, c=0.05), zo.SPSA(lr=0.05, c=0.05)])
def test_the_budget_is_never_exceeded_and_used_up(calls, method):
    model = Counted(Bright())
    result = quick(model, calls=calls, method=method)
    step = 4 * (6 if method is CMA else 9 if isinstance(method, zo.FZOO) else 2)
    assert model.calls == result.calls <= calls
    assert calls - result.calls < step + 4
    assert result.calls == 4 * result.nfev + sum(mark["images"] for mark in result.marks)


@pytest.mark.parametrize(
    "method",
    [
        zo.SPSAGEASS(lr=0.05, c=0.05, momentum=0.5, threshold=1.0, strikes=2, lr_boost=3, c_boost=2),
        zo.SPSAGEASS.paper(threshold=0.001 * FILTER.dim, lr=0.001),
        zo.SPSAGEASS.released(dim=FILTER.dim),
    ],
    ids=["boosting", "paper", "released"],
)
def test_spsa_geass_makes_exactly_the_steps_of_zoo_opt(method, tmp_path):
    result = quick(method=method, seed=5, out=tmp_path)
    evaluations = (220 - 3 * 6) // 4
    objective = Objective(Bright(), FILTER, splits().train, batch=4, seed=5)
    opt = zo.Optimizer(method, FILTER.x0(5), rng=5, budget=evaluations)
    steps = []
    while not opt.stop():
        batch = opt.ask()
        losses = objective.losses(batch.X, batch.step)
        opt.tell(batch, losses)
        steps.append(float(np.mean(losses)))
    np.testing.assert_array_equal(result.last, opt.mean)
    assert [x["loss"] for x in log_of(tmp_path) if x["kind"] == "step"] == pytest.approx(steps, rel=1e-12)
    assert result.nit == opt.nit and result.nfev == opt.nfev


@pytest.mark.parametrize("method", ["auto", "spsa", "spsa-gc", "spsa-geass", "bar", "fzoo", "sep-cma-es", "dd-cma-es"])
def test_any_method_by_name(method):
    result = quick(method=method)
    assert result.calls <= 220 and np.isfinite(result.x).all()


def test_options_as_of_the_command_line():
    options = {"lr": {"type": "Cosine", "start": 0.1, "end": 0.01}, "c": 0.05}
    assert quick(method="spsa", options=options).nit == 25
    raises(ValueError, "method must be one of", quick, method="adam")
    raises(ValueError, "options go with a method's name", quick, options={"lr": 1})


def test_the_same_seed_gives_the_same_prompt():
    first, again, other = (quick(seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


# ----------------------------------------------------------------------------------------------------------- selection


def test_it_gains_and_keeps_the_best_mark():
    result = quick(calls=1000, validate=5)
    dice = [mark["dice"] for mark in result.marks]
    assert dice[0] < 0.1 and max(dice) > 0.7
    chosen = result.metrics["chosen"]
    assert chosen["dice"] == max(dice) and chosen["mark"] == int(np.argmax(dice))


def test_the_start_is_kept_where_everything_is_worse():
    result = quick(method=zo.SPSA(lr=1e4), x0=good_start())
    assert result.metrics["chosen"]["mark"] == 0
    np.testing.assert_array_equal(result.x, good_start())


def test_a_run_that_diverges_keeps_what_was_finite():
    with np.errstate(all="ignore"):
        result = quick(method=zo.SPSA(lr=1e38, c=1.0))
    assert np.isfinite(result.x).all()


def test_selection_by_loss_and_without_validation():
    by_loss = quick(select="loss")
    losses = [mark["loss"] for mark in by_loss.marks]
    assert by_loss.metrics["chosen"]["loss"] == min(losses)
    last = quick(validate=0)
    assert last.marks == [] and last.nfev == 54  # 9 steps of 6 of the 55 that the budget allows
    np.testing.assert_array_equal(last.x, last.last)


def test_marks_are_compared_on_the_images_that_all_of_them_have():
    answers = {0: [0.5, 0.5, 0.0, 0.9], 1: [0.6, math.nan, 0.9, 0.1], 2: [math.nan, math.nan, math.nan, 1.0]}
    current = []

    def ask(x, rows):
        values = answers[current[-1]][rows]
        if math.isnan(values[0]):
            raise OSError("down")
        return values, [1 - v for v in values]

    history = History(4, 1, None)
    for number in answers:
        current.append(number)
        Validator(ask, history, 1).validate(number, 10 * number, np.full(2, number, float))
    assert history.calls == 12 and all(history.done(number) for number in answers)
    assert history.best("dice").number == 1  # .6 + .9 + .1 against .5 + 0 + .9; mark 2 lost too many
    settings = {"method": zo.FZOO(lr=0.1, c=0.1), "calls": 4 * 100 + 5 * 6, "batch": 4}
    for validate, due in ((5, [0, 25, 50, 75, 100]), (0, [])):
        plan = planned(Bright(), FILTER, splits(), *settings_from({**settings, "validate": validate}))
        assert plan.validations == due


# ------------------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("nan", [False, True])
def test_failures_are_counted_and_survived(nan, tmp_path):
    result = quick(Faulty(lambda box, images: box.questions % 3 == 0, *(None,) * nan), out=tmp_path)
    failures = sum(result.metrics["failures"].values())
    assert result.calls <= 220 and failures > 10
    assert sum(line["failed"] for line in log_of(tmp_path) if line["kind"] == "step") == failures
    assert result.metrics["chosen"]["dice"] > 0.0


def test_a_black_box_that_is_down_ends_the_run_and_the_same_call_goes_on(tmp_path):
    whole = quick()
    model = Faulty(lambda box, images: 20 < box.questions <= 28)
    with pytest.raises(BlackBoxDown, match="failed 8 times in a row, the last time with RuntimeError: quota"):
        quick(model, out=tmp_path)
    result = quick(model, out=tmp_path)
    assert result.nfev == whole.nfev and result.metrics["failures"] == {"RuntimeError": 8}
    assert result.calls <= 220


def test_a_black_box_that_never_works_costs_nothing_that_is_kept(tmp_path):
    with pytest.raises(BlackBoxDown, match=r"failed on all 6 validation images, the last time with RuntimeError"):
        quick(Faulty(lambda *_: True), out=tmp_path)
    result = quick(seed=3, out=tmp_path)  # another run may take the folder
    np.testing.assert_array_equal(result.x, quick(seed=3).x)


def test_of_hard_masks_the_loss_is_dice():
    """The same run as with that loss; where some images of a question fail too, which makes floats of the masks."""

    def hard(images, prompts):
        return Bright()(images, prompts) > 0.5

    def failing(images, prompts):
        masks = hard(images, prompts)
        if len(images) > 1 and images[0].sum() % 2 < 1:
            raise PartlyAnswered(masks, {0: Unanswerable("no answer for this one")})
        return masks

    for model in (hard, failing):
        whole = quick(model, loss="dice")
        assert whole.metrics["chosen"]["dice"] > 0.0
        again = quick(model)
        np.testing.assert_array_equal(again.x, whole.x)
        assert again.metrics["marks"] == whole.metrics["marks"]


# ------------------------------------------------------------------------------------------------- folder and resuming


def dying(at):
    """Ctrl-C at one question, once."""
    return Faulty(lambda box, images: box.questions == at + 1, KeyboardInterrupt)


@pytest.mark.parametrize("at", [0, 1, 2, 30, 53, 55, 57])
def test_an_interrupt_loses_nothing(at, tmp_path):
    settings = {"test": True, "repeats": 1}
    count, model = Faulty(), dying(at)
    whole = quick(count, **settings, out=tmp_path / "whole")
    raises(KeyboardInterrupt, None, quick, model, **settings, out=tmp_path / "cut")
    result = quick(model, **settings, out=tmp_path / "cut")
    assert model.questions == count.questions + 1  # the one that had no answer was asked again
    np.testing.assert_array_equal(result.x, whole.x)
    np.testing.assert_array_equal(load_prompt(tmp_path / "cut" / "prompt.npz").x, whole.x)
    assert result.metrics["test"].pop("calls") - whole.metrics["test"].pop("calls") in (0, 1)  # its last image alone
    assert without_time(result.metrics) == without_time(whole.metrics)
    cut, ours = log_of(tmp_path / "cut"), log_of(tmp_path / "whole")
    assert [without_time(line) for line in cut] == [without_time(line) for line in ours]


def test_a_complete_run_asks_nothing(tmp_path):
    first = quick(test=True, panel=True, out=tmp_path)
    (tmp_path / "index.html").unlink()
    again = quick(dying(0), test=True, panel=True, out=tmp_path)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.last, again.last)
    assert again.marks == first.marks and again.calls == first.calls and (tmp_path / "index.html").exists()


def test_another_run_is_refused_by_name(tmp_path):
    quick(out=tmp_path)
    for changes, what in (
        ({"seed": 1}, "seed is 0, this call's is 1"),
        ({"calls": 300}, "calls is 220, this call's is 300"),
        ({"method": "spsa"}, "method is"),
    ):
        raises(zo.CheckpointError, f"holds another run: its {what}", quick, **changes, out=tmp_path)
    raises(zo.CheckpointError, "its data is", quick, data=splits(train=11), out=tmp_path)


def test_a_method_that_was_written_down_with_fewer_settings_is_the_same_run(tmp_path):
    """A version that did not have them all wrote the others; what differs in one that it had is another run."""
    first = quick(out=tmp_path)
    config = tmp_path / "config.json"
    text = config.read_text()
    assert ", lazy=1.0" in text
    config.write_text(text.replace(", lazy=1.0", ""))
    np.testing.assert_array_equal(quick(out=tmp_path).x, first.x)
    today = "tolfun=0.0, tolfunhist=0.0, tolfunrel=1e-12, "
    assert today in text
    config.write_text(text.replace(today, "tolfun=1e-11, tolfunhist=1e-12, "))  # as it was before tolfunrel
    np.testing.assert_array_equal(quick(out=tmp_path).x, first.x)
    others = (("lazy=1.0", "lazy=0.5"), (today, "tolfun=1e-9, tolfunhist=1e-12, "), ("CMAES(", "SepCMAES("))
    for known, other in (*others, (today, f"tolfun=1e-11, {today[12:]}")):
        config.write_text(text.replace(known, other))
        raises(zo.CheckpointError, "holds another run: its method", quick, out=tmp_path)


def test_config_and_metrics_hold_what_it_takes(tmp_path):
    result = quick(test=True, out=tmp_path, about={"command": ["x"]})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["prompt"]["name"] == "filter" and config["method"].startswith("CMAES(sigma0=0.1, popsize=6")
    assert config["command"] == ["x"] and config["versions"]["zoo-opt"] == zo.__version__
    assert str(tmp_path) not in (tmp_path / "config.json").read_text()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    rows = metrics["test"]["rows"]
    assert list(rows) == ["zero-shot", "adapted", "disk", "whole image", "region growing"]
    assert rows["adapted"]["dice"] > rows["zero-shot"]["dice"] and rows["disk"]["hd95_sd"] > 0
    assert metrics["test"]["gain"]["low"] <= metrics["test"]["gain"]["dice"] <= metrics["test"]["gain"]["high"]
    np.testing.assert_array_equal(load_prompt(tmp_path / "prompt.npz").x, result.x)
    assert metrics == json.loads(json.dumps(result.metrics))


def test_without_test_images():
    data = splits()
    nothing = Splits("no test", data.train, data.validation, samples(0, 3))
    assert "test" not in quick(data=nothing, test=True).metrics


# ------------------------------------------------------------------------------------------- the gradient is not needed


def test_a_black_box_in_another_process_that_returns_bytes():
    with ProcessBlackBox([sys.executable, "-c", SERVE]) as model:
        result = quick(model, calls=600)
    assert result.metrics["chosen"]["dice"] > result.marks[0]["dice"] + 0.3
    np.testing.assert_array_equal(result.x, quick(calls=600).x)


# ----------------------------------------------------------------------------------------------------------- arguments


test_arguments_are_checked = refused(
    quick,
    ({"calls": 6}, "calls must be at least 7"),
    ({"calls": 0}, "calls must be >= 1"),
    ({"batch": 1.5}, "batch must be an integer"),
    ({"validate": 1}, "validate must be 0, or 2 or more"),
    ({"select": "iou"}, "select must be 'dice' or 'loss'"),
    ({"loss": "mse"}, "loss must be one of"),
    ({"augment": "much"}, "augment must be one of"),
    ({"validation_images": 7}, "validation_images must be at most 6"),
    ({"method": 3}, "method must be a Method"),
    ({"x0": np.zeros(3)}, r"x0 must have shape \(30,\)"),
    error=(TypeError, ValueError),
)


def test_folders_are_checked(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").touch()
    raises(ValueError, "out must be a new or empty folder", quick, out=tmp_path / "photos")
    raises(ValueError, "out must be a folder", quick, out=tmp_path / "photos" / "a.txt")
    folder = RunFolder(tmp_path / "run")
    folder.log.write_text('{"kind": "step"}\nnonsense\n{"cut')
    raises(zo.CheckpointError, r"log.jsonl is corrupt at line 2", read_lines, folder.log)
    folder.log.write_text('{"kind": "step"}\n{"cut')
    lines = Lines(folder.log)
    lines.add({"loss": math.nan})
    lines.close()
    assert read_lines(folder.log) == [{"kind": "step"}, {"loss": None}]


def good_start():
    """The filter that takes the paleness away, and with it the gain."""
    x = np.zeros(FILTER.dim, np.float32).reshape(3, FILTER.dim // 3)
    x[0, 0], x[0, 1], x[0, -1] = 3.0, -3.0, 0.1
    return x.ravel()


def without_time(line):
    return {name: value for name, value in line.items() if name != "seconds"}

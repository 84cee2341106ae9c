"""adapt where something goes wrong late or at one image: what was paid for still ends in a prompt, and is counted."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from seg import adapting
from seg.adapting import FILTER, Faulty
from seg.checks import raises
from seg.prompt_fakes import Recorded
from seg.tiny_box import SIZE, Bright, samples, splits

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg import visual_prompts as vp
from zoo_opt_seg.adaptation.folder import RunFolder
from zoo_opt_seg.adaptation.page import write_page
from zoo_opt_seg.adaptation.panel.pictures import panel
from zoo_opt_seg.adaptation.retrying import BlackBoxDown, Retrying, controls
from zoo_opt_seg.blackbox import Cached, Hardened, ProcessBlackBox, as_black_box
from zoo_opt_seg.blackbox.messages import prompts_from
from zoo_opt_seg.cli import main
from zoo_opt_seg.data import Samples, random_points
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.visual_prompts import TrainedPrompt, load_prompt, make_prompt, register_prompt

CALLS = 3 * 6 + 6 * 4 * 4
short = partial(adapting.quick, calls=CALLS)
quick = partial(short, test=True, panel=True)


@pytest.mark.parametrize("mark", [0, 1, 2])
def test_a_box_that_is_down_at_any_validation_leaves_a_prompt(mark, tmp_path):
    """At the last one no calls are left to judge it again: the best of those before it is kept."""
    whole = short()
    begins = whole.marks[mark]["calls"] - 6
    box = Faulty(lambda box, images: begins < box.sent <= begins + 6)
    raises(BlackBoxDown, "failed on all 6 validation images", short, box, out=tmp_path)
    result = short(box, out=tmp_path)
    assert result.calls == box.sent <= CALLS
    assert (tmp_path / "prompt.npz").exists() and result.metrics["chosen"]["mark"] in (0, 1, 2)
    assert ("validation" in result.metrics["ended"]) == (mark == 2) == (len(result.marks) == 2)
    if mark == 2:
        best = max(whole.marks[:2], key=lambda line: line["dice"])
        assert result.metrics["chosen"]["mark"] == best["mark"]
    np.testing.assert_array_equal(short(box, out=tmp_path).x, result.x)


@pytest.mark.parametrize("row", [0, 3, 4])
@pytest.mark.parametrize("batch", [1, 4])  # alone in its question, and among others
def test_a_test_image_that_always_fails_costs_itself_alone(row, batch, tmp_path):
    data = splits()
    bad = data.test.images[row]
    box = Faulty(lambda box, images: any(np.array_equal(image, bad) for image in images))
    result = quick(box, data=data, batch=batch, validation_images=2, out=tmp_path)
    rows, dice = result.metrics["test"]["rows"], result.metrics["test"]["images"]
    assert rows["zero-shot"]["failed"] == 3 and rows["adapted"]["failed"] == 0
    assert np.isnan(dice["zero-shot"]).tolist() == [i == row for i in range(5)]
    assert result.calls + result.metrics["test"]["calls"] + result.metrics["panel_calls"] == box.sent
    assert result.metrics["test"]["calls"] > 2 * 3 * 5 and (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    "after, cached",  # of 30 images in the test and 10 in the panel, which a cache knows
    [(0, False), (5, False), (17, False), (30, False), (36, False), (0, True), (5, True), (17, True)],
)
def test_a_box_that_goes_down_after_training_is_asked_again_later(after, cached, tmp_path):
    settings = {"batch": 5, "calls": 3 * 6 + 6 * 4 * 5, "out": tmp_path / "run"}
    training = quick(**settings | {"out": None, "test": False}).calls
    down = [training + after]
    box = Faulty(lambda box, images: bool(down) and box.sent > down[0])
    model = Cached(box, tmp_path / "cache") if cached else box
    with pytest.raises(BlackBoxDown, match="failed 3 times on one question, the last time with RuntimeError: quota"):
        quick(model, **settings)
    assert not (tmp_path / "run" / "panel.png").exists()
    down.clear()
    result = quick(model, **settings)
    assert not any(row["failed"] for row in result.metrics["test"]["rows"].values())
    if after < 30 and not cached:  # what a panel in vain took is not counted
        assert result.calls + result.metrics["test"]["calls"] + result.metrics["panel_calls"] == box.sent


def test_a_box_that_goes_down_among_single_questions_is_down():
    """A bad image makes them; the quota ends within them, and the images after it are not at fault."""
    data = samples(5, 3)
    points, some = draw_prompts("random", data, 0), controls(splits().train, "random")
    bad = data.images[0]

    def fails(box, images):
        return any(np.array_equal(image, bad) for image in images)

    box = Faulty(lambda box, images: box.sent > 15 + 1 + 3 + 1 or fails(box, images))
    raises(BlackBoxDown, "failed 3 times on one question", Retrying(as_black_box(box), some), data.images, points)
    assert box.sent == 15 + 1 + 3 + 1 + 3 * 3 + 4
    answer = Retrying(as_black_box(Faulty(fails)), some)(data.images, points)
    assert np.isnan(answer).all(axis=(1, 2)).tolist() == [True, False, False, False, False]


def test_without_controls_a_box_that_fails_is_down():
    data = samples(3, 3)
    points = draw_prompts("random", data, 0)
    flaky = Retrying(as_black_box(Faulty(lambda box, images: box.sent <= 2)))  # its first question, of one image, twice
    assert np.isfinite(flaky(data.images[:1], points[:1])).all()
    up = Retrying(as_black_box(Faulty(lambda box, images: box.sent <= 3)), controls(splits().train, "random"))
    assert np.isfinite(up(data.images[:1], points[:1])).all()
    never = Faulty(lambda box, images: True)
    raises(BlackBoxDown, "failed 3 times on one question", Retrying(as_black_box(never)), data.images, points)
    assert never.sent == 3 * 3


@pytest.mark.parametrize("name, options", [("views", {}), ("bar", {"inner": 16}), ("filter", {})])
def test_hard_masks_stay_hard_beside_a_failure(name, options):
    prompt, data = make_prompt(name, SIZE, **options), samples(4, 3)
    points, trained = draw_prompts("random", data, 0), TrainedPrompt(prompt, prompt.x0(0))
    bad = trained.apply(data.images, points)[0]

    class Hard(Faulty):
        def __call__(self, images, prompts):
            return super().__call__(images, prompts) > 0.3

    def predicted(fails):
        box = Retrying(as_black_box(Hard(fails)), controls(splits().train, "random"))
        return trained.predict(box, data.images, points)

    whole = predicted(lambda box, images: False)
    once = predicted(lambda box, images: box.sent <= 3 * 4 * prompt.views)  # the whole question fails three times
    one = predicted(lambda box, images: any(np.abs(image - bad).max() < 0.01 for image in images))
    assert whole.dtype == once.dtype == bool and whole.any() and np.isnan(one[0]).all()
    np.testing.assert_array_equal(once, whole)
    np.testing.assert_array_equal(one[1:], whole[1:])


@pytest.mark.parametrize("limit", [6 + 4 * 5, 3, 4])  # in a step; first at a mark; second
def test_a_process_that_died_costs_nothing_and_the_run_goes_on_as_if_it_had_not(limit, tmp_path):
    dies = """
import os, sys
sys.path.insert(0, sys.argv[1])
from seg.tiny_box import Bright
from zoo_opt_seg.blackbox import as_black_box, serve
box, sent = Bright(), 0
def model(images, prompts):
    global sent
    sent += len(images)
    if sent > int(sys.argv[2]):
        os._exit(3)
    return box(images, prompts)
serve(as_black_box(model, name="bright"))
"""
    with (
        ProcessBlackBox([sys.executable, "-c", dies, adapting.TESTS, str(limit)]) as box,
        pytest.raises(BlackBoxDown, match="did not answer: it ended with status 3"),
    ):
        short(box, out=tmp_path)
    result, whole = short(out=tmp_path), short()
    np.testing.assert_array_equal(result.x, whole.x)
    assert result.calls == whole.calls and result.metrics["failures"] == {} and result.marks == whole.marks


def test_what_the_prompt_cannot_be_told_is_no_failure_of_the_box(tmp_path):
    box = Faulty()
    box.prompted_by = "text"
    around = make_prompt("filter", SIZE, groups="all")  # needs a point
    with pytest.raises(ValueError, match="prompts must hold a point"):
        short(box, around, data=splits().with_texts("a disc"), out=tmp_path)
    assert box.sent == 0 and "dice" not in (tmp_path / "state" / "validation.jsonl").read_text()


class Gamma(vp.VisualPrompt):
    name, dim = "own-gamma", 3

    def forward(self, x, context):
        return (x.view(3, 1, 1).exp() * context.features["log"]).exp()

    def config(self):
        return {"size": self.size}

    def _context(self, pixels, images, prompts):
        return vp.Context(pixels, {"log": pixels.clamp_min(1 / 255).log()})


def test_a_prompt_of_ones_own_is_refused_before_a_call_or_registered(tmp_path):
    box = Faulty()
    message = "to be saved, got Gamma: decorate its class with @register_prompt"
    raises(TypeError, message, short, box, Gamma(SIZE), out=tmp_path)
    assert not box.sent and not list(tmp_path.iterdir())
    assert short(prompt=Gamma(SIZE)).nfev


def test_registering(tmp_path):
    try:
        assert register_prompt(Gamma) is Gamma and register_prompt(Gamma) is Gamma
        result = short(prompt=make_prompt("own-gamma", SIZE), out=tmp_path)
        np.testing.assert_array_equal(load_prompt(tmp_path / "prompt.npz").x, result.x)
        for wrong, message in (
            (Bright, "cls must be a subclass of VisualPrompt"),
            (type("Other", (Gamma,), {}), "cls must have a name of its own, 'own-gamma' is that of Gamma"),
            (type("Nameless", (Gamma,), {"name": ""}), "cls must have a name, a non-empty str, got ''"),
        ):
            raises((TypeError, ValueError), message, register_prompt, wrong)
    finally:
        vp.PROMPTS.remove("own-gamma")


def test_the_seed_of_a_callable_is_always_a_sequence(tmp_path):
    assert quick(points=lambda masks, seed: random_points(masks, (*seed, 5)), out=tmp_path).metrics["test"]


def test_names_that_no_file_can_hold(tmp_path):
    data = splits()
    odd = replace(data.test, names=("b\udcf6", *data.test.names[1:]))
    assert odd.names[0] == "b\\udcf6"
    assert quick(data=replace(data, test=odd), out=tmp_path).metrics["test"]["images"]["names"][0] == "b\\udcf6"
    raises(TypeError, "names must be str, got ", Samples, odd.images[:1], odd.masks[:1], (Path("a"),))


def test_another_box_without_a_name_is_another_run(tmp_path):
    def one(images, prompts):
        return Bright()(images, prompts)

    def other(images, prompts):
        return 1 - Bright()(images, prompts)

    short(as_black_box(one), out=tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model"].endswith("one")
    raises(CheckpointError, r"its model is .*one.*, this call's is .*other", short, as_black_box(other), out=tmp_path)
    assert [box.label for box in (Hardened(one), Hardened(one, 0.3))] == [f"{one.__qualname__}>{t}" for t in (0.5, 0.3)]
    command = [sys.executable, "-c", "from zoo_opt_seg.blackbox import serve; serve(print)"]
    with ProcessBlackBox(command) as box:
        assert box.label == box.command != "" and box.name is None


@pytest.mark.parametrize("first, then", [("centre", None), (None, "centre"), ("centre", "random")])
def test_other_points_are_another_run(first, then, tmp_path):
    box = Faulty(lambda box, images: box.sent > 60)
    raises(BlackBoxDown, None, short, box, points=first, out=tmp_path)
    raises(CheckpointError, "its points is ", short, points=then, out=tmp_path)


def test_a_question_may_hold_more_than_we_know():
    """An archive by numpy 2.0 has an array named allow_pickle."""
    points = random_points(samples(2, 1).masks, 0)
    arrays = {"points": points.points, "labels": points.labels, "allow_pickle": np.array(False)}
    np.testing.assert_array_equal(prompts_from(arrays).points, points.points)


def test_the_batch_is_that_of_every_question():
    model = Recorded(Bright())
    for prompt in (None, TrainedPrompt(FILTER, FILTER.x0(0))):
        evaluate(model, samples(40, 1), prompt=prompt, batch=40, repeats=1, distances=False)
    assert model.sizes == [40, 40]


def test_the_panel_shows_the_points_that_were_measured():
    data, model = samples(6, 1), Recorded(Bright())
    evaluate(model, data, draw=random_points, repeats=1, seed=3, batch=6, distances=False)
    panel(as_black_box(model), TrainedPrompt(FILTER, FILTER.x0(0)), data, seed=3, rows=[5, 2], points=random_points)
    (_, measured), *asked = model.asked
    for _, shown in asked:
        np.testing.assert_array_equal(shown.points, measured.points[[5, 2]])


@pytest.mark.parametrize("validate, words", [(0, "kept the last mean"), (2, "the best by validation Dice")])
def test_what_was_kept_is_said(validate, words, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    command = f"adapt --model tiny_box:factory --size {SIZE} --data tiny_box:splits --calls 80 --batch 4 --quiet"
    assert main([*command.split(), "--test-images", "1", "--validate", str(validate), "--out", str(tmp_path)]) == 0
    assert words in capsys.readouterr().out
    page = (tmp_path / "index.html").read_text()
    assert ("mark None" not in page) and ("the last mean" in page) == (validate == 0)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for nfev, said in ((0, validate > 0), (6, False)):  # what was kept is the start, or not
        metrics["chosen"]["nfev"] = nfev
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        write_page(RunFolder(tmp_path))
        assert ("nothing better on the validation images" in (tmp_path / "index.html").read_text()) == said

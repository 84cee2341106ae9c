"""The race of a prompt's starts: what is compared, what it costs, and that a run that was cut off goes on in it."""

import numpy as np
import pytest
from seg.adapting import CMA, Faulty
from seg.tiny_box import SIZE, Bright, splits

import zoo_opt as zo
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt_seg import adapt, make_prompt
from zoo_opt_seg.adaptation.plan import planned
from zoo_opt_seg.adaptation.settings import SearchSettings, settings_from
from zoo_opt_seg.visual_prompts.adjustments import ADJUSTMENTS

FILTER = make_prompt("filter", SIZE)
RACED = {"method": CMA, "calls": 70, "batch": 1, "validate": 0, "test": False, "panel": False}


def plan(prompt=FILTER, **changes):
    return planned(Bright(), prompt, splits(), *settings_from(RACED | changes))


def test_the_first_step_is_every_start():
    it = plan()
    method = it.optimizer.method
    assert isinstance(method, SeveralStarts) and method.evaluations == int(0.4 * 70) and it.method == CMA
    np.testing.assert_array_equal(it.optimizer.ask().X.astype(np.float32), FILTER.starts())
    assert not FILTER.starts()[0].any() and FILTER.starts().shape == (len(ADJUSTMENTS), FILTER.dim)


@pytest.mark.parametrize(
    ("changes", "evaluations"),
    [
        ({}, 28),
        ({"calls": 400}, 4 * len(ADJUSTMENTS)),
        ({"race": 0.2}, 0),  # 14, too few to tell twelve apart
        ({"race": 0.0}, 0),
        ({"x0": np.zeros(30)}, 0),
        ({"prompt": make_prompt("vpt", SIZE)}, 0),
        ({"prompt": make_prompt("filter", SIZE, blurs=(1.0, 3.0))}, 0),
    ],
)
def test_how_many_evaluations_compare_the_starts(changes, evaluations):
    method, told = (it := plan(**changes)).optimizer.method, it.config().get("race")
    assert (method.evaluations if isinstance(method, SeveralStarts) else 0) == evaluations
    assert (told["evaluations"] if told else 0) == evaluations


@pytest.mark.parametrize("calls", [50, 70, 131, 300])
def test_the_budget_is_kept(calls):
    box = Faulty()
    result = adapt(box, FILTER, splits(), **RACED | {"calls": calls})
    assert box.sent == result.calls <= calls
    assert result.calls > calls - CMA.popsize


def test_the_best_adjustment_is_found():
    """The box looks for red, and the images are pale: more colour is what it lacks."""
    only = SeveralStarts(zo.SPSA(lr=1e-9, c=1e-9), FILTER.starts(), 48)
    result = adapt(Bright(), FILTER, splits(), **RACED | {"method": only, "calls": 50, "race": 0.0})
    best = dict(zip(ADJUSTMENTS, FILTER.starts(), strict=True))["soft, three times the saturation"]
    np.testing.assert_allclose(result.x, best, atol=1e-6)


class Killed(BaseException):
    """As a kill: nothing of the driver may catch it."""


def test_a_run_that_is_cut_off_in_the_race_goes_on_in_it(tmp_path):
    whole_box = Faulty()
    whole = adapt(whole_box, FILTER, splits(), out=tmp_path / "whole", **RACED)
    for cut in range(1, 40, 4):
        dying = Faulty(lambda box, _, cut=cut: box.questions == cut, error=Killed)
        with pytest.raises(Killed):
            adapt(dying, FILTER, splits(), out=tmp_path / str(cut), **RACED)
        box = Faulty()
        result = adapt(box, FILTER, splits(), out=tmp_path / str(cut), **RACED)
        assert np.array_equal(result.x, whole.x) and dying.sent + box.sent == whole_box.sent + 1, cut
        log = [(tmp_path / name / "log.jsonl").read_text() for name in (str(cut), "whole")]
        assert log[0].count("\n") == log[1].count("\n")


def test_refusals():
    with pytest.raises(ValueError, match="race must be in"):
        SearchSettings(race=1.0)

"""adapt with a black box that is down now and then, and fails on some images: the same prompt, the same calls."""

import json
import types

import numpy as np
import pytest
from seg.adapting import FILTER, QUICK, quick
from seg.checks import raises
from seg.prompt_fakes import Recorded
from seg.tiny_box import Bright, splits

from zoo_opt import outage
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg import adapt
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.adaptation.retrying import BlackBoxDown
from zoo_opt_seg.blackbox import BlackBoxError, PartlyAnswered, TinySam
from zoo_opt_seg.data import load_data
from zoo_opt_seg.measures.losses import black_box_loss
from zoo_opt_seg.visual_prompts import make_prompt


class Service:
    """A black box that answers image by image; ``fails()`` says of a question, and of each image, what goes wrong."""

    def __init__(self, down=lambda box, n: None, fails=lambda box: None, model=None):
        self.model, self.down, self.fails = model or Bright(), down, fails
        self.name, self.prompted_by = self.model.name, getattr(self.model, "prompted_by", None)
        self.questions = self.served = self.failed = 0  # questions, and images that came and did not

    def __call__(self, images, prompts):
        self.questions += 1
        error = self.down(self, len(images))
        if error is not None:
            raise error
        masks, errors = [], {}
        for row in range(len(images)):
            masks.append(self.model(images[row : row + 1], prompts[row : row + 1])[0])
            if (error := self.fails(self)) is not None:
                errors[row], masks[-1] = error, np.zeros_like(masks[-1])
        self.failed += len(errors)
        self.served += len(images) - len(errors)
        if errors:
            raise PartlyAnswered(np.stack(masks), errors)
        return np.stack(masks)


def unreliable(seed, down=0.3, failing=0.05):
    """A service that is down for 30 % of its questions, some of them in a row, and fails on 5 % of the images."""
    rng = np.random.default_rng(seed)
    return {
        "down": lambda box, n: ConnectionRefusedError("refused") if rng.random() < down else None,
        "fails": lambda box: ValueError("500") if rng.random() < failing else None,
    }


@pytest.fixture
def slept(monkeypatch):
    """The pauses, on a clock of their own: nothing sleeps."""
    pauses = []
    monkeypatch.setattr(outage, "time", types.SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses)))
    monkeypatch.setattr(outage, "_share", lambda: 1.0)  # each as long as it may be
    return pauses


def again_and_again(times, *args, **settings):
    """Call until the run is complete; return the result and how often it stopped."""
    for stops in range(times):
        try:
            return adapt(*args, **settings), stops
        except BlackBoxDown:
            pass
    raise AssertionError(f"not complete after {times} calls")


def same(result, whole):
    """Whether two runs ended in the same prompt, bit for bit, with the same calls charged, and the same figures."""
    kept = {name: value for name, value in result.metrics.items() if name not in ("seconds", "test", "panel_calls")}
    expected = {name: whole.metrics[name] for name in kept}
    assert json.dumps(kept) == json.dumps(expected)
    np.testing.assert_array_equal(result.x, whole.x)
    np.testing.assert_array_equal(result.last, whole.last)
    assert (result.calls, result.nfev, result.marks) == (whole.calls, whole.nfev, whole.marks)
    return True


CASES = {  # wait -> whether the run waits for the end of each outage, or stops at each and is started again
    "waiting": 60.0,
    "stopping": 0.0,
}


@pytest.mark.parametrize("wait", CASES.values(), ids=CASES)
def test_down_30_percent_and_5_percent_of_errors_is_the_same_run(wait, slept, tmp_path):
    whole = quick(Service(), test=True)
    box = Service(**unreliable(5))
    result, stops = again_and_again(99, box, FILTER, splits(), **QUICK | {"test": True, "wait": wait, "out": tmp_path})
    assert same(result, whole) and result.metrics["test"]["rows"] == whole.metrics["test"]["rows"]
    assert (stops > 10) == (wait == 0) == (not slept) and box.failed > 10
    assert box.served == whole.calls + 2 * 3 * 5  # no answer was paid for twice: the training, and the test


@pytest.mark.slow
@pytest.mark.parametrize("wait", CASES.values(), ids=CASES)
def test_the_embedded_sam_down_30_percent_of_the_time(wait, slept, tmp_path):
    """The acceptance of it, with SAM and a drawn domain; images are answered one by one, as by a service."""
    data = load_data("disc", sizes=(24, 12, 8))
    settings = {"method": "cma-es", "options": {"sigma0": 0.1}, "calls": 400, "batch": 8, "validate": 3}
    settings |= {"test": False, "panel": False}
    whole = adapt(Service(model=TinySam()), make_prompt("filter", 96), data, **settings)
    box = Service(**unreliable(1), model=TinySam())
    result, _ = again_and_again(99, box, make_prompt("filter", 96), data, **settings, wait=wait, out=tmp_path)
    assert same(result, whole) and box.served == whole.calls


# ------------------------------------------------------------------------------------------- the figures of the issue
def test_an_outage_of_twelve_starts_costs_nothing(tmp_path):
    """800 calls, 40 validation images, down after 152 images, started 12 times while it is down, then to the end.

    Before: 360 or more validation calls and 28 evaluations charged, 272 of 736 images served.
    """
    settings = {"method": "cma-es", "options": {"sigma0": 0.1}, "calls": 800, "batch": 16, "validate": 4}
    settings |= {"validation_images": 40, "test": False, "panel": False, "wait": 0}
    data, down = splits(40, 40, 5), [True]
    whole = adapt(Service(), FILTER, data, **settings)
    box = Service(lambda box, n: ConnectionRefusedError("refused") if down[0] and box.served + n > 152 else None)
    for _ in range(12):
        with pytest.raises(BlackBoxDown, match="out of service: ConnectionRefusedError: refused"):
            adapt(box, FILTER, data, out=tmp_path, **settings)
    assert box.served == 152
    down.clear()
    down.append(False)
    result = adapt(box, FILTER, data, out=tmp_path, **settings)
    assert same(result, whole) and box.served == whole.calls and result.metrics["failures"] == {}


def test_five_percent_of_images_failing_throw_no_question_away(tmp_path):
    """Batch 16. Before, 58 of 102 questions and 50 of 88 evaluations were thrown away."""
    settings = {
        "method": "cma-es",
        "options": {"sigma0": 0.1},
        "calls": 1600,
        "batch": 16,
        "test": False,
        "panel": False,
    }
    whole, box = adapt(Service(), FILTER, splits(40, 16, 5), **settings), Service(**unreliable(2, down=0.0))
    result = adapt(box, FILTER, splits(40, 16, 5), out=tmp_path, **settings)
    assert same(result, whole) and result.nfev > 70 and result.metrics["failures"] == {}
    assert box.served == result.calls and box.failed > 50


@pytest.mark.parametrize("row", [False, True])
def test_a_wrong_token_costs_one_call(row, tmp_path):
    """Before, it cost eight questions."""
    error = Refused("401: wrong token")
    box = Service(fails=lambda box: error) if row else Service(lambda box, n: error)
    raises(Refused, "401: wrong token", quick, box, out=tmp_path, batch=1, validation_images=1)
    assert box.questions == 1
    result = quick(out=tmp_path, batch=1, validation_images=1)
    assert same(result, quick(batch=1, validation_images=1))


@pytest.mark.parametrize("when", [0, 7, 30, 47])
def test_a_token_that_ends_stops_at_once_and_loses_nothing(when, tmp_path):
    box = Service(lambda box, n: Refused("402: no credit left") if box.questions == when + 1 else None)
    raises(Refused, "402: no credit left", quick, box, out=tmp_path)
    assert box.questions == when + 1
    assert same(quick(box, out=tmp_path), quick()) and box.served == quick().calls


# ------------------------------------------------------------------------------------- what is neither whole nor lost
def test_part_of_a_question_is_not_asked_about_again_by_the_next_process(tmp_path):
    """Each life is served three images more, and then the service is down: as many images as in a run without."""
    whole, left = quick(Service()), [0]

    def busy(box):
        left[0] -= 1
        return None if left[0] >= 0 else NotServed("busy")

    box = Service(fails=busy)
    for _ in range(whole.calls // 3 - 5):
        left[0] = 3
        with pytest.raises(BlackBoxDown, match="out of service: busy"):
            quick(box, out=tmp_path, wait=0)
    left[0] = whole.calls
    assert same(quick(box, out=tmp_path, wait=0), whole) and box.served == whole.calls


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_the_loss_of_a_minibatch_is_that_of_the_images_that_came(bad):
    """Of at least half of them; else the evaluation failed."""
    data = splits()
    objective = Objective(Bright(), FILTER, data.train, batch=4)
    x, rows = FILTER.x0(0) + 0.1, range(4)
    minibatch = objective.minibatch(0)

    def model(images, prompts):
        masks = Bright()(images, prompts)
        masks[:bad] = np.nan
        return masks

    lame = Objective(model, FILTER, data.train, batch=4)
    if bad == 3:
        raises(BlackBoxError, "answered for 1 of 4 images of a minibatch", lame, x, 0)
        return
    answer = FILTER.answer(Bright(), x.astype(np.float32), FILTER.context(minibatch.images, minibatch.prompts))
    each = [black_box_loss("bce+dice", answer[k : k + 1], minibatch.masks[k : k + 1]) for k in rows]
    assert lame(x, 0) == pytest.approx(np.mean(each[bad:]), abs=1e-6)
    assert objective(x, 0) == pytest.approx(np.mean(each), abs=1e-6)


def test_an_image_that_always_fails_costs_itself_alone(tmp_path):
    """It is asked about five times, and counts as failed; no other image of its question, and no step, is lost."""
    model = Recorded(Bright())
    whole = quick(model)
    _, first = model.asked[0]  # of the validation at the start

    class Filtered(Service):
        """Never allows the third validation image, which it knows by its point."""

        def __call__(self, images, prompts):
            same = (prompts.points == first.points[2]).all(axis=(1, 2))
            masks = self.model(images, prompts)
            if same.any() and len(masks) in (1, len(first)):
                raise PartlyAnswered(masks, {int(row): ValueError("not allowed") for row in np.flatnonzero(same)})
            return masks

    result = quick(Filtered(), out=tmp_path)
    assert (result.nfev, result.calls) == (whole.nfev, whole.calls) and result.metrics["failures"] == {}
    assert [mark["failed"] for mark in result.marks] == [1, 1, 1]
    assert result.marks[-1]["dice"] > result.marks[0]["dice"] + 0.3


def test_waits_are_checked_and_are_no_part_of_the_run(tmp_path):
    raises(ValueError, "wait must be >= 0, got -1", quick, wait=-1)
    quick(out=tmp_path, wait=5)
    assert "wait" not in json.loads((tmp_path / "config.json").read_text())
    assert quick(out=tmp_path, wait=0).nfev

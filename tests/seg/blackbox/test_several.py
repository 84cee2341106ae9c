"""Several black boxes as one: who is free is asked, who is out is left out, and nothing answered is asked again."""

import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seg.checks import fails, raises, succeeds
from seg.tiny_box import SIZE, Bright, samples

from zoo_opt import NotServed, Refused
from zoo_opt_seg import Splits, adapt, load_prompt
from zoo_opt_seg.blackbox import BlackBox, BlackBoxError, ExecutorBlackBox, PartlyAnswered, Served, SeveralBoxes
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import make_prompt


def images(n):
    """Images that hold their number."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 4, 4, 3)).copy()


NONE = Prompts.nothing


class Box:
    """Answers with the number of the image; `fails` says what to raise, by the number of the question."""

    name = "box"

    def __init__(self, fails=lambda n: None, delay=0.0):
        self.fails, self.delay, self.asked, self.questions, self.answered = fails, delay, [], 0, Counter()
        self.busy = threading.Lock()

    def __call__(self, images, prompts):
        assert self.busy.acquire(blocking=False), "asked two questions at a time"
        try:
            time.sleep(self.delay)
            numbers = images[:, 0, 0, 0].tolist()
            self.asked += numbers
            self.questions += 1
            if error := self.fails(self.questions):
                raise error
            self.answered.update(numbers)
            return images[..., 0] / np.float32(255)
        finally:
            self.busy.release()


def right(masks, n):
    np.testing.assert_array_equal(masks, images(n)[..., 0] / np.float32(255))


@pytest.mark.parametrize("rows", [1, 3, 50])
@pytest.mark.parametrize("n", [0, 1, 20])
def test_every_image_is_asked_once_and_who_is_free_is_asked(rows, n):
    slow, fast = Box(delay=0.05), Box()
    with SeveralBoxes([slow, fast], rows=rows) as both:
        right(both(images(n), NONE(n)), n)
        assert sorted(slow.asked + fast.asked) == list(range(n)) and both.name == "box"
        assert n < 20 or rows == 50 or len(fast.asked) > len(slow.asked)


def test_what_is_out_is_left_out_for_a_while_and_its_images_go_to_another():
    down = Box(lambda n: NotServed("busy", retry_after=0.3))
    up = Box(delay=0.02)
    with SeveralBoxes([down, up]) as both:
        right(both(images(8), NONE(8)), 8)
        right(both(images(8), NONE(8)), 8)
        assert len(down.asked) == 1 and up.answered == Counter({n: 2 for n in range(8)})
        time.sleep(0.3)
        down.fails = lambda n: None
        right(both(images(8), NONE(8)), 8)
        assert len(down.asked) > 1


def test_all_are_out():
    one, other = (Box(lambda n, s=s: NotServed("busy", retry_after=s)) for s in (20, 10))
    with SeveralBoxes([one, other]) as both:
        error = raises(NotServed, "all of 2 black boxes are out of service: busy", both, images(3), NONE(3))
        assert 9 < error.retry_after <= 10
        raises(NotServed, "out of service", both, images(3), NONE(3))
        assert len(one.asked) <= 1 and len(other.asked) <= 1  # the second time nobody was asked
    with SeveralBoxes([Box(lambda n: Refused("no")), Box(lambda n: Refused("no"))]) as both:
        raises(Refused, "no", both, images(3), NONE(3))
    with SeveralBoxes([Box(lambda n: Refused("no")), up := Box()]) as both:
        right(both(images(3), NONE(3)), 3)
        right(both(images(3), NONE(3)), 3)
        assert sum(up.answered.values()) == 6


def test_an_image_that_fails_takes_no_other_with_it():
    def but_seven(images, prompts):
        if 7 in images:
            raise RuntimeError("seven")
        return images[..., 0] / np.float32(255)

    with SeveralBoxes([but_seven, but_seven], "seven") as both:
        part = raises(PartlyAnswered, "seven", both, images(9), NONE(9))
        assert list(part.errors) == [7] and part.answered == [0, 1, 2, 3, 4, 5, 6, 8]
        raises(RuntimeError, "seven", both, images(8)[7:], NONE(1))


def test_a_question_none_of_whose_images_is_answered_is_asked_again_as_of_one_box():
    def once(n):
        new = n not in seen
        seen.add(n)
        return BlackBoxError("500") if new else None

    seen: set[int] = set()

    def partly(images, prompts):
        error = once(int(images[0, 0, 0, 0]))
        if error:
            raise PartlyAnswered(np.zeros(images.shape[:3], np.float32), {0: error})
        return images[..., 0] / np.float32(255)

    with SeveralBoxes([partly, partly], "both") as both:
        right(Served(both)(images(2), NONE(2)), 2)


def test_masks_are_kept_as_they_come_where_all_boxes_do():
    class Keeping(BlackBox):
        name, kept = "box", None

        def __call__(self, images, prompts):
            return images[..., 0] / np.float32(255)

        def keep_in(self, kept):
            self.kept = kept
            return True

    boxes, kept = [Keeping(), Keeping()], object()
    with SeveralBoxes(boxes) as both:
        assert both.keep_in(kept) and [box.kept for box in boxes] == [kept, kept]
    with SeveralBoxes([*boxes, Box()]) as both:
        assert not both.keep_in(kept) and [box.kept for box in boxes] == [None, None]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=4), st.integers(1, 15), st.integers(1, 4))
def test_nothing_that_was_answered_is_asked_again(outages, n, rows):
    """Boxes that are out in some of their questions; waited for, all images are answered, each by one box once."""
    boxes = [
        Box(lambda k, out=out: NotServed("busy", retry_after=0.0) if k <= len(out) and out[k - 1] else None)
        for out in outages
    ]
    with SeveralBoxes(boxes, rows=rows) as spread:
        right(Served(spread, wait=20.0)(images(n), NONE(n)), n)
    assert sum((box.answered for box in boxes), Counter()) == Counter(range(n))


def test_settings():
    raises(ValueError, "boxes must be at least one", SeveralBoxes, [])
    other = Box()
    other.name = "other"
    raises(
        ValueError,
        "boxes must have the same name, or a name must be given, got 'box', 'other'",
        SeveralBoxes,
        [Box(), other],
    )
    SeveralBoxes([Box(), other], "both").close()
    other.name, other.prompted_by = "box", "text"
    raises(ValueError, "must have the same prompted_by", SeveralBoxes, [Box(), other])
    raises(ValueError, "rows must be", SeveralBoxes, [Box()], rows=0)
    raises(TypeError, "executor must have submit", ExecutorBlackBox, None, Bright)


# ------------------------------------------------------------------------------------------------------ whole trainings
def trained(model, out):
    splits = Splits("discs", samples(6, 1), samples(3, 2), samples(3, 3))
    prompt = make_prompt("filter", SIZE)
    words = {
        "method": "cma-es",
        "options": {"sigma0": 0.2},
        "calls": 150,
        "batch": 3,
        "seed": 4,
        "race": 0,
        "validate": 2,
    }
    return adapt(model, prompt, splits, out=out, progress=False, test=False, **words)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained(Bright(), tmp_path_factory.mktemp("alone"))


def test_a_training_with_three_boxes_has_the_same_prompt_bit_for_bit(tmp_path, alone):
    count = [0]

    class Flaky(Bright):
        def __call__(self, images, prompts):
            count[0] += 1
            if count[0] % 9 == 0:
                raise NotServed("busy", retry_after=0.01)
            return super().__call__(images, prompts)

    with SeveralBoxes([Bright(), Flaky(), Flaky()]) as three:
        result = trained(three, tmp_path)
    np.testing.assert_array_equal(result.prompt.x, alone.prompt.x)
    assert result.calls == alone.calls


@pytest.mark.parametrize(
    "pool", [partial(ThreadPoolExecutor, 2), pytest.param(partial(ProcessPoolExecutor, 2), marks=pytest.mark.slow)]
)
def test_the_workers_of_an_executor(tmp_path, alone, pool):
    with pool() as executor:
        result = trained(ExecutorBlackBox(executor, Bright, "bright", rows=2), tmp_path)
    np.testing.assert_array_equal(result.prompt.x, alone.prompt.x)
    assert result.calls == alone.calls


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask(tmp_path, alone):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        result = trained(ExecutorBlackBox(client, Bright, "bright"), tmp_path)
    np.testing.assert_array_equal(result.prompt.x, alone.prompt.x)


def broken():
    raise RuntimeError("no model here")


def test_what_an_executor_raises_is_an_outage():
    class Dead:
        def submit(self, fn, *args):
            raise_ = ThreadPoolExecutor(1)
            future = raise_.submit(lambda: (_ for _ in ()).throw(OSError("the worker died")))
            raise_.shutdown()
            return future

    raises(NotServed, "OSError: the worker died", ExecutorBlackBox(Dead(), Bright), images(3), NONE(3))
    with ThreadPoolExecutor(1) as pool:
        raises(NotServed, "no model here", ExecutorBlackBox(pool, broken), images(2), NONE(2))
        part = raises(PartlyAnswered, "odd", ExecutorBlackBox(pool, odd), images(4), NONE(4))
        assert list(part.errors) == [1, 3]


def odd():
    def ask(images, prompts):
        if images[0, 0, 0, 0] % 2:
            raise RuntimeError("odd")
        return images[..., 0] / np.float32(255)

    return ask


HERE = """
from seg.tiny_box import Bright, samples
from zoo_opt_seg import Splits


def box():
    return Bright("asked.log")


def other():
    model = Bright("asked.log")
    model.name = "other"
    return model


def data():
    return Splits("discs", samples(6, 1), samples(3, 2), samples(3, 3))
"""


def test_several_on_the_command_line(run, monkeypatch):
    Path("several_here.py").write_text(HERE)
    monkeypatch.delitem(sys.modules, "several_here", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    words = ["adapt", "--data", "several_here:data", "--size", SIZE, "--calls", "60", "--batch", "3", "--quiet"]
    words += ["--validate", "0", "--test-images", "0", "--race", "0", "--model", "several_here:box"]
    succeeds(run(*words, "--out", "one"))
    alone = Path("asked.log").read_text()
    Path("asked.log").unlink()
    succeeds(run(*words, "--out", "two", "--also", "several_here:box"))
    np.testing.assert_array_equal(load_prompt("one/prompt.npz").x, load_prompt("two/prompt.npz").x)
    asked = sum(map(int, Path("asked.log").read_text().split()))
    assert asked == sum(map(int, alone.split()))  # no image was asked about twice
    fails(run(*words, "--out", "three", "--also", "several_here:other"), "boxes must have the same name, or a name")
    succeeds(run(*words, "--out", "three", "--also", "several_here:other", "--model-name", "both", "--cache", "kept"))
    fails(run(*words, "--out", "four", "--model-name", "both"), "--model-name is for several black boxes")

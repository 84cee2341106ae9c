"""Losses that come after their step are used by a later one, in the log too."""

import copy
import functools
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo_opt as zo
from zoo_opt.gradient.gains import Gain
from zoo_opt.gradient.zo_gradient import ZOMemo

torch = pytest.importorskip("torch")
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, loss, net  # noqa: E402

from zoo_opt.torch.late import Answer, OpenSteps, directions  # noqa: E402
from zoo_opt.torch.log import read_log  # noqa: E402
from zoo_opt.torch.parallel import workers as workers_module  # noqa: E402

WAIT, NAN = 1e-3, float("nan")


class Stragglers:
    """One worker, whose answers ``late(step, probe)`` steps later are given."""

    def __init__(self, late) -> None:
        self.late, self.step, self.probe, self.held = late, -1, 0, []

    def submit(self, function, task) -> Future:
        self.probe = self.probe + 1 if task.step == self.step else 0
        self.step = task.step
        for due, future, answer in self.held:
            if due <= self.step and not future.done():
                self.give(future, answer)
        future: Future = Future()
        answer = functools.partial(function, task)
        try:
            value = answer()
            answer = lambda: value  # noqa: E731
        except ZeroDivisionError as error:
            answer = functools.partial(failing, error)
        later = self.late(self.step, self.probe)
        if later:
            self.held.append((self.step + later, future, answer))
        else:
            self.give(future, answer)
        return future

    @staticmethod
    def give(future: Future, answer) -> None:
        try:
            future.set_result(answer())
        except Exception as error:
            future.set_exception(error)


def failing(error):
    raise error


def some(step: int, probe: int) -> int:
    """About a third of all probes is late, by up to four steps."""
    draw = np.random.default_rng([step, probe])
    return int(draw.integers(1, 5)) if draw.random() < 0.35 else 0


def fit(trainer, steps: int, late: int = 2, when=some, fun=loss):
    return trainer.fit(fun, steps=steps, executor=Stragglers(when), make=net, wait=WAIT, late=late)


@pytest.mark.parametrize("name", METHODS)
def test_the_log_repeats_what_came_late(name: str, tmp_path: Path) -> None:
    module, again, path = net(), net(), tmp_path / "a.zlog"
    with zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3, log=path) as trainer:
        fit(trainer, 40)
        assert trainer.cost.late > 0 and trainer.cost.dropped > 0
    assert zo.torch.replay(again, path) == 40 and bits(again) == bits(module)
    assert sum(len(decided.late) for decided, _ in read_log(path)[1]) == trainer.cost.late
    other, dropped = net(), net()
    with zo.torch.Trainer(other, METHODS[name], budget=5000, rng=3, log=path) as resumed:  # gains and scaling too
        assert bits(other) == bits(module) and resumed.cost.late == trainer.cost.late
        resumed.fit(loss, steps=5)
    trainer = zo.torch.Trainer.load(module, saved(trainer, tmp_path))
    trainer.fit(loss, steps=5)
    assert bits(other) == bits(module)
    fit(zo.torch.Trainer(dropped, METHODS[name], budget=5000, rng=3), 40, late=0)
    assert bits(dropped) != bits(again)


def saved(trainer, folder: Path) -> Path:
    trainer.save(folder / "a.zoo")
    return folder / "a.zoo"


@pytest.mark.parametrize("late", [1, 2])
def test_a_late_pair_is_one_of_those_that_the_estimate_is_the_mean_of(late: int, tmp_path: Path) -> None:
    """Of two pairs each, one probe of step 0 comes later: three slopes."""
    method, path = METHODS["spsa-signs"], tmp_path / "a.zlog"
    with zo.torch.Trainer(net(), method, rng=3, log=path) as trainer:
        fit(trainer, late + 1, late=2, when=lambda step, probe: late * ((step, probe) == (0, 3)))
    (first, lost), *_, (second, losses) = read_log(path)[1]
    assert np.isnan(lost[3]) and first.weights[1] == 0.0 and not first.late
    width = 2 * 2.0**-10
    own = [-method.lr * (losses[i] - losses[i + 1]) / width / 3 for i in (0, 2)]
    assert np.allclose(second.weights, own, rtol=1e-6)
    with zo.torch.Trainer(net(), method, rng=3, log=tmp_path / "b.zlog") as trainer:
        trainer.fit(loss, steps=1)
    plus, minus = read_log(tmp_path / "b.zlog")[1][0].losses[2:]
    ((back, direction, weight),) = second.late
    assert (back, direction) == (late, 1)
    assert weight == pytest.approx(-method.lr * (plus - minus) / width / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("losses", "known"),
    [([1, 1, 2, 1, NAN, 1], [0, 1]), ([1, NAN, 2, 2, 3, 4], [1, 2]), ([NAN] * 6, []), ([7] * 6, [0, 1, 2])],
)
def test_two_losses_that_are_equal_are_known_all_the_same(losses, known) -> None:
    kit = zo.SPSA(lr=0.1, c=1e-3, pairs=3).plan(np.zeros(4), None).kit
    memo = ZOMemo(Gain(0.1, 1e-3, 0.0))
    assert directions(kit, memo, losses) == known
    opened = OpenSteps(kit, 2)
    opened.keep(0, memo, losses, ())
    late = opened.parts([Answer(0, probe, 5.0) for probe, loss in enumerate(losses) if np.isnan(loss)])
    assert sorted(part.direction for part in late) == sorted({0, 1, 2} - set(known))
    whole = [5.0 if np.isnan(loss) else loss for loss in losses]
    for part in late:
        plus, minus = whole[2 * part.direction : 2 * part.direction + 2]
        assert part.slope == pytest.approx((plus - minus) / 2e-3)


def test_a_late_direction_of_fzoo_has_the_spread_of_its_own_step(tmp_path: Path) -> None:
    """The loss is a thousand times larger from step 6 on."""
    path, method = tmp_path / "a.zlog", METHODS["untuned"]

    def fun(module, step):
        return loss(module, step) * (1000.0 if step > 5 else 1.0)

    with zo.torch.Trainer(net(), method, budget=5000, rng=3, log=path) as trainer:
        fit(trainer, 7, late=1, when=lambda step, probe: int((step, probe) == (5, 3)), fun=fun)
    last = read_log(path)[1][6].decided
    ((_, _, weight),) = last.late
    assert 0.05 < abs(weight) / max(map(abs, last.weights)) < 20


def judged(module) -> float:
    with torch.inference_mode():
        return float(np.mean([float(loss(module, step)) for step in range(1000, 1020)]))


@pytest.mark.parametrize(("name", "steps"), [("spsa", 400), ("untuned", 150), ("spsa-gc", 400)])
def test_it_trains_where_all_losses_are_a_step_late(name: str, steps: int) -> None:
    module = net()
    before = judged(module)
    trainer = zo.torch.Trainer(module, METHODS[name], budget=5 * steps, rng=3)
    fit(trainer, steps, late=1, when=lambda step, probe: 1)
    assert trainer.cost.failures == trainer.cost.forwards
    assert judged(module) < before - 0.1


def test_nothing_is_used_twice_and_nothing_later_than_told() -> None:
    module = net()
    trainer = zo.torch.Trainer(module, METHODS["bar"], rng=3)  # a base and four probes
    late = {(0, 1): 1, (0, 2): 2, (0, 3): 3, (4, 4): 2}
    fit(trainer, 12, late=2, when=lambda step, probe: late.get((step, probe), 0))
    assert (trainer.cost.late, trainer.cost.dropped, trainer.cost.failures) == (3, 1, 4)
    assert "3 directions used later, 1 losses dropped" in str(trainer.cost)


def test_a_base_that_is_late_brings_its_step() -> None:
    trainer = zo.torch.Trainer(net(), METHODS["bar"], rng=3)
    skipped = []
    trainer.fit(
        loss,
        steps=2,
        executor=Stragglers(lambda step, probe: int((step, probe) == (0, 0))),
        make=net,
        wait=WAIT,
        late=1,
        callback=lambda step: skipped.append(step.skipped),
    )
    assert skipped == [True, False] and trainer.cost.late == 4


def test_what_nobody_waits_for_is_dropped() -> None:
    trainer = zo.torch.Trainer(net(), METHODS["bar"], rng=3)
    fit(trainer, 3, late=5, when=lambda step, probe: int(probe == 1 and step == 2))
    assert (trainer.cost.late, trainer.cost.dropped) == (0, 1)


def test_a_late_loss_that_raises_is_raised() -> None:
    def fun(module, step):
        if step == 1:
            raise ZeroDivisionError("late")
        return loss(module, step)

    module = net()
    trainer = zo.torch.Trainer(module, METHODS["spsa"], rng=3)
    raises(ZeroDivisionError, "late", fit, trainer, 9, 2, lambda step, probe: int(step == 1), fun)
    assert trainer.steps == 2


def test_a_worker_that_has_gone_on_is_of_no_use_for_a_late_probe() -> None:
    """As where a probe is given to another worker after its own has died."""

    class Again(Stragglers):
        def submit(self, function, task) -> Future:
            future = super().submit(lambda told: None, task)
            if task.step == 0 and self.probe == 1:
                self.held[-1] = (1, future, functools.partial(self.told, function, task))
            elif not self.late(self.step, self.probe):
                future = Future()
                self.give(future, functools.partial(function, task))
            return future

        def told(self, function, task):
            _, replica = workers_module._mine(task.training)
            while replica.step < 1:
                replica.repeat(made[0])
            return function(task)

    made = []
    trainer = zo.torch.Trainer(net(), METHODS["bar"], rng=3)

    def after(step):
        made.extend(trainer._made[len(made) :])

    executor = Again(lambda step, probe: int((step, probe) == (0, 1)))
    trainer.fit(loss, steps=4, executor=executor, make=net, wait=WAIT, late=2, callback=after)
    assert (trainer.cost.late, trainer.cost.dropped) == (0, 1)


@settings(max_examples=30)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damage_before_the_last_record_is_an_error(at: float, bit: int, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "late.zlog"
    path.unlink(missing_ok=True)
    with zo.torch.Trainer(net(), METHODS["fzoo"], rng=3, log=path) as trainer:
        fit(trainer, 9, late=3)
    content = bytearray(path.read_bytes())
    first = content.index(b"\n") + 1
    content[first + int(at * 4 / 6 * (len(content) - first))] ^= 1 << bit
    path.write_bytes(content)
    raises(zo.CheckpointError, "is corrupt after step", read_log, path)


@settings(max_examples=30)
@given(cut=st.integers(1, 200))
def test_a_record_that_was_cut_off_is_passed_over(cut: int, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "late.zlog"
    path.unlink(missing_ok=True)
    with zo.torch.Trainer(net(), METHODS["fzoo"], rng=3, log=path) as trainer:
        fit(trainer, 9, late=3)
    whole = read_log(path)[1]
    path.write_bytes(path.read_bytes()[:-cut])
    records = read_log(path)[1]
    assert 0 < len(records) < 9
    assert [record.decided for record in records] == [record.decided for record in whole[: len(records)]]


@pytest.mark.parametrize("name", ["fzoo-auto", "spsa-gc"])
def test_workers_that_were_late_stay_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_opt.torch.trainer.CHECK_EVERY", 2)
    released, answered, held = threading.Event(), threading.Event(), []

    def fun(module, step):
        if step == 4 and not held:  # at step 3 a probe measures the noise
            held.append(step)
            released.wait(60.0)
            late = loss(module, step)
            answered.set()
            return late
        if step == 7:
            answered.wait(60.0)
        return loss(module, step)

    def after(step):
        if step.number == 4:
            assert np.isnan(step.losses).any()
            released.set()

    module, again, log = net(), net(), tmp_path / "a.zlog"
    with (
        ThreadPoolExecutor(2) as pool,
        zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3, log=log) as trainer,
    ):
        start = functools.partial(copy.deepcopy, net())  # threads share torch's random numbers
        trainer.fit(fun, steps=25, executor=pool, make=start, wait=1.0, late=20, callback=after)
    assert trainer.cost.late >= 1 and trainer.cost.dropped == 0
    assert zo.torch.replay(again, log) == 25 and bits(again) == bits(module)


def test_late_needs_a_wait() -> None:
    fit_of = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3).fit
    raises(ValueError, "late must be 0 without wait, got 2", fit_of, loss, 1, late=2)
    waiting = {"executor": Stragglers(some), "make": net, "wait": 1.0}
    raises(ValueError, "late must be >= 0, got -1", fit_of, loss, 1, **waiting, late=-1)
    raises(ValueError, "late must be at most 65535, got 65536", fit_of, loss, 1, **waiting, late=65536)

"""Workers: each has a module of its own, and all stay the same bit for bit, whoever dies or joins late."""

import copy
import functools
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import zoo_opt as zo

torch = pytest.importorskip("torch")
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, deadly_loss, loss, net  # noqa: E402

from zoo_opt.torch.parallel import workers as workers_module  # noqa: E402

STEPS = 25


def alone(name: str) -> bytes:
    module = net()
    zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3).fit(loss, steps=STEPS)
    return bits(module)


class Forgetful:
    """An executor of one worker that loses its module now and then, as one that was restarted."""

    def __init__(self, every: int) -> None:
        self.every, self.calls, self.answers = every, 0, []

    def submit(self, function, task) -> Future:
        self.calls += 1
        if self.calls % self.every == 0:
            workers_module._LOCAL.token = None
        future: Future = Future()
        try:
            answer = function(task)
            self.answers.append(answer)
            future.set_result(answer)
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.mark.parametrize("name", METHODS)
def test_a_worker_that_forgot_replays_the_log(name: str) -> None:
    module, executor = net(), Forgetful(every=23)
    trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3)
    trainer.fit(loss, steps=STEPS, executor=executor, make=net)
    assert bits(module) == alone(name)
    if trainer.probes * STEPS > 100:
        assert any(isinstance(answer, workers_module.Lacks) for answer in executor.answers)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_threads_have_a_module_each(workers: int) -> None:
    module = net()
    with ThreadPoolExecutor(workers) as pool:
        trainer = zo.torch.Trainer(module, METHODS["untuned"], budget=5000, rng=3)
        start = functools.partial(copy.deepcopy, net())  # threads share torch's random numbers
        trainer.fit(loss, steps=10, executor=pool, make=start)
        trainer.fit(loss, steps=STEPS - 10, executor=pool, make=start)
    assert bits(module) == alone("untuned")
    assert trainer.cost.forwards == STEPS * trainer.probes


def test_processes(tmp_path: Path) -> None:
    module = net()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        trainer = zo.torch.Trainer(module, METHODS["fzoo"], budget=5000, rng=3, log=tmp_path / "a.zlog")
        trainer.fit(loss, steps=10)  # these the workers learn from the log
        trainer.fit(loss, steps=STEPS - 10, executor=pool, make=net)
    trainer.close()
    again = net()
    zo.torch.replay(again, tmp_path / "a.zlog")
    assert bits(module) == alone("fzoo") == bits(again)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_dask_workers_of_which_one_dies(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    deadly = tmp_path / "deadly"
    deadly.touch()
    monkeypatch.setenv("ZOO_TEST_DEADLY", str(deadly))
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    module = net()
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        trainer = zo.torch.Trainer(module, METHODS["fzoo"], budget=5000, rng=3)
        trainer.fit(deadly_loss, steps=STEPS, executor=client.get_executor(pure=False), make=net)
    assert not deadly.exists()  # one has died
    assert bits(module) == alone("fzoo")


def test_another_start_is_found() -> None:
    trainer = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3)
    make = functools.partial(net, 1)
    raises(zo.torch.ReplicaError, "its numbers are others", trainer.fit, loss, 2, executor=Forgetful(99), make=make)


def test_parameters_that_drift_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_opt.torch.trainer.CHECK_EVERY", 4)

    def drifting(module, step):
        if step == 5:
            with torch.no_grad():
                module[0].bias.add_(1.0)
        return loss(module, step)

    trainer = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3)
    error = raises(zo.torch.ReplicaError, None, trainer.fit, drifting, 20, executor=Forgetful(999), make=net)
    assert str(error) == "the parameters of a worker differ from those of the training at step 8"


def test_a_loss_that_raises_is_raised_and_the_worker_is_whole() -> None:
    executor, broken = Forgetful(999), threading.Event()

    def fun(module, step):
        if broken.is_set():
            raise ZeroDivisionError
        return loss(module, step)

    module = net()
    trainer = zo.torch.Trainer(module, METHODS["spsa-gc"], budget=5000, rng=3)
    trainer.fit(fun, steps=5, executor=executor, make=net)
    broken.set()
    raises(ZeroDivisionError, None, trainer.fit, fun, 1, executor=executor, make=net)
    broken.clear()
    trainer.fit(fun, steps=STEPS - 5, executor=executor, make=net)
    assert bits(module) == alone("spsa-gc")


def test_a_worker_that_was_interrupted_in_a_move_makes_its_module_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Again(Forgetful):
        def submit(self, function, task) -> Future:
            answer = super().submit(function, task)
            return super().submit(function, task) if answer.exception() else answer

    calls, push = [0], workers_module.Slots.push

    def breaking(slots):
        push(slots)
        calls[0] += 1
        if calls[0] == 60:
            raise MemoryError

    monkeypatch.setattr(workers_module.Slots, "push", breaking)
    module, executor = net(), Again(999)
    trainer = zo.torch.Trainer(module, METHODS["fzoo"], budget=5000, rng=3)
    trainer.fit(loss, steps=STEPS, executor=executor, make=net)
    assert calls[0] > 60 and bits(module) == alone("fzoo")


def test_failed_probes_come_back_as_such() -> None:
    module = net()

    def fun(module, step):
        return np.nan if step == 1 else loss(module, step)

    trainer = zo.torch.Trainer(module, METHODS["fzoo"], rng=3)
    trainer.fit(fun, steps=3, executor=Forgetful(999), make=net)
    assert trainer.cost.failures == trainer.probes


@pytest.mark.parametrize("name", ["fzoo-auto", "spsa-gc"])
def test_late_probes_have_failed_and_all_stay_the_same(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("zoo_opt.torch.trainer.CHECK_EVERY", 2)  # of the worker that was late too
    released, held = threading.Event(), []

    def fun(module, step):
        if step == 3 and not held:
            held.append(step)
            released.wait(60.0)
        return loss(module, step)

    module, log = net(), tmp_path / "a.zlog"
    trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3, log=log)
    with ThreadPoolExecutor(2) as pool:
        options = {"executor": pool, "make": functools.partial(copy.deepcopy, net()), "wait": 3.0}
        trainer.fit(fun, steps=4, **options)
        assert trainer.cost.failures >= 1
        released.set()
        trainer.fit(fun, steps=STEPS - 4, **options)
    trainer.close()
    again = net()
    assert zo.torch.replay(again, log) == STEPS and bits(again) == bits(module)
    assert trainer.cost.forwards == STEPS * trainer.probes


def test_a_loss_that_times_out_by_itself_is_raised() -> None:
    def fun(module, step):
        raise TimeoutError("mine")

    trainer = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3)
    raises(TimeoutError, "mine", trainer.fit, fun, 1, executor=Forgetful(99), make=net, wait=60.0)


def test_steps_that_nobody_knows_are_asked_for() -> None:
    trainer = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3).fit(loss, steps=1)
    raises(ValueError, "log must be given to a trainer", trainer.fit, loss, 1, executor=Forgetful(9), make=net)

"""Ctrl-C while the parameters are moved: a real signal, delivered when the move is done."""

import os
import signal
import threading
import time

import pytest

import zoo_opt as zo

torch = pytest.importorskip("torch")
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, loss, net  # noqa: E402

from zoo_opt.support.interrupts import interrupts_held  # noqa: E402
from zoo_opt.torch import replica as replica_module  # noqa: E402

STEPS = 6


@pytest.fixture(autouse=True)
def _the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("name", ["fzoo", "spsa-gc", "untuned-trial"])
def test_an_interrupted_move_is_done_and_the_training_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever move it comes, in its middle: the end is that of a training without it, and there is no log."""
    whole = net()
    zo.torch.Trainer(whole, METHODS[name], budget=5000, rng=3).fit(loss, steps=STEPS)
    by = replica_module.Moves.by
    for at in range(1, 18):
        moves = [0]

        def signalled(self, terms, moves=moves, at=at):
            moves[0] += 1
            if moves[0] == at:
                os.kill(os.getpid(), signal.SIGINT)
                assert self.slots.all  # the handler has run by now
            by(self, terms)

        module = net()
        trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3)
        with monkeypatch.context() as patch:
            patch.setattr(replica_module.Moves, "by", signalled)
            raises(KeyboardInterrupt, None, trainer.fit, loss, STEPS)
        assert moves[0] >= at
        trainer.check()
        trainer.fit(loss, steps=STEPS - trainer.steps)
        assert bits(module) == bits(whole)


def test_a_signal_at_any_time_leaves_a_step_made_or_not(tmp_path) -> None:
    whole = net()
    zo.torch.Trainer(whole, METHODS["fzoo"], rng=3).fit(loss, steps=300)
    module = net()
    trainer = zo.torch.Trainer(module, METHODS["fzoo"], rng=3)
    came = 0
    while trainer.steps < 300:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            trainer.fit(loss, steps=300 - trainer.steps)
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            came += 1
        timer.join()
        trainer.check()
    assert came and bits(module) == bits(whole)


@pytest.mark.parametrize("name", ["fzoo", "spsa-gc"])
def test_a_second_interrupt_before_the_way_home_leaves_no_probe_in_a_checkpoint(name, tmp_path, monkeypatch) -> None:
    whole, module = net(), net()
    zo.torch.Trainer(whole, METHODS[name], rng=3).fit(loss, steps=STEPS)
    trainer = zo.torch.Trainer(module, METHODS[name], rng=3).fit(loss, steps=2)
    before = bits(module)

    def interrupted(*_):
        raise KeyboardInterrupt

    calls: list[int] = []

    def at_its_second_probe(module, step):
        calls.append(step)
        return loss(module, step) if len(calls) == 1 else interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(replica_module.Replica, "home", interrupted)
        raises(KeyboardInterrupt, None, trainer.fit, at_its_second_probe, 1)
    assert bits(module) != before
    trainer.save(tmp_path / "run.zoo")
    assert bits(module) == before
    other = net()
    zo.torch.Trainer.load(other, tmp_path / "run.zoo").fit(loss, steps=STEPS - 2)
    assert bits(other) == bits(whole)


def test_blocks_are_nested_and_other_threads_hold_nothing() -> None:
    done = []

    def block():
        with interrupts_held():
            with interrupts_held():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("inner")
            done.append("outer")

    raises(KeyboardInterrupt, None, block)
    assert done == ["inner", "outer"]
    handler = signal.getsignal(signal.SIGINT)

    def elsewhere():
        with interrupts_held():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done[-1] is handler


def test_a_handler_of_ones_own_is_called_once() -> None:
    calls = []
    before = signal.signal(signal.SIGINT, lambda *of: calls.append(of))
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            assert not calls
        assert len(calls) == 1
    finally:
        signal.signal(signal.SIGINT, before)

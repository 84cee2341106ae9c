"""The log is the model: replayed bit for bit, also where a training was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo_opt as zo

torch = pytest.importorskip("torch")
import torch_cases  # noqa: E402
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, loss, net  # noqa: E402

from zoo_opt.torch.log import read_log  # noqa: E402


def trained(path: Path, name: str = "fzoo-auto", steps: int = 30):
    module = net()
    with zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3, log=path) as trainer:
        trainer.fit(loss, steps=steps - trainer.steps)
    return module, trainer


@pytest.mark.parametrize("name", METHODS)
def test_the_replay_is_the_model(name: str, tmp_path: Path) -> None:
    module, trainer = trained(tmp_path / "a.zlog", name, 200)
    again, half = net(), net()
    assert zo.torch.replay(again, tmp_path / "a.zlog") == 200
    assert bits(again) == bits(module)
    assert zo.torch.replay(half, tmp_path / "a.zlog", steps=100) == 100
    other = net()
    zo.torch.Trainer(other, METHODS[name], budget=5000, rng=3).fit(loss, steps=100)
    assert bits(half) == bits(other)
    head = (tmp_path / "a.zlog").read_bytes().index(b"\n") + 1
    each = ((tmp_path / "a.zlog").stat().st_size - head) / trainer.cost.forwards
    assert each <= (20 if trainer.method.kit.estimator.n == 2 and hasattr(trainer.method, "momentum") else 12)


def test_the_replay_of_a_set_of_parameters(tmp_path: Path) -> None:
    module, again = net(), net()
    with zo.torch.Trainer(module[2].parameters(), METHODS["fzoo"], rng=3, log=tmp_path / "a.zlog") as trainer:
        trainer.step(lambda: loss(module, 0))
    assert zo.torch.replay(again[2].parameters(), tmp_path / "a.zlog") == 1
    assert bits(again) == bits(module)
    raises(TypeError, "module must be a torch.nn.Module or parameters", zo.torch.replay, 3, tmp_path / "a.zlog")


@pytest.mark.slow
def test_ten_thousand_steps_are_replayed(tmp_path: Path) -> None:
    """Two probes a step; the parameters grow beyond their first grids on the way."""
    module, again = net(), net()
    method = zo.SPSA(lr=0.2, c=1e-3, draws=zo.Rademacher())
    with zo.torch.Trainer(module, method, rng=3, log=tmp_path / "a.zlog") as trainer:
        grids = trainer.state()["grids"]
        trainer.fit(loss, steps=10_000)
        assert trainer.state()["grids"] != grids
    assert zo.torch.replay(again, tmp_path / "a.zlog") == 10_000
    assert bits(again) == bits(module)
    assert (tmp_path / "a.zlog").stat().st_size < 12.1 * 20_000


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=5)
@given(at=st.integers(0, 30))
def test_a_training_goes_on_from_its_log(name: str, at: int, tmp_path_factory) -> None:
    """The gains and the scaling too: their state is made again from the losses."""
    folder = tmp_path_factory.mktemp("log")
    whole, one = trained(folder / "a.zlog", name)
    trained(folder / "b.zlog", name, at)
    cut, two = trained(folder / "b.zlog", name)
    assert bits(cut) == bits(whole)
    assert (folder / "a.zlog").read_bytes() == (folder / "b.zlog").read_bytes()
    assert two.cost.forwards == one.cost.forwards and two.steps == one.steps == 30


def test_a_checkpoint_and_the_log_go_on_together(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path / "a.zlog")
    trained(tmp_path / "b.zlog", steps=20)
    zo.torch.Trainer(net(), METHODS["fzoo-auto"], budget=5000, rng=3).fit(loss, steps=12).save(tmp_path / "b.zoo")
    module = net(1)
    with zo.torch.Trainer.load(module, tmp_path / "b.zoo", log=tmp_path / "b.zlog") as trainer:
        assert trainer.steps == 20
        trainer.fit(loss, steps=10)
    assert bits(module) == bits(whole)
    assert (tmp_path / "a.zlog").read_bytes() == (tmp_path / "b.zlog").read_bytes()
    trained(tmp_path / "c.zlog", steps=11)
    load = zo.torch.Trainer.load
    raises(
        zo.CheckpointError,
        "ends at step 11, before the checkpoint at 12",
        load,
        net(),
        tmp_path / "b.zoo",
        log=tmp_path / "c.zlog",
    )


@settings(max_examples=20)
@given(cut=st.integers(1, 400))
def test_a_record_that_was_cut_off_is_made_again(cut: int, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.zlog"
    path.unlink(missing_ok=True)
    whole, _ = trained(path)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    again, _ = trained(path)
    assert path.read_bytes() == content
    assert bits(again) == bits(whole)


def test_a_last_record_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    trained(tmp_path / "a.zlog")
    content = (tmp_path / "a.zlog").read_bytes()
    (tmp_path / "a.zlog").write_bytes(content[:-6] + b"\0" + content[-5:])
    assert len(read_log(tmp_path / "a.zlog")[1]) == 29
    trained(tmp_path / "a.zlog")
    assert (tmp_path / "a.zlog").read_bytes() == content


@settings(max_examples=30)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damage_before_the_last_record_is_an_error(at: float, bit: int, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.zlog"
    path.unlink(missing_ok=True)
    trained(path, "fzoo", 6)
    content = bytearray(path.read_bytes())
    first = content.index(b"\n") + 1
    content[first + int(at * 4 / 6 * (len(content) - first))] ^= 1 << bit
    path.write_bytes(content)
    raises(zo.CheckpointError, "is corrupt after step", read_log, path)


def test_a_file_that_is_no_log_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.zlog"
    path.write_bytes(b"a line without an end")
    raises(zo.CheckpointError, "is not a log of zoo_opt.torch, and is left", trained, path)
    assert path.read_bytes() == b"a line without an end"


def test_losses_beyond_single_precision_are_in_the_log(tmp_path: Path) -> None:
    losses = iter([1e300, -1e300, 1e39, 1.0])
    with zo.torch.Trainer(net(), METHODS["spsa"], rng=3, log=tmp_path / "a.zlog") as trainer:
        trainer.step(lambda: next(losses)), trainer.step(lambda: next(losses))
    assert [record.losses for record in read_log(tmp_path / "a.zlog")[1]] == [[1e300, -1e300], [1e39, 1.0]]


class InterruptsAt:
    """Raises KeyboardInterrupt at the n-th line of the package that moves parameters and writes logs."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame, event, arg):
        folder = Path(frame.f_code.co_filename).parent.name
        if event == "line" and self.left >= 0:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return self if folder in ("torch", "storage") else None


@pytest.mark.parametrize("name", ["spsa-signs", "spsa-gc"])
@settings(max_examples=15)
@given(n=st.integers(0, 900))
def test_an_interrupt_anywhere_is_no_wrong_number(name: str, n: int, tmp_path_factory) -> None:
    """Where it leaves the parameters unknown or the log ahead of them, that is said; and the log goes on."""
    path = tmp_path_factory.getbasetemp() / "interrupted.zlog"
    path.unlink(missing_ok=True)
    whole = net()
    zo.torch.Trainer(whole, METHODS[name], budget=5000, rng=3).fit(loss, steps=5)
    module, traced = net(), sys.gettrace()
    with zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3, log=path) as trainer:
        trainer.fit(loss, steps=2)
        sys.settrace(InterruptsAt(n))
        try:
            trainer.step(lambda: loss(module, 2))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(traced)
        try:
            trainer.fit(loss, steps=5 - trainer.steps)
            assert bits(module) == bits(whole)
        except RuntimeError as error:
            assert "a step was interrupted while it moved the parameters" in str(error)
            raises(RuntimeError, "interrupted", trainer.save, path.with_suffix(".zoo"))
    again, _ = trained(path, name, 5)
    assert bits(again) == bits(whole)


def test_an_interrupt_of_the_replay_lets_the_log_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "a.zlog")
    with monkeypatch.context() as stopped:
        stopped.setattr("zoo_opt.torch.course.Course.repeat", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        caught = raises(KeyboardInterrupt, None, trained, tmp_path / "a.zlog")
    assert trained(tmp_path / "a.zlog")[1].steps == 30
    assert caught.__traceback__ is not None  # which holds what was being made


def test_failures_are_in_the_log(tmp_path: Path) -> None:
    module = net()
    values = iter([np.nan, 1.0, 1.0, 1.0, 2.0, *[np.nan] * 5, 1.0, np.inf, 1.0 / 3.0, 5.0, 2.0])
    with zo.torch.Trainer(module, METHODS["fzoo"], rng=3, log=tmp_path / "a.zlog") as trainer:
        steps = [trainer.step(lambda: next(values)) for _ in range(3)]
    assert [step.skipped for step in steps] == [True, True, False]
    again = net()
    zo.torch.replay(again, tmp_path / "a.zlog")
    assert bits(again) == bits(module)
    losses = [record.losses for record in read_log(tmp_path / "a.zlog")[1]]
    assert np.array_equal(losses, [step.losses for step in steps], equal_nan=True)


def test_a_log_that_cannot_be_written_leaves_the_step_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trained(tmp_path / "a.zlog")
    module = net()
    with zo.torch.Trainer(module, METHODS["fzoo-auto"], budget=5000, rng=3, log=tmp_path / "b.zlog") as trainer:
        trainer.fit(loss, steps=10)
        before = bits(module)
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            raises(OSError, "No space left", trainer.fit, loss, 5)
        assert bits(module) == before and trainer.steps == 10
        trainer.fit(loss, steps=20)
    assert bits(module) == bits(whole)
    assert (tmp_path / "a.zlog").read_bytes() == (tmp_path / "b.zlog").read_bytes()


def test_what_a_log_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.zlog"
    trained(path)
    raises(zo.torch.ReplicaError, "must be the start of the training, its numbers", zo.torch.replay, net(1), path)
    raises(zo.torch.ReplicaError, "it has", zo.torch.replay, net().double(), path)
    raises(zo.torch.ReplicaError, "2 parameters for 4", zo.torch.replay, net()[:1], path)
    raises(
        zo.CheckpointError, "another training: method differ", zo.torch.Trainer, net(), METHODS["fzoo"], rng=3, log=path
    )
    raises(
        zo.CheckpointError,
        "another training: key,? ?",
        zo.torch.Trainer,
        net(),
        METHODS["fzoo-auto"],
        budget=5000,
        rng=4,
        log=path,
    )
    with zo.torch.Trainer(net(), METHODS["fzoo-auto"], budget=5000, rng=3, log=path):
        raises(zo.CheckpointError, "is in use", trained, path)
    content = path.read_bytes()
    path.write_bytes(content[:-600] + b"\1\2\3" + content[-597:])
    raises(zo.CheckpointError, "is corrupt after step", zo.torch.replay, net(), path)
    path.write_bytes(b"{}\n" + content)
    raises(zo.CheckpointError, "is not a log of zoo_opt.torch", zo.torch.replay, net(), path)
    path.write_bytes(content.replace(b'"version": 2', b'"version": 9'))
    raises(zo.CheckpointError, "log 9, this zoo_opt reads", zo.torch.replay, net(), path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_again_and_again_it_ends_the_same(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    root = Path(zo.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    command = [sys.executable, "-u", torch_cases.__file__]
    expected = subprocess.run([*command, whole], env=env, capture_output=True, text=True, check=True).stdout
    rng, kills, seen = random.Random(0), 0, -1
    while True:
        process = subprocess.Popen([*command, cut], env=env, stdout=subprocess.PIPE, text=True)
        until = seen + rng.randint(1, 120)
        for line in process.stdout:  # type: ignore[union-attr]
            if line.startswith("sum"):
                break
            seen = int(line)
            if seen >= until and kills < 4:
                time.sleep(rng.random() / 300)
                process.kill()
                kills += 1
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
        if line.startswith("sum"):
            break
    assert kills == 4
    assert line == expected.splitlines(keepends=True)[-1]
    assert (cut / "run.zlog").read_bytes() == (whole / "run.zlog").read_bytes()
    module = net()
    assert zo.torch.replay(module, cut / "run.zlog") == 400

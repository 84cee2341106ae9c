"""minimize(checkpoint=...): what was paid for is never paid for again."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from doubting import TYPES, Doubting

import zoo_opt as zo
from zoo_opt import resume

X0 = np.array([1.0, -2.0, 3.0])
SETTINGS = {"budget": 200, "rng": 3}


def sphere(x):
    return float(x @ x)


class Dying:
    """An objective that counts its calls and dies at one of them."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, x):
        if self.calls == self.at:
            raise KeyboardInterrupt
        self.calls += 1
        return math.nan if self.calls % 11 == 0 else sphere(x)


@pytest.mark.parametrize("method", ["cma-es", "fzoo", "spsa-geass", "sep-cma-es"])
@pytest.mark.parametrize("at", [0, 1, 50, 123])
def test_resumes_where_it_stopped(tmp_path, method, at, monkeypatch):
    monkeypatch.setattr(resume, "_FOLD", 40)  # fold the journal now and then
    whole = zo.minimize(Dying(at=-1), X0, method=method, **SETTINGS)
    f = Dying(at)
    cut = zo.minimize(f, X0, method=method, checkpoint=tmp_path / "run.zoo", **SETTINGS)
    assert cut.status == 3 and cut.nfev == at
    f.at = -1
    resumed = zo.minimize(f, X0, method=method, checkpoint=tmp_path / "run.zoo", **SETTINGS)
    assert f.calls == whole.nfev == resumed.nfev
    assert resumed.failures == whole.failures
    np.testing.assert_array_equal(resumed.x, whole.x)


@pytest.mark.parametrize("recommend", ["best", "mean"])
def test_a_complete_run_is_not_paid_for_again(tmp_path, recommend):
    path = tmp_path / "run.zoo"
    first = zo.minimize(sphere, X0, checkpoint=path, recommend=recommend, **SETTINGS)

    def never(x):
        raise AssertionError("called again")

    again = zo.minimize(never, X0, checkpoint=path, recommend=recommend, on_error="raise", **SETTINGS)
    np.testing.assert_array_equal(again.x, first.x)
    assert (again.fun, again.nfev) == (first.fun, first.nfev)


def test_a_larger_budget_goes_on(tmp_path):
    path = tmp_path / "run.zoo"
    zo.minimize(sphere, X0, checkpoint=path, budget=70, rng=3)
    longer = zo.minimize(sphere, X0, checkpoint=path, budget=140, rng=3)
    np.testing.assert_array_equal(longer.x, zo.minimize(sphere, X0, budget=140, rng=3).x)


def test_what_came_before_an_error_is_kept(tmp_path):
    path, calls = tmp_path / "run.zoo", []

    def fails_once(x):
        calls.append(1)
        if len(calls) == 20:
            raise OSError("down")
        return sphere(x)

    with pytest.raises(OSError, match="down"):
        zo.minimize(fails_once, X0, checkpoint=path, on_error="raise", **SETTINGS)
    resumed = zo.minimize(fails_once, X0, checkpoint=path, on_error="raise", **SETTINGS)
    assert len(calls) == resumed.nfev + 1
    np.testing.assert_array_equal(resumed.x, zo.minimize(sphere, X0, **SETTINGS).x)


def test_a_torn_last_line_is_passed_over(tmp_path):
    path = tmp_path / "run.zoo"
    zo.minimize(Dying(30), X0, checkpoint=path, **SETTINGS)
    f = Dying(-1)
    journal = path.with_name("run.zoo.journal")
    assert journal.read_bytes() == b""  # the end of a call folds it into the checkpoint
    journal.write_bytes(b'[30, "0x1.0p+0", ""] dead')
    zo.minimize(f, X0, checkpoint=path, **SETTINGS)
    assert f.calls == 196 - 30


def test_a_corrupt_journal_is_refused(tmp_path):
    path = tmp_path / "run.zoo"
    zo.minimize(Dying(30), X0, checkpoint=path, **SETTINGS)
    path.with_name("run.zoo.journal").write_bytes(b'[30, "0x1.0p+0", ""] deadbeef\n')
    with pytest.raises(zo.CheckpointError, match=r"run.zoo.journal is corrupt at line 1"):
        zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)


def test_a_journal_without_its_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.zoo"
    path.with_name("run.zoo.journal").touch()  # an empty one, of a run killed at its start, is no loss
    zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)
    path.unlink()
    path.with_name("run.zoo.journal").write_bytes(b'[0, "0x1.0p+0", ""] deadbeef\n')
    with pytest.raises(zo.CheckpointError, match="has no checkpoint"):
        zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)


@pytest.mark.parametrize(
    ("changes", "what"), [({"rng": 4}, "rng"), ({"x0": X0 + 1}, "x0"), ({"method": zo.CMAES(sigma0=1.0)}, "method")]
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changes, what):
    path = tmp_path / "run.zoo"
    zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)
    settings = {"x0": X0} | SETTINGS | changes
    with pytest.raises(zo.CheckpointError, match=f"is of another run: its {what} is"):
        zo.minimize(sphere, settings.pop("x0"), checkpoint=path, **settings)


SCRIPT = """
import sys, zoo_opt as zo
def f(x):
    with open(sys.argv[2], "a") as log:
        log.write("x")
    return float(x @ x)
result = zo.minimize(f, [1.0, -2.0, 3.0], budget=400, rng=3, checkpoint=sys.argv[1])
print(result.x.tobytes().hex(), result.nfev)
"""


def test_kills_repeat_only_the_call_in_flight(tmp_path):
    paths = [str(tmp_path / "run.zoo"), str(tmp_path / "calls")]
    whole = zo.minimize(sphere, X0, budget=400, rng=3)
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, *paths], stdout=subprocess.PIPE, text=True)
        try:
            process.wait(timeout=0.25 + 0.3 * rng.random())
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            kills += 1
            continue
        break
    else:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, *paths], stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate()
    x, nfev = out.split()
    assert x == whole.x.tobytes().hex() and int(nfev) == whole.nfev
    assert whole.nfev <= len(Path(paths[1]).read_text()) <= whole.nfev + kills


@dataclasses.dataclass(frozen=True)
class Halving:
    """A schedule of the user's own."""

    start: float

    def __call__(self, t):
        return self.start / 2 ** (t // 10)


def test_a_method_with_parts_of_ones_own_resumes(tmp_path):
    path, method, f = tmp_path / "run.zoo", zo.SPSA(lr=Halving(0.1)), Dying(30)
    whole = zo.minimize(Dying(-1), X0, method=method, **SETTINGS)
    zo.minimize(f, X0, method=method, checkpoint=path, **SETTINGS)
    f.at = -1
    resumed = zo.minimize(f, X0, method=method, checkpoint=path, **SETTINGS)
    np.testing.assert_array_equal(resumed.x, whole.x)


def test_an_interrupt_between_journal_and_tell_loses_nothing(tmp_path, monkeypatch):
    path, calls = tmp_path / "run.zoo", []

    def counted(x):
        calls.append(1)
        return sphere(x)

    replay = zo.Optimizer.replay

    def interrupted(self, entries):
        if len(calls) == 40:
            raise KeyboardInterrupt
        replay(self, entries)

    monkeypatch.setattr(zo.Optimizer, "replay", interrupted)
    assert zo.minimize(counted, X0, checkpoint=path, **SETTINGS).status == 3
    monkeypatch.undo()
    resumed = zo.minimize(counted, X0, checkpoint=path, **SETTINGS)
    assert len(calls) == resumed.nfev
    np.testing.assert_array_equal(resumed.x, zo.minimize(sphere, X0, **SETTINGS).x)


def test_an_interrupted_update_is_made_up_for(tmp_path, monkeypatch):
    path, updates = tmp_path / "run.zoo", []
    update = zo.CMAES.update

    def interrupted(self, *args):
        updates.append(1)
        if len(updates) == 7:
            raise KeyboardInterrupt
        return update(self, *args)

    monkeypatch.setattr(zo.CMAES, "update", interrupted)
    assert zo.minimize(sphere, X0, checkpoint=path, **SETTINGS).status == 3
    resumed = zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)
    np.testing.assert_array_equal(resumed.x, zo.minimize(sphere, X0, **SETTINGS).x)


def test_two_runs_cannot_share_a_checkpoint(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / "run.zoo"

    def nested(x):
        return zo.minimize(sphere, X0, checkpoint=path, **SETTINGS).fun

    with pytest.raises(zo.CheckpointError, match="is in use by another run"):
        zo.minimize(nested, X0, checkpoint=path, on_error="raise", **SETTINGS)
    assert zo.minimize(sphere, X0, checkpoint=path, **SETTINGS).success  # the lock went with the run


def test_a_failed_final_evaluation_is_counted_and_kept(tmp_path):
    def never(x):
        raise AssertionError("called again")

    settings = {"recommend": "mean", "checkpoint": tmp_path / "run.zoo", **SETTINGS}
    f = Fails(at=197)
    first = zo.minimize(f, X0, **settings)
    assert first.status == 4 and first.message == "the evaluation of the final iterate failed"
    assert (first.nfev, first.nfail, first.failures) == (197, 1, {"OSError": 1})
    again = zo.minimize(never, X0, **settings)
    assert (again.nfev, again.failures) == (197, {"OSError": 1})
    with pytest.raises(OSError, match="down"):
        zo.minimize(Fails(at=197), X0, on_error="raise", **SETTINGS, recommend="mean")


class Fails:
    """An objective that raises at one of its calls."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.at:
            raise OSError("down")
        return sphere(x)


def test_standard_errors_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "run.zoo"
    settings = {"method": Doubting(), "budget": 70, "rng": 3, "sem": True}

    def noisy(x, at=math.inf):
        calls.append(1)
        if len(calls) > at:
            raise KeyboardInterrupt
        return sphere(x), 0.01 * float(x[0] ** 2) if len(calls) % 3 else None

    calls = []
    whole = zo.minimize(noisy, X0, **settings)
    for fold in (10, 2000):
        calls, path = [], tmp_path / f"{fold}.zoo"
        monkeypatch.setattr(resume, "_FOLD", fold)
        assert zo.minimize(lambda x: noisy(x, at=25), X0, checkpoint=path, **settings).nfev == 25
        calls.pop()
        np.testing.assert_array_equal(zo.minimize(noisy, X0, checkpoint=path, **settings).x, whole.x)


def test_a_planned_method_is_known_by_what_was_given(tmp_path):
    class Planned(Doubting):
        def plan(self, x0, budget):
            return self if self.popsize != 7 else Planned(popsize=budget // 10)

    path = tmp_path / "run.zoo"
    zo.minimize(sphere, X0, method=Planned(), budget=200, rng=0, checkpoint=path)
    longer = zo.minimize(sphere, X0, method=Planned(), budget=400, rng=0, checkpoint=path)
    assert longer.nfev == 400 and zo.Optimizer.load(path, types=[Planned, *TYPES]).method == Planned(popsize=20)

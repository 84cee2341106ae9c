"""minimize(checkpoint=...): what was paid for is never paid for again."""

import contextlib
import dataclasses
import errno
import logging
import math
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from doubting import TYPES, Doubting
from refusals import raises
from solving import Counted

import zoo_opt as zo
from zoo_opt import resume
from zoo_opt.core.outcome import Outcome
from zoo_opt.storage.journal import journal_line
from zoo_opt.testing import sphere

X0 = np.array([1.0, -2.0, 3.0])
SETTINGS = {"budget": 200, "rng": 3}
CMA = {"method": "cma-es", **SETTINGS}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zoo"


def flaky(x):
    """The sphere, one in eleven of whose evaluations fails."""
    return math.nan if math.floor(1e6 * x[0]) % 11 == 0 else sphere(x)


def never(x):
    raise AssertionError("called again")


def assert_as_if_never_stopped(resumed, f=sphere, **settings):
    np.testing.assert_array_equal(resumed.x, zo.minimize(f, X0, **SETTINGS | settings).x)


@pytest.mark.parametrize("method", ["cma-es", "fzoo", "spsa-geass", "sep-cma-es"])
@pytest.mark.parametrize("at", [0, 1, 50, 123])
def test_resumes_where_it_stopped(path, method, at, monkeypatch):
    monkeypatch.setattr(resume, "_FOLD", 40)  # fold the journal now and then
    whole = zo.minimize(flaky, X0, method=method, **SETTINGS)
    f = Counted(flaky, at=at)
    cut, resumed = (zo.minimize(f, X0, method=method, checkpoint=path, **SETTINGS) for _ in range(2))
    assert cut.status == 3 and cut.nfev == at
    assert f.calls == whole.nfev == resumed.nfev
    assert resumed.failures == whole.failures
    np.testing.assert_array_equal(resumed.x, whole.x)


@pytest.mark.parametrize("recommend", ["best", "mean"])
def test_a_complete_run_is_not_paid_for_again(path, recommend):
    settings = {"checkpoint": path, "recommend": recommend, **SETTINGS}
    first = zo.minimize(sphere, X0, **settings)
    again = zo.minimize(never, X0, on_error="raise", **settings)
    np.testing.assert_array_equal(again.x, first.x)
    assert (again.fun, again.nfev) == (first.fun, first.nfev)


def test_a_larger_budget_goes_on(path):
    zo.minimize(sphere, X0, checkpoint=path, **CMA | {"budget": 70})
    assert_as_if_never_stopped(
        zo.minimize(sphere, X0, checkpoint=path, **CMA | {"budget": 140}), **CMA | {"budget": 140}
    )


@pytest.mark.parametrize("verbose", [False, True, 10])
def test_where_a_run_goes_on_is_said(path, verbose, capsys, caplog):
    caplog.set_level(logging.INFO, logger="zoo_opt")
    cut, first = zo.minimize(Counted(at=50), X0, checkpoint=path, verbose=verbose, **CMA), capsys.readouterr().out
    zo.minimize(sphere, X0, checkpoint=path, verbose=verbose, **CMA)
    line = f"going on from {path} after {cut.nfev} evaluations; delete it to start anew"
    assert cut.nfev == 50 and "going on" not in first
    assert capsys.readouterr().out.startswith(f"{line}\n   step") if verbose else not capsys.readouterr().out
    assert [record.getMessage() for record in caplog.records].count(line) == 1


@pytest.mark.parametrize("first", [100, 101, 102, 103])
def test_a_smaller_budget_asks_for_nothing(path, first):
    space = zo.Space(C=zo.Float(1e-3, 1e3, log=True), n=zo.Int(1, 8), k=zo.Choice("x", "y", "z"), s=zo.Bool())

    def f(p):
        return (math.log10(p["C"]) - 1) ** 2 + abs(p["n"] - 5) + (p["k"] != "y") + (not p["s"])

    whole = zo.minimize(f, space, budget=first, rng=0, checkpoint=path)
    again = zo.minimize(never, space, budget=50, rng=0, checkpoint=path)
    assert (again.nfev, again.params) == (whole.nfev, whole.params)


@pytest.mark.parametrize("spent", range(20, 30))
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_a_budget_lowered_in_the_middle_of_a_step_is_kept_to(path, spent, workers):
    down = Counted(at=spent, error=OSError("down"))
    raises(OSError, "down", zo.minimize, down, X0, checkpoint=path, on_error="raise", **CMA)
    with ThreadPoolExecutor(workers or 1) as pool:
        f = Counted()
        result = zo.minimize(f, X0, checkpoint=path, executor=workers and pool, **CMA | {"budget": spent + 3})
    whole_steps = spent // 7 * 7 + 7  # the step of 7 that is open, after which the budget allows no other
    assert result.nfev == spent + f.calls == min(spent + 3, whole_steps)
    assert "budget" in result.stop


def test_what_came_before_an_error_is_kept(path):
    f = Counted(at=19, error=OSError("down"))
    raises(OSError, "down", zo.minimize, f, X0, checkpoint=path, on_error="raise", **SETTINGS)
    resumed = zo.minimize(f, X0, checkpoint=path, on_error="raise", **SETTINGS)
    assert f.calls == resumed.nfev
    assert_as_if_never_stopped(resumed)


def test_a_torn_last_line_is_passed_over(path):
    zo.minimize(Counted(at=30), X0, checkpoint=path, **CMA)
    journal = path.with_name("run.zoo.journal")
    assert journal.read_bytes() == b""  # the end of a call folds it into the checkpoint
    journal.write_bytes(b'[30, "0x1.0p+0", ""] dead')
    zo.minimize(f := Counted(), X0, checkpoint=path, **CMA)
    assert f.calls == 196 - 30


def test_the_seconds_of_a_run_are_those_of_its_journal_too(path):
    """A process that was killed wrote its seconds beside each loss; a loss from elsewhere has none."""
    zo.minimize(Counted(at=30), X0, checkpoint=path, **CMA)
    times = {30: 1000.0, 31: math.nan}
    lines = [
        journal_line(Outcome(number, 1.0, "", math.nan, None, time), is_first=False) for number, time in times.items()
    ]
    path.with_name("run.zoo.journal").write_bytes(b"".join(lines))
    zo.minimize(f := Counted(), X0, checkpoint=path, **CMA)
    assert f.calls == 196 - 32
    assert 1000.0 < zo.Optimizer.load(path).seconds < 2000.0


def test_a_journal_without_its_checkpoint_is_refused(path):
    path.with_name("run.zoo.journal").touch()  # an empty one, of a run killed at its start, is no loss
    zo.minimize(sphere, X0, checkpoint=path, **SETTINGS)
    path.unlink()
    path.with_name("run.zoo.journal").write_bytes(b'[0, "0x1.0p+0", ""] deadbeef\n')
    raises(zo.CheckpointError, "has no checkpoint", zo.minimize, sphere, X0, checkpoint=path, **SETTINGS)


@pytest.mark.parametrize(
    ("changes", "what"), [({"rng": 4}, "rng"), ({"x0": X0 + 1}, "x0"), ({"method": zo.CMAES(sigma0=1.0)}, "method")]
)
def test_a_checkpoint_of_another_run_is_refused(path, changes, what):
    settings = {"fun": sphere, "x0": X0, "checkpoint": path, **SETTINGS}
    zo.minimize(**settings)
    raises(zo.CheckpointError, f"is of another run: its {what} is", zo.minimize, **settings | changes)


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
    rng, kills = np.random.default_rng(0), 0
    out = None
    while out is None:  # after forty kills it is left alone
        try:
            timeout = 0.25 + 0.3 * rng.random() if kills < 40 else None
            out = subprocess.check_output([sys.executable, "-c", SCRIPT, *paths], text=True, timeout=timeout)
        except subprocess.TimeoutExpired:  # it was killed
            kills += 1
    x, nfev = out.split()
    assert x == whole.x.tobytes().hex() and int(nfev) == whole.nfev
    assert whole.nfev <= len(Path(paths[1]).read_text()) <= whole.nfev + kills


@dataclasses.dataclass(frozen=True)
class Halving:
    """A schedule of the user's own."""

    start: float

    def __call__(self, t):
        return self.start / 2 ** (t // 10)


def test_a_method_with_parts_of_ones_own_resumes(path):
    method, f = zo.SPSA(lr=Halving(0.1)), Counted(flaky, at=30)
    for _ in range(2):
        resumed = zo.minimize(f, X0, method=method, checkpoint=path, **SETTINGS)
    assert_as_if_never_stopped(resumed, flaky, method=method)


def test_an_interrupt_between_journal_and_tell_loses_nothing(path, monkeypatch):
    f, replay, interrupts = Counted(), zo.Optimizer.replay, [KeyboardInterrupt]

    def interrupted(self, entries):
        if f.calls == 40 and interrupts:
            raise interrupts.pop()
        replay(self, entries)

    monkeypatch.setattr(zo.Optimizer, "replay", interrupted)
    assert zo.minimize(f, X0, checkpoint=path, **SETTINGS).status == 3
    assert zo.Optimizer.load(path).nfev == 40
    resumed = zo.minimize(f, X0, checkpoint=path, **SETTINGS)
    assert f.calls == resumed.nfev
    assert_as_if_never_stopped(resumed)


def test_an_interrupted_update_is_made_up_for(path, monkeypatch):
    update, counted = zo.CMAES.update, Counted(lambda arguments: update(*arguments), at=6)
    monkeypatch.setattr(zo.CMAES, "update", lambda *arguments: counted(arguments))
    assert zo.minimize(sphere, X0, checkpoint=path, **CMA).status == 3
    assert_as_if_never_stopped(zo.minimize(sphere, X0, checkpoint=path, **CMA), method="cma-es")


class AtOnce:
    """An executor that has the result when it is asked."""

    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


@contextlib.contextmanager
def each_line(do):
    """Call ``do(place)`` before each line of the books of a run."""
    books = tuple(str(Path(zo.__file__).parent / "core" / f"{name}.py") for name in ("pipeline", "ledger", "tally"))

    def traced(frame, event, argument):
        if not frame.f_code.co_filename.startswith(books):
            return None
        if event == "line":
            do((frame.f_code.co_filename, frame.f_lineno))
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"executor": AtOnce(), "workers": 2}], ids=["serial", "executor"])
def test_an_interrupt_at_any_line_of_the_books_changes_nothing(tmp_path, settings):
    """Nine of 88 runs that were interrupted again and again ended in another result: a step was told twice, or so."""
    settings = {"method": "fzoo", "budget": 36, "rng": 3, **settings}
    places = {}
    with each_line(lambda place: places.update({place: places.get(place, 0) + 1})):
        whole = zo.minimize(sphere, X0, **settings)
    for k, (place, times) in enumerate(places.items()):
        f, path, left = Counted(), tmp_path / f"{k}.zoo", [min(3, times)]

        def interrupts(at, place=place, left=left):
            left[0] -= at == place
            if at == place and not left[0]:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt), each_line(interrupts):
            zo.minimize(f, X0, checkpoint=path, **settings)
        resumed = zo.minimize(f, X0, checkpoint=path, **settings)
        np.testing.assert_array_equal(resumed.history.loss, whole.history.loss, err_msg=str(place))
        np.testing.assert_array_equal(resumed.x, whole.x)
        assert f.calls - whole.nfev <= settings.get("workers", 1)


def test_two_runs_cannot_share_a_checkpoint(path):
    pytest.importorskip("fcntl")

    def nested(x):
        return zo.minimize(sphere, X0, checkpoint=path, **SETTINGS).fun

    with pytest.raises(zo.CheckpointError, match="is in use by another run"):
        zo.minimize(nested, X0, checkpoint=path, on_error="raise", **SETTINGS)
    assert zo.minimize(sphere, X0, checkpoint=path, **SETTINGS).success  # the lock went with the run


def test_a_failed_final_evaluation_is_counted_and_kept(path):
    settings = {"recommend": "mean", **CMA}
    first = zo.minimize(Counted(at=196, error=OSError("down")), X0, checkpoint=path, **settings)
    assert first.status == 4 and first.message == "the evaluation of the final iterate failed"
    assert (first.nfev, first.nfail, first.failures) == (197, 1, {"OSError": 1})
    again = zo.minimize(never, X0, checkpoint=path, **settings)
    assert (again.nfev, again.failures) == (197, {"OSError": 1})
    raises(OSError, "down", zo.minimize, Counted(at=196, error=OSError("down")), X0, on_error="raise", **settings)


def test_standard_errors_are_kept(tmp_path, monkeypatch):
    settings = {"method": Doubting(), "budget": 70, "rng": 3, "sem": True}

    def noisy(x):
        return sphere(x), 0.01 * float(x[0] ** 2) if x[0] > 0 else None

    whole = zo.minimize(noisy, X0, **settings)
    for fold in (10, 2000):
        monkeypatch.setattr(resume, "_FOLD", fold)
        f, path = Counted(noisy, at=25), tmp_path / f"{fold}.zoo"
        assert zo.minimize(f, X0, checkpoint=path, **settings).nfev == 25
        np.testing.assert_array_equal(zo.minimize(f, X0, checkpoint=path, **settings).x, whole.x)


def test_a_planned_method_is_known_by_what_was_given(path):
    class Planned(Doubting):
        def plan(self, x0, budget):
            return self if self.popsize != 7 else Planned(popsize=budget // 10)

    settings = {"method": Planned(), "rng": 0, "checkpoint": path}
    zo.minimize(sphere, X0, budget=200, **settings)
    with pytest.warns(UserWarning, match="goes on as it was planned for its first budget"):
        longer = zo.minimize(sphere, X0, budget=400, **settings)
    assert longer.nfev == 400 and zo.Optimizer.load(path, types=[Planned, *TYPES]).method == Planned(popsize=20)


def test_a_loss_is_on_the_disk_before_the_next_call(path, monkeypatch):
    """At each call the journal is as long as it was when it was last forced to the disk."""
    journal, synced, sync = path.with_name(path.name + ".journal"), {}, os.fsync

    def noted(descriptor):
        sync(descriptor)
        found = os.fstat(descriptor)
        synced[found.st_ino] = found.st_size

    def f(x):
        found = journal.stat()
        assert not found.st_size or synced[found.st_ino] == found.st_size
        sizes.append(found.st_size)
        return sphere(x)

    sizes = []
    monkeypatch.setattr(os, "fsync", noted)
    zo.minimize(f, X0, checkpoint=path, on_error="raise", **SETTINGS)
    assert len(set(sizes)) == len(sizes) == SETTINGS["budget"]


def test_a_fold_that_cannot_be_saved_loses_nothing(path, monkeypatch):
    """The disk is full when the journal is to be moved into the checkpoint: the journal still has it all."""
    monkeypatch.setattr(resume, "_FOLD", 40)
    f, save, saves = Counted(), zo.Optimizer.save, []

    def full(self, path):
        saves.append(path)
        if len(saves) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path)

    monkeypatch.setattr(zo.Optimizer, "save", full)
    with pytest.warns(UserWarning, match="No space left"):
        zo.minimize(f, X0, checkpoint=path, **SETTINGS)
    assert f.calls == SETTINGS["budget"] and len(saves) > 2
    monkeypatch.undo()
    again = zo.minimize(never, X0, on_error="raise", checkpoint=path, **SETTINGS)
    assert again.nfev == SETTINGS["budget"]
    assert_as_if_never_stopped(again)


def test_the_journal_is_folded_when_a_step_has_closed(path, monkeypatch):
    """With whole steps of 7, after 10 losses or more; and what is left at the end."""
    monkeypatch.setattr(resume, "_FOLD", 10)
    saved, save = [], zo.Optimizer.save

    def noted(self, path):
        saved.append(self.nfev)
        save(self, path)

    monkeypatch.setattr(zo.Optimizer, "save", noted)
    zo.minimize(Counted(at=45), X0, checkpoint=path, **CMA)
    assert saved == [0, 14, 28, 42, 45]
    zo.minimize(Counted(at=20), X0, checkpoint=path, **CMA)
    assert saved[5:] == [56, 65] and path.with_name("run.zoo.journal").read_bytes() == b""


def test_the_journal_is_folded_after_so_many_losses_and_no_fewer(path, monkeypatch):
    """One short of them, with whole steps of 7, and the journal stays as it is."""
    saved, save = [], zo.Optimizer.save
    monkeypatch.setattr(zo.Optimizer, "save", lambda self, path: (saved.append(self.nfev), save(self, path)))
    for fold, where in ((14, [0, 14, 20]), (15, [0, 20])):
        monkeypatch.setattr(resume, "_FOLD", fold)
        saved.clear()
        zo.minimize(Counted(at=20), X0, checkpoint=path.with_name(f"{fold}.zoo"), **CMA)
        assert saved == where


@dataclasses.dataclass(frozen=True)
class Widening(Doubting):
    """Its step is wider with a larger budget, from where it is told so."""

    reach: float = 1.0

    def plan(self, x0, budget):
        return dataclasses.replace(self, reach=budget / 70)

    replanned = lambda self, budget: self.plan(None, budget)  # noqa: E731

    def ask(self, state, step, out=None):
        return super().ask(dataclasses.replace(state, sigma=self.reach * state.sigma), step)


def test_a_kill_after_another_budget_tells_no_plan_of_what_another_asked_for(path, monkeypatch):
    settings = {"method": Widening(), "rng": 0}
    paths = path, path.with_name("whole.zoo")
    for place in paths:
        zo.minimize(sphere, X0, budget=70, checkpoint=place, **settings)
    whole = zo.minimize(sphere, X0, budget=210, checkpoint=paths[1], **settings)
    with monkeypatch.context() as patch:
        patch.setattr(resume.KeptRun, "__exit__", lambda self, *error: self._journal.close())
        zo.minimize(Counted(at=50), X0, budget=210, checkpoint=path, **settings)
    resumed = zo.minimize(sphere, X0, budget=210, checkpoint=path, **settings)
    np.testing.assert_array_equal(resumed.history.x, whole.history.x)
    np.testing.assert_array_equal(resumed.history.loss, whole.history.loss)


def test_a_run_without_a_seed_is_the_same_run_but_not_with_another_start(path):
    settings = {"budget": 60, "method": "cma-es"}
    first = zo.minimize(Counted(at=30), X0, checkpoint=path, **settings)
    raises(zo.CheckpointError, "its x0 is", zo.minimize, never, X0 + 1, checkpoint=path, **settings)
    f = Counted()
    again = zo.minimize(f, X0, checkpoint=path, **settings)
    assert (first.nfev, f.calls, again.nfev) == (30, 26, 56)


@dataclasses.dataclass(frozen=True)
class Noting(Doubting):
    """Its plan has the budget, which its points do not hang on."""

    planned: int = 0

    def plan(self, x0, budget):
        return self if self.planned else dataclasses.replace(self, planned=budget)


def test_a_run_goes_on_from_its_start_where_the_new_plan_asks_for_the_same_points(path):
    """Not if there is nothing left to plan, and not where standard errors were told, which are not told again."""

    def planned():
        return zo.Optimizer.load(path, types=[Noting, *TYPES]).method.planned

    settings = {"method": Noting(), "rng": 0, "checkpoint": path}
    zo.minimize(sphere, X0, budget=100, **settings)
    assert planned() == 100
    f = Counted(at=20, error=OSError("down"))
    longer = zo.minimize(f, X0, budget=200, **settings)
    assert longer.nfev == 98 + f.calls + 1 > 150 and longer.failures == {"OSError": 1}
    assert planned() == 200
    assert zo.minimize(never, X0, budget=50, on_error="raise", **settings).nfev == longer.nfev
    assert planned() == 200
    again = zo.minimize(lambda x: (sphere(x), 0.1), X0, budget=300, sem=True, **settings)
    assert again.failures == longer.failures and again.first_failures == longer.first_failures
    assert planned() == 300
    with pytest.warns(UserWarning, match="goes on as it was planned for its first budget"):
        zo.minimize(lambda x: (sphere(x), 0.1), X0, budget=400, sem=True, **settings)
    assert planned() == 300


@dataclasses.dataclass(frozen=True)
class Forgetting(Noting):
    """What it makes of standard errors is seen after the thirtieth step."""

    def ask(self, state, step, out=None):
        return super().ask(state if step >= 30 else dataclasses.replace(state, sigma=0.5), step)


@pytest.mark.parametrize(
    ("x0", "budget", "sem"), [(np.zeros(1025), 21, False), (X0, 70, True)], ids=["no points are kept", "errors told"]
)
def test_a_run_does_not_start_anew_where_its_history_has_not_all(path, x0, budget, sem):
    """Of many dimensions it has no points, and it has no standard errors."""
    f = Counted(lambda x: (sphere(x), 5.0) if sem else sphere(x))
    settings = {"method": Forgetting(), "rng": 0, "sem": sem, "checkpoint": path}
    first = zo.minimize(f, x0, budget=budget, **settings)
    with pytest.warns(UserWarning, match="goes on as it was planned for its first budget"):
        longer = zo.minimize(f, x0, budget=2 * budget, **settings)
    assert (first.nfev, longer.nfev, f.calls) == (budget, 2 * budget, 2 * budget)
    assert zo.Optimizer.load(path, types=[Forgetting, *TYPES]).method.planned == budget

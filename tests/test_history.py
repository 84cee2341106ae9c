"""What happened in a run, as a table; what a run says while it goes on; and when it stops by a limit."""

import copy
import csv
import logging
import math
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from solving import Counted, advance, solve

import zoo_opt as zo
from zoo_opt.core import recorder
from zoo_opt.run import PATIENCE, TARGET, TIMEOUT
from zoo_opt.testing import sphere

X0 = np.array([1.0, -2.0, 3.0])
CMA = {"method": "cma-es", "budget": 210, "rng": 0}


def flaky(x):
    return math.nan if x[0] > 1.2 else sphere(x)


# --------------------------------------------------------------------------------------------------- the columns
@pytest.mark.parametrize("budget", [7, 210, 7000])
def test_a_history_has_every_evaluation(budget):
    points = []
    result = zo.minimize(lambda x: points.append(x.copy()) or flaky(x), X0, **CMA | {"budget": budget})
    h = result.history
    np.testing.assert_array_equal(h.x, points)
    np.testing.assert_array_equal(h.loss, [flaky(x) for x in points])
    assert h.id.tolist() == list(range(result.nfev)) and h.step.tolist() == [i // 7 for i in range(result.nfev)]
    assert h.failure == ["NaN or None" if math.isnan(loss) else "" for loss in h.loss]
    assert (
        (np.diff(h.time) >= 0).all() and h.best[-1] == result.fun and (np.diff(h.best[np.isfinite(h.best)]) <= 0).all()
    )
    with pytest.raises(ValueError, match="read-only"):
        h.loss[0] = 0.0


def test_a_history_is_in_the_order_of_ids_whatever_the_order_of_tells():
    opt = zo.Optimizer(zo.SPSA(pairs=2), X0, rng=0, lookahead=1)
    first, second = opt.ask(4), opt.ask(4)
    opt.tell(second[2:], [6.0, 7.0])
    opt.tell_failed(first[1:2], reason="down")
    opt.tell(first[0], 0.0)
    h = opt.history
    assert h.id.tolist() == [0, 1, 6, 7] and h.step.tolist() == [0, 0, 1, 1] and h.failure == ["", "down", "", ""]
    np.testing.assert_array_equal(h.loss, [0.0, np.nan, 6.0, 7.0])
    np.testing.assert_array_equal(h.x, np.concatenate([first.X[:2], second.X[2:]]))
    opt.tell([5, 3, 4, 2], [5.0, 3.0, 4.0, 2.0])
    np.testing.assert_array_equal(opt.history.loss, [0, np.nan, 2, 3, 4, 5, 6, 7])
    assert opt.history.time[6] < opt.history.time[0] < opt.history.time[2]


@pytest.mark.parametrize("told", [0, 3, 7, 10])
def test_a_history_is_saved(tmp_path, told):
    opt = zo.Optimizer("cma-es", X0, rng=0)
    for i in range(told):
        opt.tell(opt.ask(1), [math.nan if i == 2 else float(i)])
    opt.save(tmp_path / "run.zoo")
    loaded = zo.Optimizer.load(tmp_path / "run.zoo")
    for other in (loaded, copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        for name in ("id", "loss", "step", "time", "x", "failure"):
            np.testing.assert_array_equal(getattr(other.history, name), getattr(opt.history, name))
    assert len(opt.history) == told and loaded.seconds >= (opt.history.time[-1] if told else 0)
    assert (np.diff(advance(loaded, sphere, 2).history.time) >= 0).all()


def test_the_memory_of_a_history_is_bounded(monkeypatch):
    monkeypatch.setattr(recorder, "ROWS", 200)
    monkeypatch.setattr(recorder, "NUMBERS", 150)
    opt = zo.Optimizer("cma-es", X0, rng=0)
    for _ in range(400):
        advance(opt, sphere)
        kept = opt._pipeline.recorder
        assert sum(len(part[0]) for part in kept._parts) <= 400 + 7 * 256
    h = opt.history
    assert len(h) == 200 and h.x.shape == (50, 3) and h.id[-1] == opt.nfev - 1
    assert h.loss[-1] == sphere(h.x[-1]) and h[-3:].loss[0] == sphere(h[-3:].x[0]) and len(h[:10].x) == 0


def test_points_of_many_variables_are_not_kept():
    opt = advance(zo.Optimizer("spsa", np.ones(2000), rng=0), sphere, 300)
    assert opt.history.x.size == 0 and len(opt.history) == opt.nfev == 600


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_matrices_are_copied(dtype):
    """They are written to again by later steps."""
    opt, points = zo.Optimizer(zo.FZOO(directions=30), np.ones(1000, dtype), rng=0), []
    for _ in range(12):
        batch = opt.ask()
        points.append(batch.X.copy())
        opt.tell(batch, [sphere(x) for x in batch])
        del batch
    assert opt.history.x.dtype == dtype
    np.testing.assert_array_equal(opt.history.x, np.concatenate(points))


def test_a_history_as_a_file(tmp_path):
    history = zo.minimize(flaky, X0, **CMA).history
    history.to_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="") as file:
        names, *rows = list(csv.reader(file))
    assert names == ["id", "step", "loss", "time", "failure", "x0", "x1", "x2"] and len(rows) == len(history)
    np.testing.assert_array_equal([[float(x) for x in row[5:]] for row in rows], history.x)
    np.testing.assert_array_equal([float(row[2]) for row in rows], history.loss)


def test_a_history_as_a_data_frame(monkeypatch):
    history = zo.minimize(flaky, X0, **CMA).history
    monkeypatch.setitem(sys.modules, "pandas", type("pandas", (), {"DataFrame": dict}))
    frame = history.to_pandas()
    assert list(frame) == ["id", "step", "loss", "time", "failure", "x0", "x1", "x2"]
    np.testing.assert_array_equal(frame["x1"], history.x[:, 1])


def test_a_history_in_a_space_has_its_parameters(tmp_path):
    space = zo.Space({"loss": zo.Float(1, 100, log=True), "kernel": zo.Choice("rbf", "poly"), "n": zo.Int(1, 3)})
    seen = []
    result = zo.minimize(lambda params: seen.append(params) or params["loss"], space, method="cma-es", budget=50, rng=0)
    assert result.history.params == seen and result.history[3:5].params == seen[3:5]
    result.history[:2].to_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["id", "step", "loss", "time", "failure", "params.loss", "kernel", "n"]
    assert [list(row) for row in rows] == [names] * 2
    for row, params in zip(rows, seen, strict=False):
        assert row["loss"] == row["params.loss"] == repr(params["loss"])
        assert (row["kernel"], row["n"]) == (params["kernel"], str(params["n"]))
    with pytest.raises(AttributeError, match="Space"):
        _ = zo.minimize(sphere, X0, **CMA).history.params


# ------------------------------------------------------------------------------------------------- while it goes on
def test_a_callback_gets_the_last_evaluations():
    seen = []
    settings = {**CMA, "callback": lambda intermediate_result: seen.append(intermediate_result.last)}
    result = zo.minimize(flaky, X0, **settings)
    assert [len(last) for last in seen] == [7] * 30
    np.testing.assert_array_equal(np.concatenate([last.x for last in seen]), result.history.x)
    np.testing.assert_array_equal(np.concatenate([last.loss for last in seen]), result.history.loss)


@pytest.mark.parametrize(("verbose", "lines"), [(False, 0), (True, 31), (10, 5), (1000, 2)])
def test_verbose_prints_a_line_a_step(capsys, verbose, lines):
    result = zo.minimize(sphere, X0, verbose=verbose, **CMA)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == lines
    if lines:
        assert out[0].split() == ["step", "evaluations", "failed", "loss", "of", "step", "best", "loss", "seconds"]
        assert out[1].split()[:3] == ["1", "7", "0"] and float(out[1].split()[3]) == pytest.approx(
            result.history.best[6]
        )


def test_the_log_has_start_end_and_first_failures(caplog):
    with caplog.at_level(logging.INFO, logger="zoo_opt"):
        zo.minimize(flaky, X0, **CMA)
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "WARNING", "INFO"] and "210 evaluations" in caplog.records[-1].getMessage()


# ---------------------------------------------------------------------------------------------------------- limits
@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(2)])
@pytest.mark.parametrize("vectorized", [False, True])
def test_a_target_ends_a_run(executor, vectorized):
    if executor and vectorized:
        return
    f = (lambda X: (X * X).sum(axis=1)) if vectorized else sphere
    result = zo.minimize(f, X0, method="fzoo", target=13.9, rng=0, executor=executor, vectorized=vectorized)
    assert (result.status, result.success, result.stop) == (TARGET, True, {"target": 13.9})
    assert result.fun <= 13.9 and result.message == "the target is reached"
    h = result.history
    beyond = len(h) - 1 - int(np.argmax(h.loss <= 13.9))  # evaluations after the one that reached it
    assert beyond <= (8 if vectorized else 0 if executor is None else 1)


def test_a_timeout_ends_a_run():
    start = time.perf_counter()
    result = zo.minimize(lambda x: time.sleep(0.01) or sphere(x), X0, method="fzoo", timeout=0.2, rng=0)
    assert (result.status, result.success) == (TIMEOUT, True) and result.stop == {"timeout": 0.2}
    assert 0.2 <= time.perf_counter() - start < 5 and result.history.time[-2] < 0.2


def test_a_timeout_before_any_evaluation_says_so():
    result = zo.minimize(sphere, X0, method="fzoo", timeout=1e-9, budget=100, rng=0)
    assert (result.nfev, result.success, result.message) == (0, False, "the time is over before any evaluation")


def test_a_target_of_infinity_is_reached_by_the_first_loss():
    result = zo.minimize(sphere, X0, method="fzoo", target=math.inf, budget=100, rng=0)
    assert (result.nfev, result.stop) == (1, {"target": math.inf})


def test_patience_ends_a_run():
    losses = iter([5.0, 4.0, math.nan, 4.0, 3.0, *[math.nan, 3.0, 7.0, 4.0, 9.0]])
    result = zo.minimize(lambda x: next(losses), X0, method="fzoo", patience=4, rng=0)
    assert (result.status, result.nfev, result.stop) == (PATIENCE, 9, {"patience": 4}) and result.success


def test_limits_are_saved_and_can_be_set(tmp_path):
    opt = zo.Optimizer("cma-es", X0, rng=0, target=1e-3, patience=100)
    assert set(solve(opt, sphere).stop()) == {"target"} and opt.best.loss <= 1e-3
    opt.save(tmp_path / "run.zoo")
    loaded = zo.Optimizer.load(tmp_path / "run.zoo")
    assert loaded.limits == opt.limits and loaded.stop() == opt.stop()
    path = tmp_path / "other.zoo"
    first = zo.minimize(sphere, X0, checkpoint=path, target=1e-1, **CMA)
    assert zo.minimize(sphere, X0, checkpoint=path, target=1e-3, **CMA).nfev > first.nfev
    np.testing.assert_array_equal(zo.minimize(sphere, X0, checkpoint=path, **CMA).x, zo.minimize(sphere, X0, **CMA).x)


# ------------------------------------------------------------------------------------------- arguments, other budgets
def test_further_arguments():
    def f(x, a, b, step=None):
        return a * sphere(x) + b

    settings = {**CMA, "method": "fzoo"}
    for options in ({}, {"pass_step": True}):
        result = zo.minimize(f, X0, args=(2.0, 1.0), **settings, **options)
        assert result.fun == 2 * sphere(result.x) + 1
    assert zo.minimize(lambda x, a: a, X0, args=3.0, **settings).fun == 3.0


def test_auto_is_the_default():
    result = zo.minimize(sphere, X0, budget=100, rng=0)
    np.testing.assert_array_equal(result.x, zo.minimize(sphere, X0, method="auto", budget=100, rng=0).x)


@pytest.mark.parametrize(("first", "same"), [(5, 2), (20, 17), (60, 57), (None, 150)])
def test_auto_goes_on_as_a_run_of_the_new_budget(tmp_path, first, same):
    """But for the last step of a small budget, which is one that a run of a larger budget does not make."""
    path, f = tmp_path / "run.zoo", Counted(lambda x: sphere(x - 3) + sphere(x) ** 2, at=None if first else 25)
    settings = {"method": "auto", "rng": 0}
    zo.minimize(f, X0, budget=first, checkpoint=path, **settings)
    resumed = zo.minimize(f, X0, budget=150, checkpoint=path, **settings)
    fresh = zo.minimize(f, X0, budget=150, **settings)
    np.testing.assert_array_equal(resumed.history.x[:same], fresh.history.x[:same])
    assert resumed.nfev == fresh.nfev and zo.Optimizer.load(path).method.budget == 150
    assert resumed.fun == pytest.approx(fresh.fun, rel=1e-6)


def test_a_run_that_cannot_go_on_as_one_of_the_new_budget_says_so(tmp_path):
    settings = {"method": zo.FZOO.untuned(), "rng": 0, "checkpoint": tmp_path / "run.zoo"}
    zo.minimize(sphere, X0, budget=60, **settings)
    with pytest.warns(UserWarning, match="goes on as it was planned for its first budget: with budget=120"):
        assert zo.minimize(sphere, X0, budget=120, **settings).nfev == 120


def test_a_refused_checkpoint_leaves_no_journal(tmp_path):
    path = tmp_path / "run.zoo"
    path.write_bytes(b"something else")
    with pytest.raises(zo.CheckpointError, match="is not a zoo-opt checkpoint"):
        zo.minimize(sphere, X0, checkpoint=path, **CMA)
    with pytest.raises(TypeError, match="a checkpoint can hold"):
        zo.minimize(sphere, X0, method=zo.SPSA(lr=lambda t: 0.1), budget=20, checkpoint=tmp_path / "other.zoo")
    assert [file.name for file in tmp_path.iterdir()] == ["run.zoo"]


TYPED = """
import zoo_opt as zo
res = zo.minimize(lambda x: float(x @ x), [1.0], budget=10)
reveal_type(res.fun)
res.history.loss.mean()
res["fun"]
res.funn
"""


@pytest.mark.slow
def test_a_type_checker_knows_the_result(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(tmp_path / "script.py")]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    assert 'Revealed type is "builtins.float"' in out or 'Revealed type is "float"' in out
    assert 'error: "Result" has no attribute "funn"' in out and "Found 1 error" in out


def test_a_line_has_the_least_loss_of_a_step_that_was_larger_than_the_next(capsys):
    """`auto` on a space tries several values of a choice in one step and a single point in the next."""
    space = zo.Space(a=zo.Float(0, 1), b=zo.Choice("x", "y", "z"))

    def loss(params):
        if params["b"] == "z":
            raise ValueError("no")
        return params["a"] + (params["b"] == "y")

    result = zo.minimize(loss, space, budget=40, rng=0, verbose=True)
    history = result.history
    sizes = np.bincount(history.step)
    assert (sizes[1:] < sizes[:-1]).any() and result.nfail
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    for number, line in enumerate(lines):
        losses = history.loss[history.step == number]
        least = np.nanmin(losses) if np.isfinite(losses).any() else np.nan
        assert float(line[3]) == pytest.approx(least, nan_ok=True)

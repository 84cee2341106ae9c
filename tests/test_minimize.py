"""minimize: engines, budget, errors, callbacks, results."""

import contextlib
import math
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from doubting import Doubting
from refusals import raises, refused
from solving import Counted

import zoo_opt as zo
from zoo_opt.testing import sphere

X0 = np.array([1.0, -2.0, 3.0])
LOOKAHEAD = zo.FZOO(lr=1e-3, c=0.01)


def stepped(x, step):
    """The sphere on the minibatch of a step."""
    return float(x @ x) + math.sin(step) * float(x[0])


@pytest.mark.parametrize("name", zo.METHODS)
def test_every_method_runs_within_its_budget(name):
    result = zo.minimize(f := Counted(), X0, method=name, budget=81, rng=0)
    assert result.nfev == f.calls <= 81
    assert result.success and result.status == 1 and result.message == "the budget of evaluations is spent"
    assert result.fun == sphere(result.x)


# -------------------------------------------------------------------------------------------------------- engines
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_executors_give_the_serial_result(workers, lookahead):
    settings = {"method": LOOKAHEAD, "budget": 300, "rng": 5, "lookahead": lookahead}

    def slow_now_and_then(x):
        time.sleep(1e-4 * (abs(hash(x.tobytes())) % 5))
        return sphere(x)

    serial = zo.minimize(sphere, X0, **settings)
    with ThreadPoolExecutor(4) as executor:
        pooled = zo.minimize(slow_now_and_then, X0, executor=executor, workers=workers, **settings)
    np.testing.assert_array_equal(pooled.x, serial.x)
    assert (pooled.fun, pooled.nfev, pooled.nit) == (serial.fun, serial.nfev, serial.nit)


def test_processes_and_pass_step():
    settings = {"method": "fzoo", "budget": 90, "rng": 1, "pass_step": True}
    with ProcessPoolExecutor(2) as executor:
        pooled = zo.minimize(stepped, X0, executor=executor, **settings)
    np.testing.assert_array_equal(pooled.x, zo.minimize(stepped, X0, **settings).x)


def loky():
    return pytest.importorskip("loky").ProcessPoolExecutor(max_workers=2)


@contextlib.contextmanager
def dask():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client.get_executor(pure=False)


@pytest.mark.parametrize("make", [loky, pytest.param(dask, marks=pytest.mark.slow)])
def test_executors_of_others(make):
    with make() as executor:
        pooled = zo.minimize(sphere, X0, method="cma-es", budget=60, rng=1, executor=executor)
    np.testing.assert_array_equal(pooled.x, zo.minimize(sphere, X0, method="cma-es", budget=60, rng=1).x)


class Counting:
    """An executor with nothing but submit, that counts the calls in flight."""

    def __init__(self):
        self.flying = self.most = 0
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(8)

    def submit(self, fn, *args) -> Future:
        with self.lock:
            self.flying += 1
            self.most = max(self.most, self.flying)
        future = self.pool.submit(fn, *args)
        future.add_done_callback(self.landed)
        return future

    def landed(self, future):
        with self.lock:
            self.flying -= 1


@pytest.mark.parametrize(("workers", "lookahead", "most"), [(2, 0, 2), (6, 0, 4), (6, 1, 6), (9, 1, 8)])
def test_calls_in_flight_are_the_workers_or_the_open_candidates(workers, lookahead, most):
    executor = Counting()
    method = zo.FZOO(directions=3)  # four candidates a step
    settings = {"method": method, "budget": 80, "rng": 0, "workers": workers, "lookahead": lookahead}
    idle = pytest.warns(UserWarning, match="workers have nothing to do") if workers > most else contextlib.nullcontext()
    with idle:
        zo.minimize(lambda x: time.sleep(0.002) or sphere(x), X0, executor=executor, **settings)
    executor.pool.shutdown()
    assert executor.most == most


def test_vectorized():
    shapes = []

    def matrix(X, step):
        shapes.append((X.shape, step))
        return (X * X).sum(axis=1)

    result = zo.minimize(matrix, X0, method="fzoo", budget=90, rng=1, vectorized=True, pass_step=True)
    assert shapes == [((9, 3), step) for step in range(10)]
    assert result.fun == pytest.approx(zo.minimize(sphere, X0, method="fzoo", budget=90, rng=1).fun, rel=1e-12)


# --------------------------------------------------------------------------------------------------------- errors
def unlucky(x):
    if x[0] > 1.0:
        raise OSError("the service is down")
    return sphere(x)


def test_an_exception_is_a_failed_evaluation():
    result = zo.minimize(unlucky, X0, method="fzoo", budget=90, rng=0)
    assert result.success and result.failures.keys() == {"OSError"}
    assert result.nfail == result.failures["OSError"] > 0
    assert result.nfev == 90


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(2)])
def test_an_exception_can_be_raised(executor):
    with pytest.raises(OSError, match="the service is down"):
        zo.minimize(unlucky, X0, method="fzoo", budget=90, rng=0, on_error="raise", executor=executor)


def broken(x):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_broken_executor_is_no_failed_evaluation():
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(1) as executor, pytest.raises(BrokenProcessPool):
        zo.minimize(broken, X0, budget=90, rng=0, executor=executor)


def test_nothing_finite():
    result = zo.minimize(lambda x: math.nan, X0, method="spsa", budget=18, rng=0)
    assert not result.success and result.status == 4 and result.nfev == result.nfail == 18
    np.testing.assert_array_equal(result.x, X0)


test_bad_arguments = refused(
    zo.minimize,
    ({"on_error": "ignore"}, ValueError, "on_error must be 'fail' or 'raise', got 'ignore'"),
    ({"recommend": "last"}, ValueError, "recommend must be 'best' or 'mean', got 'last'"),
    ({"budget": None, "method": "fzoo"}, ValueError, "budget must be given for FZOO"),
    ({"budget": None, "method": zo.CMAES(restarts="ipop")}, ValueError, "budget must be given for CMAES"),
    ({"budget": 0}, ValueError, "budget must be >= 1, got 0"),
    ({"budget": 2.5}, TypeError, "budget must be an integer, got 2.5"),
    ({"budget": 1, "recommend": "mean"}, ValueError, "budget must be >= 2, got 1"),
    ({"method": "adam"}, ValueError, "method must be one of .*spsa, .*got 'adam'"),
    ({"executor": 3}, TypeError, "executor must have a submit method, got 3"),
    ({"executor": ThreadPoolExecutor(1), "vectorized": True}, ValueError, "vectorized must be False"),
    ({"executor": ThreadPoolExecutor(1), "workers": 0}, ValueError, "workers must be >= 1, got 0"),
    ({"workers": 2}, ValueError, "workers must be None without an executor, got 2"),
    ({"checkpoint": 3}, TypeError, "checkpoint must be a path or None, got 3"),
    ({"callback": 3}, TypeError, "callback must be callable, got 3"),
    ({"lookahead": 1, "method": "cma-es"}, ValueError, "lookahead must be 0 for CMAES"),
    ({"fun": None}, TypeError, "fun must be callable, got None"),
    ({"fun": lambda x: "low", "on_error": "raise"}, TypeError, "losses must be real numbers, got 'low'"),
    ({"fun": lambda x: -math.inf, "on_error": "raise"}, ValueError, "losses must not be -inf"),
    (
        {"fun": lambda X: [1.0], "vectorized": True, "on_error": "raise", "method": "cma-es"},
        ValueError,
        "fun must return 7 losses .*got 1",
    ),
    ({"target": math.nan}, ValueError, "target must not be NaN"),
    ({"target": "low"}, TypeError, "target must be a real number, got 'low'"),
    ({"timeout": 0}, ValueError, "timeout must be > 0, got 0"),
    ({"patience": 0}, ValueError, "patience must be >= 1, got 0"),
    ({"verbose": -1}, ValueError, "verbose must be >= 0, got -1"),
    ({"verbose": 2.5}, TypeError, "verbose must be an integer, got 2.5"),
    ({"verbose": "yes"}, TypeError, "verbose must be an integer, got 'yes'"),
    **{"fun": sphere, "x0": X0, "budget": 50, "rng": 0},
)


# --------------------------------------------------------------------------------------- callbacks, results, Ctrl-C
def test_both_forms_of_a_callback():
    results, points = [], []
    settings = {"method": "cma-es", "budget": 70, "rng": 0}
    zo.minimize(sphere, X0, callback=lambda intermediate_result: results.append(intermediate_result), **settings)
    zo.minimize(sphere, X0, callback=lambda xk: points.append(xk), **settings)
    assert [result.nit for result in results] == list(range(1, 11))
    assert [result.nfev for result in results] == list(range(7, 71, 7))
    for result, point in zip(results, points, strict=True):
        np.testing.assert_array_equal(result.x, point)


def test_an_objective_that_raises_stop_iteration_is_not_the_callback():
    def f(x):
        raise StopIteration

    assert zo.minimize(f, X0, method="cma-es", budget=14, rng=0).failures == {"StopIteration": 14}


def test_a_budget_below_one_step():
    result = zo.minimize(sphere, X0, method="cma-es", budget=3, rng=0)
    assert not result.success and result.message == "the budget of 3 evaluations allows no step of 7"


def test_a_callback_can_stop():
    def stop(xk):
        raise StopIteration

    result = zo.minimize(sphere, X0, budget=70, rng=0, callback=stop)
    assert result.nit == 1 and result.status == 2 and result.success


def test_the_methods_own_end():
    result = zo.minimize(sphere, X0, method="cma-es", rng=0)
    assert result.success and result.status == 0
    assert "tolfunrel" in result.stop and "tolfunrel" in result.message


def test_ctrl_c_returns_what_was_found():
    result = zo.minimize(Counted(at=29), X0, budget=70, rng=0)
    assert result.status == 3 and not result.success and result.nfev == 29
    assert result.fun == sphere(result.x) < sphere(X0)


def test_the_mean_costs_one_evaluation_within_the_budget():
    calls = []
    settings = {"method": "spsa", "rng": 0, "recommend": "mean"}
    result = zo.minimize(lambda x: calls.append(x.copy()) or sphere(x), X0, budget=41, **settings)
    assert result.nfev == len(calls) == 41
    np.testing.assert_array_equal(calls[-1], result.x)
    assert result.fun == sphere(result.x)
    assert zo.minimize(sphere, X0, budget=40, **settings).nfev == 39


def test_result_reads_like_scipys():
    result = zo.minimize(sphere, X0, budget=70, rng=0)
    assert result["fun"] == result.fun and "fun" in dir(result)
    assert "nfev: 70" in repr(result)
    with pytest.raises(AttributeError, match="Result has no 'hess'"):
        _ = result.hess


def test_a_printed_result_says_what_failed_in_one_line_each():
    def diverges(x):
        if x[0] > 1:
            raise RuntimeError("the simulation diverged")
        return sphere(x)

    result = zo.minimize(diverges, X0, method=zo.CMAES(), budget=30, rng=0)
    (line,) = [line for line in repr(result).splitlines() if "first_failures" in line]
    assert line == "first_failures: {'RuntimeError': 'RuntimeError: the simulation diverged'}"
    assert result.first_failures["RuntimeError"].startswith("Traceback")


def test_progress_bar(capsys):
    pytest.importorskip("rich")
    zo.minimize(sphere, X0, budget=70, rng=0, progress=True)
    out = capsys.readouterr().out
    assert "evaluations: 70 of 70, " in out and ", best " in out.splitlines()[-1]


def test_candidates_cannot_be_written_to():
    def vandal(x):
        x += 1
        return 0.0

    raises(ValueError, "read-only", zo.minimize, vandal, X0, budget=10, rng=0, on_error="raise")


def test_an_objective_can_give_its_standard_error():
    def f(x):
        return None if x[0] > 1.4 else (sphere(x), 0.2 if x[1] > 1 else None)

    def vectorized(X):
        losses, sems = zip(*[f(x) or (None, math.nan) for x in X], strict=True)
        return losses, sems

    with ThreadPoolExecutor(2) as pool:
        runs = [measured(f), measured(f, executor=pool), measured(vectorized, vectorized=True)]
    assert all(np.array_equal(run.x, runs[0].x) and run.nfail == runs[0].nfail > 0 for run in runs)
    assert not np.array_equal(runs[0].x, measured(lambda x: (f(x) or [None])[0], sem=False).x)


SEM = {"method": Doubting(), "budget": 70, "rng": 0, "sem": True}


def measured(f, vectorized=False, **settings):
    """The result for an objective that gives its standard error."""
    return zo.minimize(f, np.ones(3), vectorized=vectorized, **SEM | settings)


def test_a_bare_nan_is_a_failure_with_sem_too():
    result = measured(lambda x: math.nan if x[0] > 1 else (sphere(x), 0.1), method="auto", budget=60)
    assert result.nfail > 0 and result.nfev <= 60


def test_a_standard_error_of_nan_is_not_known():
    """As that of the mean of one sample is: the run goes on as if none had been given."""
    none, nan, single, known = (
        measured(lambda x, error=error: (sphere(x), error)).x for error in (None, math.nan, np.float32(math.nan), 0.2)
    )
    whole = measured(lambda X: ([sphere(x) for x in X], np.full(len(X), math.nan)), vectorized=True).x
    assert all(np.array_equal(x, none) for x in (nan, single, whole)) and not np.array_equal(known, none)


test_bad_standard_errors = refused(
    measured,
    ((lambda x: 3.0, False), TypeError, r"fun must return \(loss, standard error\) with sem=True, got 3.0"),
    ((lambda x: (3.0, -1), False), ValueError, "sem must be >= 0, got -1"),
    ((lambda x: (3.0, math.inf), False), ValueError, "sem must be finite, got inf"),
    ((lambda X: (X.sum(1), 1.0), True), ValueError, "fun must return 7 standard errors for the matrix .*, got 1"),
    on_error="raise",
)

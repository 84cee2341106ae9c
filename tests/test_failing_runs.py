"""Objectives that do not work, or not always: a run says so, loses nothing, and ends."""

import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from solving import Counted

import zoo_opt as zo
from zoo_opt.core.limits import FAILING, FAILING_STEPS
from zoo_opt.run import FAILURES, FIRST
from zoo_opt.testing import sphere

X0 = np.ones(3)


class Unpicklable(Exception):
    """An exception that cannot be made from its words."""

    def __init__(self, code, words):
        super().__init__(f"{code}: {words}")


def undefined_name(x):
    return undefined + x.sum()  # noqa: F821


def unpicklable(x):
    raise Unpicklable(7, "no licence")


def wide(x):
    return np.array([1.0, 2.0])


# ------------------------------------------------------------------------------------------- nothing works at all
BROKEN = [  # objective, what the message says, and what caused it
    (undefined_name, "NameError: name 'undefined' is not defined", NameError),
    (unpicklable, "7: no licence", (Unpicklable, RuntimeError)),
    (wide, r"losses must be real numbers, got array\(\[1., 2.\]\) of shape \(2,\)", TypeError),
    (math.sqrt, "TypeError", TypeError),
]


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor, ProcessPoolExecutor])
@pytest.mark.parametrize(("f", "message", "cause"), BROKEN)
def test_a_run_in_which_nothing_works_is_an_error(f, message, cause, executor):
    pool = None if executor is None else executor(2)
    with pytest.raises(zo.ObjectiveError, match=message) as caught:
        zo.minimize(f, np.zeros(3), method="cma-es", budget=500, rng=0, executor=pool)
    assert isinstance(caught.value.__cause__, cause)
    words = "".join(getattr(caught.value.__cause__, "__notes__", []))
    assert executor is not ProcessPoolExecutor or f not in (undefined_name, unpicklable) or f.__name__ in words
    if pool is not None:
        pool.shutdown()


@pytest.mark.parametrize("method", zo.METHODS)
def test_a_run_without_losses_takes_twenty_evaluations_and_a_step(method):
    f = Counted(lambda x: None)
    with pytest.raises(zo.ObjectiveError, match=r"the first \d+ evaluations failed; it gave NaN or None"):
        zo.minimize(f, X0, method=method, budget=10_000, rng=0)
    assert FIRST <= f.calls < FIRST + 13


def test_a_run_without_losses_or_budget_ends():
    with pytest.raises(zo.ObjectiveError):
        zo.minimize(lambda x: None, np.ones(2), rng=0)


def test_what_does_not_work_can_be_mended_and_the_run_resumed(tmp_path):
    path = tmp_path / "run.zoo"
    with pytest.raises(zo.ObjectiveError):
        zo.minimize(undefined_name, X0, method="cma-es", budget=400, rng=0, checkpoint=path)
    result = zo.minimize(f := Counted(), X0, method="cma-es", budget=400, rng=0, checkpoint=path)
    assert result.failures == {"NameError": FIRST} and f.calls == result.nfev - FIRST
    assert "undefined + x.sum()" in result.first_failures["NameError"] and result.fun < 1e-3


def test_a_journal_keeps_the_first_traceback(tmp_path):
    """A kill leaves the journal unfolded."""
    path, kept = tmp_path / "run.zoo", tmp_path / "kept.zoo"

    def killed(x):
        for file in (path, path.with_name("run.zoo.journal")):
            kept.with_name(file.name.replace("run", "kept")).write_bytes(file.read_bytes())
        raise KeyboardInterrupt

    calls = iter([undefined_name] * 5 + [sphere] * 20 + [killed])
    settings = {"method": "cma-es", "budget": 100, "rng": 0}
    zo.minimize(lambda x: next(calls)(x), X0, checkpoint=path, **settings)
    result = zo.minimize(sphere, X0, checkpoint=kept, **settings)
    assert result.failures == {"NameError": 5} and "undefined + x.sum()" in result.first_failures["NameError"]
    assert (np.diff(result.history.time) >= 0).all()


# --------------------------------------------------------------------------------------------- the executor's own
def test_what_cannot_be_pickled_is_raised_at_once():
    with ProcessPoolExecutor(2) as pool, pytest.raises((AttributeError, TypeError), match=r"pickle|local object"):
        zo.minimize(lambda x: sphere(x), X0, method="cma-es", budget=200, rng=0, executor=pool)


class Breaking:
    """An executor that breaks after some calls."""

    def __init__(self, at):
        self.pool, self.left = ThreadPoolExecutor(1), at

    def submit(self, call, *arguments):
        def run():
            self.left -= 1
            if self.left < 0:
                raise BrokenProcessPool("out of memory")
            return call(*arguments)

        return self.pool.submit(run)


def test_a_pool_that_breaks_loses_no_loss(tmp_path):
    path = tmp_path / "run.zoo"
    with pytest.raises(BrokenProcessPool, match="out of memory"):
        zo.minimize(sphere, X0, budget=200, rng=0, method="cma-es", executor=Breaking(30), workers=5, checkpoint=path)
    assert zo.Optimizer.load(path).nfev == 30


# --------------------------------------------------------------------------------------------------- bad values
VALUES = [-math.inf, 1j, "low", [1.0], np.ones(2), np.array(1j), np.array("low"), object(), -(10**400)]


@pytest.mark.parametrize("value", VALUES)
def test_one_bad_value_is_a_failed_evaluation(tmp_path, value):
    settings = {"method": "cma-es", "budget": 70, "rng": 0, "checkpoint": tmp_path / "run.zoo"}

    def f(x):
        return value if f.calls == 10 else sphere(x)

    f = Counted(f)
    result = zo.minimize(f, X0, **settings)
    assert result.success and result.nfev == 70 and result.failures == {"invalid loss": 1}
    assert "losses must" in result.first_failures["invalid loss"]
    opt = zo.Optimizer("cma-es", X0, rng=0)
    with pytest.raises((TypeError, ValueError), match="losses must"):
        opt.tell(opt.ask(1)[0], [value])
    assert opt.nfev == 0


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.array([-1.0], mask=True)])
def test_a_masked_number_is_none(value):
    f = Counted(lambda x: value if f.calls == 10 else sphere(x))
    result = zo.minimize(f, X0, method="cma-es", budget=70, rng=0)
    assert result.failures == {"NaN or None": 1} and result.fun > 0


@pytest.mark.parametrize(
    "f", [lambda x: x[:1] ** 2 - 3, lambda x: np.array([[x[0] ** 2 - 3]]), lambda x: np.float32(x[0] ** 2 - 3)]
)
def test_an_array_of_one_number_is_that_number(f):
    assert zo.minimize(f, [4.0], budget=100, rng=0).fun == pytest.approx(-3, abs=1e-6)
    opt = zo.Optimizer("cma-es", [4.0], rng=0)
    opt.tell(batch := opt.ask(), [f(x) for x in batch])
    assert opt.nfev == len(batch)


@pytest.mark.parametrize(("shape", "works"), [((), True), ((1,), True), ((1, 7), False), ((7,), False), ((0,), False)])
def test_a_matrix_gives_a_number_for_each_row(shape, works):
    """What `vectorized` may return: n losses, or a column of n."""

    def f(X):
        return np.resize((X * X).sum(axis=1), (len(X), *shape))

    settings = {"method": "cma-es", "budget": 14, "rng": 0, "vectorized": True}
    result = zo.minimize(f, X0, **settings)
    assert result.success is works and result.nfail == (0 if works else 14)


# ------------------------------------------------------------------------------------------- from some time on
@pytest.mark.parametrize("method", zo.METHODS)
def test_every_method_ends_where_nothing_works_any_more(method):
    """By ask and tell too; the failing steps are counted anew after a load."""
    opt = zo.Optimizer(method, X0, rng=0)
    most = 2 * (FAILING + 13 * FAILING_STEPS)
    while not (reasons := opt.stop()):
        batch = opt.ask()
        if opt.nit < 3:
            opt.tell(batch, [sphere(x) for x in batch])
        else:
            opt.tell_failed(batch, reason="the licence ran out")
        assert opt.nfev < most
    assert reasons.get("failures", FAILING) >= FAILING and opt.failures == {"the licence ran out": opt.nfail}


def test_a_run_that_stops_working_says_so(tmp_path):
    path = tmp_path / "run.zoo"
    good = Counted(at=50, error=OSError("down"))

    def f(x):
        if good.at is None:
            raise OSError("down")
        return good(x)

    settings = {"method": "cma-es", "budget": 10_000, "rng": 0, "checkpoint": path}
    result = zo.minimize(f, X0, **settings)
    assert (result.status, result.success) == (FAILURES, False) and math.isfinite(result.fun)
    assert result.nfail == result.failures["OSError"] == result.stop["failures"] < 200
    assert "OSError: down" in result.first_failures["OSError"]
    assert zo.Optimizer.load(path).stop() == {}
    assert zo.minimize(sphere, X0, **settings).nfail == result.nfail  # the next call goes on


# ----------------------------------------------------------------------------------------------------- idle workers
IDLE = [  # method, lookahead, what would use the workers
    (zo.CMAES(), 0, "9 of 16 workers have nothing to do: CMAES evaluates 7 .* a larger popsize would"),
    (zo.SPSA(), 1, "12 of 16 workers .* with lookahead=1; a larger lookahead or pairs would"),
    (zo.QuasiNewton(), 0, "cma-es with a larger popsize would"),
]


@pytest.mark.parametrize(("method", "lookahead", "message"), IDLE)
def test_idle_workers_are_told_of_once(method, lookahead, message):
    with ThreadPoolExecutor(16) as pool, pytest.warns(UserWarning, match=message) as warned:
        zo.minimize(sphere, X0, method=method, budget=200, rng=0, executor=pool, lookahead=lookahead)
    assert len(warned) == 1

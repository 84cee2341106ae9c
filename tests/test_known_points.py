"""`tell_known`: points that nobody asked for, before and after the first step, and what each method makes of them."""

import math
import warnings

import numpy as np
import pytest
from cases import BY_NAME

import zoo_opt as zo

TARGET = np.array([0.3, -0.2, 0.4])
X = np.array([[1.0, 1.0, 1.0], [0.25, -0.25, 0.5], [2.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def sphere(x):
    return float((x - TARGET) @ (x - TARGET))


LOSSES = [sphere(x) for x in X]
METHODS = [
    "spsa",
    "spsa-gc",
    "geass",
    "bar",
    "fzoo",
    "cma-es",
    "sep-cma-es",
    "dd-cma-es",
    "auto",
    "quasi-newton",
    "trust-region",
    "bayesian-optimization",
]


def told(opt, steps, loss=sphere):
    for _ in range(steps):
        batch = opt.ask()
        opt.tell(batch, [loss(x) for x in batch])
    return opt


@pytest.mark.parametrize("name", METHODS)
def test_before_the_first_step_the_best_is_the_start(name):
    opt = zo.Optimizer(BY_NAME[name].method, np.ones(3), rng=0)
    assert opt.tell_known(X, LOSSES) == "start"
    assert np.array_equal(opt.mean, X[1]) and opt.nfev == 0 and len(opt.history) == 0
    assert opt.best.loss == LOSSES[1] and np.array_equal(opt.best.x, X[1]) and opt.best.id is None
    if not isinstance(opt.method, zo.CMAES | zo.SepCMAES | zo.DDCMAES):  # these inject the others too
        plain = zo.Optimizer(opt.method, X[1], rng=0)
        told(opt, 3), told(plain, 3)
        assert np.array_equal(opt.mean, plain.mean)


@pytest.mark.parametrize("name", METHODS)
def test_later_each_method_does_what_it_says(name):
    opt = told(zo.Optimizer(BY_NAME[name].method, np.ones(3), rng=0), 2)
    before = opt.mean.copy()
    if name in ("cma-es", "sep-cma-es", "dd-cma-es"):
        assert opt.tell_known(TARGET, [0.0]) == "used"
        distance = np.linalg.norm(before - TARGET)
        assert np.linalg.norm(told(opt, 1).mean - TARGET) < distance
    elif name == "auto":
        assert opt.tell_known(TARGET, [0.0]) == "used" and np.array_equal(opt.mean, TARGET)
    else:
        with pytest.warns(UserWarning, match=f"{type(opt.method).__name__} makes no use of known points"):
            assert opt.tell_known(TARGET, [0.0]) == "ignored"
        assert np.array_equal(opt.mean, before)
    assert opt.best.loss == 0.0  # told all the same


def test_a_half_told_step_and_a_save_keep_what_was_known(tmp_path):
    path = tmp_path / "run.zoo"
    opt = told(zo.Optimizer(zo.CMAES(), np.ones(3), rng=0), 2)
    batch = opt.ask()
    opt.tell(batch[:2], [sphere(x) for x in batch[:2]])
    assert opt.tell_known(X, LOSSES) == "used"
    opt.save(path)
    loaded = zo.Optimizer.load(path)
    assert loaded.best.loss == opt.best.loss and loaded.best.id is None
    told(opt, 4), told(loaded, 4)
    assert np.array_equal(opt.mean, loaded.mean)
    plain = told(zo.Optimizer(zo.CMAES(), np.ones(3), rng=0), 6)
    assert not np.array_equal(opt.mean, plain.mean)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 0, 1]])
@pytest.mark.parametrize("name", METHODS)
def test_one_after_the_other_the_best_of_all_is_the_start(name, order):
    opt = zo.Optimizer(BY_NAME[name].method, np.ones(3), rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = [opt.tell_known(X[k], [LOSSES[k]]) for k in order]
    assert np.array_equal(opt.mean, X[1]) and words[order.index(1)] == "start"


def test_one_after_the_other_all_are_injected():
    together, apart = (told(zo.Optimizer(zo.CMAES(), np.ones(3), rng=0), 2) for _ in range(2))
    together.tell_known(X, LOSSES)
    for x, loss in zip(X, LOSSES, strict=True):
        apart.tell_known(x, [loss])
    assert np.array_equal(told(together, 1).mean, told(apart, 1).mean)


def test_several_starts_have_one_more():
    starts = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 0.0]])
    opt = zo.Optimizer(zo.QuasiNewton(), starts, rng=0)
    assert opt.tell_known(X, LOSSES) == "start"
    assert np.array_equal(told(opt, 1).mean, X[1])
    opt = zo.Optimizer(zo.QuasiNewton(), [X[1], X[0]], rng=0)
    opt.tell_known(X[2:], LOSSES[2:])  # worse than the starts
    assert np.array_equal(told(opt, 1).mean, X[1])


def test_scales_fixed_variables_and_spaces():
    scaled = zo.Optimizer(
        zo.CMAES(), np.ones(3), x_scale=[0.01, 1.0, 100.0], bounds=[(-5, 5), (1, 1), (None, None)], rng=0
    )
    assert scaled.tell_known([[0.3, 1.0, 0.4]], [0.5]) == "start" and np.allclose(scaled.mean, [0.3, 1.0, 0.4])
    assert told(scaled, 1).tell_known([[0.2, 1.0, 0.4]], [0.4]) == "used"
    space = zo.Space(C=zo.Float(1e-3, 1e3, log=True), layers=zo.Int(1, 8), kernel=zo.Choice("rbf", "poly"))
    opt = zo.Optimizer("cma-es", space, rng=0)
    known = {"C": 10.0, "layers": 3, "kernel": "poly"}
    assert opt.tell_known([known], [0.1]) == "start" and opt.best.params == pytest.approx(known)
    batch = opt.ask()
    opt.tell(batch, [1.0 + k for k in range(len(batch))])
    assert opt.tell_known(known, [0.05]) == "used"
    with pytest.raises(ValueError, match="X must have all parameters of the space, got none for layers, kernel"):
        opt.tell_known([{"C": 10.0}], [0.1])


def test_failed_and_infinite_losses_are_passed_over():
    opt = zo.Optimizer(zo.CMAES(), np.ones(3), rng=0)
    assert opt.tell_known(X, [math.nan, None, math.inf, 2.0]) == "start" and opt.best.loss == 2.0
    assert opt.tell_known(X[:1], [None]) == "ignored" and opt.best.loss == 2.0


@pytest.mark.parametrize(
    ("points", "losses", "error", "message"),
    [
        ([[1.0, 2.0]], [1.0], ValueError, r"X must be points of 3 numbers each, got shape \(1, 2\)"),
        ([["a", "b", "c"]], [1.0], TypeError, "X must be points of 3 real numbers each"),
        ([[1.0, math.nan, 0.0]], [1.0], ValueError, r"X must be finite, got X\[0\]"),
        ([[0.0, 0.0, 9.0]], [1.0], ValueError, r"X\[0\] must lie inside bounds"),
        (X, [1.0], ValueError, "losses must be 4 numbers, one for each candidate, got 1"),
        (X[:1], [-math.inf], ValueError, "losses must not be -inf"),
        ([{"C": 1.0}], [1.0], TypeError, "X must be points, as the optimizer was given no Space"),
    ],
)
def test_bad_points_change_nothing(points, losses, error, message):
    opt = zo.Optimizer(zo.CMAES(bounds=(-5, 5)), np.ones(3), rng=0)
    with pytest.raises(error, match=message):
        opt.tell_known(points, losses)
    assert np.array_equal(opt.mean, np.ones(3)) and opt.best.x is None

"""dd-CMA-ES and what SepCMAES shares with it: the paper's run, restarts, bounds, failures, errors."""

import math

import numpy as np
import pytest
from oracles import dd_cma_es as oracle
from refusals import raises
from solving import advance, solve

import zoo_opt as zo
from zoo_opt.core.keys import generator
from zoo_opt.methods.box import contains
from zoo_opt.methods.cma.dd import _decompose
from zoo_opt.testing import sphere

METHODS = [zo.DDCMAES, zo.SepCMAES]


def twisted(x):
    """Ill-scaled along the axes and correlated, with a valley: no symmetry that could hide a mistake."""
    y = np.cumsum(x * 10.0 ** np.linspace(0, 1.5, x.size))
    return float(np.sum((y - 0.3) ** 2) + 0.05 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + 0.01 * np.sum(np.sin(7 * x)))


def run(method, f, x0, generations=400, rng=1):
    return solve(zo.Optimizer(method, x0, rng=rng), f, generations)


# ------------------------------------------------------------------------------------------------------ the paper
PAPER = {"pace_C": 1.0, "pace_D": 1.0, "damping": 1.0}


@pytest.mark.parametrize(
    ("n", "options"),
    [(3, {}), (10, {"popsize": 40, **PAPER}), (10, {"lazy": 0.1, **PAPER}), (30, {"lazy": 3.0}), (30, PAPER)],
)
def test_dd_cma_es(n, options):
    """50 generations from the same normals, with 2 to 50 decompositions: all of the state at each of them."""
    x0, method = np.linspace(-1.0, 1.5, n), zo.DDCMAES(sigma0=0.5, **options)
    factors = {name: getattr(method, name) for name in PAPER}
    opt = zo.Optimizer(method, x0, rng=12)
    key, lam = opt.state.key, opt.state.run.popsize
    every = method._interval(n, lam)
    expected = oracle.dd_cma_es(
        twisted, x0, 0.5, lambda g, lam, n: generator(key, g).standard_normal((lam, n)), lam, 50, every, **factors
    )
    assert 50 // every >= 2
    for g, e in enumerate(expected):
        s = advance(opt, twisted).state.distribution
        pairs = {"m": (s.m, e.m), "D": (s.D, e.D), "C": (s.root @ s.root, e.C), "p_sigma": (s.p_sigma, e.p_sigma)}
        pairs |= {"p_c": (s.p_c, e.p_c), "p_D": (s.p_D, e.p_cD), "sigma": (np.array([s.sigma]), np.array([e.sigma]))}
        for name, (a, b) in pairs.items():
            error = np.linalg.norm(a - b) / np.linalg.norm(b)
            assert error <= 1e-9, f"{name} of generation {g}: relative error {error:.1e}"
    assert np.ptp(np.log(s.D)) > 0.5 and np.abs(np.triu(e.C, 1)).max() > 0.1  # both have been learnt


def test_parameters_are_the_papers():
    for n in (2, 10, 160):
        for popsize in (6, 19, 100):
            p = zo.DDCMAES.paper()._parameters(n, popsize)
            for ours, freedom in ((p.C, n * (n + 1) / 2), (p.D, n)):
                c_1, c_mu, c_c = oracle.learning_rates(n, freedom, p.mu_w, popsize)
                assert (ours.c_1, ours.c_mu, ours.c_c) == pytest.approx((c_1, c_mu, c_c), rel=1e-12)
                w = np.array(oracle.weights(popsize, c_1, c_mu))
                np.testing.assert_allclose(ours.plus + ours.minus / n, c_mu * w, rtol=1e-12, atol=1e-18)
                assert ours.total == pytest.approx(c_mu * w.sum(), rel=1e-9, abs=1e-15)


def test_a_correlation_of_nearly_one_keeps_an_axis_of_some_length():
    """Rounding leaves a smallest eigenvalue of 0, or below; its axis is 1e-7 of the longest."""
    root = np.full((2, 2), math.sqrt(0.5))  # C is all ones
    D, root, B, E = _decompose(np.array([2.0, 3.0]), root, np.zeros((2, 2)))
    assert E[0] / E[-1] == pytest.approx(1e-7) and E[-1] == pytest.approx(math.sqrt(2.0))
    np.testing.assert_allclose((B * E) @ B.T, root, rtol=1e-12)
    np.testing.assert_allclose(D, [2.0, 3.0], rtol=1e-12)


@pytest.mark.parametrize("least", [-0.5, -0.74, -0.76, -5.0])
def test_covariance_stays_positive_definite(least):
    """What was learnt is scaled back where it would take more than 3/4 of the variance along some axis."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    Z = (Q * np.linspace(least, 1.0, 6)) @ Q.T
    D, root, B, E = _decompose(np.ones(6), np.eye(6), Z)
    alpha = min(1.0, 0.75 / -least)
    np.testing.assert_allclose(np.outer(D, D) * (root @ root), np.eye(6) + alpha * Z, atol=1e-12)
    np.testing.assert_allclose((B * E**2) @ B.T, root @ root, atol=1e-12)
    np.testing.assert_allclose((root @ root).diagonal(), 1.0, atol=1e-12)


def test_scales_are_learnt_as_by_sep_and_correlations_as_by_cma():
    """Evaluations to a loss of 1e-8 in 20 dimensions: level with the better of the two, on either kind of problem."""
    axes = 10.0 ** np.linspace(0, 4, 20)
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((20, 20)))[0]

    def spent(method, f):
        opt = zo.Optimizer(method, np.ones(20), rng=5, budget=40_000)
        while not opt.stop() and not (opt.nfev and opt.best.loss < 1e-8):
            advance(opt, f)
        return opt.nfev

    separable, rotated = lambda x: float(axes @ x**2), lambda x: float(axes @ (Q @ x) ** 2)
    assert spent(zo.DDCMAES(), separable) < 1.2 * spent(zo.SepCMAES(), separable) < spent(zo.CMAES(), separable)
    assert spent(zo.DDCMAES(), rotated) < 1.2 * spent(zo.CMAES(), rotated) < spent(zo.SepCMAES(), rotated)


# ------------------------------------------------------------------------------------------------ what both share
@pytest.mark.parametrize("cls", METHODS)
def test_restarts_start_in_their_box_and_are_logged(cls):
    method = cls(restarts="ipop", restart_from=(2.0, 3.0), tolerances=zo.Tolerances(tolx=0.01))
    opt = zo.Optimizer(method, np.full(4, -1.0), rng=2)
    starts = []
    for _ in range(110):
        g = opt.state.g
        advance(opt, sphere)
        if g and opt.state.g == 0:
            starts.append(opt.mean.copy())
    assert len(starts) >= 2 and all(((x >= 2) & (x <= 3)).all() for x in starts)
    assert not np.array_equal(starts[0], starts[1])
    log = opt.state.log
    assert [end.run.popsize for end in log] == [8 * 2**k for k in range(len(log))] and not opt.stop()
    assert sum(end.evaluations for end in log) + opt.state.evaluations == opt.nfev
    assert all("tolx" in end.reasons for end in log)


@pytest.mark.parametrize("cls", METHODS)
def test_restart_is_a_fresh_run(cls):
    opt = run(cls(restarts="ipop", tolerances=zo.Tolerances(tolx=0.01)), sphere, np.full(4, -1.0), 45)
    while opt.state.g:
        advance(opt, sphere)
    dist = opt.state.distribution
    assert dist.sigma == 0.3 and not dist.p_sigma.any() and not dist.p_c.any()
    assert np.array_equal(opt.mean, np.full(4, -1.0)) and opt.state.history == ()


@pytest.mark.parametrize("cls", METHODS)
def test_bounds_hold_and_the_optimum_on_them_is_found(cls):
    method = cls(sigma0=0.5, bounds=([-1.0, 0.5, -3.0], [1.0, 2.0, 3.0]))
    opt = zo.Optimizer(method, [0.5, 1.0, 2.0], rng=0)
    for _ in range(120):
        batch = opt.ask()
        assert contains(np.array(batch.X), method.bounds) and contains(opt.mean, method.bounds)
        opt.tell(batch, [sphere(x) for x in batch])
    np.testing.assert_allclose(opt.mean, [0, 0.5, 0], atol=2e-3)


@pytest.mark.parametrize("cls", [*METHODS, zo.CMAES])
def test_bounds_far_away_change_nothing(cls):
    a, b = (run(cls(bounds=box), twisted, np.ones(5), 40) for box in (None, (-1e6, 1e6)))
    assert np.array_equal(a.mean, b.mean)


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize(
    ("reason", "f"),
    [
        ("tolx", sphere),
        ("tolfun", sphere),
        ("tolflatfitness", lambda x: 1.0),
        ("tolupsigma", lambda x: float(-x.sum())),
        ("noeffectcoord", lambda x: sphere(x - 1e6)),
        ("conditioncov", lambda x: float(x[0] ** 2 + 1e8 * sphere(np.cumsum(x)[1:]) + 1e8 * sphere(x[2:]))),
    ],
)
def test_stop_reason(cls, reason, f):
    off = {"tolfun": 0, "tolfunhist": 0, "tolfunrel": 0, "tolx": 0, "tolupsigma": math.inf, "conditioncov": math.inf}
    on = {"tolfun": 1e-9, "tolx": 1e-6, "tolupsigma": 1e4, "conditioncov": 30.0}
    tolerances = zo.Tolerances(**(off | {name: value for name, value in on.items() if name == reason}))
    opt = run(cls(tolerances=tolerances), f, np.array([1.0, 1.5, 2.0, -1.0]), 4000)
    assert set(opt.stop()) == {reason}
    (end,) = opt.state.log
    assert end.reasons == opt.stop() and end.evaluations == opt.nfev and end.step == opt.nit - 1


def test_failed_candidates_are_left_out_as_if_fewer_had_been_drawn():
    """The survivors are a population of their own: its weights, mu_w and learning rates."""
    opt = zo.Optimizer(zo.DDCMAES(popsize=9), np.arange(4.0), rng=3)
    batch = opt.ask()
    losses = [math.nan if k in (0, 4, 5) else twisted(x) for k, x in enumerate(batch)]
    opt.tell(batch, losses)
    ranked = np.array(batch.X)[np.argsort(losses)[:6]]
    w = np.maximum(0.0, math.log(3.5) - np.log(np.arange(1, 7)))
    np.testing.assert_allclose(opt.mean, w @ ranked / w.sum(), rtol=1e-12)


@pytest.mark.parametrize("losses", [[1.0] + [math.nan] * 7, [math.inf] * 8, [1e300, -1e300] * 4])
def test_a_lone_survivor_and_extreme_losses_keep_the_distribution_whole(losses):
    opt = zo.Optimizer(zo.DDCMAES(popsize=8), np.arange(4.0), rng=3)
    for _ in range(30):
        opt.tell(opt.ask(), losses)
    d = opt.state.distribution
    assert all(np.isfinite(a).all() for a in (d.m, d.D, d.root, d.E, d.p_c)) and (d.E > 0).all() and (d.D > 0).all()


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma0": 0.0}, "sigma0 must be > 0"),
        ({"popsize": 1}, "popsize must be >= 2"),
        ({"popsize": 8.5}, "popsize must be an integer"),
        ({"restarts": "often"}, "restarts must be None, 'ipop' or 'bipop', got 'often'"),
        ({"bounds": (1.0, -1.0)}, "bounds must have low <= high"),
        ({"restart_from": 3}, "restart_from must be a pair"),
        ({"tolerances": 1e-8}, "tolerances must be"),
    ],
)
def test_bad_settings(cls, options, message):
    raises((ValueError, TypeError), message, cls, **options)


@pytest.mark.parametrize("cls", METHODS)
def test_bad_starts(cls):
    raises(ValueError, "x0 must lie inside bounds", zo.Optimizer, cls(bounds=(0, 1)), np.full(3, 2.0))
    with pytest.raises(ValueError, match="bounds must be numbers or arrays of length 3, got length 2"):
        zo.Optimizer(cls(bounds=([0, 0], [1, 1])), np.full(3, 0.5))


@pytest.mark.parametrize("name", ["lazy", "pace_C", "pace_D", "damping"])
def test_factors_are_positive(name):
    raises(ValueError, f"{name} must be > 0", zo.DDCMAES, **{name: 0})
    assert zo.DDCMAES.paper(sigma0=2.0) == zo.DDCMAES(sigma0=2.0, lazy=0.1, **PAPER)

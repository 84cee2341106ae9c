"""CMA-ES beyond its update: box bounds, stop reasons, restart policies and their log, recombination, invariances."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solving import advance, solve

import zoo_opt as zo
from zoo_opt.methods.box import contains
from zoo_opt.methods.cma.full import FullDistribution, _decompose
from zoo_opt.methods.cma.parameters import default_parameters, default_popsize, rank
from zoo_opt.methods.cma.restarts import FIRST, LARGE, SMALL, Run, RunEnd, next_run
from zoo_opt.methods.cma.stop import default_generations, history_length
from zoo_opt.testing import sphere

NAN, INF = math.nan, math.inf
COIN = np.random.default_rng(0)
OFF = zo.Tolerances(tolfun=0, tolfunhist=0, tolfunrel=0, tolx=0, tolupsigma=INF, conditioncov=INF)


def run(method, f, x0=(1.0, 1.5, 2.0), generations=2000, rng=1):
    return solve(zo.Optimizer(method, x0, rng=rng), f, generations)


# ------------------------------------------------------------------------------------------------------ box bounds


def test_bounds_with_a_side_for_each_coordinate():
    box = ([-1, 0, 5], [1, 0.5, 9])
    opt = zo.Optimizer(zo.CMAES(sigma0=0.5, bounds=box), [0.5, 0.25, 6], rng=0)
    for _ in range(80):
        batch = opt.ask()
        assert (box[0] <= batch.X).all() and (box[1] >= batch.X).all() and contains(opt.mean, opt.method.bounds)
        opt.tell(batch, [sphere(x) for x in batch])
    np.testing.assert_allclose(opt.mean, [0, 0, 5], atol=2e-3)  # two of them on the boundary
    assert opt.method.bounds == ((-1.0, 0.0, 5.0), (1.0, 0.5, 9.0)) and hash(opt.method)


# ------------------------------------------------------------------------------------------------------ stop reasons
TOL = {  # the tolerance that is on -> a run that ends by it, and by it alone
    "tolfun": (zo.CMAES(tolerances=replace(OFF, tolfun=1e-9)), sphere),
    "tolfunhist": (zo.CMAES(tolerances=replace(OFF, tolfunhist=1e-9)), sphere),
    "tolfunrel": (zo.CMAES(tolerances=replace(OFF, tolfunrel=1e-9)), sphere),
    "tolx": (zo.CMAES(tolerances=replace(OFF, tolx=1e-6)), sphere),
    "tolupsigma": (zo.CMAES(tolerances=replace(OFF, tolupsigma=1e4)), lambda x: float(-x.sum())),
    "conditioncov": (
        zo.CMAES(tolerances=replace(OFF, conditioncov=1e5)),
        lambda x: float(x[0] ** 2 + 1e6 * (x[1:] @ x[1:])),
    ),
    "tolflatfitness": (zo.CMAES(tolerances=OFF), lambda x: 1.0),
    "maxiter": (zo.CMAES(popsize=50, tolerances=OFF), lambda x: COIN.random()),
    "noeffect": (zo.CMAES(tolerances=OFF), lambda x: sphere(x - 1e6)),
}


@pytest.mark.parametrize(
    ("cls", "reason"),
    [(zo.CMAES, reason) for reason in TOL]
    + [(zo.SepCMAES, reason) for reason in TOL if reason not in ("conditioncov", "maxiter")],
)
def test_stop_reason(cls, reason):
    method, f = TOL[reason]
    opt = run(cls(popsize=method.popsize, tolerances=method.tolerances), f)
    assert opt.stop() and all(found.startswith(reason) for found in opt.stop())
    (end,) = opt.state.log
    assert end.reasons == opt.stop() and end.evaluations == opt.nfev and end.step == opt.nit - 1


@given(
    st.integers(1, 4), st.floats(-14, 0), st.floats(-18, 0), st.floats(0, 18), st.integers(0, 9), st.integers(0, 2**16)
)
def test_reasons_of_the_shape_are_not_missed(n, log_sigma, log_shortest, log_m, g, seed):
    """The shortcut through the extreme axes gives what pycma's conditions, each written out, give."""
    rng = np.random.default_rng(seed)
    B = np.linalg.qr(rng.standard_normal((n, n)))[0]
    D = np.sort(10 ** rng.uniform(log_shortest, 0, n))
    sigma, m, p_c = 10**log_sigma, 10**log_m * rng.standard_normal(n), rng.standard_normal(n)
    C = (B * D**2) @ B.T
    std, tol, i = sigma * np.sqrt(C.diagonal()), zo.Tolerances(), g % n
    expected = {
        "tolx": (std < tol.tolx).all() and (sigma * p_c < tol.tolx).all(),
        "noeffectcoord": (m == m + 0.2 * std).any(),
        "noeffectaxis": (m == m + 0.1 * sigma * D[i] * B[:, i]).all(),
        "conditioncov": (D[-1] / D[0]) ** 2 > tol.conditioncov,
    }
    dist = FullDistribution(m=m, sigma=sigma, C=C, B=B, D=D, p_sigma=p_c, p_c=p_c, stale=0)
    found = zo.CMAES().shape_reasons(dist, 1.0, g)
    assert set(found) == {reason for reason, holds in expected.items() if holds}


@pytest.mark.parametrize("k", [-500, -30, 400])
@pytest.mark.parametrize(
    "method",
    [
        zo.CMAES(restarts="bipop", popsize=4, bounds=(-3, 3)),
        zo.CMAES(restarts="ipop", noise=zo.QuadraticModel(), bounds=(-3, 3)),
        zo.CMAES(noise=zo.UncertaintyHandling()),
        zo.CMAES(noise=zo.LearningRateAdaptation()),
        zo.SepCMAES(restarts="ipop", bounds=(-3, 3)),
        zo.DDCMAES(restarts="ipop", bounds=(-3, 3)),
    ],
    ids=repr,
)
def test_a_loss_that_is_multiplied_changes_nothing(method, k):
    """By a power of 2, which rounds nothing: the same points, runs and reasons."""

    def rippled(x):
        return float(x @ x + 1 - np.cos(7 * x).mean())

    plain, scaled = (zo.Optimizer(method, [1.0, 1.5], rng=3, budget=1500) for _ in range(2))
    while not plain.stop():
        batch, other = plain.ask(), scaled.ask()
        assert np.array_equal(batch.X, other.X)
        plain.tell(batch, [rippled(x) for x in batch])
        scaled.tell(other, [rippled(x) * 2.0**k for x in batch])
    assert plain.stop() == scaled.stop() and plain.state.log == scaled.state.log
    assert np.array_equal(plain.mean, scaled.mean) and plain.best.loss * 2.0**k == scaled.best.loss


def test_a_tiny_loss_is_minimised_as_well_as_any():
    opt = run(zo.CMAES(), lambda x: 1e-15 * sphere(x))
    assert opt.nfev > 300 and opt.best.loss < 1e-30


def test_noeffectaxis_takes_the_axes_in_turn():
    D, x = np.array([1e-20, 1.0]), np.array([0.6, 0.8])
    C = np.diag(D**2) + 1
    dist = FullDistribution(m=x, sigma=1.0, C=C, B=np.eye(2), D=D, p_sigma=x, p_c=x, stale=0)
    for g in range(4):
        assert ("noeffectaxis" in zo.CMAES(tolerances=OFF).shape_reasons(dist, 1.0, g)) is (g % 2 == 0)


def test_default_run_reaches_the_precision_of_tolfun():
    for method in (zo.CMAES(), zo.SepCMAES()):
        opt = run(method, sphere, np.ones(10))
        assert set(opt.stop()) <= {"tolfunrel", "tolx"} and opt.stop() and opt.best.loss < 1e-9


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_covariance_stays_well_conditioned_on_the_sphere(d):
    """Negative weights on a C decomposed too long ago make it indefinite, and `conditioncov` ends the run."""
    for popsize in (None, 12, 20):
        for seed in range(5):
            opt = run(zo.CMAES(popsize=popsize), sphere, x0=np.ones(d), rng=seed)
            assert set(opt.stop()) <= {"tolfunrel", "tolx"} and opt.best.loss < 1e-9


def test_an_ended_run_can_be_asked_on():
    opt = run(zo.CMAES(), sphere)
    log = opt.state.log
    for _ in range(3):
        advance(opt, sphere)
        assert opt.state.log == log and opt.stop()  # it ends again, and is still one run


def test_generations_and_history_are_pycmas():
    assert default_generations(10, 10) == int(100 + 150 * 13**2 / math.sqrt(10))
    assert history_length(10, 10) == 40


# ---------------------------------------------------------------------------------------------------------- restarts
def policy(name, evaluations, seed=0):
    """The runs that ``name`` starts when each spends what ``evaluations`` says for its kind and population."""
    log, current, runs = (), Run(10, 2.0, 500), []
    rng = np.random.default_rng(seed)
    for step in range(40):
        runs.append(current)
        log = (*log, RunEnd(current, step, evaluations(current)))
        current = next_run(name, log, rng)
    return runs, log


def test_ipop_doubles():
    runs, _ = policy("ipop", lambda run: 1000)
    assert [run.popsize for run in runs[:6]] == [10, 20, 40, 80, 160, 320]
    assert {run.sigma0 for run in runs} == {2.0}
    assert [run.kind for run in runs[:3]] == [FIRST, LARGE, LARGE]


def test_bipop_keeps_its_two_budgets_level():
    runs, log = policy("bipop", lambda run: 100 * run.popsize if run.kind == LARGE else min(700, 50 * run.popsize))
    large = [run for run in runs if run.kind == LARGE]
    small = [run for run in runs if run.kind == SMALL]
    assert runs[0].kind == FIRST and runs[1].kind == LARGE
    assert [run.popsize for run in large] == [10 * 2 ** (i + 1) for i in range(len(large))]
    assert {run.sigma0 for run in large} == {2.0}
    assert len(small) > 5 and all(0.02 <= run.sigma0 <= 2.0 for run in small)
    assert len({run.sigma0 for run in small}) == len(small)
    used = {SMALL: 0, LARGE: 0}
    for run, end in zip(runs, log, strict=True):
        if run.kind == LARGE and end.step > 0:
            assert used[SMALL] >= used[LARGE]
        elif run.kind == SMALL:
            assert used[SMALL] < used[LARGE]
            doublings = sum(r.kind == LARGE for r in runs[: end.step])
            assert 10 <= run.popsize <= 10 * 2**doublings
            assert run.generations <= max(1, used[LARGE] / 2 / run.popsize)
        used[LARGE if run.kind == LARGE else SMALL] += end.evaluations


def test_bipop_draws_small_runs_as_pycma_does():
    """lambda 10 * 4^(u^2) between the first and the last large one, sigma0 / 100^v, half of the large runs' budget."""

    class Fixed:
        def random(self, n):
            return np.array([0.5, 0.25])

    first = Run(10, 2.0, 500)
    large = [Run(10 * 2**k, 2.0, 500, LARGE) for k in (1, 2)]
    log = (RunEnd(first, 9, 100), RunEnd(large[0], 19, 300), RunEnd(large[1], 29, 700))
    assert next_run("bipop", log, Fixed()) == Run(14, 2.0 / math.sqrt(10), 1000 // 28, SMALL)


@pytest.mark.parametrize("name", ["ipop", "bipop"])
def test_restarted_runs_and_their_log(name):
    """Every run's population, its end and its evaluations are in the log; reasons lead to a restart, not to a stop."""
    tolerances = zo.Tolerances(tolfun=1e-3)
    method = zo.CMAES(restarts=name, popsize=6, bounds=(-3, 3), restart_from=(-2, -1), tolerances=tolerances)
    opt, sizes = zo.Optimizer(method, [1.0, 2.0], rng=4, budget=4000), []
    starts = [opt.state.distribution.m]
    while not opt.stop():
        batch = opt.ask()
        sizes.append(len(batch))
        runs = len(opt.state.log)
        opt.tell(batch, [sphere(x) for x in batch])
        if len(opt.state.log) > runs:
            starts.append(opt.state.distribution.m)
            assert opt.state.g == 0 and opt.state.distribution.sigma == opt.state.run.sigma0
            assert np.array_equal(opt.state.distribution.C, np.eye(2))
    log = opt.state.log
    assert list(opt.stop()) == ["budget"] and len(log) >= 3
    assert all(set(end.reasons) <= {"tolfun", "tolfunrel", "maxiter"} for end in log)
    assert sum(end.evaluations for end in log) + opt.state.evaluations == opt.nfev == sum(sizes)
    first = 0
    for end in log:
        assert set(sizes[first : end.step + 1]) == {end.run.popsize}
        first = end.step + 1
    assert all(((x >= -2) & (x <= -1)).all() for x in starts[1:]) and len(np.unique(starts, axis=0)) == len(starts)


def test_restarts_begin_at_x0_or_in_bounds_unless_told_otherwise():
    tolerances = zo.Tolerances(tolfun=1e-2)
    opt = run(zo.CMAES(restarts="ipop", tolerances=tolerances), sphere, generations=60)
    assert np.array_equal(opt.state.x0, [1.0, 1.5, 2.0]) and len(opt.state.log) >= 1
    for bounds, expected in ((None, False), ((0.5, 2.5), True)):
        method = zo.CMAES(restarts="ipop", bounds=bounds, tolerances=tolerances)
        opt = zo.Optimizer(method, [1.0, 1.5, 2.0], rng=1)
        while not opt.state.log:
            advance(opt, sphere)
        moved = not np.array_equal(opt.mean, [1.0, 1.5, 2.0])
        assert moved is expected and (bounds is None or contains(opt.mean, bounds))


def test_restarts_find_what_one_run_misses():
    """Rastrigin in 3-D: a single default run is trapped, restarts are not."""

    def rastrigin(x):
        return float(10 * x.size + np.sum(x * x - 10 * np.cos(2 * np.pi * x)))

    found = {}
    for restarts in (None, "ipop", "bipop"):
        method = zo.CMAES(sigma0=2.0, restarts=restarts, restart_from=(-5, 5))
        losses = []
        for seed in range(5):
            opt = zo.Optimizer(method, np.full(3, 3.0), rng=seed, budget=15_000)
            while not opt.stop() and opt.best.loss > 1e-8:
                batch = opt.ask()
                opt.tell(batch, [rastrigin(x) for x in batch])
            losses.append(opt.best.loss)
        found[restarts] = sum(loss < 1e-8 for loss in losses)
    assert found["ipop"] >= 4 and found["bipop"] >= 3 and found[None] <= 1, found


# --------------------------------------------------------------------------------------------------- ranks and weights
@given(
    st.lists(st.one_of(st.floats(allow_nan=False), st.just(NAN)).filter(lambda v: v != -INF), min_size=1, max_size=30)
)
def test_rank(losses):
    order = rank(losses).tolist()
    alive = [i for i, loss in enumerate(losses) if loss == loss]
    assert order == sorted(alive, key=lambda i: losses[i])  # sorted is stable, so ties go by candidate


@given(st.integers(1, 60), st.integers(1, 200))
def test_weights_keep_the_covariance_positive(n, popsize):
    p = default_parameters(n, popsize)
    assert p.plus.shape == p.rank_mu_plus.shape == p.rank_mu_minus.shape == (popsize,)
    assert p.plus.sum() == pytest.approx(1) and (p.plus >= 0).all() and (np.diff(p.plus) <= 0).all()
    assert p.mu_eff == pytest.approx(1 / np.sum(p.plus**2))
    np.testing.assert_allclose(p.rank_mu_plus, p.c_mu * p.plus)
    assert (p.rank_mu_minus <= 0).all() and ((p.plus == 0) | (p.rank_mu_minus == 0)).all()
    assert p.total == pytest.approx(1 + p.rank_mu_minus.sum() / (n * p.c_mu))
    # the part of the old C that is left, if all negative weight falls on one direction of Mahalanobis length n
    assert 1 - p.c_1 - p.c_mu * p.total + p.rank_mu_minus.sum() >= -1e-12


def test_default_popsize():
    assert [default_popsize(n) for n in (1, 2, 10, 100)] == [4, 6, 10, 17]


def test_ranks_alone_matter():
    for method in (zo.CMAES(), zo.SepCMAES()):
        a = run(method, sphere, generations=60)
        b = run(method, lambda x: math.log(sphere(x)) - 40, generations=60)
        assert np.array_equal(a.mean, b.mean)


def test_cma_es_learns_a_rotated_ellipsoid():
    """Invariance to rotation: the full matrix solves what the diagonal one does not."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    scale = 10 ** np.linspace(0, 6, 8)

    def rotated(x):
        return float(scale @ (Q @ x) ** 2)

    losses = [run(method, rotated, x0=np.ones(8), generations=700).best.loss for method in (zo.CMAES(), zo.SepCMAES())]
    assert losses[0] < 1e-9 and losses[1] > 1e-3


def test_translation_and_scale():
    """Moving x0 with the optimum, and scaling both with sigma0, gives the same run up to rounding."""
    a = run(zo.CMAES(sigma0=0.5), sphere, generations=60)
    b = run(zo.CMAES(sigma0=50.0), lambda x: sphere(x - 300), x0=np.array([100.0, 150, 200]) + 300, generations=60)
    np.testing.assert_allclose(b.mean, 100 * a.mean + 300, atol=1e-9)


@pytest.mark.parametrize("least", [-1e-3, -1e-9])
def test_a_covariance_that_rounding_made_indefinite_is_raised_to_the_smallest_that_is_not(least):
    """Its shortest axis is then 1e-7 of its longest, all variances are raised alike, and B D^2 B' is C."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    given = (Q * [least, 1.0, 4.0]) @ Q.T
    B, D, C = _decompose(0.5 * (given + given.T))
    assert D[0] / D[-1] == pytest.approx(1e-7, rel=0.1)
    np.testing.assert_allclose(D[1:] ** 2, [1.0 - least, 4.0 - least], rtol=1e-12)
    np.testing.assert_allclose((B * D**2) @ B.T, C, atol=1e-13)
    np.testing.assert_allclose(C - given, -least * np.eye(3), atol=1e-13)

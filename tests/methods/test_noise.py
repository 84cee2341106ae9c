"""Noise handling of CMA-ES: against the oracles, and what it is for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from oracles import noise as oracles
from refusals import refused
from solving import advance

import zoo_opt as zo
from zoo_opt.methods.cma.uncertainty import uncertainty_measure
from zoo_opt.testing import ellipsoid

HANDLINGS = [zo.QuadraticModel(), zo.UncertaintyHandling(), zo.LearningRateAdaptation()]
NAMES = [type(handling).__name__ for handling in HANDLINGS]


def noisy(x, id_, level):
    """The ellipsoid times a log-normal factor, which hangs on the id."""
    return ellipsoid(x) * math.exp(level * np.random.default_rng(id_).standard_normal())


def run(handling, level=1.0, d=5, budget=1500, sem=None, rng=0, **options):
    """An optimizer, and the lowest noise-free loss of its points."""
    opt = zo.Optimizer(zo.CMAES(sigma0=1.0, noise=handling, **options), np.full(d, 3.0), rng=rng, budget=budget)
    best = math.inf
    while not opt.stop():
        batch = opt.ask()
        losses = [noisy(c.x, c.id, level) for c in (batch[i] for i in range(len(batch)))]
        opt.tell(batch, losses, None if sem is None else [sem * loss for loss in losses])
        best = min(best, *map(ellipsoid, batch))
    return opt, best


# ----------------------------------------------------------------------------------------------------------- oracles
@pytest.mark.parametrize("theta", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("reevaluated", [1, 3, 12])
def test_uncertainty_is_that_of_the_paper(theta, reevaluated):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first = rng.standard_normal(12)
        rows = rng.permutation(12)[:reevaluated].tolist()
        second = {i: first[i] + 0.3 * seed / 20 * rng.standard_normal() for i in rows if seed} or {0: first[0] + 1e-9}
        again = np.full(12, np.nan)
        again[list(second)] = list(second.values())
        expected = oracles.uncertainty(first.tolist(), second, theta)
        assert uncertainty_measure(first, again, theta) == pytest.approx(expected)


def test_uncertainty_passes_failures_by():
    first, again = np.array([1.0, np.nan, 3.0, 2.0, 5.0]), np.array([np.nan, 2.5, 1.2, np.nan, np.nan])
    alive = [0, 2, 3, 4]
    assert uncertainty_measure(first, again, 0.2) == uncertainty_measure(first[alive], again[alive], 0.2) > 0
    assert math.isnan(uncertainty_measure(first, np.full(5, np.nan), 0.2))
    assert uncertainty_measure(first, first, 0.2) <= 0


def test_learning_rates_are_those_of_the_paper():
    handling = zo.LearningRateAdaptation(alpha=1.2, beta_m=0.2, beta_Sigma=0.05, gamma=0.15)
    method, n = zo.CMAES(sigma0=1.0, noise=handling), 4
    opt, oracle = zo.Optimizer(method, np.full(n, 3.0), rng=0), oracles.LearningRates(n, 1.2, 0.2, 0.05, 0.15)
    m, sigma, C = np.full(n, 3.0), 1.0, np.eye(n)
    for _ in range(60):
        before, batch = opt.state, opt.ask()
        losses = [noisy(x, id_, 0.5) for x, id_ in zip(batch, batch.ids, strict=True)]
        plain, asked = zo.CMAES(sigma0=1.0), method.ask(before, batch.step)
        cma = plain.update(replace(before, noise=None), asked, losses).distribution
        m, sigma, C = oracle.step(m, sigma**2 * C, cma.m, cma.sigma**2 * cma.C)
        opt.tell(batch, losses)
        new = opt.state.distribution
        np.testing.assert_allclose([*new.m, new.sigma], [*m, sigma], rtol=1e-7)
        np.testing.assert_allclose(new.C, C, rtol=1e-6, atol=1e-9)
    assert opt.state.noise.m.eta == pytest.approx(oracle.eta["m"]) and oracle.eta["m"] < 0.7


def test_the_model_is_a_penalised_regression():
    handling, n = zo.QuadraticModel(memory=3, trust=0.4, locality=3, ridge=0.5), 4
    opt = zo.Optimizer(zo.CMAES(sigma0=1.0, noise=handling), np.full(n, 3.0), rng=0)
    points, losses, injections = [], [], 0
    for _ in range(40):
        s, batch = opt.state.distribution, opt.ask()
        z = (batch.X - s.m) @ s.B / (s.sigma * s.D)
        if len(losses) >= 2 * n + 3:
            archive = (np.array(points[-27:]) - s.m) @ s.B / (s.sigma * s.D)
            _, slope, half = oracles.quadratic_model(archive, losses[-27:], 3, 0.5)
            newton = [-g / max(2 * h, abs(g) / 2) for g, h in zip(slope, half, strict=True)]
            expected = np.array(newton) * min(1, (math.sqrt(n) + 1) / np.linalg.norm(newton))
            if np.linalg.norm(expected) > 1e-2:
                np.testing.assert_allclose(z[-1], expected, rtol=1e-5, atol=1e-7)
                injections += 1
        new = [noisy(x, id_, 0.3) for x, id_ in zip(batch, batch.ids, strict=True)]
        points, losses = [*points, *batch.X], [*losses, *new]
        opt.tell(batch, new)
    assert injections > 30


def test_candidates_are_ranked_by_their_own_rank_and_the_models():
    handling = zo.QuadraticModel()
    method, n = zo.CMAES(sigma0=1.0, noise=handling), 3
    state = method.init(np.zeros(n), zo.Optimizer(method, np.zeros(n), rng=0)._key)
    X = np.random.default_rng(0).standard_normal((20, n))
    memory, _ = handling.observe(state, X, (X[:, 0] + 1.0).tolist(), 0)
    by_first = np.array([[-2.0, 0, 0], [-1.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    own = [4.0, math.nan, 1.0, 2.0]  # the model ranks 0, 2, 3; own ranks are 2, 0, 1
    ranked = handling.ranking_values(memory, state.distribution, by_first, own)
    assert ranked[0] == 1.0 and math.isnan(ranked[1]) and ranked[2:] == [0.5, 1.5]


# --------------------------------------------------------------------------------------------------------- behaviour
@pytest.mark.parametrize("handling", HANDLINGS, ids=NAMES)
def test_noise_is_handled(handling):
    """Under a noise as large as the loss each gets closer than CMA-ES alone, as a median over seeds."""
    handled, alone = ([run(h, rng=seed, budget=2500)[1] for seed in range(7)] for h in (handling, None))
    assert np.median(handled) < np.median(alone)


def test_without_noise_nothing_is_done():
    plain, _ = run(None, level=0.0, budget=1000)
    for handling in (zo.UncertaintyHandling(ratio=0.0), zo.UncertaintyHandling()):
        opt, _ = run(handling, level=0.0, budget=1000)
        assert opt.state.noise.growth == 1.0
        if not handling.ratio:
            assert np.array_equal(opt.mean, plain.mean)


def test_reevaluations_are_asked_for_and_the_population_grows():
    opt = zo.Optimizer(zo.CMAES(noise=zo.UncertaintyHandling(ratio=0.3, limit=4, grow=2)), np.ones(5), rng=0)
    sizes, repeated, told = [], [], {}
    for _ in range(30):
        batch = opt.ask()
        for i, of in enumerate(batch.of):
            told[batch.ids[i]] = batch.X[i]
            if of is not None:
                assert np.array_equal(told[of], batch.X[i])
        repeated.append(sum(of is not None for of in batch.of))
        sizes.append(len(batch) - repeated[-1])
        opt.tell(batch, np.random.default_rng(batch.step).standard_normal(len(batch)))
    assert max(sizes) == 4 * sizes[0] and repeated[0] == 0
    assert sum(repeated[1:]) == pytest.approx(0.3 * sum(sizes[:-1]), abs=1)


def test_a_known_standard_error_is_used_in_place_of_reevaluations():
    opt, _ = run(zo.UncertaintyHandling(), level=0.5, sem=0.5, budget=600)
    assert opt.state.noise.growth > 1 and opt.state.noise.repeats is None
    exact, _ = run(zo.UncertaintyHandling(), level=0.5, sem=0.0, budget=600)
    assert exact.state.noise.growth == 1


def test_sigma_grows_where_the_population_cannot():
    handling = zo.UncertaintyHandling(limit=1, widen=3.0, ratio=0.5)
    opt, rng = zo.Optimizer(zo.CMAES(noise=handling), np.ones(3), rng=0), np.random.default_rng(0)
    advance(opt, lambda x: rng.standard_normal(), 20)
    assert opt.state.distribution.sigma > 100 and opt.state.noise.growth == 1


@pytest.mark.parametrize("handling", HANDLINGS, ids=NAMES)
def test_failures_and_restarts(handling):
    method = zo.CMAES(noise=handling, restarts="bipop", bounds=(-4, 4), tolerances=zo.Tolerances(tolx=0.01))
    opt = zo.Optimizer(method, np.ones(3), rng=0, budget=3000)
    while not opt.stop():
        batch = opt.ask()
        if batch.step % 10 == 4:
            opt.tell_failed(batch)
        else:
            opt.tell(batch, [None if id_ % 7 == 2 else ellipsoid(x) for x, id_ in zip(batch, batch.ids, strict=True)])
    assert opt.state.log and opt.best.loss < 1e-3


test_bad_settings = refused(
    lambda kind, changes: kind(**changes),
    ((zo.UncertaintyHandling, {"ratio": 1.0}), "ratio must be in"),
    ((zo.UncertaintyHandling, {"theta": 1.5}), r"theta must be in \(0, 1\], got 1.5"),
    ((zo.UncertaintyHandling, {"grow": 0.5}), "grow must be >= 1, got 0.5"),
    ((zo.UncertaintyHandling, {"shrink": 2}), r"shrink must be in \(0, 1\], got 2"),
    ((zo.UncertaintyHandling, {"widen": 0}), "widen must be > 0"),
    ((zo.LearningRateAdaptation, {"alpha": 0}), "alpha must be > 0"),
    ((zo.LearningRateAdaptation, {"beta_m": 1.0}), "beta_m must be in"),
    ((zo.QuadraticModel, {"memory": 1}), "memory must be > 1, got 1"),
    ((zo.QuadraticModel, {"trust": 1.1}), r"trust must be in \[0, 1\], got 1.1"),
    ((zo.QuadraticModel, {"ridge": 0}), "ridge must be > 0"),
    ((zo.CMAES, {"noise": 3}), TypeError, "noise must be a NoiseHandling, got 3"),
)

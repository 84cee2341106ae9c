"""The methods against the papers: 200 steps (50 generations) of the plain transcriptions in tests/oracles.

The oracles are handed the directions that the optimizer draws; everything else they work out by themselves.
"""

import math
from functools import partial

import numpy as np
import pytest
from oracles import cma_es, gradient, subspace
from refusals import raises
from solving import advance

import zoo_opt as zo
from zoo_opt.core.keys import SUBSPACE, generator
from zoo_opt.gradient.draws import QuantileGaussian, Rademacher
from zoo_opt.methods.cma.parameters import default_parameters

STEPS, D = 200, 7
X0 = np.linspace(-1.0, 1.5, D)


def valley(x):
    """A mild Rosenbrock valley with ripples: no symmetry that could hide a mistake."""
    return float(np.sum((1 - x) ** 2) + 2 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + 0.1 * np.sum(np.sin(7 * x)))


def shelf(x, slope=1e-4):
    """Flat but for a faint slope within 3 of the origin, steep beyond: a loss to get stuck on."""
    r = float(np.sqrt(x @ x))
    return slope * float(np.sum(np.sin(x))) + 0.5 * max(0.0, r - 3.0) ** 2


def means(opt, f, steps=STEPS):
    """The start and the mean after each step."""
    return np.array([opt.mean.copy()] + [advance(opt, f).mean.copy() for _ in range(steps)])


def directions(opt, q, steps=STEPS):
    """The directions of each step, a function of (key, step) alone."""
    return [list(opt.method.draws.draw(opt.state.key, t, (q, D), np.float64)) for t in range(steps)]


def assert_close(got, expected, rtol=1e-12):
    """Agreement of every iterate in the 2-norm, and a run that has gone somewhere."""
    got, expected = np.array(got), np.array(expected)
    error = np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() <= rtol, f"relative error {error.max():.2e} at step {error.argmax()}"
    assert np.linalg.norm(got[-1] - got[0]) > 0.1
    assert len(np.unique(got, axis=0)) == len(got)


@pytest.mark.parametrize("draws", [zo.SegmentedUniform(), zo.Rademacher()], ids=repr)
@pytest.mark.parametrize("pairs", [1, 3])
def test_spsa(pairs, draws):
    lr, c = zo.PowerLaw(0.02, A=20), zo.PowerLaw(0.05, alpha=0.101)
    opt = zo.Optimizer(zo.SPSA(lr=lr, c=c, pairs=pairs, draws=draws), X0, rng=1)
    deltas = directions(opt, pairs)
    gains = (lambda t: 0.02 / (t + 1 + 20) ** 0.602), (lambda t: 0.05 / (t + 1) ** 0.101)
    assert_close(means(opt, valley), gradient.spsa(valley, X0, deltas, *gains))


@pytest.mark.parametrize("pairs", [1, 3])
def test_spsa_gc(pairs):
    opt = zo.Optimizer(zo.SPSAGC(lr=5e-4, c=0.02, pairs=pairs), X0, rng=2)
    assert_close(means(opt, valley), gradient.spsa_gc(valley, X0, directions(opt, pairs), 5e-4, 0.02, beta=0.9))


def test_geass_as_in_the_paper():
    """k1 = 3, cooldown = 2, both boosts 100, beta = 0.9; some strikes escape, some are broken off."""
    opt = zo.Optimizer(zo.SPSAGEASS.paper(threshold=3e-4, lr=0.002), X0, rng=3)
    expected, escapes = gradient.spsa_geass_paper(shelf, X0, directions(opt, 1), 0.002, 0.01, beta=0.9, threshold=3e-4)
    assert 3 <= escapes <= STEPS / 10
    assert_close(means(opt, shelf), expected)


def test_geass_as_released():
    """Nesterov order, 10 strikes counted in the cooldown too, momentum 0 there, both gains decaying."""

    def steeper(x):
        return shelf(x, slope=1.6e-3)

    opt = zo.Optimizer(zo.SPSAGEASS.released(dim=D, lr=0.2, pairs=5, lr_boost=20, c_boost=5), X0, rng=4)
    expected, escapes = gradient.spsa_geass_released(
        steeper, X0, directions(opt, 5), lr=0.2, c=0.01, gamma=0.1, beta=0.4, eta1=20, eta2=5
    )
    assert 3 <= escapes <= STEPS / 12
    assert_close(means(opt, steeper), expected)


def test_geass_as_released_with_zero_gradients_and_decay():
    """A loss in plateaus, whose estimates are often exactly zero, and more steps than one decay of lr."""

    def terraces(x):
        return round(0.2 * float(x @ x), 2)

    steps = 320
    opt = zo.Optimizer(zo.SPSAGEASS.released(dim=D, lr=0.005, c=1e-4, pairs=1, lr_boost=3, c_boost=2), X0, rng=5)
    expected, _ = gradient.spsa_geass_released(
        terraces, X0, directions(opt, 1, steps), lr=0.005, c=1e-4, gamma=0.1, beta=0.4, eta1=3, eta2=2
    )
    got = means(opt, terraces, steps)
    assert opt.state.gains.c_factor >= 10
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def test_blackvip():
    """The update order of BlackVIP's code is `Nesterov`, which no strike can disturb at threshold 0."""
    lr, c = zo.PowerLaw(2e-3, A=1, alpha=0.4), zo.PowerLaw(0.02, alpha=0.1)
    opt = zo.Optimizer(zo.SPSAGEASS(lr=lr, c=c, pairs=2, rule=zo.Nesterov()), X0, rng=6)
    gains = (lambda t: 2e-3 / (t + 2) ** 0.4), (lambda t: 0.02 / (t + 1) ** 0.1)
    assert_close(means(opt, valley), gradient.blackvip(valley, X0, directions(opt, 2), *gains, 0.9))


def test_blackvip_is_spsa_gc_from_the_look_ahead_point():
    """x' = x + beta m for a constant learning rate: the same run, seen from another point."""
    gc = zo.Optimizer(zo.SPSAGC(lr=5e-4, c=0.02), X0, rng=7)
    nesterov = zo.Optimizer(zo.SPSAGEASS(lr=5e-4, c=0.02, rule=zo.Nesterov()), X0, rng=7)
    states = [advance(gc, valley).state for _ in range(STEPS)]
    look_ahead = [X0] + [state.x + 0.9 * state.m for state in states]
    assert_close(means(nesterov, valley), look_ahead, rtol=1e-10)


@pytest.mark.parametrize("planned", [STEPS, 25])
def test_bar(planned):
    opt = zo.Optimizer(zo.BAR(lr=0.02, c=0.02, directions=10, lr_min=1e-3, steps=planned), X0, rng=8)
    expected = gradient.bar(valley, X0, directions(opt, 10), gradient.bar_lr(0.02, 1e-3, planned), 0.02)
    assert_close(means(opt, valley), expected)


@pytest.mark.parametrize(("q", "base", "rtol"), [(3, True, 1e-12), (8, True, 1e-12), (5, False, 1e-10)])
def test_fzoo(q, base, rtol):
    opt = zo.Optimizer(zo.FZOO(lr=2e-4, c=0.02, directions=q, base=base), X0, rng=9)
    assert_close(means(opt, valley), gradient.fzoo(valley, X0, directions(opt, q), 2e-4, 0.02, base=base), rtol=rtol)


@pytest.mark.parametrize("pairs", [1, 3])
def test_spsa_rms(pairs):
    lr = zo.PowerLaw(0.05, A=5)
    opt = zo.Optimizer(zo.SPSA(lr=lr, c=0.02, pairs=pairs, scaling=zo.SlopeRMS(0.8)), X0, rng=14)
    expected = gradient.spsa_rms(valley, X0, directions(opt, pairs), lr, 0.02, beta=0.8)
    assert_close(means(opt, valley), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("draws", "dual"), [(zo.Gaussian(), 1), (zo.QuantileGaussian(), 1), (zo.Sphere(), D)], ids=repr
)
def test_gaussian_directions_are_their_own_dual_and_those_on_the_sphere_carry_the_dimension(draws, dual):
    opt = zo.Optimizer(zo.SPSA(lr=1e-3, c=0.02, draws=draws), X0, rng=10)
    x, expected = X0, [X0]
    for (z,) in directions(opt, 1):
        x = x - 1e-3 * (valley(x + 0.02 * z) - valley(x - 0.02 * z)) / 0.04 * dual * z
        expected.append(x)
    assert_close(means(opt, valley), expected)


# ------------------------------------------------------------------------------------------------------ CMA-ES
def assert_states(states, expected, rtol=1e-9):
    for g, (s, e) in enumerate(zip(states, expected, strict=True)):
        for name, a, b in (("m", s.m, e.m), ("C", s.C, e.C), ("p_c", s.p_c, e.p_c), ("p_sigma", s.p_sigma, e.p_sigma)):
            error = np.linalg.norm(a - b) / (np.linalg.norm(b) + (name[0] == "p"))
            assert error <= rtol, f"{name} of generation {g}: relative error {error:.1e}"
        assert abs(s.sigma / e.sigma - 1) <= rtol, f"sigma of generation {g}"


def generations(opt, f, count=50):
    """The states after each generation, and the points of each."""
    states, points = [], []
    for _ in range(count):
        points.append(np.array(opt.ask().X))
        state = advance(opt, f).state
        states.append(getattr(state, "inner", state).distribution)
    return states, points


def normals(key):
    """The deviates that a strategy with this key draws, as an oracle asks for them."""
    return lambda g, lam, n: generator(key, g).standard_normal((lam, n))


def deviates(key, g, lam, n):
    """The deviates that the separable strategy draws."""
    return QuantileGaussian().draw(key, g, (lam, n), np.float64)


def eigen_gap(method, n, popsize):
    p = default_parameters(n, popsize)
    return min(method.lazy / n, 0.1) * popsize / (p.c_1 + p.c_mu)


@pytest.mark.parametrize("n", [2, 5, 10])
@pytest.mark.parametrize("options", [{"lazy": 0.1}, {}, {"popsize": 20}, {"popsize": 20, "lazy": 1e-9}], ids=str)
def test_cma_es(n, options):
    """50 generations from the same normals: mean, step size, covariance matrix and both paths."""
    x0, method = np.linspace(-1.0, 1.5, n), zo.CMAES(sigma0=0.5, **options)
    opt = zo.Optimizer(method, x0, rng=12)
    popsize = len(opt.ask())
    gap, parameters = eigen_gap(method, n, popsize), cma_es.tutorial_parameters(n, popsize)
    expected = cma_es.cma_es(valley, x0, 0.5, normals(opt.state.key), 50, eigen_gap=gap, parameters=parameters)
    assert_states(generations(opt, valley)[0], expected)


@pytest.mark.parametrize("n", [20, 40])
def test_cma_es_from_its_points(n):
    """More dimensions than candidates, where eigenvectors are not unique: the oracle is handed the points."""
    x0, method = np.linspace(-1.0, 1.5, n), zo.CMAES(sigma0=0.5, lazy=0.1)
    opt = zo.Optimizer(method, x0, rng=13)
    popsize = len(opt.ask())
    states, points = generations(opt, valley)
    gap = eigen_gap(method, n, popsize)
    assert_states(states, cma_es.cma_es(valley, x0, 0.5, None, 50, eigen_gap=gap, points=lambda g: points[g]))


@pytest.mark.parametrize(("n", "popsize"), [(2, None), (10, None), (30, 24), (5, 7)])
def test_sep_cma_es(n, popsize):
    x0 = np.linspace(-1.0, 1.5, n)
    opt = zo.Optimizer(zo.SepCMAES(sigma0=0.5, popsize=popsize), x0, rng=14)
    key, p = opt.state.key, cma_es.ros_hansen_parameters(n, len(opt.ask()))
    expected = cma_es.sep_cma_es(valley, x0, 0.5, partial(deviates, key), 50, parameters=p)
    assert_states(generations(opt, valley)[0], expected)


def slope(x):
    """The same slope everywhere: the paths grow with every generation."""
    return float(x @ np.linspace(1.0, 2.0, x.size))


def lengths(states, p):
    """|p_sigma| of each generation, relative to the expected, less 2 / (n + 1): h_sigma is 0 from 1.4 on."""
    n = len(states[0].m)
    rooted = [math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) for g in range(1, len(states) + 1)]
    norms = [np.linalg.norm(s.p_sigma) / root for s, root in zip(states, rooted, strict=True)]
    return [norm / cma_es.expected_norm(n) - 2 / (n + 1) for norm in norms]


@pytest.mark.parametrize("sep", [False, True])
def test_long_paths_stall_at_the_bound_and_nowhere_else(sep):
    """On a slope, from many seeds, some paths are just shorter and some just longer than the bound of h_sigma."""
    x0, seen = np.linspace(-1.0, 1.5, 5), []
    for seed in range(20):
        opt = zo.Optimizer((zo.SepCMAES if sep else zo.CMAES)(sigma0=0.5), x0, rng=seed)
        key, lam = opt.state.key, len(opt.ask())
        if sep:
            p = cma_es.ros_hansen_parameters(5, lam)
            expected = cma_es.sep_cma_es(slope, x0, 0.5, partial(deviates, key), 20, parameters=p)
        else:
            p, gap = cma_es.tutorial_parameters(5, lam), eigen_gap(opt.method, 5, lam)
            expected = cma_es.cma_es(slope, x0, 0.5, normals(key), 20, eigen_gap=gap, parameters=p)
        assert_states(generations(opt, slope, 20)[0], expected)
        seen += lengths(expected, p)
    assert any(1.38 < length < 1.4 for length in seen) and any(1.4 < length < 1.42 for length in seen)


# ---------------------------------------------------------------------------------------------- random subspace
def matrix(key, d, k):
    """A: signs over sqrt(k), from the key's own stream."""
    signs = np.empty((d, k))
    Rademacher().sample(generator(key, 0, SUBSPACE), signs)
    return signs / np.sqrt(k)


def test_subspace_of_spsa():
    k, inner = 3, zo.SPSA(lr=2e-3, c=0.02)
    opt = zo.Optimizer(zo.RandomSubspace(inner, dim=k), X0, rng=15)
    key, A = opt.state.key, matrix(opt.state.key, D, k)
    deltas = [list(inner.draws.draw(key, t, (1, k), np.float64)) for t in range(STEPS)]
    ws = gradient.spsa(subspace.in_subspace(valley, X0, A), np.zeros(k), deltas, 2e-3, 0.02)
    assert_close(means(opt, valley), [subspace.to_full(X0, A, w) for w in ws])


def test_subspace_of_cma_es():
    k, inner = 4, zo.CMAES(lazy=0.1)
    opt = zo.Optimizer(zo.RandomSubspace(inner, dim=k), X0, rng=16)
    A = matrix(opt.state.key, D, k)
    loss = subspace.in_subspace(valley, X0, A)
    expected = cma_es.cma_es(loss, np.zeros(k), 0.3, normals(opt.state.key), 50)
    assert_states(generations(opt, valley)[0], expected)
    np.testing.assert_allclose(opt.mean, subspace.to_full(X0, A, expected[-1].m), rtol=1e-9)


def test_subspace_is_drawn_in_blocks():
    """A has many blocks of rows at this size: the embedding is linear, and the same in single precision."""
    d, k, x0 = 20_000, 20, np.zeros(20_000)
    opts = [zo.Optimizer(zo.RandomSubspace(zo.SPSA(c=1.0), dim=k), x0.astype(t), rng=17) for t in ("f4", "f8")]
    X32, X64 = (opt.ask().X for opt in opts)
    np.testing.assert_allclose(X64[0], -X64[1])
    scaled = np.abs(X64[0]).mean(), np.sqrt((X64[0] ** 2).mean())
    assert X32.dtype == np.float32 and 0.3 < scaled[0] < 1.0 and 0.5 < scaled[1] < 1.0
    assert len(np.unique(X64[0])) > 0.9 * d  # no block comes twice


def test_default_parameters_are_the_tutorials():
    for n in (1, 2, 5, 10, 40, 300):
        for popsize in (5, 6, 13, 100):
            ours, theirs = default_parameters(n, popsize), cma_es.tutorial_parameters(n, popsize)
            np.testing.assert_allclose(ours.weights, theirs.w, rtol=1e-12, atol=1e-15)
            for name in ("mu_eff", "c_sigma", "d_sigma", "c_c", "c_1", "c_mu"):
                assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12), (name, n, popsize)


def test_oracles_would_notice():
    """A different momentum in the last digit that matters is seen at this tolerance."""
    opt = zo.Optimizer(zo.SPSAGC(lr=5e-4, c=0.02, momentum=0.9 + 1e-9), X0, rng=2)
    expected = gradient.spsa_gc(valley, X0, directions(opt, 1), 5e-4, 0.02, beta=0.9)
    raises(AssertionError, "relative error", assert_close, means(opt, valley), expected)
    altered = cma_es.tutorial_parameters(5)._replace(c_1=cma_es.tutorial_parameters(5).c_1 * (1 + 1e-6))
    opt = zo.Optimizer(zo.CMAES(lazy=0.1), X0[:5], rng=1)
    other = cma_es.cma_es(valley, X0[:5], 0.3, normals(opt.state.key), 50, parameters=altered)
    raises(AssertionError, "relative error", assert_states, generations(opt, valley)[0], other)

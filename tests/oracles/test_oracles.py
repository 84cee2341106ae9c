"""Checks of the oracles themselves: first steps by hand, identities, convergence, parameter values."""

import math
import warnings

import numpy as np
import pytest
from oracles import cma_es, dd_cma_es, gradient, subspace


def sphere(x):
    return float(x @ x)


def ellipsoid(x):
    n = len(x)
    return sum(10 ** (3 * i / (n - 1)) * float(x[i]) ** 2 for i in range(n))


def rademacher(rng, *shape):
    """Directions of shape (steps, directions of a step, d)."""
    return rng.choice([-1.0, 1.0], size=shape)


def segmented(rng, *shape):
    return rademacher(rng, *shape) * rng.uniform(0.5, 1, size=shape)


def unit(rng, *shape):
    u = rng.standard_normal(shape)
    return u / np.linalg.norm(u, axis=-1, keepdims=True)


def normals(seed):
    return lambda g, lam, n: np.random.default_rng([seed, g]).standard_normal((lam, n))


# A linear loss and the point (1, 2): every figure below was worked out with pencil and paper.
def linear(x):
    return float(3 * x[0] - x[1])


HALF = [[np.array([0.5, -1.0])]]  # L+ - L- = 2 c (3 * 0.5 + 1) = 5 c, so g = 2.5 / (0.5, -1) = (5, -2.5)


def test_spsa_first_step_by_hand():
    np.testing.assert_allclose(gradient.spsa(linear, [1, 2], HALF, lr=0.1, c=0.25)[1], [0.5, 2.25], rtol=1e-14)


def test_spsa_averages_the_pairs_by_hand():
    # the second pair, D = (1, 1): (3 - 1) / (1, 1) = (2, 2); mean (3.5, -0.25)
    pairs = [[*HALF[0], np.array([1.0, 1.0])]]
    phis = gradient.spsa(linear, [1, 2], pairs, lr=lambda t: 0.1 + t, c=lambda t: 0.25)
    np.testing.assert_allclose(phis[1], [0.65, 2.025], rtol=1e-14)


def test_spsa_gc_two_steps_by_hand():
    # m1 = (-.5, .25), phi1 = (.5, 2.25); m2 = .5 m1 - .1 g = (-.75, .375), phi2 = (-.25, 2.625)
    momenta = []
    phis = gradient.spsa_gc(linear, [1, 2], HALF * 2, 0.1, 0.25, beta=0.5, momenta=momenta)
    np.testing.assert_allclose(phis, [[1, 2], [0.5, 2.25], [-0.25, 2.625]], rtol=1e-14)
    np.testing.assert_allclose(momenta[2], [-0.75, 0.375], rtol=1e-14)


def test_spsa_gc_probes_at_the_look_ahead_point():
    seen = []
    gradient.spsa_gc(lambda x: seen.append(x) or linear(x), [1, 2], HALF * 2, 0.1, 0.25, beta=0.5)
    np.testing.assert_allclose((seen[2] + seen[3]) / 2, [0.5 - 0.25, 2.25 + 0.125], rtol=1e-14)


def test_geass_paper_by_hand():
    # |g| = |(5, -2.5)| = 5.6 on a linear loss, always a strike.
    # Strikes at steps 0, 1; boosted 2, 3; strikes 4, 5; boosted 6.
    settings = {"beta": 0.0, "threshold": 6.0, "k1": 2, "cooldown": 2, "eta1": 10, "eta2": 3}
    phis, escapes = gradient.spsa_geass_paper(linear, [1, 2], HALF * 7, 0.1, 0.25, **settings)
    np.testing.assert_allclose(np.diff(np.array(phis)[:, 0]), [-0.5, -0.5, -5, -5, -0.5, -0.5, -5], rtol=1e-12)
    assert escapes == 2


def test_geass_paper_needs_strikes_in_a_row_and_boosts_c():
    seen = []

    def kinked(x):  # steep for x[0] > 0, flat below
        seen.append(x)
        return 10 * float(x[0]) if x[0] > 0 else 0.0

    D = [[np.array([1.0, 1.0])]]
    settings = {"beta": 0.9, "threshold": 1.0, "k1": 2, "cooldown": 1, "eta2": 8}
    _, escapes = gradient.spsa_geass_paper(kinked, [-1, 0], D * 4, 0.1, 0.25, **settings)
    widths = [float(seen[2 * t][0] - seen[2 * t + 1][0]) / 2 for t in range(4)]
    np.testing.assert_allclose(widths, [0.25, 0.25, 2.0, 0.25])
    assert escapes == 1
    assert gradient.spsa_geass_paper(linear, [1, 2], HALF * 9, 0.1, 0.25, beta=0.9, threshold=5.5)[1] == 0


def test_geass_without_strikes_is_spsa_gc():
    deltas = segmented(np.random.default_rng(1), 30, 2, 4)
    expected = gradient.spsa_gc(ellipsoid, np.ones(4), deltas, 1e-5, 1e-2, beta=0.9)
    phis, escapes = gradient.spsa_geass_paper(ellipsoid, np.ones(4), deltas, 1e-5, 1e-2, beta=0.9, threshold=0.0)
    assert escapes == 0
    np.testing.assert_array_equal(phis, expected)


def test_geass_released_by_hand():
    # d = 2, threshold 3 d = 6 > |g| = 5.6: two strikes, one boosted step with
    # beta = 0, strikes still counted.
    g = np.array([5.0, -2.5])
    settings = {"beta": 0.5, "eta1": 10, "eta2": 2, "k1": 2, "cooldown": 1, "threshold_per_dim": 3.0}
    ws, escapes = gradient.spsa_geass_released(linear, [1, 2], HALF * 5, lr=0.1, c=0.25, gamma=0.1, **settings)
    # m: g, 1.5 g, then g (beta = 0), then 1.5 g, then g (beta = 0 again)
    # g + beta m: 1.5 g, 1.75 g, g (times 10), 1.75 g, g (times 10)
    np.testing.assert_allclose(np.diff(ws, axis=0), -0.1 * np.outer([1.5, 1.75, 10, 1.75, 10], g), rtol=1e-12)
    assert escapes == 2


def test_geass_released_gains_and_zero_gradient():
    seen, settings = [], {"lr": 1, "c": 0.25, "gamma": 0.5, "beta": 0.5, "eta1": 1, "eta2": 1}
    gradient.spsa_geass_released(lambda x: seen.append(x) or 0.0, [0, 0], HALF * 3, **settings)
    widths = [float(seen[2 * t][0] - seen[2 * t + 1][0]) for t in range(3)]  # 2 c_t D_1 = c_t
    np.testing.assert_allclose(widths, [0.25, 2.5 / math.sqrt(2), 25 / math.sqrt(3)], rtol=1e-12)

    settings |= {"lr": 0.1, "gamma": 0.1, "beta": 0.0}
    ws, _ = gradient.spsa_geass_released(linear, [1, 2], HALF * 301, **settings)
    steps = np.diff(np.array(ws)[:, 0])
    np.testing.assert_allclose(steps[[0, 298, 299, 300]], [-0.5, -0.5, -0.165, -0.165], rtol=1e-10)


@pytest.mark.parametrize("pairs", [1, 3])
def test_blackvip_is_spsa_gc_seen_from_the_look_ahead_point(pairs):
    rng = np.random.default_rng(2)
    deltas = segmented(rng, 200, pairs, 6)
    beta, x0, lr, c = 0.9, rng.standard_normal(6), 2e-5, lambda t: 0.01 / (t + 1) ** 0.1
    momenta = []
    phis = gradient.spsa_gc(ellipsoid, x0, deltas, lr, c, beta, momenta)
    expected = gradient.look_ahead_points(phis, momenta, beta)
    xs = gradient.blackvip(ellipsoid, x0, deltas, lr, c, beta)
    np.testing.assert_allclose(xs, expected, rtol=1e-9, atol=1e-12)
    assert ellipsoid(xs[-1]) < ellipsoid(x0)


def test_blackvip_differs_when_lr_changes():
    deltas = HALF * 3
    momenta = []
    phis = gradient.spsa_gc(linear, [1, 2], deltas, lambda t: 0.1 / (t + 1), 0.25, 0.5, momenta)
    xs = gradient.blackvip(linear, [1, 2], deltas, lambda t: 0.1 / (t + 1), 0.25, 0.5)
    assert not np.allclose(xs[-1], gradient.look_ahead_points(phis, momenta, 0.5)[-1])


def test_bar_first_step_by_hand():
    # d/q = 2; along (1, 0): 3, along (.6, .8): 1.8 - .8 = 1; g = 2/2 [3 (1, 0) + 1 (.6, .8)] = (3.6, .8)
    us = [[np.array([1.0, 0.0]), np.array([0.6, 0.8])]]
    xs = gradient.bar(linear, [1, 2], us, lr=0.1, beta=0.5)
    np.testing.assert_allclose(xs[1], [0.64, 1.92], rtol=1e-12)


def test_bar_is_unbiased_on_a_linear_function():
    d, q = 5, 40_000
    a = np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    [us] = unit(np.random.default_rng(3), 1, q, d)
    g = gradient.bar_gradient(lambda x: float(a @ x), np.ones(d), us, beta=0.01)
    standard_error = math.sqrt(d * float(a @ a) / q)  # E[d^2 (a.u)^2 u_i^2] <= d |a|^2 about
    assert np.abs(g - a).max() < 4 * standard_error


def test_bar_learning_rate():
    lr = gradient.bar_lr(10, 0.1, steps=100)
    assert lr(0) == 10
    assert lr(45) == pytest.approx(9.9 * 0.5**0.9 + 0.1)
    assert lr(90) == lr(99) == 0.1


def test_fzoo_first_step_by_hand():
    # l_0 = 1; u = (1, 1): 1 + c 2 = 2; u = (1, -1): 1 + c 4 = 3
    # g = 1/(.5 * 2) [1 (1, 1) + 2 (1, -1)] = (3, -1)
    # sigma = sqrt(((2 - 2.5)^2 + (3 - 2.5)^2) / 1) = sqrt .5
    us = [[np.array([1.0, 1.0]), np.array([1.0, -1.0])]]
    xs = gradient.fzoo(linear, [1, 2], us, lr=0.1, c=0.5)
    np.testing.assert_allclose(xs[1], [1 - 0.3 / math.sqrt(0.5), 2 + 0.1 / math.sqrt(0.5)], rtol=1e-14)


def test_fzoo_does_not_feel_the_scale_of_the_loss():
    us = rademacher(np.random.default_rng(4), 20, 4, 3)
    a = gradient.fzoo(ellipsoid, np.ones(3), us, 0.01, 0.01)
    b = gradient.fzoo(lambda x: 1024 * ellipsoid(x) + 5, np.ones(3), us, 0.01, 0.01)
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_the_gradient_oracles_converge():
    rng = np.random.default_rng(5)
    d, x0 = 10, np.ones(10)
    pairs, balls, signs = segmented(rng, 1500, 1, d), unit(rng, 600, 5, d), rademacher(rng, 600, 8, d)

    def decay(t):
        return 1e-5 * 0.5 * 0.98**t

    ends = {
        "spsa": gradient.spsa(sphere, x0, pairs, 0.03, 1e-3)[-1],
        "spsa-gc": gradient.spsa_gc(sphere, x0, pairs, 0.003, 1e-3, 0.9)[-1],
        "geass paper": gradient.spsa_geass_paper(sphere, x0, pairs, 0.003, 1e-3, 0.9, threshold=0.0)[0][-1],
        "geass released": gradient.spsa_geass_released(
            sphere, x0, pairs, 0.003, 1e-3, 0.1, 0.9, 1, 1, threshold_per_dim=0.0
        )[0][-1],
        "blackvip": gradient.blackvip(sphere, x0, pairs, 0.003, 1e-3, 0.9)[-1],
        "bar": gradient.bar(sphere, x0, balls, 0.05, 1e-5)[-1],
        "fzoo": gradient.fzoo(sphere, x0, signs, decay, 1e-5)[-1],
    }
    for name, x in ends.items():
        assert sphere(x) < 1e-3, f"{name}: {sphere(x)} from {sphere(x0)}"


def test_subspace_by_hand():
    A = np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]])
    np.testing.assert_array_equal(subspace.to_full([1, 1, 1], A, [2, 5]), [3, 0, 16])
    xs = gradient.spsa(subspace.in_subspace(lambda x: float(x[1]), [1, 1, 1], A), [0, 0], HALF, 0.1, 0.25)
    # loss along w is 2 w_1 - w_2, D = (.5, -1): 2 / D = (4, -2)
    np.testing.assert_allclose(xs[1], [-0.4, 0.2], rtol=1e-14)


def test_cma_es_first_generation_by_hand():
    # n = 2, lambda = 6. On f = x_1 with z sorted by its first entry the ranks are 0..5.
    z = np.array([[-3.0, 1], [-2, 0], [-1, -1], [1, 2], [2, 0], [3, -1]])
    p = cma_es.tutorial_parameters(2)
    assert (p.lam, p.mu) == (6, 3)
    [s] = cma_es.cma_es(lambda x: float(x[0]), [10, 20], 2.0, lambda g, lam, n: z[::-1], 1)
    a, b, c = (v / (3 * math.log(3.5) - math.log(6)) for v in (math.log(3.5), math.log(1.75), math.log(3.5 / 3)))
    np.testing.assert_allclose(p.w[:3], [a, b, c], rtol=1e-12)
    y_w = np.array([-3 * a - 2 * b - c, a - c])
    np.testing.assert_allclose(s.m, np.array([10, 20]) + 2 * y_w, rtol=1e-12)

    mu_eff = 1 / (a * a + b * b + c * c)
    c_sigma = (mu_eff + 2) / (2 + mu_eff + 5)
    p_sigma = math.sqrt(c_sigma * (2 - c_sigma) * mu_eff) * y_w
    np.testing.assert_allclose(s.p_sigma, p_sigma, rtol=1e-12)
    chi = math.sqrt(2) * (1 - 1 / 8 + 1 / 84)
    # the first p_sigma / sqrt(1 - (1 - c_sigma)^2) is sqrt(mu_eff) y_w, too long here: p_c stalls
    assert math.sqrt(mu_eff) * np.linalg.norm(y_w) > (1.4 + 2 / 3) * chi
    np.testing.assert_array_equal(s.p_c, [0, 0])
    d_sigma = 1 + c_sigma
    assert s.sigma == pytest.approx(2 * math.exp(c_sigma / d_sigma * (np.linalg.norm(p_sigma) / chi - 1)), rel=1e-12)

    C = (1 + p.c_1 * p.c_c * (2 - p.c_c) - p.c_1 - p.c_mu * p.w.sum()) * np.eye(2)
    for w, v in zip(p.w, z, strict=True):
        C += p.c_mu * (w if w >= 0 else 2 * w / (v @ v)) * np.outer(v, v)
    np.testing.assert_allclose(s.C, C, rtol=1e-12)


def test_cma_es_rank_one_term_by_hand():
    z = np.array([[-0.3, 0.1], [-0.2, 0], [-0.1, -0.1], [0.1, 0.2], [0.2, 0], [0.3, -0.1]])
    p = cma_es.tutorial_parameters(2)._replace(c_mu=0.0)
    [s] = cma_es.cma_es(lambda x: float(x[0]), [0, 0], 1.0, lambda g, lam, n: z, 1, parameters=p)
    y_w = p.w[:3] @ z[:3]
    p_c = math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff) * y_w
    np.testing.assert_allclose(s.p_c, p_c, rtol=1e-12)
    np.testing.assert_allclose(s.C, (1 - p.c_1) * np.eye(2) + p.c_1 * np.outer(p_c, p_c), rtol=1e-12)


@pytest.mark.parametrize(("f", "n", "generations"), [(sphere, 10, 220), (ellipsoid, 8, 300)])
def test_cma_es_converges(f, n, generations):
    states = cma_es.cma_es(f, np.ones(n), 0.5, normals(6), generations)
    assert f(states[-1].m) < 1e-9
    np.testing.assert_array_equal(states[-1].C, states[-1].C.T)
    assert np.linalg.eigvalsh(states[-1].C).min() > 0


def test_cma_es_learns_the_inverse_hessian():
    last = cma_es.cma_es(ellipsoid, np.ones(5), 0.5, normals(7), 250)[-1]
    root = np.diag([10 ** (1.5 * i / 4) for i in range(5)])  # of half the Hessian, whose condition number is 1000
    assert np.linalg.cond(root @ last.C @ root) < 20


def test_cma_es_from_points_equals_cma_es_from_normals():
    n, xs = 6, []

    def recorded(x):
        xs.append(x)
        return ellipsoid(x)

    a = cma_es.cma_es(recorded, np.ones(n), 0.5, normals(8), 50, eigen_gap=25)
    X = np.array(xs).reshape(50, -1, n)
    b = cma_es.cma_es(ellipsoid, np.ones(n), 0.5, None, 50, eigen_gap=25, points=lambda g: X[g])
    for s, t in zip(a, b, strict=True):
        for left, right in zip(s, t, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_cma_es_decomposes_lazily():
    n = 4
    each = cma_es.cma_es(ellipsoid, np.ones(n), 0.5, normals(9), 20, eigen_gap=0)
    lam = cma_es.default_lambda(n)
    same = cma_es.cma_es(ellipsoid, np.ones(n), 0.5, normals(9), 20, eigen_gap=lam - 1)
    third = cma_es.cma_es(ellipsoid, np.ones(n), 0.5, normals(9), 20, eigen_gap=2 * lam)
    np.testing.assert_array_equal(each[-1].m, same[-1].m)
    np.testing.assert_array_equal(each[0].m, third[0].m)
    assert not np.array_equal(each[1].m, third[1].m)


@pytest.mark.parametrize("n", [2, 5, 10, 40])
@pytest.mark.parametrize("lam", [None, 7, 64])
def test_weights_keep_the_covariance_matrix_positive(n, lam):
    p = cma_es.tutorial_parameters(n, lam)
    assert sum(p.w[: p.mu]) == pytest.approx(1, rel=1e-12)
    assert 1 / sum(p.w[: p.mu] ** 2) == pytest.approx(p.mu_eff, rel=1e-12)
    assert (p.w[p.mu + p.lam % 2 :] <= 0).all()  # all 0 if c_1 + c_mu = 1 (n = 2, lambda = 64)
    # even if all negative weight falls on one axis, a positive part of the old variance is left
    negative = -p.w[p.w < 0].sum()
    assert 1 - p.c_1 - p.c_mu * p.w.sum() - p.c_mu * negative * n >= -1e-12
    assert 1 - p.c_1 - p.c_mu * p.w.sum() >= 0


@pytest.mark.parametrize("n", [2, 5, 10, 20, 40])
@pytest.mark.parametrize("lam", [None, 50])
def test_parameters_against_pycma(n, lam):
    """pycma 4.5 keeps the tutorial's values but for c_sigma and d_sigma (and c_1 below lambda = 6)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cma = pytest.importorskip("cma")
        options = {"verbose": -9, "seed": 1} | ({} if lam is None else {"popsize": lam})
        es = cma.CMAEvolutionStrategy(n * [0.0], 1.0, options)
    p = cma_es.tutorial_parameters(n, lam)
    assert es.sp.popsize == p.lam
    theirs = es.sp.weights.mueff, es.sp.cc, es.sp.c1, es.sp.cmu
    assert theirs == pytest.approx((p.mu_eff, p.c_c, p.c_1, p.c_mu), rel=1e-12)
    np.testing.assert_allclose(es.sp.weights, p.w, rtol=1e-9, atol=1e-12)
    if cma.__version__.startswith("4.5."):
        q = cma_es.pycma_parameters(n, lam)
        es.adapt_sigma.initialize(es)
        assert (es.adapt_sigma.cs, es.adapt_sigma.damps) == pytest.approx((q.c_sigma, q.d_sigma), rel=1e-12)


def test_sep_cma_es_first_generation_by_hand():
    z = np.array([[-0.3, 0.1], [-0.2, 0], [-0.1, -0.1], [0.1, 0.2], [0.2, 0], [0.3, -0.1]])
    p = cma_es.ros_hansen_parameters(2)
    total = 3 * math.log(4) - math.log(6)
    w = [math.log(4) / total, math.log(2) / total, math.log(4 / 3) / total]
    np.testing.assert_allclose(p.w, w, rtol=1e-12)
    mu_eff = 1 / sum(v * v for v in w)
    c_cov = (2 / mu_eff / (2 + math.sqrt(2)) ** 2 + (1 - 1 / mu_eff) * (2 * mu_eff - 1) / (16 + mu_eff)) * 4 / 3
    [s] = cma_es.sep_cma_es(lambda x: float(x[0]), [10, 20], 2.0, lambda g, lam, n: z[::-1], 1)
    y_w = np.array(w) @ z[:3]
    np.testing.assert_allclose(s.m, np.array([10, 20]) + 2 * y_w, rtol=1e-12)
    c_sigma = (mu_eff + 2) / (2 + mu_eff + 3)
    p_sigma = math.sqrt(c_sigma * (2 - c_sigma) * mu_eff) * y_w
    p_c = math.sqrt(4 / 6 * (2 - 4 / 6) * mu_eff) * y_w
    np.testing.assert_allclose(s.p_sigma, p_sigma, rtol=1e-12)
    np.testing.assert_allclose(s.p_c, p_c, rtol=1e-12)
    C = 1 - c_cov + c_cov / mu_eff * p_c**2 + c_cov * (1 - 1 / mu_eff) * (np.array(w) @ z[:3] ** 2)
    np.testing.assert_allclose(s.C, C, rtol=1e-12)
    chi = math.sqrt(2) * (1 - 1 / 8 + 1 / 84)
    sigma = 2 * math.exp(c_sigma / (1 + c_sigma) * (np.linalg.norm(p_sigma) / chi - 1))
    assert s.sigma == pytest.approx(sigma, rel=1e-12)


@pytest.mark.parametrize(("f", "n", "generations"), [(sphere, 10, 250), (ellipsoid, 20, 700)])
def test_sep_cma_es_converges(f, n, generations):
    last = cma_es.sep_cma_es(f, np.ones(n), 0.5, normals(10), generations)[-1]
    assert f(last.m) < 1e-9 and (last.C > 0).all()


def test_dd_cma_es_converges_and_learns_the_scales():
    states = dd_cma_es.dd_cma_es(ellipsoid, np.ones(6), 0.5, normals(4), 9, 300, 4)
    assert ellipsoid(states[-1].m) < 1e-9
    covariance = states[-1].D[:, None] * states[-1].C * states[-1].D
    # alike where C is the inverse Hessian's multiple
    scales = np.sqrt(np.diag(covariance) * 10 ** (3 * np.arange(6) / 5))
    assert scales.max() / scales.min() < 5


def test_dd_cma_es_first_step_by_hand():
    # n = 2, lambda = 4: w = (ln 2.5, ln 1.25) / (their sum) = (.80418, .19582); f = x_1, so that z is ranked by z_1
    z = np.array([[1.0, 0.0], [-1.0, 2.0], [0.5, 0.0], [-0.5, 1.0]])
    state = dd_cma_es.dd_cma_es(lambda x: float(x[0]), [3.0, 0.0], 2.0, lambda g, lam, n: z, 4, 1, 99)[0]
    w = math.log(2.5) / (math.log(2.5) + math.log(1.25))
    np.testing.assert_allclose(state.m, [3 + 2 * (-w - 0.5 * (1 - w)), 2 * (2 * w + 1 - w)], rtol=1e-14)
    mu_w = 1 / (w**2 + (1 - w) ** 2)
    c = (mu_w + 2) / (2 + mu_w + 5)
    np.testing.assert_allclose(state.p_sigma, math.sqrt(c * (2 - c) * mu_w) * (state.m - [3, 0]) / 2, rtol=1e-14)
    np.testing.assert_array_equal(state.C, np.eye(2))

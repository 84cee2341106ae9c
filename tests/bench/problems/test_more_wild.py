"""Moré and Wild's set against published values, minima and slopes worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from zoo_opt.bench import Counted, make_problem
from zoo_opt.bench.problems.more_wild.problem import KINDS, TABLE, TAUS, MoreWild, standard_start, wave
from zoo_opt.bench.problems.more_wild.residuals import RESIDUALS
from zoo_opt.bench.problems.registry import expand
from zoo_opt.bench.problems.split import MORE_WILD

# f(x_0) of the 53 problems with six digits, as the data file testout.dat beside the paper has them.
SMOOTH = (
    "72 1125 1.16542e7 1.16859e9 4.9892e6 5.00936e8 24.2 1.79577e6 2500 10600 215 1.6154e6 400.5 1.54575e8 "
    "41.6817 1306.23 5.31317e-3 1.69361e9 16.4308 2.32337e6 26.9042 8.15888e6 73.6782 2.05938e7 1031.15 "
    "4171.31 7.92669e6 3.08106e11 4.64282e-2 3.37706e-2 3.86177e-2 2.8883e-2 3.37633e-2 2.67406e-2 273.248 "
    "16.1741 2.09342 199.685 904 1356 1582 1808 56.5 70.5625 98.6875 2.53908e9 6.8738e12 3.36796e9 3.73513e9 "
    "3.99107e9 1.13001e13 9.38567 3.36582e10"
)
PIECEWISE = (
    "54 225 17605 176365 11189 112169 6.6 1353 50 140 22.8852 1457.27 24 17376 21.8829 139.339 .195153 133046 "
    "15.8545 5427.67 22.4125 8544.58 34.3398 11897.8 99.1512 120.588 11303.8 2.41278e6 .329087 .275893 "
    ".346953 .291449 .353857 .316982 50.499 16.3733 9.60594 54.9148 64 96 112 128 15.5 19.25 26.75 112235 "
    "5.83904e6 162440 190072 213528 1.13405e7 4.92225 264839"
)
NOISY = (
    "71.9428 1124.05 1.16443e7 1.16771e9 4.98494e6 5.00558e8 24.1953 1.79407e6 2502.15 10590.9 215.057 "
    "1.61525e6 400.899 1.54489e8 41.6979 1305.79 5.31185e-3 1.69338e9 16.4338 2.32392e6 26.9298 8.16061e6 "
    "73.6733 2.05759e7 1031.65 4175.13 7.92937e6 3.08386e11 4.63839e-2 3.3788e-2 3.8656e-2 2.88622e-2 "
    "3.37317e-2 2.67299e-2 273.508 16.1588 2.09278 199.878 903.152 1354.66 1580.97 1808.85 56.5201 70.5752 "
    "98.7522 2.53762e9 6.87417e12 3.3659e9 3.73726e9 3.98712e9 1.12997e13 9.3797 3.36341e10"
)


@pytest.mark.parametrize(("kind", "text"), [*zip(KINDS, (SMOOTH, PIECEWISE, NOISY), strict=True)])
def test_the_starts_have_the_published_values(kind, text):
    published = np.array([float(word) for word in text.split()])
    problems = [MoreWild(number, kind) for number in range(1, 54)]
    ours = [problem.losses(problem.x0(7)[None], 0, 1)[0] for problem in problems]
    np.testing.assert_allclose(ours, published, rtol=1e-5)


# (function, m, minimiser): where the sum of squares has a minimum that is known in closed form.
ZEROS = [
    (4, 2, [1, 1]),
    (5, 3, [1, 0, 0]),
    (6, 4, [0, 0, 0, 0]),
    (7, 2, [5, 4]),
    (12, 10, [1, 10, 1]),
    (12, 10, [10, 1, -1]),
    (16, 10, np.ones(10)),
    (20, 8, np.ones(8)),
]


@pytest.mark.parametrize(("function", "m", "x"), ZEROS)
def test_known_roots(function, m, x):
    np.testing.assert_allclose(RESIDUALS[function - 1](np.array(x, dtype=float), m), 0, atol=1e-12)


def test_minima_of_the_linear_functions_and_of_chebyquad():
    """m - n at x = -1; m (m - 1) / (2 (2 m + 1)) and (m^2 + 3 m - 6) / (2 (2 m - 3)) along a hyperplane."""
    sums = [np.sum(RESIDUALS[k](x, m) ** 2) for k, x, m in [
        (0, -np.ones(9), 45),
        (1, np.r_[3 / (2 * 35 + 1), np.zeros(6)], 35),
        (2, np.r_[0, 3 / (2 * (2 * 35 - 3)), np.zeros(5)], 35),
        (14, np.array([0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5]), 2),
    ]]  # fmt: skip
    np.testing.assert_allclose(sums, [36, 35 * 34 / (2 * 71), (35**2 + 3 * 35 - 6) / (2 * 67), 0], atol=1e-12)


# Values that Moré, Garbow and Hillstrom (1981) print for the minima, and the x of the fits from their literature.
LITERATURE = [(15, 8.21487e-3), (17, 3.07505e-4), (18, 87.9458), (19, 2.28767e-3), (21, 1.39976e-6), (23, 4.72238e-10),
              (26, 124.362), (27, 85822.2), (31, 3.51687e-3), (36, 5.46489e-5), (37, 4.01377e-2)]  # fmt: skip


@pytest.mark.parametrize(("number", "value"), LITERATURE)
def test_lowest_sums_are_those_of_the_literature(number, value):
    assert MoreWild(number).optimum == pytest.approx(value, rel=3e-6)


def test_lowest_sums_are_below_every_start_and_the_same_from_either():
    for kind in KINDS:
        problems = [MoreWild(number, kind) for number in range(1, 54)]
        assert all(problem.optimum >= 0 and min(problem.targets) > 0 for problem in problems)
        by_function = {}
        for (function, n, *_), problem in zip(TABLE, problems, strict=True):
            assert by_function.setdefault((function, n), problem.optimum) == problem.optimum


def gradient(f, x):
    """Central differences."""
    steps = 1e-6 * np.eye(x.size)
    return np.array([(f(x + h) - f(x - h)) / 2e-6 for h in steps])


def test_slopes_by_hand():
    """Of Rosenbrock's function, and of Bard's, Meyer's and Osborne's first residuals in their own parameters."""
    f = MoreWild(7).losses
    x = np.array([-1.2, 1.0])
    by_hand = [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]
    np.testing.assert_allclose(gradient(lambda z: f(z[None], 0, 0)[0], x), by_hand, rtol=1e-6)
    x = np.array([0.08, 1.13, 2.34])
    first = gradient(lambda z: RESIDUALS[7](z, 15)[0], x)  # u, v, w = 1, 15, 1
    below = 15 * x[1] + x[2]
    np.testing.assert_allclose(first, [-1, 15 / below**2, 1 / below**2], rtol=1e-5)
    x = np.array([0.02, 4000.0, 250.0])
    first = gradient(lambda z: RESIDUALS[9](z, 16)[0], x)
    e = np.exp(4000 / 300)
    np.testing.assert_allclose(first, [e, 0.02 * e / 300, -0.02 * e * 4000 / 300**2], rtol=1e-3)
    x = standard_start(17, 5)
    second = gradient(lambda z: RESIDUALS[16](z, 33)[1], x)  # t = 10
    e4, e5 = np.exp(-0.1), np.exp(-0.2)
    np.testing.assert_allclose(second, [-1, -e4, -e5, 10 * 1.5 * e4, 10 * e5], rtol=1e-6)


def test_watson_and_chebyquad_by_their_definitions():
    x = np.random.default_rng(0).uniform(-1, 1, 6)
    t = np.arange(1, 30) / 29
    slope = sum((j - 1) * x[j - 1] * t ** (j - 2) for j in range(2, 7))
    value = sum(x[j - 1] * t ** (j - 1) for j in range(1, 7))
    np.testing.assert_allclose(RESIDUALS[10](x, 31)[:29], slope - value**2 - 1)
    u = np.random.default_rng(1).uniform(0, 1, 7)
    polynomials = np.cos(np.multiply.outer(np.arange(1, 8), np.arccos(2 * u - 1)))  # T_i = cos(i arccos)
    integrals = [0 if i % 2 else -1 / (i * i - 1) for i in range(1, 8)]
    np.testing.assert_allclose(RESIDUALS[14](u, 7), polynomials.mean(axis=1) - integrals, atol=1e-12)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12))
def test_the_noise_is_a_function_of_x_within_its_size(x):
    row = np.array([x])
    one, most, two = sum(map(abs, x)), max(map(abs, x)), sum(v * v for v in x) ** 0.5
    phi = 0.9 * np.sin(100 * one) * np.cos(100 * most) + 0.1 * np.cos(two)
    assert wave(row)[0] == pytest.approx(np.cos(3 * np.arccos(phi)), abs=1e-6) and abs(wave(row)[0]) <= 1 + 1e-12


def test_the_noisy_kind_is_judged_without_noise():
    problem = MoreWild(7, "noisy")
    x = np.array([[0.3, 0.2]])
    counted = Counted(problem, 10, 1)
    told, true = counted(x)[0], MoreWild(7).losses(x, 0, 0)[0]
    assert counted.precision == true != told == problem.losses(x, 0, 0)[0] == true * (1 + 1e-3 * wave(x)[0])


def test_targets_are_shares_of_the_fall_from_the_start():
    problem = MoreWild(15)
    assert [TAUS[k] for k in (1, 5, 9)] == pytest.approx([1e-1, 1e-3, 1e-5])
    fall = problem.losses(problem.x0(1)[None], 0, 0)[0] - problem.optimum
    np.testing.assert_allclose(problem.targets, np.array(TAUS) * fall)


def test_some_sums_of_absolute_values_stop_at_zero():
    x = np.array([[-0.3, 0.4]])
    assert MoreWild(26, "piecewise").losses(x, 0, 0) == MoreWild(26, "piecewise").losses(np.maximum(x, 0), 0, 0)
    assert MoreWild(26).losses(x, 0, 0) != MoreWild(26).losses(np.maximum(x, 0), 0, 0)


def test_overflow_is_the_worst_loss():
    y = MoreWild(18).losses(np.array([[1.0, 1e9, -45.0], [0.02, 4000.0, 250.0]]), 0, 0)
    assert y[0] == np.inf and np.isfinite(y[1])


def test_a_suite_takes_a_part_or_a_list():
    arguments = [found for _, found in expand("more-wild", {"part": "record", "kind": "noisy"})]
    assert [a["number"] for a in arguments] == list(MORE_WILD["record"]) and {a["kind"] for a in arguments} == {"noisy"}
    assert expand("more-wild", {"part": "record", "numbers": [7]}) == [("more-wild", {"number": 7})]
    functions = {part: {TABLE[k - 1][0] for k in MORE_WILD[part]} for part in MORE_WILD}
    assert not functions["design"] & functions["record"] and len(set().union(*functions.values())) == 22


test_bad_arguments_are_named = refused(
    make_problem,
    (("more-wild", {"number": 54}), r"number must be in 1\.\.53, got 54"),
    (("more-wild", {"number": 1, "kind": "rough"}), "kind must be one of"),
    error=ValueError,
)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match=r"part of more-wild must be one of \['design', 'record'\], got 'tune'"):
        expand("more-wild", {"part": "tune"})

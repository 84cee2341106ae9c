"""Why a run of the CMA-ES ends, and the margin of its integers: each condition by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.methods.cma.dd import DDDistribution
from zoo_opt.methods.cma.full import FullDistribution
from zoo_opt.methods.cma.levels.integers import (
    EDGE,
    Margin,
    _at_an_end,
    _between,
    centred,
    corrected,
    first_margin,
    margin,
)
from zoo_opt.methods.cma.sep import SepDistribution, _moments
from zoo_opt.methods.cma.stop import (
    condition_reasons,
    coordinate_reasons,
    default_generations,
    flat_generations,
    history_length,
    loss_reasons,
    norm,
    range_of,
)
from zoo_opt.methods.grid import Grid

NAN, INF = math.nan, math.inf
OFF = zo.Tolerances(0.0, 0.0, 0.0, 0.0, INF, INF)


# --------------------------------------------------------------------------------------------------------- why it ends
def test_lengths_of_any_size():
    assert norm(np.array([3.0, 4.0])) == 5.0
    assert norm(np.array([3e200, -4e200])) == pytest.approx(5e200)
    assert norm(np.array([1.0, -INF])) == INF and norm(np.array([INF, INF])) == INF
    assert norm(np.array([NAN, 1.0])) == INF


def test_generations_and_histories():
    assert [history_length(n, popsize) for n, popsize in ((2, 6), (10, 10), (1, 100))] == [20, 40, 10]
    assert default_generations(2, 9) == 100 + 150 * 25 // 3 and default_generations(7, 100) == 100 + 150 * 10


@pytest.mark.parametrize(
    ("ranked", "after"),
    [
        ([1.0, 1.0, 1.0, 1.0], 6),
        ([1.0, 1.0, 1.0, 2.0], 0),  # the third quartile is the fourth of four
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0], 6),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0], 0),
        ([1.0, 2.0], 0),
        ([1.0], 5),
        ([INF, INF], 5),
    ],
)
def test_flat_generations(ranked, after):
    assert flat_generations(5, ranked) == after


def test_ranges_of_losses():
    assert range_of([1.0, 3.0, INF]) == 2.0 and range_of([INF, INF]) == range_of([]) == range_of([5.0]) == 0.0


def reasons(ranked, history, flat=0, first_range=0.0, popsize=6, **tolerances):
    """The reasons in 2 dimensions, where 20 generations are a whole history."""
    run = SimpleNamespace(popsize=popsize)
    state = SimpleNamespace(flat=flat, history=tuple(history), first_range=first_range, x0=np.zeros(2), run=run)
    plain = {"tolfun": 0.0, "tolfunhist": 0.0, "tolfunrel": 0.0}
    return loss_reasons(state, ranked, zo.Tolerances(**{**plain, **tolerances}))


LEVEL = [5.0] * 19 + [5.25]  # a range of 0.25


@pytest.mark.parametrize(
    ("ranked", "history", "tolerances", "found"),
    [
        ([5.0, 5.5], LEVEL, {"tolfun": 0.51}, {"tolfun": 0.51}),
        ([5.0, 5.5], LEVEL, {"tolfun": 0.5}, {}),
        ([5.0, 5.125], LEVEL, {"tolfun": 0.26}, {"tolfun": 0.26}),
        ([5.0, 5.125], LEVEL, {"tolfun": 0.25}, {}),
        ([5.0, 9.0], LEVEL, {"tolfunhist": 0.26}, {"tolfunhist": 0.26}),
        ([5.0, 9.0], LEVEL, {"tolfunhist": 0.25}, {}),
        ([5.0, 9.0], LEVEL[1:], {"tolfunhist": 0.26}, {}),  # not the whole history
        ([5.0, 5.1], LEVEL, {"tolfunrel": 0.048}, {"tolfunrel": 0.048}),  # of 5.25, the largest: 0.252
        ([5.0, 5.1], LEVEL, {"tolfunrel": 0.047}, {}),
        ([5.0, 5.1], LEVEL[10:], {"tolfunrel": 0.048}, {"tolfunrel": 0.048}),
        ([5.0, 9.0], LEVEL[10:], {"tolfunrel": 0.048}, {}),
        ([5.0, 9.0], LEVEL, {"tolfunrel": 0.048}, {"tolfunrel": 0.048}),
        ([-5.0, -4.9], [-5.0] * 19 + [-4.75], {"tolfunrel": 0.051}, {"tolfunrel": 0.051}),
        ([-5.0, -4.9], [-5.0] * 19 + [-4.75], {"tolfunrel": 0.049}, {}),
        ([5.0, INF], [INF] * 20, {"tolfun": 1.0, "tolfunhist": 1.0, "tolfunrel": 0.5}, {}),
        ([5.0], LEVEL, {"tolfun": 9.0, "tolfunhist": 9.0, "tolfunrel": 9.0}, {}),
        ([5.0, 9.0], LEVEL, {}, {}),
    ],
)
def test_reasons_of_the_losses(ranked, history, tolerances, found):
    assert reasons(ranked, history, **tolerances) == found


def test_other_reasons_of_the_losses():
    assert reasons([5.0, 9.0], LEVEL, flat=2) == {"tolflatfitness": 2} and reasons([5.0, 9.0], LEVEL, flat=1) == {}
    assert reasons([5.0], LEVEL, flat=3) == {"tolflatfitness": 3}
    near = [0.0] * 19 + [0.25]  # a part of 1e-5 of the first range
    assert reasons([0.0, 0.25], near, first_range=2e5, tolfunrel=0.126) == {"tolfunrel": 0.126}
    assert reasons([0.0, 0.25], near, first_range=2e5, tolfunrel=0.124) == {}


def distribution(m=(3.0, 4.0), sigma=1.0, C=(1.0, 1.0), p_c=(0.0, 0.0)):
    D = np.sqrt(np.array(C))
    p = np.array(p_c)
    return FullDistribution(m=np.array(m), sigma=sigma, C=np.diag(C), B=np.eye(2), D=D, p_sigma=p, p_c=p, stale=0)


def of_coordinates(dist, sigma0=1.0, **tolerances):
    plain = {"tolx": 0.0, "tolupsigma": INF, **tolerances}
    return coordinate_reasons(dist, float(dist.D.min()), float(dist.D.max()), sigma0, zo.Tolerances(**plain))


def test_reasons_of_the_coordinates():
    assert of_coordinates(distribution()) == {}
    assert of_coordinates(distribution(C=(1.0, 4.0)), tolx=2.01) == {"tolx": 2.01}
    assert of_coordinates(distribution(C=(1.0, 4.0)), tolx=1.99) == {}
    assert of_coordinates(distribution(p_c=(0.0, 2.0)), tolx=1.5) == {}
    assert of_coordinates(distribution(p_c=(0.0, -2.0)), tolx=1.5) == {"tolx": 1.5}
    assert of_coordinates(distribution(sigma=3e-16)) == {"noeffectcoord": 0.2}
    assert of_coordinates(distribution(sigma=1.5e-15)) == {"noeffectcoord": 0.2}  # 0.2 of it is lost in 4 alone
    assert of_coordinates(distribution(sigma=1e-14)) == {}
    assert of_coordinates(distribution(sigma=1e-12, C=(1e-6, 1.0))) == {"noeffectcoord": 0.2}  # in one of them
    assert of_coordinates(distribution(C=(1.0, 4.0), sigma=61.0), 10.0, tolupsigma=3.0) == {"tolupsigma": 3.0}
    assert of_coordinates(distribution(C=(1.0, 4.0), sigma=59.0), 10.0, tolupsigma=3.0) == {}
    assert of_coordinates(distribution(sigma=INF)) == {"notfinite": INF}
    assert of_coordinates(distribution(m=(INF, 1.0))) == {"notfinite": 1.0}


def test_the_condition_of_the_covariance():
    tolerances = zo.Tolerances(conditioncov=1e4)
    assert condition_reasons(1.0, 101.0, tolerances) == {"conditioncov": 1e4}
    assert condition_reasons(1.0, 99.0, tolerances) == condition_reasons(2.0, 199.0, tolerances) == {}


def test_an_axis_without_effect_is_named():
    dist = distribution(sigma=1e-12, C=(1e-10, 1.0))
    assert zo.CMAES(tolerances=OFF).shape_reasons(dist, 1.0, 4)["noeffectaxis"] == 0  # the first of two in turn
    assert "noeffectaxis" not in zo.CMAES(tolerances=OFF).shape_reasons(dist, 1.0, 5)


@pytest.mark.parametrize("n", [2, 5])
def test_reasons_of_the_shape_with_a_diagonal(n):
    """Its scales for the coordinates; the condition is that of the matrix, which dd-cma-es has beside the diagonal."""
    zeros, scales = np.zeros(n), np.linspace(1.0, 3.0, n)
    path = {"m": np.ones(n), "sigma": 1.0, "p_sigma": zeros, "p_c": zeros}
    strict = zo.Tolerances(conditioncov=4.0, tolx=3.01, tolupsigma=0.32)
    for spread, far in ((1.9, {}), (2.1, {"conditioncov": 4.0})):
        E = np.linspace(1.0, spread, n)
        dd = DDDistribution(**path, D=scales, root=np.eye(n), B=np.eye(n), E=E, Z=np.zeros((n, n)), p_D=zeros)
        found = zo.DDCMAES(tolerances=strict).shape_reasons(dd, 1.0, 0)
        assert found == {"tolx": 3.01, "tolupsigma": 0.32} | far
        sep = SepDistribution(**path, C=E**2)
        assert zo.SepCMAES(tolerances=zo.Tolerances(conditioncov=4.0)).shape_reasons(sep, 1.0, 0) == far
    loose = zo.Tolerances(tolx=2.99, tolupsigma=0.34)
    assert zo.DDCMAES(tolerances=loose).shape_reasons(dd, 1.0, 0) == {}


def test_moments_are_taken_in_blocks_of_columns(monkeypatch):
    X, m, w = np.random.default_rng(0).standard_normal((6, 11)), np.linspace(0, 1, 11), np.array([0.5, 0.3, 0.2])
    ranked = np.array([4, 0, 3])
    expected = w @ (X[ranked] - m), w @ (X[ranked] - m) ** 2
    for block in (1, 12, 2**15):
        monkeypatch.setattr("zoo_opt.methods.cma.sep._BLOCK", block)
        for got, want in zip(_moments(X, ranked, w, m), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)


# -------------------------------------------------------------------------------------------------------- integers
def tail(distance, std):
    return 0.5 * math.erfc(distance / (std * math.sqrt(2)))


def quantile(p):
    """Where the tail is p, by bisection."""
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, 1.0) > p else (low, middle)
    return low


def test_how_rare_a_level_may_become():
    assert margin(1) == pytest.approx(0.27) and margin(2) == pytest.approx(1 - math.sqrt(0.73))
    first = first_margin(3)
    assert first.A.tolist() == [1.0] * 3 and first.p_mut.tolist() == [0.5 - 1e-8] * 3


GRID = Grid(2, ((0, (0.0, 1.0, 2.0, 3.0)), (1, (0.0, 1.0, 4.0))))


@pytest.mark.parametrize("alpha", [0.01, 0.1])
@pytest.mark.parametrize("mutated", [True, False])
@pytest.mark.parametrize(("m", "std"), [(1.1, 0.3), (1.0, 0.01), (1.49, 0.001), (0.51, 5.0), (1.4, 0.2), (1.0, 1.0)])
def test_a_level_on_either_side_keeps_its_margin(m, std, mutated, alpha):
    """The mean and A give the probabilities of the levels beside it, which sum to 1 with its own."""
    most = 0.05
    mean, A, p_mut = _between(m, std, 1.0, 0.5, 1.5, most, mutated, alpha)
    below, above = tail(mean - 0.5, std * A), tail(1.5 - mean, std * A)
    assert below + above == pytest.approx(p_mut, rel=1e-9)
    assert min(below, above) >= alpha / 2 * (1 - 1e-9)
    limit = 1.0 if mutated else max(most, alpha)
    assert p_mut <= limit * (1 + 1e-9)
    before = tail(m - 0.5, std), tail(1.5 - m, std)
    if min(before) >= alpha / 2 and sum(before) <= limit:
        assert (mean, A) == (pytest.approx(m), pytest.approx(1.0))  # nothing is corrected that need not be


def test_what_is_too_much_is_taken_in_proportion():
    """Tails of 0.3 and 0.2 while no more than 0.1 may leave: each gives up the same part of what is above alpha / 2."""
    alpha, std = 0.02, 0.7
    m = 0.5 + std * quantile(0.3)
    above = m + std * quantile(0.2)
    _, _, p_mut = _between(m, std, 1.0, 0.5, above, 0.1, False, alpha)
    low, high, middle = 0.3, 0.2, 0.9
    spare = (low - 0.01) + (high - 0.01) + (middle - 0.9)
    expected = low + high - 0.4 / spare * (low - 0.01 + high - 0.01)
    assert p_mut == pytest.approx(expected, rel=1e-6) and p_mut == pytest.approx(0.1)


def test_what_a_mutated_integer_gives_up():
    """One tail is raised to alpha / 2; the other, and the level itself, give of what they have above that."""
    m, std, alpha = 1.1, 0.3, 0.1
    low, high = tail(0.6, std), tail(0.4, std)
    middle, surplus = 1 - low - high, 0.05 - low
    spare = (high - 0.05) + (middle - 0.05)
    _, _, p_mut = _between(m, std, 1.0, 0.5, 1.5, 0.05, True, alpha)
    assert low < 0.05 < high and p_mut == pytest.approx(0.05 + high - surplus / spare * (high - 0.05), rel=1e-9)


@pytest.mark.parametrize(("m", "level"), [(0.2, 0.0), (0.5, 0.0), (0.5, 1.0), (0.8, 1.0), (-3.0, 0.0)])
@pytest.mark.parametrize("mutated", [True, False])
def test_a_level_at_an_end_keeps_its_margin(m, level, mutated):
    std, alpha, most = 0.25, 0.1, 0.2
    mean, A, p = _at_an_end(m, std, 1.0, 0.5, level, most, mutated, alpha)
    expected = max(tail(abs(m - 0.5), std), alpha)
    expected = min(expected if mutated else min(expected, most), 0.5 - EDGE)
    assert p == pytest.approx(expected, rel=1e-12)
    assert pytest.approx(max(1.0, 0.5 / (std * quantile(alpha)))) == A
    side = math.copysign(1.0, (m - 0.5) or (level - 0.5))
    assert (mean - 0.5) * side == pytest.approx(std * A * quantile(p), abs=1e-7) and (mean - 0.5) * side > 0.0
    assert tail(abs(mean - 0.5), std * A) == pytest.approx(p, rel=1e-6)


def test_which_rule_an_integer_falls_under():
    """The first is between two levels, the second in its last."""
    before = Margin(np.array([1.0, 2.0]), np.array([0.3, 0.2]))
    m, std, mutated = np.array([1.2, 3.5]), np.array([0.4, 0.3]), np.array([True, False])
    mean, after = corrected(GRID, m, std, before, mutated, 0.1)
    between = _between(1.2, 0.4, 1.0, 0.5, 1.5, 0.3, True, 0.1)
    last = _at_an_end(3.5, 0.3, 2.0, 2.5, 4.0, 0.2, False, 0.1)
    for got, j in ((mean, 0), (after.A, 1), (after.p_mut, 2)):
        assert got.tolist() == [between[j], last[j]]
    first = corrected(GRID, np.array([-0.2, 0.1]), std, before, mutated, 0.1)[1]
    assert first.p_mut[0] == _at_an_end(-0.2, 0.4, 1.0, 0.5, 0.0, 0.3, True, 0.1)[2]
    assert m.tolist() == [1.2, 3.5] and before.A.tolist() == [1.0, 2.0]


def test_samples_that_have_mutated_are_centred_and_the_others_take_back_the_bias():
    """Of the first: 1.7 goes to 2, 0.3 more; 1.2 and 1.4 lie above their level, and go back 0.3 of their 0.6."""
    m, chosen = np.array([1.1, 0.2]), np.array([3, 0, 2])
    V = np.array([[1.7, 0.1], [9.0, 9.0], [1.2, -0.1], [1.4, 0.3]])
    moved, mutated = centred(GRID, m, V, chosen)
    assert mutated.tolist() == [True, False]
    np.testing.assert_allclose(moved[:, 0], [2.0, 9.0, 1.1, 1.2])
    assert moved[:, 1].tolist() == V[:, 1].tolist() and V[0, 0] == 1.7
    far = np.array([[2.45, 0.0], [9.0, 9.0], [1.2, 0.0], [1.1, 0.0]])  # 0.45 down, and nothing lies below its level
    np.testing.assert_allclose(centred(GRID, m, far, chosen)[0][:, 0], [2.0, 9.0, 1.2, 1.1])
    large = np.array([[1.55, 0.0], [9.0, 9.0], [1.2, 0.0], [0.9, 0.0]])  # 0.45 up: 1.2 goes back as far as its level
    np.testing.assert_allclose(centred(GRID, m, large, chosen)[0][:, 0], [2.0, 9.0, 1.0, 0.9])

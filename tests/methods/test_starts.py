"""Several starts: they are compared first, and the run is that from the best."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from solving import solve, trace

import zoo_opt as zo
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt.testing import sphere

STARTS = np.array([[3.0, 3.0], [1.0, -1.0], [-4.0, 2.0], [0.5, 9.0]])
METHODS = {
    "spsa": zo.SPSA(lr=0.01),
    "cma-es": zo.CMAES(),
    "quasi-newton": zo.QuasiNewton(bounds=(-9, 9)),
    "auto": zo.Auto(),
    "subspace": zo.RandomSubspace(zo.SPSA(lr=0.01), dim=1),
}


def points(x0, method, budget, **options):
    return trace(zo.Optimizer(method, x0, rng=5, budget=budget, **options), sphere)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_run_is_that_from_the_best(method):
    several, one = points(STARTS, method, 64), points(STARTS[1], method, 60)
    assert np.array_equal(several[:4], STARTS) and np.array_equal(several[4:], one)


def test_with_bounds_scales_and_fixed_variables():
    options = {"bounds": [(-9, 9), (2, 2)], "x_scale": 4.0}
    starts = [[3.0, 2.0], [1.0, 2.0], [-4.0, 2.0]]
    several, one = points(starts, "spsa", 63, **options), points(starts[1], "spsa", 60, **options)
    assert np.array_equal(several[3:], one)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 1.0, 2.0], 1),
        ([3.0, 1.0, 1.0], 1),
        ([math.nan, math.inf, 2.0], 2),
        ([math.nan, math.inf, math.nan], 1),
        ([math.nan] * 3, 0),
    ],
)
def test_which_is_the_best(losses, best):
    opt = zo.Optimizer("spsa", STARTS[:3], rng=0)
    opt.ask()
    for k in (2, 0, 1):  # in any order
        opt.tell(k, losses[k])
    assert np.array_equal(opt.mean, STARTS[best]) and (opt.nit, opt.nfev) == (1, 3)


# ------------------------------------------------------------------------------------------------------------ the race
def halving(losses, evaluations):
    """Algorithm 1 of Karnin, Koren and Somekh on a table of losses by step: who is evaluated in each, and who wins."""
    left, steps, regret = list(range(len(losses[0]))), [], {k: [] for k in range(len(losses[0]))}
    rounds = int(np.ceil(np.log2(len(left))))
    for _ in range(rounds):
        for _ in range(max(1, evaluations // (len(left) * rounds))):
            row = losses[len(steps)]
            steps.append(list(left))
            least = min([row[k] for k in left if np.isfinite(row[k])], default=0.0)
            for k in left:
                if np.isfinite(row[k]):
                    regret[k].append(row[k] - least)
        order = sorted(left, key=lambda k: np.mean(regret[k]) if regret[k] else np.inf)
        left = sorted(order[: -(-len(left) // 2)])
    return steps, order[0]


@settings(deadline=None, max_examples=60)
@given(
    k=st.integers(2, 9), evaluations=st.integers(1, 80), seed=st.integers(0, 10**6), fail=st.sampled_from([0, 0.2, 1])
)
def test_the_race_is_sequential_halving(k, evaluations, seed, fail):
    rng = np.random.default_rng(seed)
    starts, losses = rng.normal(size=(k, 2)), rng.normal(size=(200, k)).round(1)
    losses[rng.random(losses.shape) < fail] = np.nan
    steps, best = halving(losses, evaluations)
    opt = zo.Optimizer(SeveralStarts(zo.SPSA(), starts, evaluations), starts[0], rng=seed)
    first = {}
    for left, row in zip(steps, losses, strict=False):
        asked = opt.ask()
        assert np.array_equal(asked.X, starts[left])
        assert asked.of == [first.get(start) for start in left]
        first = {**dict(zip(left, asked.ids, strict=True)), **first}
        opt.tell(asked, row[left])
    assert np.array_equal(opt.mean, starts[best]) and opt.nfev == sum(map(len, steps))


def test_more_evaluations_find_the_better_of_noisy_starts():
    rng = np.random.default_rng(0)
    starts = np.array([[float(k)] for k in (3, 2, 1, 0.5, 4, 5, 6, 7)])

    def wins(evaluations):
        found = 0
        for seed in range(40):
            opt = zo.Optimizer(SeveralStarts(zo.SPSA(), starts, evaluations), starts[0], rng=seed)
            while not len(opt.state.told) or opt.state.left:
                opt.tell(asked := opt.ask(), asked.X[:, 0] + rng.normal(size=len(asked)))
            found += float(opt.mean[0]) == 0.5
        return found

    assert wins(400) > wins(None) + 5


def test_a_race_within_the_budget():
    for budget in (3, 7, 20, 60):
        method = SeveralStarts(zo.SPSA(), STARTS, 24)
        opt = solve(zo.Optimizer(method, STARTS[0], rng=0, budget=budget), sphere)
        assert opt.nfev <= budget
        assert opt.method.evaluations == (24 if budget > 24 else None)


def test_a_budget_for_few(tmp_path):
    res = zo.minimize(sphere, STARTS, budget=2, rng=0, checkpoint=tmp_path / "run.zoo")
    assert (res.nfev, res.fun) == (2, 2.0) and np.array_equal(res.x, STARTS[1])


def test_resumes_between_the_starts(tmp_path):
    whole = points(STARTS, "cma-es", 40)
    opt = zo.Optimizer("cma-es", STARTS, rng=5, budget=40)
    opt.tell(opt.ask()[1:], [sphere(x) for x in opt.ask()[1:]])
    opt.save(tmp_path / "run.zoo")
    opt = solve(zo.Optimizer.load(tmp_path / "run.zoo"), sphere)
    assert np.array_equal(opt.mean, whole[-1])


def test_of_a_space():
    space = zo.Space(a=zo.Float(-10, 10), n=zo.Int(0, 9))
    opt = zo.Optimizer("cma-es", [space.at(a=5.0, n=3), space.at(n=7)], rng=0)
    assert opt.ask().params == [{"a": 5.0, "n": 3}, {"a": 0.0, "n": 7}]
    assert zo.Optimizer("cma-es", [space, space.at(n=7)], rng=0).ask().params[0] == space.at().params
    res = zo.minimize(lambda p: p["a"] ** 2 + p["n"], [space.at(a=5.0), space.at(n=0)], budget=200, rng=0)
    assert res.params["n"] == 0 and abs(res.params["a"]) < 0.1


test_errors = refused(
    lambda x0, options: zo.Optimizer("spsa", x0, **options),
    ((STARTS, {"bounds": (-5, 5)}), r"x0\[3\] must lie inside bounds, got x0\[3\]\[1\] = 9.0 outside \[-5.0, 5.0\]"),
    (([[1.0, math.nan], [1.0, 2.0]], {}), r"x0\[0\] must be finite"),
    ((np.zeros((0, 2)), {}), "x0 must be a non-empty 1-D array"),
    ((np.zeros((2, 2, 2)), {}), "x0 must be a non-empty 1-D array"),
    ((STARTS, {"lookahead": 1}), "lookahead must be 0 for SeveralStarts"),
    (([zo.Space(a=zo.Bool()).at(), zo.Space(b=zo.Bool()).at()], {}), "x0 must be points of one space"),
)

"""Failed evaluations: what each method does with them, and that a third of them failing at random costs little."""

import math

import numpy as np
import pytest
from solving import advance, solve

import zoo_opt as zo
from zoo_opt.testing import Case, sphere

D = 10
X0 = np.ones(D)
NAN, INF = math.nan, math.inf


# ------------------------------------------------------------------------------- 30 % failing, the sphere in 10-D
SOLVERS = {  # name -> the method for a budget, which schedules may need
    "spsa": lambda budget: zo.SPSA(lr=0.03, c=1e-3),
    "spsa-gc": lambda budget: zo.SPSAGC(lr=0.003, c=1e-3),
    "spsa-geass": lambda budget: zo.SPSAGEASS(lr=0.003, c=1e-3, threshold=0),
    "bar": lambda budget: zo.BAR(lr=0.1, c=1e-6),
    "fzoo": lambda budget: zo.FZOO(lr=zo.Cosine(5e-5, 5e-12, steps=max(1, budget // 9)), c=1e-4),
    "cma-es": lambda budget: zo.CMAES(),
    "sep-cma-es": lambda budget: zo.SepCMAES(),
    "subspace": lambda budget: zo.RandomSubspace(zo.CMAES(), dim=D),
}


def final_loss(method, budget, seed, failing=0.0):
    """The loss at the mean after ``budget`` evaluations, of which a part fails by a coin that has its own seed."""
    coin = np.random.default_rng([seed, 99])
    opt = zo.Optimizer(method, X0, rng=seed, budget=budget)
    return sphere(solve(opt, lambda x: NAN if coin.random() < failing else sphere(x)).mean)


@pytest.mark.parametrize("name", SOLVERS)
def test_thirty_percent_failing_costs_at_most_twice_the_budget(name):
    """Median of 11 seeds: at most ten times the loss without failures, or below 1e-10."""
    budget, make = 2000, SOLVERS[name]
    plain = np.median([final_loss(make(budget), budget, seed) for seed in range(11)])
    failing = np.median([final_loss(make(2 * budget), 2 * budget, seed, failing=0.3) for seed in range(11)])
    assert plain < 1e-2 * sphere(X0), "the method does not work here even without failures"
    assert failing <= max(10 * plain, 1e-10), f"{failing:.2e} with failures, {plain:.2e} without"


# --------------------------------------------------------------------------------------------- the rule of each method
def step(method, losses, x0=X0):
    """The state before and after one step with these losses."""
    opt = zo.Optimizer(method, x0, rng=3)
    before, batch = opt.state, opt.ask()
    opt.tell(batch, losses)
    return opt, before, batch.X


@pytest.mark.parametrize("lost", [[NAN, 1.0], [1.0, NAN], [NAN, NAN], [INF, 1.0], [1.0, INF], [INF, INF], [INF, NAN]])
def test_a_pair_drops_with_either_probe(lost):
    opt, _, X = step(zo.SPSA(pairs=3, lr=0.1, c=0.1), [3.0, 1.0, *lost, 2.0, 2.5])
    delta = (X[0::2] - X[1::2]) / 0.2
    expected = X0 - 0.1 * (2.0 / 0.2 / delta[0] - 0.5 / 0.2 / delta[2]) / 2  # the mean of the two that are left
    np.testing.assert_allclose(opt.mean, expected, rtol=1e-9)


@pytest.mark.parametrize("method", [zo.SPSA(), zo.SPSAGC(), zo.BAR(directions=1)], ids=repr)
def test_a_step_without_a_difference_is_skipped(method):
    opt, before, _ = step(method, [1.0, NAN])
    assert opt.state is before and opt.nit == 1


def test_momentum_rests_while_steps_are_skipped():
    """After a skipped step SPSA-GC goes on with the momentum that it had: phi does not drift."""
    opt = zo.Optimizer(zo.SPSAGC(lr=0.1, c=0.1), X0, rng=0)
    opt.tell(opt.ask(), [2.0, 1.0])
    x, m = opt.state.x.copy(), opt.state.m.copy()
    opt.tell_failed(opt.ask())
    assert np.array_equal(opt.state.x, x) and np.array_equal(opt.state.m, m) and m.any()


@pytest.mark.parametrize("base", [NAN, INF])
@pytest.mark.parametrize("method", [zo.BAR(directions=5), zo.FZOO(directions=5)], ids=repr)
def test_a_one_sided_step_is_lost_with_its_base(method, base):
    opt, before, _ = step(method, [base, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert opt.state is before


def test_bar_averages_over_the_survivors():
    opt, _, X = step(zo.BAR(lr=0.1, c=0.1, directions=3), [1.0, 2.0, NAN, 0.5])
    u = (X[1:] - X[0]) / 0.1
    np.testing.assert_allclose(opt.mean, X0 - 0.1 * D / 2 * (10.0 * u[0] - 5.0 * u[2]), rtol=1e-9)


def test_fzoo_needs_three_directions():
    losses = [1.0, 1.5, 2.0, 0.7, NAN, INF]
    opt, _, X = step(zo.FZOO(lr=0.01, c=0.1, directions=5), losses)
    u, alive = (X[1:4] - X[0]) / 0.1, np.array(losses[1:4])
    expected = X0 - 0.01 * (alive - 1.0) @ u / (0.1 * 3) / alive.std(ddof=1)
    np.testing.assert_allclose(opt.mean, expected, rtol=1e-9)
    opt, before, _ = step(zo.FZOO(directions=5), [1.0, 1.5, 2.0, NAN, NAN, INF])
    assert opt.state is before


def test_fzoo_on_flat_ground_stays():
    opt, _, _ = step(zo.FZOO(directions=5), [1.0] * 6)
    assert np.array_equal(opt.mean, X0)


def test_a_skipped_step_is_no_strike():
    opt = zo.Optimizer(zo.SPSAGEASS(threshold=1.0, strikes=3, cooldown=2), X0, rng=0)
    for losses, strikes in (([1, 1], 1), ([1, NAN], 1), ([1, 1], 2), ([NAN, NAN], 2), ([9, 1], 0), ([1, 1], 1)):
        opt.tell(opt.ask(), [float(loss) for loss in losses])
        assert opt.state.gains.strikes == strikes


@pytest.mark.parametrize("method", [zo.CMAES(popsize=8), zo.SepCMAES(popsize=8)], ids=["full", "sep"])
def test_evolution_ranks_the_survivors_alone(method):
    """Where the failed candidates stand among the others makes no difference."""
    opt, _, X = step(method, [4.0, 1.0, NAN, 3.0, 2.0, NAN, 5.0, NAN])
    order = [1, 4, 3, 0, 6]
    other, _, _ = step(method, [4.0, 1.0, None, 3.0, 2.0, NAN, INF, NAN])
    assert np.array_equal(opt.mean, other.mean)
    assert np.linalg.lstsq((X[order] - X0).T, opt.mean - X0)[1].sum() < 1e-20  # a combination of survivors


@pytest.mark.parametrize(
    ("method", "losses", "last", "best"),
    [
        (zo.CMAES(popsize=10, sigma0=0.5), [NAN, 2.0, 1.0, NAN, 5.0, 3.0, 4.0, NAN, 6.0, 7.0], 4.0, [2, 1, 5]),
        (zo.SepCMAES(popsize=8), [NAN, 2.0, NAN, NAN, 1.0, NAN, NAN, NAN], 5.0, [4, 1]),
        (zo.CMAES(popsize=6), [NAN, NAN, 3.0, NAN, NAN, NAN], 2.0, [2]),
    ],
)
def test_weights_are_those_of_the_survivors(method, losses, last, best):
    """CMA-ES: ln((7 + 1) / 2) - ln i of seven; sep-CMA-ES: ln(mu + 1) - ln i of mu = 4; one survivor is the mean."""
    opt, _, X = step(method, losses)
    w = np.log(last) - np.log(np.arange(len(best)) + 1)
    np.testing.assert_allclose(opt.mean, w / w.sum() @ X[best], rtol=1e-12)
    assert opt.stop() == {}


@pytest.mark.parametrize("losses", [[1.0] + [INF] * 7, [1.0] + [NAN] * 7, [INF] * 8, [INF, INF] + [NAN] * 6])
@pytest.mark.parametrize("method", [zo.CMAES(popsize=8), zo.SepCMAES(popsize=8)], ids=["full", "sep"])
def test_one_finite_loss_is_no_convergence(method, losses):
    """A constrained problem starts like this: the run must not end for a range of losses of 0."""
    opt, _, _ = step(method, losses)
    assert opt.stop() == {}
    if losses[0] == 1.0 and losses[1] != losses[1]:  # nor is one survivor after another flat ground
        for loss in (2.0, 3.0, 2.5):
            opt.tell(opt.ask(), [loss, *losses[1:]])
            assert opt.stop() == {}


@pytest.mark.parametrize("failing", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("popsize", [10, 100])
def test_covariance_stays_positive_definite(popsize, failing):
    """The negative weights of few survivors are bounded for the learning rates of the whole population."""
    rng = np.random.default_rng(0)
    opt = zo.Optimizer(zo.CMAES(popsize=popsize, lazy=1e-9), X0, rng=0)
    for _ in range(60):
        advance(opt, lambda x: NAN if rng.random() < failing else sphere(x))
        values = np.linalg.eigvalsh(opt.state.distribution.C)
        assert values[0] > (1e-3 if failing < 0.9 else 0.0) * values[-1]


def test_failures_are_not_charged_to_neighbours():
    """A region that fails is left out of the ranking, not ranked as worst: the search along it is not pushed away."""
    means = []
    for bad in (NAN, INF):
        opt = zo.Optimizer(zo.CMAES(), np.zeros(2), rng=0)
        means.append(advance(opt, lambda x, bad=bad: bad if x[0] > 0.2 else 0.01 * x[1], 3).mean[0])
    assert means[1] < means[0]


def test_solve_reports_failures():
    case = Case("fzoo", zo.FZOO(), evaluations=90)
    opt = case.solve(lambda x: NAN)
    assert (opt.nfev, opt.nfail, opt.nit) == (90, 90, 10) and np.array_equal(opt.mean, case.x0())


@pytest.mark.parametrize("method", [zo.CMAES(sigma0=0.5), zo.SepCMAES(sigma0=0.5)], ids=["cma-es", "sep-cma-es"])
def test_an_infeasible_start_is_left(method):
    """Losses of +inf are no flat ground: the run goes on until something is feasible."""
    opt = zo.Optimizer(method, np.full(3, 2.0), rng=0, budget=4000)  # two standard deviations away
    generations = 0
    while not opt.stop():
        advance(opt, lambda x: sphere(x) if x[0] < 1.0 else INF)
        generations += opt.best.x is None
    assert generations > 2 and opt.best.loss < 1e-6

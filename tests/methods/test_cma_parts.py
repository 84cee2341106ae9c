"""Restarts, noise handling and choices of the CMA-ES: each rule by hand, on both sides of its thresholds."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.core.keys import NOISE, RESTART, Key, generator
from zoo_opt.methods.cma.full import FullDistribution
from zoo_opt.methods.cma.learning_rate import Rate
from zoo_opt.methods.cma.levels.choices import Categorical, _with_margin, adapted, first_categorical, sample
from zoo_opt.methods.cma.noise import Repeats
from zoo_opt.methods.cma.quadratic_model import Archive
from zoo_opt.methods.cma.restarts import FIRST, LARGE, SMALL, Regime, Run, RunEnd, next_run, regime, small_popsize
from zoo_opt.methods.cma.uncertainty import Uncertainty, uncertainty_measure
from zoo_opt.methods.grid import Grid

KEY = Key(1, 2)
NAN = math.nan


# ------------------------------------------------------------------------------------------------------------ restarts
@pytest.mark.parametrize(
    ("policy", "ended", "following"),
    [
        ("ipop", [(FIRST, 9)], Regime(LARGE, 1, 0)),
        ("ipop", [(FIRST, 9), (LARGE, 50)], Regime(LARGE, 2, 50)),
        ("bipop", [(FIRST, 9)], Regime(LARGE, 1, 0)),
        ("bipop", [(FIRST, 9), (LARGE, 10)], Regime(SMALL, 1, 10)),
        ("bipop", [(FIRST, 9), (LARGE, 9)], Regime(LARGE, 2, 9)),  # level: a large one
        ("bipop", [(FIRST, 9), (LARGE, 20), (SMALL, 10)], Regime(SMALL, 1, 20)),
        ("bipop", [(FIRST, 9), (LARGE, 20), (SMALL, 11), (LARGE, 5)], Regime(SMALL, 2, 25)),
    ],
)
def test_which_kind_of_run_is_next(policy, ended, following):
    assert regime(policy, ended) == following


def test_what_the_next_run_is_started_with():
    log = (RunEnd(Run(8, 0.5, 300), 4, 90),)
    assert next_run("ipop", log, None) == Run(16, 0.5, 300, LARGE)
    log = (*log, RunEnd(Run(16, 0.5, 300, LARGE), 9, 1000))
    u_popsize, u_sigma = generator(KEY, 3, RESTART).random(2)
    popsize = int(8 * 2 ** (u_popsize**2))
    small = next_run("bipop", log, generator(KEY, 3, RESTART))
    assert (small.popsize, small.kind) == (popsize, SMALL) and small.generations == 1000 // (2 * popsize)
    assert small.sigma0 == pytest.approx(0.5 * 100**-u_sigma)
    brief = (log[0], RunEnd(Run(16, 0.5, 300, LARGE), 9, 91))
    assert next_run("bipop", brief, generator(KEY, 3, RESTART)).generations == 91 // (2 * popsize)
    first = (RunEnd(Run(8, 0.5, 3), 4, 90), log[1])
    assert next_run("bipop", first, generator(KEY, 3, RESTART)).generations == 3
    tiny = (RunEnd(Run(80, 0.5, 300), 4, 1), RunEnd(Run(160, 0.5, 300, LARGE), 9, 2))
    assert next_run("bipop", tiny, generator(KEY, 3, RESTART)).generations == 1
    assert [small_popsize(8, 3, u) for u in (0.0, 0.5, 0.999)] == [8, int(8 * 8**0.25), int(8 * 8**0.998001)]


# -------------------------------------------------------------------------------------------------------- uncertainty
UH = zo.UncertaintyHandling()


@pytest.mark.parametrize(
    ("memory", "measure", "s", "growth", "widen"),
    [
        (Uncertainty(), NAN, NAN, 1.0, 1.0),
        (Uncertainty(), 0.5, 0.5, 1.2, 1.0),
        (Uncertainty(growth=29.0), 0.5, 0.5, 30.0, 1.0),
        (Uncertainty(growth=30.0), 0.5, 0.5, 30.0, 1 + 2 / 14),
        (Uncertainty(growth=2.0), 0.0, 0.0, 1.6, 1.0),
        (Uncertainty(growth=1.1), -1.0, -1.0, 1.0, 1.0),
        (Uncertainty(s=9.0), 0.5, 0.5, 1.2, 1.0),
    ],
)
def test_the_answer_to_a_measure(memory, measure, s, growth, widen):
    after = UH._answer(memory, measure, 4)
    assert [after.s, after.growth, after.widen] == pytest.approx([s, growth, widen], nan_ok=True)


def test_measures_are_averaged_and_sigma_is_widened_as_said():
    slow = zo.UncertaintyHandling(c_s=0.25, widen=1.5, limit=2.0)
    assert slow._answer(Uncertainty(s=-1.0), 2.0, 4).s == pytest.approx(-0.25)
    assert slow._answer(Uncertainty(s=1.0, growth=2.0), 2.0, 4).widen == 1.5
    dist = distribution()
    assert UH.adjust(Uncertainty(), dist, dist)[1] is dist
    assert UH.adjust(Uncertainty(widen=1.5), dist, dist)[1].sigma == 0.5 * 1.5
    state = SimpleNamespace(noise=Uncertainty(growth=1.44), run=SimpleNamespace(popsize=10))
    assert UH.popsize(state) == 14


def uncertain(memory, popsize=5):
    return SimpleNamespace(noise=memory, run=SimpleNamespace(popsize=popsize), key=KEY)


def test_which_candidates_are_evaluated_again():
    """A part of them, what is left over is carried on; the first that have not failed."""
    X, losses = np.arange(10.0).reshape(5, 2), [NAN, 3.0, 1.0, 2.0, 4.0]
    handling = zo.UncertaintyHandling(ratio=0.3)
    memory, values = handling.observe(uncertain(Uncertainty(carry=0.75)), X, losses, 3)  # 0.75 + 1.5
    assert memory.repeats.rows == (1, 2) and memory.repeats.X.tolist() == X[[1, 2]].tolist()
    assert memory.carry == pytest.approx(0.25) and values == losses and memory.repeats.size == 5
    assert repr(memory.repeats.losses) == repr(tuple(losses)) and math.isnan(memory.s)
    none, _ = handling.observe(uncertain(Uncertainty(carry=-0.75)), X, losses, 3)
    assert none.repeats is None and none.carry == 0.75
    known, _ = handling.observe(uncertain(Uncertainty(sem=(1.0, NAN, 1.0, 1.0, 1.0))), X, losses, 3)
    assert known.repeats is None and math.isnan(known.s) and known.sem == () and known.carry == 0.0


def test_the_measure_is_taken_from_repeats_or_standard_errors():
    X = np.zeros((7, 2))
    earlier = Repeats(X[:2], (3, 1), (5.0, 1.0, 2.0, 3.0, 4.0), 5)
    state = uncertain(Uncertainty(repeats=earlier, widen=1.5))
    memory, values = UH.observe(state, X, [1.0, 2.0, 3.0, 4.0, 5.0, 0.5, 9.0], 3)
    again = np.array([NAN, 9.0, NAN, 0.5, NAN])
    assert memory.s == uncertainty_measure(np.array(earlier.losses), again, 0.2) and memory.widen == 1.0
    assert values == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert memory.repeats is None and memory.carry == pytest.approx(0.5)
    losses, sem = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.1, 9.0, 0.1, 5.0, 0.1])
    known, _ = UH.observe(uncertain(UH.with_errors(state, sem.tolist())), X[:5], losses.tolist(), 3)
    second = losses + math.sqrt(2) * sem * generator(KEY, 3, NOISE).standard_normal(5)
    assert known.s == uncertainty_measure(losses, second, 0.2) and known.repeats is None


# ------------------------------------------------------------------------------------------------------ learning rates
def test_a_learning_rate_by_hand():
    rates = zo.LearningRateAdaptation(gamma=0.5)
    first = rates._adapted(Rate(0.5, np.zeros(2)), np.array([3.0, 4.0]), 0.2)
    assert first.E.tolist() == pytest.approx([0.6, 0.8]) and pytest.approx(5.0) == first.V
    snr = (1.0 - 0.2 / 1.8 * 5.0) / (5.0 - 1.0)
    assert first.eta == pytest.approx(0.5 * math.exp(min(0.25, 0.2) * (snr / (1.4 * 0.5) - 1)))
    second = rates._adapted(first, np.array([-3.0, 4.0]), 0.2)
    assert second.E.tolist() == pytest.approx([0.8 * 0.6 - 0.6, 0.8 * 0.8 + 0.8]) and pytest.approx(9.0) == second.V
    against = rates._adapted(Rate(0.5, np.array([-0.75, -1.0]), 5.0), np.array([3.0, 4.0]), 0.2)
    assert against.eta == pytest.approx(0.5 * math.exp(-0.2))  # no less than that
    still = rates._adapted(Rate(0.5, np.zeros(2)), np.zeros(2), 0.2)
    assert (still.eta, still.V) == (0.5, 0.0)
    high = rates._adapted(Rate(0.95, np.array([3.0, 3.9]), 25.0), np.array([3.0, 4.0]), 0.2)
    assert high.eta == 1.0


# ----------------------------------------------------------------------------------------------------- quadratic model
def distribution(n=2):
    D = np.array([1.0, 2.0])[:n]
    return FullDistribution(
        m=np.ones(n), sigma=0.5, C=np.diag(D**2), B=np.eye(n), D=D, p_sigma=np.zeros(n), p_c=np.zeros(n), stale=0
    )


MODEL = zo.QuadraticModel()


def test_the_model_looks_back_on_so_many_points():
    """4 for each of 2 d + 1 coefficients; those that failed are not among them."""
    archive = Archive(np.arange(36.0).reshape(18, 2), np.arange(18.0))
    state = SimpleNamespace(noise=archive, distribution=distribution())
    X = np.arange(100.0, 108.0).reshape(4, 2)
    after, _ = MODEL.observe(state, X, [1.0, NAN, 2.0, 3.0], 1)
    assert len(after.X) == 20 and after.losses[-4:].tolist() == [17.0, 1.0, 2.0, 3.0]
    assert after.X[-2:].tolist() == X[2:].tolist() and after.X[0].tolist() == archive.X[1].tolist()
    few, values = MODEL.observe(replace_noise(state, 2), X, [1.0, NAN, 2.0, 3.0], 1)
    assert len(few.X) == 5 and repr(values) == repr([1.0, NAN, 2.0, 3.0])  # 7 are needed
    assert MODEL._fitted(Archive(X[:1].repeat(6, 0), np.arange(6.0)), distribution()) is None
    assert MODEL._fitted(Archive(X[:1].repeat(7, 0), np.arange(7.0)), distribution()) is not None


def replace_noise(state, n):
    return SimpleNamespace(noise=Archive(state.noise.X[:n], state.noise.losses[:n]), distribution=state.distribution)


@pytest.mark.parametrize(
    ("slope", "curvature", "z"),
    [
        ([-1.0, 0.5], [2.0, 1.0], [0.25, -0.25]),
        ([-1.0, 0.0], [-3.0, 1.0], [2.0, 0.0]),  # no minimum: two at most
        ([0.0, 0.0], [1.0, 1.0], None),
        ([-1.9e-3, 0.0], [1.0, 1.0], None),  # too near
        ([-2.1e-3, 0.0], [1.0, 1.0], [1.05e-3, 0.0]),
        ([-1.0, 1.0], [-3.0, -3.0], [(math.sqrt(2) + 1) / math.sqrt(2), -(math.sqrt(2) + 1) / math.sqrt(2)]),
    ],
)
def test_the_minimiser_of_the_model(slope, curvature, z, monkeypatch):
    monkeypatch.setattr(zo.QuadraticModel, "_fitted", lambda *_: np.array([0.0, *slope, *curvature]))
    got = MODEL.injected(SimpleNamespace(noise=None, distribution=distribution()))
    assert (got is None) == (z is None)
    if z is not None:
        np.testing.assert_allclose(got, z, rtol=1e-9, atol=1e-12)


def test_ranks_are_those_of_loss_and_model_in_part(monkeypatch):
    """The model falls along the first coordinate: ranks 3, 1, 0 where the losses have 0, 1, 2."""
    monkeypatch.setattr(zo.QuadraticModel, "_fitted", lambda *_: np.array([0.0, -1.0, 0.0, 0.0, 0.0]))
    X = np.array([[0.0, 1.0], [9.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    trusting = zo.QuadraticModel(trust=0.25)
    values = trusting.ranking_values(None, distribution(), X, [5.0, NAN, 6.0, 7.0])
    assert repr(values) == repr([0.5, NAN, 1.0, 1.5])
    assert repr(MODEL.ranking_values(None, distribution(), X, [NAN] * 4)) == repr([NAN] * 4)


# ------------------------------------------------------------------------------------------------------------- choices
GRID = Grid(6, ((5, (0.0, 1.0)),), ((0, 3), (3, 2)))  # choices of 3, 2 and 2


def test_the_first_distribution_is_half_uniform():
    first = first_categorical(GRID, np.array([0.0, 2.0, 2.0, -1.0, 3.0, 0.0, 0.0]))
    assert first.q.tolist() == pytest.approx([1 / 6, 5 / 12, 5 / 12, 0.25, 0.75, 0.5, 0.5])
    assert first.s.tolist() == [0.0] * 4 and (first.gamma, first.Delta) == (0.0, 1.0)


def test_choices_are_drawn_where_the_sum_of_probabilities_passes():
    q = np.array([0.2, 0.5, 0.3, 0.6, 0.4, 0.5, 0.5])
    u = generator(KEY, 1).random((50, 3))
    C = sample(GRID, q, generator(KEY, 1), 50)
    for row, (a, b, c) in zip(C, u, strict=True):
        expected = [a < 0.2, 0.2 <= a < 0.7, a >= 0.7, b < 0.6, b >= 0.6, c < 0.5, c >= 0.5]
        assert row.tolist() == list(map(float, expected))
    short = np.array([0.1, 0.1, 0.1, 0.6, 0.4, 0.5, 0.5])  # rounding may leave a sum below 1: then it is the last
    assert (sample(GRID, short, generator(KEY, 1), 50)[:, :3].sum(axis=1) == 1.0).all()


def test_the_step_of_the_distribution_by_its_fisher_matrix():
    q = np.array([0.2, 0.5, 0.3, 0.6, 0.4, 0.5, 0.5])
    before = Categorical(q, np.array([0.1, -0.2, 0.3, 0.0]), 0.3, 2.5)
    C = np.array([[1, 0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1, 0]], float)
    w, alpha = np.array([0.75, 0.25]), 0.05
    gradient = w @ (C - q)
    free = [0, 1, 3, 5]  # of each choice all alternatives but the last
    F = np.zeros((4, 4))
    for rows, last in (((0, 1), 2), ((2,), 4), ((3,), 6)):
        part = np.ix_(rows, rows)
        F[part] = np.diag(1 / q[[free[i] for i in rows]]) + 1 / q[last]
    length = math.sqrt(gradient[free] @ F @ gradient[free])
    after = adapted(GRID, before, C, w, alpha)
    expected = q + gradient / 2.5 / length
    for part, k in ((slice(0, 3), 3), (slice(3, 5), 2), (slice(5, 7), 2)):
        np.testing.assert_allclose(after.q[part], _with_margin(expected[part], alpha / (k - 1)), rtol=1e-6)
        assert after.q[part].sum() == pytest.approx(1.0)
    beta = 1 / (2.5 * 2)
    assert after.gamma == pytest.approx((1 - beta) ** 2 * 0.3 + beta * (2 - beta))
    whitened = (after.s - (1 - beta) * before.s) / math.sqrt(beta * (2 - beta))
    assert whitened @ whitened == pytest.approx(1.0, rel=1e-6)
    assert after.Delta == pytest.approx(2.5 * math.exp(beta * (after.gamma - after.s @ after.s / 1.5)))
    assert before.q.tolist() == q.tolist()
    small = adapted(GRID, replace(before, Delta=0.4, s=np.full(4, 9.0)), C, w, alpha)
    assert small.Delta == 0.5  # no less than 1 / sqrt(4)


def test_what_is_left_to_each_alternative():
    """What it gets is taken from the others in proportion to what they have above it."""
    assert _with_margin(np.array([0.0, 0.4, 0.6]), 0.1).tolist() == pytest.approx([0.1, 0.3625, 0.5375])
    assert _with_margin(np.array([0.3, 0.3, 0.4]), 0.1).tolist() == pytest.approx([0.3, 0.3, 0.4])
    assert _with_margin(np.array([0.2, 0.2]), 0.5).tolist() == [0.5, 0.5]

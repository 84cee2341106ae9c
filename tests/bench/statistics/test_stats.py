"""Statistics against values worked out by hand, and what must hold of any runs."""

import math

import numpy as np
import pytest
from bench.runs import run, tables
from hypothesis import given
from hypothesis import strategies as st

from zoo_opt.bench.statistics import stats
from zoo_opt.bench.statistics.group_parts import coco_problem, subgroups
from zoo_opt.bench.statistics.hits import hits_of, units


def test_ecdf_by_hand():
    budgets, fractions = stats.ecdf([run(hits=[2, 10, None]), run(hits=[2, None, None], seed=2)])
    assert budgets.tolist() == [1.0, 5.0]
    assert fractions.tolist() == pytest.approx([2 / 6, 3 / 6])
    assert [len(a) for a in stats.ecdf([run(hits=[None])])] == [0, 0]


def test_fraction_reached_by_hand():
    assert stats.fraction_reached([run(hits=[2, 10, None]), run(hits=[4, 100])]) == pytest.approx(4 / 5)
    assert np.isnan(stats.fraction_reached([run()]))


def test_area_by_hand():
    # of four triples: at once 1, at 10 of 100 a half, at the end 0, never 0
    assert stats.ecdf_area([run(hits=[1, 10, 100, None])]) == pytest.approx(1.5 / 4)
    assert np.isnan(stats.ecdf_area([run()]))


def test_quartiles_agree_with_numpy_and_survive_infinities():
    values = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_allclose(stats.quartiles(values), np.quantile(values, [0.25, 0.5, 0.75], axis=0))
    assert tuple(stats.quartiles([1.0, np.inf, np.inf, np.inf])) == (np.inf, np.inf, np.inf)
    assert stats.quartiles([1.0, 2.0, np.inf])[1] == 2.0


def test_band_holds_the_last_value_and_begins_where_all_have_begun():
    band = stats.curve_band([run(curve=[(1, 8.0), (4, 2.0)]), run(curve=[(2, 6.0), (4, 4.0), (9, 0.0)])])
    assert band.evaluations.tolist() == [2, 4, 9]
    assert band.median.tolist() == [7.0, 3.0, 1.0]
    assert band.low.tolist() == [6.5, 2.5, 0.5]


def test_held_reads_null_as_infinite():
    assert stats.curve_at([(1, 3.0), (5, None)], [0, 1, 4, 5, 6]).tolist()[1:] == [3.0, 3.0, np.inf, np.inf]


def test_geometric_mean_by_hand():
    assert stats.geometric_mean([1e-2, 1e2]) == pytest.approx(1.0)
    assert stats.geometric_mean([0.0, 1.0], floor=1e-8) == pytest.approx(1e-4)


def table_by_hand():
    return [
        run("a", "p", 1, hits=[10, None], final=1.0),
        run("a", "p", 2, hits=[10, 20], final=3.0),
        run("a", "q", 1, hits=[None, None], final=100.0),
        run("b", "p", 1, hits=[1, 1], final=0.5),
        run("b", "q", 1, hits=[1, 1], final=0.5),
        run("b", "q", 2, hits=[None, None], final=0.5, error="it broke"),
    ]


def test_rows_by_hand():
    table = {(r.problem, r.method): r for r in stats.rows(table_by_hand())}
    first = table["p", "a"]
    assert (first.low, first.median, first.high) == (1.5, 2.0, 2.5)
    assert (first.mean, first.sd, first.reached) == (2.0, pytest.approx(math.sqrt(2)), 0.75)
    assert math.isnan(table["q", "a"].sd)
    broken = table["q", "b"]
    assert (broken.seeds, broken.errors, broken.evaluations) == (1, 1, 100) and math.isnan(broken.sd)
    assert (broken.median, broken.mean) == (math.inf, math.inf)  # a run that failed counts


def test_summaries_by_hand():
    b, a = stats.summaries(table_by_hand())
    assert (b.method, b.reached, b.score, b.errors) == ("b", 4 / 6, math.inf, 1)
    assert (a.method, a.reached, a.runs, a.problems, a.all_problems, a.complete) == ("a", 0.5, 3, 2, 2, True)
    assert (a.score, a.microseconds) == pytest.approx((np.sqrt(2.0 * 100.0), 10.0))
    assert a.area == a.area_interval.estimate == pytest.approx((2 - math.log(20) / math.log(100)) / 6)
    assert (a.reached_interval.low, a.reached_interval.high) == (0.0, pytest.approx(0.75))


def test_a_method_that_ran_fewer_problems_stands_last_and_says_so():
    easy, hard = [1, 1, 1], [50, None, None]
    runs = [run("all", "easy", hits=easy), run("all", "hard", hits=hard), run("some", "easy", hits=easy)]
    found = stats.summaries(runs)
    assert [(s.method, s.problems, s.complete) for s in found] == [("all", 2, True), ("some", 1, False)]
    assert found[1].area > found[0].area


def test_negative_figures_are_averaged_as_they_are():
    def reward(problem, value):
        return run("a", problem, final=value, curve_of="cost", figures={"cost": value})

    assert stats.summaries([reward("p", -3.0), reward("q", 1.0)])[0].score == -1.0
    assert stats.summaries([reward("p", 4.0), reward("q", 1.0)])[0].score == pytest.approx(2.0)
    below_zero_by_rounding = [run("a", "p", final=-1e-13), run("a", "q", final=1.0)]
    assert stats.summaries(below_zero_by_rounding)[0].score == pytest.approx(1e-4)


def test_seeds_are_the_units_of_a_single_problem():
    assert units([run(problem="p"), run(problem="q"), run(problem="p")])[1].tolist() == [0, 1, 0]
    kind, unit = units([run(seed=5), run(seed=3), run(seed=5)])
    assert (kind, unit.tolist()) == ("seeds", [0, 1, 0])
    assert math.isnan(stats.summaries([run(hits=[1, 10])])[0].area_interval.low)


def test_hits_of_runs_with_different_numbers_of_targets():
    hits = hits_of([run(hits=[1, None]), run(hits=[5, 6, 7], error="it broke", nfev=9), run()])
    assert (hits.targets.tolist(), hits.reached.tolist()) == ([2, 3, 0], [1, 3, 0])
    assert hits.spent.tolist() == [100, 100, 100]  # a run that failed cost its budget
    assert hits_of([]).at.shape == (0, 0)


def test_a_budget_of_one_evaluation_has_no_area():
    assert stats.ecdf_area([run(hits=[1], budget=1)]) == 0.0


@given(tables())
def test_ecdf_rises_to_the_fraction_reached_whatever_the_order_of_runs(runs):
    budgets, fractions = stats.ecdf(runs)
    assert (np.diff(budgets) > 0).all() and (np.diff(fractions) > 0).all()
    if len(fractions):
        assert fractions[-1] == pytest.approx(stats.fraction_reached(runs))
    for one, other in zip(stats.ecdf(runs), stats.ecdf(runs[::-1]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 <= stats.ecdf_area(runs) <= stats.fraction_reached(runs)
    forth, back = stats.summaries(runs), stats.summaries(runs[::-1])
    assert {s.method: pytest.approx(s.area) for s in forth} == {s.method: s.area for s in back}


@given(tables(methods=("a",)))
def test_intervals_hold_their_estimate(runs):
    (found,) = stats.summaries(runs)
    for interval in (found.area_interval, found.reached_interval):
        if not math.isnan(interval.low):
            assert 0 <= interval.low <= interval.estimate + 1e-12
            assert interval.estimate <= interval.high + 1e-12 <= 1 + 2e-12
    grid = np.array([0.4, 1, 5, 50])
    low, high = stats.ecdf_band(runs, grid)
    budgets, fractions = stats.ecdf(runs)
    exact = np.concatenate([[0.0], fractions])[np.searchsorted(budgets, grid, side="right")]
    if not np.isnan(low).any():
        assert (low <= exact + 1e-12).all() and (exact <= high + 1e-12).all() and (np.diff(low) >= 0).all()


@given(st.lists(st.sampled_from(["bbob-f01-i1-d5", "bbob-f03-i1-d2", "bbob-f24-i1-d5", "digits-mlp-d9610"])))
def test_subgroups_are_parts_of_all(problems):
    runs = [run(problem=name, dim=int(name.rpartition("d")[2])) for name in problems]
    parts = subgroups(runs)
    assert parts["all"] == runs and next(iter(parts)) == "all"
    dims = {run["dim"] for run in runs}
    assert ("2-D" in parts) == (2 in dims and len(dims) > 1)
    for name, own in parts.items():
        assert all(entry in runs for entry in own), name


def test_names_of_coco_problems():
    assert coco_problem("digits-mlp-d9610") is coco_problem("bbob-f01-i1-d10-noisy") is None
    found = coco_problem("bbob-largescale-f19-i2-d160")
    assert (found.suite, found.function, found.instance, found.dim) == ("bbob-largescale", 19, 2, 160)
    kinds = [coco_problem(f"bbob-f{f:02d}-i1-d2").kind for f in (1, 5, 6, 9, 10, 14, 15, 19, 20, 24)]
    assert kinds == [kind for kind in dict.fromkeys(kinds) for _ in (0, 1)] and kinds[0] == "separable"
    noisy = [coco_problem(f"bbob-noisy-f{f}-i1-d5").kind for f in (101, 106, 107, 121, 122, 130)]
    assert noisy == ["moderate noise"] * 2 + ["severe noise"] * 2 + ["severe noise, multi-modal"] * 2

"""Statistics against values worked out by hand."""

import numpy as np
import pytest

from zoo_opt.bench import stats


def run(method="m", problem="p", seed=1, hits=(), curve=((1, 1.0),), dim=2, budget=100, final=1.0, **more):
    return {
        "group": "g", "problem": problem, "method": method, "seed": seed, "use": "spsa", "options": {},
        "hits": list(hits), "targets": [1.0] * len(hits), "dim": dim, "budget": budget, "nfev": budget,
        "curve": [list(c) for c in curve], "curve_of": "precision", "figures": {"precision": final},
        "seconds": 0.001, "error": None,
    } | more  # fmt: skip


def test_ecdf_by_hand():
    budgets, fractions = stats.ecdf([run(hits=[2, 10, None]), run(hits=[2, None, None], seed=2)])
    assert budgets.tolist() == [1.0, 5.0]
    assert fractions.tolist() == pytest.approx([2 / 6, 3 / 6])
    assert [len(a) for a in stats.ecdf([run(hits=[None])])] == [0, 0]


def test_fraction_reached_by_hand():
    runs = [run(hits=[2, 10, None]), run(hits=[4, 100])]
    assert stats.fraction_reached(runs) == pytest.approx(4 / 5)
    assert np.isnan(stats.fraction_reached([run()]))


def test_area_by_hand():
    # of four triples: at once 1, at 10 of 100 a half, at the end 0, never 0
    assert stats.ecdf_area([run(hits=[1, 10, 100, None])]) == pytest.approx(1.5 / 4)
    assert np.isnan(stats.ecdf_area([run()]))


def test_quartiles_agree_with_numpy_and_survive_infinities():
    values = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_allclose(stats.quartiles(values), np.quantile(values, [0.25, 0.5, 0.75], axis=0))
    low, median, high = stats.quartiles([1.0, np.inf, np.inf, np.inf])
    assert (low, median, high) == (np.inf, np.inf, np.inf)
    assert stats.quartiles([1.0, 2.0, np.inf])[1] == 2.0


def test_band_holds_the_last_value_and_begins_where_all_have_begun():
    band = stats.curve_band([run(curve=[(1, 8.0), (4, 2.0)]), run(curve=[(2, 6.0), (4, 4.0), (9, 0.0)])])
    assert band.evaluations.tolist() == [2, 4, 9]
    assert band.median.tolist() == [7.0, 3.0, 1.0]
    assert band.low.tolist() == [6.5, 2.5, 0.5]


def test_held_reads_null_as_infinite():
    assert stats.held([(1, 3.0), (5, None)], [0, 1, 4, 5, 6]).tolist()[1:] == [3.0, 3.0, np.inf, np.inf]


def test_geometric_mean_by_hand():
    assert stats.geometric_mean([1e-2, 1e2]) == pytest.approx(1.0)
    assert stats.geometric_mean([0.0, 1.0], floor=1e-8) == pytest.approx(1e-4)


def test_rows_and_summaries_by_hand():
    runs = [
        run("a", "p", 1, hits=[10, None], final=1.0),
        run("a", "p", 2, hits=[10, 20], final=3.0),
        run("a", "q", 1, hits=[None, None], final=100.0),
        run("b", "p", 1, hits=[1, 1], final=0.5),
        run("b", "q", 1, hits=[1, 1], final=0.5),
        run("b", "q", 2, hits=[None, None], final=0.5, error="it broke"),
    ]
    table = {(r.problem, r.method): r for r in stats.rows(runs)}
    assert table["p", "a"].median == 2.0
    assert table["p", "a"].low == 1.5
    assert table["p", "a"].reached == 0.75
    assert (table["q", "b"].seeds, table["q", "b"].errors) == (1, 1)
    b, a = stats.summaries(runs)
    assert (b.method, b.reached, b.score, b.errors) == ("b", 4 / 6, 0.5, 1)
    assert (a.method, a.reached) == ("a", 0.5)
    assert a.score == pytest.approx(np.sqrt(2.0 * 100.0))
    assert a.microseconds == pytest.approx(10.0)

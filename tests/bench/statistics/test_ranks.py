"""Methods against each other: by hand, and against scipy and statsmodels called directly."""

import math

import numpy as np
import pytest
from bench.runs import run, tables
from hypothesis import given
from refusals import raises
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from zoo_opt.bench.statistics.method_pairs import all_pairs, paired_tests
from zoo_opt.bench.statistics.pairs import holm, matched, pair_units, wilcoxon


def test_wilcoxon_is_scipys_without_the_zeros():
    gains = np.random.default_rng(1).normal(0.3, size=12)
    assert wilcoxon(gains) == scipy_stats.wilcoxon(gains).pvalue
    assert wilcoxon([*gains, 0.0, 0.0]) == wilcoxon(gains)
    assert wilcoxon([1.0, 2.0, 3.0]) == pytest.approx(0.25)  # 2 of the 2^3 signs
    assert wilcoxon([0.0, 0.0]) == 1.0
    assert math.isnan(wilcoxon([]))


def test_holm_is_statsmodels_and_leaves_nan_out():
    p = [0.01, 0.04, 0.03, 0.5]
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.5])  # 4 p1, then 3 p3 carried on to the next
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm([]) == []


def test_only_what_both_ran_is_compared():
    ours = [run("a", "p", 1), run("a", "q", 1), run("a", "r", 1, budget=50)]
    theirs = [run("b", "q", 1), run("b", "p", 2), run("b", "r", 1, budget=60)]
    x, y = matched(ours, theirs)
    assert [(r["method"], r["problem"]) for r in x + y] == [("a", "q"), ("b", "q")]


def two_methods(n=8, **more):
    """b reaches every target of problem i a factor of 2 to the i/4 sooner than a."""
    a = [run("a", f"p{i}", hits=[16, 64], budget=256, **more) for i in range(n)]
    b = [run("b", f"p{i}", hits=[16 / 2 ** (i / 4), 64 / 2 ** (i / 4)], budget=256, **more) for i in range(n)]
    return a, b


def test_gains_by_hand():
    a, b = two_methods()
    c = pair_units(a, b)
    assert (c.units, c.measure, c.names[:2]) == ("problems", "area", ("p0", "p1"))
    np.testing.assert_allclose(c.gains, [i / 4 / 8 for i in range(8)], atol=1e-12)
    assert c.gain.estimate == pytest.approx(3.5 / 32) and c.gain.low > 0
    assert c.p == pytest.approx(2 / 2**7)  # the exact test of 7 positive gains
    (paired,) = paired_tests(a + b, against="a")
    assert (paired.method, paired.against, paired.problems, paired.wins, paired.losses) == ("b", "a", 8, 7, 0)
    assert (paired.own, paired.other) == (pytest.approx(0.375 + 3.5 / 32), pytest.approx(0.375))
    assert paired.p_holm == paired.p and paired.reached == (1.0, 1.0)
    (back,) = paired_tests(a + b)  # b is the better one
    assert (back.method, back.against, back.losses, back.gain.estimate) == ("a", "b", 7, -paired.gain.estimate)


def test_without_targets_final_figures_are_compared_by_ratio():
    a = [run("a", f"p{i}", final=10.0) for i in range(6)]
    b = [run("b", f"p{i}", final=0.1 if i else math.inf, figures={"precision": 0.1 if i else None}) for i in range(6)]
    c = pair_units(a, b)
    assert c.measure == "log10 final"
    assert c.gains.tolist() == pytest.approx([1 - 300] + [2.0] * 5)  # an overflow is clipped, not dropped
    above, below = ([run("a", f"p{i}", curve_of="cost", figures={"cost": v}) for i in range(6)] for v in (1.0, -1.0))
    found = pair_units(above, below)
    assert (found.measure, found.gain.estimate) == ("final", 2.0)


def test_seeds_are_ranked_on_a_single_problem():
    a = [run("a", seed=s, hits=[50]) for s in range(6)]
    b = [run("b", seed=s, hits=[20 + s]) for s in range(6)]
    (paired,) = paired_tests(a + b, against="a")
    assert (paired.units, paired.problems, paired.runs, paired.wins) == ("seeds", 1, 6, 6)
    assert paired.p == pytest.approx(2 / 2**6)


def test_a_method_never_profits_from_what_it_did_not_run():
    a, b = two_methods()
    easy_only = [run("c", "p0", hits=[1, 2], budget=256)]
    c = {p.method: p for p in paired_tests(a + b + easy_only)}["c"]
    assert (c.against, c.problems, c.runs, c.reached) == ("b", 1, 1, (1.0, 1.0)) and math.isnan(c.gain.low)
    elsewhere = [run("d", "other", hits=[1, 2], budget=256)]
    assert [p.method for p in paired_tests(a + elsewhere, against="a")] == []


def test_all_pairs_are_corrected_together():
    a, b = two_methods()
    c = [run("c", f"p{i}", hits=[i + 2, 9], budget=256) for i in range(8)]
    found = all_pairs(a + b + c)
    assert [(p.method, p.against) for p in found] == [("c", "b"), ("c", "a"), ("b", "a")]
    np.testing.assert_allclose([p.p_holm for p in found], multipletests([p.p for p in found], method="holm")[1])


def test_errors_name_what_was_expected():
    a, b = two_methods()
    raises(ValueError, r"against must be one of \['b', 'a'\], got 'z'", paired_tests, a + b, against="z")
    raises(ValueError, "a and b must be matched", pair_units, a, b[1:])


@given(tables())
def test_a_contest_turned_round_turns_its_gains(runs):
    x, y = matched([r for r in runs if r["method"] == "a"], [r for r in runs if r["method"] == "b"])
    forth, back = pair_units(x, y), pair_units(y, x)
    np.testing.assert_allclose(forth.gains, -back.gains)
    if len(x):
        assert forth.p == pytest.approx(back.p)
        assert forth.gain.estimate == pytest.approx(-back.gain.estimate)
    if len(forth.names) > 1:
        assert forth.gain.low - 1e-12 <= forth.gain.estimate <= forth.gain.high + 1e-12

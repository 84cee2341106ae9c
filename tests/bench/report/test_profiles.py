"""Moré and Wild's profiles, and the portfolios of COCO's archive, by hand."""

import numpy as np
import pytest
from bench.runs import record, run
from bench.test_suite import BBOB, load
from hypothesis import given
from hypothesis import strategies as st

from zoo_opt.bench import write_report
from zoo_opt.bench.problems.more_wild.problem import TAUS
from zoo_opt.bench.report import references
from zoo_opt.bench.report.markdown import markdown_tables
from zoo_opt.bench.report.profile_figures import profile_rows, profiles
from zoo_opt.bench.report.references import NOTE, expected_times, with_references
from zoo_opt.bench.statistics.data_profile import has_profiles, solved
from zoo_opt.bench.suite_runner import run_suite
from zoo_opt.cli import main


def entry(method, number, dim, one, three, budget=300, **more):
    """A run that passes tau = 1e-1 and 1e-3 after so many evaluations, and never 1e-5."""
    hits = [None] * len(TAUS)
    hits[0], hits[1] = one, one
    hits[4], hits[5] = three, three
    return run(method, f"more-wild-{number:02d}-smooth", hits=hits, dim=dim, budget=budget, **more)


RUNS = [
    entry("a", 1, 2, 30, 60), entry("b", 1, 2, 15, None, use="scipy:COBYQA"),
    entry("a", 2, 9, 10, 100), entry("b", 2, 9, 40, 50, use="scipy:COBYQA"),
    entry("a", 3, 4, None, None), entry("b", 3, 4, None, None, use="scipy:COBYQA"),
]  # fmt: skip


def test_a_data_profile_counts_problems_in_simplex_gradients():
    found = solved(RUNS, 1e-1)  # in gradients: a 10, 1, never; b 5, 4, never
    np.testing.assert_allclose(found.data([0.9, 1, 4, 5, 10]), np.array([[0, 1, 1, 1, 2], [0, 0, 1, 2, 2]]) / 3)
    assert solved(RUNS, 1e-3).data([20]).ravel().tolist() == pytest.approx([2 / 3, 1 / 3])
    assert solved(RUNS, 1e-5).data([1e9]).ravel().tolist() == [0, 0]


def test_a_performance_profile_counts_against_the_least():
    found = solved(RUNS, 1e-1)  # a twice b's on the first, b four times a's on the second
    np.testing.assert_allclose(found.performance([1, 2, 3.9, 4]), np.array([[1, 2, 2, 2], [1, 1, 1, 2]]) / 3)


def test_what_did_not_run_counts_for_nobody():
    found = solved(RUNS[:5], 1e-1)
    assert found.methods == ["a", "b"] and np.isnan(found.at[1, 2])
    np.testing.assert_allclose(found.data([100]), [[2 / 3], [1]])


@given(st.lists(st.tuples(st.none() | st.integers(1, 300), st.none() | st.integers(1, 300)), min_size=1, max_size=6))
def test_profiles_rise_and_stay_within_one(hits):
    runs = [entry(m, k, 3, h[i], None) for k, h in enumerate(hits, 1) for i, m in enumerate("ab")]
    found = solved(runs, 1e-1)
    for curve in (found.data(np.linspace(0, 80, 50)), found.performance(2.0 ** np.linspace(0, 9, 50))):
        assert (np.diff(curve, axis=1) >= 0).all() and curve.min() >= 0 and curve.max() <= 1
    ever = np.mean([[h[i] is not None for h in hits] for i in (0, 1)], axis=1)
    np.testing.assert_allclose(found.data([80])[:, 0], ever)
    np.testing.assert_allclose(found.performance([300])[:, 0], ever)


def test_an_unknown_tolerance_is_named():
    with pytest.raises(ValueError, match=r"tau must be one of .*, got 0\.2"):
        solved(RUNS, 0.2)


def test_report_and_tables_show_them(tmp_path):
    assert has_profiles(RUNS) and not has_profiles([*RUNS, run()]) and not has_profiles([])
    headings, rows = profile_rows(RUNS)
    assert headings[1:6] == ["1e-1: 10", "1e-1: 20", "1e-1: 50", "1e-1: 100", "1e-3: 10"]
    assert rows[0][:6] == ["a", ".667", ".667", ".667", ".667", ".333"]
    write_report(record(RUNS), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<title>a</title>") == 6 and "Data and performance profiles" in page
    assert "solved within so many simplex gradients" in markdown_tables(record(RUNS))
    assert profiles([run()], {}) == "" and "simplex" not in markdown_tables(record([run(hits=[1])]))


# ------------------------------------------------------------------------------------------------------- references


def test_a_target_takes_the_first_time_that_reaches_it():
    times = np.array([[1, 40.0], [4.5, 10.0], [20, 1e-8]])
    assert expected_times(times, [100, 40, 39, 10, 1, 1e-8, 1e-9]).tolist() == [1, 1, 4.5, 4.5, 20, 20, np.inf]


def test_portfolios_stand_beside_cocos_problems():
    pytest.importorskip("cocopp")
    hits = [5, 30, None]
    runs = [run("auto", "bbob-f01-i1-d5", hits=hits, dim=5), run("auto", "sphere-d3", hits=hits, dim=3)]
    found = with_references(record(runs)).runs
    assert len(found) == 4
    best = next(r for r in found.values() if r["method"] == "best of 2009-2016 (reference)")
    # f1 in 5-D, as the archive has it: 3.98 after 9 evaluations, all further targets after 12.
    assert best["hits"] == [12, 12, 12] and best["figures"]["precision"] == 1e-8 and best["problem"] == "bbob-f01-i1-d5"
    assert best["note"] == NOTE and best["use"] == "cocopp:best09-16-bbob" and best["budget"] == 100
    short = with_references(record([{**runs[0], "budget": 9}])).runs.values()
    assert next(r for r in short if "2016" in r["method"])["hits"] == [None] * 3


def test_shaky_and_other_problems_have_no_portfolio():
    runs = [run("auto", "bbob-f01-i1-d5-float32", hits=[1], dim=5), run("auto", "net", hits=[1])]
    assert len(with_references(record(runs)).runs) == 2


def test_a_report_shows_them_if_asked(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cocopp")
    suite = load(tmp_path, BBOB.replace("[1, 2]", "[1]"))
    run_suite(suite, tmp_path / "runs.jsonl", workers=0)
    assert main(["report", str(tmp_path), "--reference", "--markdown", str(tmp_path / "r.md")]) == 0
    assert "best of 2009 (reference)" in capsys.readouterr().out
    assert "| best of 2009-2016 (reference)" in (tmp_path / "r.md").read_text()
    assert "a reference, not a run" in (tmp_path / "report.html").read_text()
    monkeypatch.setattr("zoo_opt.bench.report.references.importlib.util.find_spec", lambda name: None)
    references._times.cache_clear()
    with pytest.raises(ImportError, match=r"the portfolios are in cocopp, which is not installed: .*zoo-opt\[coco\]"):
        with_references(record([run("auto", "bbob-f01-i1-d5", hits=[1], dim=5)]))

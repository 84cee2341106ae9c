"""Mean ranks by hand, and against scipy's ranks."""

import numpy as np
from bench.runs import record, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from zoo_opt.bench import write_report
from zoo_opt.bench.report.markdown import markdown_tables
from zoo_opt.bench.report.rank_section import has_ranks, rank_rows, rank_tables
from zoo_opt.bench.statistics.mean_ranks import ranks_of


def entries(method, **finals):
    """A run for every task and seed."""
    return [
        run(method, f"real-{task}", seed, hits=[None], final=value)
        for task, values in finals.items()
        for seed, value in enumerate(values, 1)
    ]


RUNS = [
    *entries("a", truss=[3.0, 1.0, 2.0], lens=[5.0, 5.0, 5.0]),
    *entries("b", truss=[9.0, 0.1, 9.0], lens=[5.0, 5.0, 1.0]),
    *entries("c", truss=[2.5, 2.5, 2.5], lens=[7.0, 7.0, 7.0]),
    *entries("few", truss=[0.0]),
]


def test_ranks_are_of_medians_among_those_that_ran_all():
    found = ranks_of(RUNS)
    np.testing.assert_array_equal(found.final, [[2, 5], [9, 5], [2.5, 7], [0, np.nan]])
    np.testing.assert_array_equal(found.ranks, [[1, 1.5], [3, 1.5], [2, 3], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.mean, [1.25, 2.25, 2.5, np.nan])


def test_a_failed_run_is_last():
    failed = [{**r, "error": "it broke", "figures": {}} for r in entries("b", truss=[0.0, 0.0])]
    found = ranks_of([*entries("a", truss=[3.0, 4.0]), *failed])
    assert found.final.tolist() == [[3.5], [np.inf]] and found.ranks.tolist() == [[1], [2]]
    half = ranks_of([*failed[:1], {**failed[1], "error": None, "figures": {"precision": 1.0}}])
    assert half.final.tolist() == [[np.inf]]


@given(arrays(float, (4, 3), elements=st.integers(0, 5).map(float)))
def test_ranks_are_scipys(final):
    runs = [run(f"m{m}", f"real-{p}", 1, final=final[m, p]) for m in range(4) for p in range(3)]
    np.testing.assert_array_equal(ranks_of(runs).ranks, rankdata(final, axis=0))


def test_report_and_tables_show_them(tmp_path):
    assert has_ranks(RUNS) and not has_ranks(entries("a", truss=[1.0])) and not has_ranks([*RUNS, run()])
    headings, rows = rank_rows(RUNS)
    assert headings[1:] == ["mean rank", "truss", "lens"]
    assert rows[0] == ["a", "1.25", "2 (1)", "5 (1.5)"] and rows[-1] == ["few", "-", "0", "-"]
    write_report(record(RUNS), tmp_path / "r.html")
    assert "Ranks on the tasks" in (tmp_path / "r.html").read_text()
    assert "| a | 1.25 | 2 (1) | 5 (1.5) |" in markdown_tables(record(RUNS))
    assert rank_tables([run()]) == ""

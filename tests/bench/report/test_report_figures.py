"""The figures that the report's page computes, in a real browser, are Python's."""

import json
import math

import numpy as np
import pytest
from bench.browser import opened
from bench.synthetic import lines

from zoo_opt.bench.report.comparison import compare
from zoo_opt.bench.statistics.ert import performance_profile, running_times
from zoo_opt.bench.statistics.group_parts import subgroups
from zoo_opt.bench.statistics.hits import by_group
from zoo_opt.bench.statistics.method_pairs import all_pairs, paired_tests
from zoo_opt.bench.statistics.stats import curve_band, ecdf, ecdf_area, rows, summaries

CLOSE = {"rel": 1e-4, "abs": 1e-6, "nan_ok": True}  # what is embedded has six digits
RUNS = "const runs = result.runs.filter((r) => r.group.name === group);"


@pytest.fixture(scope="module")
def page(browser, report):
    """One page for all tests here, which only ask it."""
    with opened(browser, report) as page:
        yield page


@pytest.fixture(scope="module")
def groups(records):
    """The runs of each group."""
    return by_group(records[0].runs.values())


def number(value):
    """What JSON brought from the page, its non-finite numbers as text."""
    return float(value) if isinstance(value, str) else value


def asked(page, script, argument=None):
    """The value of a function's body in the page, with NaN and infinities kept."""
    keep = "(k, v) => typeof v === 'number' && !Number.isFinite(v) ? String(v).replace('Infinity', 'inf') : v"
    return json.loads(page.evaluate(f"(group) => JSON.stringify((() => {{ {script} }})(), {keep})", argument))


def test_summaries_are_pythons(page, groups):
    for group, runs in groups.items():
        found = asked(page, RUNS + "return figuresOf(runs).rows.map(({ runs, ...row }) => row);", group)
        expected = summaries(runs)
        assert [row["method"]["name"] for row in found] == [s.method for s in expected]
        for row, s in zip(found, expected, strict=True):
            got = [number(row[name]) for name in ("reached", "final", "pace", "failed", "problems")]
            assert got[:2] == pytest.approx([s.reached, s.score], **CLOSE)
            assert got[2:] == [pytest.approx(s.microseconds, rel=0.2), s.errors, s.problems]
            assert number(row["area"]["estimate"]) == pytest.approx(s.area, **CLOSE)
            for end in ("low", "high"):  # other resamples
                assert number(row["area"][end]) == pytest.approx(getattr(s.area_interval, end), abs=0.02, nan_ok=True)
            assert [number(v) for v in row["extra"]] == pytest.approx(list(s.extra.values()), **CLOSE)


def test_unfiltered_intervals_are_pythons_exactly(page, groups):
    group = "bbob, 100 d"
    found = asked(page, RUNS + "return figuresOf(runs, result.intervals[group]).rows.map((row) => row.area);", group)
    expected = [s.area_interval for s in summaries(groups[group])]
    assert [[a["low"], a["high"]] for a in found] == [pytest.approx([i.low, i.high], rel=1e-5) for i in expected]


def test_rows_and_curves_are_pythons(page, groups):
    """Of problems without instances, whose families are single problems."""
    for group in ("digits MLP", "policy search"):
        runs = groups[group]
        found = asked(page, RUNS + "return finalRows(runs);", group)
        for row, e in zip(found, rows(runs), strict=True):
            got = [number(row[name]) for name in ("low", "median", "high", "reached", "nfev", "seconds")]
            assert got == pytest.approx([e.low, e.median, e.high, e.reached, e.evaluations, e.seconds], **CLOSE)
        own = [run for run in runs if run["method"] == "FZOO"]
        script = RUNS + "return familyBand(runs.filter((r) => r.method.name === 'FZOO'));"
        band, expected = asked(page, script, group), curve_band(own)
        at = [max(i for i, n in enumerate(expected.evaluations) if n <= x) for x in band["x"]]
        span = max(expected.high) - min(expected.low)
        for name, values in (("low", expected.low), ("y", expected.median), ("high", expected.high)):
            assert band[name] == pytest.approx([values[i] for i in at], rel=0.012, abs=span / 1000)


def test_ecdf_is_pythons(page, groups):
    group = "bbob, 300 d"
    budgets, fractions = ecdf([run for run in groups[group] if run["method"] == "auto"])
    script = RUNS + f"return ecdf(runs.filter((r) => r.method.name === 'auto'), {json.dumps(budgets.tolist())});"
    assert asked(page, script, group) == pytest.approx(fractions.tolist())


def test_parts_are_pythons(page, groups):
    script = """const parts = partsOf(runs); return { titles: parts.map((p) => p.title),
        rows: partRows(figuresOf(runs).rows, parts).map((row) => [row.method.name, row.areas]) };"""
    found, expected = asked(page, RUNS + script, "bbob, 300 d"), subgroups(groups["bbob, 300 d"])
    assert found["titles"] == list(expected)
    for method, areas in found["rows"]:
        own = [ecdf_area([run for run in runs if run["method"] == method]) for runs in expected.values()]
        assert areas == pytest.approx(own)


def test_tests_are_pythons(page, groups):
    for group, runs in groups.items():
        for against, expected in ((summaries(runs)[0].method, paired_tests(runs)), (None, all_pairs(runs))):
            script = f"return testRows(figuresOf(runs).rows, {json.dumps(against)}).map(({{ pairs, ...row }}) => row);"
            found = asked(page, RUNS + script, group)
            assert len(found) == len(expected)
            for row, e in zip(found, expected, strict=True):
                assert [row["method"]["name"], row["against"]["name"]] == [e.method, e.against]
                figures = [row[name] for name in ("wins", "losses", "units", "measure")]
                assert figures == [e.wins, e.losses, e.units, e.measure]
                got = [number(row[name]) for name in ("p", "corrected", "own", "other")]
                assert got == pytest.approx([e.p, e.p_holm, e.own, e.other], rel=1e-3, abs=1e-6, nan_ok=True)
                assert number(row["gain"]["estimate"]) == pytest.approx(e.gain.estimate, rel=1e-3, abs=1e-6)


def test_wilcoxon_is_scipys(page):
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 13, 50, 51, 200):
        gains = rng.normal(0.3, 1, n)
        assert asked(page, f"return wilcoxon({gains.tolist()});") == pytest.approx(scipy_stats.wilcoxon(gains).pvalue)
    for n in (14, 60, 300):
        gains = rng.integers(-3, 6, n).astype(float)
        gains = gains[gains != 0]
        expected = scipy_stats.wilcoxon(gains, method="approx" if len(gains) > 13 else "auto").pvalue
        assert asked(page, f"return wilcoxon({gains.tolist()});") == pytest.approx(expected)
    assert asked(page, "return [wilcoxon([0, 0]), wilcoxon([])];") == [1, "NaN"]


def test_running_times_and_profile_are_pythons(page, groups):
    group = "bbob, 300 d"
    times = running_times(groups[group], pool=True)
    script = """return ertRows(runs, 1e-3).map((row) =>
        [row.problem.family, Object.fromEntries([...row.by].map(([m, found]) => [m.name, found]))]);"""
    found = dict(asked(page, RUNS + script, group))
    target = next(i for i, t in enumerate(times.targets) if math.isclose(t, 1e-3))
    for m, method in enumerate(times.methods):
        for c, case in enumerate(times.cases):
            own = found[case][method]
            assert number(own["ert"]) == pytest.approx(times.ert[m, c, target])
            assert own["successes"] == times.successes[m, c, target]
    factors = [1, 1.5, 2, 10, 100]
    expected = performance_profile(times)
    script = RUNS + f"return profile(figuresOf(runs).rows, {factors}).series.map((s) => [s.method.name, s.y]);"
    got = dict(asked(page, script, group))
    for name, values in zip(expected.methods, expected.at(factors), strict=True):
        assert got[name] == pytest.approx(values.tolist())


def test_comparison_is_pythons(page, records):
    script = "return differenceRows(fromRecord(group), result.runs).map(({ pairs, ...row }) => row);"
    found = asked(page, script, lines(records[1]))
    expected = {(d.group, d.method): d for d in compare(records[1], records[0])}
    assert {(row["group"]["name"], row["method"]["name"]) for row in found} == set(expected)
    for row in found:
        e = expected[row["group"]["name"], row["method"]["name"]]
        assert [row["runs"], row["units"], row["measure"]] == [e.runs, e.units, e.measure]
        got = [number(row["p"]), number(row["corrected"]), number(row["gain"]["estimate"])]
        assert got == pytest.approx([e.p, e.p_holm, e.gain.estimate], rel=1e-3, abs=1e-6)
        assert [number(v) for v in row["final"]] == pytest.approx(e.final, rel=1e-3)

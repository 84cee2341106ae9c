"""The report's file: what it embeds, that it loads nothing, that it stays small. For the page: test_report_browser."""

import itertools
import json
import math
import re

import numpy as np
import pytest
from bench.synthetic import full_record, small_record
from refusals import raises

from zoo_opt.bench import Record, write_report
from zoo_opt.bench.report.data import differences, pack
from zoo_opt.bench.report.page import esc, table
from zoo_opt.bench.statistics.stats import curve_at


def embedded(path, name="data"):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', path.read_text())[1])


def summed(found):
    totals = itertools.accumulate(difference or 0 for difference in found)
    return [None if difference is None else total for difference, total in zip(found, totals, strict=True)]


@pytest.fixture
def record(records):
    return records[0]


def test_report_is_one_file_that_loads_nothing(report):
    text = report.read_text()
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)([^"']*)""", text) == ["data:,"]
    assert re.findall(r"https?://[^\"' ]*", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text and "@import" not in text and "{{" not in text
    assert "default-src 'none'" in text
    for needed in ("zoo-opt 0.1.0", "numpy 2.4.0", "seeds", "zoo-opt bench full", "a processor", "Full suite&quot;"):
        assert needed in text


def test_what_is_embedded_is_the_record(record, report):
    data = embedded(report)
    columns = data["runs"]
    assert {len(column) for column in columns.values()} == {len(record.runs)} == {len(data["curves"])}
    for i, run in enumerate(record.runs.values()):
        problem = data["problems"][columns["problem"][i]]
        assert problem["name"] == run["problem"] and problem["dim"] == run["dim"]
        assert data["groups"][columns["group"][i]]["name"] == run["group"]
        assert data["methods"][columns["method"][i]]["name"] == run["method"]
        assert data["targets"][problem["targets"]] == pytest.approx(run["targets"], rel=1e-5)
        assert [columns[name][i] for name in ("seed", "budget", "nfev")] == [run["seed"], run["budget"], run["nfev"]]
        hits = summed(columns["hits"][i])
        assert hits + [None] * (len(run["hits"]) - len(hits)) == run["hits"]
        for name, value in run["figures"].items():
            assert data["figures"][name][i] == (None if value is None else pytest.approx(value, rel=1e-5))
    peers = [method["name"] for method in data["methods"] if not method["ours"]]
    assert peers == ["pycma, BIPOP", "scipy Nelder-Mead", "pycma, diagonal"] and len(data["failed"]) == 1


def test_embedded_curves_follow_the_runs(record, report):
    data = embedded(report)
    for run, (start, *packed) in zip(record.runs.values(), data["curves"], strict=True):
        grid = np.array(data["grids"][str(run["budget"])], dtype=float)
        kind, origin, step = data["scales"][run["curve_of"]]
        assert kind == ("linear" if run["curve_of"] == "cost" else "log")
        steps = summed(packed)
        steps += [steps[-1]] * (len(grid) - start - len(steps))
        on_axis = [math.inf if s is None else origin + step * s for s in steps]
        values = curve_at(run["curve"], grid)
        assert np.isnan(values[:start]).all()
        expected = values[start:] if kind == "linear" else np.log10(np.maximum(values[start:], 1e-9))
        np.testing.assert_allclose(on_axis, expected, atol=0.51 * step)


def test_differences_keep_what_is_none():
    assert differences([3, 3, 10]) == [3, 0, 7]
    assert differences([None, 4, None, 2, None]) == [None, 4, None, -2, None]


def test_figures_without_javascript(record, report):
    plain = re.search(r"<noscript>.*?</noscript>", report.read_text(), re.DOTALL)[0]
    assert all(run["group"] in plain and run["method"] in plain for run in record.runs.values())


def test_failed_runs_are_shown(report):
    text = report.read_text()
    assert "scipy Nelder-Mead on bbob-f08-i1-d5, seed 1" in text and "it broke &lt;here&gt;" in text


def test_report_escapes_what_comes_from_a_suite(tmp_path):
    record = small_record(title="<b>title</b>")
    for run in record.runs.values():
        run |= {"method": run["method"] + "</script><script>alert(1)</script>", "note": "<img>"}
    write_report(record, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "<script>alert(1)" not in text and "<img>" not in text and "<b>title" not in text


def test_braces_in_a_suite_are_text(tmp_path):
    write_report(small_record(title="{{data}} and {{x}}"), tmp_path / "r.html")
    assert "<h1>{{data}} and {{x}}</h1>" in (tmp_path / "r.html").read_text()


def test_a_thin_record_has_a_report(tmp_path):
    """Without a session, or with what an export leaves of it."""
    record = small_record()
    del record.sessions[0]["command"], record.sessions[0]["machine"]["cores"]
    write_report(record, tmp_path / "r.html")
    record.sessions.clear()
    write_report(record, tmp_path / "r.html")
    assert "The record does not say" in (tmp_path / "r.html").read_text()


def test_an_earlier_record_is_embedded_without_curves(tmp_path):
    write_report(small_record(), tmp_path / "r.html", small_record(seed=1))
    earlier = embedded(tmp_path / "r.html", "earlier")
    assert "curves" not in earlier and earlier["runs"].keys() == pack(small_record())["runs"].keys()


def test_report_of_nothing_is_refused(tmp_path):
    raises(ValueError, "record must hold a run", write_report, Record(), tmp_path / "r.html")
    raises(ValueError, "earlier must hold a run", write_report, small_record(), tmp_path / "r.html", Record())


def test_tables_are_escaped_and_rounded():
    text = table(["a", "b"], [["x<y", 1.23456789]])
    assert '<td class="n">1.23</td>' in text and "x&lt;y" in text
    assert esc(text) == text


@pytest.mark.slow
def test_report_of_the_full_suite_is_small(tmp_path):
    record = full_record()
    assert len(record.runs) > 12_000
    write_report(record, tmp_path / "r.html", record)
    assert (tmp_path / "r.html").stat().st_size < 10_000_000

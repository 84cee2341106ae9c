"""Two records side by side: by hand, and a record against itself."""

import io
import math

import pytest
from bench.runs import record, run, tables
from hypothesis import given, settings
from refusals import raises
from rich.console import Console

from zoo_opt.bench.report.comparison import compare, print_comparison


def two_results():
    """Method a better on two of four problems, worse on one; b the same; c and one run of a in A alone."""
    early = [run("a", f"p{i}", hits=[50, None], final=1.0) for i in range(4)]
    late = [run("a", f"p{i}", hits=hits, final=final) for i, (hits, final) in enumerate(AFTER)]
    same = [run("b", f"p{i}", hits=[5, 50]) for i in range(4)]
    alone = [run("c", "p0", hits=[1, 1]), run("a", "p9", hits=[1, 1]), run("b", "p0", seed=2, hits=[1, 1])]
    return record(early + same + alone), record(late + same)


AFTER = [([10, None], 0.1), ([50, None], 1.0), ([20, 50], 0.01), ([60, None], 2.0)]


def test_differences_by_hand():
    a, b = compare(*two_results())
    assert (a.method, a.runs, a.problems, a.identical, a.only_a, a.only_b) == ("a", 4, 4, 1, 1, 0)
    assert a.reached == (0.5, 0.625)
    of = {h: 1 - math.log(h) / math.log(100) for h in (10, 20, 50, 60)}
    assert a.area == pytest.approx((of[50] / 2, (of[10] + 2 * of[50] + of[20] + of[60]) / 8))
    assert a.final == pytest.approx((1.0, (0.1 * 1.0 * 0.01 * 2.0) ** 0.25))
    assert (a.figure, a.measure, a.units) == ("precision", "area", "problems")
    assert a.gain.estimate == pytest.approx(a.area[1] - a.area[0])
    assert a.gain.low < a.gain.estimate < a.gain.high
    assert [c.problem for c in a.changes] == ["p2", "p0", "p1", "p3"]
    assert [c.gain for c in a.changes] == pytest.approx([(of[20]) / 2, (of[10] - of[50]) / 2, 0, (of[60] - of[50]) / 2])
    assert (a.changes[0].a, a.changes[0].b) == pytest.approx((of[50] / 2, (of[20] + of[50]) / 2))
    assert a.p == pytest.approx(0.5)  # ranks 3 and 2 against 1: sums 5 and 1
    assert a.p_holm == pytest.approx(1.0)
    assert (b.identical, b.only_a, b.p, b.gain.estimate) == (4, 1, 1.0, 0.0)


def test_seeds_and_figures_where_there_is_one_problem_without_targets():
    old = [run("a", seed=s, curve_of="loss", figures={"loss": 1.0, "accuracy": 0.5}) for s in (1, 2)]
    new = [run("a", seed=s, curve_of="loss", figures={"loss": 0.1**s, "accuracy": 0.5}) for s in (1, 2)]
    (found,) = compare(record(old), record(new))
    assert (found.measure, found.units, found.figure) == ("log10 final", "seeds", "loss")
    assert found.gain.estimate == pytest.approx(1.5)
    expected = [("2", 1.0, pytest.approx(0.01)), ("1", 1.0, pytest.approx(0.1))]
    assert [(c.problem, c.a, c.b) for c in found.changes] == expected
    assert all(math.isnan(value) for value in found.reached + found.area)


def test_records_with_nothing_in_common_are_refused():
    for other in (run("a", seed=2), run("a", group="other")):
        raises(ValueError, "no run in common", compare, record([run("a", seed=1)]), record([other]))


def test_of_a_repeated_run_the_later_counts():
    old = record([run("a", f"p{i}", hits=[50]) for i in range(3)] + [run("a", "p0", hits=[10])])
    (found,) = compare(old, record([run("a", f"p{i}", hits=[50]) for i in range(3)]))
    assert (found.runs, found.identical) == (3, 2)
    assert found.gain.estimate < 0


@settings(max_examples=10)
@given(tables())
def test_a_record_against_itself_has_no_difference(runs):
    for found in compare(record(runs), record(runs[::-1])):
        assert found.identical == found.runs > 0 and found.area[0] == pytest.approx(found.area[1])
        assert (found.only_a, found.only_b, found.gain.estimate, found.p, found.p_holm) == (0, 0, 0, 1.0, 1.0)
        assert all(change.gain == 0 for change in found.changes)


def test_the_table_says_what_changed_most():
    print_comparison(compare(*two_results()), Console(file=(file := io.StringIO()), width=100))
    text = file.getvalue()
    assert "g: A above B" in text and "+1 in A" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any(line.startswith("a, better: p2 .075 to .250, p0 .075 to .250") for line in lines)
    assert any(line.startswith("a, worse: p3 .075 to .055") for line in lines)
    assert not any(line.startswith("b, ") for line in lines)

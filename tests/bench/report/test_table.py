"""Terminal tables: what is in them, in 80 columns; and the statistics' pace on a record of the full suite's size."""

import io
import itertools
import time

import numpy as np
import pytest
from bench.runs import record, run
from bench.synthetic import bbob_names
from rich.console import Console

from zoo_opt.bench.report import terminal
from zoo_opt.bench.report.comparison import compare
from zoo_opt.bench.report.terminal import fraction, heading, interval_text, print_summary
from zoo_opt.bench.statistics.bootstrap import Interval
from zoo_opt.bench.statistics.ert import performance_profile, running_times
from zoo_opt.bench.statistics.group_parts import subgroups
from zoo_opt.bench.statistics.method_pairs import paired_tests
from zoo_opt.bench.statistics.stats import summaries


def printed(runs, width=80):
    text = io.StringIO()
    print_summary(record(runs), Console(file=text, width=width))
    return text.getvalue()


def row(text, name):
    """The cells of the row that begins with `name`."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.strip().removeprefix(name).split()


@pytest.mark.parametrize(
    ("name", "numbers", "texts"),
    [
        ("short_text", [None, np.nan, np.inf, 0.0123456], ["-", "-", "inf", "0.0123"]),
        ("percent", [0.5, 1.0, np.nan], ["50.0%", "100.0%", "-"]),
        ("fraction", [0.0, 0.1234, 1.0, np.nan], [".000", ".123", "1.000", "-"]),
        ("signed_text", [0.0, 0.01, -2.0, np.nan], ["0", "+0.010", "-2.000", "-"]),
    ],
)
def test_numbers_for_people(name, numbers, texts):
    assert [getattr(terminal, name)(number) for number in numbers] == texts


def test_intervals_for_people():
    assert interval_text(Interval(0.2, 0.1, 0.25)) == ".100-.250"
    assert interval_text(Interval(0.2, float("nan"), float("nan"))) == "-"


def test_a_heading_says_budgets_per_dimension_where_dimensions_differ():
    def in_dims(*dims):
        return [run(problem=f"p{d}", dim=d, budget=100 * d, seed=s) for d in dims for s in (1, 2)]

    assert heading(in_dims(2, 3)) == "g: 2 problems, 2 seeds, 100 d evaluations"
    assert heading(in_dims(2)) == "g: 1 problem, 2 seeds, 200 evaluations"
    assert heading([run(budget=10), run(problem="q", budget=20)]) == "g: 2 problems, 1 seed, 10/20 evaluations"


def test_a_row_holds_every_figure_and_fits_80_columns():
    longest = "nevergrad OnePlusOne"
    accuracy = {"train_loss": 123456.789, "test_accuracy": 0.9437}
    more = {"hits": [9, None], "curve_of": "train_loss", "figures": accuracy, "seconds": 0.5}
    text = printed([run(longest, p, s, **more) for p in ("p", "q") for s in (1, 2)])
    area = fraction((1 - np.log(9) / np.log(100)) / 2)
    assert row(text, longest) == ["2", "50.0%", area, f"{area}-{area}", "1.23e+05", "0.944", "5000"]
    assert "…" not in text and "errors" not in text


def test_errors_and_fewer_problems_are_shown():
    runs = [run("all", p, hits=[9, None]) for p in "pqr"] + [run("some", "p", hits=[1, 1])]
    runs += [run("failing", p, hits=[None, None], error="it broke") for p in "pqr"]
    text = printed(runs)
    assert (row(text, "all")[0], row(text, "some")[0], row(text, "failing")[-1]) == ("3", "1", "3")
    assert text.index("failing") < text.index("some")  # though its area is greater


def test_a_group_without_targets():
    assert row(printed([run("a", final=0.25), run("b", final=0.5)]), "a")[:5] == ["1", "-", "-", "-", "0.25"]


@pytest.mark.slow
def test_fifteen_thousand_runs_are_summarised_in_seconds():
    rng = np.random.default_rng(0)
    targets = [10.0 ** (2 - i / 5) for i in range(51)]
    runs = []
    for method, (name, dim) in itertools.product(range(12), bbob_names(instances=range(1, 10))):
        count = int(rng.integers(52))
        hits = np.sort(rng.integers(1, 1000 * dim, count)).tolist() + [None] * (51 - count)
        runs.append(run(f"m{method}", name, hits=hits, dim=dim, budget=1000 * dim, final=1.0) | {"targets": targets})
    assert len(runs) == 15_552
    start = time.process_time()
    found = summaries(runs)
    parts = {name: summaries(part) for name, part in subgroups(runs).items()}
    pairs = paired_tests(runs)
    profile = performance_profile(running_times(runs)).at([1, 10])
    differences = compare(record(runs), record(runs))
    seconds = time.process_time() - start
    print(f"{len(runs)} runs: {seconds:.1f} s")
    assert (len(found), len(parts), len(pairs), profile.shape, len(differences)) == (12, 12, 11, (12, 2), 12)
    assert seconds < 40

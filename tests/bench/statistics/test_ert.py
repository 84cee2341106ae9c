"""Expected running times and performance profiles by hand."""

import numpy as np
import pytest
from bench.runs import run, tables
from hypothesis import given
from refusals import raises

from zoo_opt.bench.statistics.ert import performance_profile, running_times


def test_running_times_by_hand():
    runs = [
        run("a", "p", 1, hits=[10, None], nfev=40),
        run("a", "p", 2, hits=[30, 60]),
        run("b", "p", 1, hits=[None, None], nfev=5, error="it broke"),
        run("b", "p", 2, hits=[50, None]),
        run("a", "q", 1, hits=[7, 8]),
    ]
    times = running_times(runs)
    assert (times.methods, times.cases, times.targets.tolist()) == (("a", "b"), ("p", "q"), [1.0, 0.1])
    assert times.ert[0].tolist() == [[20.0, 100.0], [7.0, 8.0]]  # (10 + 30) / 2, (40 + 60) / 1
    assert times.ert[1, 0].tolist() == [150.0, np.inf]  # the run that broke costs its budget of 100
    assert np.isnan(times.ert[1, 1]).all()  # not run
    assert times.successes[:, 0].tolist() == [[2, 1], [1, 0]]
    assert times.runs.tolist() == [[2, 1], [2, 0]]


def test_instances_are_pooled_on_request():
    runs = [run("a", f"bbob-f03-i{i}-d2", hits=[10 * i]) for i in (1, 2, 3)] + [run("a", "other", hits=[1])]
    pooled = running_times(runs, pool=True)
    assert len(running_times(runs).cases) == 4 and pooled.cases == ("bbob-f03-d2", "other")
    assert (pooled.ert[0, :, 0].tolist(), pooled.runs.tolist()) == ([20.0, 1.0], [[3, 1]])


def test_targets_are_chosen_among_those_recorded():
    runs = [run("a", "p", hits=[1, 2, 3]), run("a", "q", hits=[5])]
    times = running_times(runs, [0.01, 1.0])
    assert times.targets.tolist() == [1.0, 0.01]
    np.testing.assert_array_equal(times.ert[0], [[1.0, 3.0], [5.0, np.nan]])  # q has no such target
    raises(ValueError, r"targets must be among those of the record, got 0\.02", running_times, runs, [0.02])


def test_profile_by_hand():
    runs = [
        run("a", "p", hits=[10, 20, None]),
        run("b", "p", hits=[20, 10, None]),
        run("a", "q", hits=[5, None, None]),
        run("b", "q", hits=[50, 60, None]),
        run("c", "q", hits=[1, 1, 1]),
    ]
    times = running_times(runs)
    profile = performance_profile(times)
    assert (profile.methods, profile.cases, profile.left_out) == (("a", "b"), ("p", "q"), ("c",))
    at = np.array([[2, 3, 3], [2, 3, 4]]) / 6  # of 6 pairs, 2 never reached
    np.testing.assert_allclose(profile.at([1, 2, 10]), at)
    on_q = performance_profile(times, ["c", "a"])
    assert on_q.cases == ("q",)
    assert on_q.at(1).tolist() == [1.0, 0.0]
    assert on_q.at([5.0]).tolist() == [[1.0], [pytest.approx(1 / 3)]]
    raises(ValueError, "methods must be among", performance_profile, times, ["z"])


@given(tables(methods=("a", "b", "c")))
def test_profiles_rise_and_every_pair_reached_has_a_best(runs):
    times = running_times(runs)
    profile = performance_profile(times, times.methods)
    values = profile.at([1, 2, 1e3, 1e9])
    assert (np.diff(values) >= 0).all()
    if profile.ratios.size:
        assert set(profile.ratios.min(axis=0)) <= {1.0, np.inf}
        np.testing.assert_allclose(values[:, -1], np.isfinite(profile.ratios).mean(axis=1))


@given(tables())
def test_running_times_do_not_depend_on_the_order_of_runs(runs):
    forth, back = running_times(runs), running_times(runs[::-1])
    rows = [back.methods.index(m) for m in forth.methods]
    columns = [back.cases.index(c) for c in forth.cases]
    np.testing.assert_allclose(forth.ert, back.ert[np.ix_(rows, columns)])

"""The time left, when runs differ in length by orders of magnitude."""

import pytest

from zoo_opt.bench.engine.job import Job
from zoo_opt.bench.engine.pace import Pace
from zoo_opt.support.progress import Progress, duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def tasks(method, dim, budget, number):
    return [Job("", "", dict, pace=(method, dim), work=budget)] * number


def entry(method, dim, budget, seconds, error=None):
    """A job that was done, and its entry."""
    return *tasks(method, dim, budget, 1), {"method": method, "seconds": seconds, "error": error}


@pytest.fixture
def clock():
    return Clock()


def test_runs_are_weighed_by_budget_and_pace(clock):
    todo = tasks("fast", 2, 100, 10) + tasks("slow", 2, 100, 10) + tasks("fast", 2, 1000, 1)
    pace = Pace(todo, clock=clock)
    assert pace.left() is None
    for _ in range(10):
        clock.now += 1
        pace.add(*entry("fast", 2, 100, 1.0))
    clock.now += 100
    pace.add(*entry("slow", 2, 100, 100.0))
    # to come: nine slow ones of 100 s and ten times the budget of a fast one of 1 s
    assert pace.left() == pytest.approx(9 * 100 + 10 * 1)


def test_workers_and_overheads_count_by_the_clock(clock):
    pace = Pace(tasks("m", 2, 100, 8), clock=clock)
    clock.now = 6.0
    for _ in range(4):  # two workers that spend half as long again on other things
        pace.add(*entry("m", 2, 100, 2.0))
    assert pace.left() == pytest.approx(6.0)


def test_the_start_up_of_known_workers_is_not_taken_for_the_rule(clock):
    pace = Pace(tasks("m", 2, 100, 10_001), workers=2, clock=clock)
    clock.now = 3.0
    pace.add(*entry("m", 2, 100, 0.1))
    assert pace.left() == pytest.approx(1000 / 2, rel=0.15)  # not 30,000 s, thirty times what the run took
    for _ in range(6000):
        clock.now += 0.1  # each of the two workers has but half a core
        pace.add(*entry("m", 2, 100, 0.1))
    assert pace.left() == pytest.approx(400, rel=0.1)


def test_an_unknown_dimension_takes_the_nearest_and_an_unknown_method_the_mean(clock):
    todo = tasks("m", 40, 1000, 2) + tasks("n", 5, 100, 1)
    pace = Pace(todo, [entry("m", 2, 100, 1.0), entry("m", 20, 100, 5.0)], clock=clock)
    clock.now = 50.0
    pace.add(*entry("m", 40, 1000, 50.0))
    assert pace.left() == pytest.approx(50 + 100 * 56 / 1200)
    clock.now = 60.0
    pace.add(*entry("m", 40, 1000, 10.0))
    assert pace.left() == pytest.approx(100 * 66 / 2200)


def test_runs_that_failed_teach_nothing(clock):
    pace = Pace(tasks("m", 2, 100, 3), clock=clock)
    clock.now = 1.0
    pace.add(*entry("m", 2, 100, 0.0, error="broke"))
    assert pace.left() is None
    clock.now = 3.0
    pace.add(*entry("m", 2, 100, 2.0))
    assert pace.left() == pytest.approx(3.0)


def test_times_for_people():
    assert [duration(s) for s in (0.4, 99, 100, 3000, 12345)] == ["0 s", "99 s", "2 min", "50 min", "3 h 26 min"]


def test_without_a_terminal_there_is_a_line_now_and_then(capsys):
    with Progress("T") as progress:
        progress(0, 100, None, None)
        for done in range(1, 101):
            progress(done, 100, 60.0 * (100 - done), entry("m", 2, 1, 1.0)[1] | {"problem": "p"})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[5] == "T: 50 of 100 runs, 0 s, about 50 min left"
    assert (lines[0], lines[-1]) == ("T: 0 of 100 runs, 0 s", "T: 100 of 100 runs, 0 s")

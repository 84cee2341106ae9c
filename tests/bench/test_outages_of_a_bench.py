"""A problem that asks a service: an outage is waited for, and no run is recorded that it has ended."""

import types

import pytest
from bench.test_suite import GOOD, load

import zoo_opt as zo
from zoo_opt import outage
from zoo_opt.bench import ExecutorError, SphereProblem, canonical, read_record, run_suite


class Service:
    """The sphere, as a service whose questions with ``down(k)``, k = 1, 2, ..., raise ``error``."""

    def __init__(self, monkeypatch):
        self.asked, self.down, self.error = 0, lambda k: False, zo.NotServed
        for name in ("losses", "metrics"):
            monkeypatch.setattr(SphereProblem, name, self._asking(getattr(SphereProblem, name)))

    def _asking(self, plain):
        def ask(problem, *arguments):
            self.asked += 1
            if self.down(self.asked):
                raise self.error("https://me:w0rd@host is down")
            return plain(problem, *arguments)

        return ask


@pytest.fixture
def service(monkeypatch):
    pauses = []
    monkeypatch.setattr(outage, "time", types.SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses)))
    monkeypatch.setattr(outage, "_share", lambda: 1.0)  # each as long as it may be
    return Service(monkeypatch)


def test_an_outage_leaves_the_record_as_if_it_had_not_been(tmp_path, service):
    suite = load(tmp_path, GOOD)
    run_suite(suite, tmp_path / "whole.jsonl", workers=0)
    whole, service.asked, service.down = service.asked, 0, lambda k: k % 3 == 0
    run_suite(suite, tmp_path / "r.jsonl", workers=0)
    assert canonical(read_record(tmp_path / "r.jsonl")) == canonical(read_record(tmp_path / "whole.jsonl"))
    assert service.asked > whole + whole // 3


@pytest.mark.parametrize("error", [zo.NotServed, zo.Refused])
def test_an_outage_that_is_longer_ends_the_bench_and_is_recorded_as_no_result(tmp_path, service, error):
    suite, path = load(tmp_path, GOOD), tmp_path / "r.jsonl"
    run_suite(suite, tmp_path / "whole.jsonl", workers=0)
    half, service.asked, service.error = service.asked // 2, 0, error
    service.down = lambda k: k > half
    said = r"^sphere-d3 with .*: https://\*\*\*@host is down; the same command goes on from here$"
    with pytest.raises(ExecutorError, match=said):
        run_suite(suite, path, workers=0)
    recorded = read_record(path).runs
    assert 0 < len(recorded) < 4 and not any(run["error"] for run in recorded.values())
    assert error is zo.NotServed or service.asked == half + 1  # a refusal is not asked again
    service.down = lambda k: False
    assert run_suite(suite, path, workers=0) == 4 - len(recorded)
    assert canonical(read_record(path)) == canonical(read_record(tmp_path / "whole.jsonl"))

"""A secret stands in no record of a bench, and in no report of it."""

import json

import pytest
from bench.commands import zoo_opt
from bench.runs import record
from bench.runs import run as made
from bench.test_suite import GOOD, load
from refusals import raises

from zoo_opt.bench import Experiment, Job, run_jobs, write_report
from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.suite import SuiteError
from zoo_opt.cli.exits import ending
from zoo_opt.support import secrets

KEY = "k3y-0f-the-service"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.delenv("API_KEY", raising=False)


def refused_by_the_service():
    api_key = KEY
    raise ConnectionError(f"https://me:w0rd@host/v1?api_key={api_key} answered 401")


def test_a_record_holds_no_secret_of_an_error_or_a_command(tmp_path):
    path = tmp_path / "runs.jsonl"
    command = ["mine", "--token", KEY, "env", "LEVEL=2", "--executor", f"dask://me:{KEY}@host:8786"]
    run_jobs([Job("a", "a", refused_by_the_service)], path, Experiment(command=command), workers=0)
    assert KEY not in path.read_text() and "w0rd" not in path.read_text()
    record = read_record(path)
    assert record.runs["a"]["error"].endswith("ConnectionError: https://***@host/v1?api_key=*** answered 401\n")
    assert record.sessions[0]["command"] == "python mine --token *** env LEVEL=*** --executor dask://***@host:8786"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f'problem_options = {{ api_key = "{KEY}", dimension = 3 }}', 'api_key = "***"'),
        (f'note = "as https://me:{KEY}@host says"', "https://***@host"),
    ],
)
def test_a_suite_with_a_secret_is_refused(tmp_path, line, shown):
    """A record keeps the file as it is."""
    text = GOOD.replace("problem_options = { dimension = 3 }", line)
    said = str(raises(SuiteError, "must hold no secret, as records keep it: .NAME in its place", load, tmp_path, text))
    assert shown in said and KEY not in said
    with pytest.raises(SuiteError, match="refuses its arguments"):  # the name of a variable is none
        load(tmp_path, GOOD.replace("dimension = 3", 'api_key = "$API_KEY"'))


def test_the_report_of_a_record_of_before_shows_no_secret(tmp_path):

    old = record([made(error=f"ConnectionError: api_key={KEY}")])
    old.sessions.append(
        {"kind": "session", "format": 1, "command": f"zoo-opt --token={KEY}", "toml": f'token = "{KEY}"'}
    )
    write_report(old, tmp_path / "report.html")
    assert KEY not in (tmp_path / "report.html").read_text()


def test_what_ends_a_command_shows_no_secret(capsys):
    def failing():
        raise KeyError(f"token='{KEY}'")  # of no kind that is said in a sentence

    assert ending("zoo-opt", failing) == 1
    assert ending("zoo-opt", lambda: refused_by_the_service()) == 1
    err = capsys.readouterr().err
    assert KEY not in err and "Traceback" in err and "zoo-opt: https://***@host/v1?api_key=*** answered 401" in err


def test_a_run_of_a_function_shows_no_secret(tmp_path):
    (tmp_path / "mine.py").write_text(
        f"calls = []\ndef f(x):\n    calls.append(1)\n    if len(calls) == 3:\n"
        f"        raise ConnectionError('https://me:{KEY}@host is down')\n    return float(x @ x)\n"
    )
    words = ["run", "mine:f", "--x0", "1,2", "--budget", "40", "--quiet"]
    done = zoo_opt(*words, "--save", "best.json", "--checkpoint", "run.zoo", cwd=tmp_path, check=True)
    assert "https://***@host is down" in done.stderr and KEY not in done.stdout + done.stderr
    assert "***" in json.loads((tmp_path / "best.json").read_text())["first_failures"]["ConnectionError"]
    assert not [path for path in tmp_path.rglob("*.zoo*") if KEY.encode() in path.read_bytes()]

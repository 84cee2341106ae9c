"""The command line with a service: terms, ledger, forecast, what is shown of it, and no key anywhere."""

import html
import json
import os
import shlex
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from seg.remote.npz_service import NpzAdapter, Service
from seg.tiny_box import SIZE, Bright, splits

from zoo_opt.support import secrets
from zoo_opt_seg.adaptation.plan import planned
from zoo_opt_seg.adaptation.settings import settings_from
from zoo_opt_seg.cli import main
from zoo_opt_seg.cli.expecting import forecast
from zoo_opt_seg.remote.box import RemoteBlackBox
from zoo_opt_seg.remote.terms import Terms
from zoo_opt_seg.visual_prompts import make_prompt

TOKEN = "t0ken-0f-the-service"
QUICK = ["--calls", "120", "--batch", "4", "--validate", "2", "-o", "sigma0=0.1", "-o", "popsize=6", "--repeats", "1"]
DATA = ["--data", "seg.tiny_box:splits", "--size", str(SIZE)]
ADAPT = ["adapt", *DATA, *QUICK, "--quiet", "--test-images", "3"]
MODEL = ["--model", "seg.remote.test_remote_commands:connect"]


def connect(terms, name="npz:bright"):
    """What --model names in these tests."""
    return RemoteBlackBox(NpzAdapter(os.environ["SERVICE_URL"], name=name), terms)


@pytest.fixture(autouse=True)
def service(run, monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    with Service(Bright()) as service:
        monkeypatch.setenv("SERVICE_URL", service.url)
        yield service


def prompt(folder):
    with np.load(Path(folder) / "prompt.npz", allow_pickle=False) as file:
        return {name: file[name].tobytes() for name in file.files}


def test_a_service_is_adapted_as_a_model_in_process(service, capsys):
    terms = ["--workers", "3", "--price", "0.01", "--header", "Authorization: Bearer $SERVICE_TOKEN"]
    assert main([*ADAPT, *MODEL, *terms, "--out", "far"]) == 0
    said = capsys.readouterr()
    assert main([*ADAPT, "--model", "seg.tiny_box:factory", "--out", "near"]) == 0
    assert prompt("far") == prompt("near")
    metrics = json.loads(Path("far/metrics.json").read_text())
    paid = metrics["spent"]
    assert paid["calls"] == service.served == metrics["calls"] + metrics["test"]["calls"] + metrics["panel_calls"] + 1
    assert paid["money"] == pytest.approx(0.01 * paid["calls"]) and paid["perhaps"] == 0
    assert f"the service was asked {paid['calls']:,} times" in said.out
    assert "120 calls and up to" in said.err and "to measure: about" in said.err
    assert "of the service and 1." in said.err and "refiner's training" not in said.err
    page = html.unescape(Path("far/index.html").read_text())
    assert "calls of the service paid" in page
    about = shlex.join([*MODEL, "--header", "Authorization: Bearer $SERVICE_TOKEN"])  # as it can be pasted
    for command in ("predict --prompt", "evaluate --prompt", "serve --adapted"):
        assert f"zoo-opt-seg {command} far {about}" in page
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, _, headers, _ in service.asked)
    files = [path for path in Path("far").rglob("*") if path.is_file()]
    assert len(files) > 5 and not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in said.out + said.err
    config = json.loads(Path("far/config.json").read_text())
    assert config["model"] == "npz:bright" and "Authorization: Bearer $SERVICE_TOKEN" in config["command"]


def test_terms_are_no_part_of_what_a_run_is(service, capsys):
    assert main([*ADAPT, *MODEL, "--out", "far", "--most-calls", "70"]) == 1
    assert "most_calls is 70 and 70 are spent in the ledger" in capsys.readouterr().err
    assert service.served == 70
    assert main([*ADAPT, *MODEL, "--out", "far", "--workers", "2", "--price", "1", "--rate", "1000"]) == 0
    assert "50 calls and up to" in (said := capsys.readouterr().err) and "are left: about" in said
    metrics = json.loads(Path("far/metrics.json").read_text())
    assert metrics["spent"]["calls"] == service.served
    assert main([*ADAPT, "--model", "seg.tiny_box:factory", "--out", "near"]) == 0
    assert prompt("far") == prompt("near")
    assert main([*ADAPT, *MODEL, "--out", "far", "-m", "name=npz:other"]) == 2
    assert "holds another run: its model" in capsys.readouterr().err


@pytest.mark.parametrize(("workers", "batch", "rounds"), [(8, 1, 1.0), (3, 4, 0.5), (4, 4, 0.25)])
def test_no_more_is_in_flight_than_a_question_has_images(workers, batch, rounds):
    """With a minibatch of one image eight workers were said to be eight times as fast, and were not."""
    plan = planned(
        RemoteBlackBox(NpzAdapter("http://127.0.0.1:9"), Terms(workers=workers)),
        make_prompt("filter", SIZE),
        splits(),
        *settings_from({"calls": 120, "batch": batch, "test": False}),
    )
    with mock.patch.object(RemoteBlackBox, "seconds_each", 2.0):
        assert forecast(plan).seconds == pytest.approx(120 * 2.0 * rounds)


@pytest.mark.parametrize(("answer", "status"), [("n\n", 0), ("", 0), ("y\n", 0)])
def test_somebody_at_a_terminal_is_asked(answer, status, service, monkeypatch, capsys):
    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main([*ADAPT, *MODEL, "--out", "far"]) == status
    assert capsys.readouterr().err.count("Go on? [y/N]") == 1
    done = answer == "y\n"
    assert Path("far/metrics.json").exists() == done and (service.served > 1) == done
    before = service.served
    assert main([*ADAPT, *MODEL, "--out", "far", "--yes"]) == 0
    assert "Go on?" not in capsys.readouterr().err
    assert service.served == before if done else service.served > before


def test_a_ledger_of_several_runs_is_summed_up(service, capsys):
    for seed in ("1", "2"):
        more = ["--ledger", "all.jsonl", "--price", "0.25", "--seed", seed, "--out", f"far{seed}"]
        assert main([*ADAPT, *MODEL, *more]) == 0
    capsys.readouterr()
    assert main(["spend", "all.jsonl", "--json"]) == 0
    sums = json.loads(capsys.readouterr().out)
    assert sums["total"]["calls"] == service.served and list(sums["run"]) == ["far1", "far2"]
    assert sums["total"]["money"] == 0.25 * service.served and list(sums["model"]) == ["npz:bright"]
    assert main(["spend", "all.jsonl"]) == 0
    assert f"{service.served:,}" in capsys.readouterr().out
    assert not Path("far1/ledger.jsonl").exists()


def test_evaluate_and_predict_ask_by_the_same_terms(service, capsys):
    from PIL import Image

    Image.fromarray(np.full((30, 30, 3), 99, np.uint8)).save("photo.png")
    more = ["--ledger", "all.jsonl", "--workers", "2"]
    assert main(["evaluate", *DATA, *MODEL, *more, "--repeats", "1"]) == 0
    count = service.served
    ask = ["predict", *MODEL, *more, "--size", str(SIZE), "--image", "photo.png", "--point", "9,9", "--out", "mask.png"]
    assert main(ask) == 0
    assert service.served == count + 1
    capsys.readouterr()
    assert main(["spend", "all.jsonl", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["run"]) == ["evaluate seg.tiny_box:splits", "mask.png"]


def test_a_cache_in_front_costs_nothing(service):
    more = ["--cache", "answers", "--ledger", "all.jsonl"]
    for _ in range(2):
        assert main(["evaluate", *DATA, *MODEL, *more, "--repeats", "1"]) == 0
    assert service.served == 5


WRONG = [
    ([*ADAPT, "--model", "tiny", "--out", "x", "--workers", "3"], "--workers is for a service, which tiny is not"),
    ([*ADAPT, "--model", "tiny", "--out", "x", "-m", "a=1"], "--model-option is for a service"),
    ([*ADAPT, "--model", "tiny", "--out", "x", "--header", "A: b"], "--header is for a service"),
    (
        [*ADAPT, "--model", "http://127.0.0.1:9/sam", "--out", "x"],
        "--model must say how to ask the service at http://127",
    ),
    ([*ADAPT, "--model", "127.0.0.1:9/sam", "--out", "x", "--workers", "3"], "as one of oip:URL/MODEL, "),
    ([*ADAPT, *MODEL, "--out", "x", "--workers", "0"], "workers must be >= 1"),
    ([*ADAPT, *MODEL, "--out", "x", "--header", "nothing"], "a header must be 'NAME: VALUE'"),
    ([*ADAPT, *MODEL, "--out", "x", "--header", "A: $NO_SUCH_NAME_9"], "NO_SUCH_NAME_9 must be set"),
    ([*ADAPT, *MODEL, "--out", "x", "-m", "unknown=1"], "unknown"),
    ([*ADAPT, *MODEL, "--out", "."], "out must be a new or empty folder"),
    (["spend", "no-such-file"], "no-such-file"),
    (["spend", "other.txt"], "is no ledger"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[said for _, said in WRONG])
def test_wrong_usage_is_said_and_nothing_is_asked(words, said, service, capsys):
    Path("other.txt").write_text("{}\n{}\n")
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert service.asked == []

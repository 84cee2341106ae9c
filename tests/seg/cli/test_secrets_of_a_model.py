"""A key that a black box is given stands in no file of a run and in nothing that is printed."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from seg.adapting import TESTS
from seg.checks import succeeds
from seg.tiny_box import SIZE

from zoo_opt.support import secrets
from zoo_opt_seg.blackbox import BlackBoxError
from zoo_opt_seg.blackbox.process import ProcessBlackBox
from zoo_opt_seg.prompts import Prompts

KEY, WORD = "k3y-0f-the-service", "w0rd"
BOX = (
    f"import sys; sys.path.insert(0, {TESTS!r})\n"
    + """
import os
from seg.tiny_box import Bright
from zoo_opt_seg.blackbox import serve

class Service(Bright):
    name, asked = None, 0

    def __call__(self, images, prompts):
        Service.asked += 1
        print("asked with", os.environ["API_KEY"], file=sys.stderr, flush=True)
        if Service.asked == 3 and "FAILS" in os.environ:
            raise RuntimeError("401: https://me:w0rd@host refused the key " + os.environ["API_KEY"])
        return super().__call__(images, prompts)

serve(Service())
"""
)
DATA = ["--data", "seg.tiny_box:splits", "--size", str(SIZE)]
QUICK = ["--calls", "120", "--batch", "4", "--validate", "2", "-o", "sigma0=0.1", "-o", "popsize=6", "--repeats", "1"]
ADAPT = ["adapt", *DATA, *QUICK, "--out", "result", "--quiet", "--test-images", "3"]


@pytest.fixture(autouse=True)
def box(run, monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.delenv("API_KEY", raising=False)
    Path("box.py").write_text(BOX)


def model(key, more=""):
    return ["--model", f"process:env API_KEY={key} {more}{sys.executable} box.py"]


def files_with(text):
    every = [path for path in Path().rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert len(every) > 5
    return [str(path) for path in every if text.encode() in path.read_bytes()]


@pytest.mark.parametrize("key", [KEY, "$API_KEY"])
def test_a_key_stands_in_no_file_and_in_nothing_printed(run, monkeypatch, key):
    monkeypatch.setenv("API_KEY", KEY)
    printed = [*succeeds(run(*ADAPT, *model(key, "FAILS=1 ")))]
    printed += succeeds(run(*ADAPT, *model(key, "FAILS=1 ")))  # complete: it is only read
    printed += succeeds(run("evaluate", *DATA, *model(key), "--prompt", "result", "--save", "rows.json"))
    assert files_with(KEY) == files_with(WORD) == [] and not any(KEY in text for text in printed)
    config, page = json.loads(Path("result/config.json").read_text()), Path("result/index.html").read_text()
    shown = "$API_KEY" if key != KEY else "***"
    assert config["model"].startswith(f"env 'API_KEY={shown}' 'FAILS=***' ") and "sigma0=0.1" in config["command"]
    assert f"API_KEY={shown}" in page and "box.py" in page


def test_a_run_goes_on_whatever_its_key_is_now(run, monkeypatch):
    """By another key, by the name of a variable, and where an earlier release has written the key down."""
    succeeds(run(*ADAPT, *model(KEY)))
    before = Path("result/metrics.json").read_bytes()
    config = Path("result/config.json")
    config.write_text(config.read_text().replace("'API_KEY=***'", f"API_KEY={KEY}"))
    assert KEY in config.read_text()
    monkeypatch.setenv("API_KEY", "another-one")
    for key in ("another-one", "$API_KEY"):
        succeeds(run(*ADAPT, *model(key)))
        assert KEY not in config.read_text() and Path("result/metrics.json").read_bytes() == before
    status, _, err = run(*ADAPT, *model(KEY, "LEVEL=2 "))  # another model
    assert status == 2 and """another run: its model is "env 'API_KEY=***'""" in err and KEY not in err


def test_an_interrupted_run_goes_on_with_a_hidden_key(run, monkeypatch):
    succeeds(run(*ADAPT, *model(KEY)))
    whole = json.loads(Path("result/metrics.json").read_text())
    state, log = Path("result/state"), Path("result/log.jsonl")
    shutil.copytree("result", "cut")
    for name in ("metrics.json", "index.html", "panel.png"):
        Path("cut", name).unlink()
    assert state.exists() and log.exists()
    succeeds(run(*[word if word != "result" else "cut" for word in ADAPT], *model("a-new-one")))
    again = json.loads(Path("cut/metrics.json").read_text())
    assert again["marks"] == whole["marks"] and again["calls"] == whole["calls"]


def test_messages_hold_no_key(run, monkeypatch):
    """Of a box that fails for good, one that cannot be started, one whose variable is not set, and from Python."""
    broken = BOX.replace("Service.asked == 3 and", "")
    Path("box.py").write_text(broken)
    status, out, err = run(*ADAPT, *model(KEY, "FAILS=1 "))
    assert status == 1 and "401: https://***@host refused the key ***" in err and "asked with ***" in err
    assert KEY not in out + err and WORD not in err and files_with(KEY) == files_with(WORD) == []
    status, _, err = run(*ADAPT, "--model", f"process:/no/such --token {KEY} API_KEY={KEY}")
    assert status == 2 and "cannot be started" in err and KEY not in err
    status, _, err = run(*ADAPT, *model("$NOT_SET_ANYWHERE"))
    assert status == 2 and "variable NOT_SET_ANYWHERE must be set" in err
    with ProcessBlackBox(["env", f"API_KEY={KEY}", "FAILS=1", sys.executable, "box.py"]) as box:
        with pytest.raises(BlackBoxError, match="refused the key") as caught:
            box(np.zeros((1, SIZE, SIZE, 3), np.uint8), Prompts.nothing(1))
        assert KEY not in f"{caught.value}{box.command}{box.label}{box!r}"

"""What a shell is given when a word is to be completed."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from bench.commands import ENVIRONMENT

from zoo_opt.cli import main
from zoo_opt.cli.completion import SHELLS

pytest.importorskip("argcomplete")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_both_programs(shell, capsys):
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "zoo-opt" in out and "zoo-opt-seg" in out and "_ARGCOMPLETE" in out


@pytest.mark.skipif(os.name != "posix" or not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("zoo-opt ben", {"bench"}),
        ("zoo-opt run sph", {"sphere"}),
        ("zoo-opt run mi", {"mine.py"}),
        ("zoo-opt run sphere --method cma", {"cma-es"}),
        ("zoo-opt run sphere --method cma-es -o sig", {"sigma0="}),
        ("zoo-opt run --bu", {"--budget"}),
        ("zoo-opt bench q", {"quick"}),
        ("zoo-opt bench com", {"compare"}),
    ],
)
def test_words_are_completed(line, words, tmp_path):
    (tmp_path / "mine.py").touch()
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = ["bash", "-c", f"{shlex.quote(sys.executable)} -m zoo_opt.cli 8>&1 9>/dev/null >/dev/null 2>&1"]
    done = subprocess.run(
        command, env=ENVIRONMENT | asked, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert {word.strip() for word in done.stdout.split("\n")} == words

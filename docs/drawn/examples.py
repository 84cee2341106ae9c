"""The gallery: each example is run, and what it prints and a picture of its runs are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

WATCHED = """
import runpy, sys
sys.path.insert(0, {docs!r})
from drawn.watched import watching
with watching({pictures!r}):
    runpy.run_path({example!r}, run_name="__main__")
"""


def main(root: Path, out: Path) -> None:
    """Write NAME.txt, NAME.png and NAME-dark.png for each file of examples/."""
    out.mkdir(exist_ok=True)
    for example in sorted((root / "examples").glob("*.py")):
        code = WATCHED.format(docs=str(root / "docs"), pictures=str(out / example.stem), example=str(example))
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"}
            ran = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                cwd=folder, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if ran.returncode:
                raise SystemExit(f"{example.name} failed:\n{ran.stderr}")
            printed = ran.stdout.replace(str(root) + "/", "").replace(folder, "/tmp")
        (out / f"{example.stem}.txt").write_text(printed, encoding="utf-8")
        print(f"{example.name}: {len(printed.splitlines())} lines")

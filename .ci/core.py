"""Run the tests of the core in a fresh environment with numpy, or with the lowest versions that pyproject.toml allows.

python .ci/core.py [--lowest] [--keep FOLDER]    with any Python from 3.11 on, on Linux, macOS and Windows
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITH = ("pytest", "hypothesis", "rich", "argcomplete", "scipy")  # of all that the tests of the core import
PARTS = ("methods", "gradient", "storage", "support", "testing", "cli")
LEFT_OUT = ("test_docs.py", "test_typing.py", "test_examples.py", "test_package.py")  # these need the whole repository


def required(lowest: bool) -> list[str]:
    """The packages to install, "numpy>=2.0" as "numpy==2.0.*" where the lowest are wanted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    bounds = dict(re.match(r"([\w.-]+)(?:>=([\d.]+))?", line).groups() for line in lines)  # type: ignore[union-attr]
    names = ("numpy", *WITH)
    return [f"{name}=={bounds[name]}.*" if lowest else f"{name}>={bounds[name]}" for name in names]


def main() -> int:
    """Make the environment, show its versions, run the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lowest", action="store_true", help="the lowest versions that pyproject.toml allows")
    parser.add_argument("--keep", metavar="FOLDER", help="make the environment there, and leave it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments.keep or scratch) / "venv"
        venv.create(folder, with_pip=True, clear=True)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        quiet = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run([python, *quiet, *required(arguments.lowest), "--editable", ROOT], check=True)
        subprocess.run([python, "-m", "pip", "list", "--disable-pip-version-check"], check=True)
        tests = [ROOT / "tests" / part for part in PARTS]
        tests += [path for path in sorted((ROOT / "tests").glob("test_*.py")) if path.name not in LEFT_OUT]
        return subprocess.run(
            [python, "-m", "pytest", "-q", "-m", "not slow", *tests], cwd=ROOT, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Settings that all tests share: one BLAS thread each, reproducible hypothesis runs, and a clean subprocess."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.browser import launched
from hypothesis import HealthCheck, settings

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: xdist already uses the cores

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("repo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("repo"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "repo")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, one for all: playwright starts once in a process."""
    with launched() as browser:
        yield browser


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run Python in a fresh process and an empty folder; return what it printed, fail with its stderr."""

    def run(*args: str, timeout: float = 120) -> str:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return what makes a folder in which a package with these entry points lies as pip would leave it."""

    def installed(group: str, entry_points: Mapping[str, str]) -> Path:
        place = tmp_path / f"installed{len(list(tmp_path.iterdir()))}"
        folder = place / f"{place.name}-0.dist-info"
        folder.mkdir(parents=True)
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (folder / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {place.name}\nVersion: 0\n")
        monkeypatch.syspath_prepend(str(place))
        return place

    return installed

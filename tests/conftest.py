"""Settings that all tests share: one BLAS thread each, reproducible hypothesis runs, and a clean subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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

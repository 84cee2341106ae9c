"""``zoo-opt`` as a user runs it, from any folder."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

LONG = 120  # seconds that nothing takes, on a loaded machine

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


def python(*arguments, cwd, check=False, timeout=120, **options):
    """Run Python in a folder, to its end."""
    options = {"capture_output": True, "text": True, **options}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=ENVIRONMENT, timeout=timeout, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


def zoo_opt(*arguments, **options):
    """Run the command line, to its end."""
    return python("-m", "zoo_opt.cli", *arguments, **options)


def started(*arguments, cwd):
    """Start the command line in a process of its own, which may be killed."""
    command = [sys.executable, "-m", "zoo_opt.cli", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def process(*words, cwd, **options):
    """Start Python in a folder; ended at the end."""
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    with subprocess.Popen([sys.executable, *words], cwd=cwd, env=ENVIRONMENT, **options) as running:
        try:
            yield running
        finally:
            running.kill()


def until(met, what, seconds=LONG):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def left(mark):
    """The processes with this in their environment, but for those that have ended, and the one that keeps watch."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes()
            if words and b"-I\0-S\0-c" not in words and mark.encode() in (place / "environ").read_bytes():
                found.append(words)
    return found

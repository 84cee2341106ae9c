"""``zoo-opt`` as a user runs it, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

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

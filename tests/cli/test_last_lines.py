"""What the command line shows of an error of the user's function."""

import subprocess
import sys
from pathlib import Path

import pytest

from zoo_opt.cli.objective import last_lines


def simulate(seconds):
    return subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=seconds, check=False)


def test_a_program_that_hangs_is_shown_by_the_users_line():
    """The standard library's frames had taken all lines, and the first of them began with carets."""
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        simulate(0.01)
    lines = last_lines(caught.value).splitlines()
    frames = [line for line in lines if line.startswith("  File ")]
    assert frames and all(str(Path(__file__)) in line for line in frames)
    assert lines[0].startswith("  File ") and "timed out after" in lines[-1]
    assert any("subprocess.run(" in line for line in lines)


def test_an_error_within_the_standard_library_alone_is_shown():
    text = (
        f'Traceback (most recent call last):\n  File "{Path(subprocess.__file__)}", line 1, in run\n    x\nOSError: no'
    )
    assert last_lines(text).splitlines()[0].startswith("  File ") and last_lines(text).endswith("OSError: no")

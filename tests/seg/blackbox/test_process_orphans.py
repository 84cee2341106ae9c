"""A black box that is a process, and what it has started, end with this one, however it ends."""

import os
import signal
import time
from pathlib import Path

import pytest
from bench.commands import ENVIRONMENT, left, process, until
from seg.adapting import TESTS

SLOW = f"""
import subprocess, sys, time
sys.path.insert(0, {TESTS!r})
from seg.tiny_box import Bright
from zoo_opt_seg.blackbox import serve

class Slow(Bright):
    def __call__(self, images, prompts):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        time.sleep(300)

serve(Slow())
"""
ASKING = """
import sys
import numpy as np
from zoo_opt_seg.blackbox.process import ProcessBlackBox
from zoo_opt_seg.prompts import Prompts

box = ProcessBlackBox([sys.executable, "box.py"])
box(np.zeros((1, 8, 8, 3), np.uint8), Prompts.nothing(1))
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, to see who is left")
def test_a_busy_black_box_ends_with_the_process_that_asks_it(tmp_path, monkeypatch):
    (tmp_path / "box.py").write_text(SLOW)
    mark = f"ORPHAN_BOX_OF_{os.getpid()}"
    monkeypatch.setitem(ENVIRONMENT, "MARK", mark)
    with process("-c", ASKING, cwd=tmp_path) as parent:
        until(lambda: len(left(mark)) == 3 or parent.poll() is not None, "the box is not asked")
        assert parent.poll() is None
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    end = time.monotonic() + 10  # for a loaded machine: a tenth of a second is usual
    while (there := left(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not there

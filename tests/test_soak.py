"""``make soak`` in seconds: it finds nothing, and finds what is wrong with a library that is broken on purpose."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or not SOAK.is_dir(), reason="needs signals, fork and the scripts"),
]
START = f"import sys; sys.path.insert(0, {str(SOAK)!r}); sys.argv = ['soak', '--seconds', '3']; import soak\n"
TOLD = "each._replace(loss=each.loss + self.opt.seconds) for each in outcomes"
BREAKS = {
    "none": "",
    "lost": "from zoo_opt.storage.append import AppendFile; AppendFile.append = lambda self, data: None",
    "refused": "from zoo_opt.storage import own_file; own_file._close_all.__code__ = (lambda: None).__code__",
    "wrong": f"from zoo_opt.resume import KeptRun as K; t = K.tell; K.tell = lambda self, outcomes: t(self, [{TOLD}])",
}


@pytest.mark.parametrize("fault", BREAKS)
def test_soak(fault):
    command = [sys.executable, "-W", "ignore", "-c", f"{START}{BREAKS[fault]}\nsys.exit(soak.main())"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    *_, total = done.stdout.splitlines()
    found = dict(word.split() for word in total.removeprefix("total: ").split(", "))
    assert done.returncode == (fault != "none"), done.stdout + done.stderr
    assert {name for name in ("lost", "wrong", "refused") if int(found[name])} == {fault} - {"none"}, done.stdout

"""The proof of the transport, in short: see benchmarks/remote_soak.py. And what a kill of the client loses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from seg.remote.npz_service import NpzAdapter, Service, bright
from seg.tiny_box import Bright

from zoo_opt_seg.blackbox import Served, SeveralBoxes
from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.box import RemoteBlackBox
from zoo_opt_seg.remote.terms import Terms

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), dtype=np.float32)
POINTS = Prompts(points=np.ones((6, 1, 2)))


@pytest.mark.slow
def test_a_server_that_is_killed_busy_and_loses_connections_changes_nothing(tmp_path):
    pytest.importorskip("segment_anything")
    words = ["--calls", "100", "--kills", "4", "--client-kills", "1"]
    command = [sys.executable, BENCHMARKS / "remote_soak.py", tmp_path / "soak", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == 4 and found["client_kills"] == 1 and found["perhaps_paid"] >= 1


class Killed(BaseException):
    """The end of a process, in the middle of a question."""


def test_what_came_before_a_kill_is_not_asked_for_again(tmp_path):
    """Masks are kept as they come, before the ledger says that they did."""
    kept, ledger = MaskFolder(tmp_path / "kept", "masks"), tmp_path / "ledger"

    class Dying(NpzAdapter):
        def read(self, reply):
            if len(list(kept)) == 4:
                raise Killed
            return super().read(reply)

    with Service() as service:
        with RemoteBlackBox(Dying(service.url), Terms(ledger=ledger, workers=1)) as box, pytest.raises(Killed):
            Served(box, kept=kept)(IMAGES, POINTS)
        asked = service.served
        assert asked <= 6
        with RemoteBlackBox(NpzAdapter(service.url), Terms(ledger=ledger, workers=1)) as box:
            again = Served(box, kept=kept)
            assert np.array_equal(again(IMAGES, POINTS), bright(IMAGES, POINTS))
            assert service.served == asked + 2  # the two that had not come
            assert box.spent.calls == asked + 2
            again(IMAGES[:1], POINTS[:1])  # another question: what is kept goes
            assert len(list(kept)) == 1


def test_several_services_keep_what_comes_too(tmp_path):
    kept = MaskFolder(tmp_path / "kept", "masks")
    with Service() as one, Service() as other:
        boxes = [RemoteBlackBox(NpzAdapter(service.url), Terms(workers=2)) for service in (one, other)]
        with SeveralBoxes(boxes, rows=2) as several:
            assert np.array_equal(Served(several, kept=kept)(IMAGES, POINTS), bright(IMAGES, POINTS))
            assert len(list(kept)) == 6
        own = Bright()
        own.prompted_by = "points"
        with SeveralBoxes([boxes[0], own], "both") as mixed:
            assert not mixed.keep_in(kept)

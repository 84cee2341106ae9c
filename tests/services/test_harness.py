"""The harness itself: servers are ended with all that they started, and what goes wrong is said."""

import os
import select
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from services import harness

WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
import http.server
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_a_server_is_ended_with_its_children(tmp_path: Path) -> None:
    port, log = harness.free_port(), tmp_path / "log"
    command = [sys.executable, "-c", WITH_CHILD, str(port)]
    with harness.running(command, f"http://127.0.0.1:{port}/", log, cwd=tmp_path) as server:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/").status == 200
        child = os.pidfd_open(int(log.read_text().split()[0]))
    assert server.poll() is not None
    assert select.select([child], [], [], 10)[0] == [child]  # readable once it has ended
    os.close(child)


USER = """
import sys, signal
from pathlib import Path
from services import harness
port = harness.free_port()
command = [sys.executable, "-c", sys.argv[1], str(port)]
with harness.running(command, f"http://127.0.0.1:{port}/", Path("log")) as server:
    print(server.pid, Path("log").read_text().split()[0], flush=True)
    signal.pause()
"""


def test_a_server_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(harness.ROOT), str(harness.ROOT / "tests")])}
    command = [sys.executable, "-c", USER, WITH_CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as user:
        assert user.stdout is not None
        processes = [os.pidfd_open(int(word)) for word in user.stdout.readline().split()]
        user.kill()
    assert len(processes) == 2
    for process in processes:
        assert select.select([process], [], [], 30)[0] == [process]
        os.close(process)


def test_a_server_that_ends_says_what_it_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
    with (
        pytest.raises(RuntimeError, match=r"ended with 1 before it was ready.*\nno such model"),
        harness.running(command, "http://127.0.0.1:1/", tmp_path / "log"),
    ):
        pass


def test_what_cannot_be_had_is_a_skip_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OPT_SERVICES", str(tmp_path))
    monkeypatch.setitem(harness.ENVIRONMENTS, "odd", harness.Environment(("x",), before=(3, 9)))
    monkeypatch.setitem(harness.ENVIRONMENTS, "heavy", harness.Environment(("x",), large=True))
    with pytest.raises(pytest.skip.Exception, match=r"odd: needs a Python before 3\.9"):
        harness.interpreter("odd")
    with pytest.raises(pytest.skip.Exception, match="heavy: its environment is large, `make services` makes it"):
        harness.interpreter("heavy")
    assert os.listdir(tmp_path) == ["heavy.lock"]

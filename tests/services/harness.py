"""Real servers and clients of others, each in a virtual environment of its own, for tests on this machine alone.

``python -m services.harness`` makes all environments (``make services`` does so), with names after it those alone. They
lie in the folder ``$ZOO_OPT_SERVICES``, or in ``.services`` of the repository. A test asks for one by `interpreter`,
which makes it if it is small, and skips the test, with the reason, where it cannot be had.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from zoo_opt.support import children

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SECONDS = 900  # for an environment to be made, at most


@dataclass(frozen=True)
class Environment:
    """What is installed together.

    Parameters
    ----------
    packages : tuple of str
    before : (int, int)
        The first version of Python that it does not work with.
    large : bool
        Whether `make services` alone makes it, not a test: hundreds of megabytes, or a minute.
    embeds : bool
        Whether it needs the shared library of its Python.
    """

    packages: tuple[str, ...]
    before: tuple[int, int] = (3, 14)
    large: bool = False
    embeds: bool = False


ENVIRONMENTS = {
    "triton": Environment(("nvidia-pytriton==0.7.0", "numpy==1.26.4"), embeds=True),
    "mlserver": Environment(("mlserver==1.7.1", "numpy==2.2.6"), before=(3, 13)),
    "kserve": Environment(("kserve==0.21.0", "numpy==2.2.6"), large=True),
    "tritonclient": Environment(("tritonclient[http]==2.73.0", "numpy==2.2.6")),
    "inference-sdk": Environment(("inference-sdk==1.8.3",), large=True),
    "label-studio": Environment(("label-studio==1.23.2",), large=True),
}


def folder() -> Path:
    """Return the folder of the environments."""
    return Path(os.environ.get("ZOO_OPT_SERVICES") or ROOT / ".services").resolve()


def interpreter(name: str) -> Path:
    """Return the Python of an environment; skip the test, saying why, where it cannot be had."""
    try:
        return made(name, large=False)
    except Unavailable as error:
        pytest.skip(f"{name}: {error}")


class Unavailable(Exception):
    """An environment that cannot be had here; the message says why."""


@functools.cache
def made(name: str, large: bool = True) -> Path:
    """Return the Python of an environment, which is made if it is not there; processes wait for each other.

    Raises
    ------
    Unavailable
        If it cannot be made, or is large and may not be.
    """
    what = ENVIRONMENTS[name]
    base = base_python(what)
    place = folder() / name
    stamp, wanted = place / "made.json", [*what.packages, str(base.resolve())]
    python = place / "bin" / "python"
    folder().mkdir(parents=True, exist_ok=True)
    with open(folder() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and json.loads(stamp.read_text()) == wanted:
            return python
        failed = folder() / f"{name}.failed"  # so that each test of a run need not try again
        key = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
        if failed.exists() and failed.read_text().partition("\n")[0] == key:
            raise Unavailable(failed.read_text().partition("\n")[2])
        if what.large and not large:
            raise Unavailable("its environment is large, `make services` makes it")
        shutil.rmtree(place, ignore_errors=True)
        try:
            _install(base, place, what.packages)
        except Unavailable as error:
            failed.write_text(f"{key}\n{error}")
            raise
        stamp.write_text(json.dumps(wanted))
    return python


def _install(base: Path, place: Path, packages: Sequence[str]) -> None:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    python = str(place / "bin" / "python")
    ways = [[[str(base), "-m", "venv", str(place)], [python, "-m", "pip", "install", "--quiet", *packages]]]
    if uv:
        ways.insert(0, [[uv, "venv", "-q", "--python", str(base), str(place)]])
        ways[0].append([uv, "pip", "install", "-q", "--python", python, *packages])
    said = ""
    for way in ways:
        shutil.rmtree(place, ignore_errors=True)
        try:
            for command in way:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
            return
        except subprocess.CalledProcessError as error:
            said = said or (error.stderr.strip() or error.stdout.strip())[-300:].replace("\n", " ")
        except subprocess.TimeoutExpired:
            said = said or f"not installed after {SECONDS} s"
    raise Unavailable(f"cannot be installed here: {said}")


_ASKED = """
import json, os, sys, sysconfig
folder, name = sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or ""
shared = ".so" in name and os.path.exists(os.path.join(folder, name))
print(json.dumps([sys.version_info[:2], shared, folder]))
"""


@functools.cache
def about(python: Path) -> tuple[tuple[int, int], bool, str]:
    """Return an interpreter's version, whether its shared library is there, and the folder of that."""
    version, shared, libraries = json.loads(subprocess.check_output([str(python), "-c", _ASKED], text=True))
    return (version[0], version[1]), shared, libraries


def base_python(what: Environment) -> Path:
    """Return the interpreter that an environment is made from: this one, or another that fits.

    Raises
    ------
    Unavailable
        If there is none.
    """
    others = (shutil.which(name) for name in ("python3.12", "python3.11", "python3"))
    own = Path(getattr(sys, "_base_executable", sys.executable))
    for python in [own, *map(Path, filter(None, others)), Path("/usr/bin/python3")]:
        try:
            version, shared, _ = about(python)
        except (OSError, subprocess.CalledProcessError):
            continue
        if (3, 9) <= version < what.before and (shared or not what.embeds):
            return python
    library = " that has its shared library (libpython)" if what.embeds else ""
    raise Unavailable(f"needs a Python before {what.before[0]}.{what.before[1]}{library}, which is not here")


# ------------------------------------------------------------------------------------------------------------- servers
def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path],
    ready: str,
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 240,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, or this process does; its whole process group is ended then.

    Parameters
    ----------
    command : sequence of str
    ready : str
        Address that answers with 200 once the server can be asked.
    log : Path
        File for what it prints.
    env : mapping, optional
        Variables beside those of this process.
    cwd : Path, optional
    seconds : float
        For it to get ready.

    Raises
    ------
    RuntimeError
        If it ends before it is ready, or is not in time; with the end of its log.
    """
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    children.keep(server)
    try:
        _await(server, ready, log, time.monotonic() + seconds)
        yield server
    finally:
        _end(server)
        children.release(server)


def _await(server: subprocess.Popen[bytes], ready: str, log: Path, until: float) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            direct.open(ready, timeout=5).close()  # raises for what is no success
            return
        except OSError:
            pass
        late = time.monotonic() > until
        if late or server.poll() is not None:
            what = "is not ready in time" if late else f"ended with {server.poll()} before it was ready"
            raise RuntimeError(f"the server {what}; it printed\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.2)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server as its user would; what is left of its group after that is killed."""
    if server.poll() is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # its own group, whose number is that of the server
    server.wait()


def main() -> int:
    """Make the environments that are named, or all; say which cannot be had."""
    for name in sys.argv[1:] or ENVIRONMENTS:
        begin = time.monotonic()
        try:
            made(name)
            print(f"{name}: there ({time.monotonic() - begin:.0f} s)", flush=True)
        except Unavailable as error:
            print(f"{name}: {error}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the tests of parts of the code, without a change and with one, each time in a fork of its own.

One process collects the tests of all parts. A fork of it notes which functions each test calls. A change inside a
function is tried against the tests that call it, quick ones first, in a fork in which the function has other code. A
new interpreter imports the changed module where that would be too late: where the change is outside of functions, or
in one that is called before the first test. All tests are run if no test calls the function in its own process.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib.machinery
import importlib.util
import math
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest
from mutants_places import ROOT, Mutant, read

BROKEN = 99  # exit status of a fork that could not run the tests
LONGEST = 1200  # seconds of processor time for the tests of a part without a change
BORN = ("os.fork", "os.posix_spawn", "subprocess.Popen")  # audit events of other processes, in which nothing is noted
OPTIONS = ["-q", "-o", "addopts=--import-mode=importlib", "-o", "tmp_path_retention_policy=none"]
OPTIONS += ["-p", "no:cacheprovider"]
Calls = set[tuple[str, int]]  # functions: path and first line


class Function(NamedTuple):
    """A function or method that is in no other one, by its lines."""

    name: str
    first: int
    last: int
    cached: bool  # what is kept in a cache is called by the first of its users alone

    def holds(self, line: int) -> bool:
        """Return whether a line is of this function."""
        return self.first <= line <= self.last


def function_at(mutant: Mutant) -> Function | None:
    """Return the function in whose body a change is; None if it is elsewhere, and so runs on import."""
    for node in ast.walk(ast.parse(read(mutant.path))):  # outer functions come first
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= mutant.line <= (node.end_lineno or 0):
            if node.body[0].lineno == node.lineno:
                return None
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            cached = any("cache" in ast.unparse(decorator) for decorator in node.decorator_list)
            return Function(node.name, first, node.end_lineno or 0, cached)
    return None


# ------------------------------------------------------------------------------------------------- what tests call
@dataclass
class Tests:
    """The tests of a part: what each takes, and which functions of the part it calls.

    Attributes
    ----------
    paths : list of str
        The modules of the part.
    early : set
        The functions that are called before the first test.
    cpu, wall : dict
        Seconds of each test.
    calls : dict
        For each test the functions that it calls; None if it starts other processes.
    """

    paths: list[str]
    early: Calls
    cpu: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)
    calls: dict[str, Calls | None] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice, quick ones first."""
        at = function_at(mutant)
        if at is None or at.cached:
            return sorted(self.calls, key=self.cpu.__getitem__)
        here = {
            test: None if calls is None else any(path == mutant.path and at.holds(line) for path, line in calls)
            for test, calls in self.calls.items()
        }
        known = any(here.values())
        return sorted((test for test in here if here[test] is not False or not known), key=self.cpu.__getitem__)

    def limits(self, chosen: list[str]) -> tuple[int, float]:
        """Return how many seconds of a processor, and on the clock, these tests may take with a change."""
        cpu, wall = (sum(seconds[test] for test in chosen) for seconds in (self.cpu, self.wall))
        return math.ceil(15 + 3 * cpu), 60 + 6 * max(cpu, wall)


class Tracer:
    """Notes which functions of some modules are called, and whether a process is started."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = {str(ROOT / path): path for path in paths}
        self.called: Calls = set()
        self.born = False

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        """Note a call; lines are not asked for."""
        code = frame.f_code
        if code.co_filename in self.paths:
            self.called.add((self.paths[code.co_filename], code.co_firstlineno))

    def heard(self, event: str, arguments: Any) -> None:
        """Note an audit event."""
        if event in BORN:
            self.born = True

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        """Note what is called meanwhile."""
        self.called, self.born = set(), False
        sys.settrace(self)
        threading.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ the mutants
def patched(mutant: Mutant) -> bool:
    """Give a function its changed code, in this process; return False if that cannot be done."""
    at, file = function_at(mutant), str(ROOT / mutant.path)
    if at is None:
        return False
    changed = compile(mutant.code(), file, "exec", dont_inherit=True)
    (new,) = (code for code in _codes(changed) if (code.co_name, code.co_firstlineno) == (at.name, at.first))
    found = False
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            old = thing.__code__
            if (old.co_filename, old.co_name, old.co_firstlineno) == (file, at.name, at.first):
                if old.co_freevars != new.co_freevars:
                    return False
                thing.__code__ = new
                found = True
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from other code than that of its file."""

    def __init__(self, name: str, path: str, code: str) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> Any:
        """Return the changed code, compiled."""
        return compile(self._code, self.path, "exec", dont_inherit=True)


class Finder:
    """Finds the mutant before the module."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.loader = Loader(self.name, str(ROOT / mutant.path), mutant.code())

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the mutant's spec if it is what is looked for."""
        if name == self.name:
            return importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)
        return None


class Some:
    """A plugin of pytest that runs some tests alone, in their order."""

    def __init__(self, chosen: list[str]) -> None:
        self.order = {name: i for i, name in enumerate(chosen)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Choose; if none of them is there by its name, all are run."""
        if chosen := [item for item in items if item.nodeid in self.order]:
            items[:] = sorted(chosen, key=lambda item: self.order[item.nodeid])


def imported(file: str) -> int:
    """Run tests, in a new interpreter, with the mutant in the place of its module; both are in a pickle."""
    mutant, chosen, folder = pickle.loads(Path(file).read_bytes())
    sys.meta_path.insert(0, Finder(mutant))
    files = sorted({name.partition("::")[0] for name in chosen})
    return int(pytest.main([*OPTIONS, "-x", f"--basetemp={folder}", *files], [Some(chosen)]))


# --------------------------------------------------------------------------------------------- running the tests
class Host:
    """A plugin of pytest that collects tests, and in the place of running them calls ``do(host)``."""

    def __init__(self, do: Callable[[Host], None], early: Calls, scratch: Path) -> None:
        self.do, self.early, self.scratch = do, early, scratch
        self.items: dict[str, Any] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        """Do what is to be done."""
        sys.settrace(None)
        self.items = {item.nodeid: item for item in session.items}
        self.do(self)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Print what failed: a fork ends before pytest would."""
        if report.failed:
            print(report.longreprtext, flush=True)

    def noted(self, arguments: list[str], paths: list[str]) -> Tests | None:
        """Return what the tests of a part call; None, and print what they say, if one fails."""
        names = [name for name in self.items if any(_is_of(name, argument) for argument in arguments)]
        notes, log = self.scratch / "notes", self.scratch / "log"
        pid = self._forked(lambda: self._note(names, Tests(paths, self.early), notes), log, LONGEST)
        if os.waitpid(pid, 0)[1]:
            print(log.read_text()[-3000:])
            return None
        tests: Tests = pickle.loads(notes.read_bytes())
        return tests

    def run(self, chosen: list[tuple[Mutant, Tests]], workers: int, end: float) -> Iterator[tuple[Mutant, str]]:
        """Yield each mutant with "caught", "timeout" or "survived", as they end, up to those begun before ``end``."""
        waiting, running = list(reversed(chosen)), {}
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < workers and time.monotonic() < end:
                mutant, tests = waiting.pop()
                some = tests.of(mutant)
                cpu, wall = tests.limits(some)
                work = functools.partial(self._try, mutant, some, tests)
                pid = self._forked(work, Path(os.devnull), cpu)
                running[pid] = mutant, time.monotonic() + wall
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                mutant, _ = running.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                if code == BROKEN:
                    raise RuntimeError(f"the tests could not be run with {mutant}")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # what it started and left
                shutil.rmtree(self.scratch / str(pid), ignore_errors=True)
                killed = code in (-signal.SIGXCPU, -signal.SIGKILL)
                yield mutant, "timeout" if killed else "caught" if code else "survived"
                continue
            for pid, (_, deadline) in running.items():
                if time.monotonic() > deadline:
                    os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _forked(self, work: Callable[[], int], log: Path, seconds: int) -> int:
        """Fork a process that ends with what ``work`` returns; return its id. It may take so many processor seconds."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            out = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(out, 1)
            os.dup2(out, 2)
            resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            code = work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            code = BROKEN
        os._exit(code)

    def _note(self, names: list[str], tests: Tests, file: Path) -> int:
        tracer = Tracer(tests.paths)
        sys.addaudithook(tracer.heard)
        caches = [thing for thing in gc.get_objects() if type(thing) is functools._lru_cache_wrapper]
        for name in names:
            for cache in caches:
                if str(cache.__module__).startswith("zoo_opt"):
                    cache.cache_clear()
            cpu, wall = time.process_time(), time.monotonic()
            with tracer.tracing():
                failed = self._perform([name])
            if failed:
                return failed
            tests.cpu[name], tests.wall[name] = time.process_time() - cpu, time.monotonic() - wall
            tests.calls[name] = None if tracer.born else tracer.called
        file.write_bytes(pickle.dumps(tests))
        return 0

    def _try(self, mutant: Mutant, chosen: list[str], tests: Tests) -> int:
        at = function_at(mutant)
        late = at is None or any(path == mutant.path and at.holds(line) for path, line in tests.early)
        if not late and patched(mutant):
            try:
                return self._perform(chosen)
            except BaseException:
                return 1
        folder = self.scratch / str(os.getpid())
        file = folder.with_suffix(".pickle")
        file.write_bytes(pickle.dumps((mutant, chosen, str(folder))))
        os.execv(sys.executable, [sys.executable, __file__, str(file)])

    def _perform(self, names: list[str]) -> int:
        """Run tests up to the first that fails; return 1 if one does."""
        for name, following in zip(names, [*names[1:], None], strict=True):
            item = self.items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following and self.items[following])
            if item.session.testsfailed:
                return 1
        return 0


def _is_of(name: str, argument: str) -> bool:
    """Return whether a test is in a file, or is a function, that is given as an argument."""
    return name == argument or name.startswith((f"{argument}::", f"{argument}["))


def with_tests(arguments: list[str], slow: list[str], paths: list[str], do: Callable[[Host], None]) -> int:
    """Collect tests but the slow ones, and call ``do`` with what runs them; return 0 if that went well."""
    memory = "/dev/shm"  # where forcing to the disk takes no time
    with tempfile.TemporaryDirectory(
        prefix="mutants", dir=memory if os.access(memory, os.W_OK) else None, ignore_cleanup_errors=True
    ) as name:
        tracer = Tracer(paths)
        host = Host(do, tracer.called, Path(name))
        options = [*OPTIONS, "-s", f"--basetemp={name}/tests", *(f"--deselect={test}" for test in slow)]
        sys.settrace(tracer)
        return int(pytest.main([*options, *arguments], [host]))


if __name__ == "__main__":
    sys.exit(imported(sys.argv[1]))

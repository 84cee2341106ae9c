"""How many faults the tests notice: small changes (mutants) of the package's code, and whether a test fails with each.

The changes are those of cosmic-ray. Its own runner writes each mutant into the working tree and starts a new
interpreter for it, with one command for all modules; mutmut changes functions alone, neither constants nor what is
decorated. So the runs are our own: a process that has imported numpy and pytest forks for each mutant, and the fork
imports the mutant in the place of the module and runs the tests that pyproject.toml names for it.

What is tried is a seeded sample: places in the code are drawn, and for each place one of its changes. Never tried, as
no test could or need notice them, are changes

- in ``raise`` statements, in calls that warn or log, and in f-strings or the choice of one: texts and what they say;
- in annotations, type aliases, the ``*`` and ``/`` of signatures, and under ``if TYPE_CHECKING``;
- of a comparison by value to one by identity or back, which for None, True, False and small numbers are one;
- of ``==`` or ``!=`` to an order, beside a text, a named value (in capitals) or the same again: they have none;
- of a number by less than one in a hundred, and of how much `lru_cache` keeps;
- of guards that a right program never meets: ``strict=`` of zip; ``frozen``, ``slots``, ``kw_only`` of a dataclass, and
  ``repr`` and ``compare`` of its fields; the decorators ``abstractmethod`` and ``overload``;
- to an operator on bits (``& | ^ << >> ~``), which floats have not: the mutant dies whatever the tests are.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import fnmatch
import glob
import importlib
import importlib.machinery
import importlib.util
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BITS = ("BitOr", "BitAnd", "BitXor", "LShift", "RShift", "Invert")
NEED_ARGUMENTS = ("VariableReplacer", "VariableInserter")
WARNS = ("warn", "warning", "info", "debug", "exception")  # of warnings and of loggers
GUARDS = {"strict", "frozen", "slots", "kw_only", "repr", "compare", "stacklevel", "eq"}
NO_EFFECT = {"abstractmethod", "overload", "override"}
BROKEN = 99  # exit status of a fork that could not run the tests


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    group: str
    path: str
    line: int
    operator: str
    occurrence: int

    def code(self) -> str:
        """Return the changed code."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        code: str = mutate_code(read(self.path), get_operator(self.operator)(), self.occurrence)
        return code

    def difference(self) -> str:
        """Return what is changed, as lines with - and +."""
        lines = difflib.unified_diff(read(self.path).splitlines(), self.code().splitlines(), n=0, lineterm="")
        changed = "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))
        return f"{self.path}:{self.line} {self.operator}\n{changed}\n"


def read(path: str) -> str:
    """Return the code of a module, given relative to the root."""
    return (ROOT / path).read_text()


# ------------------------------------------------------------------------------------------------ which there are
def untried(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the ranges of the code, (line, column) to (line, column), in which nothing is changed."""
    for node in ast.walk(tree):
        parts: list[Any] = []
        match node:
            case ast.Raise() | ast.Assert():
                parts = [node]
            case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
                parts = [node]
            case ast.AnnAssign():
                parts = [node.annotation]
            case ast.arg(annotation=annotation):
                parts = [annotation]
            case ast.FunctionDef():
                parts = [node.returns, *(d for d in node.decorator_list if ast.unparse(d) in NO_EFFECT)]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                parts = [node.test, *node.body]
            case ast.JoinedStr() | ast.IfExp(body=ast.JoinedStr()) | ast.IfExp(orelse=ast.JoinedStr()):
                parts = [node]
            case ast.Call(func=ast.Attribute(attr=name)) if name in WARNS or name == "lru_cache":
                parts = [node]
            case ast.keyword(arg=name) if name in GUARDS:
                parts = [node]
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def without_order(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the ranges of comparisons for equality of what has no order."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(ops=[ast.Eq() | ast.NotEq()], left=left, comparators=[right]):
                same = ast.unparse(left) == ast.unparse(right)
                if same or any(is_one_of_several(side) for side in (left, right)):
                    yield (node.lineno, node.col_offset), (right.lineno, right.col_offset)


def large_numbers(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the ranges of numbers of which 1 is less than one in a hundred."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=int() | float() as value) if abs(value) > 100:
                yield (node.lineno, node.col_offset), (node.lineno, node.col_offset + 1)


def is_one_of_several(side: ast.expr) -> bool:
    """Return whether a side of a comparison is a text or a named value."""
    match side:
        case ast.Constant(value=str() | bytes()):
            return True
        case ast.Name(id=name):
            return name.isupper()
    return False


def is_order(kind: str) -> bool:
    """Return whether an operator makes an order of an equality."""
    before, _, after = kind.removeprefix("ReplaceComparisonOperator_").partition("_")
    return before in ("Eq", "NotEq") and after in ("Lt", "LtE", "Gt", "GtE")


def is_identity(kind: str) -> bool:
    """Return whether an operator makes a comparison by identity of one by value, or back."""
    words = kind.removeprefix("ReplaceComparisonOperator_").split("_")
    return kind.startswith("ReplaceComparison") and ("Is" in words[0]) != ("Is" in words[1])


def mutants(group: str, path: str) -> dict[tuple[int, int], list[Mutant]]:
    """Return the changes of a module that may be tried, by the place in the code."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = read(path)
    lines, tree = source.splitlines(), ast.parse(source)
    ranges, unordered, large = list(untried(tree)), list(without_order(tree)), list(large_numbers(tree))
    nodes = list(ast_nodes(get_ast(source)))
    places: dict[tuple[int, int], list[Mutant]] = {}
    for name in operator_names():
        kind = name.rpartition("/")[2]
        if kind in NEED_ARGUMENTS or kind.rpartition("_")[2] in BITS or is_identity(kind):
            continue
        operator, occurrence = get_operator(name)(), -1
        for node in nodes:
            for (line, column), _ in operator.mutation_positions(node):
                occurrence += 1
                place = line, len(lines[line - 1][:column].encode())  # as ast counts, in bytes
                more = unordered if is_order(kind) else large if kind == "NumberReplacer" else []
                within = any(first <= place < last for first, last in [*ranges, *more])
                if kind == "RemoveDecorator" and any(first == (line, column + 1) for first, _ in ranges):
                    within = True
                bare = re.match(r"[*/]\s*,", lines[line - 1][column:])  # in a signature
                if not within and not bare:
                    places.setdefault((line, column), []).append(Mutant(group, path, line, name, occurrence))
    return places


def drawn(group: str, settings: dict[str, Any], seed: int, most: int | None) -> tuple[int, list[Mutant]]:
    """Return how many places a group has, and the mutants that are tried of it."""
    paths = sorted({p for pattern in settings["modules"] for p in glob.glob(pattern, root_dir=ROOT, recursive=True)})
    paths = [p for p in paths if not any(fnmatch.fnmatch(p, pattern) for pattern in settings.get("except", []))]
    places = [changes for path in paths for changes in mutants(group, path).values()]
    rng = random.Random(f"{seed} {group}")
    rng.shuffle(places)
    chosen = []
    for changes in places[: most or settings["sample"]]:
        rng.shuffle(changes)
        chosen += next(([m] for m in changes if compiles(m)), [])
    return len(places), chosen


def compiles(mutant: Mutant) -> bool:
    """Return whether there is changed code, which is Python, and other code than before."""
    try:
        return ast.dump(ast.parse(mutant.code())) != ast.dump(ast.parse(read(mutant.path)))
    except (
        SyntaxError,
        ZeroDivisionError,
        AttributeError,
    ):  # the last: a bug with `except a.B`
        return False


# --------------------------------------------------------------------------------------------- running the tests
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

    def __init__(self, path: str, code: str) -> None:
        self.name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.loader = Loader(self.name, str(ROOT / path), code)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the mutant's spec if it is what is looked for."""
        if name == self.name:
            return importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)
        return None


def begin(mutant: Mutant | None, tests: list[str], scratch: Path, seconds: float) -> int:
    """Fork a process that runs ``tests`` with the mutant; return its id. It exits with 0 if all of them pass."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        log = os.open(scratch / "log" if mutant is None else os.devnull, os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 2, int(seconds) + 4))
        if mutant is not None:
            sys.meta_path.insert(0, Finder(mutant.path, mutant.code()))
        import pytest

        arguments = ["-x", "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider"]
        code = int(pytest.main([*arguments, f"--basetemp={scratch / str(os.getpid())}", *tests]))
    except BaseException:
        traceback.print_exc()
        code = BROKEN
    os._exit(code)


def run(chosen: list[tuple[Any, list[str], float]], workers: int, end: float) -> Iterator[tuple[Any, str]]:
    """Yield each mutant with "caught", "timeout" or "survived", as they end; those not begun at ``end`` are left."""
    waiting, running, memory = list(reversed(chosen)), {}, "/dev/shm"  # where forcing to the disk takes no time
    scratch = Path(tempfile.mkdtemp(prefix="mutants", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < workers and time.monotonic() < end:
                mutant, tests, seconds = waiting.pop()
                running[begin(mutant, tests, scratch, seconds)] = mutant, time.monotonic() + seconds
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                mutant, _ = running.pop(pid)
                if os.waitstatus_to_exitcode(status) == BROKEN:
                    raise RuntimeError(f"the tests could not be run with {mutant}")
                if mutant is None and status:
                    print((scratch / "log").read_text()[-3000:])
                yield mutant, "caught" if status else "survived"
                shutil.rmtree(scratch / str(pid), ignore_errors=True)
                continue
            for pid, (mutant, deadline) in list(running.items()):
                if time.monotonic() > deadline:
                    os.killpg(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    del running[pid]
                    yield mutant, "timeout"
            time.sleep(0.01)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> int:
    """Try the mutants; print the table, and write the survivors into a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help="groups of pyproject.toml; all if none is given")
    parser.add_argument("--sample", type=int, help="places of each group, in the place of those of pyproject.toml")
    parser.add_argument("--seed", type=int, help="another sample")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--survivors", default="results/mutants.txt", help="file for them")
    given = parser.parse_args()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
    seed = config["seed"] if given.seed is None else given.seed
    os.chdir(ROOT)
    os.environ["CI"] = "1"  # hypothesis: the same examples in each run, none kept
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path[:0] = [str(ROOT)]
    groups = {name: config["groups"][name] for name in given.groups or config["groups"]}
    began = time.monotonic()
    for module in ["pytest", "hypothesis", "numpy", *(m for s in groups.values() for m in s.get("imports", []))]:
        importlib.import_module(module)

    rows: dict[str, dict[str, int]] = {}
    queue: list[tuple[float, Any]] = []
    for group, settings in groups.items():
        places, chosen = drawn(group, settings, seed, given.sample)
        start = time.monotonic()
        tests = settings["tests"] + [f"--deselect={test}" for test in config["slow"]]
        (_, outcome), *_ = run([(None, tests, 300.0)], 1, start + 300)
        took = time.monotonic() - start
        if outcome != "survived":
            print(f"{group}: the tests fail without any change", file=sys.stderr)
            return 1
        print(f"{group}: {places} places, {len(chosen)} tried; its tests take {took:.1f} s", flush=True)
        rows[group] = {"places": places, "tried": 0, "caught": 0, "timeout": 0, "survived": 0}
        seconds = 10.0 + 5.0 * took
        queue += [((i + 0.5) / len(chosen), (m, tests, seconds)) for i, m in enumerate(chosen)]
    queue.sort(key=lambda entry: entry[0])  # all groups are at the same part when the time is over

    survivors = Path(given.survivors)
    survivors.parent.mkdir(parents=True, exist_ok=True)
    end, done = began + 60.0 * config["minutes"], 0
    with survivors.open("w") as file:
        for mutant, outcome in run([entry for _, entry in queue], given.workers or config["workers"], end):
            done += 1
            if not done % 20:
                print(f"{done} of {len(queue)} after {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
            rows[mutant.group]["tried"] += 1
            rows[mutant.group][outcome] += 1
            if outcome == "survived":
                file.write(mutant.difference() + "\n")
                file.flush()
    print_table(rows)
    print(f"\nSurvivors: {survivors}; {(time.monotonic() - began) / 60:.0f} minutes, seed {seed}")
    return 0


def print_table(rows: dict[str, dict[str, int]]) -> None:
    """Print what became of the mutants, by group."""
    print("\n| modules | places | tried | caught | by timeout | survived | share |")
    print("|---|---|---|---|---|---|---|")
    for group, row in rows.items():
        caught = row["caught"] + row["timeout"]
        counts = f"{row['places']} | {row['tried']} | {caught} | {row['timeout']} | {row['survived']}"
        print(f"| {group} | {counts} | {100 * caught / max(row['tried'], 1):.0f} % |")


if __name__ == "__main__":
    sys.exit(main())

"""Which changes there are of a module, and which of them are tried (see mutants.py)."""

from __future__ import annotations

import ast
import difflib
import fnmatch
import functools
import glob
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BITS = ("BitOr", "BitAnd", "BitXor", "LShift", "RShift", "Invert")
SAME = {f"ReplaceBinaryOperator_{change}" for change in ("BitAnd_Mul", "BitAnd_FloorDiv", "BitOr_Add")}  # truth values
NEED_ARGUMENTS = ("VariableReplacer", "VariableInserter")
WARNS = ("warn", "warning", "info", "debug", "exception")  # of warnings and of loggers
GUARDS = {"strict", "frozen", "slots", "kw_only", "repr", "compare", "stacklevel", "eq"}
NO_EFFECT = {"abstractmethod", "overload", "override", "functools.cache"}


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
        return _changed(self)

    def difference(self) -> str:
        """Return what is changed, as lines with - and +."""
        lines = difflib.unified_diff(read(self.path).splitlines(), self.code().splitlines(), n=0, lineterm="")
        changed = "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))
        return f"{self.path}:{self.line} {self.operator}\n{changed}\n"


@functools.cache
def _changed(mutant: Mutant) -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code: str = mutate_code(read(mutant.path), get_operator(mutant.operator)(), mutant.occurrence)
    return code


def read(path: str) -> str:
    """Return the code of a module, given relative to the root."""
    return (ROOT / path).read_text()


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
        if kind in NEED_ARGUMENTS or kind in SAME or kind.rpartition("_")[2] in BITS or is_identity(kind):
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


def modules(settings: dict[str, Any]) -> list[str]:
    """Return the paths of the modules of a group."""
    paths = sorted({p for pattern in settings["modules"] for p in glob.glob(pattern, root_dir=ROOT, recursive=True)})
    return [p for p in paths if not any(fnmatch.fnmatch(p, pattern) for pattern in settings.get("except", []))]


def drawn(group: str, paths: list[str], seed: int, most: int) -> tuple[int, list[Mutant]]:
    """Return how many places a group has, and the mutants that are tried of it, of ``most`` places."""
    places = [changes for path in paths for changes in mutants(group, path).values()]
    rng = random.Random(f"{seed} {group}")
    rng.shuffle(places)
    chosen = []
    for changes in places[:most]:
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

"""The modules of both packages and which of them import which, function-level imports counted."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo_opt", "zoo_opt_seg")


def modules_of(package: str) -> dict[str, Path]:
    """The package's modules by dotted name; a folder's ``__init__`` has the folder's name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


MODULES = {name: path for package in PACKAGES for name, path in modules_of(package).items()}


def imports_of(module: str) -> set[str]:
    """The modules of both packages that `module` imports anywhere.

    What is imported for types alone does not count, but in an ``__init__``: there it names what is imported lazily.
    """
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if path.name == "__init__.py" else set(for_types_alone(tree))
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named if named <= set(MODULES) else {*named, str(node.module)}
    return (found & set(MODULES)) - {module}


def for_types_alone(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes under ``if TYPE_CHECKING``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.body:
                yield from ast.walk(statement)


GRAPH = {name: imports_of(name) for name in MODULES}


def relative_imports() -> Iterator[str]:
    """Imports that say where from by dots."""
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield f"{name}, line {node.lineno}"


def room(module: str, folder: str) -> str:
    """The child of `folder` that `module` is, or lies in; ``folder.__init__`` for the folder's own."""
    rest = module[len(folder) + 1 :].partition(".")[0]
    return f"{folder}.{rest or '__init__'}"


def rooms(folder: str) -> dict[str, set[str]]:
    """The children of `folder`, modules and folders, and which of them imports which."""
    inside = [name for name in MODULES if name == folder or name.startswith(f"{folder}.")]
    graph: dict[str, set[str]] = {room(name, folder): set() for name in inside}
    for name in inside:
        graph[room(name, folder)] |= {room(target, folder) for target in GRAPH[name] if target in inside}
    return {name: targets - {name} for name, targets in graph.items()}


def in_circles(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is left of `graph` once what imports nothing that is left is taken away, again and again."""
    left = dict(graph)
    while leaves := [name for name, targets in left.items() if not targets & set(left)]:
        for name in leaves:
            del left[name]
    return {name: targets & set(left) for name, targets in left.items()}


def folders() -> list[str]:
    """Every folder of both packages."""
    return [name for name, path in MODULES.items() if path.name == "__init__.py"]


def upward(order: Iterable[str], folder: str) -> list[str]:
    """Imports between the children of `folder` that go to a later one in `order`."""
    rank = {f"{folder}.{name}": i for i, name in enumerate(order)}
    return [
        f"{name} imports {target}"
        for name, targets in rooms(folder).items()
        for target in sorted(targets)
        if rank.get(target, -1) >= rank.get(name, len(rank))
    ]

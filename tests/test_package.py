"""The repository's own rules: light imports, layers, a complete wheel, no machine-bound text, files of sane size."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import zoo_opt

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "zoo_opt"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
SEG = ROOT / "zoo_opt_seg"
SEG_MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SEG.rglob("*.py"))
}
MAX_BYTES = 2 * 1024 * 1024  # of any file in the repository
MAX_LINES = 350  # of any module: "about 300 lines, each with one job"

# What each part may import at module level, beside itself and the parts listed before it. The order is the layering.
LAYERS = [
    {"_lazy", "_version", "errors"},
    {"keys"},
    {"typing"},
    {"batch", "buffers"},
    {"arguments", "ledger"},
    {"best"},
    {"gradient"},
    {"methods"},
    {"pipeline"},
    {"checkpoint", "result", "journal"},
    {"optimizer"},
    {"engines", "progress", "resume"},
    {"run", "calibration"},
    {"interop", "testing", "plugins"},
    {"bench"},
    {"cli_run"},
    {"cli_bench"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
OUTSIDE_CORE = {"interop", "testing", "plugins", "bench", "cli", "cli_run", "cli_bench", "__main__"}


# ---------------------------------------------------------------------------------------------------- imports


def test_core_brings_in_numpy_alone(run_python: Callable[..., str]) -> None:
    """Importing the package and touching every public name loads no third-party module but numpy's."""
    code = """if True:
        import sys
        import numpy.random
        before = set(sys.modules)
        import zoo_opt
        for name in zoo_opt.__all__:
            getattr(zoo_opt, name)
        new = set(sys.modules) - before
        roots = {name.partition(".")[0] for name in new} - {"zoo_opt", "numpy"}
        print("third party:", *sorted(roots - sys.stdlib_module_names))
        print("not core:", *sorted(name for name in new if name.startswith(("zoo_opt.bench", "zoo_opt.cli"))))
    """
    assert run_python("-c", code) == "third party:\nnot core:\n"


@pytest.mark.slow
def test_import_takes_little_more_than_numpy(run_python: Callable[..., str]) -> None:
    """CPU time, best of 15 processes each, taken in turn: at most 1.3 times numpy's own import.

    Names are loaded at their first use, so the cost of them all is printed too.
    """
    everything = "zoo_opt; [getattr(zoo_opt, name) for name in zoo_opt.__all__]"
    best = {"numpy": float("inf"), "zoo_opt": float("inf"), everything: float("inf")}
    for _ in range(15):
        for what in best:
            code = f"import time; t = time.process_time(); import {what}; print(time.process_time() - t)"
            best[what] = min(best[what], float(run_python("-c", code)))
    numpy, ours, all_names = (1e3 * seconds for seconds in best.values())
    print(f"import: numpy {numpy:.0f} ms, zoo_opt {ours:.0f} ms, and all its names with numpy {all_names:.0f} ms")
    assert ours <= 1.3 * numpy


def test_all_resolves_and_is_sorted_and_complete() -> None:
    assert len(set(zoo_opt.__all__)) == len(zoo_opt.__all__)
    for name in zoo_opt.__all__:
        assert getattr(zoo_opt, name) is not None, name
    assert set(zoo_opt.__all__) <= set(dir(zoo_opt))


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        zoo_opt.no_such_name  # noqa: B018


# ---------------------------------------------------------------------------------------------------- layers


def module_level_imports(module: str, modules: dict[str, Path] = MODULES) -> Iterator[str]:
    """Those of `modules` that `module` imports when it is itself imported (not in functions, not for types)."""
    path = modules[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def resolve(base: str, names: list[str]) -> Iterator[str]:
        if base not in modules:
            return
        submodules = [f"{base}.{name}" for name in names if f"{base}.{name}" in modules]
        yield from submodules
        if len(submodules) < len(names) or not names:
            yield base

    def walk(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from resolve(alias.name, [])
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*parent, base] if base else parent)
                yield from resolve(base, [alias.name for alias in node.names])
            elif isinstance(node, ast.If):
                if "TYPE_CHECKING" not in ast.unparse(node.test):
                    yield from walk(node.body)
                yield from walk(node.orelse)
            elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
                yield from walk(node.body)
                for handler in getattr(node, "handlers", []):
                    yield from walk(handler.body)

    yield from walk(ast.parse(path.read_text()).body)


GRAPH = {name: set(module_level_imports(name)) - {name} for name in MODULES}


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "zoo_opt"


def test_every_module_has_a_layer() -> None:
    assert {part(name) for name in MODULES} - {"zoo_opt"} <= set(RANK)


def test_imports_go_downward_only() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if part(name) != part(target) and "zoo_opt" not in (part(name), part(target))
        if RANK.get(part(target), 0) > RANK.get(part(name), 0)
    ]
    assert wrong == []


def test_core_never_imports_bench_interop_or_cli() -> None:
    """The package itself may offer a name of interop, such as scipy_method; that it stays light is tested above."""
    wrong = [
        f"{name} imports {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if part(name) not in OUTSIDE_CORE and part(target) in OUTSIDE_CORE
        if not (name == "zoo_opt" and part(target) == "interop")
    ]
    assert wrong == []


SEG_GRAPH = {name: set(module_level_imports(name, SEG_MODULES)) - {name} for name in SEG_MODULES}


@pytest.mark.parametrize("graph", [GRAPH, SEG_GRAPH], ids=["zoo_opt", "zoo_opt_seg"])
def test_imports_make_no_circle(graph: dict[str, set[str]]) -> None:
    left = {name: set(targets) for name, targets in graph.items()}
    while leaves := {name for name, targets in left.items() if not targets & set(left)}:
        left = {name: targets for name, targets in left.items() if name not in leaves}
    assert left == {}, "modules in a circle, or above one"


def test_core_never_imports_its_plugin() -> None:
    """Nowhere, not even in a function: zoo_opt finds zoo_opt_seg through an entry point, as it would any other."""
    wrong = [
        f"{name}, line {node.lineno}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "zoo_opt_seg")
        or (isinstance(node, ast.Import) and any(a.name.partition(".")[0] == "zoo_opt_seg" for a in node.names))
        or (isinstance(node, ast.Constant) and node.value == "zoo_opt_seg")
    ]
    assert wrong == []


def test_plugin_imports_without_its_extra(run_python: Callable[..., str]) -> None:
    """Importing it and listing its targets loads no third-party module but numpy's."""
    code = """if True:
        import sys
        import numpy.random
        before = set(sys.modules)
        import zoo_opt_seg, zoo_opt_seg.targets
        zoo_opt_seg.targets.targets()
        roots = {name.partition(".")[0] for name in set(sys.modules) - before} - {"numpy", "__mp_main__"}
        roots -= {"zoo_opt", "zoo_opt_seg"}
        print("third party:", *sorted(roots - sys.stdlib_module_names))
    """
    assert run_python("-c", code) == "third party:\n"


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) not in OUTSIDE_CORE])
def test_every_core_module_imports(name: str) -> None:
    importlib.import_module(name)


# ---------------------------------------------------------------------------------------------------- files


def repository_files() -> list[Path]:
    """Files that are tracked or would be; without git (an unpacked sdist), all but caches and environments."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    skipped = re.compile(r"(^|/)(\.venv|venv|\..*cache|__pycache__|dist|_build|results)(/|$)")
    return [p for p in ROOT.rglob("*") if p.is_file() and not skipped.search(str(p.relative_to(ROOT)))]


def test_no_file_is_too_large() -> None:
    assert [str(path) for path in repository_files() if path.stat().st_size > MAX_BYTES] == []
    modules = MODULES | SEG_MODULES
    assert [name for name, path in modules.items() if len(path.read_text().splitlines()) > MAX_LINES] == []


def test_no_machine_paths_or_registries() -> None:
    """Nothing in the repository depends on one machine's folders or says where packages are fetched from."""
    folders = rf"(?<![\w.])/(?:{'|'.join(['work', 'root', 'home', 'Users', 'mnt'])})/\w"
    sources = "|".join(["pypi" + r"\.", "python" + "hosted", "index" + "-url", "anaconda" + r"\.", "file" + "://"])
    pattern = re.compile(f"{folders}|{sources}")
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.slow
def test_wheel_is_complete_and_lean(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("zoo_opt-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
        declared = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert f"Version: {zoo_opt.__version__}\n" in metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert required == ["Requires-Dist: numpy>=2.0"]
    in_tree = {
        str(p.relative_to(ROOT))
        for package in (PACKAGE, SEG)
        for p in package.rglob("*")
        if p.suffix in {".py", ".toml", ".typed", ".safetensors", ".css", ".js", ".html"} or p.name == "py.typed"
    }
    assert in_tree <= names
    assert {"zoo_opt/py.typed", "zoo_opt/bench/suites/quick.toml"} <= names
    assert all(n.startswith(("zoo_opt/", "zoo_opt_seg/", "zoo_opt-")) for n in names)
    assert wheel.stat().st_size < 2 * MAX_BYTES  # the embedded models' weights are most of it
    assert "zoo-opt-seg = zoo_opt_seg.cli:main" in declared and "seg = zoo_opt_seg.targets" in declared

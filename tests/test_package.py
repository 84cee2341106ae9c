"""The repository's own rules: light imports, layers, a complete wheel, no machine-bound text, files of sane size."""

import ast
import importlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from structure import GRAPH, MODULES, PACKAGES, ROOT, folders, in_circles, modules_of, relative_imports, rooms, upward

import zoo_opt

PACKAGE, SEG = ROOT / "zoo_opt", ROOT / "zoo_opt_seg"
MAX_BYTES = 2 * 1024 * 1024  # of any file in the repository
MAX_LINES = 350  # of any module: "about 300 lines, each with one job"

MAX_MODULES = 16  # of a folder: about fifteen and its __init__
MAX_TOP = 8  # modules beside the folders at the top of zoo_opt_seg

# The children of each package, lowest first: one may import those before it. `__init__` names what it loads lazily.
ORDER = {
    "zoo_opt": [
        *("_version", "support", "core", "typing", "gradient", "storage", "methods"),
        *("parameters", "space", "start", "known", "stored", "optimizer", "outage", "engines", "result", "reporting"),
        *("resume", "run", "calibration"),
        *("plot", "interop", "testing", "torch", "__init__", "bench", "cli"),
    ],
    "zoo_opt_seg": [
        *("digests", "prompts", "data", "embedded", "features", "blackbox", "visual_prompts"),
        *("measures", "whitebox", "refine", "remote", "adaptation", "serve", "__init__", "tables", "targets", "cli"),
    ],
}
CORE = modules_of("zoo_opt")
OUTSIDE_CORE = {"plot", "interop", "testing", "torch", "bench", "cli"}


# ---------------------------------------------------------------------------------------------------- imports


def loaded_by(code: str, run_python: Callable[..., str]) -> set[str]:
    """The modules that code in a fresh process loads beyond numpy's."""
    before = "import sys, numpy.random; before = set(sys.modules)"
    return set(run_python("-c", f"{before}; {code}; print(*(set(sys.modules) - before))").split())


def third_party(modules: set[str]) -> set[str]:
    ours = {"zoo_opt", "zoo_opt_seg", "numpy", "__mp_main__"}
    return {name.partition(".")[0] for name in modules} - ours - sys.stdlib_module_names


def test_core_brings_in_numpy_alone(run_python: Callable[..., str]) -> None:
    """Importing the package and touching every public name loads no third-party module but numpy's."""
    new = loaded_by("import zoo_opt; [getattr(zoo_opt, name) for name in zoo_opt.__all__]", run_python)
    assert third_party(new) == set()
    assert [
        name for name in new if name.startswith(("zoo_opt.bench", "zoo_opt.cli", "zoo_opt.torch", "zoo_opt_seg"))
    ] == []


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


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "zoo_opt"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_layer(package: str) -> None:
    assert {name.rpartition(".")[2] for name in rooms(package)} == set(ORDER[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_downward_only(package: str) -> None:
    """Imports in functions count too."""
    assert upward(ORDER[package], package) == []


@pytest.mark.parametrize("folder", folders())
def test_imports_make_no_circle(folder: str) -> None:
    """Neither between modules nor between folders, whichever level one looks at; imports in functions count too."""
    assert in_circles(rooms(folder)) == {}


def test_imports_are_absolute() -> None:
    assert list(relative_imports()) == []


def test_core_never_imports_bench_interop_or_cli() -> None:
    """The package itself may offer plot, torch and names of interop; that it stays light is tested above."""
    wrong = [
        f"{name} imports {target}"
        for name in CORE
        for target in GRAPH[name]
        if part(name) not in OUTSIDE_CORE and part(target) in OUTSIDE_CORE
        if not (name == "zoo_opt" and part(target) in ("interop", "plot", "torch"))
    ]
    assert wrong == []


def test_a_folder_is_one_room() -> None:
    """So many modules that one can see them all, and few at the top."""
    modules = {
        folder: [n for n in rooms(folder) if MODULES.get(n, PACKAGE).name != "__init__.py"] for folder in folders()
    }
    assert {folder: len(inside) for folder, inside in modules.items() if len(inside) > MAX_MODULES} == {}
    assert len([n for n in rooms("zoo_opt_seg") if n in MODULES and MODULES[n].name != "__init__.py"]) <= MAX_TOP


def test_no_module_has_the_name_of_what_it_exports() -> None:
    """Else ``from package import name`` would give the module or the object, as it happens."""
    wrong = [
        name
        for name, path in MODULES.items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name.rpartition(".")[2]
    ]
    assert wrong == []


def test_core_never_imports_its_plugin() -> None:
    """Nowhere, not even in a function: zoo_opt finds zoo_opt_seg through an entry point, as it would any other."""
    wrong = [
        f"{name}, line {node.lineno}"
        for name, path in CORE.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "zoo_opt_seg")
        or (isinstance(node, ast.Import) and any(a.name.partition(".")[0] == "zoo_opt_seg" for a in node.names))
        or (isinstance(node, ast.Constant) and node.value == "zoo_opt_seg")
    ]
    assert wrong == []


def test_plugin_imports_without_its_extra(run_python: Callable[..., str]) -> None:
    """Importing it and listing its targets loads no third-party module but numpy's."""
    code = "import zoo_opt_seg, zoo_opt_seg.targets; zoo_opt_seg.targets.targets()"
    assert third_party(loaded_by(code, run_python)) == set()


@pytest.mark.parametrize("name", [name for name in CORE if part(name) not in OUTSIDE_CORE])
def test_every_core_module_imports(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_classes_have_one_name(package: str) -> None:
    homes: dict[str, list[str]] = {}
    for name, path in modules_of(package).items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


# ---------------------------------------------------------------------------------------------------- files


def repository_files() -> list[Path]:
    """Files that are tracked or would be; without git (an unpacked sdist), all but caches and environments."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    skipped = re.compile(r"(^|/)(\.venv|\.services|venv|\..*cache|__pycache__|dist|_build|results)(/|$)")
    return [p for p in ROOT.rglob("*") if p.is_file() and not skipped.search(str(p.relative_to(ROOT)))]


def test_no_file_is_too_large() -> None:
    allowed = {SEG / "embedded" / "small.safetensors": 6_000_000}
    assert [str(p) for p in repository_files() if p.stat().st_size > allowed.get(p, MAX_BYTES)] == []
    assert [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > MAX_LINES] == []


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
    assert wheel.stat().st_size < 5.5 * MAX_BYTES  # the embedded models' weights are 9.4 MB of it
    assert "zoo-opt-seg = zoo_opt_seg.cli:main" in declared and "seg = zoo_opt_seg.targets" in declared

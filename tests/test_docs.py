"""Documentation is tested: every Python block runs, every name is documented, every link and command exists."""

import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo_opt
from zoo_opt.support.loading import load_object
from zoo_opt_seg.blackbox.registry import BLACK_BOXES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SLOW = {"seg-cris-san.md", "seg-ladder.md", "seg-measures.md", "seg-whitebox.md"}  # more than five seconds
CORE = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "zoo_opt").rglob("*.py"))
    if not {"interop", "bench", "torch"} & set(path.relative_to(ROOT).parts) and path.stem not in {"cli", "__main__"}
]


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def marked(page: Path) -> Any:
    return pytest.param(page, marks=pytest.mark.slow) if page.name in SLOW else page


def script_of(page: Path) -> str:
    """The page's Python blocks as one script, line numbers as on the page."""
    lines, inside, python = [], False, False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            inside, python = not inside, not inside and line.strip() == "```python"
            lines.append("")
        else:
            lines.append(line if inside and python else "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [marked(p) for p in PAGES if script_of(p).strip()], ids=page_id)
def test_python_blocks_run(page: Path, run_python: Callable[..., str], tmp_path: Path) -> None:
    imported = set(re.findall(r"^(?:import|from) (\w+)", script_of(page), re.M))
    if absent := sorted(name for name in imported if importlib.util.find_spec(name) is None):
        pytest.skip(f"needs {', '.join(absent)}")  # make test installs all of them
    script = tmp_path / page.name.replace(".md", "_md.py")
    script.write_text(script_of(page), encoding="utf-8")
    run_python("-W", "error", str(script))


@pytest.mark.parametrize("name", CORE)
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


# ---------------------------------------------------------------------------------------------------- names


def wanted_parameters(obj: object) -> list[str]:
    """Names a docstring's Parameters section must hold: those of the signature, less self and starred ones."""
    if not callable(obj):
        return []
    if dataclasses.is_dataclass(obj):
        return [f.name for f in dataclasses.fields(obj) if f.init and not f.name.startswith("_")]
    try:
        parameters = inspect.signature(obj).parameters.values()
    except ValueError:
        return []
    return [p.name for p in parameters if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def documented_parameters(doc: str) -> set[str]:
    """Names in the Parameters and Attributes sections (a dataclass may list its fields in either)."""
    names: set[str] = set()
    for section in re.finditer(
        r"^(?:Other )?(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}|\Z)", doc, re.M | re.S
    ):
        for line in re.findall(r"^(\w[\w, ]*?)\s*(?::.*)?$", section.group(1), re.M):
            names |= {name.strip() for name in line.split(",")}
    return names


PUBLIC = [name for name in zoo_opt.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_in_the_api_reference(name: str) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"(?:auto\w+|py:data)::\s+zoo_opt\.(?:\w+\.)*{name}$", text, re.M), f"add {name} to docs/api.md"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_numpydoc_docstring(name: str) -> None:
    obj = getattr(zoo_opt, name)
    if not (inspect.isclass(obj) or inspect.isroutine(obj)):
        return  # a table such as METHODS: the reference page says what it holds
    own = inspect.getdoc(obj)
    generated = inspect.isclass(obj) and own is not None and own.startswith(f"{name}(")
    assert own, f"{name} has no docstring"
    assert not generated, f"{name} has only the docstring that dataclass generates"
    if inspect.isclass(obj) and issubclass(obj, BaseException):
        return
    missing = set(wanted_parameters(obj)) - documented_parameters(own)
    assert not missing, f"{name}: no entry under Parameters for {sorted(missing)}"


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(getattr(zoo_opt, name))])
def test_public_methods_have_docstrings(name: str) -> None:
    cls = getattr(zoo_opt, name)
    without = [
        key
        for key, value in vars(cls).items()
        if not key.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(cls, key))
    ]
    assert without == []


# ---------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (page.parent / target).exists(), f"broken link {target}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)|^make (\w+)", text, re.M):
        assert re.search(rf"^{''.join(target)}:", makefile, re.M), f"no target {target} in the Makefile"
    for script in re.findall(r"python (?:-\S+ )*((?:benchmarks|examples|tests|docs)/\S+\.py)", text):
        assert (ROOT / script).is_file(), f"no file {script}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_what_is_installed_is_enough_for_the_commands(page: Path) -> None:
    """docs/serve.md had a service, and an installation without the extra `remote`."""
    text = page.read_text(encoding="utf-8")
    extras = {word for words in re.findall(r'pip install "zoo-opt\[([\w,]+)\]"', text) for word in words.split(",")}
    services = "|".join(entry.name for entry in BLACK_BOXES.entries() if entry.remote)
    needs = {
        "serve": r"^zoo-opt-seg (?:serve|label-studio) ",
        "remote": rf"^zoo-opt-seg .*--model (?:{services}):|^zoo-opt-seg label-studio ",
    }
    missing = [extra for extra, command in needs.items() if extra not in extras and re.search(command, text, re.M)]
    assert "seg" not in extras or not missing, f"the page's pip install lacks {missing}"


def test_services_are_installed_adapted_and_served_in_three_commands() -> None:
    """The page ended with the adapted model in a folder, and its installation had no extra `serve`."""
    text = (ROOT / "docs" / "remote.md").read_text(encoding="utf-8")
    first = text.split("```")[1]
    assert re.findall(r"^(pip install|zoo-opt-seg \w+)", first, re.M) == [
        "pip install",
        "zoo-opt-seg adapt",
        "zoo-opt-seg serve",
    ]


def test_every_page_is_reachable_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w-]+)$", index, re.M))
    assert {p.stem for p in (ROOT / "docs").glob("*.md")} - {"index"} <= listed


def test_readme_lists_every_method() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in zoo_opt.METHODS if f"`{name}`" not in readme] == []


def test_changelog_names_this_version() -> None:
    assert zoo_opt.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


REGISTERED = [
    ("methods.md", "zoo_opt.methods.registry:METHODS"),
    ("problems.md", "zoo_opt.bench.problems.registry:PROBLEMS"),
    ("interop.md", "zoo_opt.bench.peers:PEERS"),
    ("seg-adapt.md", "zoo_opt_seg.blackbox.registry:BLACK_BOXES"),
    ("seg-sets.md", "zoo_opt_seg.data.registry:DATA_SETS"),
    ("seg-ladder.md", "zoo_opt_seg.data.registry:VOLUMES"),
    ("seg-prompts.md", "zoo_opt_seg.visual_prompts.registry:PROMPTS"),
    ("seg-tables.md", "zoo_opt_seg.whitebox.comparators:COMPARATORS"),
]


@pytest.mark.parametrize(
    ("page", "registry"), REGISTERED, ids=[registry.rpartition(":")[2] for _, registry in REGISTERED]
)
def test_every_registered_name_is_in_its_page(page: str, registry: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [name for name in load_object(registry) if not re.search(rf"`{re.escape(name)}[`:]", text)] == []


def test_every_group_of_entry_points_is_in_the_guide() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    registries = [load_object(path) for _, path in REGISTERED] + [load_object("zoo_opt.bench.problems.targets:TARGETS")]
    groups = [getattr(registry, "registry", registry).group for registry in registries]
    assert [group for group in groups if f"`{group}`" not in text] == []


def test_every_promise_names_tests_that_are_there() -> None:
    rows = [line for line in (ROOT / "docs/guarantees.md").read_text(encoding="utf-8").splitlines() if "`test_" in line]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    assert len(rows) > 25
    assert [name for name in sorted(named) if not any(f"def {name}(" in text for text in files)] == []

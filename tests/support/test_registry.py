"""What can be chosen by name: own entries, those of other packages, and what is wrong with them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path

import pytest
from refusals import raises

from zoo_opt.support.loading import load_object
from zoo_opt.support.registry import Entry, Factories, Registry, find_in

GROUP = "zoo_opt.tests"


@dataclass(frozen=True, kw_only=True)
class Tool(Entry):
    """An entry that knows one thing more."""

    size: int = 3


class Hammer:
    """What it is.

    And more.
    """


MINE = Tool(name="mine", factory=f"{__name__}:Hammer", about="of another package", size=9)


def registry() -> Registry[Tool]:
    own = Tool(name="own", factory="math:sqrt", about="a root"), Tool(name="heavy", factory="no.such:f", about="far")
    return Registry("tool", GROUP, Tool, *own)


def test_own_entries_are_loaded_when_asked_for() -> None:
    tools = registry()
    assert list(tools) == ["own", "heavy"] and "own" in tools and "other" not in tools
    assert tools.find("own").load()(9.0) == 3.0
    raises(ValueError, r"expected \"module:name\" that can be imported, got 'no.such:f'", tools.find("heavy").load)


def test_another_package_declares_an_entry_or_the_thing_itself(install: Callable[..., Path]) -> None:
    install(GROUP, {"mine": f"{__name__}:MINE", "hammer": f"{__name__}:Hammer", "module": "math"})
    tools = registry()
    assert list(tools) == ["own", "heavy", "hammer", "mine", "module"]
    assert tools.find("mine") == MINE
    assert tools.find("hammer") == Tool(name="hammer", factory=f"{__name__}:Hammer", about="What it is.")
    assert tools.find("hammer").load() is Hammer and tools.find("module").load().pi > 3
    assert tools.lines()["mine"] == "of another package"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no.such:thing", r"which cannot be loaded: ModuleNotFoundError: No module named 'no'"),
        ("math:no_such", "which cannot be loaded: AttributeError"),
        (f"{__name__}:MINE", r"which must be a Tool of this name, got Tool\(name='mine'"),
    ],
)
def test_one_that_is_broken_hides_no_other(install: Callable[..., Path], value: str, message: str) -> None:
    install(GROUP, {"broken": value, "mine": f"{__name__}:MINE"})
    tools = registry()
    raises(ValueError, f"tool 'broken' is declared as {value}, {message}", tools.find, "broken")
    lines = tools.lines()
    assert lines["broken"].startswith("cannot be loaded: ") and lines["mine"] and lines["own"] == "a root"
    assert [entry.name for entry in tools.entries()] == ["own", "heavy", "mine"]


def test_a_name_is_declared_once(install: Callable[..., Path]) -> None:
    tools = registry()
    tools.add(tools.find("own"))  # the same again
    tools.add(Tool(name="added", factory=Hammer))  # for this process, as in a notebook
    assert tools.find("added").load() is Hammer and tools.find("added").path == f"{__name__}:Hammer"
    with pytest.raises(ValueError, match="tool 'own' must be declared once, got math:sqrt and math:exp"):
        tools.add(Tool(name="own", factory="math:exp"))
    install(GROUP, {"own": "math:exp", "both": "math:sin"})
    install(GROUP, {"both": "math:cos"})
    assert tools.find("own").factory == "math:sqrt"
    assert tools.lines()["own of math:exp"] == "refused: own is the name of another tool"
    raises(ValueError, r"the tool 'both' belongs to one plugin, got math:\w+ and math:\w+", tools.find, "both")


def test_factories_by_name(install: Callable[..., Path]) -> None:
    install(GROUP, {"hammer": f"{__name__}:Hammer"})
    made = Factories(registry())
    assert list(made) == ["own", "heavy", "hammer"] and len(made) == 3 and made["hammer"] is Hammer
    assert "own" in made and "saw" not in made and made.get("saw") is None


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(
        ValueError,
        match=r"--tool must be one of own, heavy or module:factory, got 'saw' \(.*in the group 'zoo_opt.tests' of its",
    ):
        registry().find("saw", "--tool must be one of", " or module:factory")


def test_what_is_not_installed_is_said(install: Callable[..., Path]) -> None:
    lacking = Tool(name="lacking", factory="math:sqrt", about="a root", needs=("no_such_module", "json"), extra="seg")
    assert lacking.missing == ["no_such_module"]
    assert Registry("tool", GROUP, Tool, lacking).lines() == {
        "lacking": 'a root (needs no_such_module: pip install "zoo-opt[seg]")'
    }
    raises(ImportError, r"no_such_module is not installed; it comes with the seg extra: pip install", lacking.load)


def test_what_another_package_needs_is_not_of_an_extra_of_ours(install: Callable[..., Path]) -> None:
    lacking = Tool(name="lacking", factory="math:sqrt", about="a root", needs=("no_such_module",))
    assert Registry("tool", GROUP, Tool, lacking).lines() == {
        "lacking": "a root (needs no_such_module: pip install no_such_module)"
    }
    raises(ImportError, r"no_such_module is not installed: pip install no_such_module$", lacking.load)


@pytest.mark.parametrize(
    ("factory", "path"),
    [
        (partial(Tool, name="x", size=4), f"{__name__}:Tool(name='x', size=4)"),
        (itemgetter(1), "operator:itemgetter"),
        ("math:sqrt", "math:sqrt"),
    ],
)
def test_any_callable_can_be_a_factory(factory: Callable[..., object] | str, path: str) -> None:
    tools = registry()
    for _ in range(2):  # the same again, as when a cell of a notebook is run again
        tools.add(Tool(name="added", factory=factory))
    assert tools.find("added").path == path and callable(tools.find("added").load())


def test_a_name_has_no_colon(install: Callable[..., Path]) -> None:
    tools = registry()
    with pytest.raises(ValueError, match="the name of a tool must have no colon, got 'my:tool'"):
        tools.add(Tool(name="my:tool", factory="math:exp"))
    assert list(Registry("tool", GROUP, Tool, Tool(name="my:tool", factory="math:exp"), colons=True)) == ["my:tool"]
    install(GROUP, {"her:tool": "math:sin"})
    assert "must have no colon, got 'her:tool'" in tools.lines()["her:tool"]


def test_a_name_in_two_registries_is_refused() -> None:
    tools, others = registry(), Registry("peer", GROUP, Tool, Tool(name="own", factory="math:exp"))
    assert find_in("heavy", tools, others) == tools.find("heavy") and find_in("saw", tools, others) is None
    with pytest.raises(ValueError, match=r"'own' must be the name of one thing, got a tool \(math:sqrt\) and a peer"):
        find_in("own", tools, others)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('no disk')", "RuntimeError: no disk"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1 +", "SyntaxError: invalid syntax"),
        ("", "AttributeError: module 'broken' has no attribute 'thing'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    raised = raises(ValueError, f"can be imported, got 'broken:thing': {said}", load_object, "broken:thing")
    assert isinstance(raised.__cause__, BaseException)
    monkeypatch.delitem(sys.modules, "broken", raising=False)

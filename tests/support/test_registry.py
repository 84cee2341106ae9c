"""What can be chosen by name: own entries, those of other packages, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from zoo_opt.support.registry import Entry, Factories, Registry

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
    with pytest.raises(ValueError, match=r"expected \"module:name\" that can be imported, got 'no.such:f'"):
        tools.find("heavy").load()


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
    with pytest.raises(ValueError, match=f"tool 'broken' is declared as {value}, {message}"):
        tools.find("broken")
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
    with pytest.raises(ValueError, match=r"the tool 'both' belongs to one plugin, got math:\w+ and math:\w+"):
        tools.find("both")


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
    with pytest.raises(ImportError, match=r"no_such_module is not installed; it comes with the seg extra: pip install"):
        lacking.load()

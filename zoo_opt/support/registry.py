"""What can be chosen by name: declared once, listed without importing it, open to other packages.

A package declares things for a registry by entry points in the registry's group. An entry point names an `Entry` of the
registry's kind, or the thing itself where its name and the first line of its docstring are all there is to say::

    [project.entry-points."zoo_opt.methods"]
    one-plus-one = "mypackage.methods:OnePlusOne"

Nothing of another package is imported before its name is asked for, or all are listed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zoo_opt.support.loading import install, load_object, reason, require

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that can be chosen by name.

    Parameters
    ----------
    name : str
    factory : str or callable
        What makes it: ``"module:object"``, or a module's name, that `load` imports; or the object itself.
    about : str
        One line for lists and for the documentation.
    needs : tuple of str
        Modules that must be installed.
    extra : str
        The extra of zoo-opt that brings them, if one does.
    """

    name: str
    factory: str | Callable[..., Any]
    about: str = ""
    needs: tuple[str, ...] = ()
    extra: str = ""

    def load(self) -> Any:
        """Import the factory, if it is a name, and return it.

        Raises
        ------
        ImportError
            If a module that it needs is not installed; the message says what to install.
        ValueError
            If there is no such factory.
        """
        for module in self.needs:
            require(module, extra=self.extra)
        return self.loaded()

    def loaded(self) -> Any:
        """As `load`, whether what it needs is installed or not."""
        if not isinstance(self.factory, str):
            return self.factory
        return load_object(self.factory) if ":" in self.factory else importlib.import_module(self.factory)

    @property
    def path(self) -> str:
        """The factory by name, ``"module:object"`` (see `path_of`); nothing is imported."""
        return self.factory if isinstance(self.factory, str) else path_of(self.factory)

    @property
    def missing(self) -> list[str]:
        """The modules that it needs and that are not installed; nothing is imported."""
        return [module for module in self.needs if importlib.util.find_spec(module.partition(".")[0]) is None]


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """Entries by name: those given, and those that installed packages declare.

    Parameters
    ----------
    what : str
        What they are, for messages, such as ``"black box"``.
    group : str
        Group of the entry points by which other packages declare more.
    kind : type
        Of the entries.
    *entries : Entry
    colons : bool, default False
        Whether a name may have a colon, as ``"scipy:differential_evolution"``; if not, what has one is never taken for
        a name but for ``"module:object"``.

    Raises
    ------
    ValueError
        If two entries have the same name, or one has a colon that it may not have.
    """

    def __init__(self, what: str, group: str, kind: type[E], *entries: E, colons: bool = False) -> None:
        self.what, self.group, self.kind, self.colons = what, group, kind, colons
        self._entries: dict[str, E] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: E) -> None:
        """Declare one more, for this process; the same again, as when a notebook's cell is run again, is taken anew.

        Raises
        ------
        ValueError
            If its name is another's, or has a colon.
        """
        self._check(entry.name)
        other = self._entries.setdefault(entry.name, entry)
        if other.path != entry.path:
            raise ValueError(f"{self.what} {entry.name!r} must be declared once, got {other.path} and {entry.path}")
        self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Forget what was added."""
        self._entries.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """The names: the package's own first, then those of other packages."""
        return iter([*self._entries, *(name for name in self._declared() if name not in self._entries)])

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._declared()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, name: str, complaint: str = "name must be one of", also: str = "") -> E:
        """Return the entry of a name.

        Parameters
        ----------
        name : str
        complaint : str
            How the message about an unknown name begins.
        also : str
            What else it could have been, for this message.

        Raises
        ------
        ValueError
            If nothing is declared by this name, two packages declare it, or what is declared cannot be loaded.
        """
        if name in self._entries:
            return self._entries[name]
        points = self._declared().get(name, ())
        if not points:
            raise ValueError(
                f"{complaint} {', '.join(self)}{also}, got {name!r} (another package that has it must be installed, "
                f"and declare it in the group {self.group!r} of its entry points)"
            )
        if len(points) > 1:
            both = " and ".join(point.value for point in points)
            raise ValueError(f"the {self.what} {name!r} belongs to one plugin, got {both}")
        return self._entry_of(points[0])

    def entries(self) -> Iterator[E]:
        """Every entry that can be loaded."""
        for name in self:
            try:
                yield self.find(name)
            except ValueError:
                continue

    def lines(self) -> dict[str, str]:
        """A line about each name: what it is and needs, or why it cannot be loaded."""
        lines = {}
        for name in self:
            try:
                entry = self.find(name)
            except ValueError as error:
                lines[name] = f"cannot be loaded: {reason(error)}"
                continue
            needs = f" (needs {', '.join(entry.missing)}: {install(entry.extra, *entry.missing)})"
            lines[name] = entry.about + (needs if entry.missing else "")
        for name, points in self._declared().items():
            if name in self._entries:
                lines[f"{name} of {points[0].value}"] = f"refused: {name} is the name of another {self.what}"
        return lines

    def _check(self, name: str) -> None:
        if not self.colons and ":" in name:
            raise ValueError(f"the name of a {self.what} must have no colon, got {name!r}")

    def _declared(self) -> Mapping[str, list[EntryPoint]]:
        return declared(self.group, tuple(sys.path))

    def _entry_of(self, point: EntryPoint) -> E:
        self._check(point.name)
        declared = f"{self.what} {point.name!r} is declared as {point.value}, which"
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:  # whatever the import of another package comes across
            raise ValueError(f"{declared} cannot be loaded: {type(error).__name__}: {error}") from error
        place = f"{point.module}:{point.attr}" if point.attr else point.module  # without the extras it may name
        if not (isinstance(loaded, Entry | ModuleType) or callable(loaded)):
            raise ValueError(f"{declared} must be a {self.kind.__name__} or what makes the thing, got {loaded!r}")
        if not isinstance(loaded, Entry):
            about = (inspect.getdoc(loaded) or "").partition("\n")[0]
            try:
                return self.kind(name=point.name, factory=place, about=about)
            except TypeError as error:  # a kind that cannot do without more than a name
                raise ValueError(f"{declared} must be a {self.kind.__name__}: {error}") from error
        if not isinstance(loaded, self.kind) or loaded.name != point.name:
            raise ValueError(f"{declared} must be a {self.kind.__name__} of this name, got {loaded!r}")
        return loaded


@lru_cache(maxsize=64)
def declared(group: str, _path: tuple[str, ...]) -> Mapping[str, list[EntryPoint]]:
    """The entry points of a group by name, for a search path; equal ones, as of a package found twice, are one."""
    from importlib.metadata import entry_points  # takes longer to import than all of this package

    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        same = points.setdefault(point.name, [])
        if point.value not in {other.value for other in same}:
            same.append(point)
    return dict(sorted(points.items()))


def find_in(name: str, *registries: Registry[Any]) -> Entry | None:
    """Return the entry of a name that is chosen from several registries; None where none of them has it.

    Raises
    ------
    ValueError
        If two of them have it, or it cannot be loaded.
    """
    having = [registry for registry in registries if name in registry]
    if len(having) > 1:
        things = " and ".join(f"a {registry.what} ({registry.find(name).path})" for registry in having)
        raise ValueError(f"{name!r} must be the name of one thing, got {things}")
    return having[0].find(name) if having else None


class Factories(Mapping[str, Any]):
    """What the entries of a registry make their things with, by name; imported when it is looked up.

    Parameters
    ----------
    registry : Registry
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def __getitem__(self, name: str) -> Any:
        if name not in self.registry:
            raise KeyError(name)
        return self.registry.find(name).load()

    def __iter__(self) -> Iterator[str]:
        """The names whose declaration can be loaded: one package's fault hides no other's."""
        return (entry.name for entry in self.registry.entries())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.registry


def path_of(thing: Any) -> str:
    """The place of a class or function, ``"module:qualified name"``; of other callables that of their type."""
    if isinstance(thing, partial):
        given = [*map(repr, thing.args), *(f"{name}={value!r}" for name, value in thing.keywords.items())]
        return f"{path_of(thing.func)}({', '.join(given)})"
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"

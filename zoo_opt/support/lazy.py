"""Names that a package imports when they are first used, so that importing the package costs next to nothing."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def exports(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package whose names are in its modules.

    The names are those that the package's source imports for type checkers, under ``if TYPE_CHECKING:`` by lines ``from
    MODULE import NAME as NAME``, so that each is declared once, as in `lazy_loader.attach_stub` (SPEC 1). Modules of
    the package itself are not among them. What is returned is hidden from type checkers (``if not TYPE_CHECKING``), or
    they would believe in any attribute, as a ``__getattr__`` may find it.

    Parameters
    ----------
    package : str
        Its ``__name__``.

    Returns
    -------
    names : list of str
    getattr : callable
        Imports a name's module and keeps the name in the package; an AttributeError for any other name.
    dir : callable
        The names, sorted.
    """
    module = sys.modules[package]
    loader: Any = module.__spec__ and module.__spec__.loader
    words = [line.split() for line in loader.get_source(package).splitlines()]  # importing ast takes 15 ms
    home = {line[3]: line[1] for line in words if line[::2] == ["from", "import", "as"] and line[1] != package}

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(module, name, value)
        return value

    return list(home), __getattr__, lambda: sorted(home)

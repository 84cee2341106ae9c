"""Names that a package imports when they are first used, so that importing the package costs next to nothing."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def importer(package: str, home: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are in its modules.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    home : mapping of str to iterable of str
        The names of each module, which is named as from the package.

    Returns
    -------
    callable
        Imports a name's module and keeps the name in the package; an AttributeError for any other name.
    """
    module_of = {name: module for module, names in home.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__

"""Names that a package imports when they are first used, so that importing the package costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def exports(package: str, *more: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package whose names are in its modules.

    The names are those that the package's source imports for type checkers, under ``if TYPE_CHECKING:``, so that each
    is declared once, as in `lazy_loader.attach_stub` (SPEC 1).

    Parameters
    ----------
    package : str
        Its ``__name__``.
    *more : str
        Names that it has already, or imports by itself.

    Returns
    -------
    names : list of str
    getattr : callable
        Imports a name's module and keeps the name in the package; an AttributeError for any other name.
    dir : callable
        The names, sorted.
    """
    module = sys.modules[package]
    blocks = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    home = {alias.name: node.module or "" for node in imports for alias in node.names}
    names = [*more, *home]

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(module, name, value)
        return value

    return names, __getattr__, lambda: sorted(names)

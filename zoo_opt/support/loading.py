"""Objects by name, and modules that may not be installed: both with a message that says what to do."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any


def load_object(path: str) -> Any:
    """Return the object that ``"module:name"`` or ``"file.py:name"`` names.

    Raises
    ------
    ValueError
        If the module cannot be imported, whatever its own code raises, or has no such name.
    """
    module, _, name = path.rpartition(":")
    try:
        return attrgetter(name)(_of_file(Path(module)) if module.endswith(".py") else importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise ValueError(f'expected "module:name" that can be imported, got {path!r}: {reason(error)}') from error


def _of_file(file: Path) -> ModuleType:
    """Return a file as the module of its stem, imported once; as when Python runs it, its folder is on the path."""
    file = file.resolve()
    there = sys.modules.get(file.stem)
    if there is not None and getattr(there, "__file__", None) == str(file):
        return there
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    module = importlib.util.module_from_spec(spec)
    if there is None:  # another module of this name stays what it is
        sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if there is None:
            del sys.modules[file.stem]
        raise
    return module


def reason(error: BaseException) -> str:
    """The kind and message of what first went wrong."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"


def require(module: str, package: str = "", extra: str = "bench") -> ModuleType:
    """Import a module that an extra of zoo-opt brings, or say how to install it.

    Parameters
    ----------
    module : str
        Name to import, such as ``"cma"``.
    package : str
        Name of the distribution that provides it, for the message, if it is not that of the module.
    extra : str
        Name of the extra of zoo-opt that brings it, for the message; "" for none.

    Raises
    ------
    ImportError
        If the package is not installed; the message names the extra that brings it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as cma's note that matplotlib is absent
            return importlib.import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        brings = f"; it comes with the {extra} extra" if extra else ""
        raise ImportError(f"{package} is not installed{brings}: {install(extra, package)}") from error


def install(extra: str, *packages: str) -> str:
    """What to type to install an extra of zoo-opt, or without one these packages."""
    return f'pip install "zoo-opt[{extra}]"' if extra else " ".join(["pip install", *packages])

"""An exported name is what its package says, whatever was imported before: never a module of the same name."""

import importlib
import pkgutil
from types import ModuleType

import pytest
from structure import MODULES

PACKAGES = sorted(name for name in MODULES if any(other.startswith(f"{name}.") for other in MODULES))


@pytest.mark.parametrize("name", PACKAGES)
def test_no_exported_name_is_that_of_a_module(name: str) -> None:
    """Importing a module sets it as an attribute of its package, in the place of what had the name."""
    pytest.importorskip("torch" if name.startswith(("zoo_opt_seg", "zoo_opt.torch")) else "zoo_opt")
    package = importlib.import_module(name)
    exported = getattr(package, "__all__", ())
    assert not set(exported) & {module.name for module in pkgutil.iter_modules(package.__path__)}
    for public in exported:
        assert not isinstance(getattr(package, public), ModuleType), public


def test_adapt_is_the_function_even_after_its_modules_were_imported() -> None:
    pytest.importorskip("torch")
    importlib.import_module("zoo_opt_seg.adaptation.run")
    from zoo_opt_seg import Adaptation, adapt

    assert callable(adapt) and adapt.__name__ == "adapt" and isinstance(Adaptation, type)

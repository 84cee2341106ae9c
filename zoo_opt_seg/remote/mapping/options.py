"""The options of a mapping: what its user may say, and must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_opt.bench.suite_reader import SuiteError

_TRUTH = {"true": True, "false": False}


def chosen(
    name: str, defaults: Mapping[str, Any], required: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of each option.

    Parameters
    ----------
    name : str
        Of the mapping, for messages.
    defaults : mapping
        Texts, numbers or booleans; of the same kind is what is given.
    required : mapping
        Options without a default, each with what it means; they are texts.
    given : mapping
        What the user says: a text is read as what the default is.

    Raises
    ------
    SuiteError
        If an option is not known, is missing, or of another kind.
    """
    for option, value in defaults.items():
        if type(value) not in (str, int, float, bool):
            raise SuiteError(
                f"{name}, options: {option!r} must be a text, a number or true or false, got {value!r:.60}"
            )
    for option, meaning in required.items():
        if not isinstance(meaning, str) or option in defaults:
            raise SuiteError(f"{name}, required: {option!r} must be what it means, and no option, got {meaning!r:.60}")
    if unknown := sorted(set(given) - set(defaults) - set(required)):
        known = ", ".join([*required, *defaults]) or "none"
        raise SuiteError(f"{name} has no option {unknown[0]!r}; it has {known}")
    if lacking := [option for option in required if given.get(option) in (None, "")]:
        raise SuiteError(f"{name} needs {lacking[0]}, {required[lacking[0]]}: -m {lacking[0]}=VALUE")
    values = {option: _of_kind(name, option, given[option], "") for option in required}
    return values | {
        option: _of_kind(name, option, given.get(option, default), default) for option, default in defaults.items()
    }


def _of_kind(name: str, option: str, value: Any, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool and isinstance(value, str):
            return _TRUTH[value.lower()]
        if kind is not str and isinstance(value, str):
            return kind(value)
    except (KeyError, ValueError):
        value = repr(value)
    if kind is str and type(value) in (int, float):
        value = str(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        word = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise SuiteError(f"{name}: the option {option!r} must be {word}, got {value!s:.60}")
    return value

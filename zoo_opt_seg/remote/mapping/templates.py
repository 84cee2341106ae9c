"""Texts, lists and objects with places to fill: ``{name}``. Nothing in them is evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from zoo_opt.bench.suite_reader import SuiteError

_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.]*)(?:\|([a-z]+))?\}|[{}]")
_WAYS = ("json", "null", "empty")
NULL = "null"


class LeftOut:
    """What stands for a value that is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = LeftOut()


def names_in(template: Any) -> set[str]:
    """Return the names of all places of a template."""
    return {name for name, _ in _places(template, "")}


def check_names(template: Any, where: str, known: Collection[str]) -> set[str]:
    """Return the names of a template's places, or raise.

    Raises
    ------
    SuiteError
        If a name is not known, or a brace is none of a place; ``{{`` and ``}}`` are braces themselves.
    """
    for name, place in _places(template, where):
        if name not in known and name != NULL:
            expected = ", ".join(f"{{{k}}}" for k in known) or "none"
            raise SuiteError(f"{place}: there is no {{{name}}} here; expected {expected}")
    return names_in(template) - {NULL}


def _places(template: Any, where: str) -> Iterator[tuple[str, str]]:
    """The names of all places, each with where it is."""
    if isinstance(template, str):
        for match in _PLACE.finditer(template):
            if match[0] in ("{", "}") or (match[2] is not None and match[2] not in _WAYS):
                raise SuiteError(
                    f"{where}: a brace must be of a {{name}}, {{name|json}}, {{name|null}} or {{name|empty}}, or "
                    f"doubled as {{{{ for the brace itself, got {template!r:.80}"
                )
            if match[1]:
                yield match[1], where
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from _places(value, f"{where}.{key}")
    elif isinstance(template, list):
        for number, value in enumerate(template):
            yield from _places(value, f"{where}.{number}")


def filled_in(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with the values in its places.

    Parameters
    ----------
    template : object
        As TOML has it. A text that is one place alone becomes the value, whatever its kind; in a longer text it is
        written out, what is no text as JSON. ``{name|json}`` is JSON as a text, ``{null}`` is null.
    values : mapping
        By name. An `ABSENT` value leaves its item out of a list or an object, and the whole text if it is in one;
        ``{name|null}`` and ``{name|empty}`` are null and an empty list then.
    """
    if isinstance(template, str):
        return _text(template, values)
    if isinstance(template, Mapping):
        made = {key: filled_in(value, values) for key, value in template.items()}
        return {key: value for key, value in made.items() if value is not ABSENT}
    if isinstance(template, list):
        return [value for item in template if (value := filled_in(item, values)) is not ABSENT]
    return template


def _text(template: str, values: Mapping[str, Any]) -> Any:
    alone = _PLACE.fullmatch(template)
    if alone is not None and alone[1]:
        return _value(alone, values)
    parts, done = [], 0
    for match in _PLACE.finditer(template):
        parts.append(template[done : match.start()])
        done = match.end()
        if match[1] is None:
            parts.append(match[0][0])
            continue
        value = _value(match, values)
        if value is ABSENT:
            return ABSENT
        parts.append(value if isinstance(value, str) else as_json(value))
    return "".join([*parts, template[done:]])


def _value(match: re.Match[str], values: Mapping[str, Any]) -> Any:
    name, way = match[1], match[2]
    value = None if name == NULL else values[name]
    if value is ABSENT:
        return {"null": None, "empty": []}.get(way, ABSENT)
    return as_json(value) if way == "json" else value


def as_json(value: Any) -> str:
    """Return JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def with_options(tree: Any, options: Mapping[str, Any]) -> Any:
    """Return a tree with the values of options in the places of their names; all other places stay."""

    def put(match: re.Match[str]) -> str:
        if match[1] not in options:
            return match[0]
        value = options[match[1]]
        return _escaped(value if isinstance(value, str) else as_json(value))

    return _mapped(tree, lambda text: _option(text, options, put))


def _option(text: str, options: Mapping[str, Any], put: Callable[[re.Match[str]], str]) -> Any:
    alone = _PLACE.fullmatch(text)
    if alone is not None and alone[1] in options and alone[2] is None:
        value = options[alone[1]]
        return _escaped(value) if isinstance(value, str) else value
    return _PLACE.sub(put, text)


def _escaped(value: str) -> str:
    """What the user wrote has no places."""
    return value.replace("{", "{{").replace("}", "}}")


def _mapped(tree: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_mapped(value, change) for value in tree]
    return tree

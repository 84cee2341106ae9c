"""Black boxes by mappings: those that come with the package, and those in a user's file."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zoo_opt.support.secrets import hidden, references
from zoo_opt_seg.remote.addresses import is_safe_for_secrets
from zoo_opt_seg.remote.mapping.forms import ServiceMapping
from zoo_opt_seg.remote.mapping.reader import read_mapping
from zoo_opt_seg.remote.mapping.service import MappedService
from zoo_opt_seg.remote.terms import Terms

if TYPE_CHECKING:
    from zoo_opt_seg.remote.box import RemoteBlackBox

_log = logging.getLogger("zoo_opt_seg.remote")
_FILES = files("zoo_opt_seg.remote.mapping").joinpath("presets")
_LONGEST = 1 << 20  # bytes of a mapping's file; chosen


def presets() -> dict[str, str]:
    """Return the mappings that come with the package, each with what it is about."""
    names = sorted(entry.name.removesuffix(".toml") for entry in _FILES.iterdir() if entry.name.endswith(".toml"))
    return {name: _about(_FILES.joinpath(f"{name}.toml").read_text("utf-8")) for name in names}


def preset_mapping(name: str, options: Mapping[str, Any] | None = None) -> ServiceMapping:
    """Return one of the mappings that come with the package.

    Raises
    ------
    ValueError
        If there is none of this name, or an option is missing or none of its own.
    """
    known = presets()
    if name not in known:
        shown = name.partition(":")[0]  # else half of an address with a password
        raise ValueError(f"there is no mapping {shown!r:.80}; there are {', '.join(known)}")
    return read_mapping(_FILES.joinpath(f"{name}.toml").read_bytes(), name, options)


def file_mapping(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> ServiceMapping:
    """Return the mapping in a TOML file.

    Raises
    ------
    ValueError
        If there is no such file, or it is not of the form that ``docs/remote-mapping.md`` describes.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {str(path)!r} with a mapping")
    if file.stat().st_size > _LONGEST:
        raise ValueError(f"{file}: a mapping has {_LONGEST} bytes at most, got {file.stat().st_size}")
    return read_mapping(file.read_bytes(), file.stem, options)


def with_credentials(mapping: ServiceMapping, terms: Terms) -> Terms:
    """Return the terms with the headers of a mapping that hold secrets, where the terms have none of that name.

    What is sent is said in the log, ``$NAME`` for each value.

    Raises
    ------
    ValueError
        If a secret would be sent where others can read it.
    """
    service = urlsplit(mapping.request.url)
    safe = is_safe_for_secrets(service)
    given = {name.lower() for name in terms.headers}
    headers = {name: value for name, value in mapping.credentials.items() if name.lower() not in given}
    if headers and not safe:
        raise ValueError(
            f"{mapping.name} sends {_names(headers)} to {hidden(service.netloc)} by http, where others can read it: "
            "give an address of https, or the header yourself"
        )
    optional = {
        name: value
        for name, value in mapping.optional.items()
        if name.lower() not in given and all(variable in os.environ for variable in references(value))
    }
    if optional and not safe:
        _log.warning("%s: %s is not sent to %s, which is not of https", mapping.name, _names(optional), service.netloc)
        optional = {}
    if mapping.sign:
        _log.warning("%s: requests to %s are signed by %s", mapping.name, service.netloc, mapping.sign)
    if headers or optional:
        _log.warning("%s: %s is sent to %s", mapping.name, _names(headers | optional), service.netloc)
    return replace(terms, headers={**headers, **optional, **terms.headers})


def _names(headers: Mapping[str, str]) -> str:
    return ", ".join(f"${name}" for value in headers.values() for name in references(value))


def _about(text: str) -> str:
    first = next((line for line in text.splitlines() if line.startswith("about = ")), "")
    return first.removeprefix("about = ").strip('"')


# ------------------------------------------------------------------------------------------------ as --model names them
def of_file(word: str, terms: Terms | None = None, **options: Any) -> RemoteBlackBox:
    """``json:FILE.toml``: the service that the user's mapping describes."""
    return _box(file_mapping(word, options), terms)


def of_preset(word: str, terms: Terms | None = None, **options: Any) -> RemoteBlackBox:
    """``service:NAME`` or ``service:NAME@URL``: a mapping that comes with the package, at an address."""
    name, at, url = word.partition("@")
    return _box(preset_mapping(name, {**options, **({"url": url} if at else {})}), terms)


def roboflow(word: str, terms: Terms | None = None, **options: Any) -> RemoteBlackBox:
    """``roboflow:MODEL@URL``: Roboflow's inference server; without a URL the one of this machine."""
    return of_preset(f"roboflow-{word}", terms, **options)


def hugging_face(word: str, terms: Terms | None = None, **options: Any) -> RemoteBlackBox:
    """``hf:URL``, the task image-segmentation, or ``hf:points@URL``, a handler of yours that takes points."""
    return of_preset(f"hf-labels@{word}" if "://" in word.partition("@")[0] else f"hf-{word}", terms, **options)


def _box(mapping: ServiceMapping, terms: Terms | None) -> RemoteBlackBox:
    from zoo_opt_seg.remote.box import RemoteBlackBox

    return RemoteBlackBox(MappedService(mapping), with_credentials(mapping, terms or Terms()))

"""A page from a template: HTML with ``{{fields}}``, its style in it, in the theme that all pages share."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources


def fill(package: str, name: str, fields: Mapping[str, str]) -> str:
    """``assets/<name>.html`` of a package, with its fields filled in.

    Parameters
    ----------
    package : str
        Dotted name.
    name : str
        Of the template, and of the style sheet beside it.
    fields : mapping of str to str
        HTML for each ``{{field}}`` but ``{{css}}``, which is theme and style sheet, and ``{{theme}}``, the switch
        between light and dark.

    Returns
    -------
    str
        The page, which needs no other file.
    """
    css = asset("zoo_opt.bench.report", "theme.css") + asset(package, f"{name}.css")
    known = {**fields, "css": css, "theme": asset("zoo_opt.bench.report", "theme.html").rstrip()}
    head, *parts = asset(package, f"{name}.html").split("{{")
    return head + "".join(known[field] + rest for field, rest in (part.split("}}", 1) for part in parts))


def asset(package: str, name: str) -> str:
    """The text of a file in the ``assets`` of a package."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")

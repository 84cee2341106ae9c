"""A page from a template: HTML with ``{{fields}}``, its style in it, in the theme that all pages share."""

from __future__ import annotations

import base64
import hashlib
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
        HTML for each ``{{field}}`` but ``{{head}}``, what all pages begin with: title, theme and style sheet; and
        ``{{theme}}``, the switch between light and dark. The field ``js`` is the page's script, from `scripts`: a
        browser runs this one, by its digest, and no other that a value may have brought in.

    Returns
    -------
    str
        The page, which needs no other file.
    """
    css = asset("zoo_opt.bench.report", "theme.css") + asset(package, f"{name}.css")
    start, theme = (asset("zoo_opt.bench.report", f"{part}.html").rstrip() for part in ("head", "theme"))
    allowed = f"script-src 'sha256-{_digest(fields['js'])}'; " if "js" in fields else ""
    page = asset(package, f"{name}.html").replace("{{head}}", start)
    known = {**fields, "css": css, "theme": theme, "scripts": allowed}
    before, *parts = page.split("{{")
    return before + "".join(known[field] + rest for field, rest in (part.split("}}", 1) for part in parts))


def scripts(*names: str) -> str:
    """The script of a page: ``assets/<name>.js`` of the reports, one after the other."""
    return "\n".join(['"use strict";', *(asset("zoo_opt.bench.report", f"{name}.js") for name in names)])


def _digest(script: str) -> str:
    """The digest by which a page's policy names its script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def asset(package: str, name: str) -> str:
    """The text of a file in the ``assets`` of a package."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")

"""Reference pages: one for each object that `api.md` names, written before the build; `api.md` itself becomes a list.

A line of `api.md` such as ``.. autoclass:: zoo_opt.CMAES`` (with its options) is all that a new name needs.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from ext.written import keep_only, write

FOLDER = "reference"
BLOCK = re.compile(r"^```\{eval-rst\}\n(.*?)^```\n", re.M | re.S)
DIRECTIVE = re.compile(r"^\.\. (auto\w+):: +([\w.]+)\n((?: +:.*\n)*)", re.M)
SHOWN = 8  # pages that use a name, at most


@dataclass(frozen=True)
class Entry:
    """An object of `api.md`: its section, the directive, its dotted name, and the directive's options."""

    section: str
    directive: str
    name: str
    options: str

    @property
    def short(self) -> str:
        """The name without its module."""
        return self.name.rpartition(".")[2]


def entries(page: str) -> list[Entry]:
    """The objects that the page names, in its order."""
    found = []
    for part in re.split(r"^(?=## )", page, flags=re.M):
        section = part.partition("\n")[0].removeprefix("## ")
        for block in BLOCK.findall(part):
            found += [Entry(section, *match) for match in DIRECTIVE.findall(block)]
    return found


def listed(page: str) -> str:
    """The page with each block of directives as a table of links; what else a block holds stays."""

    def table(match: re.Match[str]) -> str:
        block = match.group(1)
        rows = [f"| [`{e.short}`]({FOLDER}/{e.name}.md) | {first_line(e.name)} |" for e in entries(match.group(0))]
        rest = DIRECTIVE.sub("", block).strip("\n")
        kept = f"```{{eval-rst}}\n{rest}\n```\n\n" if rest.strip() else ""
        return kept + ("\n".join(["| | |", "|---|---|", *rows]) + "\n" if rows else "")

    return BLOCK.sub(table, page)


def resolved(name: str) -> Any:
    """The object of a dotted name."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(f"no module of {name}")


def first_line(name: str) -> str:
    """The first sentence of an object's docstring, for a table."""
    found = resolved(name)
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        return ""
    paragraph = " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.:;])\s", paragraph)[0].rstrip(":;")
    return re.sub(r"`+([^`]+)`+", r"`\1`", sentence).replace("|", "\\|")


def uses(name: str, sources: dict[str, str]) -> list[str]:
    """The pages and examples that show the name in code."""
    short = re.escape(name.rpartition(".")[2])
    shown = re.compile(rf"(?:\bzo(?:\.\w+)*\.{short}\b|`{short}\b|^\s*from [\w.]+ import [^\n]*\b{short}\b)", re.M)
    return [page for page, text in sources.items() if shown.search(text)]


def page_of(entry: Entry, siblings: list[Entry], used: list[tuple[str, str]]) -> str:
    """The page of one object."""
    lines = ["---", "orphan: true", "---", "", f"# {entry.short}", ""]
    lines += [f"[API reference](../api.md) › {entry.section}", ""]
    lines += ["```{eval-rst}", f".. {entry.directive}:: {entry.name}", entry.options.rstrip("\n"), "```", ""]
    if used:
        lines += ["**Used in:** " + " · ".join(f"[{title}]({link})" for title, link in used[:SHOWN]), ""]
    others = [f"[{e.short}]({e.name}.md)" for e in siblings if e != entry]
    if others:
        lines += [f"**{entry.section}:** " + " · ".join(others), ""]
    return "\n".join(lines)


def title_of(text: str) -> str:
    """The first heading of a page."""
    match = re.search(r"^# (.+)$", text, re.M)
    return match.group(1) if match else ""


def prepare(app: Sphinx) -> None:
    """Write the pages."""
    docs = Path(app.srcdir)
    found = entries((docs / "api.md").read_text(encoding="utf-8"))
    guides = {path.stem: path.read_text(encoding="utf-8") for path in sorted(docs.glob("*.md"))}
    skipped = {"api", "design", "index", "mutants", "guarantees"}
    sources = {f"../{stem}.md": text for stem, text in guides.items() if stem not in skipped}
    titles = {link: title_of(text) for link, text in sources.items()}
    for path in sorted((docs.parent / "examples").glob("*.py")):
        link = f"../gallery/{path.stem}.md"
        sources[link], titles[link] = path.read_text(encoding="utf-8"), path.name
    written = set()
    for entry in found:
        used = [(titles[link], link) for link in uses(entry.name, sources)]
        siblings = [e for e in found if e.section == entry.section]
        written.add(write(docs / FOLDER / f"{entry.name}.md", page_of(entry, siblings, used)))
    keep_only(docs / FOLDER, written)


def listing(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn `api.md` into a list of links."""
    if docname == "api":
        source[0] = listed(source[0])


def source_of(app: Sphinx, module: str | None, name: str) -> str | None:
    """The module to look in for a member: that of its class. A field or a cached property names another, not ours."""
    owner, _, member = name.partition(".")
    return resolved(f"{module}.{owner}").__module__ if module and member else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to sphinx."""
    app.connect("builder-inited", prepare)
    app.connect("source-read", listing)
    app.connect("viewcode-follow-imported", source_of)
    return {"parallel_read_safe": True}

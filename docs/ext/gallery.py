"""The gallery: a page for each file of `examples/`, and cards for `examples.md`.

The picture and the printed lines come out of a run: `python docs/pictures.py examples`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sphinx.application import Sphinx

from ext.written import keep_only, write

FOLDER = "gallery"
ROW = re.compile(r"^\| \[(\w+)\.py\]\(\1\.py\) \| (.+?) \| \[(.+?)\]\(\.\./docs/(.+?)\) \|$", re.M)
CARDS = "<!-- cards -->"


def rows(readme: str) -> list[tuple[str, str, str, str]]:
    """Each example of `examples/README.md`: name, problem, and the title and link of more about it."""
    return ROW.findall(readme)


def page_of(name: str, problem: str, more: tuple[str, str], code: str, printed: str) -> str:
    """The page of one example."""
    said = (ast.get_docstring(ast.parse(code)) or "").split("\n\n")
    about = [part for part in said[1:] if not part.startswith("More:")]
    return "\n".join(
        [
            "---", "orphan: true", "---", "",
            f"# {said[0].rstrip('.')}", "",
            f"[Examples](../examples.md) › {problem}", "",
            *about, "",
            f"More about it: [{more[0]}](../{more[1]}).", "",
            *picture(name, "Loss over evaluations, as this example ran"),
            "It prints:", "", "```text", printed.rstrip("\n"), "```", "",
            f"## {name}.py", "",
            f"```{{literalinclude}} ../../examples/{name}.py", ":language: python", "```", "",
        ]
    )  # fmt: skip


def picture(name: str, alt: str) -> list[str]:
    """The picture of an example, for light and for dark pages."""
    lines = []
    for shade, suffix in (("light", ""), ("dark", "-dark")):
        lines += [
            f"```{{image}} ../plots/examples/{name}{suffix}.png",
            f":class: only-{shade}",
            f":alt: {alt}",
            "```",
            "",
        ]
    return lines


def cards(found: list[tuple[str, str, str, str]]) -> str:
    """The grid of `examples.md`."""
    lines = ["::::{container} gallery", ""]
    for name, problem, _, _ in found:
        lines += [":::{container} card", ""]
        lines += [line.replace("../plots", "plots") for line in picture(name, "")]
        lines += [f"[{problem[0].upper()}{problem[1:]}]({FOLDER}/{name}.md)", "", f"`{name}.py`", "", ":::", ""]
    return "\n".join([*lines, "::::", ""])


def examples_of(docs: Path) -> list[tuple[str, str, str, str]]:
    """The examples that the README of `examples/` lists."""
    return rows((docs.parent / "examples" / "README.md").read_text(encoding="utf-8"))


def prepare(app: Sphinx) -> None:
    """Write the pages."""
    docs = Path(app.srcdir)
    written = set()
    for name, problem, title, link in examples_of(docs):
        code = (docs.parent / "examples" / f"{name}.py").read_text(encoding="utf-8")
        printed = (docs / "plots" / "examples" / f"{name}.txt").read_text(encoding="utf-8")
        written.add(write(docs / FOLDER / f"{name}.md", page_of(name, problem, (title, link), code, printed)))
    keep_only(docs / FOLDER, written)


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the cards into `examples.md`."""
    if docname == "examples":
        source[0] = source[0].replace(CARDS, cards(examples_of(Path(app.srcdir))))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to sphinx."""
    app.connect("builder-inited", prepare)
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}

"""Sphinx configuration. Builds offline, and the pages read offline: equations become MathML, not a script's work."""

import sys
from pathlib import Path

from docutils.nodes import Element, SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator as HTMLTranslator

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from zoo_opt._version import __version__  # noqa: E402

project = "zoo-opt"
author = "The zoo-opt developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"),
    *("ext.reference", "ext.gallery", "ext.reports", "ext.letters", "ext.accessible"),
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
viewcode_line_numbers = True
default_role = "py:obj"  # `Name` in a docstring links where it can
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the numpydoc sections say the types
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"zoo-opt {release}"
html_show_sourcelink = False
html_split_index = True
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"


def visit_math(self: HTMLTranslator, node: Element) -> None:
    """Write an inline equation."""
    self.body.append(tex2mathml(node.astext()))
    raise SkipNode


def visit_math_block(self: HTMLTranslator, node: Element) -> None:
    """Write a displayed equation."""
    self.body.append(f"<p>{tex2mathml(node.astext(), as_block=True)}</p>\n")
    raise SkipNode


def keep_colons(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a property's first colon for its type."""
    if what in ("attribute", "property"):
        lines.insert(0, "")


def setup(app: Sphinx) -> None:
    """Register the equation renderer."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("autodoc-process-docstring", keep_colons, priority=400)

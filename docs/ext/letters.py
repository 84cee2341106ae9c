"""The general index has a page for each letter, and none with all of them, which nobody reads and no phone shows."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

ALL = "genindex-all.html"


def remove_whole(app: Sphinx, error: Exception | None) -> None:
    """Remove the page with the whole index, which sphinx writes beside those of the letters."""
    Path(app.outdir, ALL).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to sphinx."""
    app.connect("build-finished", remove_whole)
    return {"parallel_read_safe": True}

"""Pages that are written before a build: only where they changed, so that sphinx reads no others again."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str) -> Path:
    """Write a page unless it is there as it is."""
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def keep_only(folder: Path, written: set[Path]) -> None:
    """Remove the pages of earlier builds whose object is gone."""
    for path in folder.glob("*.md"):
        if path not in written:
            path.unlink()

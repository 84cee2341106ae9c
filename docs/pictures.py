"""Draw the pictures of docs/plotting.md: run its code in the folder that they are in."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent


def main() -> None:
    """Write docs/plots/*.png, of 192 colours each, which makes them small."""
    page = (DOCS / "plotting.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S))
    with contextlib.chdir(DOCS / "plots"):
        exec(compile(code, "plotting.md", "exec"), {})
        for path in Path().glob("*.png"):
            Image.open(path).quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()

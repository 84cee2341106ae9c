"""Draw the pictures of the README and the documentation: `python docs/pictures.py [plots ecdf adaptation examples]`."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def plots() -> None:
    """Run the code of docs/plotting.md in the folder that its pictures are in."""
    from drawn.small import shrink

    page = (DOCS / "plotting.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S))
    with contextlib.chdir(DOCS / "plots"):
        exec(compile(code, "plotting.md", "exec"), {})
        for name in re.findall(r'savefig\("(.+?)"\)', code):
            shrink(Path(name))


def ecdf() -> None:
    """The README's comparison with other libraries, from the record of bbob."""
    from drawn.ecdf import main

    main(DOCS.parent, DOCS / "plots")


def adaptation() -> None:
    """The README's adaptations of a black-box SAM: three of 1,000 calls, some minutes."""
    from drawn.adaptation import main

    main(DOCS.parent, DOCS / "plots")


def examples() -> None:
    """Run the examples, and keep what each printed and a picture of its runs."""
    from drawn.examples import main

    main(DOCS.parent, DOCS / "plots" / "examples")


PICTURES = {made.__name__: made for made in (plots, ecdf, adaptation, examples)}


def main(names: list[str]) -> None:
    """Draw those of these names, or all."""
    if unknown := sorted(set(names) - set(PICTURES)):
        raise SystemExit(f"pictures are {', '.join(PICTURES)}; got {', '.join(unknown)}")
    for name in names or PICTURES:
        PICTURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])

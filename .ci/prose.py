"""Flag sentences that have to be read twice: too long, too many passives, inverted, or with a phrase that puzzles.

python .ci/prose.py [FILE ...]    Markdown or Python (help texts); without files, the pages that are held to it
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELD = ("*.md", "docs/*.md", "examples/*.md", ".github/**/*.md", "zoo_opt*/cli/*.py")
WORDS = 35  # of a sentence, at most
PASSIVES = 3  # in a sentence: so many are too many
MARKS = 3  # semicolons and colons in a sentence: so many are too many
IRREGULAR = (
    "known|taken|given|shown|written|told|made|drawn|held|kept|said|seen|done|sent"
    "|lost|found|put|met|paid|left|read|chosen|meant|built|begun|set"
)
PASSIVE = re.compile(
    rf"\b(?:is|are|was|were|be|been|being)\s+(?:(?:not|never|then|also)\s+)?(?:\w+ed|{IRREGULAR})\b", re.I
)
PHRASES = (
    "goes the same way", "go the same way", "of which nothing", "of one's own", "can be had", "may heal",
    "that is about", "as it is typed", "comes to be", "where it is said", "as that of", "who has it", "by so many",
    "in the place of", "likewise", "thereby", "whereof", "wherein", "such as it is", "is had", "are had",
    "what it came to", "from whom", "with whom", "to whom", "all the same", "as ever",
)  # fmt: skip
PUZZLES = {
    "inverted": r"^(?:So (?:is|are|does|do|was)|Of (?:a|an|the|what|one|those|all) [^,]*? (?:is|are|has|asks))\b",
    "what ... what": r"\bwhat\b[^.:;]*\bwhat\b[^.:;]*\bwhat\b",
    "phrase": rf"\b(?:{'|'.join(PHRASES)})\b",
}
FRAGMENT = re.compile(r"(?:of|by|in|for|that|to|likewise)\b")  # a help text that begins so leaves out what it is about
SPLIT = re.compile(r"(?<=[.!?])[)\"*_]*\s+(?=[A-Z`*\"(\[])")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The paragraphs, list items and table cells of a Markdown page, each with its first line's number."""
    fence, block, start = "", [], 0
    lines = [*text.splitlines(), ""]
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if mark := re.match(r"(`{3,}|:{3,})", bare):
            if mark.group(1).startswith(":"):
                bare = ""
            elif not fence or bare.startswith(fence):
                fence, bare = "" if fence else mark.group(1), ""
        if fence:
            continue
        new = not bare or bare[0] in "#|<" or re.match(r"(?:[-*]|\d+\.)\s", bare)
        if new and block:
            yield start, " ".join(block)
            block = []
        if bare.startswith("|"):
            for cell in bare.strip("|").split("|"):
                yield number, cell.strip()
        elif bare and bare[0] not in "#<":
            if not block:
                start = number
            block.append(re.sub(r"^(?:[-*]|\d+\.)\s+", "", bare))


def helps(text: str) -> Iterator[tuple[int, str]]:
    """The help texts of a module: its constants of several lines, less their examples, and what `help=` is given."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "help" and isinstance(node.value, ast.Constant):
            yield node.value.lineno, str(node.value.value)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for part in node.value.value.partition("\nexamples:")[0].split("\n\n"):
                plain = [line for line in part.splitlines() if not line.startswith("  ")]
                yield node.lineno, " ".join(plain)


def complaints(paragraph: str) -> Iterator[tuple[str, str]]:
    """What there is to say about the sentences of a paragraph: the rule, and the sentence."""
    plain = re.sub(r"\$\$.*?\$\$|\$(?=\S)[^$]*(?<=\S)\$(?!\d)|`[^`]*`", "CODE", paragraph)
    plain = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", plain)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    plain = re.sub(r"[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}", "", plain)
    for sentence in SPLIT.split(plain):
        words = re.findall(r"[\w'’/.-]*[A-Za-z][\w'’/.-]*", sentence)
        if len(words) > WORDS:
            yield f"{len(words)} words", sentence
        if len(PASSIVE.findall(sentence)) >= PASSIVES:
            yield "passive", sentence
        if len(re.findall(r"[;:](?:\s|$)", sentence)) >= MARKS:
            yield "colons", sentence
        for name, pattern in PUZZLES.items():
            if re.search(pattern, sentence):
                yield name, sentence


def held() -> list[Path]:
    """The pages and modules that `make lint` checks: every page that the repository has."""
    return sorted({path for pattern in HELD for path in ROOT.glob(pattern)})


def flagged(path: Path) -> list[tuple[int, str, str]]:
    """The line, the rule and the sentence of each complaint about a file."""
    text = path.read_text(encoding="utf-8")
    code = path.suffix == ".py"
    parts = list(helps(text) if code else prose(text))
    found = [(line, rule, sentence) for line, part in parts for rule, sentence in complaints(part)]
    return found + [(line, "fragment", part) for line, part in parts if code and FRAGMENT.match(part)]


def main(names: list[str]) -> int:
    """Print the complaints and their number; 1 if there are any."""
    counts: Counter[str] = Counter()
    for path in map(Path, names) if names else held():
        for line, rule, sentence in flagged(path):
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{shown}:{line}: {rule}: {sentence}")
            counts[str(shown)] += 1
    for name, count in counts.items():
        print(f"{count:4d} {name}")
    print(f"{sum(counts.values())} sentences to rewrite")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

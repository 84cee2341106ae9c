"""The documentation's own code: reference pages, gallery, and the linter of sentences."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def loaded(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def prose():
    return loaded("prose_of_ci", ROOT / ".ci" / "prose.py")


@pytest.fixture(scope="module")
def site():
    """The modules of docs/ext."""
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from ext import gallery, reference

        yield type("Site", (), {"gallery": gallery, "reference": reference})
    finally:
        sys.path.remove(str(ROOT / "docs"))


# ---------------------------------------------------------------------------------------------------- reference


def test_every_object_of_the_api_has_a_page_and_a_row(site):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found = site.reference.entries(page)
    assert len(found) == page.count(".. auto") > 150
    assert len({entry.name for entry in found}) == len(found)
    listed = site.reference.listed(page)
    assert ".. auto" not in listed
    assert [e.name for e in found if f"(reference/{e.name}.md)" not in listed] == []


def test_options_and_section_go_with_an_object(site):
    page = """# API

## Boxes

```{eval-rst}
.. autoclass:: zoo_opt.Space
   :members: at, decode
.. autofunction:: zoo_opt.make
```
"""
    first, second = site.reference.entries(page)
    assert (first.section, first.directive, first.short) == ("Boxes", "autoclass", "Space")
    text = site.reference.page_of(first, [first, second], [("Spaces", "../spaces.md")])
    assert ".. autoclass:: zoo_opt.Space\n   :members: at, decode\n```" in text
    assert "[make](zoo_opt.make.md)" in text and "[Spaces](../spaces.md)" in text


def test_where_a_name_is_used(site):
    sources = {"a": "call `zo.make(...)`", "b": "from zoo_opt import make", "c": "make a cake", "d": "`make`"}
    assert site.reference.uses("zoo_opt.make", sources) == ["a", "b", "d"]


def test_the_source_of_a_member_is_looked_for_where_its_class_is(site):
    """`Job.lost`, a field of a named tuple, led to a page of builtins that nobody writes."""
    source_of = site.reference.source_of
    assert source_of(None, "zoo_opt.bench", "Job.lost") == "zoo_opt.bench.engine.job"
    assert source_of(None, "zoo_opt", "Grid.integers") == "zoo_opt.methods.grid"  # a cached property
    assert source_of(None, "zoo_opt", "minimize") is None  # as sphinx finds it


# ---------------------------------------------------------------------------------------------------- gallery


def test_every_example_is_in_the_gallery_with_what_it_printed(site):
    names = [row[0] for row in site.gallery.examples_of(ROOT / "docs")]
    files = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    assert sorted(names) == files
    out = ROOT / "docs" / "plots" / "examples"
    wanted = {f"{name}{end}" for name in files for end in (".png", "-dark.png", ".txt")}
    assert wanted == {path.name for path in out.iterdir()}, "run: python docs/pictures.py examples"


def test_pictures_are_small():
    pictures = [*(ROOT / "docs" / "plots").rglob("*.png"), *(ROOT / "docs" / "plots").rglob("*.svg")]
    assert [path.name for path in pictures if path.stat().st_size > 150_000] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_the_version_is_the_same_everywhere():
    import zoo_opt

    for name in ("CITATION.cff", ".ci/conda/recipe.yaml"):
        assert f"version: {zoo_opt.__version__}\n" in (ROOT / name).read_text(encoding="utf-8"), name


# ---------------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("One " + "word " * 40 + "more.", "42 words"),
        ("It is made, and was known, and has been written.", "passive"),
        ("A: b; c: d.", "colons"),
        ("So is one that is larger.", "inverted"),
        ("A model that is asked in words goes the same way.", "phrase"),
    ],
)
def test_a_sentence_to_read_twice_is_flagged(prose, sentence, rule):
    assert [found for found, _ in prose.complaints(sentence)] == [rule]


def test_code_and_plain_sentences_are_not(prose):
    text = (
        "# Title\n\nA short sentence. Another one, `is made was made are made`.\n\n```python\n" + "x " * 60 + "\n```\n"
    )
    assert [said for _, part in prose.prose(text) for said in prose.complaints(part)] == []


def test_the_line_of_a_sentence_is_told(prose, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nFine.\n\n- So is this.\n", encoding="utf-8")
    assert [(line, rule) for line, rule, _ in prose.flagged(page)] == [(5, "inverted")]


def test_the_pages_that_are_held_to_it_pass(prose, capsys):
    assert prose.main([]) == 0, capsys.readouterr().out

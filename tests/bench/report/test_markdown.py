"""Markdown tables: every figure in its place, counts of problems beside figures of parts."""

from bench.runs import record, run
from refusals import raises

from zoo_opt.bench.report.markdown import ert_table, markdown_tables, write_markdown


def cells(text, first):
    """The cells of the row that begins with `first`, of each table."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]
    return [line[1:] for line in lines if line[0] == first]


def bbob(method, functions, hits, dims=(2, 5)):
    return [run(method, f"bbob-f{f:02d}-i1-d{d}", hits=hits, dim=d, budget=100) for f in functions for d in dims]


def test_tables_of_a_group_with_many_problems():
    runs = bbob("all", [1, 6, 20], [10, None]) + bbob("some|few", [1], [1, 1])
    text = markdown_tables(record(runs))
    assert "### g: 6 problems, 1 seed, 100 evaluations" in text
    summary, parts, profile, *_ = cells(text, "all")
    assert summary[:4] == ["6", "50.0%", ".250", ".250-.250"]
    assert parts == [".250"] * 6
    assert profile == [".500"] * 5
    summary, parts, paired, profile = cells(text, "some\\|few")
    assert summary[0] == "2"
    assert parts == ["1.000 (2)", "1.000 (1)", "1.000 (1)", "1.000", "-", "-"]
    assert paired[:3] == ["2", "100.0% / 50.0%", "+0.750"]
    assert profile == ["-"] * 5  # left out, for it did not run them all
    heading = next(line for line in text.splitlines() if line.startswith("| area under the ECDF"))
    assert "2-D (3) | 5-D (3) | separable (2) | moderate conditioning (2) | weak structure (2)" in heading


def test_tables_of_a_group_with_few_problems():
    runs = [run("a", "net", s, hits=[10], final=float(s), figures={"precision": float(s)}) for s in (1, 2, 3)]
    text = markdown_tables(record(runs))
    (final,) = cells(text, "net")[:1]
    assert final == ["a", "3", "2", "1.5 to 2.5", "2 ± 1"]
    assert "against" not in text  # one method


def test_expected_running_times_per_dimension():
    runs = [
        run("a", "bbob-f01-i1-d2", hits=[10, None]),
        run("a", "bbob-f01-i2-d2", hits=[20, 60]),
        run("b", "bbob-f01-i1-d2", hits=[None, None]),
    ]
    a, b = cells(ert_table(runs), "bbob-f01-d2")
    assert a == ["a", "7.5", "80 (1/2)"]
    assert b == ["b", "inf (0/1)", "inf (0/1)"]
    assert cells(ert_table(runs, [0.1]), "bbob-f01-d2")[0] == ["a", "80 (1/2)"]
    assert ert_table([run()]) == ""


def test_writing_makes_the_folder_and_an_empty_record_is_refused(tmp_path):
    write_markdown(record([run("a", hits=[3])]), tmp_path / "new" / "tables.md")
    assert (tmp_path / "new" / "tables.md").read_text().startswith("### g: 1 problem, 1 seed")
    raises(ValueError, "no run to make tables of", markdown_tables, record([]))

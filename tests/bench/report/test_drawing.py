"""Figures of a record: what is drawn is what the statistics say, and no two methods look alike."""

import re

import numpy as np
import pytest
from bench import synthetic

pytest.importorskip("matplotlib")

from zoo_opt.bench.report.drawing import colours, draw, save, spread
from zoo_opt.bench.suite_record import write_record
from zoo_opt.cli import main

PROBLEMS = synthetic.bbob_names(functions=(1, 8), dims=(2, 5), instances=(1, 2))


@pytest.fixture(scope="module")
def record():
    made = synthetic.record_of({"first": (PROBLEMS, 100), "one": (PROBLEMS[:1], 100)}, seeds=(1, 2))
    fewer = {k: r for k, r in made.runs.items() if not (r["method"] == "SPSA" and r["problem"] == PROBLEMS[0][0])}
    made.runs = fewer
    return made


def reached(record, group, method, per_dim):
    """The fraction of the (problem, target, seed) triples reached by then, counted one by one."""
    hit = [
        h is not None and h / run["dim"] <= per_dim
        for run in record.runs.values()
        if run["group"] == group and run["method"] == method
        for h in [*run["hits"], *[None] * (len(run["targets"]) - len(run["hits"]))]
    ]
    return sum(hit) / len(hit)


def test_the_curve_is_the_fraction_reached(record):
    ax = draw(record, group="first").axes[0]
    for line in ax.lines:
        x, y = line.get_data()
        for per_dim in (3.0, 20.0, 100.0):
            at = np.searchsorted(x, per_dim, side="right") - 1
            assert y[at] == pytest.approx(reached(record, "first", line.get_label(), per_dim))


def test_who_ran_on_fewer_problems_is_left_out_and_named(record):
    figure = draw(record, group="first")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "SPSA" not in labels and len(labels) == len(synthetic.METHODS) - 1
    assert figure.get_supxlabel().replace("\n", " ").endswith("fewer problems: SPSA")


def test_methods_that_are_asked_for_are_drawn_in_this_order(record):
    lines = draw(record, group="first", methods=["FZOO", "auto"]).axes[0].lines
    assert [line.get_label() for line in lines] == ["FZOO", "auto"]


@pytest.mark.parametrize("n", [1, 8, 9, 30, 60])
def test_no_two_methods_share_a_colour(n):
    found = colours(n)
    assert len(set(found)) == len(found) == n and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in found)


def test_ours_are_solid_and_theirs_are_not(record):
    styles = {line.get_label(): line.get_linestyle() for line in draw(record, group="first").axes[0].lines}
    assert {styles[name] for name in synthetic.OURS if name in styles} == {"-"}
    assert "-" not in {styles[name] for name in synthetic.PEERS}


def test_convergence_is_for_one_problem(record):
    draw(record, "convergence", group="one", methods=["auto", "FZOO"])
    with pytest.raises(ValueError, match='kind must be "ecdf"'):
        draw(record, "convergence", group="first")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"kind": "pie"}, "kind must be one of ecdf, convergence, got 'pie'"),
        ({"group": "third"}, "group must be one of first; one; got 'third'"),
        ({"methods": ["auto", "nobody"]}, "methods must be of .*; got nobody"),
        ({"group": "first", "methods": ["auto", "SPSA"]}, "methods must have run on the same problems, got auto, SPSA"),
    ],
)
def test_what_cannot_be_drawn(record, asked, message):
    with pytest.raises(ValueError, match=message):
        draw(record, **asked)


def test_an_empty_record(record):
    with pytest.raises(ValueError, match="record must hold runs"):
        draw(type(record)())


@pytest.mark.parametrize(("suffix", "start"), [(".pdf", b"%PDF"), (".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_the_same_figure_is_the_same_file(record, tmp_path, suffix, start):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        save(draw(record, group="first", methods=["auto", "SepCMA-ES"]), file)
    assert files[0].read_bytes() == files[1].read_bytes() and files[0].read_bytes().startswith(start)


def test_another_ending_is_refused(record, tmp_path):
    with pytest.raises(ValueError, match=r"output must end in one of \.pdf"):
        save(draw(record), tmp_path / "figure.docx")


def test_spread_keeps_apart_and_in_order():
    rng = np.random.default_rng(0)
    for _ in range(50):
        heights = np.sort(rng.random(rng.integers(1, 12)))
        moved = np.array(spread(heights.tolist(), 0.05))
        assert (np.diff(moved) > 0.05 - 1e-12).all()
        assert np.mean(moved) == pytest.approx(np.mean(heights))
    assert spread([0.1, 0.5, 0.9], 0.05) == pytest.approx([0.1, 0.5, 0.9])


def test_the_command(record, tmp_path, capsys):
    write_record(record, tmp_path / "runs.jsonl")
    words = ["plot", str(tmp_path / "runs.jsonl"), "--group", "first", "--only", "auto", "FZOO", "-o"]
    assert main([*words, str(tmp_path / "ecdf.svg")]) == 0
    drawn = (tmp_path / "ecdf.svg").read_text(encoding="utf-8")
    assert all(f">{text}</text>" in drawn for text in ("auto", "FZOO", "evaluations / dimension"))
    assert main([*words, str(tmp_path / "ecdf.txt")]) == 2
    assert "output must end in one of .pdf" in capsys.readouterr().err

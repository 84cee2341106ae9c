"""Progress in a terminal, and where the output is a file or a pipe."""

import io
import re

import pytest

from zoo_opt.support.progress import ShowLines, bar

pytest.importorskip("rich")


def test_without_a_terminal_nothing_is_said_of_what_has_not_begun(capsys):
    """A training that was complete in its folder already had ended as "0/? epochs"."""
    with bar("refining", "epochs", None, True):
        pass
    with pytest.raises(KeyboardInterrupt), bar("refining", "epochs", None, True):
        raise KeyboardInterrupt
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_lines_come_at_each_tenth_and_at_the_end(capsys):
    with bar("refining", "epochs", None, True) as update:
        for epoch in range(101):
            update(epoch, {"loss {:.2f}": 1 / (1 + epoch), "Dice {:.2f}": float("nan")}, 100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[0] == "refining: 0 of 100 epochs, 0 s, loss 1.00"
    assert lines[-1] == "refining: 100 of 100 epochs, 0 s, loss 0.01"


def test_the_last_state_is_written_where_something_ends_early(capsys):
    with pytest.raises(ValueError, match="broken"), bar("adapting", "calls", 1000, True) as update:
        update(10)
        update(42)
        raise ValueError("broken")
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "adapting: 10 of 1000 calls",
        "adapting: 42 of 1000 calls",
    ]


def test_without_a_total_a_line_comes_every_five_minutes(monkeypatch):
    clock = iter([0.0, 1.0, 2.0, 400.0, 401.0])
    monkeypatch.setattr("zoo_opt.support.progress.time.perf_counter", lambda: next(clock))
    stream = io.StringIO()
    lines = ShowLines("waiting", "answers", None, stream)
    for done in (1, 2, 3, 4):
        lines(done, left=600.0)
    assert stream.getvalue() == "waiting: 3 answers, 7 min, about 10 min left\n"


def test_in_a_terminal_a_bar_is_hidden_until_it_is_told_something(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bar("refining", "epochs", None, True):
        pass
    assert "/?" not in capsys.readouterr().err
    with bar("refining", "epochs", None, True) as update:
        update(3, {}, 9)
    assert "3/9" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "140"])
def test_in_a_terminal_a_bar_keeps_to_one_line(columns, monkeypatch, capsys):
    """In 80 columns the numbers had become "2…", and the figures three lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    with bar("refining", "epochs", 8, True) as update:
        update(2, {"loss {:.4f}": 0.65, "validation {:.4f}": 1.09, "Dice {:.3f}": 0.552}, note="23.7 s", left=180.0)
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().err).strip()
    assert "\n" not in drawn and "2/8 epochs 0:00:00 3 min left loss 0.6500, validation" in drawn

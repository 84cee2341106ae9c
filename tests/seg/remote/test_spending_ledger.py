"""The ledger of a service: what is written before and after, over kills, processes and damage."""

import json
import multiprocessing
import os
import signal
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import BlackBoxGone, Unanswerable
from zoo_opt_seg.remote.books import ENDS, PAID, Books
from zoo_opt_seg.remote.ledger import CapReached, Ledger
from zoo_opt_seg.remote.ledger_file import FORMAT, read_ledger
from zoo_opt_seg.remote.terms import Terms

Q = "0123456789abcdef"
FORK = multiprocessing.get_context("fork")


def opened(path, **terms):
    return Ledger(Terms(**{"ledger": path, "price": 0.5, "run": "a run", **terms}), "a model")


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_line_before_and_a_line_after(tmp_path):
    ledger = opened(tmp_path / "ledger")
    attempt = ledger.begin(Q, 1)
    first, begin = lines(tmp_path / "ledger")  # it is there before anything is sent
    assert first == FORMAT
    assert begin.pop("at").startswith("20") and begin.pop("begin") == attempt.id
    assert begin == {"run": "a run", "model": "a model", "question": Q, "images": 1, "price": 0.5, "number": 1}
    ledger.end(attempt, "answered", 200, 9000)
    end = lines(tmp_path / "ledger")[-1]
    assert end.pop("seconds") >= 0 and end == {"end": attempt.id, "how": "answered", "status": 200, "bytes": 9000}
    ledger.close()
    assert oct((tmp_path / "ledger").stat().st_mode & 0o777) == "0o600"
    assert read_ledger(tmp_path / "ledger").total().plain() == {
        **{"calls": 1, "images": 1, "money": 0.5, "perhaps": 0, "failed": 0, "unserved": 0, "refused": 0, "unsent": 0},
        **{"seconds": 0.0, "bytes": 9000},
    }


@pytest.mark.parametrize("how", sorted(ENDS))
def test_what_is_paid(how, tmp_path):
    for path in (tmp_path / "ledger", None):
        ledger = opened(path)
        ledger.end(ledger.begin(Q, 1), how)
        spent = ledger.spent
        paid = how in PAID
        assert (spent.calls, spent.images, spent.money) == (paid, paid, 0.5 * paid)
        assert spent.perhaps == (how == "lost")
        ledger.close()


@pytest.mark.parametrize("repeats", [0, 1, 2])
def test_a_question_that_is_always_killed_is_asked_so_often(repeats, tmp_path):
    """Over processes: each one begins an attempt and never ends it."""
    for number in range(repeats + 1):
        assert lines(tmp_path / "ledger")[-1]["number"] == number if number else True
        opened(tmp_path / "ledger", repeats=repeats).begin(Q, 1)
    last = opened(tmp_path / "ledger", repeats=repeats)
    times = "once" if repeats == 0 else f"{repeats + 1} times"
    with pytest.raises(
        Unanswerable, match=rf"perhaps paid {times}, and .* again \(repeats, --ask-again, is {repeats}\)"
    ):
        last.begin(Q, 1)
    assert last.spent.perhaps == last.spent.calls == repeats + 1
    opened(tmp_path / "ledger", repeats=repeats, run="another").begin(Q, 1)
    attempt = opened(tmp_path / "ledger", repeats=repeats + 1).begin(Q, 1)  # more are allowed now
    assert attempt.question == Q


def test_an_answer_makes_good_what_was_lost(tmp_path):
    opened(tmp_path / "ledger").begin(Q, 1)
    ledger = opened(tmp_path / "ledger")
    ledger.end(ledger.begin(Q, 1), "answered", 200)
    for _ in range(2):
        ledger.end(ledger.begin(Q, 1), "lost")
    with pytest.raises(Unanswerable):
        ledger.begin(Q, 1)
    assert ledger.spent.perhaps == 3


def test_attempts_in_flight_of_this_process_are_not_lost(tmp_path):
    ledger = opened(tmp_path / "ledger", repeats=0)
    first, second = ledger.begin(Q, 1), ledger.begin(Q, 1)  # the same image twice in a question
    ledger.end(second, "answered", 200)
    ledger.end(first, "answered", 200)
    assert ledger.spent.perhaps == 0 and ledger.spent.calls == 2


@pytest.mark.parametrize("cap", [{"most_calls": 2}, {"most_money": 1.0}, {"most_money": 1.49}])
def test_caps_hold_over_runs_and_count_what_is_perhaps_paid(cap, tmp_path):
    opened(tmp_path / "ledger").begin(Q, 1)  # killed
    first, second = (opened(tmp_path / "ledger", run=run, **cap) for run in "ab")
    first.end(first.begin("q1", 1), "lost")
    for ledger in (second, first):  # the other's attempts count too
        with pytest.raises(CapReached, match="are spent in the ledger"):
            ledger.begin("q2", 1)
    assert len(lines(tmp_path / "ledger")) == 4


def spend(path, run, count):
    ledger = opened(path, run=run, most_calls=150)
    done = 0
    for i in range(count):
        try:
            attempt = ledger.begin(f"{run}{i}", 1)
        except CapReached:
            break
        ledger.end(attempt, "answered", 200, 10)
        done += 1
    ledger.close()
    os._exit(done)


def test_several_processes_share_one_ledger_and_its_cap(tmp_path):
    processes = [FORK.Process(target=spend, args=(tmp_path / "ledger", run, 60)) for run in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    books = read_ledger(tmp_path / "ledger")
    assert books.total().calls == 150 == sum(process.exitcode for process in processes)
    assert {run for run, _, _ in books.sums} <= set("abcd") and len(lines(tmp_path / "ledger")) == 301


def begin_until_killed(path):
    ledger, number = opened(path, run=str(os.getpid())), 0
    while True:
        number += 1
        ledger.end(ledger.begin(f"{number}", 1), "answered", 200)


def test_kills_leave_whole_lines_and_open_attempts(tmp_path):
    for _ in range(8):
        process = FORK.Process(target=begin_until_killed, args=(tmp_path / "ledger",))
        process.start()
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    total = read_ledger(tmp_path / "ledger").total()
    assert total.calls > 8 and total.perhaps <= 8


def test_a_torn_last_line_is_taken_away(tmp_path):
    path = tmp_path / "ledger"
    ledger = opened(path)
    ledger.end(ledger.begin(Q, 1), "answered", 200)
    ledger.begin("second", 1)
    ledger.close()
    content = path.read_bytes()
    for cut in range(1, len(content) - content.rfind(b'{"begin"')):
        path.write_bytes(content[:-cut])
        assert read_ledger(path).total().calls == 1
        assert path.read_bytes() == content[:-cut]  # a reader writes nothing
        again = opened(path)
        assert again.spent.calls == 1
        again.end(again.begin("third", 1), "answered", 200)
        again.close()
        assert read_ledger(path).total().calls == 2
    path.write_bytes(content[:-1] + b"\x00\n")
    assert read_ledger(path).total().calls == 1


def test_a_part_of_a_line_that_another_process_left_is_taken_away(tmp_path):
    path = tmp_path / "ledger"
    ledger = opened(path)
    ledger.begin(Q, 1)
    with path.open("ab") as file:
        file.write(b'{"begin":"x-1","at":')
    ledger.begin("second", 1)
    ledger.close()
    assert read_ledger(path).total().calls == 2


GOOD = {
    "begin": "a-1",
    "at": "2026-01-01T00:00:00",
    "run": "r",
    "model": "m",
    "question": "q",
    "images": 1,
    "price": 0.5,
}
BAD = {
    "nothing": b"{}",
    "no object": b"[1]",
    "no text": json.dumps({**GOOD, "run": 7}).encode(),
    "no run": json.dumps({k: v for k, v in GOOD.items() if k != "run"}).encode(),
    "negative": json.dumps({**GOOD, "price": -1}).encode(),
    "huge": json.dumps({**GOOD, "images": 10**400}).encode(),
    "longer than a number may be": b'{"begin":"a","images":%s}' % (b"9" * 5000),
    "NaN": json.dumps({**GOOD, "price": float("nan")}).encode(),
    "infinite": json.dumps({**GOOD, "price": float("inf")}).encode(),
    "true": json.dumps({**GOOD, "images": True}).encode(),
    "half": json.dumps({**GOOD, "images": 0.5}).encode(),
    "twice": json.dumps(GOOD).encode() + b"\n" + json.dumps(GOOD).encode(),
    "an end without": b'{"end":"b","how":"answered"}',
    "an end of no kind": json.dumps(GOOD).encode() + b'\n{"end":"a-1","how":"well"}',
    "deep": b'{"begin":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "bytes": b"\xff\xfe\x00",
    "several in one line": b'{"job":"","run":"","question":""},{"job":"","run":"","question":""}',
    "a line without end": b'{"begin":"' + b"x" * 3_000_000,
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_line_is_an_error_that_names_it(what, tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes(json.dumps(FORMAT).encode() + b"\n" + BAD[what] + b'\n{"job":"","run":"","question":""}\n')
    before = path.read_bytes()
    for read in (read_ledger, opened):
        with pytest.raises(CheckpointError, match=r"is corrupt at line [23]: ") as raised:
            read(path)
        assert len(str(raised.value)) < 400
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"{}\n", b"some text\nof somebody\n", b"\x00" * 99, b'{"zoo-opt-seg ledger":2}\n', b"x"]
)
def test_a_file_that_is_no_ledger_is_left_alone(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is no ledger|is corrupt at line 1"):
        opened(path)
    with pytest.raises(CheckpointError):
        read_ledger(path)
    assert path.read_bytes() == content


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "end", "how", "job", "seconds", "bytes", "lost"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), st.lists, max_leaves=3
)))  # fmt: skip
def test_nothing_but_a_value_error_leaves_the_books(line):
    books = Books()
    try:
        books.add(line)
    except ValueError:
        assert books.sums == {}


def test_a_ledger_that_goes_away_or_is_full_ends_the_asking(tmp_path, monkeypatch):
    path = tmp_path / "ledger"
    ledger = opened(path)
    attempt = ledger.begin(Q, 1)
    path.unlink()
    with pytest.raises(BlackBoxGone, match="was deleted or replaced"):
        ledger.begin("q", 1)
    with pytest.warns(RuntimeWarning, match="cannot be written down"):
        ledger.end(attempt, "answered", 200)  # an answer that came is not lost for it
    assert ledger.spent.calls == 1 and ledger.spent.perhaps == 0
    ledger.close()
    full = opened(tmp_path / "full")
    write = os.write

    def no_room(fd, data):
        if len(data) > 50:
            write(fd, bytes(data)[:20])
            raise OSError(28, "No space left on device")
        return write(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", no_room)
        with pytest.raises(BlackBoxGone, match=r"cannot be written: .*No space left"):
            full.begin(Q, 1)
    full.begin(Q, 1)
    full.close()
    assert read_ledger(tmp_path / "full").total().calls == 1


def test_opening_and_writing_are_fast(tmp_path):
    import remote_speed

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = remote_speed.ledger_speed(tmp_path, 20_000)
    assert found["open_s"] < 4.0 and found["two_lines_ms"] < 20.0  # 0.3 and 0.2 where nothing else runs

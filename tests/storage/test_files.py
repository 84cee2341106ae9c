"""The parts that kept runs stand on: journal lines, files that are appended to, atomic writes, locks."""

import errno
import json
import math
import os
import stat
import sys
from pathlib import Path

import pytest
from refusals import raises

import zoo_opt as zo
from zoo_opt.core.outcome import Outcome, Raised
from zoo_opt.storage import atomic
from zoo_opt.storage.append import AppendFile, ReplacedError, whole_part
from zoo_opt.storage.journal import _checksum, is_whole, journal_line, read_journal
from zoo_opt.storage.lock import Lock, is_read_only, take
from zoo_opt.storage.own_file import OwnFile, same_file

posix = pytest.mark.skipif(os.name != "posix", reason="locks and folders as of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines"


@pytest.fixture
def synced(monkeypatch):
    """What was forced to the disk: (inode, length), in order."""
    calls, sync = [], os.fsync

    def noted(fd):
        found = os.fstat(fd)
        calls.append((found.st_ino, None if stat.S_ISDIR(found.st_mode) else found.st_size))
        sync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return calls


# ---------------------------------------------------------------------------------------------------- journal lines
OUTCOMES = [
    Outcome(0, 0.1, "", 0.25, None, 1.5),
    Outcome(17, math.inf, "", math.nan, None, math.nan),
    Outcome(-1, -1e-300, "", math.nan, None, 0.0),
    Outcome(3, math.nan, 'a "reason"\n', math.nan, Raised(RuntimeError("x"), "first\nsecond"), 2.0),
]


def facts(outcome):
    return repr((*outcome._replace(raised=None), outcome.raised and outcome.raised.text))


def test_lines_come_back_as_they_were(path):
    path.write_bytes(b"".join(journal_line(outcome, True) for outcome in OUTCOMES))
    assert [facts(outcome) for outcome in read_journal(path)] == [facts(outcome) for outcome in OUTCOMES]
    assert read_journal(path.with_name("none")) == []


def test_a_traceback_is_written_once():
    assert b"second" in journal_line(OUTCOMES[3], True) and b"second" not in journal_line(OUTCOMES[3], False)


def test_lines_of_earlier_releases_are_read(path):
    bodies = [b'[4, "0x1.8p+0", ""]', b'[5, "0x1p+0", "", "0x1p-1"]', b'[6, null, "down", null, "0x1p+2"]']
    path.write_bytes(b"".join(body + b" " + _checksum(body) + b"\n" for body in bodies))
    expected = [(4, 1.5, "", math.nan, None, math.nan), (5, 1.0, "", 0.5, None, math.nan)]
    assert [repr(tuple(o)) for o in read_journal(path)] == [
        *map(repr, expected),
        repr((6, math.nan, "down", math.nan, None, 4.0)),
    ]


DEEP = "[" * 100_000 + "]" * 100_000
WRONG = [
    "5",
    "null",
    "[]",
    "[1]",
    '[1, "x", ""]',
    '[1, 2, ""]',
    '[1e999, null, ""]',
    '["a", null, ""]',
    DEEP,
    "{",
    '"a"',
]


@pytest.mark.parametrize("body", WRONG, ids=lambda body: body[:12])
def test_a_right_checksum_does_not_make_a_line(body):
    assert not is_whole(body.encode() + b" " + _checksum(body.encode()))


@pytest.mark.parametrize("line", [b"", b" ", b"[]", b" 00000000", b"[] 00000000"])
def test_what_is_no_line(line):
    assert not is_whole(line)


def test_a_checksum_has_eight_digits():
    assert {len(_checksum(b"%d" % i)) for i in range(300)} == {8} and _checksum(b"") == b"00000000"


def test_every_flipped_bit_is_noticed(path):
    """In the last line it is passed over, in another one it is an error that names the line."""
    lines = [journal_line(outcome, True) for outcome in OUTCOMES]
    for at in range(len(lines[1]) - 1):
        bad = bytearray(lines[1])
        bad[at] ^= 1
        path.write_bytes(lines[0] + bytes(bad))
        if b"\n" not in bad[:-1]:
            assert len(read_journal(path)) == 1, at
        path.write_bytes(lines[0] + bytes(bad) + lines[2])
        raises(zo.CheckpointError, "corrupt at line 2 of [34]", read_journal, path)


# --------------------------------------------------------------------------------------- files that are appended to
@pytest.mark.parametrize(
    ("content", "length", "checked"),
    [
        (b"", 0, 0),
        (b"a", 0, 0),
        (b"a\n", 2, 2),
        (b"ab\ncd\nef", 6, 6),
        (b"ab\nbad\n", 7, 3),
        (b"bad\n", 4, 0),
        (b"\n", 1, 1),
        (b"bad\nab\n", 7, 7),
        (b"ab\nbad\nc", 7, 3),
    ],
)
def test_whole_part(content, length, checked):
    assert whole_part(content) == length
    assert whole_part(content, lambda line: line != b"bad") == checked


def test_what_is_appended_is_on_the_disk(path, synced):
    with AppendFile(path) as file:
        inode = path.stat().st_ino
        assert synced == [(path.parent.stat().st_ino, None)]  # its name is
        file.append(b"one\n")
        file.append(b"two\n")
        assert path.read_bytes() == b"one\ntwo\n"
        file.clear()
        assert path.read_bytes() == b""
        file.append(b"three\n")
        assert synced[1:] == [(inode, 4), (inode, 8), (inode, 0), (inode, 6)] and file.is_open
    assert not file.is_open
    path.write_bytes(b"one\ntwo\nthr")
    del synced[:]
    with AppendFile(path, whole=lambda line: line != b"two") as file:
        assert path.read_bytes() == b"one\n" and synced == []
        file.append(b"2\n")
    assert path.read_bytes() == b"one\n2\n"


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    write = os.write
    with AppendFile(path) as file:
        file.append(b"one\n")
        for part in (0, 3):

            def fails(fd, data, part=part):
                if part:
                    write(fd, bytes(data)[:part])
                raise OSError(errno.ENOSPC, "full")

            with monkeypatch.context() as patch:
                patch.setattr(os, "write", fails)
                raises(OSError, "full", file.append, b"two\n")
            assert path.read_bytes() == b"one\n"
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:2]))  # a little at a time
            file.append(b"a long line\n")
        assert path.read_bytes() == b"one\na long line\n"


@pytest.mark.parametrize(("at", "kept"), [("write", b"one\n"), ("fsync", b"one\ntwo\n")])
def test_an_interrupt_leaves_whole_lines(path, monkeypatch, at, kept):
    real, struck = getattr(os, at), []

    def interrupted(fd, *data):
        if struck:
            return real(fd, *data)
        struck.append(1)
        if data:
            real(fd, bytes(data[0])[:2])
        raise KeyboardInterrupt

    with AppendFile(path) as file:
        file.append(b"one\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, at, interrupted)
            raises(KeyboardInterrupt, None, file.append, b"two\n")
        file.append(b"three\n")
    assert path.read_bytes() == kept + b"three\n"


@pytest.mark.parametrize("what", ["file", "lock"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_goes_is_noticed(path, what, replaced):
    lock = Lock(path.with_name("lock"), OSError)
    with AppendFile(path, lock=lock) as file:
        file.append(b"one\n")
        assert file.in_place()
        gone = path if what == "file" else path.with_name("lock")
        gone.unlink()
        if replaced:
            gone.write_bytes(b"other")
        assert not file.in_place()
        raises(ReplacedError, "deleted or replaced", file.append, b"two\n")
    if what == "lock":
        assert gone.exists() == replaced  # what is another's is not deleted
    assert not lock._file.is_open


# -------------------------------------------------------------------------------------------------- atomic writes
def test_a_file_is_replaced_when_it_is_on_the_disk(path, synced, monkeypatch):
    path.write_bytes(b"old")
    replaced, replace = [], os.replace

    def noted(source, target):
        assert path.read_bytes() == b"old" and synced == [(os.stat(source).st_ino, 8)]
        replaced.append(os.stat(source).st_mode & 0o777)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    path.chmod(0o640)
    atomic.write_atomically(path, b"one ", lambda file: file.write(b"two "))
    assert path.read_bytes() == b"one two " and replaced == [0o640]
    assert synced[1:] == [(path.parent.stat().st_ino, None)]  # and so is its name
    assert os.listdir(path.parent) == ["lines"]


def test_a_write_that_is_cut_off_leaves_nothing(path):
    path.write_bytes(b"old")

    def cut(file):
        raise KeyboardInterrupt

    raises(KeyboardInterrupt, None, atomic.write_atomically, path, b"new", cut)
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["lines"]


@pytest.mark.parametrize(("own", "named"), [((), "lines"), (("other",), "other")])
def test_the_error_of_a_write_names_a_file(path, own, named):
    """That of the system does where it knows it; else it is the one to be written."""

    def full(file):
        raise OSError(errno.ENOSPC, "full", *own)

    error = raises(OSError, "full", atomic.write_atomically, path, full)
    assert os.path.basename(error.filename) == named


@pytest.mark.parametrize("fails", [False, True])
def test_where_an_open_file_cannot_be_moved_it_is_closed_first(path, monkeypatch, fails):
    """As on Windows: moving or deleting a file that is open anywhere in this process is refused."""
    from zoo_opt.storage import own_file

    def guarded(act):
        def acted(source, *rest, **options):
            if any(file.is_open and file.path == Path(source) for file in own_file._OPEN):
                raise PermissionError(errno.EACCES, "in use", str(source))
            return act(source, *rest, **options)

        return acted

    def full(file):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(atomic, "_MOVES_OPEN", False)
    monkeypatch.setattr(os, "replace", guarded(os.replace))
    monkeypatch.setattr(Path, "unlink", guarded(Path.unlink))
    if fails:
        raises(OSError, "full", atomic.write_atomically, path, full)
    else:
        atomic.write_atomically(path, b"new")
    assert os.listdir(path.parent) == ([] if fails else ["lines"])


@posix
def test_the_error_of_a_write_is_raised_even_if_its_file_is_gone(path):
    def cut(file):
        for name in os.listdir(path.parent):
            path.with_name(name).unlink()
        raise OSError(errno.ENOSPC, "full")

    raises(OSError, "full", atomic.write_atomically, path, b"new", cut)
    assert os.listdir(path.parent) == []


@posix
def test_what_killed_writers_left_goes(path):
    """And nothing else that looks like it, nor what a living writer has."""
    left = atomic._temporary(path, 0o600)
    left.close()
    living = atomic._temporary(path, 0o600)
    assert living.path.stat().st_mode & 0o777 == 0o600
    others = {".lines.tmp", ".lines.1234567.tmp", ".lines.123456789.tmp", "lines.12345678.tmp", ".lines.12345678.tm_"}
    for name in others:
        path.with_name(name).touch()
    atomic.write_atomically(path, b"new")
    assert {*os.listdir(path.parent)} == {*others, living.path.name, "lines"}
    living.close()


@posix
def test_a_temporary_file_that_another_writer_has_swept_is_made_again(path, monkeypatch):
    """Between its making and its locking it is nobody's."""
    takes = iter([False, True])
    monkeypatch.setattr(atomic, "take", lambda fd: next(takes))
    file = atomic._temporary(path, 0o600)
    assert next(takes, None) is None and file.in_place()
    file.close()


# ------------------------------------------------------------------------------------------------------------ locks
@posix
def test_one_holds_a_lock_and_says_who(path):
    path.write_text("process 1 on some other machine since long ago, which was killed\n" * 3)
    lock = Lock(path, OSError)
    text = path.read_text()
    assert text.startswith(f"process {os.getpid()} on ") and text.endswith(" UTC\n") and text.count("\n") == 1
    raises(OSError, rf"^ \({text.strip()}\)$", Lock, path, OSError)
    assert lock.in_place()
    lock.release()
    assert not path.exists()
    with Lock(path, OSError):
        path.write_bytes(b"x" * 1000)
        assert len(str(raises(OSError, "^ \\(x+\\)$", Lock, path, OSError))) == 300 + len(" ()")
        path.write_bytes(b" \n")
        raises(OSError, "^$", Lock, path, OSError)
    assert not path.exists()


@posix
@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (BlockingIOError(errno.EAGAIN, "held"), False),
        (PermissionError(errno.EACCES, "held"), False),
        (OSError(errno.ENOLCK, "no locks here"), None),
    ],
)
def test_where_a_file_system_has_no_locks_nothing_is_locked(path, monkeypatch, error, taken):
    import fcntl

    def flock(fd, how):
        assert how == fcntl.LOCK_EX | fcntl.LOCK_NB
        raise error

    file = OwnFile(path, os.O_RDWR | os.O_CREAT)
    assert take(file.fd) is True
    monkeypatch.setattr(fcntl, "flock", flock)
    assert take(file.fd) is taken
    file.close()


@posix
def test_where_there_are_no_locks_at_all_nothing_is_locked(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with Lock(path, OSError), Lock(path, OSError) as second:
        assert take(second._file.fd) is None and path.read_text().startswith("process")


def test_which_errors_say_that_a_folder_is_read_only():
    known = {code: is_read_only(OSError(code, "")) for code in errno.errorcode}
    assert {code for code, yes in known.items() if yes} == {errno.EACCES, errno.EPERM, errno.EROFS}


def test_a_file_is_closed_once_and_known_by_more_than_its_name(path):
    file = OwnFile(path, os.O_RDWR | os.O_CREAT)
    known = path.stat()
    assert file.is_open and file.in_place() and same_file(path, known) and not same_file(path, None)
    assert os.get_inheritable(file.fd) is False
    path.rename(path.with_name("moved"))
    assert not file.in_place() and not same_file(path, known)
    path.touch()
    assert not file.in_place() and not same_file(path, known)
    file.close()
    file.close()
    assert not file.is_open
    raises(ValueError, "is closed", lambda: file.fd)


def test_json_of_a_line_is_what_the_documentation_says():
    body, _, check = journal_line(OUTCOMES[0], False).rpartition(b" ")
    assert json.loads(body) == [0, (0.1).hex(), "", (0.25).hex(), (1.5).hex()] and check == _checksum(body) + b"\n"

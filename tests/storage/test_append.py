"""Files that are appended to, and what their users have of it: benches and adaptations."""

import errno
import json
import os
import re

import numpy as np
import pytest
from refusals import raises

from zoo_opt import CheckpointError
from zoo_opt.bench.engine.record import RecordFile, read_record
from zoo_opt.storage.append import AppendFile, ReplacedError, whole_part

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks and forks are of POSIX")
RUN = {"kind": "run", "key": "a"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.jsonl"


@pytest.mark.parametrize(
    ("content", "kept"),
    [(b"", 0), (b"a", 0), (b"a\n", 2), (b"a\nb", 2), (b"a\nbad\n", 2), (b"bad\n", 0), (b"bad\na\n", 6), (b"\n", 0)],
)
def test_what_is_whole(content, kept):
    assert whole_part(content, lambda line: line == b"a") == kept


def test_a_bench_names_who_has_its_record(path):
    with RecordFile(path) as first:
        first.write(RUN)
        message = rf"{re.escape(str(path))} is in use by another bench \(process {os.getpid()} on .* since .* UTC\)"
        raises(OSError, message, RecordFile, path)
        raises(OSError, message, RecordFile, path, fresh=True)
    assert sorted(os.listdir(path.parent)) == [path.name]
    RecordFile(path).close()


def test_a_forked_child_neither_keeps_the_lock_nor_writes(path):
    record = RecordFile(path)
    child = os.fork()
    if not child:
        try:
            record.write(RUN)
        except ValueError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 7
    record.close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("end", [b'{"kind": "ru', b'{"kind": "run", "k\0\0\n', b"\0\0\0\n"])
def test_a_last_record_that_a_crash_left_in_part_is_dropped(path, end):
    with RecordFile(path) as record:
        record.write(RUN)
    path.write_bytes(path.read_bytes() + end)
    assert read_record(path).torn and list(read_record(path).runs) == ["a"]
    with RecordFile(path) as record:
        record.write({**RUN, "key": "b"})
    assert list(read_record(path).runs) == ["a", "b"] and not read_record(path).torn


@pytest.mark.parametrize("what", ["", ".lock"])
def test_a_record_that_is_deleted_is_noticed(path, what):
    with RecordFile(path) as record:
        record.write(RUN)
        path.with_name(path.name + what).unlink()
        raises(ReplacedError, "deleted or replaced while it was in use", record.write, RUN)


def test_a_write_that_fails_leaves_the_lines_before_it(path, monkeypatch):
    write = os.write

    def full(fd, data):
        monkeypatch.setattr(os, "write", lambda fd, data: raise_full())
        return write(fd, data[:3])

    def raise_full():
        raise OSError(errno.ENOSPC, "No space left on device")

    with AppendFile(path) as file:
        file.append(b"one\n")
        monkeypatch.setattr(os, "write", full)
        raises(OSError, "No space left", file.append, b"another\n")
        assert path.read_bytes() == b"one\n"
        monkeypatch.undo()
        file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_interrupt_between_write_and_sync_keeps_the_line(path, monkeypatch):
    def interrupted(fd):
        raise KeyboardInterrupt

    with AppendFile(path) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupted)
            raises(KeyboardInterrupt, None, file.append, b"one\n")
        file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_adaptation_names_who_has_its_folder_and_what_is_damaged(tmp_path):
    pytest.importorskip("torch")
    from zoo_opt_seg.adaptation.folder import Lines, RunFolder
    from zoo_opt_seg.adaptation.history import read_vector, write_vector

    folder = RunFolder(tmp_path / "out")
    with folder.claim({"a": 1}, {}):
        again = RunFolder(tmp_path / "out").claim({"a": 1}, {})
        raises(CheckpointError, r"in use by another run \(process \d+ on", again.__enter__)
    lines = Lines(folder.log)
    lines.add({"step": 1})
    lines.close()
    folder.log.write_bytes(folder.log.read_bytes() + b'{"step": \n')
    lines = Lines(folder.log)
    lines.add({"step": 2})
    lines.close()
    assert [json.loads(line)["step"] for line in folder.log.read_text().splitlines()] == [1, 2]
    write_vector(folder.state / "last.npy", np.arange(3.0))
    assert read_vector(folder.state / "last.npy").tolist() == [0, 1, 2]
    (folder.state / "last.npy").write_bytes((folder.state / "last.npy").read_bytes()[:-1])
    raises(
        CheckpointError, r"last\.npy cannot be read: .*; put a copy back, or", read_vector, folder.state / "last.npy"
    )

"""The files of a run that is kept: who may have them, and what becomes of the run when something happens to them."""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from refusals import raises
from solving import Counted

import zoo_opt as zo
from zoo_opt import resume
from zoo_opt.storage.lock import Lock
from zoo_opt.testing import sphere

X0 = np.array([1.0, -2.0, 3.0])
SETTINGS = {"method": "cma-es", "budget": 98, "rng": 3}  # 14 steps of 7
NFEV = 98
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and flock")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zoo"


def run(f, path, **settings):
    return zo.minimize(f, X0, checkpoint=path, **SETTINGS | settings)


def never(x):
    raise AssertionError("called again")


def beside(path, what):
    return path.with_name(f"{path.name}.{what}")


def assert_complete(result):
    whole = zo.minimize(sphere, X0, **SETTINGS)
    assert result.nfev == whole.nfev == NFEV and result.nfail == 0
    np.testing.assert_array_equal(result.x, whole.x)


def names(folder):
    return sorted(os.listdir(folder))


# ------------------------------------------------------------------------------------------------------------ the lock
ORPHANS = """
import os, sys, time, multiprocessing, zoo_opt as zo
from concurrent.futures import ProcessPoolExecutor
def f(x):
    with open(sys.argv[2], "a") as log:
        log.write(f"{os.getpid()}\\n")
    time.sleep(0.005)
    return float(x @ x)
with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
    zo.minimize(f, [1.0, -2.0, 3.0], method="cma-es", budget=98, rng=3, checkpoint=sys.argv[1], executor=pool)
"""


@posix
def test_workers_that_outlive_their_parent_do_not_keep_the_lock(tmp_path):
    """18 of 20 resumes were refused as "in use by another run"."""
    for k in range(3):
        path, log = tmp_path / f"{k}.zoo", tmp_path / f"{k}.log"
        parent = subprocess.Popen([sys.executable, "-c", ORPHANS, path, log], start_new_session=True)
        try:
            end = time.monotonic() + 60
            while not (log.exists() and len(log.read_text().splitlines()) > 20) and time.monotonic() < end:
                time.sleep(0.01)
            parent.kill()
            parent.wait()
            workers = {int(pid) for pid in log.read_text().split()}
            assert [os.kill(worker, 0) for worker in workers], "orphans that are there"
            calls = len(log.read_text().splitlines())
            f = Counted()
            assert_complete(run(f, path))
            assert NFEV <= f.calls + calls <= NFEV + 4  # two being made, two that had come and were not written yet
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


@posix
def test_the_message_names_the_holder(path):
    told = []

    def nested(x):
        told.append(str(raises(zo.CheckpointError, None, run, never, path)))
        return sphere(x)

    run(nested, path, budget=7)
    since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    holder = rf"process {os.getpid()} on {re.escape(os.uname().nodename)} {since}"
    assert re.fullmatch(rf"{re.escape(str(path))} is in use by another run \({holder}\)", told[0])
    assert names(path.parent) == ["run.zoo", "run.zoo.journal"]


@posix
def test_the_lock_comes_before_the_first_look(path, monkeypatch):
    """A second run that came to the lock when the first had ended paid for all 117 calls again."""

    def late(*arguments):
        monkeypatch.undo()
        run(sphere, path)
        return Lock(*arguments)

    monkeypatch.setattr(resume, "Lock", late)
    assert_complete(run(never, path))


def test_what_a_killed_run_left_of_its_lock_is_taken_over(path):
    beside(path, "lock").write_bytes(b"\xff nothing of ours")
    assert_complete(run(sphere, path))
    assert not beside(path, "lock").exists()


@pytest.mark.parametrize("what", ["", "journal", "lock"])
def test_something_else_in_the_way_is_named(path, what):
    place = beside(path, what) if what else path
    place.mkdir()
    message = rf"{re.escape(str(place))} must be a file: move away what is there"
    raises(zo.CheckpointError, message, run, never, path)
    place.rmdir()
    assert_complete(run(sphere, path))


@posix
def test_a_forked_child_changes_nothing(path):
    """It had the journal and the checkpoint, and emptied the journal as it left."""
    f = Counted()

    def forks(x):
        if f.calls == 50:
            child = os.fork()
            if not child:
                sys.exit(7)
            f(x)
            assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 7
            raise KeyboardInterrupt
        return f(x)

    try:
        run(forks, path)
    except SystemExit as leaving:
        os._exit(leaving.code)  # the child, which has left the run as it would leave the program
    run(f, path)
    assert f.calls == NFEV + 1  # the one that the interrupt threw away


# ------------------------------------------------------------------------------------------------------- symbolic links
@pytest.mark.parametrize("first", ["link", "file"])
def test_a_symbolic_link_is_the_file_that_it_points_to(tmp_path, first):
    """Fifty calls were made again."""
    (tmp_path / "data").mkdir()
    file, link = tmp_path / "data" / "run.zoo", tmp_path / "link.zoo"
    link.symlink_to(file)
    f = Counted(at=50)
    run(f, link if first == "link" else file)
    assert_complete(run(f, file if first == "link" else link))
    assert f.calls == NFEV
    assert link.is_symlink() and names(file.parent) == ["run.zoo", "run.zoo.journal"]


@posix
def test_a_symbolic_link_has_the_same_lock(tmp_path, path):
    link = tmp_path / "link.zoo"
    link.symlink_to(path)

    def nested(x):
        raises(zo.CheckpointError, "in use by another run", run, never, link)
        return sphere(x)

    assert run(nested, path, budget=7, on_error="raise").nfev == 7


def test_what_an_earlier_release_kept_beside_the_link_is_not_passed_by(tmp_path, path):
    link = tmp_path / "link.zoo"
    link.symlink_to(path)
    f = Counted(at=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume.KeptRun, "_fold", lambda self: None)
        run(f, path)
    beside(path, "journal").replace(beside(link, "journal"))
    raises(zo.CheckpointError, "has losses of the run at", run, f, link)
    beside(link, "journal").replace(beside(path, "journal"))
    assert_complete(run(f, link))
    assert f.calls == NFEV


# ----------------------------------------------------------------------------------- files that change under a run
def deleted(place):
    place.unlink()


def replaced(place):
    content = place.read_bytes()
    place.unlink()
    place.with_name("another").touch()  # so that it gets another inode
    place.write_bytes(content)


def another_run(place):
    """Someone has deleted all that there was and begun anew."""
    for file in place.parent.glob("run.zoo*"):
        file.unlink()
    run(Counted(at=3), place.parent / "run.zoo")


@posix
@pytest.mark.parametrize(
    ("what", "happens", "kept"),
    [
        ("run.zoo.journal", deleted, "run.zoo"),
        ("run.zoo.journal", replaced, "run.zoo"),
        ("run.zoo", deleted, "run.zoo"),
        ("run.zoo", replaced, "run.zoo.kept1"),
        ("run.zoo.lock", deleted, "run.zoo.kept1"),
        ("run.zoo.lock", replaced, "run.zoo.kept1"),
        ("run.zoo", another_run, "run.zoo.kept1"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_files_that_go_are_noticed_before_the_next_call(path, what, happens, kept):
    def meddled(x):
        loss = f(x)
        if f.calls == 40:
            happens(path.with_name(what))
        return loss

    f = Counted()
    message = rf"deleted or replaced while a run had them; its 40 evaluations are in .*{kept}, from which"
    raises(zo.CheckpointError, message, run, meddled, path)
    assert f.calls == 40
    if happens is not another_run:
        assert_complete(run(f, path.with_name(kept)))
        assert f.calls == NFEV


@pytest.mark.parametrize("happens", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("other"))])
def test_a_folder_that_goes_with_all_files_loses_nothing(path, happens):
    def meddled(x):
        loss = f(x)
        if f.calls == 40:
            happens(place.parents[1])
        return loss

    place = path.with_name("folder") / "runs" / "run.zoo"
    place.parent.mkdir(parents=True)
    f = Counted()
    raises(zo.CheckpointError, "its 40 evaluations are in .*run.zoo.kept1, from which", run, meddled, place)
    assert_complete(run(f, place.with_name("run.zoo.kept1")))
    assert f.calls == NFEV


def test_files_that_go_from_a_disk_that_is_full_are_noticed_too(path, monkeypatch):
    def meddled(x):
        if f.calls == 40:
            path.unlink()
            monkeypatch.setattr(zo.Optimizer, "save", lambda self, path: os.stat(path.with_name("nowhere")))
        return f(x)

    f = Counted()
    raises(zo.CheckpointError, "its 41 evaluations cannot be saved: .*nowhere", run, meddled, path)
    assert f.calls == 41


# ---------------------------------------------------------------------------------------------------- writes that fail
class Full:
    """A disk that is full once a file has so many bytes, or from a number of writes on, and gets room again."""

    def __init__(self, monkeypatch, after):
        self.left, self.write = after, os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, fd, data):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(fd, data[: len(data) // 2] if self.left == 0 else data)  # the last one in part


def test_a_full_disk_ends_the_run_and_the_same_process_goes_on(path, monkeypatch):
    f = Counted()
    with monkeypatch.context() as patch:
        Full(patch, after=40)
        raises(OSError, "No space left", run, f, path)
    assert f.calls == 39  # the first was that of the lock file, and the last is not kept
    assert_complete(run(f, path))
    assert f.calls == NFEV + 1


def test_a_last_checkpoint_that_cannot_be_written_is_not_needed(path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    run(Counted(at=0), path)
    f = Counted(at=50)
    with monkeypatch.context() as patch:
        patch.setattr(zo.Optimizer, "save", full)
        with pytest.warns(UserWarning, match="stays as it was, its journal has all: .*No space left"):
            assert run(f, path).nfev == 50
    assert_complete(run(f, path))
    assert f.calls == NFEV


@pytest.mark.skipif(os.name != "posix", reason="umask is of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o007, 0o660)])
def test_the_umask_is_respected(path, umask, mode):
    """With 077 a checkpoint had 0644."""
    before = os.umask(umask)
    try:
        run(Counted(at=30), path)
        for file in (path, beside(path, "journal")):
            assert file.stat().st_mode & 0o777 == mode
        path.chmod(0o640)  # what its owner decides stays
        run(sphere, path)
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_temporary_files_of_killed_runs_are_swept(path):
    for name in (".run.zoo.0123abcd.tmp", ".run.zoo.swp", ".run.zoo.other.tmp", ".run2.zoo.0123abcd.tmp"):
        path.with_name(name).touch()
    run(sphere, path)
    assert names(path.parent) == sorted(
        [".run.zoo.other.tmp", ".run.zoo.swp", ".run2.zoo.0123abcd.tmp", "run.zoo", "run.zoo.journal"]
    )


@posix
def test_temporary_files_of_living_runs_are_not_swept(path):
    held = Lock(path.with_name(".run.zoo.0123abcd.tmp"), lambda holder: OSError(holder))
    run(sphere, path)
    assert held.in_place()
    held.release()


# -------------------------------------------------------------------------------------------------- damaged journals
def cut(path, monkeypatch, at=50):
    """Be cut off, with the journal as it was then."""
    f = Counted(at=at)
    with monkeypatch.context() as patch:
        patch.setattr(resume.KeptRun, "_fold", lambda self: None)
        run(f, path)
    return f, beside(path, "journal")


@pytest.mark.parametrize(
    "end", [b'[50, "0x1.0p+0", ""] deadbeef\n', b'[50, "0x1', b"\0" * 90, b"\0" * 90 + b"\n", b"\n"]
)
def test_a_last_record_that_is_not_as_it_was_written_is_dropped(path, monkeypatch, end):
    f, journal = cut(path, monkeypatch)
    journal.write_bytes(journal.read_bytes() + end)
    f.at = 60
    with monkeypatch.context() as patch:
        patch.setattr(resume.KeptRun, "_fold", lambda self: None)
        run(f, path)  # goes on after what was whole
    assert_complete(run(f, path))
    assert f.calls == NFEV


def test_a_bad_record_in_the_middle_is_an_error_that_says_what_to_do(path, monkeypatch):
    f, journal = cut(path, monkeypatch)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:29], lines[29][:-3] + b"zz\n", *lines[30:]]))
    message = r"run.zoo.journal is corrupt at line 30 of 50; put a copy back, or delete that line and those after it"
    raises(zo.CheckpointError, message, run, never, path)
    journal.write_bytes(b"".join(lines[:29]))
    assert_complete(run(f, path))
    assert f.calls == NFEV + 21


def test_a_journal_of_another_time_is_an_error_that_says_what_to_do(path, monkeypatch):
    f, journal = cut(path, monkeypatch)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[30:]))
    raises(zo.CheckpointError, "journal is not of the run at .* or delete the journal", run, never, path)
    journal.unlink()
    assert_complete(run(f, path))


# ------------------------------------------------------------------------------------------------- read-only folders
@pytest.fixture
def read_only(monkeypatch):
    """Nothing can be opened to be written, as in a folder that is mounted read-only."""
    open_ = os.open

    def refusing(place, flags, *mode, **options):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system", str(place))
        return open_(place, flags, *mode, **options)

    return lambda: monkeypatch.setattr(os, "open", refusing)


@pytest.mark.parametrize("recommend", ["best", "mean"])
def test_a_finished_run_is_read_where_nothing_can_be_written(path, read_only, recommend, monkeypatch):
    settings = {"budget": 99, "recommend": recommend}
    whole = run(sphere, path, **settings)
    read_only()
    again = run(never, path, **settings)
    assert (again.nfev, again.fun) == (whole.nfev, whole.fun)
    np.testing.assert_array_equal(again.x, whole.x)
    message = r"can be read but its run is not complete, and cannot be kept there: .*Read-only file system"
    raises(zo.CheckpointError, message, run, never, path, budget=400)
    raises(OSError, "Read-only file system", run, never, path.with_name("new.zoo"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_finished_run_is_read_in_a_folder_without_permissions(path):
    run(sphere, path)
    path.parent.chmod(0o555)
    try:
        assert_complete(run(never, path))
    finally:
        path.parent.chmod(0o755)

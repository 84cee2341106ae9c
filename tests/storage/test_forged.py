"""Checkpoints with a right checksum that `save` has never written: refused, before memory is taken."""

import io
import json
import os
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from cases import BY_NAME
from refusals import raises
from storage.forging import closed, forged, opened, signed

import zoo_opt as zo

SPACE = zo.Space(C=zo.Float(1e-3, 1e3, log=True), n=zo.Int(1, 8), k=zo.Choice("x", "y", "z"), s=zo.Bool())
NAMES = ("spsa", "geass released", "bar", "fzoo", "cma-es bipop", "sep-cma-es", "subspace cma-es", "space")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zoo"


def saved(name, path):
    """The file of a run in the middle of a step."""
    opt = zo.Optimizer("auto", SPACE, rng=0, budget=300) if name == "space" else BY_NAME[name].start()
    for part in (slice(None),) * 5 + (slice(1, 2),):
        batch = opt.ask()[part]
        opt.tell(batch, [float((x * x).sum()) for x in batch.X])
    opt.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_a_checkpoint_error_leaves_the_reader(name, path):
    """131 of 3,000 forged checkpoints raised AttributeError or OverflowError."""
    tree, arrays = opened(saved(name, path))
    rng, refused = np.random.default_rng(0), 0
    for _ in range(150):
        path.write_bytes(forged(tree, arrays, rng))
        try:
            opt = zo.Optimizer.load(path)
        except zo.CheckpointError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error)
        else:
            assert opt.history is not None and opt.best is not None and repr(opt) and opt.mean.ndim == 1
    assert refused > 50


# --------------------------------------------------------------------------------------------------------------- bombs
def archive(compression=zipfile.ZIP_STORED, repeat=1, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
        file.filelist *= repeat
    return signed(buffer.getvalue())


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def tree(value):
    return npy(np.frombuffer(value if isinstance(value, bytes) else json.dumps(value).encode(), np.uint8))


def header(shape, descr="<f8"):
    """An array that says what shape it has, and has 8 bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(8)


ONE = tree({"array": "a0"})
ZEROS = npy(np.zeros(2**23))  # 64 MiB
BOMBS = {
    "compressed": (lambda: archive(zipfile.ZIP_DEFLATED, tree=ONE, a0=ZEROS), "is compressed or encrypted"),
    "the same bytes many times": (
        lambda: archive(repeat=2000, tree=ONE, a0=npy(np.zeros(999))),
        "larger than the file",
    ),
    "a shape of 8 TB": (
        lambda: archive(tree=ONE, a0=header((10**6, 10**6))),
        r"shape \(1000000, 1000000\) has 8 bytes",
    ),
    "a negative shape": (lambda: archive(tree=ONE, a0=header((-1,))), r"shape \(-1,\), expected numbers or strings"),
    "objects": (lambda: archive(tree=ONE, a0=header((1,), "|O")), "of type object"),
    "values of no size": (lambda: archive(tree=ONE, a0=header((10**12,), "|V0")), "expected numbers or strings"),
    "a tree of 10 MB": (lambda: archive(tree=tree(b"[" + b"[]," * 3_500_000 + b"[]]")), "its tree would take"),
    "deep lists": (lambda: archive(tree=tree(b"[" * 100_000 + b"]" * 100_000)), "RecursionError"),
    "deep dicts": (lambda: archive(tree=tree(b'{"dict":[[0,' * 50_000 + b"0" + b"]]}" * 50_000)), "RecursionError"),
    "a number of a million digits": (lambda: archive(tree=tree(b"9" * 1_000_000)), "ValueError"),
    "one array a million times": (
        lambda: archive(tree=tree([{"array": "a0"}] * 10**5), a0=npy(np.zeros(10**4))),
        "is not a checkpoint of an Optimizer",
    ),
    "no archive": (lambda: signed(b"PK\5\6" + bytes(18)), "KeyError"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_take_no_memory(kind, path, monkeypatch):
    make, message = BOMBS[kind]
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", str(2**28))
    path.write_bytes(make())
    assert path.stat().st_size < 16 * 2**20
    tracemalloc.start()
    try:
        raises(zo.CheckpointError, rf"{re.escape(str(path))} .*{message}", zo.Optimizer.load, path)
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()


def test_a_step_of_absurd_size_is_refused(path):
    content, arrays = opened(saved("cma-es bipop", path))
    text, times = re.subn(r'"popsize": (null|\d+)', '"popsize": 10000000000', json.dumps(content))
    assert times
    path.write_bytes(closed(json.loads(text), arrays))
    raises(zo.CheckpointError, r"run\.zoo is not a checkpoint of an Optimizer", zo.Optimizer.load, path)


def test_a_file_that_is_larger_than_memory_is_refused(path):
    with path.open("wb") as file:
        file.truncate(2**42)  # it takes no room on the disk
    message = rf"too large: it would take {2**42} bytes, the limit is {2**33}, .*ZOO_OPT_MAX_BYTES"
    raises(zo.CheckpointError, message, zo.Optimizer.load, path)


def test_the_limit_is_the_users(path, monkeypatch):
    saved("fzoo", path)
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", "1000")
    raises(zo.CheckpointError, "the limit is 1000, which the environment variable", zo.Optimizer.load, path)
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", str(10**6))
    assert zo.Optimizer.load(path).nfev
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", "1 MB")
    raises(ValueError, "ZOO_OPT_MAX_BYTES must be a whole number > 0, got '1 MB'", zo.Optimizer.load, path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_what_is_no_file_is_not_waited_for(path):
    os.mkfifo(path)
    raises(zo.CheckpointError, "must be a file", zo.Optimizer.load, path)
    raises(zo.CheckpointError, "must be a file", zo.Optimizer.load, path.parent)

"""Trees of values as a checkpoint holds them: what is written comes back, and its fingerprint with it."""

import io
import itertools
import math
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from refusals import raises

import zoo_opt as zo
from zoo_opt.storage import checkpoint

Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Holder:
    value: Any
    other: Any = None


TYPES = (Pair, Holder)
ARRAY = np.arange(6.0).reshape(2, 3)
TREES = [
    None,
    True,
    False,
    0,
    -(10**30),
    1.5,
    0.1,
    math.inf,
    "text\x00é",
    [],
    (),
    {},
    [1, [2.0, None]],
    (1, (2,), [3]),
    {"a": 1, "b": {"c": (1,)}},
    {1: "integers", 2: "as keys"},
    Pair(1, (2, 3)),
    Holder(Pair(1, Holder(2))),
    Holder(1, {"a": Pair(None, False)}),
    np.float32(0.1),
    np.int8(-3),
    np.uint64(2**63),
    np.bool_(True),
    ARRAY,
    ARRAY.astype(np.float32),
    ARRAY[:, ::-1],
    np.arange(3),
    np.zeros((0, 4)),
    np.array(True),
    [ARRAY, ARRAY + 1, {"x": ARRAY}],
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.zoo"


def plain(value):
    """The value with all types and bytes spelled out."""
    if isinstance(value, np.ndarray | np.generic):
        return type(value), value.dtype, value.shape, value.tobytes()
    if isinstance(value, dict):
        return dict, [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, Holder):
        return Holder, plain(value.value), plain(value.other)
    if isinstance(value, list | tuple):
        return type(value), [plain(item) for item in value]
    return type(value), repr(value)


def written(tree, path):
    checkpoint.write(path, tree)
    return checkpoint.read(path, TYPES)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: type(tree).__name__)
def test_what_is_written_comes_back(tree, path):
    assert plain(written(tree, path)) == plain(tree)


def test_a_float64_of_numpy_is_a_float(path):
    assert plain(written([np.float64(0.1)], path)) == plain([0.1])


def test_what_is_an_object_once_is_one_array_again(path):
    checkpoint.write(path, [ARRAY, Holder(ARRAY), ARRAY.copy()])
    a, b, c = checkpoint.read(path, TYPES)
    assert a is b.value and a is not c
    with np.load(io.BytesIO(path.read_bytes().partition(b"\n")[2])) as archive:
        assert sorted(archive) == ["a0", "a1", "tree"]


def test_fingerprints_tell_trees_apart_and_outlive_the_file(path):
    prints = [checkpoint.fingerprint(tree) for tree in TREES]
    assert len(set(prints)) == len(prints)
    assert [checkpoint.fingerprint(written(tree, path)) for tree in TREES] == prints
    for i, j in itertools.product(range(2), range(3)):
        changed = ARRAY.copy()
        changed[i, j] += 1e-12
        assert checkpoint.fingerprint(changed) != checkpoint.fingerprint(ARRAY)
    assert checkpoint.fingerprint(lambda: 0) != checkpoint.fingerprint(lambda: 0)  # what cannot be written has one too


@pytest.mark.parametrize(
    ("tree", "types"),
    [
        ([1, (2,), {"a": "b"}, ARRAY], set()),
        (Pair(1, 2), {Pair}),
        ((Pair(1, 2),), {Pair}),
        ([Holder(1)], {Holder}),
        (Holder(Pair(1, 2)), {Holder, Pair}),
        ({"a": {"b": Holder([Pair(1, Holder(2))])}}, {Holder, Pair}),
        (Holder, set()),
    ],
)
def test_types_in_a_tree(tree, types):
    assert checkpoint.types_in(tree) == types


@pytest.mark.parametrize("value", [object(), {1}, Holder, b"bytes", 1j, [lambda: 0]], ids=lambda v: type(v).__name__)
def test_what_a_checkpoint_cannot_hold(value, path):
    raises(
        TypeError, "a checkpoint can hold numbers, strings, arrays and dataclasses, got", checkpoint.write, path, value
    )
    assert not path.exists()


@pytest.mark.parametrize("change", ["magic", "words", "digits", "long", "newline"])
def test_each_part_of_the_first_line_is_looked_at(change, path):
    checkpoint.write(path, 1)
    line, _, rest = path.read_bytes().partition(b"\n")
    magic, version, digest = b"zoo-opt checkpoint", *line.split(b" ")[2:]
    lines = {
        "magic": b"zoo-opt journal %s %s\n" % (version, digest),
        "words": b"%s %s %s more\n" % (magic, version, digest),
        "digits": b"%s v%s %s\n" % (magic, version, digest),
        "long": b"%s %s %s\n" % (magic, version.rjust(10, b"0"), digest),
        "newline": b"%s %s %s" % (magic, version, digest),
    }
    assert checkpoint.read(path) == 1
    path.write_bytes(lines[change] + ("" if change == "newline" else rest.decode("latin1")).encode("latin1"))
    raises(zo.CheckpointError, "not a zoo-opt checkpoint, or its first line is corrupt", checkpoint.read, path)


def test_formats_and_checksums_are_named(path):
    checkpoint.write(path, 1)
    line, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(line.replace(b" 3 ", b" 000000003 ") + b"\n" + rest)  # nine digits are a number
    assert checkpoint.read(path) == 1
    for version in (1, 4, 999_999_999):
        path.write_bytes(line.replace(b" 3 ", b" %d " % version) + b"\n" + rest)
        raises(
            zo.CheckpointError,
            f"has checkpoint format {version}, this zoo_opt reads formats 2 and 3",
            checkpoint.read,
            path,
        )
    path.write_bytes(line + b"\n" + rest[:-1])
    raises(zo.CheckpointError, "corrupt or truncated: its checksum does not match", checkpoint.read, path)


def test_a_class_that_is_not_given_is_named_with_those_that_are(path):
    checkpoint.write(path, Holder(Pair(1, 2)))
    place = f"{__name__}:Holder"
    raises(
        zo.CheckpointError,
        f"holds a .*:Pair, which is not a type of zoo_opt: pass it in types=, got {place}$",
        checkpoint.read,
        path,
        [Holder],
    )
    raises(zo.CheckpointError, "pass it in types=$", checkpoint.read, path)


@pytest.mark.parametrize("ours", ["zoo_opt.core.keys:Key", "zoo_opt.methods.cma.full:CMAES"])
def test_our_own_classes_need_not_be_given(ours, path):
    module, _, name = ours.partition(":")
    cls = getattr(__import__(module, fromlist=[name]), name)
    value = cls(1, 2) if name == "Key" else cls()
    assert written(value, path) == value and type(written(value, path)) is cls


OURS = ["zoo_opt.core.keys:Key", "zoo_opt.core.keys:generator", "zoo_opt.core.keys:Missing", "zoo_opt.nowhere:Key"]


@pytest.mark.parametrize(
    "place",
    [
        *OURS[1:],
        "zoo_opt.methods.base:Key",
        "zoo_opt.core.batch:Batch",
        "json:JSONDecoder",
        "zoo_opt:Key",
        "Key",
        "zoo_opt.core.nowhere:Key",
    ],
)
def test_only_data_that_is_at_its_place_is_ours(place):
    """No function, no class that holds no data, no name that a module has from another, no module of others."""
    assert checkpoint._own_class(OURS[0]) is not None
    assert checkpoint._own_class(place) is None


def test_a_file_that_is_as_large_as_the_limit_is_read(path, monkeypatch):
    checkpoint.write(path, [1.5])
    sizes = []
    monkeypatch.setattr(checkpoint, "_check_size", lambda name, what, size, most: sizes.append(size))
    checkpoint.read(path)
    monkeypatch.undo()
    monkeypatch.setenv(checkpoint.MAX_BYTES, str(max(sizes)))
    assert checkpoint.read(path) == [1.5]
    monkeypatch.setenv(checkpoint.MAX_BYTES, str(max(sizes) - 1))
    raises(zo.CheckpointError, f"would take {max(sizes)} bytes, the limit is {max(sizes) - 1}", checkpoint.read, path)


@pytest.mark.parametrize("then", ["__main__", __name__])
def test_a_class_of_a_script_is_found_either_way(then, path):
    """It was written while its file was run and is read where that is imported, or the other way round."""
    now = __name__ if then == "__main__" else "__main__"
    old, new = (type("Made", (Holder,), {"__module__": module, "__qualname__": "Made"}) for module in (then, now))
    checkpoint.write(path, old(3))
    found = checkpoint.read(path, [new])
    assert type(found) is new and found.value == 3
    other = type("Made", (Holder,), {"__module__": now, "__qualname__": "__main__"})
    raises(zo.CheckpointError, "is not a type of zoo_opt", checkpoint.read, path, [other])

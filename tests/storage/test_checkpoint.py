"""Checkpoints: exact or refused, never half written, and nothing in them is ever run."""

import gc
import hashlib
import io
import json
import os
import pickle
import stat
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from cases import BY_NAME
from refusals import raises

import zoo_opt as zo
from zoo_opt.storage import checkpoint
from zoo_opt.storage.format2 import CONVERTERS, PLACES
from zoo_opt.testing import rugged


def running(name="cma-es", steps=7, told=3, **options):
    """An optimizer in mid-step."""
    opt = BY_NAME[name].start(**options)
    for _ in range(steps):
        tell(opt, opt.ask())
    tell(opt, opt.ask()[1 : 1 + told])
    return opt


def tell(opt, batch):
    opt.tell(batch, [rugged(batch[i]) for i in range(len(batch))])


def future(opt, steps=3):
    """All that can be seen of an optimizer, now and over its next steps."""
    seen = [opt.nit, opt.nfev, opt.failures, opt.best.id, opt.best.loss, opt.stop(), repr(opt.method), opt.budget]
    for _ in range(steps):
        batch = opt.ask()
        seen += [batch.ids, batch.X.tobytes(), opt.mean.tobytes(), opt.best.loss]
        tell(opt, batch)
    return seen


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zoo"


def reloaded(opt, path, **options):
    opt.save(path)
    return zo.Optimizer.load(path, **options)


def assert_refused(data, path, message=None):
    path.write_bytes(data)
    raises(zo.CheckpointError, message, zo.Optimizer.load, path)


# --------------------------------------------------------------------------------------------------------- exact
@pytest.mark.parametrize(
    "name", ["spsa", "geass released", "bar", "fzoo", "cma-es bipop", "sep-cma-es", "subspace cma-es"]
)
def test_round_trip(name, path):
    opt = running(name, told=1, budget=5000)
    loaded = reloaded(opt, path)
    assert loaded.method == opt.method and loaded.pending == []
    assert np.array_equal(loaded.best.x, opt.best.x) and not loaded.best.x.flags.writeable
    assert future(loaded) == future(opt)


def test_loading_frees_what_was_out(path):
    opt = running("fzoo", told=2)
    leased = opt.ask(3)
    loaded = reloaded(opt, path)
    assert len(opt.pending) == 7  # ask() handed out all, and two of them were told
    assert loaded.pending == [] and len(loaded.ask(100)) == 7
    loaded.tell(loaded.pending, [1.0] * 7)
    assert len(leased) == 0


def test_saving_changes_nothing(path):
    opt, same = running("cma-es"), running("cma-es")
    opt.save(path)
    first = path.read_bytes()
    opt.save(str(path))  # over the old file, and by name
    assert len(path.read_bytes()) == len(first)
    assert future(opt) == future(same)


def test_all_kinds_of_values(path):
    """What has been told as +inf, NaN, numpy numbers and strange reasons comes back."""
    opt = zo.Optimizer("fzoo", np.ones(3, np.float32), rng=2**100)
    opt.ask()
    opt.tell([0, 1, 2, 3], [np.float32(np.inf), None, np.int64(2), 0.1])
    opt.tell_failed(4, reason='café "\n\x00')
    loaded = reloaded(opt, path)
    assert loaded.failures == opt.failures and loaded.best[1:] == opt.best[1:]
    assert loaded.ask().X.dtype == np.float32
    assert future(loaded) == future(opt)


# ------------------------------------------------------------------------------------------------ corrupt, truncated
def corrupted(data, rng):
    """``data`` with random damage of one of six kinds."""
    at, other = (int(i) for i in np.sort(rng.integers(0, len(data), 2)))
    junk = rng.bytes(int(rng.integers(1, 9)))
    damage = [
        lambda: data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :],  # a flipped bit
        lambda: data[:at] + junk + data[at + len(junk) :],  # overwritten
        lambda: data[:at],  # truncated
        lambda: data[:at] + junk + data[at:],  # something inserted
        lambda: data[:at] + data[other:],  # something lost
        lambda: data[:at] + bytes(other - at) + data[other:],  # a hole of zeros
    ]
    return damage[rng.integers(len(damage))]()


@pytest.mark.parametrize("name", ["spsa-gc", "cma-es bipop"])
@pytest.mark.parametrize("where", ["anywhere", "first line"])
def test_500_corruptions_are_refused_or_exact(name, where, path):
    opt = running(name, told=1)
    opt.save(path)
    data, expected, rng, refused = path.read_bytes(), future(opt), np.random.default_rng(0), 0
    head = len(data) if where == "anywhere" else data.index(b"\n") + 1
    for _ in range(500):
        path.write_bytes(corrupted(data[:head], rng) + data[head:])
        try:
            loaded = zo.Optimizer.load(path)
        except zo.CheckpointError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert future(loaded) == expected
    assert refused > 400


def with_payload(payload, version=checkpoint.VERSION):
    return b"zoo-opt checkpoint %d %s\n" % (version, hashlib.sha256(payload).hexdigest().encode()) + payload


def npz(tree, **arrays):
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def saved_tree(path):
    with np.load(io.BytesIO(path.read_bytes().partition(b"\n")[2])) as archive:
        return json.loads(archive["tree"].tobytes()), {name: archive[name] for name in archive if name != "tree"}


def test_newer_version_is_refused(path):
    running().save(path)
    payload = path.read_bytes().partition(b"\n")[2]
    newer = checkpoint.VERSION + 1
    assert_refused(with_payload(payload, newer), path, f"format {newer}, this zoo_opt reads format")
    path.write_bytes(with_payload(payload))
    zo.Optimizer.load(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_refused_and_never_run(path, tmp_path):
    exploded = tmp_path / "exploded"
    running().save(path)
    tree, arrays = saved_tree(path)
    bomb = np.empty((), object)
    bomb[()] = Bomb(exploded)
    single = io.BytesIO()
    np.save(single, bomb, allow_pickle=True)
    archives = npz(tree, **{**arrays, "a0": bomb}), npz({"array": "a0"}, a0=bomb)
    for payload in (pickle.dumps(Bomb(exploded)), single.getvalue(), *archives):
        assert_refused(payload, path)
        assert_refused(with_payload(payload), path)
    assert not exploded.exists()
    pickle.loads(pickle.dumps(Bomb(exploded)))
    assert exploded.exists()  # the bomb was live


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {"dict": []},
        {"dict": [["method", 1]]},
        {"array": "a99"},
        {"type": "Optimizer", "fields": {}},
        {"type": "SPSA", "fields": {"lr": -1}},
        {"type": "SPSA", "fields": {"nonsense": 1}},
        {"type": "Key", "items": [1, 2, 3]},
        {"type": "os.system", "items": ["true"]},
        {"neither": "this nor that"},
    ],
    ids=str,
)
def test_right_checksum_and_wrong_content(tree, path):
    assert_refused(with_payload(npz(tree)), path, r"run\.zoo")


def test_every_missing_entry_is_noticed(path):
    running().save(path)
    tree, arrays = saved_tree(path)
    for i, (name, _) in enumerate(tree["dict"]):
        short = {"dict": tree["dict"][:i] + tree["dict"][i + 1 :]}
        assert_refused(with_payload(npz(short, **arrays)), path, name)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"zoo-opt checkpoint one 0\n", b"zoo-opt checkpoint " + b"9" * 5000 + b" x\n"]
)
def test_first_lines(data, path):
    assert_refused(data, path, "not a zoo-opt checkpoint, or its first line is corrupt")


def test_missing_file_is_an_os_error(path):
    raises(FileNotFoundError, None, zo.Optimizer.load, path)


# ------------------------------------------------------------------------------------------------------ atomic write
@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_failed_save_leaves_the_old_file_whole(broken, path, monkeypatch):
    running(steps=1).save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        raises(OSError, "No space left", running(steps=9).save, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]  # nothing is left lying about


def test_file_is_on_disk_before_it_takes_the_name(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def kind(descriptor):
        return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

    monkeypatch.setattr(os, "fsync", lambda d: calls.append(f"fsync {kind(d)}") or fsync(d))
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append("replace") or replace(a, b))
    running(steps=1).save(path)
    assert calls == ["fsync file", "replace", "fsync folder"]


def test_what_cannot_be_saved_leaves_the_old_file(path):
    running().save(path)
    before = path.read_bytes()
    opt = zo.Optimizer(zo.SPSA(lr=lambda t: 0.1), [1.0], rng=0)
    opt.tell(opt.ask(), [1.0, 2.0])
    raises(TypeError, "function", opt.save, path)
    assert path.read_bytes() == before


# ---------------------------------------------------------------------------------------------------- types of others
def schedule_of(base):
    @dataclass(frozen=True)
    class Falling:
        start: float

        def __call__(self, t):
            return self.start / base**t

    return Falling


class Undecorated:
    def __call__(self, t):
        return 0.1


def test_types_of_others(path):
    Falling = schedule_of(2)
    opt = zo.Optimizer(zo.SPSA(lr=Falling(0.1), c=zo.PowerLaw(0.1)), [1.0, 2.0], rng=0)
    tell(opt, opt.ask())
    opt.save(path)
    raises(zo.CheckpointError, r"Falling.*types=", zo.Optimizer.load, path)
    assert future(zo.Optimizer.load(path, types=[Falling])) == future(opt)


def test_objects_that_are_no_dataclass_cannot_be_saved(path):
    opt = zo.Optimizer(zo.SPSA(c=Undecorated()), [1.0, 2.0], rng=0)
    raises(TypeError, r"numbers, strings, arrays and dataclasses, got .*Undecorated", opt.save, path)
    assert not path.exists()


def test_a_write_that_fails_leaves_nothing_that_cannot_be_collected(tmp_path, monkeypatch):
    """From Python 3.13 on, a buffer that is collected before a view of it complains on standard error."""
    said = []
    monkeypatch.setattr("sys.unraisablehook", said.append)
    for _ in range(5):
        try:
            checkpoint.write(tmp_path / "nowhere" / "run.zoo", {"a": np.zeros(3)})
        except OSError as error:
            error.itself = error  # a circle with the frames of the traceback: only the collector takes it
    gc.collect()
    assert [found.exc_value for found in said] == []


# ------------------------------------------------------------------------------------------- classes are known by place
@dataclass(frozen=True)
class Cosine:
    """Another schedule with a name of ours, and the fields of ours."""

    start: float
    end: float
    steps: int

    def __call__(self, t):
        return self.start + (self.end - self.start) * min(1.0, t / self.steps)


class Key(NamedTuple):
    """A named tuple with a name of ours."""

    low: int
    high: int


@dataclass(frozen=True)
class Rademacher(zo.Draws):
    """Draws with a name of ours."""

    def sample(self, rng, out, c=1.0):
        out[:] = c

    def self_dual(self, d):
        return 1.0


@dataclass(frozen=True, kw_only=True)
class SPSA(zo.SPSA):
    """A method with a name of ours."""


@dataclass(frozen=True)
class Held:
    """A schedule that is made of a named tuple."""

    key: tuple

    def __call__(self, t):
        return 0.1


NAMESAKES = {
    "schedule": (zo.SPSA(lr=Cosine(0.1, 0.01, 50)), Cosine),
    "draws": (zo.SPSA(draws=Rademacher()), Rademacher),
    "method": (SPSA(lr=0.1), SPSA),
    "named tuple": (zo.SPSA(lr=Held(Key(1, 2))), Key),
}


@pytest.mark.parametrize("kind", NAMESAKES)
def test_a_class_with_the_name_of_one_of_ours_is_loaded_as_itself_or_not_at_all(kind, path):
    method, namesake = NAMESAKES[kind]
    opt = zo.Optimizer(method, [1.0, 2.0, 3.0], rng=0)
    tell(opt, opt.ask())
    opt.save(path)
    with pytest.raises(zo.CheckpointError, match=rf"holds a {namesake.__module__}:{namesake.__name__}, .*types="):
        zo.Optimizer.load(path, types=[Held])
    loaded = zo.Optimizer.load(path, types=[Held, namesake])
    assert loaded.method == method and future(loaded) == future(opt)


def test_one_of_ours_is_not_loaded_as_its_namesake(path):
    opt = running("fzoo")  # with zo.Cosine as its learning rate
    assert type(reloaded(opt, path, types=[Cosine]).method.lr) is zo.Cosine


def test_a_local_class_is_known_by_its_place_too(path):
    @dataclass(frozen=True)
    class Constant:
        value: float

        def __call__(self, t):
            return self.value

    zo.Optimizer(zo.SPSA(lr=Constant(0.1)), [1.0, 2.0], rng=0).save(path)
    raises(zo.CheckpointError, r"<locals>\.Constant", zo.Optimizer.load, path)
    assert zo.Optimizer.load(path, types=[Constant]).method.lr == Constant(0.1)


@pytest.mark.parametrize(
    "place",
    [
        "os:system",
        "zoo_opt.cli.__main__:main",
        "zoo_opt_x.gains:Cosine",
        "zoo_opt.gradient.gains:schedule",  # no class
        "zoo_opt.gradient.gains:Any",
        "zoo_opt.methods:SPSA",  # not where it is
        "zoo_opt.optimizer:Optimizer",  # not data
        "zoo_opt.nowhere:Cosine",
        "Cosine",
    ],
)
def test_only_data_of_ours_is_imported_by_name(place, path):
    for content in ({"fields": {}}, {"items": ["true"]}):
        assert_refused(with_payload(npz({"type": place, **content})), path, "is not a type of zoo_opt")


# ----------------------------------------------------------------------------------------------------------- format 2
def save_as_format_2(opt, path):
    """Save the optimizer as the version before did: with bare names."""

    def bare(value):
        if isinstance(value, list):
            return [bare(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {k: v.rpartition(":")[2] if k == "type" else bare(v) for k, v in value.items()}

    opt.save(path)
    tree, arrays = saved_tree(path)
    path.write_bytes(with_payload(npz(bare(tree), **arrays), version=2))


def test_format_2_is_read(path):
    opt = running("geass released", told=1)
    save_as_format_2(opt, path)
    loaded = zo.Optimizer.load(path)
    assert loaded.method == opt.method and future(loaded) == future(opt)


def test_format_2_with_a_type_of_others(path):
    opt = zo.Optimizer(zo.SPSA(lr=Cosine(0.1, 0.01, 50)), [1.0, 2.0], rng=0)
    save_as_format_2(opt, path)
    assert future(zo.Optimizer.load(path, types=[Cosine])) == future(opt)


def test_format_2_names_places_that_exist():
    for name, place in PLACES.items():
        assert checkpoint._own_class(place), (name, place)


def test_format_2_converts_fields(path, monkeypatch):
    opt = running("geass paper", told=0)
    save_as_format_2(opt, path)

    def longer(fields, make):
        return make("zoo_opt.methods.spsa_geass:GainState", strikes=fields["0"] + 7)

    monkeypatch.setitem(CONVERTERS, "GainState", longer)
    for types in ((), checkpoint.types_in([opt.method, opt.state])):  # as a resumed run has them
        assert zo.Optimizer.load(path, types=types).state.gains.strikes == 7


# ------------------------------------------------------------------------------------------ one class, one place
def test_two_classes_at_one_place_are_refused(path):
    """Two that a function has made cannot be told apart by their place."""
    A, B = schedule_of(1), schedule_of(3)
    opt = zo.Optimizer(zo.SPSAGC(lr=A(0.1), c=B(0.1)), [1.0, 2.0], rng=0)
    raises(TypeError, "got two different ones at", opt.save, path)
    opt = zo.Optimizer(zo.SPSAGC(lr=A(0.1), c=A(0.1)), [1.0, 2.0], rng=0)
    raises(TypeError, "got two different ones at", reloaded, opt, path, types=[A, B])


@pytest.mark.parametrize("script", ["__main__", "__mp_main__"])
def test_a_script_is_the_same_place_imported(path, script):
    """A file that was run then and is imported now, or in a spawned process, has another module's name."""
    A, imported, other = (schedule_of(base) for base in (1, 1, 2))
    A.__module__, other.__qualname__ = script, "Rising"
    opt = zo.Optimizer(zo.SPSA(lr=A(0.1)), [1.0, 2.0], rng=0)
    assert type(reloaded(opt, path, types=[imported]).method.lr) is imported
    raises(zo.CheckpointError, "pass it in types=, got", zo.Optimizer.load, path, types=[other])

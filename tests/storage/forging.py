"""Checkpoints that are forged: correctly signed, with values in them that `save` has never written."""

import copy
import hashlib
import io
import json
import math

import numpy as np

VALUES = (
    *(None, True, -1, 0, 1, 7, 10**12, -(10**30), 10**400, 0.5, 1e308, math.nan, math.inf, "", "x", "0x1p+0", "a" * 99),
    *([], [[]], {"dict": []}, {"dict": [["a", 1]]}, {"array": "a0"}, {"array": "a1"}, {"array": "tree"}, {"array": []}),
    *({"scalar": "a0"}, {"scalar": "nowhere"}, {"neither": 1}, {"type": 3, "items": 4}),
    *({"type": "tuple", "items": [1, 2]}, {"type": "tuple", "items": []}),
    {"type": "zoo_opt.core.keys:Key", "items": [0, 0]},
    {"type": "zoo_opt.gradient.gains:Constant", "fields": {}},
    {"type": "zoo_opt.methods.spsa:SPSA", "fields": {"lr": 0.1}},
)


def signed(payload, version=3):
    """The file of an archive."""
    return b"zoo-opt checkpoint %d %s\n" % (version, hashlib.sha256(payload).hexdigest().encode()) + payload


def opened(data):
    """The tree and the arrays of a checkpoint."""
    with np.load(io.BytesIO(data.partition(b"\n")[2])) as archive:
        return json.loads(archive["tree"].tobytes()), {name: archive[name] for name in archive if name != "tree"}


def closed(tree, arrays):
    """The checkpoint of a tree and arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8), **arrays)
    return signed(buffer.getvalue())


def nodes(tree):
    """Each place in a tree, as a container and a key of it."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield tree, key
        yield from nodes(value)


def forged(tree, arrays, rng):
    """The checkpoint with one to three things in it changed."""
    tree, arrays = copy.deepcopy(tree), dict(arrays)
    for _ in range(rng.integers(1, 4)):
        if arrays and rng.random() < 0.25:
            name = sorted(arrays)[rng.integers(len(arrays))]
            arrays[name] = _other(arrays[name], rng)
            continue
        places = list(nodes(tree))
        container, key = places[rng.integers(len(places))]
        other, of_other = places[rng.integers(len(places))]
        match rng.integers(4):
            case 0:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(other[of_other])
            case _:
                container[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return closed(tree, arrays)


def _other(array, rng):
    flat = array.reshape(-1)
    return [
        lambda: flat,
        lambda: flat[:0],
        lambda: np.array(3.0),
        lambda: array[None],
        lambda: array.T,
        lambda: flat.astype("U8"),
        lambda: array.astype(np.complex64) if array.dtype.kind in "biuf" else flat,
        lambda: np.full(array.shape, np.nan),
        lambda: np.full(array.shape, -(2**62)),
        lambda: np.empty((2**40, 0)),
        lambda: np.concatenate([flat, flat]),
    ][rng.integers(11)]()

"""A checkpoint that names classes which no checkpoint holds: nothing is imported for it, and nothing is made."""

import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from refusals import raises

from zoo_opt import Optimizer
from zoo_opt.core.errors import CheckpointError

PLACES = (
    "os:system",
    "zoo_opt.__main__:main",
    "zoo_opt.interop.pycma:PyCMA",  # whose options pycma evaluates
    "zoo_opt.interop.nevergrad:Nevergrad",
    "zoo_opt.bench.engine.job:Job",
    "zoo_opt.support.registry:Entry",
    "zoo_opt.testing.case:Case",
    "zoo_opt.core.keys:np.ndarray",
    "zoo_opt.methods.registry:METHODS",
    "zoo_opt.cli.__main__:main",
)


def forged(path, place, fields, version=3):
    """Write a checkpoint with a right checksum whose tree is one object."""
    buffer = io.BytesIO()
    text = json.dumps({"type": place, "fields": fields}).encode()
    np.savez(buffer, tree=np.frombuffer(text, np.uint8))
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_bytes(b"zoo-opt checkpoint %d %s\n" % (version, digest.encode()) + buffer.getvalue())
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("place", PLACES)
def test_a_checkpoint_makes_nothing_but_methods_states_and_spaces(tmp_path, place, version):
    path = forged(tmp_path / "run.zoo", place, {"x0": [0.0], "rng": 1, "budget": 1}, version)
    raises(CheckpointError, f"holds a {place}, which is not a type of zoo_opt", Optimizer.load, path)


def test_a_checkpoint_imports_nothing_for_them(tmp_path):
    """In a process of its own: a peer's library is not imported, and its constructor does not run."""
    code = (
        "import sys, zoo_opt\nfrom zoo_opt.core.errors import CheckpointError\n"
        f"try:\n    zoo_opt.Optimizer.load({str(tmp_path / 'run.zoo')!r})\n"
        "except CheckpointError:\n    print(sorted({'cma', 'zoo_opt.interop.pycma'} & set(sys.modules)))\n"
    )
    options = {"dict": [["maxiter", "__import__('os').system('touch called')"]]}
    forged(
        tmp_path / "run.zoo", "zoo_opt.interop.pycma:PyCMA", {"x0": [0.0], "rng": 1, "budget": 1, "options": options}
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr

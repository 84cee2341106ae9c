"""What many tests ask for: one number for all weights, a training that is killed, a suite that is run."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch
from refusals import raises, refused  # noqa: F401 (for all tests of zoo_opt_seg)

from zoo_opt.bench.engine.record import read_record
from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.whitebox.core.recipe import Epoch, Recipe


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """One number for all weights, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def die_after(last: int) -> Callable[[Epoch, Recipe], None]:
    """A ``report`` that kills the training after an epoch."""

    def report(epoch: Epoch, recipe: Recipe) -> None:
        if epoch.epoch == last:
            raise KeyboardInterrupt

    return report


def succeeds(answer: tuple[int, str, str]) -> tuple[str, str]:
    """The command line (the fixture `run`) ended well; its output and errors."""
    status, *said = answer
    assert status == 0, said
    return tuple(said)


def fails(answer: tuple[int, str, str], words: str) -> None:
    """The command line ended with status 2 and these words among its errors."""
    status, _, err = answer
    assert status == 2 and words in err, err


# The head of a suite's group of which the test adds the rest.
GROUP = """
[[group]]
name = "a small one"
seeds = [0]
calls = 60
repeats = 1
"""


def changed(text: str, old: str, new: str) -> str:
    """A suite's text with one part of it replaced."""
    assert old in text
    return text.replace(old, new, 1)


def run_suite(folder: Path, suite: str, name: str = "suite") -> dict[str, dict]:
    """Write a suite of a table and run it by the command; returns the runs by the label of their row, of one seed."""
    (folder / f"{name}.toml").write_text(suite)
    assert tables.main([str(folder / f"{name}.toml"), "--out", str(folder / "out"), "--trust"]) == 0
    return {run["method"]: run for run in read_record(folder / "out" / "runs.jsonl").runs.values()}


def check_that_a_pretraining_goes_on(pretrain: ModuleType, folder: Path, scenes: int) -> None:
    """Four steps at once and in two parts give the same weights, and another seed is refused."""
    settings = {"steps": 4, "scenes": scenes, "seed": 5, "every": 10}
    whole = pretrain.train(folder / "whole", **settings)
    pretrain.train(folder / "parts", stop_at=2, **settings)
    parts = pretrain.train(folder / "parts", **settings)
    assert checksum(whole.state_dict()) == checksum(parts.state_dict())
    assert (folder / "parts" / "log.jsonl").read_text().count("\n") == 2
    raises(SystemExit, "--seed", pretrain.train, folder / "parts", steps=4, scenes=scenes, seed=6)

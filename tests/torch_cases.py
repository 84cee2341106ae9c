"""Small torch modules and losses for the tests of zoo_opt.torch; importable by workers and killed processes."""

import contextlib
import dataclasses
import datetime
import os
import time
from pathlib import Path

import numpy as np
import torch

import zoo_opt as zo

INPUTS = torch.from_numpy(np.random.default_rng(1).normal(size=(256, 4)).astype(np.float32))
LABELS = (INPUTS @ torch.tensor([[1.0, 0, -1], [0, 1, 0], [-1, 0, 1], [0, -1, 0]])).argmax(1)

SIGNS, NORMALS = zo.Rademacher(), zo.QuantileGaussian()
METHODS = {
    "spsa": zo.SPSA(lr=0.02, c=1e-3),
    "spsa-signs": zo.SPSA(lr=0.02, c=2**-10, draws=SIGNS, pairs=2),
    "spsa-normals": zo.SPSA(lr=0.02, c=1e-3, draws=NORMALS),
    "spsa-gc": zo.SPSAGC(lr=0.002, c=1e-3, draws=SIGNS),
    "spsa-geass": zo.SPSAGEASS(lr=0.002, c=1e-3, threshold=2.0, lr_boost=3.0, c_boost=2.0, draws=SIGNS),
    "spsa-geass-released": zo.SPSAGEASS.released(dim=67, lr=0.002, c=1e-3, lr_boost=3.0, c_boost=2.0),
    "bar": zo.BAR(lr=0.02, c=1e-3, directions=4, draws=NORMALS),
    "fzoo": zo.FZOO(lr=1e-5, c=1e-3, directions=4),
    "fzoo-auto": zo.FZOO(lr="auto", c="auto", directions=4),
    "untuned": zo.FZOO.untuned(directions=4, scale=0.05),
    "untuned-trial": zo.FZOO.untuned(directions=6, scale=0.5, trial=True),
}


def net(seed=0):
    """A network of 67 parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def loss(module, step):
    """Cross-entropy of a minibatch of the step."""
    rows = np.random.default_rng(step).integers(256, size=64)
    return torch.nn.functional.cross_entropy(module(INPUTS[rows]), LABELS[rows])


def deadly_loss(module, step):
    """The loss; at step 7 the worker that takes a certain file dies of it."""
    taken = Path(os.environ["ZOO_TEST_DEADLY"])
    if step == 7:
        with contextlib.suppress(FileNotFoundError):
            taken.unlink()
            os._exit(9)
    return loss(module, step)


def flat(module):
    """All parameters as one array."""
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy()


def bits(module):
    """All parameters as bytes."""
    return b"".join(p.detach().contiguous().view(torch.uint8).numpy().tobytes() for p in module.parameters())


def train(folder):
    """Train a module to step 400 with a log in ``folder``, from where it is: for processes that are killed."""
    trainer = zo.torch.Trainer(net(), METHODS["fzoo-auto"], budget=5000, rng=3, log=Path(folder) / "run.zlog")
    trainer.fit(loss, steps=400 - trainer.steps, callback=lambda step: print(step.number, flush=True))
    print("sum", trainer.checksum(), trainer.cost.forwards, flush=True)


def train_in_a_group(rank, size, folder, name, seed, breaks, ends):
    """Train in process ``rank`` of ``size`` and write its bits, how often it was asked, or what was raised.

    ``breaks`` is the (rank, step) of which the loss raises, ``ends`` that after which a process does what ``seed`` is.
    """
    from torch import distributed

    store = distributed.FileStore(f"{folder}/store", size)
    limit = datetime.timedelta(seconds=20)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=limit)
    calls = [0]

    def fun(module, step):
        calls[0] += 1
        if (rank, step) == breaks:
            raise ZeroDivisionError
        return loss(module, step)

    def after(step):
        if (rank, step.number) != ends:
            return False
        if seed == "dies":
            os._exit(0)
        if seed == "raises":
            raise ZeroDivisionError
        if seed == "waits":
            time.sleep(40)
        return True

    module = net(rank if seed == "others" else 0)
    method = METHODS[name]
    if seed == "other probes":
        method = dataclasses.replace(method, directions=4 + 2 * rank)
    trainer = zo.torch.Trainer(module, method, budget=5000, rng=3)
    try:
        trainer.fit(fun, steps=25, group=distributed.group.WORLD, callback=after)
        told = f"{calls[0]} of {trainer.cost.forwards}"
    except (RuntimeError, ZeroDivisionError) as error:
        told = f"{type(error).__name__}: {error}"
        if breaks is not None:
            trainer.fit(loss, steps=25 - trainer.steps)  # the step is made again by this process alone
    Path(folder, f"{rank}.bits").write_bytes(bits(module))
    Path(folder, f"{rank}.told").write_text(told)
    distributed.destroy_process_group()


if __name__ == "__main__":
    import sys

    train(sys.argv[1])

"""Runs that are written down, and the ways in which a run can be driven."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.optimizer import Optimizer
from zoo_opt.testing.case import Case, rugged

if TYPE_CHECKING:
    from zoo_opt.core.batch import Candidate
    from zoo_opt.typing import Array

_PATIENCE = 300.0  # seconds that threads may take for all steps of a case


class Recorder:
    """An optimizer whose candidates, first ids (by id) and means (by steps closed) are written down.

    Parameters
    ----------
    case : Case
        The method.
    loss : callable, default rugged
        Candidate -> loss.
    sem : callable or None, default None
        Candidate -> its standard error, or None where that is not known. None: no standard errors are told.
    **options
        Those of `Optimizer`.
    """

    def __init__(
        self,
        case: Case,
        loss: Callable[[Candidate], float] = rugged,
        sem: Callable[[Candidate], float | None] | None = None,
        **options: object,
    ) -> None:
        self.case, self.loss, self.sem, self.opt = case, loss, sem, case.start(**options)
        self.points: dict[int, Array] = {}
        self.of: dict[int, int | None] = {}
        self.means: dict[int, Array] = {}
        self.note()

    def note(self) -> None:
        """Write the mean down."""
        self.means[self.opt.nit] = self.opt.mean.copy()

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return the candidates that the optimizer gives out."""
        batch = self.opt.ask(n)
        candidates = [batch[i] for i in range(len(batch))]
        for id_, x, _, of in candidates:
            assert np.array_equal(self.points.setdefault(id_, x.copy()), x), f"candidate {id_} has changed"
            assert self.of.setdefault(id_, of) == of, f"candidate {id_} is of another one"
        assert batch.of == [candidate.of for candidate in candidates]
        return candidates

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Tell the losses of ``candidates``."""
        sem = None if self.sem is None else [self.sem(c) for c in candidates]
        self.opt.tell([candidate.id for candidate in candidates], [self.loss(c) for c in candidates], sem)
        self.note()

    def reload(self, folder: str) -> None:
        """Save, and go on with what was saved."""
        path = os.path.join(folder, "run.zoo")
        self.opt.save(path)
        self.opt = Optimizer.load(path, types=self.case.types)

    def run(self, way: Way, steps: int | None = None) -> Recorder:
        """Go ``way`` until ``steps`` are closed, by default those of the case."""
        rng = np.random.default_rng(0)
        while self.opt.nit < (steps or self.case.steps):
            before = self.opt.nfev
            way(self, rng)
            assert self.opt.nfev > before, f"step {self.opt.nit} has no candidates, or they are not given out"
        return self

    def assert_same(self, other: Recorder) -> None:
        """Raise unless all that both runs have seen is the same, bit for bit, up to where this one ended."""
        assert all(other.of.get(id_, of) == of for id_, of in self.of.items()), "the runs evaluate different ones again"
        for what, mine, theirs in (("candidate", self.points, other.points), ("mean", self.means, other.means)):
            common = sorted(mine.keys() & theirs.keys())
            for key in common:
                a, b = mine[key], theirs[key]
                same = a.dtype == b.dtype and a.tobytes() == b.tobytes()
                assert same, f"{what} {key} is {a} in one run and {b} in the other"
            assert common and (what == "candidate" or self.opt.nit in common), f"the runs have no {what} in common"


Way = Callable[[Recorder, np.random.Generator], None]


def whole(run: Recorder, rng: np.random.Generator) -> None:
    """Tell a step at once."""
    run.tell(run.ask())


def one_at_a_time(run: Recorder, rng: np.random.Generator) -> None:
    """Tell the candidates of a step one after another."""
    for candidate in run.ask():
        run.tell([candidate])


def shuffled(run: Recorder, rng: np.random.Generator) -> None:
    """Tell a step at once, in random order."""
    candidates = run.ask()
    run.tell([candidates[i] for i in rng.permutation(len(candidates))])


def in_parts(run: Recorder, rng: np.random.Generator) -> None:
    """Tell a random part of what is left of a step, in random order."""
    candidates = run.ask()
    chosen = rng.permutation(len(candidates))[: rng.integers(1, len(candidates) + 1)]
    run.tell([candidates[i] for i in chosen])


def leased(run: Recorder, rng: np.random.Generator) -> None:
    """Lease all there is, a few at a time, and tell it one by one in random order."""
    pool: list[Candidate] = []
    while part := run.ask(int(rng.integers(1, 4))):
        pool += part
    for i in rng.permutation(len(pool)):
        run.tell([pool[i]])


def reloading(folder: str) -> Way:
    """Return the way that tells a part of a step and goes on from a checkpoint in ``folder``."""

    def way(run: Recorder, rng: np.random.Generator) -> None:
        in_parts(run, rng)
        run.reload(folder)

    return way


def in_threads(run: Recorder, rng: np.random.Generator, threads: int = 4) -> None:
    """Let ``threads`` workers ask for and tell one candidate at a time until all steps of the case are closed."""
    errors: list[BaseException] = []
    deadline = time.monotonic() + _PATIENCE

    def work() -> None:
        try:
            while run.opt.nit < run.case.steps and not errors:
                assert time.monotonic() < deadline, f"step {run.opt.nit} did not close within {_PATIENCE} s"
                candidates = run.ask(1)
                if candidates:
                    run.opt.tell(candidates[0], run.loss(candidates[0]))
                else:
                    time.sleep(0)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that the workers get into each other's way
    try:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    run.note()


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, in memory where the system has such a place."""
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)

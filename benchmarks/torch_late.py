"""Losses that come late: dropped, or used by a later step (`zo.torch.Trainer.fit(late=)`).

The digits of `torch_queries.py`, a quarter of their budget, one worker. A share of all probes, drawn at random, comes
one to four steps after its own; for the trainer they are probes of slow workers. Printed is the judged loss at the end.

    python benchmarks/torch_late.py      # under a CPU minute
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from torch_queries import SEEDS, Task, digits, mezo

import zoo_opt as zo

BUDGET, MOST = 3000, 4
SHARES = (0.25, 0.5)
METHODS: dict[str, Any] = {"MeZO, lr 10^-2.5": mezo(-5), "`auto`": "auto"}


class Stragglers:
    """An executor of one worker, whose answers come some steps later for a share of the probes."""

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._rng, self._step = share, np.random.default_rng([seed, 20]), -1
        self._held: list[tuple[int, Future[Any], Any]] = []

    def submit(self, function: Callable[[Any], Any], task: Any) -> Future[Any]:
        """Evaluate a probe now, and answer when it is time."""
        if task.step != self._step:
            self._step = task.step
            for due, future, answer in self._held:
                if due <= self._step and not future.cancelled():
                    future.set_result(answer)
            self._held = [held for held in self._held if held[0] > self._step]
        future: Future[Any] = Future()
        answer, late = function(task), int(self._rng.integers(1, MOST + 1))
        if self._rng.random() < self._share:
            self._held.append((self._step + late, future, answer))
        else:
            future.set_result(answer)
        return future


def ended(task: Task, method: Any, share: float, late: int, seed: int) -> float:
    """Return the judged loss at the end of a run."""
    module = task.make().eval()
    trainer = zo.torch.Trainer(module, method, budget=BUDGET, rng=seed)
    executor = Stragglers(share, seed)

    def loss(module: torch.nn.Module, step: int) -> torch.Tensor:
        return task.loss(module, step + 10_000 * seed)

    trainer.fit(loss, executor=executor, make=task.make, wait=1e-6, late=late)
    return task.judge(module)


def main() -> None:
    """Print the table, row by row."""
    torch.set_num_threads(1)
    task = digits()
    print("| | late | dropped | used |\n|---|---|---|---|")
    for name, method in METHODS.items():
        for share in (0.0, *SHARES):
            cells = [
                ", ".join(f"{ended(task, method, share, late, seed):.3f}" for seed in SEEDS)
                for late in ((0, MOST) if share else (0,))
            ]
            cells += [""] * (2 - len(cells))
            print(f"| {name} | {share:.0%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

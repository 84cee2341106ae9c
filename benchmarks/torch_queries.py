"""Forwards that fine-tuning by loss values takes: `zo.torch.Trainer` untuned against MeZO with its rate tuned.

Four models that exist before, each moved to other data, all parameters trained, float32:

- digits: a network of 9,610 parameters, trained by gradients on scikit-learn's digits, moved to rotated noisy ones;
- bytes: a transformer of 0.12 million parameters, trained by gradients on Python's own documentation (pydoc's topics),
  moved to the source of modules of the standard library;
- sam: the tiny SAM that comes with the package, 0.64 million parameters, moved to drawn optic discs;
- clipseg: the tiny CLIPSeg that comes with it, 0.99 million parameters, moved to drawn skin lesions that texts name.

MeZO is two-sided SPSA with normal directions, c = 1e-3 and a constant rate (Malladi et al. 2023). Its rate is the best
of a half-decade grid by the final loss on a design seed, 100. Recorded are the seeds 0, 1, 2: the loss of MeZO at the
end of its budget T, and after how many forwards `method="auto"`, told a budget of a quarter, of a half, and of all of
T, is at that loss (the mean over a fixed set of minibatches, looked at 20 times in a run). Lines of JSON are kept,
and runs that are there are not made again. Those called "auto without trial" are of `zo.FZOO.untuned()`, as "auto" was.

    python benchmarks/torch_queries.py OUT.jsonl [--tasks digits bytes sam clipseg]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import zoo_opt as zo

DESIGN, SEEDS = 100, (0, 1, 2)
MARKS = 20  # looks at the loss in a run
PARTS = (4, 2, 1)  # of MeZO's budget, for ours
EDGE = 3  # half decades that the grid is moved further where its edge is best

Loss = Callable[[Any, int], torch.Tensor]


@dataclass(frozen=True)
class Task:
    """What is fine-tuned: a module, the loss of a minibatch, minibatches to judge by, MeZO's budget and first grid."""

    make: Callable[[], torch.nn.Module]
    loss: Loss
    judged: Iterable[int]
    budget: int
    grid: tuple[int, ...]  # half decades: lr = 10^(k / 2)

    def judge(self, module: torch.nn.Module) -> float:
        """Return the mean loss over the minibatches that runs are judged by."""
        with torch.inference_mode():
            return float(np.mean([float(self.loss(module, step)) for step in self.judged]))


def rows_of(step: int, n: int, size: int) -> np.ndarray:
    """Return the rows of a minibatch; steps from 10^6 on are those of judging."""
    return np.random.default_rng([step, 7]).integers(n, size=size)


# ------------------------------------------------------------------------------------------------------ digits
def digits() -> Task:
    """The digits: pre-trained as they are, then turned by a right angle and noisy."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    turned = torch.rot90(x.view(-1, 8, 8), dims=(1, 2)).reshape(-1, 64)
    shifted = turned + 0.2 * torch.from_numpy(np.random.default_rng(0).normal(size=turned.shape)).float()
    trained = net_of_digits()
    by_gradients(trained, lambda m, s: F.cross_entropy(m(x[r := rows_of(s, len(x), 128)]), y[r]), 600, 1e-3)
    state = trained.state_dict()

    def make() -> torch.nn.Module:
        module = net_of_digits()
        module.load_state_dict(state)
        return module

    def loss(module: torch.nn.Module, step: int) -> torch.Tensor:
        rows = rows_of(step, len(x), 128)
        return F.cross_entropy(module(shifted[rows]), y[rows])

    return Task(make, loss, range(10**6, 10**6 + 12), 12_000, (-6, -5, -4, -3, -2, -1))


def net_of_digits() -> torch.nn.Module:
    """Return the network of 9,610 parameters, 64 - 128 - 10."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


# ------------------------------------------------------------------------------------------------------- bytes
WIDTH, CONTEXT = 64, 64
MODULES = ("argparse", "ast", "doctest", "heapq", "inspect", "json.decoder", "textwrap", "typing")


class ByteModel(torch.nn.Module):
    """A transformer of two layers over bytes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bytes = torch.nn.Embedding(256, WIDTH)
        self.places = torch.nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        layer = torch.nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.register_buffer("mask", torch.nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, CONTEXT, 256) of the next bytes; the embedding is the output layer too."""
        h = self.layers(self.bytes(x) + self.places, mask=self.mask, is_causal=True)
        logits: torch.Tensor = self.norm(h) @ self.bytes.weight.t()
        return logits


def on_text(text: bytes, n: int) -> Loss:
    """Return the loss of the next byte on n pieces of a text."""
    data = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()

    def loss(module: torch.nn.Module, step: int) -> torch.Tensor:
        starts = rows_of(step, len(data) - CONTEXT - 1, n)
        pieces = torch.stack([data[i : i + CONTEXT + 1] for i in starts])
        return F.cross_entropy(module(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())

    return loss


def texts() -> tuple[bytes, bytes]:
    """Return Python's documentation and sources, as this interpreter has them."""
    from pydoc_data.topics import topics

    sources = (inspect.getsource(importlib.import_module(name)) for name in MODULES)
    return "\n".join(topics.values()).encode(), "\n".join(sources).encode()


def language() -> Task:
    """The byte model: pre-trained on documentation, moved to sources."""
    documentation, sources = texts()
    trained = ByteModel()
    by_gradients(trained, on_text(documentation, 32), 1500, 2e-3)
    state = trained.state_dict()

    def make() -> torch.nn.Module:
        module = ByteModel()
        module.load_state_dict(state)
        return module

    return Task(make, on_text(sources, 16), range(10**6, 10**6 + 16), 4000, (-9, -8, -7, -6))


# ------------------------------------------------------------------------------------------------- white boxes
def sam() -> Task:
    """The tiny SAM on drawn optic discs, as a white box that is trained by loss values."""
    from zoo_opt_seg.data import load_data
    from zoo_opt_seg.embedded import tiny_sam
    from zoo_opt_seg.whitebox.sam.full import sam_training

    splits = load_data("disc", size=96, seed=0)

    def build() -> tuple[torch.nn.Module, Any]:
        module = tiny_sam()
        return module, sam_training(module, splits)

    return white_box(build, 480, (-9, -8, -7))


def clipseg() -> Task:
    """The tiny CLIPSeg on drawn skin lesions, each named by one of its texts, which is drawn anew in every step."""
    from zoo_opt_seg.blackbox.tiny import TinyClipSeg
    from zoo_opt_seg.data import load_data
    from zoo_opt_seg.whitebox.vlsm.training import clipseg_training

    splits = load_data("skin", size=96, seed=0)

    def build() -> tuple[torch.nn.Module, Any]:
        box = TinyClipSeg()
        return box.model, clipseg_training(box.model, box, splits)

    return white_box(build, 720, (-8, -7, -6))


def white_box(build: Callable[[], tuple[torch.nn.Module, Any]], budget: int, grid: tuple[int, ...]) -> Task:
    """Return the task of a segmentation model; ``build`` gives a module and what has its loss."""
    built: dict[int, Any] = {}

    def make() -> torch.nn.Module:
        module, task = build()
        built[id(module)] = task
        return module

    def loss(module: torch.nn.Module, step: int) -> torch.Tensor:
        task = built[id(module)]
        value: torch.Tensor = task.loss(rows_of(step, task.size, 8), (0, step))
        return value

    return Task(make, loss, range(10**6, 10**6 + 8), budget, grid)


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "bytes": language, "sam": sam, "clipseg": clipseg}


# -------------------------------------------------------------------------------------------------------- runs
def by_gradients(module: torch.nn.Module, loss: Loss, steps: int, lr: float) -> None:
    """Train by AdamW under a cosine: what the model was before."""
    optimizer = torch.optim.AdamW(module.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(module, step).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    module.eval()


def run(task: Task, method: Any, budget: int, seed: int) -> list[list[float]]:
    """Return (forwards, judged loss) at the marks of a run."""
    module = task.make().eval()
    trainer = zo.torch.Trainer(module, method, budget=budget, rng=seed)
    steps = budget // trainer.probes
    marks = {round((i + 1) * steps / MARKS) for i in range(MARKS)}
    curve = [[0.0, task.judge(module)]]

    def look(step: Any) -> bool:
        if step.number + 1 in marks:
            curve.append([float(trainer.cost.forwards), task.judge(module)])
        return not curve[-1][1] < 100.0  # diverged

    trainer.fit(lambda module, step: task.loss(module, step + 10_000 * seed), callback=look)
    return curve


class Kept:
    """Runs in a file of JSON lines; those that are there are not made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.runs = {tuple(record["run"]): record["curve"] for record in map(json.loads, lines)}

    def __call__(self, task: Task, name: str, method: Any, what: str, budget: int, seed: int) -> list[list[float]]:
        """Return the curve of a run."""
        key = (name, what, budget, seed)
        if key not in self.runs:
            self.runs[key] = run(task, method, budget, seed)
            with self.path.open("a") as file:
                file.write(json.dumps({"run": key, "curve": self.runs[key]}) + "\n")
            print(*key, f"{self.runs[key][0][1]:.4f} -> {self.runs[key][-1][1]:.4f}", flush=True)
        curve: list[list[float]] = self.runs[key]
        return curve


def mezo(k: int) -> zo.SPSA:
    """Return MeZO with a rate of 10^(k / 2)."""
    return zo.SPSA(lr=10 ** (k / 2), c=1e-3, draws=zo.Gaussian())


def tuned(kept: Kept, name: str, task: Task) -> int:
    """Return the half decade that is best on the design seed, no edge of the grid."""
    final: dict[int, float] = {}
    todo = list(task.grid)
    while todo:
        for k in todo:
            curve = kept(task, name, mezo(k), f"mezo {k}", task.budget, DESIGN)
            final[k] = curve[-1][1] if np.isfinite(curve[-1][1]) else np.inf
        best = min(final, key=final.__getitem__)
        edge = {min(final): -1, max(final): 1}.get(best)
        todo = [best + edge] if edge and len(final) < len(task.grid) + EDGE else []
    return best


def measured(kept: Kept, name: str) -> list[dict[str, Any]]:
    """Return a row for each recorded seed."""
    task = TASKS[name]()
    k = tuned(kept, name, task)
    rows = []
    for seed in SEEDS:
        theirs = kept(task, name, mezo(k), f"mezo {k}", task.budget, seed)
        goal = theirs[-1][1]
        row = {"task": name, "seed": seed, "lr": f"10^{k / 2:g}", "start": theirs[0][1], "mezo": goal}
        for part in PARTS:
            ours = kept(task, name, "auto", "auto", task.budget // part, seed)
            reached = next((forwards for forwards, loss in ours if loss <= goal), None)
            row |= {f"auto/{part}": ours[-1][1], f"at/{part}": None if reached is None else reached / task.budget}
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of Markdown."""
    head = "| task, seed | MeZO's rate | loss before | MeZO at T |"
    head += "".join(f" auto at T/{part} | there after |" for part in PARTS)
    lines = [head, "|---" * (4 + 2 * len(PARTS)) + "|"]
    for row in rows:
        cells = [f"{row['task']}, {row['seed']}", row["lr"], f"{row['start']:.3f}", f"{row['mezo']:.3f}"]
        for part in PARTS:
            at = row[f"at/{part}"]
            cells += [f"{row[f'auto/{part}']:.3f}", "not" if at is None else f"{at:.2f} T"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a file of JSON lines that is kept")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(args.out)
    print(table([row for name in args.tasks for row in measured(kept, name)]))


if __name__ == "__main__":
    main()

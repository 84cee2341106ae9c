"""Untuned `auto` on the digits MLP, 9,610 parameters, with the loss or the parameters in other units.

    python benchmarks/scale_invariance.py             about 25 seconds
    python benchmarks/scale_invariance.py --record    the same, written to benchmarks/results/scale_invariance.md

The loss is multiplied by 10 or by 0.1, or the parameters are: x0 is multiplied by 10 and the network evaluated at
x / 10. `auto`, told nothing of it, should come as far: the mean over the seeds of the final loss over the whole
training set, in its own units, should change by less than 5 %. The runs of a seed differ by rounding alone, which a run
of thousands of steps on minibatches amplifies: a factor of 8 rounds nothing in float32, and should change nothing.
"""

import argparse
from pathlib import Path

import numpy as np

from zoo_opt.bench.problems.digits import DigitsMLP
from zoo_opt.bench.solvers import make_solver

RECORD = Path(__file__).parent / "results" / "scale_invariance.md"
LIMIT = 0.05


VARIANTS = {  # what the loss and the parameters are multiplied by
    "as it is": (1.0, 1.0),
    "loss x 10": (10.0, 1.0),
    "loss x 0.1": (0.1, 1.0),
    "parameters x 10": (1.0, 10.0),
    "parameters x 8": (1.0, 8.0),
}


def final_loss(problem: DigitsMLP, units: tuple[float, float], seed: int, budget: int) -> float:
    """Loss over the training set, in its own units, after the budget."""
    loss_scale, scale = units[0], np.float32(units[1])
    solver = make_solver("auto", {}, problem.x0(seed) * scale, seed=seed, budget=budget)
    while not solver.stop():
        batch = solver.ask()
        solver.tell(batch, loss_scale * problem.losses(batch.X / scale, batch.step, seed))
    return problem.metrics(solver.mean / scale)["train_loss"]


def table(budget: int, seeds: list[int]) -> str:
    """A row per variant: the final loss of each seed, their mean, and how much that differs from the first row's."""
    problem = DigitsMLP()
    lines = [
        f"### {problem.name}, {budget:,} evaluations: final training loss\n",
        "| | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean | change of the mean | |",
        "| --- |" + " ---: |" * (len(seeds) + 2) + " --- |",
    ]
    means: list[float] = []
    for name, units in VARIANTS.items():
        losses = [final_loss(problem, units, seed, budget) for seed in seeds]
        means.append(float(np.mean(losses)))
        change = means[-1] / means[0] - 1
        verdict = "ok" if abs(change) < LIMIT else "MISSED"
        cells = [name, *(f"{loss:.4f}" for loss in losses), f"{means[-1]:.4f}"]
        lines.append(f"| {' | '.join(cells)} | " + (f"{change:+.1%} | {verdict} |" if len(means) > 1 else "| |"))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print a table per budget."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--budgets", type=int, nargs="+", default=[2_000, 10_000])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments.add_argument("--record", action="store_true", help=f"write {RECORD.name} in benchmarks/results")
    chosen = arguments.parse_args()
    tables = []
    for budget in chosen.budgets:
        tables.append(table(budget, chosen.seeds))
        print(tables[-1], flush=True)
    if chosen.record:
        RECORD.write_text("\n".join(["<!-- python benchmarks/scale_invariance.py --record -->\n", *tables]))


if __name__ == "__main__":
    main()

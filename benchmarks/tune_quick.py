"""The small grids behind the settings of quick.toml: every method's step size, in half decades, constant or cosine.

    python benchmarks/tune_quick.py bbob       fraction of targets reached, seeds 11 and 12 (the suite runs others)
    python benchmarks/tune_quick.py digits     mean final training loss, seeds 11 to 13

Prints the whole grid and marks each method's best. The CMA-ES family runs on bbob with its usual sigma0 = 2, a fifth
of the search space [-5, 5], and adapts from there.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from zoo_opt.bench.runner import run_task
from zoo_opt.bench.stats import fraction_reached
from zoo_opt.bench.suite import Method, Task

FUNCTIONS = (1, 6, 8, 10, 13, 15, 21)
RADEMACHER = {"type": "Rademacher"}


def half_decades(low: float, high: float) -> list[float]:
    """1, 3.16 and 10 of each decade, rounded to two digits."""
    count = round(2 * np.log10(high / low)) + 1
    return [float(f"{v:.1e}") for v in np.geomspace(low, high, count)]


def gains(lr: float) -> dict[str, Any]:
    """The two schedules tried: constant, and cosine decay to a hundredth."""
    return {"constant": lr, "cosine": {"type": "Cosine", "start": lr, "end": lr / 100}}


def gradient_grid(dim: int, c: float, low: float, high: float) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """(label, options) by method for the gradient family; FZOO's step is lr / c, so its lr is the step times c."""
    grid: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for use, more in {
        "spsa": {"draws": RADEMACHER},
        "spsa-gc": {"draws": RADEMACHER},
        "spsa-geass": {"draws": RADEMACHER, "threshold": 0.001 * dim},
        "fzoo": {},
    }.items():
        for step in half_decades(low, high):
            lr = step * c if use == "fzoo" else step
            for name, gain in gains(lr).items():
                grid.setdefault(use, []).append((f"{step:g} {name}", {"c": c, "lr": gain, **more}))
    return grid


def sigma_grid(low: float, high: float, more: dict[str, dict[str, Any]]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """(label, options) by method for those with an initial step size."""
    return {
        use: [(f"{s:g}", {"sigma0": s, **options}) for s in half_decades(low, high)] for use, options in more.items()
    }


def score(
    problem: str,
    options: list[dict[str, Any]],
    use: str,
    settings: dict[str, Any],
    seeds: list[int],
    budget: int,
) -> float:
    """Fraction of targets reached (bbob) or minus the mean final training loss (digits)."""
    method = Method(use, use, settings)
    runs = [run_task(Task("tune", problem, o, problem, method, seed, budget)) for o in options for seed in seeds]
    errors = [run["error"] for run in runs if run["error"]]
    if errors:
        print(errors[0])
        return -np.inf
    if problem == "bbob":
        return fraction_reached(runs)
    return -float(np.mean([run["figures"]["train_loss"] for run in runs]))


def main() -> None:
    """Run the grid of one problem set."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("problem", choices=["bbob", "digits"])
    arguments.add_argument("--only", help="one method")
    chosen = arguments.parse_args()
    problem = chosen.problem
    if problem == "bbob":
        options = [{"function": f, "dimension": 10, "instance": 1} for f in FUNCTIONS]
        seeds, budget = [11, 12], 10_000
        grid = gradient_grid(10, 1e-4, 1e-7, 1.0)
        grid |= sigma_grid(0.03, 3.0, {"nevergrad:OnePlusOne": {}, "nevergrad:TBPSA": {}})
    else:
        options, seeds, budget = [{}], [11, 12, 13], 10_000
        grid = gradient_grid(9610, 1e-3, 1e-4, 1e-1)
        restart_free: dict[str, Any] = {}
        grid |= sigma_grid(
            1e-3,
            1.0,
            {
                "sep-cma-es": restart_free,
                "pycma": {"diagonal": True},
                "cmaes:SepCMA": restart_free,
                "nevergrad:OnePlusOne": {},
                "nevergrad:TBPSA": {"config": {"naive": False, "initial_popsize": 5}},
            },
        )
    for use, entries in grid.items():
        if chosen.only not in (None, use):
            continue
        scores = [score(problem, options, use, settings, seeds, budget) for _, settings in entries]
        best = int(np.nanargmax(scores))
        print(f"{use}:")
        for i, ((label, _), value) in enumerate(zip(entries, scores, strict=True)):
            print(f"  {label:>18}  {abs(value):.4g}{'  <- best' if i == best else ''}", flush=True)


if __name__ == "__main__":
    main()

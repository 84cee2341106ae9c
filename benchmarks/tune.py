"""The grids behind the settings of the recorded suites, the same care for ours and for the peers.

    python benchmarks/tune.py bbob --only spsa scipy:Nelder-Mead
    python benchmarks/tune.py quick-digits

Sets (none shares an instance or a seed with a suite):

    bbob          area under the ECDF; 7 functions, instance 11, 10-D, 300 d evaluations
    bbob-noisy    the same; 9 functions of the three noise models
    digits        mean final training loss, 9,610 parameters, seeds 101 and 102, 2,000 evaluations
    digits-10k    the same, 10,000 evaluations: neighbours of what was best at 2,000
    digits-50k    the same, 50,000 evaluations, seed 101: neighbours for SPSA, FZOO, SepCMA-ES and pycma
    digits-large  the same, 76,000 parameters, seed 101, 2,000 evaluations: neighbours again
    digits-large-10k  the same, 10,000 evaluations: neighbours for SPSA, FZOO and SepCMA-ES
    svm, pendulum final validation loss, mean cost; seed 101, 500 and 1,000 evaluations
    quick-bbob    for the quick suite: fraction of targets, 7 functions, instance 1, 10-D, seeds 11 and 12, 1000 d
    quick-digits  for the quick suite: digits, seeds 11 to 13, 10,000 evaluations

Prints the whole grid and marks each method's best. The CMA-ES family runs on bbob with its usual sigma0 = 2, a fifth of
the search space [-5, 5], and adapts from there; so do L-BFGS-B and Nelder-Mead from their defaults but for the options
below.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.bench.problems.registry import make_problem
from zoo_opt.bench.statistics.stats import ecdf_area, fraction_reached
from zoo_opt.bench.task import Competitor, Task, run_task

Options = dict[str, Any]
Grid = dict[str, list[tuple[str, Options]]]  # by method: (label, options)
QUICK = (1, 6, 8, 10, 13, 15, 21)
NOISY = (101, 104, 107, 109, 110, 113, 117, 122, 128)
BOX = {"bounds": [-5.0, 5.0], "restart_from": [-4.0, 4.0]}
RESTARTED = {"restarts": "bipop", "restart_from": [-4.0, 4.0]}
# What peers need for many parameters: a diagonal covariance, a small population at the start.
MANY: dict[str, Options] = {
    "pycma": {"diagonal": True},
    "nevergrad:TBPSA": {"config": {"naive": False, "initial_popsize": 5}},
}


def half_decades(low: float, high: float) -> list[float]:
    """1, 3.2 and 10 of each decade, rounded to two digits."""
    count = round(2 * np.log10(high / low)) + 1
    return [float(f"{v:.1e}") for v in np.geomspace(low, high, count)]


def gradient_grid(uses: Sequence[str], radii: Sequence[float], steps: Sequence[float], dim: int = 0) -> Grid:
    """The gradient family: c, step size, and a constant or cosine schedule. FZOO's step is lr / c: its lr is that by c.

    SPSA-GEASS gets the released code's threshold of 0.001 d, for which `dim` is needed.
    """
    grid: Grid = {}
    for use in uses:
        more: Options = {} if use in ("fzoo", "bar") else {"draws": {"type": "Rademacher"}}
        if use == "spsa-geass":
            more["threshold"] = 0.001 * dim
        for c in radii:
            for step in steps:
                lr = step * c if use == "fzoo" else step
                cosine = {"type": "Cosine", "start": lr, "end": lr / 100}
                for name, gain in (("constant", lr), ("cosine", cosine)):
                    grid.setdefault(use, []).append((f"c {c:g} step {step:g} {name}", {"c": c, "lr": gain, **more}))
    return grid


def axis(use: str, key: str, values: Sequence[Any], **fixed: Any) -> Grid:
    """One method, one option."""
    return {use: [(f"{key} {value}", {key: value, **fixed}) for value in values]}


def sigma_grid(uses: Sequence[str], sigmas: Sequence[float], own: Mapping[str, Options] = {}) -> Grid:
    """Evolution strategies by their first step size, some of them with options of their own."""
    return {use: [(f"sigma0 {sigma}", {"sigma0": sigma, **own.get(use, {})}) for sigma in sigmas] for use in uses}


def nested(use: str, key: str, values: Sequence[Any], **fixed: Any) -> Grid:
    """One method, one entry of its ``options``."""
    return {use: [(f"{key} {value}", {**fixed, "options": {key: value}}) for value in values]}


def noisyopt_grid(gains: Sequence[float], radii: Sequence[float]) -> Grid:
    """The gains a and c of noisyopt."""
    return {"noisyopt:SPSA": [(f"c {c:g} a {a:g}", {"a": a, "c": c}) for c in radii for a in gains]}


def bbob_grid() -> Grid:
    """Step sizes and what scipy's users would try."""
    return {
        **gradient_grid(("spsa", "fzoo"), (1e-4, 1e-2), half_decades(1e-3, 1.0)),
        **noisyopt_grid(half_decades(1e-3, 1.0), (1e-4, 1e-2)),
        **nested("scipy:L-BFGS-B", "ftol", (2.2e-9, 1e-15), **BOX),
        "scipy:Nelder-Mead": [
            (f"adaptive {a} tol {t:g}", {**BOX, "options": {"adaptive": a, "xatol": t, "fatol": t}})
            for a in (False, True)
            for t in (1e-4, 1e-8)
        ],
        **nested("scipy:differential_evolution", "popsize", (1, 2, 5, 15), bounds=[-5.0, 5.0]),
        **sigma_grid(("nevergrad:OnePlusOne", "nevergrad:TBPSA"), (0.3, 1.0, 2.0)),
    }


def noisy_grid() -> Grid:
    """Larger radii, and what the noise handlers offer."""
    return {
        **gradient_grid(("spsa", "fzoo"), (0.1, 1.0), half_decades(1e-2, 1.0)),
        **noisyopt_grid(half_decades(1e-2, 1.0), (0.1, 1.0)),
        **axis("pycma:noise-handler", "maxevals", (1, [1, 1, 30]), sigma0=2.0, **RESTARTED),
        **axis("cmaes:CMA", "lr_adapt", (False, True), sigma0=2.0, **RESTARTED),
        **sigma_grid(("nevergrad:TBPSA",), (0.3, 1.0, 2.0)),
    }


def network_grid(steps: Sequence[float], sigmas: Sequence[float], gains: Sequence[float], c: float, dim: int) -> Grid:
    """The digits network and policies: gradient family and evolution strategies by step size."""
    grid = gradient_grid(("spsa", "fzoo"), (c,), steps, dim) | noisyopt_grid(gains, (c,))
    return grid | sigma_grid(("sep-cma-es", "pycma", "cmaes:SepCMA", "nevergrad:TBPSA"), sigmas, MANY)


def long_grid(steps: Sequence[float], sigmas: Sequence[float], uses: Sequence[str]) -> Grid:
    """What is worth a look at a longer budget: neighbours of the best at a shorter one."""
    return gradient_grid(("spsa", "fzoo"), (1e-3,), steps) | sigma_grid(uses, sigmas, MANY)


def task_grid(c: float, steps: Sequence[float], sigmas: Sequence[float]) -> Grid:
    """The SVM and the pendulum: the full CMA-ES of everyone as well."""
    uses = ("cma-es", "pycma", "cmaes:CMA", "nevergrad:TBPSA", "nevergrad:OnePlusOne")
    return gradient_grid(("spsa", "fzoo"), (c,), steps) | noisyopt_grid(steps, (c,)) | sigma_grid(uses, sigmas)


@dataclass(frozen=True)
class Set:
    """Where a grid is tried: problems, seeds, budget, what is measured, and the grid."""

    problem: str
    options: list[Options]
    seeds: tuple[int, ...]
    grid: Grid
    measure: str  # "area", "reached" or a figure to be small
    budget: int = 0
    per_dim: int = 0

    def score(self, use: str, settings: Options) -> float:
        """Area under the ECDF or fraction of targets reached, or minus the mean of the figure."""
        runs = [run_task(task) for task in self._tasks(use, settings)]
        errors = [run["error"] for run in runs if run["error"]]
        if errors:
            print(errors[0])
            return -np.inf
        if self.measure == "area":
            return ecdf_area(runs)
        if self.measure == "reached":
            return fraction_reached(runs)
        values = [run["figures"][self.measure] for run in runs]
        return -float(np.mean([np.inf if v is None or np.isnan(v) else v for v in values]))

    def _tasks(self, use: str, settings: Options) -> Iterator[Task]:
        for options in self.options:
            problem = make_problem(self.problem, options)
            budget = self.budget or self.per_dim * problem.dim
            for seed in self.seeds:
                method = Competitor(use, use, settings)
                yield Task("tune", self.problem, options, problem.name, problem.dim, method, seed, budget)


def coco(functions: Sequence[int], dimensions: Sequence[int], instance: int) -> list[Options]:
    """Options of COCO's problems."""
    return [{"function": f, "dimension": d, "instance": instance} for d in dimensions for f in functions]


def quick_bbob() -> Grid:
    """As the quick suite was tuned."""
    uses = ("spsa", "spsa-gc", "spsa-geass", "fzoo", "bar")
    peers = sigma_grid(("nevergrad:OnePlusOne", "nevergrad:TBPSA"), half_decades(0.03, 3.0))
    return gradient_grid(uses, (1e-4,), half_decades(1e-7, 1.0), 10) | peers


def digits(grid: Grid, budget: int, seeds: tuple[int, ...] = (101,), **options: int) -> Set:
    """A grid on the digits network."""
    return Set("digits", [options], seeds, grid, "train_loss", budget)


NEAR = (3.2e-3, 1e-2, 3.2e-2)  # step sizes about the best on digits
SETS = {
    "bbob": Set("bbob", coco(QUICK, (10,), 11), (101,), bbob_grid(), "area", per_dim=300),
    "bbob-noisy": Set("bbob-noisy", coco(NOISY, (10,), 11), (101,), noisy_grid(), "area", per_dim=300),
    "digits": digits(
        network_grid(half_decades(1e-3, 0.32), half_decades(1e-2, 0.32), half_decades(1e-3, 1.0), 1e-3, 9610),
        2000,
        (101, 102),
    ),
    "digits-10k": digits(network_grid(NEAR, (3.2e-2, 0.1), (3.2e-2, 0.1), 1e-3, 9610), 10_000),
    "digits-large": digits(network_grid(NEAR, (0.032, 0.1), (0.032, 0.1), 1e-3, 75985), 2000, hidden=1013),
    "digits-50k": digits(long_grid(NEAR, (1e-2, 3.2e-2), ("sep-cma-es", "pycma")), 50_000),
    "digits-large-10k": digits(long_grid((3.2e-3, 3.2e-2), (1e-2, 3.2e-2), ("sep-cma-es",)), 10_000, hidden=1013),
    "svm": Set(
        "svm", [{}], (101,), task_grid(0.1, half_decades(0.1, 3.2), (0.3, 1.0, 3.0)), "validation_loss", budget=500
    ),
    "pendulum": Set(
        "pendulum", [{}], (101,), task_grid(0.03, half_decades(0.01, 0.3), (0.1, 0.3, 1.0, 3.0)), "mean_cost", 1000
    ),
    "quick-bbob": Set("bbob", coco(QUICK, (10,), 1), (11, 12), quick_bbob(), "reached", per_dim=1000),
    "quick-digits": digits(
        network_grid(half_decades(1e-4, 1e-1), half_decades(1e-3, 1.0), half_decades(1e-3, 1.0), 1e-3, 9610)
        | gradient_grid(("spsa-gc", "spsa-geass", "bar"), (1e-3,), half_decades(1e-4, 1e-1), 9610),
        10_000,
        (11, 12, 13),
    ),
}


def main() -> None:
    """Run the grid of one set."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("set", choices=SETS)
    arguments.add_argument("--only", nargs="+", help="methods, by the names that suites use")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")  # overflow of settings that diverge
    tried = SETS[chosen.set]
    for use, entries in tried.grid.items():
        if chosen.only and use not in chosen.only:
            continue
        start = time.process_time()
        print(use, end="", flush=True)
        scores = [tried.score(use, settings) for _, settings in entries]
        best = int(np.nanargmax(scores))
        print(f": {tried.measure} on {chosen.set}, {time.process_time() - start:.0f} s")
        for i, ((label, _), value) in enumerate(zip(entries, scores, strict=True)):
            print(f"  {label:>30}  {abs(value):.4g}{'  <- best' if i == best else ''}", flush=True)


if __name__ == "__main__":
    main()

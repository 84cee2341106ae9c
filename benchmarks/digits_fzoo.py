"""Digits MLP, 9,610 parameters, 10,000 minibatch losses: FZOO against the best tuned SPSA and the best tuned peer.

    python benchmarks/digits_fzoo.py                 about 15 minutes on one core
    python benchmarks/digits_fzoo.py --only fzoo spsa

Every method is searched on the same half-decade grid of step sizes, and those with a schedule with a constant one and a
cosine decay to a hundredth. "Step size" is lr for SPSA and SPSA-GC, lr / c for FZOO (the size of a step's coordinates),
sigma0 for the evolution strategies. Seeds are paired: the same start and the same minibatches for all; the candidates
of one step share a minibatch. A setting is run on the first seed, and if it came within a factor 2 of the method's
best there, on the others. The best setting is the one with the lowest mean over the seeds of the final loss over the
whole training set, taken at the method's mean. The median of every setting is printed too: SPSA's step size is a
cliff, and a setting that is good in the median may diverge on one seed.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.bench.task import Competitor, Task, run_task

SEEDS = (1, 2, 3)
STEPS = (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1, 3.2e-1)
C = 1e-3


@dataclass(frozen=True)
class Contestant:
    """A method, whose it is, and its options for a step size and a schedule."""

    use: str
    side: str  # "fzoo", "spsa", "peer" or "other"
    fixed: dict[str, Any]
    scheduled: bool = False

    def options(self, step: float, schedule: str) -> dict[str, Any]:
        """Options at one point of the grid."""
        if not self.scheduled:
            return {"sigma0": step, **self.fixed}
        lr = step * C if self.use == "fzoo" else step
        gain = lr if schedule == "constant" else {"type": "Cosine", "start": lr, "end": lr / 100}
        return {"lr": gain, "c": C, **self.fixed}


RADEMACHER = {"draws": {"type": "Rademacher"}}
CONTESTANTS = {
    "fzoo": Contestant("fzoo", "fzoo", {}, scheduled=True),
    "spsa": Contestant("spsa", "spsa", RADEMACHER, scheduled=True),
    "spsa, segmented uniform": Contestant("spsa", "spsa", {}, scheduled=True),
    "spsa-gc": Contestant("spsa-gc", "other", RADEMACHER, scheduled=True),
    "sep-cma-es": Contestant("sep-cma-es", "other", {}),
    "pycma, diagonal": Contestant("pycma", "peer", {"diagonal": True}),
    "cmaes SepCMA": Contestant("cmaes:SepCMA", "peer", {}),
    "nevergrad TBPSA": Contestant("nevergrad:TBPSA", "peer", {"config": {"naive": False, "initial_popsize": 5}}),
    "nevergrad OnePlusOne": Contestant("nevergrad:OnePlusOne", "peer", {}),
}


def final(contestant: Contestant, step: float, schedule: str, seed: int, budget: int) -> tuple[float, float]:
    """Training loss and test accuracy after the budget."""
    method = Competitor(contestant.use, contestant.use, contestant.options(step, schedule))
    entry = run_task(Task("digits", "digits", {}, "digits", 9610, method, seed, budget))
    if entry["error"]:
        raise RuntimeError(entry["error"])
    loss = entry["figures"]["train_loss"]
    return (loss if np.isfinite(loss) else np.inf), entry["figures"]["test_accuracy"]


def search(name: str, contestant: Contestant, budget: int) -> tuple[float, float, str]:
    """Print the grid of one method; returns the best setting's mean loss, mean accuracy and name."""
    schedules = ("constant", "cosine") if contestant.scheduled else ("-",)
    grid = {(step, s): [final(contestant, step, s, SEEDS[0], budget)] for s in schedules for step in STEPS}
    bar = 2 * min(results[0][0] for results in grid.values())
    for (step, schedule), results in grid.items():
        if results[0][0] <= bar:
            results += [final(contestant, step, schedule, seed, budget) for seed in SEEDS[1:]]
    full = {point: results for point, results in grid.items() if len(results) == len(SEEDS)}
    best = min(full, key=lambda point: float(np.mean([loss for loss, _ in full[point]])))
    print(f"{name}: final training loss by step size ({', '.join(f'{s:g}' for s in STEPS)})")
    for schedule in schedules:
        cells = []
        for step in STEPS:
            losses = [loss for loss, _ in grid[step, schedule]]
            mark = "*" if (step, schedule) == best else " "
            many = f"{np.mean(losses):.3g} ({np.median(losses):.3g})" if len(losses) > 1 else f"[{losses[0]:.3g}]"
            cells.append(f"{many + mark:>18}")
        print(f"  {schedule:<9}" + "".join(cells), flush=True)
    loss, accuracy = (float(np.mean(v)) for v in zip(*full[best], strict=True))
    return loss, accuracy, f"{best[0]:g} {best[1]}"


def main() -> None:
    """Print every grid, the table of the best settings and the two ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    arguments.add_argument("--budget", type=int, default=10_000)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")  # overflow of settings that diverge
    print(f"budget {chosen.budget}, seeds {SEEDS}, c = {C:g}; mean over seeds (median); [first seed alone]; * best\n")
    best = {name: search(name, CONTESTANTS[name], chosen.budget) for name in chosen.only}
    print(f"\n{'method':<26}{'train loss':>12}{'test accuracy':>15}   setting")
    for name, (loss, accuracy, setting) in sorted(best.items(), key=lambda item: item[1][0]):
        print(f"{name:<26}{loss:>12.4f}{accuracy:>15.4f}   {setting}")
    sides = {
        side: min((best[n][0] for n in best if CONTESTANTS[n].side == side), default=np.nan)
        for side in ("fzoo", "spsa", "peer")
    }
    for side, limit in (("spsa", 0.75), ("peer", 0.9)):
        ratio = sides["fzoo"] / sides[side]
        print(f"FZOO / best {side}: {ratio:.3f}   expected <= {limit}   {'ok' if ratio <= limit else 'MISSED'}")


if __name__ == "__main__":
    main()

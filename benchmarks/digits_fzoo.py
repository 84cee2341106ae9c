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

import argparse
import warnings

import numpy as np
from tune import MANY, Options, gradient_grid, sigma_grid

from zoo_opt.bench.task import Competitor, Task, run_task

SEEDS = (1, 2, 3)
STEPS = (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1, 3.2e-1)
C = 1e-3
OURS = gradient_grid(("fzoo", "spsa", "spsa-gc"), (C,), STEPS)  # SPSA with Rademacher directions
PEERS = sigma_grid(("sep-cma-es", "pycma", "cmaes:SepCMA", "nevergrad:TBPSA", "nevergrad:OnePlusOne"), STEPS, MANY)
SEGMENTED = [(label, {"lr": options["lr"], "c": C}) for label, options in OURS["spsa"]]
CONTESTANTS = {  # the method, whose it is, and its settings
    "fzoo": ("fzoo", "fzoo", OURS["fzoo"]),
    "spsa": ("spsa", "spsa", OURS["spsa"]),
    "spsa, segmented uniform": ("spsa", "spsa", SEGMENTED),
    "spsa-gc": ("spsa-gc", "other", OURS["spsa-gc"]),
    "sep-cma-es": ("sep-cma-es", "other", PEERS["sep-cma-es"]),
    "pycma, diagonal": ("pycma", "peer", PEERS["pycma"]),
    **{use.replace(":", " "): (use, "peer", settings) for use, settings in PEERS.items() if ":" in use},
}


def final(use: str, options: Options, seed: int, budget: int) -> tuple[float, float]:
    """Training loss and test accuracy after the budget."""
    entry = run_task(Task("digits", "digits", {}, "digits", 9610, Competitor(use, use, options), seed, budget))
    if entry["error"]:
        raise RuntimeError(entry["error"])
    loss = entry["figures"]["train_loss"]
    return (loss if np.isfinite(loss) else np.inf), entry["figures"]["test_accuracy"]


def search(name: str, budget: int) -> tuple[float, float, str]:
    """Print the grid of one method; returns the best setting's mean loss, mean accuracy and name."""
    use, _, grid = CONTESTANTS[name]
    results = [[final(use, options, SEEDS[0], budget)] for _, options in grid]
    bar = 2 * min(first[0][0] for first in results)
    for (_, options), made in zip(grid, results, strict=True):
        if made[0][0] <= bar:
            made += [final(use, options, seed, budget) for seed in SEEDS[1:]]
    losses = [[loss for loss, _ in made] for made in results]
    best = min((i for i, seen in enumerate(losses) if len(seen) == len(SEEDS)), key=lambda i: np.mean(losses[i]))
    print(f"{name}: final training loss")
    for i, ((label, _), seen) in enumerate(zip(grid, losses, strict=True)):
        many = f"{np.mean(seen):.3g} ({np.median(seen):.3g})" if len(seen) > 1 else f"[{seen[0]:.3g}]"
        print(f"  {label:>30}{many:>18}{'*' if i == best else ''}", flush=True)
    loss, accuracy = np.mean(results[best], axis=0).tolist()
    return loss, accuracy, grid[best][0]


def main() -> None:
    """Print every grid, the table of the best settings and the two ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    arguments.add_argument("--budget", type=int, default=10_000)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")  # overflow of settings that diverge
    print(f"budget {chosen.budget}, seeds {SEEDS}, c = {C:g}; mean over seeds (median); [first seed alone]; * best\n")
    best = {name: search(name, chosen.budget) for name in chosen.only}
    print(f"\n{'method':<26}{'train loss':>12}{'test accuracy':>15}   setting")
    for name, (loss, accuracy, setting) in sorted(best.items(), key=lambda item: item[1][0]):
        print(f"{name:<26}{loss:>12.4f}{accuracy:>15.4f}   {setting}")
    sides = {
        side: min((best[n][0] for n in best if CONTESTANTS[n][1] == side), default=np.nan)
        for side in ("fzoo", "spsa", "peer")
    }
    for side, limit in (("spsa", 0.75), ("peer", 0.9)):
        ratio = sides["fzoo"] / sides[side]
        print(f"FZOO / best {side}: {ratio:.3f}   expected <= {limit}   {'ok' if ratio <= limit else 'MISSED'}")


if __name__ == "__main__":
    main()

"""What failed evaluations cost: the 10-D sphere, 30 % of the evaluations failing at random, twice the budget.

    python benchmarks/failures.py

For every method the median over 11 seeds of the final loss, without failures and with them: of the current iterate for
the gradient family, of the best point for CMA-ES, which may just have restarted. The second, with twice the budget,
should be at most 10 times the first or under 1e-10. A failure is told as NaN.
"""

import argparse
import warnings

import numpy as np

import zoo_opt as zo

DIM, RATE, SEEDS = 10, 0.3, range(11)
METHODS = {
    "spsa": zo.SPSA(lr=0.05, c=0.01),
    "spsa-gc": zo.SPSAGC(lr=0.005, c=0.01),
    "spsa-geass": zo.SPSAGEASS(lr=0.005, c=0.01, threshold=0.0),
    "bar": zo.BAR(lr=0.02, c=0.001),
    "fzoo": zo.FZOO(lr=zo.Cosine(1e-4, 1e-6, 300), c=1e-3),
    "cma-es": zo.CMAES(sigma0=0.5),
    "cma-es, bipop": zo.CMAES(sigma0=0.5, restarts="bipop"),
    "sep-cma-es": zo.SepCMAES(sigma0=0.5),
    "spsa in 5-D subspace": zo.RandomSubspace(zo.SPSA(lr=0.02, c=0.01), dim=5),
}


def final_loss(method: object, seed: int, budget: int, rate: float) -> float:
    """Final loss after the budget, `rate` of the evaluations having failed."""
    start, failures = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    opt = zo.Optimizer(method, start.standard_normal(DIM), rng=seed, budget=budget)
    while not opt.stop():
        batch = opt.ask()
        losses = (batch.X**2).sum(axis=1)
        losses[failures.random(len(losses)) < rate] = np.nan
        opt.tell(batch, losses)
    return float((opt.best.x**2).sum() if "CMAES" in repr(method) else (opt.mean**2).sum())


def main() -> None:
    """Print a line per method."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--budget", type=int, default=2700, help="evaluations without failures (default: 2700)")
    budget = arguments.parse_args().budget
    warnings.simplefilter("ignore")
    print(f"sphere, {DIM}-D, {budget} evaluations: median final loss of {len(SEEDS)} seeds")
    print(f"  {'method':<22}{'start':>12}{'no failures':>14}{f'{RATE:.0%} failures':>14}{'ratio':>10}")
    for name, method in METHODS.items():
        start = float(np.median([(np.random.default_rng([s, 0]).standard_normal(DIM) ** 2).sum() for s in SEEDS]))
        without = float(np.median([final_loss(method, seed, budget, 0.0) for seed in SEEDS]))
        with_ = float(np.median([final_loss(method, seed, 2 * budget, RATE) for seed in SEEDS]))
        good = with_ < 1e-10 or with_ <= 10 * without
        verdict = "ok" if good else "MISSED"
        print(f"  {name:<22}{start:>12.3g}{without:>14.3g}{with_:>14.3g}{with_ / without:>10.3g}  {verdict}")


if __name__ == "__main__":
    main()

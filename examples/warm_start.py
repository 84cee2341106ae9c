"""Begin with what is known already: a table of earlier measurements, or a few guesses.

`opt.tell_known(points, losses)` takes points that nobody asked for; they cost no evaluation, and the best of them is
where the run starts. In the middle of a run it takes points too: CMA-ES mixes them into its next generation. Guesses
that were never measured are several starts: `x0` has a row for each, and the first step measures them all.

With a good start comes a small `sigma0`: the step size says how far away the optimum may be. More:
docs/getting-started.md.
"""

import numpy as np

import zoo_opt as zo

BEST_SETTINGS = np.linspace(-1.0, 1.0, 8)


def measure(x: np.ndarray) -> float:
    """Return the loss of a machine with these settings."""
    return float(np.sum(np.logspace(0, 2, 8) * (x - BEST_SETTINGS) ** 2))


def evaluations(opt: zo.Optimizer) -> int:
    """Run until there is a reason to stop; return how many evaluations that took."""
    while not opt.stop():
        batch = opt.ask()
        opt.tell(batch, [measure(x) for x in batch])
    return opt.nfev


def main() -> None:
    """Count the evaluations that each start needs."""
    rng = np.random.default_rng(0)
    table = BEST_SETTINGS + rng.normal(scale=0.2, size=(50, 8))
    losses = [measure(x) for x in table]  # last year's
    guesses = BEST_SETTINGS + rng.normal(scale=0.2, size=(5, 8))

    nothing, starts, known = [], [], []
    for seed in range(10):
        far, near = zo.CMAES(sigma0=0.5), zo.CMAES(sigma0=0.1)
        nothing.append(evaluations(zo.Optimizer(far, np.full(8, 2.0), rng=seed, target=0.01, budget=5000)))
        starts.append(evaluations(zo.Optimizer(near, guesses, rng=seed, target=0.01, budget=5000)))
        opt = zo.Optimizer(near, np.full(8, 2.0), rng=seed, target=0.01, budget=5000)
        opt.tell_known(table, losses)
        known.append(evaluations(opt))
    print("evaluations to a loss of 0.01, on average of 10 runs")
    print(f"from a start far away {np.mean(nothing):5.0f}")
    print(f"from five guesses     {np.mean(starts):5.0f}")
    print(f"from the table        {np.mean(known):5.0f}")


if __name__ == "__main__":
    main()

"""Fit a simulator that breaks down for some parameters.

The rates of a predator-prey model are fitted to observed populations. For many rates the simulated populations explode,
and now and then the simulator gives no answer at all. Both are failed evaluations: an exception, or NaN. They are
counted, never ranked, and the run goes on; `res.failures` says how many there were of which kind, `res.first_failures`
where the first of each came from. Only if the first 20 all fail does `minimize` raise an error: nothing works then.

More: docs/parallel.md.
"""

import numpy as np

import zoo_opt as zo

TRUE_RATES = np.array([1.1, 0.4, 0.1, 0.4])  # prey born, prey eaten, predators fed, predators dying
DAYS, STEPS_PER_DAY = 10, 4


def simulate(rates: np.ndarray) -> np.ndarray:
    """Return the populations day by day, (DAYS, 2); raise where they explode."""
    born, eaten, fed, dying = rates.tolist()
    prey, predators = 10.0, 5.0
    populations = []
    for _ in range(DAYS):
        for _ in range(STEPS_PER_DAY):
            growth, decline = prey * (born - eaten * predators), predators * (fed * prey - dying)
            prey, predators = prey + growth / STEPS_PER_DAY, predators + decline / STEPS_PER_DAY
            if not (0.0 <= prey < 1e4 and 0.0 <= predators < 1e4):
                raise ArithmeticError("populations exploded")
        populations.append((prey, predators))
    return np.array(populations)


observed = simulate(TRUE_RATES)
unreliable = np.random.default_rng(0)


def misfit(rates: np.ndarray) -> float:
    """Return the mean squared difference of the logarithms of the populations."""
    if unreliable.random() < 0.05:
        return float("nan")  # the simulator gave no answer
    return float(np.mean((np.log1p(simulate(rates)) - np.log1p(observed)) ** 2))


def main() -> None:
    """Fit the rates from a rough guess."""
    guess = np.full(4, 0.5)
    res = zo.minimize(misfit, guess, method=zo.CMAES(sigma0=0.3, bounds=(0.0, 2.0)), budget=1000, rng=0)
    print(f"{res.nfev} evaluations, of which {res.nfail} failed:")
    for reason, count in res.failures.items():
        print(f"  {count:4d} {reason}")
    print("where the first exception came from:", *res.first_failures["ArithmeticError"].splitlines()[-3:], sep="\n  ")
    print(f"true rates   {TRUE_RATES}")
    print(f"fitted rates {res.x.round(4)}")
    print(f"misfit       {res.fun:.1e}")


if __name__ == "__main__":
    main()

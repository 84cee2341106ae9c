"""Minimise what can only be measured with an error.

Near the optimum the error is far larger than the differences between points. The best value measured belongs to a lucky
point and promises too much: take the mean of the search (`recommend="mean"`). CMA-ES has a part that averages the error
out, `noise=zo.QuadraticModel()`; the method "auto" takes it by itself when it sees noise.

More: docs/noise.md.
"""

import numpy as np

import zoo_opt as zo

TARGET = np.array([0.3, -1.2, 0.8, 2.0, -0.5, 1.1])


def true_loss(x: np.ndarray) -> float:
    """Return what nobody can measure, only this script knows."""
    return float(np.sum((x - TARGET) ** 2))


def main() -> None:
    """Compare what each way of searching really found."""
    searches: dict[str, tuple[zo.Method, str]] = {
        "CMA-ES, best measured": (zo.CMAES(sigma0=1.0), "best"),
        "CMA-ES, mean": (zo.CMAES(sigma0=1.0), "mean"),
        "with a model, mean": (zo.CMAES(sigma0=1.0, noise=zo.QuadraticModel()), "mean"),
    }
    print("search                   measured   truly (averages of 10 runs)")
    for name, (method, recommend) in searches.items():
        measured, truly = [], []
        for seed in range(10):
            errors = np.random.default_rng(seed)

            def measure(x: np.ndarray, errors: np.random.Generator = errors) -> float:
                return true_loss(x) + float(errors.normal())

            res = zo.minimize(measure, np.zeros(6), method=method, budget=1000, rng=seed, recommend=recommend)
            measured.append(res.fun)
            truly.append(true_loss(res.x))
        print(f"{name:24} {np.mean(measured):8.3f} {np.mean(truly):8.3f}")


if __name__ == "__main__":
    main()

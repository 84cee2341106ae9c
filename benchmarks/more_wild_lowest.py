"""The lowest sums known of Moré and Wild's problems, by methods that see residuals: what `lowest.py` holds.

Sums of squares by Levenberg and Marquardt, sums of absolute values by a sequence of linear programs in a trust region,
each from the problem's start and from random points around the standard one. Takes about a quarter of an hour.
"""

import argparse

import numpy as np
from scipy.optimize import least_squares, linprog

from zoo_opt.bench.problems.more_wild.problem import _NONNEGATIVE, TABLE, MoreWild, standard_start


def starts(problem, count, rng):
    """The problem's start, the standard one, and random points around it on several scales."""
    standard = standard_start(problem.function, problem.dim)
    yield problem.x0(0)
    yield standard
    for _ in range(count):
        width = 10.0 ** rng.uniform(-1, 1)
        yield standard * (1 + width * rng.standard_normal(problem.dim)) + width * rng.standard_normal(problem.dim)


def squares(problem, x):
    """The lowest sum of squares from here, and where."""

    def finite(x):
        return np.nan_to_num(np.clip(problem.residuals(x), -1e75, 1e75), nan=1e75)

    try:
        found = least_squares(
            finite, x, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=200 * (problem.dim + 1)
        )
    except (ValueError, FloatingPointError):
        return np.inf, x
    return float(np.sum(problem.residuals(found.x) ** 2)), found.x


def absolutes(problem, x, steps=80):
    """The lowest sum of absolute values from here: min |r + J s| over |s_j| <= delta scale_j, again and again."""
    low = 0.0 if problem.function in _NONNEGATIVE else -np.inf
    x = np.maximum(x, low)
    scale, n = np.maximum(np.abs(x), 0.1), problem.dim
    delta, r = 0.5, problem.residuals(x)
    value, jacobian = float(np.abs(r).sum()), None
    reference = float(np.abs(problem.residuals(problem.x0(0))).sum())  # from far above there is no way
    for _ in range(steps):
        if not value < 1e3 * reference:
            break
        if jacobian is None:
            h = 1e-6 * np.maximum(np.abs(x), 1e-3)
            jacobian = np.column_stack(
                [
                    (problem.residuals(x + h[j] * e) - problem.residuals(np.maximum(x - h[j] * e, low)))
                    / (h[j] + min(h[j], x[j] - low))
                    for j, e in enumerate(np.eye(n))
                ]
            )
            if not np.isfinite(jacobian).all():
                break
        m = r.size
        weights = np.maximum(np.abs(r).max(), 1e-300)
        columns = jacobian * scale / weights
        plan = linprog(
            np.concatenate([np.zeros(n), np.ones(m)]),
            A_ub=np.block([[columns, -np.eye(m)], [-columns, -np.eye(m)]]),
            b_ub=np.concatenate([-r, r]) / weights,
            bounds=[(max(-delta, (low - x[j]) / scale[j]), delta) for j in range(n)] + [(0, None)] * m,
            method="highs",
            options={"time_limit": 1.0},
        )
        if plan.x is None:
            break
        there = np.maximum(x + scale * plan.x[:n], low)
        new = problem.residuals(there)
        fall, promised = value - float(np.abs(new).sum()), value - float(plan.fun) * weights
        if promised <= 1e-11 * value or value < 1e-14 * reference:
            break
        if fall > 0:
            x, r, value, jacobian = there, new, float(np.abs(new).sum()), None
            scale = np.maximum(np.abs(x), 0.01 * scale)
        delta = min(2 * delta, 4.0) if fall > 0.75 * promised else delta / 2 if fall < 0.25 * promised else delta
        if delta < 1e-12:
            break
    return value, x


def main():
    """Print both tuples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=6, help="random starts per problem")
    parser.add_argument("--numbers", type=int, nargs="*", default=range(1, 54), help="problems; all by default")
    chosen = parser.parse_args()
    lowest = {"smooth": [], "piecewise": []}
    for number in chosen.numbers:
        function, n, m, _ = TABLE[number - 1]
        rng = np.random.default_rng([function, n, m])  # the same for both scales of the start
        smooth, piecewise = MoreWild(number, "smooth"), MoreWild(number, "piecewise")
        points = list(starts(smooth, chosen.starts, rng))
        many = starts(smooth, 5 * chosen.starts, rng)
        found = sorted((squares(smooth, x) for x in many), key=lambda pair: pair[0])
        lowest["smooth"].append(found[0][0])
        several = [*points, *(x for _, x in found[:3])]
        lowest["piecewise"].append(min(absolutes(piecewise, x)[0] for x in several))
        print(number, function, n, *(values[-1] for values in lowest.values()), flush=True)
    for kind, values in lowest.items():
        print(kind, tuple(float(f"{value:.9e}") for value in values))


if __name__ == "__main__":
    main()

"""What goes wrong in practice, around any problem: noise, shaky digits, failures, slow calls, 8-bit inputs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from zoo_opt.bench.problems.protocol import FloatArray, NoisyProblem, Problem, pair_seed
from zoo_opt.bench.problems.shaky import Ripple, jitter_of_points, rounded_to_float32

BY = ("point", "evaluation")  # what decides the jitter


class Wrapped:
    """A problem made harder; curve and targets stay those of the problem without noise and failures.

    In a suite: ``problem_options = { function = 1, dimension = 10, wrap = { additive = 0.1, failures = 0.05 } }``.

    Parameters
    ----------
    problem : Problem
    additive : float
        Standard deviation of Gaussian noise added to every loss.
    multiplicative : float
        Standard deviation s of a factor 1 + s N(0, 1) on every loss, above the optimum where that is known.
    jitter : float
        Every loss y becomes y (1 + s u), with s this number and u uniform in [-1, 1].
    jitter_by : {"point", "evaluation"}
        What u is decided by: the point alone, so that asking again gives the same loss, or every evaluation anew.
    ripple : float
        Every loss y becomes y (1 + s r), with r the saw tooth of `zoo_opt.bench.problems.shaky.Ripple`.
    float32 : bool
        Losses are rounded to single precision, after all else.
    failures : float
        Probability of a NaN in place of the loss.
    delay : float
        Seconds that each candidate takes longer.
    levels : int or None
        Round each coordinate to one of so many equally spaced values of `box` (256: an 8-bit input).
    box : (float, float) or None
        Range of the quantisation; values beyond are clipped. None takes the problem's `bounds`.

    Raises
    ------
    ValueError
        If a parameter is out of range, or `levels` is given for a problem that has no bounds without a `box`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        additive: float = 0.0,
        multiplicative: float = 0.0,
        jitter: float = 0.0,
        jitter_by: str = "point",
        ripple: float = 0.0,
        float32: bool = False,
        failures: float = 0.0,
        delay: float = 0.0,
        levels: int | None = None,
        box: tuple[float, float] | None = None,
    ) -> None:
        sizes = {"additive": additive, "multiplicative": multiplicative, "jitter": jitter, "ripple": ripple}
        for name, value in {**sizes, "delay": delay}.items():
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} must be finite and 0 or more, got {value!r}")
        if jitter_by not in BY:
            raise ValueError(f"jitter_by must be one of {BY}, got {jitter_by!r}")
        if not 0 <= failures < 1:
            raise ValueError(f"failures must be a probability below 1, got {failures!r}")
        if levels is not None and (levels < 2 or levels != int(levels)):
            raise ValueError(f"levels must be an integer of 2 or more, got {levels!r}")
        box = box or getattr(problem, "bounds", None)
        if levels is not None and box is None:
            raise ValueError(f"box must be given to quantise the inputs of {problem.name}, which has no bounds")
        self._inner = problem
        self._noisy = problem if isinstance(problem, NoisyProblem) else None
        self._additive, self._multiplicative, self._failures = additive, multiplicative, failures
        self._delay, self._levels, self._box = delay, levels, box
        self._jitter, self._by_point, self._float32 = jitter, jitter_by == "point", float32
        given = {"add": additive, "mult": multiplicative, "jitter" if self._by_point else "rejitter": jitter}
        given |= {"ripple": ripple, "fail": failures, "delay": delay, "levels": levels or 0}
        names = [problem.name, *(f"{key}{value:g}" for key, value in given.items() if value)]
        self.name = "-".join([*names, "float32"] if float32 else names)
        self.dim, self.optimum, self.curve = problem.dim, problem.optimum, problem.curve
        self.targets: Sequence[float] = problem.targets
        self.bounds = getattr(problem, "bounds", None)
        self.reusable = getattr(problem, "reusable", False)
        low, high = self.bounds or (0.0, 10.0)
        self._ripple = (ripple, Ripple(problem.name, self.dim, float(np.max(np.subtract(high, low)))))

    def x0(self, seed: int) -> FloatArray:
        """The start of the problem inside: noise and failures leave it alone."""
        return self._inner.x0(seed)

    def quantised(self, X: FloatArray) -> FloatArray:
        """`X` as the problem inside gets to see it."""
        if self._levels is None or self._box is None:
            return X
        low, high = self._box
        width = (high - low) / (self._levels - 1)
        return np.asarray(low + np.rint((np.clip(X, low, high) - low) / width) * width, dtype=X.dtype)

    def true_losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Losses without noise and failures, shape (n,), after the delay."""
        if self._delay:
            time.sleep(self._delay * len(X))
        losses = self._inner.losses if self._noisy is None else self._noisy.true_losses
        return losses(self.quantised(X), step, seed)

    def observe(self, X: FloatArray, true: FloatArray, rng: Generator) -> FloatArray:
        """Losses with noise, and NaN where an evaluation failed; shape (n,)."""
        y = np.asarray(true, dtype=np.float64)
        if self._noisy is not None:
            y = np.asarray(self._noisy.observe(self.quantised(X), y, rng))
        n, base = len(X), self.optimum or 0.0
        if self._multiplicative:
            y = base + (y - base) * (1 + self._multiplicative * rng.standard_normal(n))
        if self._additive:
            y = y + self._additive * rng.standard_normal(n)
        if self._jitter:
            u = jitter_of_points(X, self._inner.name) if self._by_point else rng.uniform(-1, 1, n)
            y = y * (1 + self._jitter * u)
        if self._ripple[0]:
            y = y * (1 + self._ripple[0] * self._ripple[1](X))
        if self._float32:
            y = rounded_to_float32(y)
        if self._failures:
            y = np.where(rng.random(n) < self._failures, np.nan, y)
        return y

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Losses as `observe` gives them, with noise from (seed, step); shape (n,)."""
        rng = np.random.default_rng([*pair_seed(self.name, seed), 1 + step])
        return self.observe(X, self.true_losses(X, step, seed), rng)

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """Those of the problem inside, of the point that it gets to see."""
        return self._inner.metrics(self.quantised(np.asarray(x)))


def wrapped(problem: Problem, wrap: dict[str, Any]) -> Problem:
    """`problem` with a suite's table ``wrap`` around it, or as it is if the table is empty.

    Raises
    ------
    ValueError
        If the table has a key that `Wrapped` does not know.
    """
    try:
        return Wrapped(problem, **wrap) if wrap else problem
    except TypeError as error:
        raise ValueError(f"wrap refuses {wrap}: {error}") from error

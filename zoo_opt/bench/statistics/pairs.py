"""Two sets of runs on the same problems, seeds and budgets: which is better, by how much, and beyond chance or not."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from zoo_opt.bench.statistics.bootstrap import Interval, interval
from zoo_opt.bench.statistics.hits import FloatArray, Run, hits_of, sum_by, units
from zoo_opt.bench.statistics.stats import by_ratio, final, fraction_reached
from zoo_opt.support.loading import require

TINY = 1e-12  # differences of areas below it come from rounding
FLOOR, CEILING = 1e-8, 1e300  # final figures are clipped to these before a logarithm is taken


TestT = TypeVar("TestT", bound="PairedTest")


def cell(run: Run) -> Hashable:
    """What two runs must share to be compared."""
    return run["problem"], run["seed"], run["budget"]


def matched(a: Iterable[Run], b: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """The runs of either with a partner of the same problem, seed and budget in the other, in the order of `a`."""
    partners = {cell(run): run for run in b}
    pairs = [(run, partners[cell(run)]) for run in a if cell(run) in partners]
    return [x for x, _ in pairs], [y for _, y in pairs]


@dataclass(frozen=True)
class PairedUnits:
    """Matched runs of A and B, unit by unit; a positive gain is in favour of B.

    Attributes
    ----------
    units : str
        ``"problems"``, or ``"seeds"`` where all runs are on one problem.
    names : tuple of str
        Of the units.
    measure : str
        ``"area"`` under the ECDF where the problems have targets; else ``"log10 final"``, or ``"final"`` where a final
        figure is negative.
    a, b : ndarray, shape (n,)
        Means over the unit's runs: of the area; of log10 of the final figure; of the figure.
    weights : ndarray, shape (n,)
        Number of the unit's triples (areas) or runs.
    """

    units: str
    names: tuple[str, ...]
    measure: str
    a: FloatArray
    b: FloatArray
    weights: FloatArray

    @property
    def gains(self) -> FloatArray:
        """B's advantage on each unit, shape (n,)."""
        gains = self.b - self.a if self.measure == "area" else self.a - self.b
        return np.asarray(np.where(np.abs(gains) < TINY, 0.0, gains))

    @property
    def gain(self) -> Interval:
        """B's advantage over all units, with its paired 95 % bootstrap interval; NaN without a unit."""
        return interval(self.gains * self.weights, self.weights)

    @property
    def p(self) -> float:
        """Two-sided p value of Wilcoxon's signed-rank test that gains are symmetric about zero."""
        return wilcoxon(self.gains)


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two sets of matched runs compared, the second's advantage over the first.

    Attributes
    ----------
    runs, problems : int
        Matched runs, and the problems they are on.
    units, measure : str
        See `PairedUnits`.
    reached : (float, float)
        Fraction of the targets reached by either; NaN without targets.
    gain : Interval
        Mean advantage with its paired bootstrap interval, positive where it is one.
    p, p_holm : float
        Wilcoxon's signed-rank test, two-sided; corrected after Holm for the tests made together.
    """

    runs: int
    problems: int
    units: str
    measure: str
    reached: tuple[float, float]
    gain: Interval
    p: float
    p_holm: float = float("nan")


def tested(a: Sequence[Run], b: Sequence[Run], pairs: PairedUnits) -> dict[str, Any]:
    """The fields of a `PairedTest` of matched runs but for the correction; `reached` is of `a` and of `b`."""
    return {
        "runs": len(a),
        "problems": len({run["problem"] for run in a}),
        "units": pairs.units,
        "measure": pairs.measure,
        "reached": (fraction_reached(a), fraction_reached(b)),
        "gain": pairs.gain,
        "p": pairs.p,
    }


def corrected(tests: Sequence[TestT]) -> list[TestT]:
    """The tests with their p values corrected for the number of them."""
    return [replace(test, p_holm=p) for test, p in zip(tests, holm([test.p for test in tests]), strict=True)]


def pair_units(a: Sequence[Run], b: Sequence[Run]) -> PairedUnits:
    """Compare B's runs with those of A, which are in the same order: see `matched`.

    Raises
    ------
    ValueError
        If the two are not matched.
    """
    if [cell(run) for run in a] != [cell(run) for run in b]:
        raise ValueError("a and b must be matched: the same problems, seeds and budgets in the same order")
    kind, unit = units(a)
    names = tuple(dict.fromkeys(str(run["problem"] if kind == "problems" else run["seed"]) for run in a))
    both = hits_of(a), hits_of(b)
    weights = sum_by(unit, both[0].targets)
    if len(weights) and (weights > 0).all():
        x, y = (sum_by(unit, hits.areas) / weights for hits in both)
        return PairedUnits(kind, names, "area", x, y, weights)
    weights = np.bincount(unit).astype(float)
    ratio = by_ratio([*a, *b])
    x, y = (sum_by(unit, _finals(runs, ratio)) / weights for runs in (a, b))
    return PairedUnits(kind, names, "log10 final" if ratio else "final", x, y, weights)


def _finals(runs: Sequence[Run], ratio: bool) -> FloatArray:
    values = np.array([final(run) for run in runs], dtype=float)
    return np.asarray(np.log10(np.clip(values, FLOOR, CEILING)) if ratio else np.minimum(values, CEILING))


def wilcoxon(gains: ArrayLike) -> float:
    """Two-sided p value of the signed-rank test; units without a difference are dropped, 1 if none is left.

    Parameters
    ----------
    gains : array_like, shape (n,)
        MethodPair differences. NaN is returned of an empty array.

    References
    ----------
    F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1(6), 1945.
    """
    d = np.asarray(gains, dtype=float)
    if d.size == 0:
        return float("nan")
    if not d.any():
        return 1.0
    return float(require("scipy.stats", "scipy").wilcoxon(d[d != 0]).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for their number; NaN stays NaN and is not counted.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2), 1979.
    """
    values = np.array(p, dtype=float)
    known = ~np.isnan(values)
    if known.any():
        multitest = require("statsmodels.stats.multitest", "statsmodels")
        values[known] = multitest.multipletests(values[known], method="holm")[1]
    return [float(v) for v in values]

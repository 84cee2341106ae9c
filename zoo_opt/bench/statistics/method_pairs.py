"""Methods of a group against each other, two at a time, on the runs that both of them made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from zoo_opt.bench.statistics.bootstrap import Interval
from zoo_opt.bench.statistics.hits import Run
from zoo_opt.bench.statistics.pairs import holm, matched, pair_units
from zoo_opt.bench.statistics.stats import fraction_reached, summaries


@dataclass(frozen=True)
class MethodPair:
    """One method against another over the (problem, seed) pairs that both ran.

    Attributes
    ----------
    method, against : str
    problems, runs : int
        In common.
    units, measure : str
        See `zoo_opt.bench.statistics.pairs.PairedUnits`.
    own, other : float
        Mean of the measure over what both ran, of `method` and of `against`.
    reached : (float, float)
        Fraction of the targets reached there, by `method` and by `against`; NaN without targets.
    gain : Interval
        Advantage of `method`, positive where it is better, with its paired bootstrap interval.
    wins, losses : int
        Units on which `method` is better and worse; the rest are ties.
    p, p_holm : float
        Wilcoxon's signed-rank test, two-sided; corrected after Holm for the tests made together.
    """

    method: str
    against: str
    problems: int
    runs: int
    units: str
    measure: str
    own: float
    other: float
    reached: tuple[float, float]
    gain: Interval
    wins: int
    losses: int
    p: float
    p_holm: float


def paired_tests(runs: Sequence[Run], against: str | None = None) -> list[MethodPair]:
    """Every method of a group against one of them.

    Parameters
    ----------
    runs : sequence of dict
        Of one group.
    against : str or None
        The method to compare with; None takes the first of `summaries`, the best of those that ran all problems.

    Returns
    -------
    list of MethodPair
        In the order of `summaries`; a method that shares no run with `against` is left out.

    Raises
    ------
    ValueError
        If `against` has no run.
    """
    methods = _by_method(runs)
    if against is None:
        against = next(iter(methods), "")
    if against not in methods:
        raise ValueError(f"against must be one of {list(methods)}, got {against!r}")
    return _corrected([_pair(methods, method, against) for method in methods if method != against])


def all_pairs(runs: Sequence[Run]) -> list[MethodPair]:
    """Every method of a group against every other, the better placed of the two first, corrected for all the tests."""
    methods = _by_method(runs)
    return _corrected([_pair(methods, a, b) for a, b in combinations(methods, 2)])


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {summary.method: [] for summary in summaries(runs)}
    for run in runs:
        found[run["method"]].append(run)
    return found


def _pair(methods: dict[str, list[Run]], method: str, against: str) -> MethodPair | None:
    other, own = matched(methods[against], methods[method])
    if not own:
        return None
    c = pair_units(other, own)
    total = c.weights.sum()
    return MethodPair(
        method=method,
        against=against,
        problems=len({run["problem"] for run in own}),
        runs=len(own),
        units=c.units,
        measure=c.measure,
        own=float(c.b @ c.weights / total),
        other=float(c.a @ c.weights / total),
        reached=(fraction_reached(own), fraction_reached(other)),
        gain=c.gain,
        wins=int((c.gains > 0).sum()),
        losses=int((c.gains < 0).sum()),
        p=c.p,
        p_holm=float("nan"),
    )


def _corrected(pairs: Sequence[MethodPair | None]) -> list[MethodPair]:
    found = [pair for pair in pairs if pair]
    return [replace(pair, p_holm=p) for pair, p in zip(found, holm([pair.p for pair in found]), strict=True)]

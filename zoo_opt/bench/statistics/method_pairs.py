"""Methods of a group against each other, two at a time, on the runs that both of them made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import itemgetter

from zoo_opt.bench.statistics.hits import Run, grouped
from zoo_opt.bench.statistics.pairs import PairedTest, corrected, matched, pair_units, tested
from zoo_opt.bench.statistics.stats import fraction_reached, summaries


@dataclass(frozen=True, kw_only=True)
class MethodPair(PairedTest):
    """One method against another over the (problem, seed) pairs that both ran; `reached` is of `method` first.

    Attributes
    ----------
    method, against : str
    own, other : float
        Mean of the measure over what both ran, of `method` and of `against`.
    wins, losses : int
        Units on which `method` is better and worse; the rest are ties.
    """

    method: str
    against: str
    own: float
    other: float
    wins: int
    losses: int


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
    return _tests(methods, [(method, against) for method in methods if method != against])


def all_pairs(runs: Sequence[Run]) -> list[MethodPair]:
    """Every method of a group against every other, the better placed of the two first, corrected for all the tests."""
    methods = _by_method(runs)
    return _tests(methods, combinations(methods, 2))


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each method, in the order of `summaries`."""
    own = grouped(runs, itemgetter("method"))
    return {summary.method: own[summary.method] for summary in summaries(runs)}


def _tests(methods: dict[str, list[Run]], pairs: Iterable[tuple[str, str]]) -> list[MethodPair]:
    """The pairs that have runs in common."""
    return corrected([test for method, against in pairs for test in _test(methods, method, against)])


def _test(methods: dict[str, list[Run]], method: str, against: str) -> Iterator[MethodPair]:
    other, own = matched(methods[against], methods[method])
    if not own:
        return
    c = pair_units(other, own)
    total = c.weights.sum()
    yield MethodPair(
        **tested(other, own, c) | {"reached": (fraction_reached(own), fraction_reached(other))},
        method=method,
        against=against,
        own=float(c.b @ c.weights / total),
        other=float(c.a @ c.weights / total),
        wins=int((c.gains > 0).sum()),
        losses=int((c.gains < 0).sum()),
    )

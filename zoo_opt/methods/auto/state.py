"""The state of `Auto`: what has been seen of the loss, the searches that have begun, and what the next step is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.method import Method

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

# what a step is: points that Auto evaluates to see what kind of loss it has, or a step of the search now going
START, NEAR, LINE, EXCHANGE, SAMPLE = "start", "near", "line", "exchange", "sample"
SEARCH, LAST = "search", "last"
# the searches
QUASI_NEWTON, TRUST_REGION, COORDINATES, EVOLUTION = "quasi-newton", "trust-region", "coordinates", "evolution"
SURROGATE, PARTITION = "bayesian-optimization", "partition"


MOST_REGION = 100  # dimensions up to which the trust region's models are not too dear: 5 to 9 ms; chosen, for time


@dataclass(frozen=True, slots=True)
class Search:
    """A method that Auto is composed of, its state, the evaluations that count as its share, and all of them."""

    method: Method
    state: Any
    used: int = 0
    evaluations: int = 0

    def has_ended(self) -> bool:
        """Return whether the method has reasons to stop."""
        return bool(self.method.stop(self.state))


@dataclass(frozen=True, slots=True)
class AutoState:
    """State between two steps, float64; points are in units (see `unit_lengths`).

    Attributes
    ----------
    key : Key
        Where all draws come from.
    unit : (d,) array
        One unit of each coordinate in parameter units, a power of 2.
    x0, f0 : (d,) array, float
        The start and its loss, NaN if it failed.
    f_centre : float
        Loss at the centre of the box, NaN if it failed; f0 without one.
    x, f : (d,) array, float
        The best point and its loss.
    stage : str
        What the next step is: START, NEAR, LINE, EXCHANGE, SAMPLE, SEARCH, or LAST.
    points : (n, d) array
        The points of the next step, if it is not one of a search.
    active : str
        Name of the search now going, "" before the first.
    searches : dict of Search
        Those that have begun, by name.
    evaluations : int
        Evaluations made.
    sum_tested : bool
        Whether it has been tested that the loss is a sum over coordinates.
    noisy : bool
        Whether noise is so large that populations are for it, or a standard error was told.
    f_before : float
        Best loss when the search now going began.
    without_gain : int
        Searches in a row that ended without a gain.
    noise : float
        Standard deviation of what makes losses of neighbours differ; 0 if finite differences stand it.
    digits : int
        Binary digits of the first losses.
    base : (d,) array
        Where that line begins.
    line : tuple of float
        Losses at equal distances on a line, from which it is measured.
    level : bool
        Whether the loss has plateaus, on which differences see no slope.
    X, F : (n, d) array, (n,) array
        Points that have been evaluated and are not too near to one another, and their losses: see `surrogate`.
    few : bool
        Whether the budget is small.
    concave : bool
        Whether slopes and losses at the start have been those of no convex loss.
    seen : (n, d) array
        Where local searches have begun or ended since there is a partition of the box.
    """

    key: Key
    unit: Array
    x0: Array
    f0: float
    x: Array
    f: float
    stage: str
    points: Array
    active: str = ""
    searches: dict[str, Search] = field(default_factory=dict)
    evaluations: int = 0
    sum_tested: bool = False
    noisy: bool = False
    f_before: float = math.inf
    without_gain: int = 0
    noise: float = 0.0
    digits: int = 0
    base: Array = field(default_factory=lambda: np.zeros(0))
    line: tuple[float, ...] = ()
    level: bool = False
    X: Array = field(default_factory=lambda: np.zeros((0, 0)))
    F: Array = field(default_factory=lambda: np.zeros(0))
    few: bool = False
    concave: bool = False
    f_centre: float = math.nan
    seen: Array = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def local(self) -> str:
        """Name of the local search that suits the loss."""
        return TRUST_REGION if self.noise > 0.0 and self.x.size <= MOST_REGION else QUASI_NEWTON

    @property
    def search(self) -> Search:
        """The search now going."""
        return self.searches[self.active]

    def searching(self, active: str, search: Search | None = None) -> AutoState:
        """Return the state in which this search is going, as ``search`` if that is given."""
        searches = self.searches if search is None else {**self.searches, active: search}
        return replace(self, stage=SEARCH, active=active, searches=searches, points=self.points[:0])

    def evaluating(self, stage: str, points: Array) -> AutoState:
        """Return the state whose next step is ``stage``, with ``points`` (n, d)."""
        return replace(self, stage=stage, points=points)

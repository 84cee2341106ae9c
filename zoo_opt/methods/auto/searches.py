"""The searches that `Auto` is composed of: how each is begun, and when it is over."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.method import Asked, Method
from zoo_opt.methods.auto.state import (
    COORDINATES,
    EVOLUTION,
    PARTITION,
    QUASI_NEWTON,
    SURROGATE,
    TRUST_REGION,
    AutoState,
    Search,
)
from zoo_opt.methods.auto.surrogate import MOST_POINTS
from zoo_opt.methods.cma.dd import DDCMAES
from zoo_opt.methods.cma.full import CMAES
from zoo_opt.methods.cma.quadratic_model import QuadraticModel
from zoo_opt.methods.cma.sep import SepCMAES
from zoo_opt.methods.local.coordinate_search import CoordinateSearch
from zoo_opt.methods.local.quasi_newton import QuasiNewton, begun
from zoo_opt.methods.trust_region.method import TrustRegion

if TYPE_CHECKING:
    from zoo_opt.typing import Array

MOST_FULL = 40  # dimensions up to which the CMA-ES is the full one: docs/large-scale.md; below it, docs/auto-tried.md
MOST_DENSE = 1000  # dimensions up to which any d x d matrix is used: 8 MB; chosen, not tuned
RADIUS = 1.5  # of the trust region at first, in units; measured: docs/auto-tried.md
COARSE = 0.3  # the radius at which that has seen enough of a loss without noise; chosen; no figures kept
SIGMA0 = 2.0  # of the evolution strategies, in units; 1 was no different: docs/auto-tried.md
PLANE = 2  # dimensions in which a quadratic's six coefficients are soon known; measured: docs/auto-tried.md
FIRST_LIMIT = 500.0  # evaluations per dimension of the first quasi-Newton search; 100 was worse: docs/auto-tried.md
MOST_HOPED = 10.0  # times the decrease that a later quasi-Newton search expects must reach the best; chosen, not tuned


def local(s: AutoState, box: Any, x: Array, f: float, hessian: Array | None = None) -> AutoState:
    """Return the state at the start of the local search that suits the loss, from ``x``, whose loss is ``f``."""
    if s.local == TRUST_REGION:
        return region(s, box, x, f)
    method = QuasiNewton(bounds=box, noise=s.noise)
    return _begun(s, QUASI_NEWTON, method, begun(s.key, x, f if math.isfinite(f) else math.nan, hessian))


def region(s: AutoState, box: Any, x: Array, f: float, end_radius: float = 1e-8, radius: float = RADIUS) -> AutoState:
    """Return the state at the start of a trust region's search from ``x``, whose loss is ``f``."""
    method = TrustRegion(bounds=box, radius=radius, end_radius=end_radius, noise=s.noise)
    return _begun(s, TRUST_REGION, method, method.begun(s.key, x, f if math.isfinite(f) else math.nan))


def coarse(s: AutoState, box: Any, x: Array, f: float) -> AutoState:
    """Return the state at the start of a first look by a trust region, from ``x`` of loss ``f``, down to COARSE."""
    method = TrustRegion(bounds=box, radius=RADIUS, end_radius=COARSE)
    known = None
    if len(s.F):
        far = np.flatnonzero(np.isfinite(s.F) & (np.sqrt(((s.X - x) ** 2).sum(axis=1)) > RADIUS))
        known = (s.X[far[0]], float(s.F[far[0]])) if far.size else None
    return _begun(s, TRUST_REGION, method, method.begun(s.key, x, f, known))


def finer(s: AutoState, box: Any) -> AutoState:
    """Return the state in which the trust region's search that has ended goes on, down to the noise."""
    method = TrustRegion(bounds=box, radius=RADIUS, noise=s.noise)
    return s.searching(TRUST_REGION, replace(s.search, method=method, state=method.resumed(s.search.state)))


def from_region(s: AutoState, box: Any) -> AutoState:
    """Return the state at the start of a quasi-Newton search where the trust region's ended.

    In two dimensions it begins with the model's curvatures.
    """
    state = s.search.state
    with np.errstate(over="ignore"):
        hessian = state.model.H * state.loss_unit
    seen = s.x.size <= PLANE and hessian.size and np.isfinite(hessian).all()
    return local(s, box, s.x, s.f, hessian if seen else None)


def _begun(s: AutoState, name: str, method: Method, state: Any) -> AutoState:
    """Return the state at the start of a local search; what came before the global search does not count."""
    before = s.searches.get(name)
    used, evaluations = (0, 0) if before is None else (before.used * is_global(s), before.evaluations)
    return s.searching(name, Search(method, state, used, evaluations))


def coordinates(s: AutoState, box: Any) -> AutoState:
    """Return the state at the start of the coordinate search, from the best point."""
    method = CoordinateSearch(bounds=box)
    return s.searching(COORDINATES, Search(method, method.init(s.x, s.key)))


def evolution(s: AutoState, box: Any) -> AutoState:
    """Return the state at the start of the evolution strategy, from the best point."""
    if s.local in s.searches:
        s = replace(s, searches={**s.searches, s.local: replace(s.searches[s.local], used=0)})
    method: Method
    if s.x.size > MOST_DENSE:
        sigma0 = SIGMA0 * MOST_FULL / s.x.size  # the best step falls so, and sigma takes d generations to follow
        method = SepCMAES(sigma0=sigma0, restarts="bipop", bounds=box)
    elif s.x.size > MOST_FULL:
        method = DDCMAES(sigma0=SIGMA0, restarts="bipop", bounds=box)
    else:
        noise = QuadraticModel() if s.noisy else None
        method = CMAES(sigma0=SIGMA0, restarts="bipop", bounds=box, noise=noise)
    return s.searching(EVOLUTION, Search(method, method.init(s.x, s.key)))


def advanced(s: AutoState, asked: Asked, losses: list[float]) -> AutoState:
    """Return the state after a step of the search now going."""
    search, n = s.search, int(np.count_nonzero(~np.isnan(losses)))
    state = search.method.update(search.state, asked, losses)
    return s.searching(
        s.active, replace(search, state=state, used=search.used + len(losses), evaluations=search.evaluations + n)
    )


def is_global(s: AutoState) -> bool:
    """Return whether a global search has begun."""
    return EVOLUTION in s.searches or PARTITION in s.searches


def is_over(before: AutoState, s: AutoState) -> bool:
    """Return whether the search now going is over after the step that has led from ``before`` to ``s``."""
    if s.active == EVOLUTION:  # a run that ended is followed by another in it
        return len(s.search.state.log) > len(before.search.state.log)
    if s.search.has_ended():
        return True
    if s.active == COORDINATES:
        return False
    if s.active == SURROGATE:
        return s.search.used >= MOST_POINTS
    if not is_global(s):
        return s.evaluations >= FIRST_LIMIT * s.x.size
    if s.active == TRUST_REGION:
        return False
    state = s.search.state
    return bool(state.expected_change() > (s.f - state.loss) / MOST_HOPED)

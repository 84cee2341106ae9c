"""The methods, by their registered names; other packages declare theirs in the group ``zoo_opt.methods``."""

from __future__ import annotations

from zoo_opt.core.method import Asked, Method
from zoo_opt.methods.auto.method import Auto
from zoo_opt.methods.bar import BAR
from zoo_opt.methods.base import GradientMethod
from zoo_opt.methods.bayesian.method import BayesianOptimization
from zoo_opt.methods.cma.dd import DDCMAES
from zoo_opt.methods.cma.full import CMAES
from zoo_opt.methods.cma.sep import SepCMAES
from zoo_opt.methods.fzoo import FZOO
from zoo_opt.methods.local.coordinate_search import CoordinateSearch
from zoo_opt.methods.local.quasi_newton import QuasiNewton
from zoo_opt.methods.registry import METHODS, make
from zoo_opt.methods.soo import SOO
from zoo_opt.methods.spsa import SPSA, SPSAGC
from zoo_opt.methods.spsa_geass import SPSAGEASS
from zoo_opt.methods.subspace import RandomSubspace
from zoo_opt.methods.trust_region.method import TrustRegion

__all__ = [
    "BAR",
    "CMAES",
    "DDCMAES",
    "FZOO",
    "METHODS",
    "SOO",
    "SPSA",
    "SPSAGC",
    "SPSAGEASS",
    "Asked",
    "Auto",
    "BayesianOptimization",
    "CoordinateSearch",
    "GradientMethod",
    "Method",
    "QuasiNewton",
    "RandomSubspace",
    "SepCMAES",
    "TrustRegion",
    "make",
]

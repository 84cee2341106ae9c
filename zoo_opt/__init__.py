"""Zeroth-order optimization of expensive, noisy, high-dimensional black boxes, by ask and tell."""

from __future__ import annotations

from zoo_opt._version import __version__
from zoo_opt.batch import Batch, Candidate
from zoo_opt.errors import CheckpointError
from zoo_opt.gradient.draws import Gaussian, QuantileGaussian, Rademacher, SegmentedUniform, Sphere
from zoo_opt.gradient.gains import Constant, Cosine, PolyDecay, PowerLaw, StepDecay
from zoo_opt.gradient.updates import GradientCorrection, Nesterov
from zoo_opt.methods import (
    BAR,
    CMAES,
    FZOO,
    METHODS,
    SPSA,
    SPSAGC,
    SPSAGEASS,
    GradientMethod,
    Method,
    RandomSubspace,
    SepCMAES,
    make,
)
from zoo_opt.methods.cma_stop import Tolerances
from zoo_opt.optimizer import Best, Optimizer

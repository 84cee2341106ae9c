"""Zeroth-order optimization of expensive, noisy, high-dimensional black boxes, by ask and tell.

Names are imported when they are first used, so that ``import zoo_opt`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo_opt._version import __version__ as __version__
from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt import interop as interop
    from zoo_opt import plot as plot
    from zoo_opt import torch as torch
    from zoo_opt.calibration import Calibration as Calibration
    from zoo_opt.calibration import calibrate as calibrate
    from zoo_opt.core.batch import Batch as Batch
    from zoo_opt.core.batch import Candidate as Candidate
    from zoo_opt.core.best import Best as Best
    from zoo_opt.core.errors import CheckpointError as CheckpointError
    from zoo_opt.core.errors import NotServed as NotServed
    from zoo_opt.core.errors import ObjectiveError as ObjectiveError
    from zoo_opt.core.errors import Refused as Refused
    from zoo_opt.core.history import History as History
    from zoo_opt.core.keys import generator as generator
    from zoo_opt.core.method import Asked as Asked
    from zoo_opt.gradient.draws import Draws as Draws
    from zoo_opt.gradient.draws import Gaussian as Gaussian
    from zoo_opt.gradient.draws import QuantileGaussian as QuantileGaussian
    from zoo_opt.gradient.draws import Rademacher as Rademacher
    from zoo_opt.gradient.draws import SegmentedUniform as SegmentedUniform
    from zoo_opt.gradient.draws import Sphere as Sphere
    from zoo_opt.gradient.gains import Constant as Constant
    from zoo_opt.gradient.gains import Cosine as Cosine
    from zoo_opt.gradient.gains import PolyDecay as PolyDecay
    from zoo_opt.gradient.gains import PowerLaw as PowerLaw
    from zoo_opt.gradient.gains import StepDecay as StepDecay
    from zoo_opt.gradient.noise import MeasuredRadius as MeasuredRadius
    from zoo_opt.gradient.scaling import SlopeRMS as SlopeRMS
    from zoo_opt.gradient.scaling import Unscaled as Unscaled
    from zoo_opt.gradient.trend import GuardedRate as GuardedRate
    from zoo_opt.interop.scipy import scipy_method as scipy_method
    from zoo_opt.methods import BAR as BAR
    from zoo_opt.methods import CMAES as CMAES
    from zoo_opt.methods import DDCMAES as DDCMAES
    from zoo_opt.methods import FZOO as FZOO
    from zoo_opt.methods import METHODS as METHODS
    from zoo_opt.methods import SOO as SOO
    from zoo_opt.methods import SPSA as SPSA
    from zoo_opt.methods import SPSAGC as SPSAGC
    from zoo_opt.methods import SPSAGEASS as SPSAGEASS
    from zoo_opt.methods import Auto as Auto
    from zoo_opt.methods import BayesianOptimization as BayesianOptimization
    from zoo_opt.methods import CoordinateSearch as CoordinateSearch
    from zoo_opt.methods import GradientMethod as GradientMethod
    from zoo_opt.methods import Method as Method
    from zoo_opt.methods import QuasiNewton as QuasiNewton
    from zoo_opt.methods import RandomSubspace as RandomSubspace
    from zoo_opt.methods import SepCMAES as SepCMAES
    from zoo_opt.methods import TrustRegion as TrustRegion
    from zoo_opt.methods import make as make
    from zoo_opt.methods.cma.learning_rate import LearningRateAdaptation as LearningRateAdaptation
    from zoo_opt.methods.cma.levels.mixed import MixedVariables as MixedVariables
    from zoo_opt.methods.cma.quadratic_model import QuadraticModel as QuadraticModel
    from zoo_opt.methods.cma.stop import Tolerances as Tolerances
    from zoo_opt.methods.cma.uncertainty import UncertaintyHandling as UncertaintyHandling
    from zoo_opt.methods.grid import Grid as Grid
    from zoo_opt.methods.spsa import GradientCorrection as GradientCorrection
    from zoo_opt.methods.spsa_geass import Nesterov as Nesterov
    from zoo_opt.optimizer import Optimizer as Optimizer
    from zoo_opt.outage import as_service as as_service
    from zoo_opt.parameters import Bool as Bool
    from zoo_opt.parameters import Choice as Choice
    from zoo_opt.parameters import Float as Float
    from zoo_opt.parameters import Int as Int
    from zoo_opt.result import Result as Result
    from zoo_opt.run import minimize as minimize
    from zoo_opt.space import Space as Space
    from zoo_opt.space import SpacePoint as SpacePoint

__all__, _import, __dir__ = exports(__name__)


if not TYPE_CHECKING:  # a type checker knows the names above and no others

    def __getattr__(name: str) -> Any:
        if name in ("interop", "plot", "bench", "testing", "torch"):
            return importlib.import_module(f"zoo_opt.{name}")
        return _import(name)

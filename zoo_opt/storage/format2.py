"""Checkpoints of before: where a class is now that format 2 named by its bare name, and what became of its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Fields: TypeAlias = dict[str, Any]  # of a dataclass, by name; of a named tuple "0", "1", ... by place
Make: TypeAlias = Callable[..., Any]  # make("zoo_opt.package.module:Class", **fields) -> object

_MODULES = {
    "zoo_opt.core.keys": "Key",
    "zoo_opt.gradient.adaptive": "Adaptive AdaptiveState",
    "zoo_opt.gradient.draws": "Gaussian QuantileGaussian Rademacher SegmentedUniform Sphere",
    "zoo_opt.gradient.gains": "Constant Cosine Gain PolyDecay PowerLaw Scheduled StepDecay",
    "zoo_opt.gradient.noise": "MeasuredRadius Noise",
    "zoo_opt.gradient.scaling": "SlopeRMS Unscaled",
    "zoo_opt.gradient.trend": "GuardedRate Trend",
    "zoo_opt.gradient.updates": "Plain",
    "zoo_opt.gradient.zo_gradient": "ZOState",
    "zoo_opt.methods.auto.method": "Auto",
    "zoo_opt.methods.auto.state": "AutoState",
    "zoo_opt.methods.bar": "BAR OneSided",
    "zoo_opt.methods.cma.dd": "DDCMAES DDDistribution",
    "zoo_opt.methods.cma.full": "CMAES",
    "zoo_opt.methods.cma.learning_rate": "LearningRateAdaptation Rate Rates",
    "zoo_opt.methods.cma.noise": "Repeats",
    "zoo_opt.methods.cma.quadratic_model": "Archive QuadraticModel",
    "zoo_opt.methods.cma.restarts": "Run RunEnd",
    "zoo_opt.methods.cma.runs": "ESState",
    "zoo_opt.methods.cma.sep": "SepCMAES SepDistribution",
    "zoo_opt.methods.cma.stop": "Tolerances",
    "zoo_opt.methods.cma.uncertainty": "Uncertainty UncertaintyHandling",
    "zoo_opt.methods.fzoo": "Centered FZOO LossSpread",
    "zoo_opt.methods.local.coordinate_search": "CoordinateSearch CoordinateState",
    "zoo_opt.methods.local.inverse_hessian": "Axes",
    "zoo_opt.methods.local.line_search": "Trial",
    "zoo_opt.methods.local.quasi_newton": "QNState QuasiNewton",
    "zoo_opt.methods.spsa": "GradientCorrection SPSA SPSAGC TwoSided",
    "zoo_opt.methods.spsa_geass": "GainState Geass Nesterov SPSAGEASS",
    "zoo_opt.methods.subspace": "RandomSubspace SubspaceState",
}
PLACES = {name: f"{module}:{name}" for module, names in _MODULES.items() for name in names.split()}
"""Where the class is now that format 2 called so. A class that got another name has its line below."""
PLACES["Arm"] = "zoo_opt.methods.auto.state:Search"


def _cma_state(fields: Fields, make: Make) -> Any:
    """`CMAES` had a state of its own, with the distribution's fields among the others."""
    own = {name: fields.pop(name) for name in ("m", "sigma", "C", "B", "D", "p_sigma", "p_c", "stale")}
    return make(
        "zoo_opt.methods.cma.runs:ESState",
        distribution=make("zoo_opt.methods.cma.full:FullDistribution", **own),
        **fields,
    )


def _auto_state(fields: Fields, make: Make) -> Any:
    """The searches of `Auto` were its arms, and had other names, as had the kinds of its steps."""
    again = fields["stage"] == "repeat"  # it compared the loss with that of the start
    search = {"": "", "local": "quasi-newton", "coordinates": "coordinates", "wide": "evolution"}
    return make(
        "zoo_opt.methods.auto.state:AutoState",
        stage={"mixes": "exchange", "arm": "search", "repeat": "near"}.get(fields["stage"], fields["stage"]),
        active=search[fields["active"]],
        searches={search[name]: arm for name, arm in fields["arms"].items()},
        **({"base": fields["x0"], "line": (fields["f0"],), "digits": 53} if again else {}),
        **{new: fields[old] for old, new in _AUTO_FIELDS.items()},
        **{name: fields[name] for name in ("key", "unit", "x0", "f0", "x", "f", "evaluations", "noisy")},
    )


def _renamed(place: str, **names: str) -> Callable[[Fields, Make], Any]:
    """Return the converter of a class whose fields have other names, given as ``old="new"``."""
    return lambda fields, make: make(place, **{names.get(old, old): value for old, value in fields.items()})


def _quasi_newton(fields: Fields, make: Make) -> Fields:
    """The inverse Hessian was a matrix, a multiple of the identity where nothing had been seen."""
    H = fields["H"]
    if isinstance(H, np.ndarray):
        d, known = len(H), fields["known"]
        parts = {"R": H, "W": np.zeros((0, 0))} if known else {"R": np.zeros((d, d)), "W": np.eye(d)}
        gamma = 0.0 if known else float(H[0, 0])
        fields = fields | {"H": make("zoo_opt.methods.local.bfgs:InverseHessian", **parts, gamma=gamma)}
    return fields


def _tolerances(fields: Fields, _: Make) -> Fields:
    """Ranges of the loss were absolute: a default one is today's default, which is relative."""
    old = {"tolfun": 1e-11, "tolfunhist": 1e-12}
    grown = "tolfunrel" in fields
    return {name: value for name, value in fields.items() if grown or value != old.get(name)}


_AUTO_FIELDS = {"own": "points", "tested": "sum_tested", "before": "f_before", "quiet": "without_gain"}


CONVERTERS: dict[str, Callable[[Fields, Make], Any]] = {
    "AutoState": _auto_state,
    "CMAState": _cma_state,
    "CoordinateState": _renamed("zoo_opt.methods.local.coordinate_search:CoordinateState", idle="without_gain"),
    "QNState": _renamed("zoo_opt.methods.local.quasi_newton:QNState", idle="stalls", tries="changes"),
}
"""For a class whose fields have changed since, by its old name: the object made of the fields that format 2 had.

A converter gets the fields, decoded, and ``make``, which makes an object of a class that is named by its place; that
keeps this module below those of the methods.
"""

CHANGED: dict[str, Callable[[Fields, Make], Fields]] = {
    "zoo_opt.methods.cma.stop:Tolerances": _tolerances,
    "zoo_opt.methods.local.quasi_newton:QNState": _quasi_newton,
}
"""For a class whose fields have changed within format 3, by its place: the fields to make it of today."""

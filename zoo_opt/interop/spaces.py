"""Theirs as ours: the search spaces of Optuna and nevergrad as a `Space`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo_opt.parameters import Choice, Float, Int, Parameter
from zoo_opt.space import Space


def space_from_optuna(distributions: Mapping[str, Any]) -> Space:
    """Return the space of Optuna's distributions, such as those of ``study.best_trial.distributions``.

    Parameters
    ----------
    distributions : mapping of str to optuna.distributions.BaseDistribution
        Those of floats, integers and categories. A float with a step becomes a choice of its values in order, which
        the objective gets as a float.

    Raises
    ------
    TypeError
        If a distribution is of another kind.
    """
    return Space({name: _of_optuna(name, distribution) for name, distribution in distributions.items()})


def _of_optuna(name: str, distribution: Any) -> Parameter:
    kind = type(distribution).__name__
    if kind == "CategoricalDistribution":
        return Choice(*distribution.choices)
    if kind == "IntDistribution":
        return Int(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if kind == "FloatDistribution" and distribution.step is None:
        return Float(distribution.low, distribution.high, log=distribution.log)
    if kind == "FloatDistribution":
        low, step = distribution.low, distribution.step
        return Choice(*(low + k * step for k in range(round((distribution.high - low) / step) + 1)))
    raise TypeError(f"distributions must be of floats, integers or categories, got {distribution!r} for {name}")


def space_from_nevergrad(parametrization: Any) -> Space:
    """Return the space of a nevergrad parametrization: the keywords of an ``Instrumentation``, or a ``Dict``.

    Parameters
    ----------
    parametrization : nevergrad.p.Instrumentation or nevergrad.p.Dict
        Of ``Scalar`` with bounds on both sides (perhaps cast to integers), ``Log``, ``Choice`` and ``TransitionChoice``
        of constants, and constants.

    Raises
    ------
    TypeError, ValueError
        If it holds another kind of parameter, or a number without bounds.
    """
    content = _content(parametrization)
    if type(parametrization).__name__ == "Instrumentation":
        if _content(content[0]):
            raise ValueError("parametrization must have keywords alone, as a space has names, got positional ones too")
        content = _content(content[1])
    if type(parametrization).__name__ not in ("Instrumentation", "Dict"):
        raise TypeError(f"parametrization must be an Instrumentation or a Dict, got {parametrization!r}")
    return Space({str(name): _of_nevergrad(str(name), parameter) for name, parameter in content.items()})


def _content(parameter: Any) -> dict[Any, Any]:
    return dict(getattr(parameter, "_content", {}))


def _of_nevergrad(name: str, parameter: Any) -> Parameter:
    kind = type(parameter).__name__
    if kind == "Constant":
        return Choice(parameter.value)
    if kind in ("Choice", "TransitionChoice"):
        options = list(_content(parameter.choices).values())
        if any(type(option).__name__ != "Constant" for option in options):
            raise TypeError(f"choices must be of constants, got {parameter!r} for {name}")
        return Choice(*(option.value for option in options))
    if kind not in ("Scalar", "Log"):
        raise TypeError(f"parameters must be a Scalar, Log, Choice or constant, got {parameter!r} for {name}")
    low, high = (None if side is None else float(side[0]) for side in parameter.bounds)
    if low is None or high is None:
        raise ValueError(f"{name} must have bounds on both sides, got {parameter!r}")
    if parameter.integer:
        return Int(math.ceil(low), math.floor(high), log=kind == "Log")
    return Float(low, high, log=kind == "Log")

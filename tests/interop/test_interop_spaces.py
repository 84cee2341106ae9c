"""Search spaces of Optuna and nevergrad as ours."""

import nevergrad as ng
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from refusals import refused

import zoo_opt as zo
from zoo_opt.interop.spaces import space_from_nevergrad, space_from_optuna


def test_optuna():
    space = space_from_optuna(
        {
            "x": FloatDistribution(-1, 2),
            "C": FloatDistribution(1e-3, 1e3, log=True),
            "part": FloatDistribution(0, 1, step=0.25),
            "n": IntDistribution(2, 8, step=2),
            "width": IntDistribution(1, 64, log=True),
            "kernel": CategoricalDistribution(["rbf", None, 3]),
        }
    )
    assert space == zo.Space(
        x=zo.Float(-1, 2),
        C=zo.Float(1e-3, 1e3, log=True),
        part=zo.Choice(0.0, 0.25, 0.5, 0.75, 1.0),
        n=zo.Int(2, 8, step=2),
        width=zo.Int(1, 64, log=True),
        kernel=zo.Choice("rbf", None, 3),
    )
    with pytest.raises(TypeError, match="distributions must be of floats, integers or categories, got 3 for a"):
        space_from_optuna({"a": 3})


def test_nevergrad():
    content = {
        "x": ng.p.Scalar(lower=-1, upper=2),
        "C": ng.p.Log(lower=1e-3, upper=1e3),
        "n": ng.p.Scalar(lower=1, upper=8).set_integer_casting(),
        "kernel": ng.p.Choice(["rbf", "poly"]),
        "size": ng.p.TransitionChoice([1, 10, 100]),
        "fixed": 3,
    }
    expected = zo.Space(
        x=zo.Float(-1, 2),
        C=zo.Float(1e-3, 1e3, log=True),
        n=zo.Int(1, 8),
        kernel=zo.Choice("rbf", "poly"),
        size=zo.Choice(1, 10, 100),
        fixed=zo.Choice(3),
    )
    for parametrization in (ng.p.Instrumentation(**content), ng.p.Dict(**content)):
        space = space_from_nevergrad(parametrization)
        assert [type(p) for p in space.parameters.values()] == [type(p) for p in expected.parameters.values()]
        assert list(space.parameters) == list(expected.parameters)
        for mine, parameter in zip(space.parameters.values(), expected.parameters.values(), strict=True):
            if isinstance(parameter, zo.Float):  # nevergrad keeps logarithms
                assert (mine.low, mine.high, mine.log) == pytest.approx((parameter.low, parameter.high, parameter.log))
            else:
                assert mine == parameter
    res = zo.minimize(
        lambda x, n, **rest: (x - 1) ** 2 + abs(n - 3), space, unpack=True, method="auto", budget=200, rng=0
    )
    assert res.fun < 0.01 and res.params["fixed"] == 3


test_what_is_refused = refused(
    space_from_nevergrad,
    (ng.p.Dict(x=ng.p.Scalar()), ValueError, "x must have bounds on both sides"),
    (ng.p.Dict(x=ng.p.Array(shape=(2,))), TypeError, "parameters must be a Scalar, Log, Choice or constant"),
    (ng.p.Dict(x=ng.p.Choice([ng.p.Scalar(), 3])), TypeError, "choices must be of constants"),
    (ng.p.Instrumentation(ng.p.Scalar(lower=0, upper=1)), ValueError, "must have keywords alone"),
    (ng.p.Scalar(lower=0, upper=1), TypeError, "must be an Instrumentation or a Dict"),
)

"""A zoo_opt method inside scipy.optimize.minimize."""

import numpy as np
import pytest
from refusals import refused

import zoo_opt as zo

optimize = pytest.importorskip("scipy.optimize")


def sphere(x, center=1.0):
    return float(((x - center) ** 2).sum())


def test_as_a_scipy_method():
    options = {"budget": 800, "rng": 0}
    result = optimize.minimize(sphere, np.zeros(4), method=zo.scipy_method("cma-es"), options=options)
    assert isinstance(result, optimize.OptimizeResult)
    assert result.success and result.fun < 1e-6
    np.testing.assert_array_equal(result.x, zo.minimize(sphere, np.zeros(4), method="cma-es", **options).x)


def test_args_bounds_maxfev_and_callback():
    seen = []
    settings = {"args": (3.0,), "bounds": [(0, 1)] * 3, "options": {"maxfev": 700, "rng": 0}}
    settings["callback"] = lambda intermediate_result: seen.append(intermediate_result.fun)
    result = optimize.minimize(sphere, np.full(3, 0.5), method=zo.scipy_method(zo.CMAES(sigma0=0.2)), **settings)
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert result.nfev <= 700
    assert len(seen) == result.nit and seen[-1] == result.fun


def test_bounds_are_broadcast():
    settings = {"method": zo.scipy_method("cma-es"), "options": {"budget": 400, "rng": 0}}
    result = optimize.minimize(sphere, np.zeros(3), bounds=optimize.Bounds(-1, 0.5), **settings)
    np.testing.assert_allclose(result.x, 0.5, atol=1e-2)
    result = optimize.minimize(sphere, np.zeros(2), bounds=[(0, None), (-1, 0.5)], **settings)
    np.testing.assert_allclose(result.x, [1, 0.5], atol=1e-2)


def minimized(method, settings):
    settings = {"options": {"budget": 20}} | settings
    optimize.minimize(sphere, np.zeros(2), method=zo.scipy_method(method), **settings)


test_errors = refused(
    minimized,
    (("cma-es", {"tol": 1e-3}), ValueError, "tol must be None"),
    (("fzoo", {"options": {"maxiter": 3}}), TypeError, "options must be of .*budget, .*got maxiter"),
    (("fzoo", {"constraints": [{"type": "eq"}]}), ValueError, "constraints must be empty for FZOO"),
    (("newton", {}), ValueError, "method must be one of"),
)

"""Spaces: values as coordinates and back, what a run over one gives, checkpoints, errors."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from doubting import Doubting
from hypothesis import given
from hypothesis import strategies as st
from refusals import raises

import zoo_opt as zo

SPACE = zo.Space(
    C=zo.Float(1e-3, 1e3, log=True), layers=zo.Int(1, 8), kernel=zo.Choice("rbf", "poly", None), shrink=zo.Bool()
)
BEST = {"C": 10.0, "layers": 6, "kernel": "poly", "shrink": True}


def loss(params):
    assert isinstance(params["layers"], int) and isinstance(params["shrink"], bool)
    return (
        (math.log10(params["C"]) - 1) ** 2
        + 0.1 * (params["layers"] - 6) ** 2
        + (params["kernel"] != "poly")
        + 0.5 * (not params["shrink"])
    )


# -------------------------------------------------------------------------------------------------- there and back
integers = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**4), st.integers(1, 7)).map(
    lambda t: zo.Int(t[0], t[0] + t[1], step=t[2])
)
logs = st.tuples(st.integers(1, 10**5), st.integers(0, 10**4)).map(lambda t: zo.Int(t[0], t[0] + t[1], log=True))
values = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.floats(0, 3), st.text(max_size=3))


@given(st.one_of(integers, logs), st.data())
def test_every_integer_comes_back(parameter, data):
    k = data.draw(st.integers(0, (parameter.high - parameter.low) // parameter.step))
    value = parameter.low + k * parameter.step
    u = parameter.encode("n", value)
    assert parameter.decode(u) == value and all(0 <= x <= 1 for x in u)


@pytest.mark.parametrize("parameter", [zo.Int(1, 8), zo.Int(1, 256, log=True), zo.Int(-7, 9, step=4), zo.Int(0, 1)])
def test_each_level_is_of_its_value(parameter):
    found = [parameter.decode([u]) for u in parameter.levels]
    assert found == list(range(parameter.low, parameter.high + 1, parameter.step))
    assert parameter.decode([-1.0]) == found[0] and parameter.decode([2.0]) == found[-1]


def test_the_values_of_an_integer_have_equal_parts():
    u = (np.arange(8000) + 0.5) / 8000
    assert np.bincount([zo.Int(1, 8).decode([v]) for v in u])[1:].tolist() == [1000] * 8


@given(st.lists(values, min_size=1, max_size=6, unique_by=lambda v: (type(v), v)), st.data())
def test_every_choice_comes_back(given_values, data):
    """1, 1.0 and True are three values."""
    parameter = zo.Choice(*given_values)
    value = data.draw(st.sampled_from(given_values))
    back = parameter.decode(parameter.encode("kind", value))
    assert back == value and type(back) is type(value)


def test_a_choice_of_anything():
    arrays = [np.arange(2), np.arange(2), np.sin]
    space = zo.Space(a=zo.Choice(*arrays), b=zo.Bool())
    assert all(space.at(a=array).params["a"] is array for array in arrays)
    assert zo.Space(a=zo.Choice(16, "x")).at(a=np.int64(16)).params == {"a": 16} and zo.Choice(1) != zo.Choice(True)
    assert zo.minimize(lambda p: float(p["a"] is not np.sin), space, budget=60, rng=0).params["a"] is np.sin


@given(st.floats(-1e300, 1e300), st.floats(1e-3, 1e300), st.floats(0, 1))
def test_numbers_come_back_as_near_as_rounding_allows(low, width, part):
    parameter = zo.Float(low, low + width)
    value = min(max(low + part * width, parameter.low), parameter.high)
    back = parameter.decode(parameter.encode("x", value))
    assert parameter.low <= back <= parameter.high
    assert abs(back - value) <= 1e-14 * max(abs(parameter.low), abs(parameter.high))
    for end in (parameter.low, parameter.high):
        assert parameter.decode(parameter.encode("x", end)) == end


@given(st.floats(1e-300, 1e300), st.floats(1.001, 1e6), st.floats(0, 1))
def test_logarithms_too(low, ratio, part):
    parameter = zo.Float(low, min(low * ratio, 1e306), log=True)
    value = min(max(low * ratio**part, parameter.low), parameter.high)
    assert parameter.decode(parameter.encode("x", value)) == pytest.approx(value, rel=1e-11)


def test_params_and_points():
    x = SPACE.encode(BEST)
    assert x.size == SPACE.d == 6 and SPACE.decode(x) == pytest.approx(BEST)
    assert SPACE.at(layers=3, kernel=None).params == {
        "C": pytest.approx(1.0),
        "layers": 3,
        "kernel": None,
        "shrink": False,
    }
    assert SPACE.grid.groups == ((2, 3),) and [j for j, _ in SPACE.grid.levels] == [1, 5]
    assert zo.Space(a=zo.Float(0, 1), n=zo.Int(0, 10**6)).grid is None  # searched between, and rounded


def test_what_has_one_value_takes_no_coordinate():
    space = zo.Space({"x": zo.Float(0, 1), "one": zo.Int(3, 3), "a b": zo.Choice("k"), "c": zo.Float(2, 2)})
    assert space.d == 1 and space.decode([0.25]) == {"x": 0.25, "one": 3, "a b": "k", "c": 2.0}
    assert space.encode({"one": 3, "a b": "k", "x": 1}).tolist() == [1.0]


def test_made_of_names_and_of_tables():
    named = zo.Space.from_names(["lr", "m"], [(1e-4, 1), (0, 0.99)], log=["lr"])
    assert named == zo.Space(lr=zo.Float(1e-4, 1, log=True), m=zo.Float(0, 0.99))
    table = {
        "C": {"float": [1e-3, 1e3], "log": True},
        "layers": {"int": [1, 8]},
        "kernel": {"choice": ["rbf", "poly", None]},
        "shrink": {"bool": True},
    }
    assert zo.Space.from_dict(table) == SPACE
    assert zo.Space(dict(reversed(SPACE.parameters.items()))) != SPACE  # another order is another space
    assert eval(repr(SPACE), vars(zo)) == SPACE == pickle.loads(pickle.dumps(SPACE))


# ------------------------------------------------------------------------------------------------------------- runs
METHODS = {
    "cma-es": zo.CMAES(restarts="ipop"),
    "sep-cma-es": zo.SepCMAES(restarts="ipop"),
    "dd-cma-es": zo.DDCMAES(restarts="ipop"),
    "auto": zo.Auto(),
    "quasi-newton": zo.QuasiNewton(),
    "trust-region": zo.TrustRegion(),
    "bayesian-optimization": zo.BayesianOptimization(radius=0.2),
    "spsa": zo.SPSA(lr="auto", c=0.2),
    "fzoo": zo.FZOO(lr=0.01, c=0.2),
    "bar": zo.BAR(c=0.3),
    "subspace": zo.RandomSubspace(zo.CMAES(), dim=3),
    "outside": Doubting(),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_works_with_every_method(method):
    opt = zo.Optimizer(method, SPACE, rng=0, budget=400)
    while not opt.stop() and opt.nfev < 300:
        batch = opt.ask()
        assert (batch.X >= 0).all() and (batch.X <= 1).all() and len(batch.params) == len(batch)
        opt.tell(batch, [loss(params) for params in batch.params])
    assert opt.best.loss == loss(opt.best.params) and opt.best.params == SPACE.decode(opt.best.x)
    assert set(SPACE.decode(opt.mean)) == set(BEST)


@pytest.mark.parametrize("method", ["cma-es", "auto"])
def test_finds_the_best(method):
    made = zo.CMAES(restarts="ipop") if method == "cma-es" else method
    res = zo.minimize(loss, SPACE, method=made, budget=800, rng=0)
    assert res.fun < 1e-3 and res.params == {**BEST, "C": pytest.approx(10, rel=0.1)}
    assert res.fun == loss(res.params) and res.x.shape == (6,)


def by_name(C, layers, kernel, shrink):
    return loss({"C": C, "layers": layers, "kernel": kernel, "shrink": shrink})


def test_the_objective_gets_a_dict_names_or_a_list_of_dicts():
    seen = []
    options = {"budget": 100, "rng": 3}
    res = zo.minimize(loss, SPACE, callback=seen.append, **options)
    with ThreadPoolExecutor(2) as pool:
        others = [
            zo.minimize(by_name, SPACE, unpack=True, executor=pool, **options),
            zo.minimize(lambda many: [loss(one) for one in many], SPACE, vectorized=True, **options),
            zo.minimize(lambda params, step: loss(params), SPACE, pass_step=True, **options),
            zo.minimize(lambda C, step, **rest: loss({"C": C, **rest}), SPACE, pass_step=True, unpack=True, **options),
        ]
    assert all(other.params == res.params and other.nfev == res.nfev for other in others)
    assert seen[-1] == res.params
    mean = zo.minimize(loss, SPACE, recommend="mean", **options)
    assert mean.params == SPACE.decode(mean.x) and mean.fun == loss(mean.params)


def test_a_start():
    opt = zo.Optimizer("quasi-newton", SPACE.at(C=0.5, kernel="poly"), rng=0)
    assert opt.ask().params[0] == pytest.approx({"C": 0.5, "layers": 5, "kernel": "poly", "shrink": False})
    res = zo.minimize(loss, SPACE.at(BEST), method="quasi-newton", budget=10, rng=0)
    assert res.params == pytest.approx(BEST)


def test_candidates_have_params_through_slices_pickles_and_saves(tmp_path):
    opt = zo.Optimizer("cma-es", SPACE, rng=0)
    batch = opt.ask()
    assert batch[1].params == batch.params[1] == batch[1:2].params[0] == pickle.loads(pickle.dumps(batch)).params[1]
    opt.tell(batch[:3], [loss(params) for params in batch[:3].params])
    opt.save(tmp_path / "run.zoo")
    again = zo.Optimizer.load(tmp_path / "run.zoo")
    assert again.space == SPACE and again.best.params == opt.best.params
    assert again.ask().params == opt.ask().params


@pytest.mark.parametrize("values", [(math.nan, 1.0), (np.arange(3), "a"), ([1], {"b": 2}, (None, 3))])
def test_a_checkpoint_knows_the_values_of_its_choices(tmp_path, values):
    space, options = zo.Space(a=zo.Choice(*values), b=zo.Float(0, 1)), {"rng": 0, "checkpoint": tmp_path / "run.zoo"}
    for budget in (20, 40):
        assert zo.minimize(lambda p: p["b"], space, method="spsa", budget=budget, **options).nfev == budget


def test_another_space_is_refused_at_a_checkpoint(tmp_path):
    options = {"method": "spsa", "budget": 20, "rng": 0, "checkpoint": tmp_path / "run.zoo"}
    space = zo.Space(a=zo.Float(0, 1), b=zo.Float(0, 1))
    first = zo.minimize(lambda p: p["a"] + p["b"], space, **options)
    assert zo.minimize(lambda p: p["a"] + p["b"], space, **options).params == first.params
    with pytest.raises(zo.CheckpointError, match=r"its space is Space\(a=Float.*, this call's is Space\(a=.*high=2.0"):
        zo.minimize(lambda p: p["a"] + p["b"], zo.Space(a=zo.Float(0, 2), b=zo.Float(0, 1)), **options)
    with pytest.raises(zo.CheckpointError, match=r"is of another run: its method is"):
        zo.minimize(lambda x: x.sum(), [0.5, 0.5], **options)


# ----------------------------------------------------------------------------------------------------------- errors
ERRORS = [
    (lambda: zo.Float(1, 0), ValueError, "high must be at least low, 1, got 0"),
    (lambda: zo.Float(0, 1, log=True), ValueError, "low must be > 0, got 0"),
    (lambda: zo.Float("a", 1), TypeError, "low must be a real number, got 'a'"),
    (lambda: zo.Int(1, 0), ValueError, "high must be >= 1, got 0"),
    (lambda: zo.Int(0, 5, log=True), ValueError, "low must be >= 1, got 0"),
    (lambda: zo.Int(0.5, 3), TypeError, "low must be an integer, got 0.5"),
    (lambda: zo.Int(1, 9, log=True, step=2), ValueError, "step must be 1 where log is true, got 2"),
    (lambda: zo.Int(0, 2**60), ValueError, r"high must be at most 2\*\*53, got"),
    (lambda: zo.Choice(), ValueError, "a Choice must have values, got none"),
    (lambda: zo.Choice("a", "a"), ValueError, "values of a Choice must differ, got 'a' twice"),
    (lambda: zo.Space(), ValueError, r"a Space must have a parameter of more than one value, got Space\(\)"),
    (lambda: zo.Space(a=3), TypeError, "a must be a Float, Int, Choice or Bool, got 3"),
    (lambda: zo.Space({3: zo.Bool()}), TypeError, "names of parameters must be strings, got 3"),
    (lambda: zo.Space({"a": zo.Bool()}, a=zo.Bool()), ValueError, "each parameter must be given once, got a twice"),
    (lambda: SPACE.at(D=1), ValueError, "parameters must be of C, layers, kernel, shrink, got D"),
    (lambda: SPACE.at(C=1e4), ValueError, "C must be from 0.001 to 1000.0, got 10000.0"),
    (lambda: SPACE.at(layers=9), ValueError, "layers must be from 1 to 8, got 9"),
    (lambda: SPACE.at(layers=2.0), TypeError, "layers must be an integer, got 2.0"),
    (lambda: SPACE.at(kernel="linear"), ValueError, "kernel must be one of 'rbf', 'poly', None, got 'linear'"),
    (lambda: SPACE.at(shrink=1), TypeError, "shrink must be False or True, got 1"),
    (lambda: SPACE.decode([0.5]), ValueError, "x must have 6 coordinates, got 1"),
    (lambda: zo.Space.from_names(["a", "a"], (0, 1)), ValueError, "names must differ"),
    (lambda: zo.Space.from_names(["a", "b"], (0, None)), ValueError, "bounds must be finite on both sides"),
    (lambda: zo.Space.from_names(["a"], [(0, 1), (0, 1)]), ValueError, "one for each of 1 names"),
    (lambda: zo.Space.from_dict({"a": {"float": 3}}), ValueError, "a must be {float = "),
    (lambda: zo.Space.from_dict({"a": {"real": [0, 1]}}), ValueError, "a must be {float = .*, got {'real'"),
    (lambda: zo.Space.from_dict({"a": {"float": [0, 1], "step": 2}}), ValueError, "a must be {float = .*got"),
    (lambda: zo.Optimizer("spsa", SPACE, bounds=(0, 1)), ValueError, "bounds must be None with a Space"),
    (lambda: zo.Optimizer("spsa", SPACE, x_scale=2), ValueError, "x_scale must be None with a Space"),
    (lambda: zo.Optimizer(zo.SPSA(bounds=(0, 1)), SPACE), ValueError, "bounds must be given once"),
    (lambda: zo.minimize(loss, [0.5], unpack=True, budget=9), ValueError, "unpack must be False without a Space"),
    (
        lambda: zo.minimize(loss, zo.Space(step=zo.Float(0, 1)), unpack=True, pass_step=True, budget=9),
        ValueError,
        "pass_step must be False with unpack for a Space with a parameter named step",
    ),
    (
        lambda: zo.minimize(loss, SPACE, unpack=True, vectorized=True, budget=9),
        ValueError,
        "unpack must be False with vectorized",
    ),
    (lambda: zo.Optimizer("spsa", [0.5]).ask().params, AttributeError, "params are of an optimizer .* Space"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    raises(kind, message, call)

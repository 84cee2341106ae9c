"""Every peer behind our ask and tell: runs to its budget, improves, repeats itself, and leaves numpy's state alone."""

import gc
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from refusals import raises, refused

from zoo_opt.interop.inverted import Dialogue, Inverted

for package in ("cma", "cmaes", "nevergrad", "scipy", "noisyopt"):
    pytest.importorskip(package)

from zoo_opt.bench.solvers import check_method, left_out, make_solver  # noqa: E402

BOX = {"bounds": [-5.0, 5.0], "restart_from": [-4.0, 4.0]}
BIPOP = {"sigma0": 1.0, "restarts": "bipop", "restart_from": [-4.0, 4.0]}
PEERS = [
    ("pycma", BIPOP),
    ("pycma", {"sigma0": 1.0, "diagonal": True}),
    ("pycma", {"sigma0": 1.0, "sampler": "vkd"}),
    ("pycma", {"sigma0": 1.0, "sampler": "vd"}),
    ("pycma:lq", {"sigma0": 1.0, "restarts": 9, **BOX}),
    ("pycma:lq", {"first": "SLSQP", "sigma0": 1.0, "restarts": 9, **BOX}),
    ("pycma:noise-handler", BIPOP),
    ("pycma:noise-handler", {"sigma0": 1.0, "maxevals": [1, 1, 30]}),
    ("cmaes:CMA", BIPOP),
    ("cmaes:CMA", {"sigma0": 1.0, "lr_adapt": True}),
    ("cmaes:SepCMA", {"sigma0": 1.0, "restarts": "ipop"}),
    ("nevergrad:CMA", {}),
    ("nevergrad:OnePlusOne", {}),
    ("nevergrad:TBPSA", {"config": {"naive": False, "initial_popsize": 5}}),
    ("scipy:L-BFGS-B", BOX),
    ("scipy:BFGS", {"restart_from": [-4.0, 4.0]}),
    ("scipy:Nelder-Mead", BOX),
    ("scipy:Powell", BOX),
    ("scipy:COBYLA", {"restart_from": [-4.0, 4.0]}),
    ("scipy:SLSQP", BOX),
    ("scipy:COBYQA", BOX),
    ("scipy:differential_evolution", {"options": {"popsize": 2}}),
    ("noisyopt:SPSA", {"a": 0.2, "c": 0.01}),
]
ids = [use + ("" if not options else f"-{'-'.join(options)}") for use, options in PEERS]
X0 = np.array([2.0, -1.0, 3.0, 0.5])
BUDGET = 203


def loss(X):
    """A sphere of different axes with its minimum off the origin, shape (n,)."""
    return ((X - 0.3) ** 2 * [1, 2, 3, 4]).sum(axis=1)


def drive(use, options, budget=BUDGET):
    """All points in order, the step of each, and the solver."""
    solver = make_solver(use, options, X0, seed=1, budget=budget)
    points, steps = [], []
    while not solver.stop():
        batch = solver.ask()
        assert solver.ask() is batch
        points.extend(batch)
        steps += [batch.step] * len(batch)
        solver.tell(batch, loss(batch.X))
    return np.array(points), steps, solver


@pytest.mark.filterwarnings("ignore")  # nevergrad's and pycma's advice
@pytest.mark.parametrize(("use", "options"), PEERS, ids=ids)
def test_a_peer(use, options):
    check_method(use, options, budget=BUDGET)
    before = np.random.get_state()  # noqa: NPY002
    points, steps, solver = drive(use, options)
    again, *_ = drive(use, options)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:] and np.array_equal(before[1], after[1])
    np.testing.assert_array_equal(points, again)
    assert BUDGET - 16 < len(points) == solver.nfev <= BUDGET
    assert solver.best.loss == loss(points).min() < 0.3 * loss(X0[None])[0]
    assert steps == sorted(steps)
    assert solver.mean.shape == (4,) and loss(solver.mean[None])[0] < loss(X0[None])[0]
    np.testing.assert_array_equal(X0, [2.0, -1.0, 3.0, 0.5])


@pytest.mark.parametrize(("use", "options"), [p for p in PEERS if "bounds" in p[1]], ids=lambda v: str(v)[:20])
def test_bounds_are_kept(use, options):
    points, _, _ = drive(use, {**options, "bounds": [-1.0, 4.0], "restart_from": [-1.0, 4.0]})
    assert points.min() >= -1 and points.max() <= 4


LEVELS = (2, 4, 9, 0)
CUBE = {"restarts": "bipop", "restart_from": [0.0, 1.0]}
MIXED = [
    ("cmaes:CatCMAwM", {"sigma0": 1.0, **CUBE}),
    ("cmaes:CMAwM", {"sigma0": 0.2, **CUBE}),
    ("pycma:integers", {"sigma0": 0.2, **CUBE}),
    ("optuna:TPE", {}),
    ("nevergrad:NGOpt", {}),
    ("cma-es", {"sigma0": 0.2, "bounds": [0.0, 1.0], **CUBE}),
    ("auto", {"bounds": [0.0, 1.0]}),
]


@pytest.mark.filterwarnings("ignore")  # nevergrad's and pycma's advice
@pytest.mark.parametrize(("use", "options"), MIXED, ids=[use for use, _ in MIXED])
def test_integers_of_the_unit_cube(use, options):
    """Every candidate is in the middles of its levels, and the best point is found or near."""
    if use.startswith("optuna"):
        pytest.importorskip("optuna")
    target = np.array([0.75, 0.375, 6.5 / 9, 0.3])
    options = {**options, "levels": LEVELS}
    check_method(use, options, budget=200)
    runs = []
    for _ in range(2):
        solver = make_solver(use, options, np.full(4, 0.5), seed=1, budget=200)
        points = []
        while not solver.stop():
            batch = solver.ask()
            points.extend(np.asarray(batch.X))
            solver.tell(batch, ((batch.X - target) ** 2).sum(axis=1))
        runs.append(np.array(points))
    X = runs[0]
    np.testing.assert_array_equal(X, runs[1])
    for j, k in enumerate(LEVELS[:3]):
        cell = np.floor(X[:, j] * k)
        np.testing.assert_allclose(X[:, j], (cell + 0.5) / k, atol=1e-12)
        assert np.floor(target[j] * k) in cell and len(set(cell)) > 1
    assert X.min() >= 0 and X.max() <= 1
    assert ((X - target) ** 2).sum(axis=1).min() < (0.3 if use.startswith("nevergrad") else 0.01)
    assert np.shape(solver.mean) == (4,) and len(X) > 180


@pytest.mark.parametrize("levels", [(2, 3), (1, 2, 3, 0), (2.5, 2, 2, 0)])
def test_levels_that_do_not_fit_are_named(levels):
    with pytest.raises(ValueError, match="levels must be 4 integers, each 0 or at least 2"):
        make_solver("pycma:integers", {"sigma0": 0.2, "levels": levels}, np.full(4, 0.5), seed=1, budget=100)


def test_gradients_by_differences_are_one_batch():
    X = make_solver("scipy:L-BFGS-B", {"step": 1e-6}, X0, seed=1, budget=100).ask().X
    np.testing.assert_allclose(X - X0, np.vstack([np.zeros(4), 1e-6 * np.eye(4)]), atol=1e-12)


def test_the_last_batch_is_cut_to_the_budget():
    _, steps, solver = drive("scipy:L-BFGS-B", {}, budget=7)
    assert steps == [0] * 5 + [1] * 2 and solver.stop() == {"budget": 7}


def test_a_minimiser_that_returns_has_stopped():
    _, _, solver = drive("scipy:L-BFGS-B", {}, budget=1000)
    assert solver.stop() == {"returned": True} and solver.nfev < 100
    raises(RuntimeError, "ScipyMinimize has ended by itself", solver.ask)


def test_the_two_probes_of_noisyopt_share_a_step():
    assert drive("noisyopt:SPSA", {"a": 0.1, "c": 0.1})[1][:6] == [0, 0, 1, 1, 2, 2]
    assert drive("noisyopt:SPSA", {"a": 0.1, "c": 0.1, "paired": False})[1][:4] == [0, 1, 2, 3]


def test_a_failed_evaluation_is_the_worst_so_far():
    solver = make_solver("scipy:Nelder-Mead", {}, X0, seed=1, budget=50)
    while not solver.stop():
        batch = solver.ask()
        solver.tell(batch, [None if solver.nfev % 7 == 3 else loss(batch.X)[0]])
    assert solver.nfail == 7 and solver.best.loss < loss(X0[None])[0]


test_bad_options_are_named = refused(
    partial(make_solver, x0=X0, seed=1, budget=100),
    (("nothing", {}), "must be one of .*peers too"),
    (("spsa", {"lr": {"type": "Nope"}}), "needs a type that zoo_opt has"),
    (("spsa", {"rate": 1}), "rate"),
    (("scipy:CG", {}), "name must be one of"),
    (("scipy:COBYQA", {"step": 1e-8}), "refuses its options"),
    (("scipy:BFGS", {"bounds": [-1, 1]}), "bounds must be None for BFGS"),
    (("scipy:L-BFGS-B", {"step": 0}), "step must be positive"),
    (("scipy:L-BFGS-B", {"sigma0": 1}), "refuses its options"),
    (("pycma", {"sampler": "full"}), r"sampler must be None or one of \['vd', 'vkd'\], got 'full'"),
    (("pycma", {"sigma": 1}), "refuses its options"),
    (("pycma", {"restarts": "often"}), 'restarts must be None, "ipop" or "bipop"'),
    (("pycma:noise-handler", {"restarts": "often"}), "restarts must be None"),
    (("pycma:lq", {"first": "BFGS"}), 'first must be None or "SLSQP"'),
    (("optuna:TPE", {"levels": [2, 0, 0, 0], "bounds": [0, 2]}), r"bounds must be \(0, 1\) with levels"),
    (("pycma:other", {}), "expected"),
    (("cmaes:Cma", {}), "kind must be one of"),
    (("cmaes:SepCMA", {"lr_adapt": True}), "lr_adapt must be False for SepCMA"),
    (("nevergrad:Nope", {}), "registered in nevergrad"),
    (("nevergrad:OnePlusOne", {"config": {"a": 1}}), "config|refuses"),
    (("noisyopt:SPSA", {"lr": 1}), "refuses its options"),
)


@pytest.mark.parametrize(
    ("module", "use", "package"),
    [
        ("noisyopt", "noisyopt:SPSA", "noisyopt"),
        ("cma", "pycma", "cma"),
        ("cmaes", "cmaes:CMA", "cmaes"),
        ("scipy.optimize", "scipy", "scipy"),
    ],
)
def test_a_missing_package_is_said(monkeypatch, module, use, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'{package}.* is not installed; .*pip install "zoo-opt\[bench\]"'):
        make_solver(use, {}, X0, seed=1, budget=10)


def test_optuna_searches_a_box():
    pytest.importorskip("optuna")
    points, _, solver = drive("optuna:TPE", {"bounds": [-1.0, 4.0]}, budget=60)
    assert -1 <= points.min() < 0 and 3 < points.max() <= 4 and solver.best.loss < 5


def test_a_second_run_of_cobyqa_does_not_hang(monkeypatch):
    monkeypatch.setattr("zoo_opt.interop.trust_region_peers.PATIENCE", 0.05)
    first = make_solver("scipy:COBYQA", {}, X0, seed=1, budget=10)
    with pytest.raises(RuntimeError, match="another run of COBYQA is open"):
        make_solver("scipy:COBYQA", {}, X0, seed=1, budget=10)
    first.close()
    assert len(make_solver("scipy:COBYQA", {}, X0, seed=1, budget=10).ask()) == 1


def test_py_bobyqa_where_it_is_installed():
    pytest.importorskip("pybobyqa")
    points, _, solver = drive("pybobyqa", {"bounds": [-1.0, 4.0], "restart_from": [-1.0, 4.0]})
    assert points.min() >= -1 and points.max() <= 4
    assert len(points) == BUDGET and solver.best.loss < 1e-8


def test_what_is_optional_is_left_out_with_a_reason(monkeypatch):
    assert left_out("scipy:COBYQA") == left_out("auto") == ""
    monkeypatch.setattr("zoo_opt.support.registry.Entry.missing", ["pybobyqa"])
    assert left_out("pybobyqa") == "Py-BOBYQA is not installed"
    assert left_out("scipy:COBYQA") == ""  # its absence is an error: the extra was forgotten
    monkeypatch.setattr("zoo_opt.support.registry.Entry.missing", ["torch"])
    assert left_out("optuna:GP") == "torch is not installed" and left_out("optuna:TPE") == ""


# ---------------------------------------------------------------------------------------- inversion of control


def settled():
    """Threads once those that were told to end have done so."""
    for _ in range(100):
        gc.collect()
        count = sum(thread.name == "zoo-opt-minimiser" for thread in threading.enumerate())
        if count == 0:
            return 0
        time.sleep(0.01)
    return count


def test_threads_end_with_their_peer():
    solvers = [make_solver("scipy:Nelder-Mead", {}, X0, seed=1, budget=100) for _ in range(3)]
    assert sum(thread.name == "zoo-opt-minimiser" for thread in threading.enumerate()) >= 3
    solvers[0].close()
    del solvers
    assert settled() == 0


def test_an_error_of_the_minimiser_surfaces():
    class Odd(Inverted):
        def __init__(self):
            super().__init__([0.0], rng=0)

            def minimise(evaluate):
                evaluate([[1.0]])
                raise ZeroDivisionError("at the second point")

            self._start(minimise)

    odd = Odd()
    raises(ZeroDivisionError, "at the second point", odd.tell, odd.ask(), [1.0])
    assert settled() == 0


def test_a_dialogue_passes_copies_and_ends():
    seen = []

    def minimise(evaluate):
        x = np.zeros(2)
        for _ in range(3):
            seen.append(evaluate(x)[0])
            x += 1

    dialogue = Dialogue(minimise)
    points = [dialogue.advance()]
    while points[-1] is not None:
        points.append(dialogue.advance(np.array([float(len(points))])))
    np.testing.assert_array_equal(points[:3], [[[0, 0]], [[1, 1]], [[2, 2]]])
    assert seen == [1, 2, 3]

"""The real tasks' solvers against others: closed forms, exact programs, other formulations, other packages."""

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize

from zoo_opt.bench import Problem, make_problem
from zoo_opt.bench.problems.real import controller, lens, portfolio, truss
from zoo_opt.bench.problems.real.odes import FINE, TOLERANCE
from zoo_opt.bench.problems.real.tasks import TASKS, make_task
from zoo_opt.bench.problems.registry import expand
from zoo_opt.bench.problems.split import REAL_TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_a_problem_that_repeats_itself(name):
    task, again = make_task(name), make_problem("real", {"task": name})
    assert isinstance(task, Problem) and task.name == again.name == f"real-{name}" and task.dim == len(task.x0(1))
    X = np.random.default_rng(1).uniform(-0.2, 1.2, (3, task.dim))
    y = task.losses(X, 0, 1)
    np.testing.assert_array_equal(y, again.losses(X, 5, 2))
    np.testing.assert_array_equal(y, task.losses(np.clip(X, 0, 1), 0, 1))  # outside counts as the nearest inside
    assert np.isfinite(y).all() and y.min() > task.optimum
    assert np.isnan(task.losses(np.full((1, task.dim), np.nan), 0, 1)[0])
    x0 = task.x0(1)
    assert x0.min() > 0 and x0.max() < 1 and not np.array_equal(x0, task.x0(2))
    assert list(task.targets) == sorted(task.targets, reverse=True) and task.targets[-1] > 0
    np.testing.assert_allclose(task.cube(task.physical(X)), np.clip(X, 0, 1), atol=1e-12)


def test_every_task_is_on_one_side_of_the_split():
    assert sorted(REAL_TASKS["design"] + REAL_TASKS["record"]) == sorted(TASKS)
    assert [a["task"] for _, a in expand("real", {"part": "record"})] == list(REAL_TASKS["record"])
    with pytest.raises(ValueError, match=r"task must be one of sir, .*, got 'sor'"):
        make_problem("real", {"task": "sor"})


@pytest.mark.parametrize("name", ["sir", "lotka-volterra", "kinetics", "registration"])
def test_the_truth_fits_as_well_as_the_noise_allows(name):
    task = make_task(name)
    noise = 0.01 if name == "registration" else task.noise
    assert task.optimum < task.loss(np.array(task.truth)) == pytest.approx(noise**2, rel=0.35)


def test_the_solver_inside_is_coarse_and_the_data_are_fine():
    task = make_task("lotka-volterra")
    p = np.array(task.truth)
    fine, coarse = task.observed(p, FINE), task.observed(p, TOLERANCE)
    assert 1e-6 < np.abs(fine - coarse).max() < 0.02
    alpha, beta, gamma, delta = p[:4]
    u, v = np.exp(fine)
    conserved = delta * u - gamma * np.log(u) + beta * v - alpha * np.log(v)
    np.testing.assert_allclose(conserved, conserved[0], rtol=1e-6)


def test_the_network_keeps_its_atoms():
    """The same rates as a matrix of reactions, solved by another method; A + B + 2 (C + D + E) stays 1."""
    task = make_task("kinetics")
    k = 10.0 ** np.array(task.truth)
    #                    A<->B     2B->C  C+A->B+D  C->E  D->E
    change = np.array([
        [-1, 1, 0, -1, 0, 0],
        [1, -1, -2, 1, 0, 0],
        [0, 0, 1, -1, -1, 0],
        [0, 0, 0, 1, 0, -1],
        [0, 0, 0, 0, 1, 1],
    ])  # fmt: skip
    assert not np.any(np.array([1, 1, 2, 2, 2]) @ change)

    def right(t, y):
        a, b, c, d, _ = y
        return change @ (k * [a, b, b * b, c * a, c, d * c])

    y = solve_ivp(right, (0, 100), [1, 0, 0, 0, 0], "Radau", np.geomspace(0.01, 100, 15), rtol=1e-8, atol=1e-11).y
    np.testing.assert_allclose(task.observed(np.array(task.truth), FINE), y[[0, 2, 4]], rtol=1e-4, atol=1e-7)


def test_the_epidemic_by_another_integrator():
    task = make_task("sir")
    beta_1, beta_2, t_c, latent, ill, first, reported = task.truth
    s, e, i, total, weekly = 1 - first, 0.0, first, 0.0, [0.0]
    step = 0.01
    for n in range(round(182 / step)):  # the explicit midpoint rule
        t = (n + 0.5) * step
        beta = beta_2 + (beta_1 - beta_2) / (1 + np.exp(t - t_c))

        def slopes(s, e, i, beta=beta):
            return -beta * s * i, beta * s * i - e / latent, e / latent - i / ill

        ds, de, di = slopes(s, e, i)
        half = slopes(s + step / 2 * ds, e + step / 2 * de, i + step / 2 * di)
        total += step * (e + step / 2 * de) / latent
        s, e, i = s + step * half[0], e + step * half[1], i + step * half[2]
        if (n + 1) % round(7 / step) == 0:
            weekly.append(total)
    expected = np.log(reported * np.diff(weekly))
    np.testing.assert_allclose(task.observed(np.array(task.truth), FINE), expected, atol=2e-3)


def test_the_cluster():
    task = make_task("lennard-jones")
    p = task.physical(np.random.default_rng(2).uniform(size=24))
    atoms = p.reshape(8, 3)
    energy = sum(
        4 * (np.linalg.norm(a - b) ** -12 - np.linalg.norm(a - b) ** -6) for k, a in enumerate(atoms) for b in atoms[:k]
    )
    assert task.loss(p) == pytest.approx(energy)
    ends = [minimize(lambda x: task.losses(x[None], 0, 0)[0], task.x0(s), bounds=[(0, 1)] * 24).fun for s in range(12)]
    assert task.optimum - 1e-6 < min(ends) < -18.5


def test_the_truss_of_the_literature_is_feasible_and_weighs_what_it_is_said_to():
    task = make_task("truss")
    areas = np.array([30.5218, 0.1, 23.1999, 15.2229, 0.1, 0.5514, 7.4572, 21.0364, 21.5284, 0.1])
    shifts, stresses = task.solved(areas)
    assert np.abs(shifts).max() == pytest.approx(2, abs=2e-4) and np.abs(stresses).max() < 25.001
    assert 0.1 * areas @ task.lengths == pytest.approx(task.optimum, abs=0.5)
    # Equilibrium at every free node, bar by bar.
    forces = np.zeros((6, 2))
    for (i, j), pull in zip(truss.BARS, stresses * areas, strict=True):
        along = (truss.NODES[j] - truss.NODES[i]) / np.linalg.norm(truss.NODES[j] - truss.NODES[i])
        forces[i] += pull * along
        forces[j] -= pull * along
    expected = np.zeros((4, 2))
    expected[[1, 3], 1] = 100
    np.testing.assert_allclose(forces[:4], expected, atol=1e-8)
    thin = np.maximum(np.abs(2 * shifts) / 2 - 1, 0).sum() + np.maximum(np.abs(2 * stresses) / 25 - 1, 0).sum()
    assert task.loss(areas / 2) == pytest.approx(0.05 * areas @ task.lengths * (1 + 5 * thin))


def test_an_even_array_has_the_closed_form():
    task = make_task("antenna")
    psi = np.pi * np.linspace(0.11, 1, 600)  # half a wavelength apart
    factor = np.abs(np.sin(8 * psi) / (16 * np.sin(psi / 2)))
    expected = 20 * np.log10(factor.max())
    assert task.loss(np.r_[0.25, np.full(7, 0.5), np.ones(7)]) == pytest.approx(expected)


def test_a_whole_shift_of_the_picture_is_a_slice():
    task = make_task("registration")
    warped = task._warped(np.array([3.0, -2.0, 0.0, 1.0, 0.0, 1.0, 0.0]))
    np.testing.assert_allclose(warped[:-2, 3:], task.fixed[2:, :-3], atol=1e-9)
    assert np.isnan(warped[:, :3]).all()


def test_the_forest_is_scikit_learns():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import log_loss

    task = make_task("forest")
    p = task.physical(np.array([0.99, 0.4, 0.0, 0.6, 0.5, 0.7, 0.1]))
    settings = task.settings(p)
    assert (settings["n_estimators"], settings["max_depth"], settings["criterion"]) == (24, 5, "entropy")
    rows, labels, test, test_labels = task._data
    probability = RandomForestClassifier(**settings, random_state=0).fit(rows, labels).predict_proba(test)
    bounded = np.clip(probability, 1e-3, 1)
    expected = -np.mean(np.log(bounded[np.arange(len(test)), test_labels]))
    assert task.loss(p) == pytest.approx(expected)
    assert abs(task.loss(p) - log_loss(test_labels, np.clip(probability, 1e-3, 1 - 1e-3))) < 1e-3
    near = task.x0(1)
    near[:4] += 0.49 / np.array(task.levels[:4])
    assert task.losses(near[None], 0, 0) == task.losses(task.x0(1)[None], 0, 0)


def test_the_cart_is_gymnasiums():
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    for state in np.random.default_rng(0).uniform(-0.2, 0.2, (5, 4)):
        env.state = state.copy()
        stepped = env.step(1)[0]
        np.testing.assert_allclose(controller.advance(*state, 10.0), stepped, atol=1e-6)


def test_a_cart_that_is_left_alone_falls_and_a_good_controller_does_not():
    task = make_task("controller")
    assert task.loss(np.zeros(6)) > 6
    assert task.loss(np.array([2.0, 4.0, 45.0, 10.0, 0.0, 0.0])) < 0.5


def test_a_ray_in_the_plane_by_angles():
    """The middle ray of the last field through the same surfaces, by Snell's law for angles."""
    task = make_task("lens")
    p = task.physical(np.full(9, 0.5))
    y, z, angle, before = 0.0, 0.0, np.radians(14), 1.0
    steps = (lens.THICK[0], p[6], lens.THICK[1], p[7], lens.THICK[2], p[8])
    for k, (c, step) in enumerate(zip(p[:6], steps, strict=True)):
        after = lens.GLASS[lens.ELEMENTS[k // 2]][0] if k % 2 == 0 else 1.0
        # Centre of the sphere at (0, 1 / c): the distance along the ray from a quadratic with c in front.
        dy, dz = np.sin(angle), np.cos(angle)
        t = np.roots([c, 2 * (c * (y * dy + z * dz) - dz), c * (y * y + z * z) - 2 * z])
        t = t[np.argmin(np.abs(t))]
        y, z = y + t * dy, z + t * dz
        normal = np.arctan2(-c * y, 1 - c * z)
        angle = normal + np.arcsin(before / after * np.sin(angle - normal))
        z, before = z - step, after
    y -= z * np.tan(angle)
    np.testing.assert_allclose(task.traced(p)[2, 0, 0], [0, y], atol=1e-9)


def test_rays_on_the_axis_are_round_and_parabasal_ones_follow_matrices():
    task = make_task("lens")
    p = task.physical(np.full(9, 0.5))
    radii = np.linalg.norm(task.traced(p)[0, 0], axis=1)
    np.testing.assert_allclose(radii[1:9], radii[1])
    np.testing.assert_allclose(radii[9:], radii[9])
    task._at = task._at * 1e-5
    system = np.eye(2)  # of (height, slope)
    before = 1.0
    for k, (c, step) in enumerate(
        zip(p[:6], (*lens.THICK[:1], p[6], lens.THICK[1], p[7], lens.THICK[2], p[8]), strict=True)
    ):
        after = lens.GLASS[lens.ELEMENTS[k // 2]][0] if k % 2 == 0 else 1.0
        system = np.array([[1, step], [0, 1]]) @ [[1, 0], [-c * (after - before) / after, before / after]] @ system
        before = after
    small = np.linalg.norm(task.traced(p)[0, 0], axis=1)[9]
    assert small == pytest.approx(abs(system[0, 0]) * 5e-5, rel=1e-4)


def test_the_portfolio_is_a_linear_program():
    """Rockafellar and Uryasev's program for the shortfall, with cash, loan and costs: its optimum is the task's."""
    task = make_task("portfolio")
    r, n, T, k = task.returns, portfolio.ASSETS, portfolio.DAYS, portfolio.WORST
    zero = np.zeros
    cash, loan, cost, taste = portfolio.CASH, portfolio.LOAN, portfolio.COST, portfolio.TASTE
    # weights, cash, loan, zeta, excesses, changes
    c = np.r_[-taste * r.mean(0), -taste * cash, taste * loan, 1, np.full(T, 1 / k), np.full(n, cost)]
    days = np.hstack([-r, np.full((T, 1), -cash), np.full((T, 1), loan), np.full((T, 1), -1), -np.eye(T), zero((T, n))])
    up = np.hstack([np.eye(n), zero((n, 3 + T)), -np.eye(n)])
    down = np.hstack([-np.eye(n), zero((n, 3 + T)), -np.eye(n)])
    whole = np.r_[np.ones(n), 1, -1, zero(1 + T + n)][None]
    bounds = [(0, 0.4)] * n + [(0, None)] * 2 + [(None, None)] + [(0, None)] * (T + n)
    b = np.r_[zero(T), np.full(n, 1 / n), np.full(n, -1 / n)]
    found = linprog(c, np.vstack([days, up, down]), b, whole, [1], bounds)
    w = found.x[:n]
    assert task.loss(w) == pytest.approx(100 * found.fun, abs=1e-9) == pytest.approx(task.optimum, abs=1e-6)
    assert np.sum((w < 1e-9) | (w > 0.4 - 1e-9)) >= 3


def test_the_filter_by_chain_matrices():
    task = make_task("circuit")
    p = task.physical(np.random.default_rng(3).uniform(size=10))
    for index in (0, 40, 61, 159):
        s = 1j * task._omega[index]
        chain = np.array([[1, 1.0], [0, 1]], dtype=complex)  # the source's resistor
        for k in range(4):
            chain = chain @ [[1, 0], [s * p[k], 1]]
            if k < 3:
                through = 1 / (1 / (s * p[4 + k] + p[4 + k] / 150) + s * p[7 + k])
                chain = chain @ [[1, through], [0, 1]]
        out = 1 / (chain @ [[1, 0], [1, 1]])[0, 0]  # across the load of 1
        assert task.attenuation(p)[index] == pytest.approx(-20 * np.log10(2 * abs(out)))

"""The trial of FZOO: how long steps may be, from probes as long as steps."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import zoo_opt as zo
from zoo_opt.gradient.trial import TrialState

D = 3000


def bowl(curvature: float, slope: float = 1.0):
    """A quadratic of equal curvature around ones, steep there along a fixed direction."""
    g = slope * np.random.default_rng(7).standard_normal(D)
    return lambda x: float(g @ x + 0.5 * curvature * np.square(x - 1.0).sum())


def steps_of(f, steps: int, trial: bool = True, rng: int = 2):
    """An optimizer after some steps, and what each asked and was told."""
    method = zo.FZOO.untuned(trial=trial)
    opt, seen = zo.Optimizer(method, np.ones(D), rng=rng, budget=1200), []
    for _ in range(steps):
        before, batch = opt.mean.copy(), opt.ask()
        losses = [f(x) for x in batch]
        opt.tell(batch, losses)
        seen.append((before, np.array(batch.X), np.array(losses), opt.mean.copy()))
    return opt, seen


def cut_of(before, X, losses, after) -> float:
    """The factor that a trial leads to, from its points and losses alone."""
    assert (X[0] == before).all() and (after == before).all()
    r = np.linalg.norm(X[1:] - before, axis=1)
    slopes = (losses[1:] - losses[0]) / r
    (A,), (squares,), *_ = np.linalg.lstsq(r[:, None], slopes)
    promised = math.sqrt(squares / (len(r) - 1)) * r[0] * math.sqrt(len(X) - 1)
    return 1.0 if A <= 0 else min(1.0, max(0.125 * promised / (A * r[0] ** 2), 1 / 32))


def test_the_factor_is_what_the_losses_say() -> None:
    opt, seen = steps_of(bowl(0.075), 1)
    before, X = seen[0][:2]
    lengths = np.linalg.norm(X[1:] - before, axis=1)
    np.testing.assert_allclose(lengths / lengths[0], 32.0 ** (-np.arange(11) / 10), rtol=1e-6)
    assert opt.state.gains.factor == pytest.approx(cut_of(*seen[0]), rel=1e-6)
    assert 0.25 < opt.state.gains.factor < 0.9 and opt.state.gains.left == 0


def test_it_is_near_what_is_known_of_the_loss() -> None:
    """The loss rises by curvature r^2 / 2 along a probe, and the size of a slope is |g| / sqrt(d): of 21 seeds."""
    curvature, g = 0.15, np.random.default_rng(7).standard_normal(D)
    runs = [steps_of(bowl(curvature), 1, rng=rng) for rng in range(21)]
    r = np.linalg.norm(runs[0][1][0][1][1] - 1.0)
    expected = 0.125 * np.linalg.norm(g) / math.sqrt(D) * math.sqrt(11) / (curvature * r / 2)
    assert 0.25 < expected < 0.4
    assert np.median([opt.state.gains.factor for opt, _ in runs]) == pytest.approx(expected, rel=0.2)


def test_a_step_is_as_long_as_the_longest_probe_of_its_trial() -> None:
    opt, seen = steps_of(bowl(-0.05), 6)
    assert opt.state.gains.factor == 1.0
    longest = np.linalg.norm(seen[0][1][1] - seen[0][0])
    step = np.linalg.norm(seen[5][3] - seen[5][0])
    assert step == pytest.approx(longest, rel=0.05)


@pytest.mark.parametrize("curvature", [3.0, 30.0])
def test_steps_that_are_far_too_long_are_tried_again(curvature: float) -> None:
    """Untried, such steps only go up."""
    f = bowl(curvature)
    opt, seen = steps_of(f, 60)
    expected, trials = 1.0, 0
    for step in seen[:3]:
        cut = cut_of(*step)
        expected, trials = expected * cut, trials + 1
        if cut >= 0.25:
            break
    assert trials > 1 and opt.state.gains.factor == pytest.approx(expected, rel=1e-6)
    assert (seen[trials][3] != seen[trials][0]).any()
    assert f(opt.mean) < f(np.ones(D)) < f(steps_of(f, 8, trial=False)[0].mean)


@given(failed=st.sets(st.integers(1, 11)), first=st.booleans())
def test_failed_probes_are_too_long_ones(failed: set[int], first: bool) -> None:
    opt, _ = steps_of(bowl(0.0), 0)
    batch = opt.ask()
    losses = [math.nan if k in failed or (k == 0 and first) else 0.0 for k in range(12)]
    opt.tell(batch, losses)
    factor, left = opt.state.gains.factor, opt.state.gains.left
    if first:  # nothing can be said
        assert (factor, left) == (1.0, 2)
    else:
        longest = next((k for k in range(1, 12) if k not in failed), 11)
        assert factor == pytest.approx(32.0 ** (-(longest - 1) / 10))
        assert left == (2 if factor < 0.25 else 0)


def test_a_rate_that_warms_up_is_tried_again_as_steps_grow() -> None:
    """Whenever they may be twice as long as allowed: untried they are 33 long at the full rate, and only go up."""
    method = zo.FZOO(lr=lambda t: 2e-3 * min(1.0, (t + 1) / 64), c=1e-3, directions=12, base=False, trial=True)
    opt, f, lengths = zo.Optimizer(method, np.ones(D), rng=2), bowl(3.0), []
    for _ in range(80):
        before, batch = opt.mean.copy(), opt.ask()
        opt.tell(batch, [f(x) for x in batch])
        lengths.append(np.linalg.norm(opt.mean - before))
    trials = [t for t, length in enumerate(lengths) if length == 0.0]
    assert trials[:5] == [0, 2, 6, 14, 30] and len(trials) <= 8  # the first ones left all that was asked for
    assert max(lengths) < 2.0 and opt.state.gains.factor < 0.05
    assert f(opt.mean) < f(np.ones(D)) - 20.0


def test_a_run_goes_on_exactly_from_within_its_trial(tmp_path) -> None:
    f, path = bowl(30.0), tmp_path / "run.zoo"
    for at in range(5):
        opt, _ = steps_of(f, at)
        assert isinstance(opt.state.gains, TrialState)
        opt.save(path)
        other = zo.Optimizer.load(path)
        for _ in range(6 - at):
            batch = other.ask()
            other.tell(batch, [f(x) for x in batch])
        assert (other.mean == steps_of(f, 6)[0].mean).all()


def test_few_steps_have_no_trial() -> None:
    assert zo.FZOO.untuned(trial=True).plan(np.ones(9), 239).trial is False
    assert zo.FZOO.untuned(trial=True).plan(np.ones(9), 240).trial is True
    assert zo.FZOO.untuned(trial=True).plan(np.ones(9), None).trial is True
    assert zo.FZOO(lr=1e-5, base=False, trial=True).plan(np.ones(9), 9).trial is True


@pytest.mark.parametrize("loss", [1.0, 0.1, -1e-300, 1e300])
def test_losses_that_are_all_equal_move_nothing(loss: float) -> None:
    """Their mean, rounded, is not their value: with 11 of them, divided by a spread of rounding, x went to 1e8."""
    for trial in (False, True):
        opt, _ = steps_of(lambda x: loss, 4, trial=trial)
        assert (opt.mean == 1.0).all()


def test_gains_without_a_rate_are_measured_without_a_trial() -> None:
    found = zo.calibrate(bowl(0.1), np.ones(D), zo.FZOO.untuned(trial=True), rng=1)
    assert found.noise == 0.0 and found.method.trial


def test_within_bounds_there_is_none() -> None:
    method = zo.FZOO.untuned(trial=True).within((-9, 9))
    opt = zo.Optimizer(method, np.ones(D), rng=2, budget=1200)
    assert opt.ask().of[1] == 0  # a point evaluated twice, as in a step without a trial


test_errors = refused(
    operator.call,
    (lambda: zo.FZOO(trial=True), ValueError, "trial must be False with a base, got True"),
)

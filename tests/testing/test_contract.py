"""Every method through the public contract suite, and through runs that hypothesis thinks up."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises

import zoo_opt as zo
from zoo_opt.core.keys import Key, generator
from zoo_opt.testing import Case, MethodContract, Recorder, check, ellipsoid
from zoo_opt.testing.recorder import scratch_folder, whole

STEPS = 8


class TestMethods(MethodContract):
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request):
        return request.param


actions = st.lists(
    st.tuples(st.sampled_from(["lease", "ask", "tell", "reload"]), st.integers(0, 2**16)), min_size=3, max_size=40
)
ids = st.sets(st.integers(0, 80), max_size=60)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=15)
@given(actions=actions, failed=ids, infinite=ids, lookahead=st.integers(0, 3))
def test_any_run_is_the_plain_run(case, actions, failed, infinite, lookahead):
    """Any leases, order, parts, save points and failures: the iterates are those of whole batches told in order."""

    def loss(candidate):
        if candidate.id in failed:
            return math.nan
        return math.inf if candidate.id in infinite else ellipsoid(candidate.x)

    options = {"lookahead": lookahead if case.method.lookahead else 0}
    run, pool = Recorder(case, loss, **options), {}
    with scratch_folder() as folder:
        for action, seed in actions:
            rng = np.random.default_rng(seed)
            if action == "lease":
                pool |= {c.id: c for c in run.ask(1 + seed % 4)}
            elif action == "ask":
                pool |= {c.id: c for c in run.ask()}
            elif action == "reload":
                run.reload(folder)
            elif pool:
                run.tell([pool.pop(id_) for id_ in rng.permutation(list(pool))[: 1 + seed % len(pool)]])
    run.run(whole, max(STEPS, run.opt.nit))
    run.assert_same(Recorder(case, loss, **options).run(whole, run.opt.nit))


# --------------------------------------------- a method of someone else's, and what the suite finds in it
@dataclass(frozen=True)
class WalkState:
    key: Key
    x: np.ndarray
    sigma: float = 0.5


@dataclass(frozen=True)
class Walk(zo.Method):
    """(1, 4)-evolution strategy that keeps its parent unless a child is better than the worst."""

    popsize: int = 4

    def init(self, x0, key):
        return WalkState(key, x0)

    def size(self, state):
        return self.popsize

    def ask(self, state, step, out=None):
        z = generator(state.key, step).standard_normal((self.popsize, state.x.size), dtype=state.x.dtype)
        return zo.Asked(state.x + state.x.dtype.type(state.sigma) * z)

    def update(self, state, asked, losses):
        alive = [(loss, i) for i, loss in enumerate(losses) if loss == loss]
        if not alive:
            return state
        return replace(state, x=asked.X[min(alive)[1]].copy(), sigma=max(1e-3, 0.98 * state.sigma))

    def mean(self, state):
        return state.x


def case_of(method):
    return Case("walk", method, types=(type(method), WalkState), reduction=0.5)


def test_check_accepts_a_method_of_someone_elses():
    check(case_of(Walk()))


class Remembers(Walk):
    """Its points hang on how many it has made, not on the state."""

    def ask(self, state, step, out=None):
        calls = vars(self).setdefault("calls", [])
        calls.append(None)
        return zo.Asked(super().ask(state, step).X + 1e-9 * len(calls))


class OrderMatters(Walk):
    """It draws from numpy's global generator."""

    def ask(self, state, step, out=None):
        z = np.random.standard_normal((self.popsize, state.x.size))  # noqa: NPY002
        return zo.Asked(state.x + z.astype(state.x.dtype))


class RanksFailures(Walk):
    """A failed candidate wins."""

    def update(self, state, asked, losses):
        return super().update(state, asked, [0.0 if loss != loss else loss for loss in losses])


class Upcasts(Walk):
    """Its candidates are always float64."""

    def ask(self, state, step, out=None):
        return zo.Asked(super().ask(state, step).X.astype(np.float64))


class Recycles(Walk):
    """It writes the new iterate over the old one, which was handed out."""

    def update(self, state, asked, losses):
        new = super().update(state, asked, losses)
        state.x[:] = new.x
        return replace(new, x=state.x)


class Miscounts(Walk):
    """It makes more candidates than it says."""

    def size(self, state):
        return self.popsize - 1


class Chases(Walk):
    """It follows the worst."""

    def update(self, state, asked, losses):
        return super().update(state, asked, [-loss for loss in losses])


class Blows(Walk):
    """It adds the losses to the iterate."""

    def update(self, state, asked, losses):
        new = super().update(state, asked, losses)
        with np.errstate(over="ignore"):
            return replace(new, x=(new.x - min(losses, key=abs) * 10.0).astype(new.x.dtype))


class Says(Walk):
    """It says that it ends, and gives no reason ever."""

    ends = True


class Stays(Says):
    """It says that it ends, and has a `stop` that stays empty."""

    def stop(self, state):
        return {}


class Counts(Walk):
    """It counts its steps in the state as it asks."""

    def ask(self, state, step, out=None):
        state.x[:1] += 1e-9
        return super().ask(state, step)


class Notes(Walk):
    """It sorts its memo in place."""

    def ask(self, state, step, out=None):
        return super().ask(state, step)._replace(memo={"order": [3, 2, 1]})

    def update(self, state, asked, losses):
        asked.memo["order"].sort()
        return super().update(state, asked, losses)


class Scales(Walk):
    """It writes to the candidates."""

    def update(self, state, asked, losses):
        new = super().update(state, asked, losses)
        asked.X[:] *= 2.0
        return new


class Grows(Miscounts):
    """It makes fewer candidates than it says."""

    def size(self, state):
        return self.popsize + 1


class Silent(Walk):
    """Its steps have no candidates."""

    def ask(self, state, step, out=None):
        return zo.Asked(super().ask(state, step).X[:0])


FINDINGS = {
    Stays: "test_a_method_that_ends_says_why",
    Counts: "test_functions_are_pure",
    Notes: "test_functions_are_pure",
    Scales: "test_functions_are_pure",
    Grows: "test_ids_and_steps_increase",
    Says: "test_a_method_that_ends_says_why",
    Remembers: "test_saved_and_loaded_after_every_tell",
    OrderMatters: "test_global_random_state_is_untouched",
    RanksFailures: "test_step_of_failures_moves_nothing",
    Upcasts: "test_types_are_kept",
    Recycles: "test_results_do_not_change_later",
    Miscounts: "test_ids_and_steps_increase",
    Chases: "test_converges",
    Blows: "test_extreme_losses_keep_candidates_finite",
}


@pytest.mark.parametrize("broken", FINDINGS, ids=lambda broken: broken.__name__)
def test_suite_finds(broken):
    raises(AssertionError, None, getattr(MethodContract(), FINDINGS[broken]), case_of(broken()))


def test_no_loop_of_the_suite_is_endless():
    raises(ValueError, "must give candidates, got none for step 0", Recorder(case_of(Silent())).run, whole)
    raises(ValueError, "must give candidates, got none for step 0", case_of(Silent()).solve, ellipsoid)


def test_a_method_that_does_not_say_that_it_ends_needs_a_budget():
    with pytest.raises(ValueError, match="budget must be given for Walk, which does not end by itself"):
        zo.minimize(lambda x: float(x @ x), [1.0], method=Walk())

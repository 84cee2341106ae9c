"""Methods with one fault each, over an evolution strategy of one parent: the contract suite finds every one."""

import math
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from outside.one_plus_one import OnePlusOne, OnePlusOneState

import zoo_opt as zo
from zoo_opt.testing import Case, MethodContract, check


@dataclass(frozen=True, kw_only=True)
class OneOfFour(OnePlusOne):
    """(1, 4)-evolution strategy: the parent is the best of four children, whatever it was before."""

    def size(self, state):
        return 4

    def ask(self, state, step, out=None):
        z = zo.generator(state.key, step).standard_normal((4, state.x.size), dtype=state.x.dtype)
        return zo.Asked(state.x + state.x.dtype.type(state.sigma) * z)

    def update(self, state, asked, losses):
        best = self.first(losses)
        if best is None:
            return state
        return replace(state, x=asked.X[best].copy(), sigma=0.98 * state.sigma)

    def first(self, losses):
        """The candidate that is the next parent, None if there is none."""
        alive = [i for i, loss in enumerate(losses) if not math.isnan(loss)]
        return min(alive, key=losses.__getitem__) if alive else None


def case_of(method):
    return Case(type(method).__name__, method, types=(type(method), OnePlusOneState), reduction=0.5)


# ----------------------------------------------------------- (1 + 1): what it makes of the losses
class Told(OnePlusOne):
    """It changes the losses before it looks at them."""

    reads: ClassVar = staticmethod(lambda loss, parent: loss)

    def update(self, state, asked, losses):
        return super().update(state, asked, [self.reads(loss, state.loss) for loss in losses])


def told(name, reads, doc):
    return type(name, (Told,), {"__doc__": doc, "reads": staticmethod(reads)})


class AcceptsFailures(OnePlusOne):
    """It moves unless the loss is not below that of the parent, and NaN is never not below."""

    def update(self, state, asked, losses):
        if not losses[0] >= state.loss:
            return replace(state, x=asked.X[0].copy(), loss=losses[0], sigma=1.5 * state.sigma)
        return super().update(state, asked, losses)


class AcceptsAll(OnePlusOne):
    """It moves to every child that has not failed."""

    def update(self, state, asked, losses):
        return state if math.isnan(losses[0]) else replace(state, x=asked.X[0].copy(), loss=losses[0])


class TakesLogarithms(OnePlusOne):
    """It knows positive losses alone."""

    def update(self, state, asked, losses):
        return super().update(state, asked, [math.log(loss) if loss else -1e9 for loss in losses])


class Averages(OnePlusOne):
    """Its sigma hangs on the difference of two losses, which may both be infinite."""

    def update(self, state, asked, losses):
        new, (loss,) = super().update(state, asked, losses), losses
        return replace(new, sigma=new.sigma * (1.0 + 1e-3 * math.tanh(loss - state.loss))) if loss == loss else new


# ----------------------------------------------------------- (1 + 1): what it keeps, draws and gives
class DrawsOnce(OnePlusOne):
    """Its draws do not hang on the step."""

    def ask(self, state, step, out=None):
        return super().ask(state, 0)


class HasOneSeed(OnePlusOne):
    """Its draws do not hang on the seed."""

    def ask(self, state, step, out=None):
        return super().ask(replace(state, key=(np.uint64(1), np.uint64(2))), step)


class LooksAtTheClock(OnePlusOne):
    """Its points hang on the time."""

    def ask(self, state, step, out=None):
        return zo.Asked(super().ask(state, step).X + 1e-9 * time.perf_counter())


class WritesToTheStart(OnePlusOne):
    """It moves x0 itself."""

    def update(self, state, asked, losses):
        new = super().update(state, asked, losses)
        state.x[:] = new.x
        return replace(new, x=state.x)


class Shakes(OnePlusOne):
    """Its mean is drawn whenever it is looked at."""

    def mean(self, state):
        return state.x + np.random.default_rng().standard_normal(state.x.size).astype(state.x.dtype)


class Wanders(OnePlusOne):
    """Its mean is the start."""

    def mean(self, state):
        return np.zeros_like(state.x)


class PlansAgain(OnePlusOne):
    """Each plan halves its first sigma."""

    def plan(self, x0, budget):
        return replace(self, sigma0=0.5 * self.sigma0)


class EndsBeforeItBegins(OnePlusOne):
    """It has a reason to stop from the start."""

    def stop(self, state):
        return {"tolx": self.tolx}


class RemembersElsewhere(OnePlusOne):
    """Its sigma is in the method, not in the state."""

    def update(self, state, asked, losses):
        new = super().update(state, asked, losses)
        vars(self)["scale"] = vars(self).get("scale", 1.0) * 0.99
        return replace(new, sigma=new.sigma * vars(self)["scale"])


class KeepsWhatWasNotData(OnePlusOne):
    """Its state holds a function, which no checkpoint can."""

    def update(self, state, asked, losses):
        return replace(super().update(state, asked, losses), loss=lambda: losses[0])


class SaysAgain(OnePlusOne):
    """It says that each point was evaluated before."""

    def ask(self, state, step, out=None):
        return super().ask(state, step)._replace(again=[-1 if step else None])


class Doubles(OnePlusOne):
    """Its candidates are float64."""

    def ask(self, state, step, out=None):
        return zo.Asked(super().ask(state, step).X.astype(np.float64))


class Rounds(OnePlusOne):
    """Its candidates are float32."""

    def ask(self, state, step, out=None):
        return zo.Asked(super().ask(state, step).X.astype(np.float32))


# ----------------------------------------------------------- (1, 4): how it ranks
def ranking(name, first, doc):
    return type(name, (OneOfFour,), {"__doc__": doc, "first": lambda self, losses: first(losses)})


def _alive(losses):
    return [i for i, loss in enumerate(losses) if loss == loss]


def _least(losses, key):
    return min(range(4), key=lambda i: key(losses[i])) if _alive(losses) else None


class SortsTheLosses(OneOfFour):
    """It sorts the told losses in place."""

    def first(self, losses):
        best = super().first(losses)
        losses.sort()
        return best


class FillsTheFailures(OneOfFour):
    """It writes infinity over the told losses that are NaN."""

    def first(self, losses):
        best = super().first(losses)
        losses[:] = [math.inf if loss != loss else loss for loss in losses]
        return best


FAULTY = {
    "test_failures_and_infinite_losses_are_not_the_best": [
        AcceptsFailures,
        told("FailuresAreZero", lambda loss, parent: 0.0 if loss != loss else loss, "NaN is 0."),
        told("FailuresAreBest", lambda loss, parent: -math.inf if loss != loss else loss, "NaN is -inf."),
        told("InfinityIsBest", lambda loss, parent: -loss if loss == math.inf else loss, "inf is -inf."),
        told("InfinityIsHalf", lambda loss, parent: parent - 1.0 if loss == math.inf else loss, "inf: less than now."),
        ranking("NumpysLeast", lambda losses: int(np.argmin(losses)) if _alive(losses) else None, "NaN: the first."),
        ranking("PythonsLeast", lambda losses: _least(losses, float), "NaN is the least where it is the first."),
        ranking("FailuresFirst", lambda losses: _least(losses, lambda f: -math.inf if f != f else f), "NaN is -inf."),
        ranking("FailuresAreNought", lambda losses: _least(losses, lambda f: 0.0 if f != f else f), "NaN is 0."),
        ranking("NanToNum", lambda losses: int(np.argmin(np.nan_to_num(losses))) if _alive(losses) else None, "It."),
        ranking("OnlyFinite", lambda losses: _least(losses, lambda f: f if math.isfinite(f) else 0.0), "inf is 0."),
        ranking("InfinityFirst", lambda losses: _least(losses, lambda f: -f if f == math.inf else f), "inf is -inf."),
    ],
    "test_functions_are_pure": [SortsTheLosses, FillsTheFailures],
    "test_converges": [
        AcceptsAll,
        told("Climbs", lambda loss, parent: -loss, "The highest loss is the best."),
        told("Magnitudes", lambda loss, parent: abs(loss), "It does not look at the sign."),
        ranking("ByMagnitude", lambda losses: _least(losses, abs), "It does not look at the sign."),
        ranking("Second", lambda losses: sorted(_alive(losses), key=losses.__getitem__)[-1], "It takes the worst."),
    ],
    "test_extreme_losses_keep_candidates_finite": [Averages, TakesLogarithms],
    "test_step_of_failures_moves_nothing": [DrawsOnce],
    "test_seed_decides": [HasOneSeed],
    "test_saved_and_loaded_after_every_tell": [LooksAtTheClock, RemembersElsewhere, KeepsWhatWasNotData],
    "test_results_do_not_change_later": [WritesToTheStart],
    "test_mean_moves_when_a_step_closes": [Shakes, Wanders],
    "test_plan_is_final": [PlansAgain],
    "test_a_method_that_ends_says_why": [EndsBeforeItBegins],
    "test_points_evaluated_again_are_the_same": [SaysAgain],
    "test_types_are_kept": [Doubles, Rounds],
}
"""The test of the contract -> the faulty methods that it finds."""

ROWS = [pytest.param(test, method, id=method.__name__) for test, methods in FAULTY.items() for method in methods]


@pytest.mark.parametrize(("test", "method"), ROWS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_suite_finds(test, method):
    with pytest.raises((AssertionError, ValueError, TypeError)):
        getattr(MethodContract(), test)(case_of(method()))


def test_suite_accepts_what_the_faulty_methods_are_made_of():
    check(case_of(OnePlusOne()))
    check(case_of(OneOfFour()))

"""The contract, one test a clause."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from zoo_opt.optimizer import Optimizer
from zoo_opt.testing import recorder
from zoo_opt.testing.case import Case, ellipsoid, hazy, rugged, sphere, turns
from zoo_opt.testing.recorder import Recorder, Way
from zoo_opt.testing.told import BAD_TELLS, ROWS, UNLIKE


class MethodContract:
    """What every method must do. A test class of yours inherits it and has a fixture ``case``."""

    # ------------------------------------------------------- the same iterates, bit for bit, however they are told
    def test_one_at_a_time(self, case: Case) -> None:
        """A step told candidate by candidate."""
        _same(case, recorder.one_at_a_time)

    def test_shuffled(self, case: Case) -> None:
        """A step told in random order."""
        _same(case, recorder.shuffled)

    def test_in_parts(self, case: Case) -> None:
        """A step told in random parts."""
        _same(case, recorder.in_parts)

    def test_leased(self, case: Case) -> None:
        """Candidates leased a few at a time and told in random order."""
        _same(case, recorder.leased)

    def test_in_threads(self, case: Case) -> None:
        """Four threads that ask and tell as they like."""
        _same(case, recorder.in_threads)

    def test_saved_and_loaded_after_every_tell(self, case: Case) -> None:
        """Every part of a step is told to an optimizer that was just read from a checkpoint."""
        with recorder.scratch_folder() as folder:
            _same(case, recorder.reloading(folder))

    def test_noise_told(self, case: Case) -> None:
        """With standard errors told for some candidates the same holds, in any order, parts and save points."""
        steps = min(case.steps, 40)
        with recorder.scratch_folder() as folder:
            for way in (recorder.one_at_a_time, recorder.in_parts, recorder.leased, recorder.reloading(folder)):
                _same(case, way, steps=steps, sem=hazy)

    def test_lookahead(self, case: Case) -> None:
        """With lookahead the iterates depend on (seed, lookahead) alone; a method that ranks steps refuses it."""
        if not case.start().method.lookahead:
            _raises(ValueError, "lookahead", lambda: case.start(lookahead=1))
            return
        with recorder.scratch_folder() as folder:
            for lookahead in (1, 3):
                for way in (recorder.leased, recorder.one_at_a_time):
                    _same(case, way, steps=50, lookahead=lookahead)
                _same(case, recorder.reloading(folder), steps=20, lookahead=lookahead)

    def test_seed_decides(self, case: Case) -> None:
        """Another seed gives other candidates within 20 steps; the same if nothing is drawn."""
        one, other = (Recorder(case, rng=seed).run(recorder.whole, 20).points for seed in (1, 2))
        differ = any(not np.array_equal(one[id_], other[id_]) for id_ in one.keys() & other.keys())
        assert differ == case.draws

    # ------------------------------------------------------------------------------------ candidates and read-outs
    def test_ids_and_steps_increase(self, case: Case) -> None:
        """Ids count up from 0 and steps by one; a step has as many candidates as `Method.size` says."""
        opt, next_id = case.start(), 0
        for step in range(30):
            size = opt.method.size(opt.state)
            batch = opt.ask()
            assert (batch.ids, batch.step) == (list(range(next_id, next_id + size)), step)
            assert batch.X.shape == opt.method.ask(opt.state, step).X.shape == (size, case.d)
            assert opt.pending == batch.ids
            next_id += size
            opt.tell(batch, [rugged(batch[i]) for i in range(size)])
            assert (opt.nit, opt.nfev, opt.pending) == (step + 1, next_id, [])

    def test_points_evaluated_again_are_the_same(self, case: Case) -> None:
        """A candidate with an `of` has the point of that earlier candidate, bit for bit, which was a new one."""
        run = Recorder(case).run(recorder.whole, min(case.steps, 40))
        for id_, of in run.of.items():
            if of is not None:
                assert of < id_ and run.of[of] is None, f"candidate {id_} is of {of}, which is not the first"
                assert np.array_equal(run.points[id_], run.points[of]), f"candidate {id_} has not the point of {of}"
        assert run.opt.nfev == len(run.of)

    def test_plan_is_final(self, case: Case) -> None:
        """What `Method.plan` gives is not changed by planning again, and is a valid method."""
        for budget in (None, 10_000):
            planned = case.method.plan(case.x0(), budget)
            assert planned.plan(case.x0(), budget) == planned
            assert case.start(budget=budget).method == planned

    def test_a_method_that_ends_says_why(self, case: Case) -> None:
        """`stop` gives no reason before the first step, and one at last on the sphere if `ends` is true."""
        assert case.start().stop() == {}
        if case.start().method.ends:
            assert case.solve(sphere, budget=None).stop()

    def test_functions_are_pure(self, case: Case) -> None:
        """Nothing that `ask` is given is written to, nor what `update` is given of the step; both can be repeated."""
        opt = case.start()
        for step in range(min(case.steps, 40)):
            method, state = opt.method, opt.state
            before = _leaves(state)
            asked = method.ask(state, step)
            assert _leaves(state) == before, "ask has written to the state"
            assert _leaves(method.ask(state, step)) == _leaves(asked), "ask gives something else when asked again"
            before, batch = _leaves(asked), opt.ask()
            losses = [rugged(batch[i]) for i in range(len(batch))]
            given = list(losses)
            method.update(deepcopy(state), asked, given)
            assert _leaves(asked) == before, "update has written to what was asked"
            assert repr(given) == repr(losses), "update has written to the losses"
            opt.tell(batch, losses)

    def test_mean_moves_when_a_step_closes(self, case: Case) -> None:
        """The mean stays until the last candidate of a step is told, and then moves, if not at every step."""
        opt, moved = case.start(), 0
        for _ in range(10):
            before, batch = opt.mean.copy(), opt.ask()
            for i in range(len(batch)):
                assert np.array_equal(opt.mean, before)
                opt.tell(batch[i], ellipsoid(batch[i].x))
            moved += not np.array_equal(opt.mean, before)
        assert moved

    def test_best_is_the_lowest_loss_told(self, case: Case) -> None:
        """`best` has the lowest loss, its candidate and its id; of equal ones the first."""
        opt, told = case.start(), []
        for _ in range(20):
            batch = opt.ask()
            losses = [round(rugged(batch[i]), 1) for i in range(len(batch))]
            told += [(loss, batch.ids[i], batch[i].x) for i, loss in enumerate(losses) if loss < math.inf]
            opt.tell(batch[::-1], losses[::-1])
            loss, id_, x = min(told, key=lambda entry: entry[:2])
            assert (opt.best.loss, opt.best.id) == (loss, id_)
            assert opt.best.x is not None and np.array_equal(opt.best.x, x)

    def test_results_are_read_only(self, case: Case) -> None:
        """Nothing that is handed out can be written to."""
        opt = case.start()
        batch = opt.ask()
        opt.tell(batch, [ellipsoid(x) for x in batch])
        leased = opt.ask(1)
        for array in (batch.X, next(iter(batch)), batch[0].x, batch[1:].X, leased.X, opt.best.x, opt.mean):
            assert array is not None and not array.flags.writeable

    def test_results_do_not_change_later(self, case: Case) -> None:
        """What was handed out stays as it was while the run goes on."""
        opt, held = case.start(), []
        for _ in range(10):
            batch = opt.ask()
            opt.tell(batch, [ellipsoid(x) for x in batch])
            held += [(array, array.copy()) for array in (batch.X, opt.mean, opt.best.x) if array is not None]
        assert all(np.array_equal(array, copy) for array, copy in held)

    def test_arguments_are_not_changed(self, case: Case) -> None:
        """x0, losses and ids are only read, and changing them later has no effect."""
        reference = Recorder(case).run(recorder.whole, 5)
        for kind in (list, np.array):
            x0 = case.x0()
            run = Recorder(case, x0=x0)
            x0[:] = 99.0
            for _ in range(5):
                batch = run.ask()
                ids, losses = [c.id for c in batch], kind([rugged(c) for c in batch])
                before = repr((ids, losses))
                run.opt.tell(ids, losses)
                assert repr((ids, losses)) == before
                losses[:] = [0.0] * len(ids)
                run.note()
            run.assert_same(reference)

    def test_types_are_kept(self, case: Case) -> None:
        """float32 stays float32 in candidates, mean and best, or float64 for methods that keep a float64 state."""
        for given in (np.float32, np.float64, np.int64):
            expected = np.float32 if given is np.float32 and case.keeps_float32 else np.float64
            run = Recorder(case, x0=case.x0(np.float64).astype(given)).run(recorder.whole, 5)
            assert run.opt.best.x is not None
            arrays = [*run.points.values(), *run.means.values(), run.opt.best.x]
            assert {array.dtype for array in arrays} == {np.dtype(expected)}

    def test_global_random_state_is_untouched(self, case: Case) -> None:
        """Neither numpy's nor Python's global generator is used or seeded."""
        before = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
        Recorder(case).run(recorder.whole, 3)
        after = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
        assert repr(before) == repr(after)

    # ---------------------------------------------------------------------------------------------- bad and failed
    def test_bad_tells_change_nothing(self, case: Case) -> None:
        """A tell that is refused leaves all as it was, and the run goes on as if it had not been made."""
        run = Recorder(case)
        for _ in range(3):
            first, *rest = run.ask()
            run.tell([first])
            rest = rest or run.ask()  # after a step of one candidate it is the next one that is told badly
            for what, call in BAD_TELLS.items():
                before = _read_outs(run.opt)
                _raises((KeyError, ValueError, TypeError), "", functools.partial(call, run.opt, run.opt.pending))
                assert _read_outs(run.opt) == before, what
            run.tell(rest)
        run.assert_same(Recorder(case).run(recorder.whole, run.opt.nit))

    def test_failures_are_the_same_however_told(self, case: Case) -> None:
        """NaN, None and `tell_failed` are one thing: counted, never ranked, and the run goes on."""
        runs = []
        for failed in (math.nan, None, "tell_failed"):
            opt, fails = case.start(), 0
            for _ in range(30):
                batch = opt.ask()
                for i in range(len(batch)):
                    bad = batch[i].id % 3 == 1
                    fails += bad
                    if bad and failed == "tell_failed":
                        opt.tell_failed(batch[i], reason="crash")
                    else:
                        opt.tell(batch[i], failed if bad else ellipsoid(batch[i].x))
            assert (opt.nfail, sum(opt.failures.values())) == (fails, fails)
            assert math.isfinite(opt.best.loss) and np.isfinite(opt.mean).all()
            runs.append(opt.mean.tobytes())
        assert len(set(runs)) == 1

    def test_failures_and_infinite_losses_are_not_the_best(self, case: Case) -> None:
        """A failed candidate is neither one of loss 0 nor the best, and an infinite loss is not the best.

        Where a candidate that is the first, in the middle or the last of its step gets such a loss, the mean after the
        step is another one, at some step after the first, than if that loss had been 0, or lower than all others.
        """
        opt, differ = case.start(), dict.fromkeys([(what, row) for what in UNLIKE for row in ROWS], False)
        for step in range(1 + min(case.steps, 40)):
            asked, batch = opt.method.ask(opt.state, step), opt.ask()
            losses = [ellipsoid(x) for x in batch]
            for what, row in (key for key, differs in differ.items() if step and not differs):
                at, pair = int(ROWS[row] * (len(losses) - 1)), UNLIKE[what]
                told = ([*losses[:at], loss, *losses[at + 1 :]] for loss in pair)
                one, other = (opt.method.mean(opt.method.update(deepcopy(opt.state), asked, each)) for each in told)
                differ[what, row] = not np.array_equal(one, other)
            if all(differ.values()):
                return
            opt.tell(batch, losses)
        what, row = next(key for key, differs in differ.items() if not differs)
        raise AssertionError(f"{what}, where it is the {row} candidate of a step")

    def test_step_of_failures_moves_nothing(self, case: Case) -> None:
        """A step that failed altogether leaves the mean, and the next one has new candidates."""
        opt = case.start()
        batch, before = opt.ask(), opt.mean.copy()
        opt.tell_failed(batch)
        assert np.array_equal(opt.mean, before) and opt.best.x is None
        assert not np.array_equal(opt.ask().X, batch.X)
        assert (opt.nit, opt.nfev, opt.nfail) == (1, len(batch), len(batch))

    def test_extreme_losses_keep_candidates_finite(self, case: Case) -> None:
        """Infinite, huge and tiny losses are losses: no candidate becomes NaN or infinite by them."""
        for losses in ([math.inf], [math.inf, 1.0], [1e300, -1e300], [1e-310, 0.0], [0.0], [1e308, 0.0, math.nan]):
            for dtype in (np.float64, np.float32):
                opt = case.start(x0=case.x0(dtype))
                for _ in range(3):
                    batch = opt.ask()
                    opt.tell(batch, [losses[id_ % len(losses)] for id_ in batch.ids])
                assert np.isfinite(opt.ask().X).all() and np.isfinite(opt.mean).all(), losses

    def test_budget_is_never_exceeded(self, case: Case) -> None:
        """`stop` is true when no further step fits into the budget, and `ask` then gives nothing."""
        opt = case.start()
        size = opt.method.size(opt.state)
        for budget in {1, size - 1, size, size + 1, 3 * size - 1, 3 * size + 1} - {0}:
            for n in (None, 1):
                opt = case.start(budget=budget)
                for _ in turns(budget, "the budget was not spent"):
                    if opt.stop():
                        break
                    batch = opt.ask(n)
                    assert opt.nfev + len(opt.pending) <= budget
                    opt.tell(batch, [ellipsoid(x) for x in batch])
                assert opt.stop() == {"budget": budget} and len(opt.ask(n)) == 0
                assert budget - opt.method.size(opt.state) < opt.nfev <= budget

    def test_bounds_of_the_optimizer_are_kept(self, case: Case) -> None:
        """No candidate and no mean leaves the bounds, whatever the method knows of bounds."""
        method = case.start().method
        if getattr(method, "bounds", None) is not None or hasattr(method, "grid"):
            return  # it has its own
        low, high = np.full(case.d, 0.875), np.full(case.d, 2.125)
        opt = case.start(bounds=(low, high))
        for _ in range(20):
            batch = opt.ask()
            for X in (batch.X, opt.mean):
                assert ((low <= X) & (high >= X)).all(), f"{X} is outside [{low}, {high}]"
            opt.tell(batch, [ellipsoid(x - 9.0) for x in batch])

    # ------------------------------------------------------------------------------------------------- convergence
    def test_converges(self, case: Case) -> None:
        """The best loss falls to its allowed part of that at x0, on the sphere, and on the ellipsoid below 0."""
        for loss, lowest in ((sphere, 0.0), (ellipsoid, -ellipsoid(case.x0()))):
            best = case.solve(lambda x: loss(x) + lowest).best.loss  # noqa: B023
            ratio = (best - lowest) / loss(case.x0())
            assert ratio <= case.reduction, f"{loss.__name__}: fell to {ratio:.3g}, expected {case.reduction:.3g}"


def check(case: Case) -> None:
    """Take ``case`` through every test of `MethodContract`; raise what the first failure raises."""
    contract = MethodContract()
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)(case)


def _same(case: Case, way: Way, steps: int | None = None, **options: Any) -> None:
    run = Recorder(case, **options).run(way, steps)
    run.assert_same(Recorder(case, **options).run(recorder.whole, run.opt.nit))


def _leaves(value: Any) -> list[object]:
    """The bytes of the arrays, and the other values, that a state or a memo is made of."""
    if isinstance(value, np.ndarray):
        return [value.tobytes()]
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, list | tuple) else [value]


def _raises(kinds: type[Exception] | tuple[type[Exception], ...], text: str, call: Callable[[], object]) -> None:
    try:
        call()
    except kinds as error:
        assert text in str(error), f"{error!r} does not name {text}"
    else:
        raise AssertionError(f"{kinds} was not raised")


def _read_outs(opt: Optimizer) -> list[object]:
    return [opt.nit, opt.nfev, opt.failures, opt.pending, opt.best.id, opt.best.loss, opt.mean.tobytes(), opt.stop()]

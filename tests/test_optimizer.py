"""The shell: batches, leases, budgets, seeds, best, stop, lookahead."""

import copy
import math

import numpy as np
import pytest
from doubting import Doubting
from refusals import raises
from solving import advance, solve

import zoo_opt as zo
from zoo_opt.testing import sphere


def start(method=None, d=4, **options):
    return zo.Optimizer(method or zo.FZOO(directions=4), np.ones(d), **{"rng": 0, **options})


def finish(opt, batch):
    opt.tell(batch, [sphere(x) for x in batch])


# --------------------------------------------------------------------------------------------------------- batches
def test_batch():
    batch = start().ask()
    assert (len(batch), batch.ids, batch.step, batch.X.shape) == (5, [0, 1, 2, 3, 4], 0, (5, 4))
    assert all(np.array_equal(x, row) for x, row in zip(batch, batch.X, strict=True))
    id_, x, step, of = batch[-1]
    assert (id_, step, of) == (4, 0, None) and batch.of == [None] * 5
    assert np.array_equal(x, batch.X[4])
    part = batch[1::2]
    assert isinstance(part, zo.Batch) and (part.ids, part.step) == ([1, 3], 0)
    assert np.array_equal(part.X, batch.X[1::2]) and part[0].id == 1
    assert len(batch[5:]) == 0
    batch.ids.append(99)
    assert batch.ids == [0, 1, 2, 3, 4]
    assert repr(part) == "Batch(step=0, ids=[1, 3], shape=(2, 4))"
    with pytest.raises(IndexError):
        batch[5]


def test_batch_is_array_like():
    batch = start().ask()
    assert np.asarray(batch) is batch.X or np.shares_memory(np.asarray(batch), batch.X)
    assert np.asarray(batch, dtype=np.float32).dtype == np.float32
    assert np.array(batch, copy=True).flags.writeable
    assert np.sum(batch, axis=1).shape == (5,)


def test_candidates_can_be_held_while_large_buffers_are_reused():
    """At this size the memory of a step that nobody holds is written to again."""
    opt = start(zo.SPSA(), d=2**17)
    kept = [(batch, batch[1].x, batch.X.copy()) for batch in (opt.ask() for _ in range(1))]
    for step in range(6):
        batch = opt.ask()
        if step % 2:
            kept.append((batch[:1], batch[1].x, batch.X.copy()))
        opt.tell(batch, [1.0 + step, 2.0])
        del batch
    for part, x, copied in kept:
        assert np.array_equal(part.X, copied[: len(part)]) and np.array_equal(x, copied[1])


# ------------------------------------------------------------------------------------------------------ ask and lease
def test_ask_again_gives_the_same_less_what_was_told():
    opt = start()
    first = opt.ask()
    again = opt.ask()
    assert again.ids == first.ids and np.array_equal(again.X, first.X)
    opt.tell([3, 0], [1.0, 2.0])
    assert opt.ask().ids == [1, 2, 4] and np.array_equal(opt.ask().X, first.X[[1, 2, 4]])
    assert opt.pending == [1, 2, 4] and opt.told == {0: 2.0, 3: 1.0}
    opt.tell_failed(1)
    assert math.isnan(opt.told[1])
    opt.tell([2, 4], [3.0, 4.0])
    assert opt.told == {}


def test_leases_are_disjoint_and_stay_in_the_step():
    opt = start()
    a, b, c = opt.ask(2), opt.ask(2), opt.ask(2)
    assert [a.ids, b.ids, c.ids] == [[0, 1], [2, 3], [4]]
    assert (len(opt.ask(1)), opt.pending) == (0, [0, 1, 2, 3, 4])
    finish(opt, b)
    assert len(opt.ask(1)) == 0  # what was told is not given out again
    finish(opt, a)
    finish(opt, c)
    assert opt.ask(100).ids == [5, 6, 7, 8, 9] and len(opt.ask(3)) == 0


def test_leased_candidates_can_be_asked_for_by_everyone():
    opt = start()
    opt.ask(2)
    assert opt.ask().ids == [0, 1, 2, 3, 4] and len(opt.ask(1)) == 0


def test_tell_without_a_lease():
    """Ids of the open step may be told whether they are out or not."""
    opt = start()
    opt.ask(1)
    opt.tell([4, 2], [1.0, 1.0])
    assert opt.pending == [0] and opt.ask(9).ids == [1, 3]


@pytest.mark.parametrize(
    "form",
    [
        lambda batch: (batch, [1.0] * 5),
        lambda batch: (batch, np.ones(5)),
        lambda batch: (batch, np.ones(5, np.float32)),
        lambda batch: (batch, (1 for _ in range(5))),
        lambda batch: (batch.ids, [1, 1, True, np.int8(1), np.float32(1)]),
        lambda batch: (np.array(batch.ids), [1.0] * 5),
        lambda batch: ((id_ for id_ in batch.ids), [1.0] * 5),
        lambda batch: ([batch[i] for i in range(5)], [1.0] * 5),
        lambda batch: ([batch[0], 1, np.int64(2), batch[3], 4], [1.0] * 5),
        lambda batch: (batch[::-1], [1.0] * 5),
    ],
)
def test_forms_of_tell(form):
    opt, reference = start(), start()
    opt.tell(*form(opt.ask()))
    reference.tell(reference.ask(), [1.0] * 5)
    assert (opt.nit, opt.nfev, opt.nfail) == (1, 5, 0) and np.array_equal(opt.mean, reference.mean)


def test_a_batch_is_told_once():
    """Batches carry ranges of ids, which have a short way through the checks: it must not be too short."""
    opt = start()
    batch, foreign = opt.ask(), start(zo.FZOO(directions=9)).ask()
    raises((KeyError, ValueError), None, opt.tell, foreign[::-1], [1.0] * 10)
    assert (opt.nfev, opt.best.id) == (0, None)
    opt.tell(batch[:2], [1.0, 2.0])
    for wrong in (batch[:2], batch[1:3], batch, batch[::-1], foreign, foreign[::-1], foreign[::2], foreign[6:]):
        raises((KeyError, ValueError), None, opt.tell, wrong, [1.0] * len(wrong))
        assert (opt.nfev, opt.pending, opt.best.id) == (2, [2, 3, 4], 0)
    finish(opt, batch[2:])
    for old in (batch, batch[3:], batch[::-1]):
        raises(ValueError, "was told before", finish, opt, old)
    assert opt.nit == 1


def test_forms_of_a_single_tell():
    opt = start()
    batch = opt.ask()
    opt.tell(batch[0], 3.0)
    opt.tell(1, [2.0])
    opt.tell(np.int64(2), np.array([[1.0]]))
    opt.tell(batch[3:4], [0.5])
    assert (opt.nfev, opt.best.loss, opt.best.id) == (4, 0.5, 3)
    opt.tell(batch[4], None)
    assert (opt.nit, opt.nfail) == (1, 1)
    opt.tell([], [])
    assert opt.nfev == 5


def test_an_interrupted_update_is_made_later(monkeypatch, tmp_path):
    """Ctrl-C in the middle of an update: the losses are in, and the run goes on, from a checkpoint too."""
    opt, reference = start(), start()
    update, path = zo.FZOO.update, tmp_path / "run.zoo"

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(zo.FZOO, "update", interrupted)
    raises(KeyboardInterrupt, None, advance, opt, sphere)
    opt.save(path)
    monkeypatch.setattr(zo.FZOO, "update", update)
    advance(reference, sphere)
    assert opt.nfev == 5
    for run in (opt, zo.Optimizer.load(path)):
        assert np.array_equal(run.ask().X, reference.ask().X) and run.nit == 1 and run.nfev == 5


def test_failures_by_reason():
    opt = start()
    batch = opt.ask()
    opt.tell_failed(batch[:2], reason="timeout")
    opt.tell_failed(batch[2])
    opt.tell(batch[3:], [math.nan, None])
    assert opt.failures == {"timeout": 2, "failed": 1, "NaN or None": 2}
    assert (opt.nfail, opt.nfev, opt.best.x, opt.best.loss) == (5, 5, None, math.inf)
    opt.failures.clear()
    assert opt.nfail == 5


# ------------------------------------------------------------------------------------------------------------- seeds
def test_the_same_seed_in_all_its_forms():
    same = [0, np.int64(0), np.random.SeedSequence(0), np.random.default_rng(0), np.random.PCG64(0)]
    assert len({zo.Optimizer("spsa", [1.0, 2.0], rng=rng).ask().X.tobytes() for rng in same}) == 1


def test_a_generator_is_consumed_once_at_construction():
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    opt = zo.Optimizer("cma-es", [1.0, 2.0], rng=rng)
    twin.integers(2**64, size=2, dtype=np.uint64)
    assert rng.bit_generator.state == twin.bit_generator.state
    advance(opt, sphere, 5)
    assert rng.bit_generator.state == twin.bit_generator.state
    other = zo.Optimizer("cma-es", [1.0, 2.0], rng=rng)
    assert not np.array_equal(other.ask().X, zo.Optimizer("cma-es", [1.0, 2.0], rng=np.random.default_rng(5)).ask().X)


def test_no_seed_is_entropy():
    assert len({zo.Optimizer("spsa", [1.0, 2.0]).ask().X.tobytes() for _ in range(8)}) == 8


def test_optimizers_do_not_share_anything():
    """Two runs in turn are the two runs one after the other."""
    a, b, alone = start(rng=1), start(zo.CMAES(), rng=2), start(rng=1)
    for _ in range(5):
        advance(a, sphere)
        advance(b, sphere)
    assert np.array_equal(a.mean, advance(alone, sphere, 5).mean)


# ------------------------------------------------------------------------------------------ best, stop, budget
def test_best_is_the_first_of_equals_in_any_order():
    opt = start()
    opt.ask()
    opt.tell([4, 2], [1.0, 1.0])
    assert opt.best.id == 2
    opt.tell([1, 3], [1.0, 5.0])
    assert opt.best.id == 1
    held = opt.best
    opt.tell(0, 0.5)
    assert (opt.best.id, held.id) == (0, 1)


def test_infinite_losses_are_no_best():
    opt = start()
    opt.tell(opt.ask(), [math.inf] * 5)
    assert opt.best == (None, math.inf, None) and opt.nfail == 0


def test_budget_counts_what_is_out():
    opt = start(budget=12)
    assert opt.stop() == {} and opt.budget == 12
    assert not advance(opt, sphere).stop()
    batch = opt.ask(3)
    assert not opt.stop()  # two of this step are not out yet
    rest = opt.ask(3)
    assert opt.stop() == {"budget": 12}  # all out, and 10 + 5 would exceed 12
    finish(opt, batch)
    finish(opt, rest)
    assert (opt.stop(), opt.nfev, len(opt.ask()), len(opt.ask(2))) == ({"budget": 12}, 10, 0, 0)


def test_a_budget_below_one_step_allows_nothing():
    opt = start(budget=4)
    assert opt.stop() == {"budget": 4} and len(opt.ask()) == 0 and opt.ask().X.shape == (0, 4)


def test_budget_of_a_population_that_grows():
    method = zo.CMAES(restarts="ipop", tolerances=zo.Tolerances(tolx=0.05), popsize=4)
    opt = start(method, budget=300)
    size = method.size(solve(opt, sphere).state)
    assert size > 4 and 300 - size < opt.nfev <= 300


def test_stop_gives_the_methods_reasons_beside_the_budget():
    opt = start(zo.CMAES(tolerances=zo.Tolerances(tolx=1e-2)), budget=10_000)
    assert solve(opt, sphere).stop() == {"tolx": 1e-2} and opt.nfev < 10_000
    opt.stop().clear()
    assert opt.stop()


def test_read_outs():
    opt = start(zo.SPSA(pairs=2), d=2)
    assert (opt.nit, opt.nfev, opt.nfail, opt.pending, opt.failures) == (0, 0, 0, [], {})
    assert repr(opt).startswith("Optimizer(SPSA(lr=0.01, c=0.01, pairs=2, draws=SegmentedUniform()")
    assert opt.method == zo.SPSA(pairs=2)
    assert np.array_equal(opt.mean, [1.0, 1.0])


# ----------------------------------------------------------------------------------------------------------- lookahead
@pytest.mark.parametrize("lookahead", [0, 1, 2, 5])
def test_a_step_is_placed_after_update_s_minus_1_minus_lookahead(lookahead):
    """The base point of FZOO is the iterate that its step was placed from."""
    opt = start(lookahead=lookahead)
    means, bases, pool = [opt.mean.copy()], {}, []
    for _ in range(20):
        while len(batch := opt.ask(7)):
            pool.append(batch)
            if batch.ids[0] % 5 == 0:
                bases[batch.step] = batch.X[0].copy()
        assert {batch.step for batch in pool} == set(range(opt.nit, opt.nit + lookahead + 1))
        finish(opt, pool.pop(0))
        means.append(opt.mean.copy())
    assert len(bases) == 20 + lookahead
    for step, base in bases.items():
        assert np.array_equal(base, means[max(0, step - lookahead)]), step


def test_steps_told_out_of_order_close_in_order():
    opt, reference = start(lookahead=2), start(lookahead=2)
    batches = [opt.ask(5) for _ in range(3)]
    assert len(opt.ask(5)) == 0
    for batch in batches[::-1]:
        assert opt.nit == 0
        finish(opt, batch)
    assert opt.nit == 3
    assert np.array_equal(opt.mean, advance(reference, sphere, 3).mean)


def test_one_tell_over_several_steps():
    opt, reference = start(lookahead=2), start(lookahead=2)
    batches = [opt.ask(5) for _ in range(3)]
    candidates = [batch[i] for batch in batches for i in range(5)]
    candidates = [candidates[i] for i in np.random.default_rng(0).permutation(15)]
    opt.tell(candidates, [sphere(c.x) for c in candidates])
    advance(reference, sphere, 3)
    assert opt.nit == 3 and np.array_equal(opt.mean, reference.mean)
    assert opt.best.id == reference.best.id and np.array_equal(opt.best.x, reference.best.x)


def test_lookahead_spends_no_more_than_the_budget():
    opt = start(lookahead=3, budget=13)
    assert [len(opt.ask(5)) for _ in range(4)] == [5, 5, 0, 0]
    assert opt.stop() == {"budget": 13}


# ------------------------------------------------------------------------------------------ names and copies
@pytest.mark.parametrize("name", zo.METHODS)
def test_registered_names(name):
    opt = advance(zo.Optimizer(name, [1.0, 2.0, 3.0], rng=0), sphere)
    assert type(opt.method) is zo.METHODS[name] and opt.method == zo.make(name)
    names = {public: getattr(zo, public) for public in zo.__all__}
    assert eval(repr(opt.method), names) == opt.method  # the repr shows every hyper-parameter
    assert hash(opt.method) == hash(zo.make(name))


def test_make_takes_hyper_parameters():
    assert zo.make("spsa-gc", lr=0.1, momentum=0.5) == zo.SPSAGC(lr=0.1, momentum=0.5)


def test_one_dimension_and_one_coordinate_at_a_time():
    for name in zo.METHODS:
        opt = advance(zo.Optimizer(name, [1.0], rng=0), sphere, 20)
        assert np.isfinite(opt.mean).all() and opt.mean.shape == (1,)


def test_a_deep_copy_goes_its_own_way():
    opt = advance(start(zo.CMAES()), sphere)
    twin = copy.deepcopy(opt)
    assert np.array_equal(advance(opt, sphere).mean, advance(twin, sphere).mean)
    assert not np.array_equal(advance(opt, sphere).mean, twin.mean)


# ------------------------------------------------------------------------------------ points evaluated again, and noise
def test_a_point_evaluated_again_names_its_first_candidate():
    opt = start(Doubting())
    first = opt.ask()
    assert first.of == [None, None, 1, None, None, None, None]
    opt.tell(first, [9.0, 9.0, 1.0, 9.0, 9.0, 9.0, 9.0])  # the best is candidate 2, which is 1 again
    batch = opt.ask()
    assert batch.of == [1, None, 8, None, None, None, None] and np.array_equal(batch.X[0], first.X[1])
    assert (batch[0].of, batch[1].of, batch[:2].of, batch[2:4].of) == (1, None, [1, None], [8, None])
    opt.tell(batch, [0.0] + [9.0] * 6)
    assert opt.ask(3).of == [1, None, 15] and opt.ask().of[0] == 1  # a chain leads to the first
    assert (opt.nfev, opt.best.loss, opt.best.id) == (14, 0.0, 7)


class Astray(Doubting):
    """It names the candidates that it is told to."""

    rows: tuple = ()

    def again(self, state):
        return self.rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((None,) * 6, "a row or None for each of 7 candidates"),
        ((0, *[None] * 6), "rows from 0 to -1 for candidate 0 of the step, got 0"),
        ((None, 0, 2, *[None] * 4), "rows from 0 to 1 for candidate 2 of the step, got 2"),
        ((-1, *[None] * 6), "rows from 0 to -1 for candidate 0"),
    ],
)
def test_rows_that_cannot_be_are_refused(monkeypatch, rows, message):
    monkeypatch.setattr(Astray, "rows", rows)
    raises(ValueError, message, start(Astray()).ask)


@pytest.mark.parametrize("many", [True, False])
def test_standard_errors_reach_the_method(many):
    opt = start(Doubting())
    batch = opt.ask()
    if many:
        opt.tell(batch, [1.0] * 6 + [math.nan], sem=[0.1, 0.3, *[None] * 4, 99.0])  # that of a failure is not used
    else:
        for i in (3, 1, 4, 0, 5, 2, 6):
            opt.tell(batch[i], None if i == 6 else 1.0, sem=[0.1, 0.3, *[None] * 4, 99.0][i])
    assert opt.state.sem == pytest.approx(0.2)
    opt.tell(opt.ask(), [1.0] * 7, sem=[None] * 7)
    assert opt.state.sem == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("sem", "error", "message"),
    [
        ([0.1] * 6, ValueError, "sem must be 7 numbers, one for each candidate, got 6"),
        (0.1, TypeError, "sem must be a sequence of 7 numbers, got 0.1"),
        ("0123456", TypeError, "sem must be a sequence of 7 numbers in the order"),
        ([0.1] * 6 + ["1"], TypeError, "sem must be a real number, got '1'"),
        ([0.1] * 6 + [-0.1], ValueError, "sem must be >= 0, got -0.1"),
        ([0.1] * 6 + [math.nan], ValueError, "sem must be finite, got nan"),
        ([0.1] * 6 + [math.inf], ValueError, "sem must be finite, got inf"),
    ],
)
def test_bad_standard_errors(sem, error, message):
    opt = start(Doubting())
    raises(error, message, opt.tell, opt.ask(), [1.0] * 7, sem)
    assert (opt.nfev, len(opt.pending)) == (0, 7)


def test_a_method_is_planned_once_before_its_start():
    class Planned(Doubting):
        def plan(self, x0, budget):
            return self if self.popsize != 7 else Planned(popsize=int(x0.size + budget))

    opt = start(Planned(), d=5, budget=25)
    assert opt.method == Planned(popsize=30) and opt.stop() == {"budget": 25}

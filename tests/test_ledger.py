"""The ledger against a plain model of it: a dict of candidates, each with its state, loss, time and reason."""

import math

import numpy as np
import pytest
from refusals import raises

from zoo_opt.core.ledger import OUT, TOLD, WAITING, Ledger, OpenStep
from zoo_opt.core.method import Asked

NAN = math.nan


def points(first, n):
    return np.arange(first, first + n, dtype=float)[:, None] + [0.0, 0.5]


def ledger_of(*sizes, first=5, of=False):
    """A ledger with a step for each size, whose ids count from `first`."""
    ledger = Ledger(first)
    for number, n in enumerate(sizes):
        again = [None if i % 2 else i for i in range(n)] if of else None
        ledger.add(OpenStep(number, ledger.next_id, Asked(points(ledger.next_id, n)), again))
    return ledger


class Model:
    """What is known of each candidate, by id."""

    def __init__(self, ledger):
        self.step = {step.first + i: step for step in ledger.open for i in range(len(step.status))}
        self.status = dict.fromkeys(self.step, WAITING)
        self.loss, self.sem, self.time = (dict.fromkeys(self.step, value) for value in (NAN, NAN, 0.0))
        self.failures = {}

    def assert_agrees(self, ledger):
        assert ledger.waiting == (WAITING in self.status.values())
        for step in ledger.open:
            ids = [id_ for id_, mine in self.step.items() if mine is step]
            assert step.status == [self.status[id_] for id_ in ids]
            assert repr(step.losses) == repr([self.loss[id_] for id_ in ids])
            assert repr(step.sem or [NAN] * len(ids)) == repr([self.sem[id_] for id_ in ids])
            assert (step.failures or {}) == {id_: why for id_, why in self.failures.items() if id_ in ids}
            told = [id_ for id_ in ids if self.status[id_] == TOLD]
            assert list(step.times) == ([self.time[id_] for id_ in ids] if told else [])
            assert repr(step.told()) == repr([(id_, self.loss[id_]) for id_ in told])
            assert step.out() == [id_ for id_ in ids if self.status[id_] == OUT]
            assert step.left == len(ids) - len(told)
            assert step.waiting == sum(self.status[id_] == WAITING for id_ in ids)
            assert [ledger.untold(id_) for id_ in ids] == [None if id_ in told else step for id_ in ids]

    def given(self, batch, step, expected):
        assert batch.ids == expected and batch.step == step.number and not batch.X.flags.writeable
        np.testing.assert_array_equal(batch.X, points(0, 100)[expected])
        assert batch.of == [None if step.of is None else step.of[id_ - step.first] for id_ in expected]
        for id_ in expected:
            self.status[id_] = OUT


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_leases_and_tells(seed):
    rng = np.random.default_rng(seed)
    ledger = ledger_of(*rng.integers(1, 6, size=1 + seed % 3).tolist(), of=seed % 2)
    model = Model(ledger)
    model.assert_agrees(ledger)
    for turn in range(12):
        step = ledger.open[rng.integers(len(ledger.open))]
        mine = [id_ for id_ in model.step if model.step[id_] is step]
        match rng.integers(3):
            case 0:
                n = int(rng.integers(1, 4))
                waiting = [id_ for id_ in mine if model.status[id_] == WAITING]
                model.given(step.lease(n), step, waiting[:n])
            case 1:
                most = int(rng.integers(7))
                model.given(step.hand_out(most), step, [id_ for id_ in mine if model.status[id_] != TOLD][:most])
            case _:
                open_ = [id_ for id_ in model.step if model.status[id_] != TOLD]
                ids = [int(id_) for id_ in rng.permutation(open_)[: rng.integers(len(open_) + 1)]]
                if rng.random() < 0.3 and {*mine} <= {*open_}:
                    ids = range(mine[0], mine[-1] + 1)  # the step, whole
                losses = [NAN if rng.random() < 0.3 else float(rng.random()) for _ in ids]
                sem = [NAN if rng.random() < 0.3 else float(rng.random()) for _ in ids] if rng.random() < 0.5 else None
                reason = f"turn {turn}" if any(loss != loss for loss in losses) else ""
                parts = ledger.locate(ids)
                assert parts == list(dict.fromkeys(model.step[id_] for id_ in ids))
                ledger.record(parts, ids, losses, sem, float(turn + 1), reason)
                for i, (id_, loss) in enumerate(zip(ids, losses, strict=True)):
                    model.status[id_], model.loss[id_], model.time[id_] = TOLD, loss, float(turn + 1)
                    if loss != loss:
                        model.failures[id_] = reason
                    elif sem and sem[i] == sem[i]:
                        model.sem[id_] = sem[i]
        model.assert_agrees(ledger)


def test_a_whole_step_is_told_at_once():
    ledger, losses = ledger_of(3), [1.0, NAN, 3.0]
    parts = ledger.locate(range(5, 8))
    ledger.record(parts, range(5, 8), losses, [0.1, 0.2, NAN], 2.5, "crash")
    (step,) = parts
    assert (step.status, step.left, step.waiting, list(step.times)) == ([TOLD] * 3, 0, 0, [2.5] * 3)
    assert step.losses is losses and step.failures == {6: "crash"} and repr(step.sem) == repr([0.1, NAN, NAN])


def test_ids_as_ranges_mean_the_same_as_lists():
    """Parts, other strides and other starts are entered where they belong."""
    for ids in (range(5, 7), range(7, 9), range(5, 9, 2), range(8, 4, -1), range(6, 7), range(8, 6, -1)):
        told, listed = ledger_of(4), ledger_of(4)
        losses = [float(10 * id_) for id_ in ids]
        told.record(told.locate(ids), ids, list(losses), None, 1.0)
        listed.record(listed.locate(list(ids)), list(ids), list(losses), None, 1.0)
        a, b = told.open[0], listed.open[0]
        assert (a.status, a.left, a.waiting, list(a.times)) == (b.status, b.left, b.waiting, list(b.times)), ids
        assert a.told() == b.told() == [(id_, 10.0 * id_) for id_ in sorted(ids)]


@pytest.mark.parametrize(
    ("ids", "error", "text"),
    [
        ([9], KeyError, "unknown candidate id 9: ids so far are 0 to 8"),
        ([12], KeyError, "unknown candidate id 12"),
        ([-1], KeyError, "unknown candidate id -1"),
        (range(7, 10), KeyError, "unknown candidate id 9"),
        ([5, 5], ValueError, r"each candidate can be told once, got ids \[5, 5\]"),
        ([4], ValueError, "candidate 4 was told before"),
        ([0], ValueError, "candidate 0 was told before"),
        (range(4, 8), ValueError, "candidate 4 was told before"),
        ([8, 6], ValueError, "candidate 6 was told before"),
        (range(5, 8), ValueError, "candidate 6 was told before"),
        (range(5, 9), ValueError, "candidate 6 was told before"),
    ],
)
@pytest.mark.parametrize("sizes", [(4,), (2, 2)])
def test_what_cannot_be_told(ids, error, text, sizes):
    ledger = ledger_of(*sizes)
    ledger.record(ledger.locate([6]), [6], [1.0])
    raises(error, text, ledger.locate, ids)


def test_nothing_can_be_told_before_anything_is_asked_for():
    raises(KeyError, "nothing was asked for yet", Ledger().locate, [0])


def test_points_are_compared_unless_they_are_what_was_handed_out():
    ledger = ledger_of(2, 2)
    parts = ledger.locate([8, 5])
    X = points(0, 9)[[8, 5]]
    ledger.check_points(parts, [8, 5], X)
    ledger.check_points(parts, [8, 5], None)
    for step in ledger.open:
        ids = [step.first, step.first + 1]
        for handed_out in (step.X, step.X[:], step.hand_out(2).X):
            ledger.check_points([step], ids, handed_out)
    named = r"got other points under the ids \[{}\]: a batch of another optimizer"
    raises(ValueError, named.format(8), ledger.check_points, parts, [8, 5], X + np.array([[1e-9, 0.0], [0.0, 0.0]]))
    raises(ValueError, named.format(5), ledger.check_points, parts, [8, 5], X + np.array([[0.0, 0.0], [0.0, 1e-9]]))
    for other in (X[:, :1], np.hstack([X, X]), X[:, :, None]):
        raises(ValueError, "got other points", ledger.check_points, parts, [8, 5], other)
    ledger.open[0].X.flags.writeable = True
    ledger.open[0].X[0, 0] = NAN
    ledger.check_points(ledger.open[:1], [5], ledger.open[0].X[[0]])


def test_candidates_are_handed_out_without_a_copy():
    step = OpenStep(0, 5, Asked(points(5, 4)))
    assert step.hand_out(4).X is step.hand_out(9).X is step.X
    step = OpenStep(0, 5, Asked(points(5, 4)))
    assert np.shares_memory(step.lease(1).X, step.X) and np.shares_memory(step.lease(3).X, step.X)


def test_candidates_are_read_only():
    step = OpenStep(0, 0, Asked(np.zeros((2, 3))))
    assert not step.X.flags.writeable and step.asked.X is step.X
    assert [step.holds(id_) for id_ in (-1, 0, 1, 2)] == [False, True, True, False]


def test_what_is_not_said_of_a_tell():
    """Time 0, no standard errors, and no reason."""
    ledger = ledger_of(2)
    ledger.record(ledger.locate([5]), [5], [NAN])
    (step,) = ledger.open
    assert (step.times, step.sem, step.failures) == ([0.0, 0.0], None, None)
    ledger = ledger_of(1, 1)
    ledger.record(ledger.locate([6, 5]), [6, 5], [1.0, 2.0])
    assert [(step.losses, list(step.times)) for step in ledger.open] == [([2.0], [0.0]), ([1.0], [0.0])]

"""`Auto` in few dimensions: the partition of the box, and the local searches that begin at its cells."""

import dataclasses
import math

import numpy as np
import pytest
from methods.test_auto_steps import ENDED, INF, NAN, local, state

import zoo_opt as zo
from zoo_opt.methods.auto import choice, partition
from zoo_opt.methods.auto.state import EVOLUTION, PARTITION, QUASI_NEWTON, TRUST_REGION, Search
from zoo_opt.methods.trust_region.state import TRState

BOX = (np.full(2, -5.0), np.full(2, 5.0))


def first_is_over(box=BOX, d=2, **changes):
    """The first local search has ended."""
    known = dict(X=np.eye(3, d), F=np.array([3.0, 4.0, 5.0]), sum_tested=True, f_centre=7.0)
    s = state(QUASI_NEWTON, d=d, searches=local(ENDED, used=30, evaluations=30), **{**known, **changes})
    search = dataclasses.replace(s.search, state=-np.arange(1.0, d + 1))  # where it has ended
    return choice._after_search(dataclasses.replace(s, searches={QUASI_NEWTON: search}), box, 5)


def test_it_follows_the_first_local_search_and_does_not_ask_again_for_the_centre():
    s = first_is_over()
    assert s.active == PARTITION and s.search.used == 0 and s.searches[QUASI_NEWTON].used == 0
    assert s.search.method == zo.SOO(bounds=BOX)
    np.testing.assert_array_equal(s.search.state.values, [7.0])
    np.testing.assert_array_equal(s.seen, [[-1.0, -2.0]])
    assert s.search.method.size(s.search.state) == 2  # two cells beside the centre's
    failed = first_is_over(f_centre=NAN)
    np.testing.assert_array_equal(failed.search.state.values, [INF])


@pytest.mark.parametrize(
    "changes",
    [
        dict(d=4, box=(np.full(4, -5.0), np.full(4, 5.0))),
        dict(box=None),
        dict(box=(np.full(2, -5.0), np.array([5.0, INF]))),
        dict(noisy=True),
        dict(level=True),
        dict(noise=1e-9),
        dict(F=np.array([3.0, 4.0, 4.0])),  # a plateau
    ],
    ids=str,
)
def test_where_it_does_not_suit_the_evolution_strategy_follows(changes):
    assert first_is_over(**changes).active == EVOLUTION


def test_failures_are_no_plateau():
    assert first_is_over(F=np.array([3.0, INF, INF])).active == PARTITION


def swept(s, losses, count=4):
    """The state after some sweeps; ``losses`` is a function of the points."""
    search = s.search
    for step in range(count):
        asked = search.method.ask(search.state, step)
        search = dataclasses.replace(
            search,
            state=search.method.update(search.state, asked, [losses(x) for x in asked.X]),
            used=search.used + len(asked.X),
        )
    return s.searching(PARTITION, search)


def bowl(x):
    return float(np.sum((x - np.array([3.3, 3.3])) ** 2))


def test_a_local_search_begins_at_the_best_cell_and_the_other_follows_it():
    s = swept(first_is_over(), bowl)
    assert len(s.search.state.values) >= partition.FIRST and partition.is_over(s)
    local = choice._after_search(s, BOX, 6)
    assert local.active == TRUST_REGION and isinstance(local.search.state, TRState)
    best = s.search.state.values.argmin()
    cells = s.search.method
    np.testing.assert_array_equal(
        local.search.state.x, cells.centres(s.search.state.place, s.search.state.divisions)[best]
    )
    width = cells.widths(s.search.state.divisions)[best]
    assert local.search.method.radius == pytest.approx(width.mean() / 2) and local.search.method.end_radius == 1e-8
    assert len(local.seen) == 2 and local.without_gain == s.without_gain  # a sweep is no search of its own

    ended = dataclasses.replace(local.search, method=ENDED, state=np.array([3.3, 3.3]), used=40)
    again = choice._after_search(local.searching(TRUST_REGION, ended), BOX, 7)
    assert again.active == PARTITION and again.without_gain == local.without_gain + 1
    np.testing.assert_array_equal(again.seen[-1], [3.3, 3.3])
    assert not partition.is_over(again)  # until the cells have had as many as the local search
    assert partition.is_over(again.searching(PARTITION, dataclasses.replace(again.search, used=41)))


def test_too_few_cells_are_no_reason_to_begin():
    assert not partition.is_over(swept(first_is_over(), bowl, count=1))


def test_no_local_search_begins_where_one_has_been():
    s = swept(first_is_over(), bowl)
    state_, cells = s.search.state, s.search.method
    centres, sides = cells.centres(state_.place, state_.divisions), cells.widths(state_.divisions)
    order = state_.values.argsort()
    there = dataclasses.replace(s, seen=centres[order[:1]] + 1.4 * sides[order[:1]])
    begun = partition.following(there, BOX)
    assert not np.array_equal(begun.search.state.x, centres[order[0]])
    away = dataclasses.replace(s, seen=centres[order[:1]] + 1.6 * sides[order[:1]])
    assert np.array_equal(partition.following(away, BOX).search.state.x, centres[order[0]])
    everywhere = dataclasses.replace(s, seen=centres)
    assert partition.following(everywhere, BOX) is everywhere  # the sweeps go on
    failed = dataclasses.replace(s.search, state=dataclasses.replace(state_, values=np.full(len(order), INF)))
    assert partition.following(s.searching(PARTITION, failed), BOX).active == PARTITION


def test_an_evolution_strategy_has_a_turn_after_four_searches_without_a_gain():
    s = swept(first_is_over(), bowl)
    s = s.searching(TRUST_REGION, Search(ENDED, np.zeros(2), used=10))
    assert choice._after_search(dataclasses.replace(s, without_gain=2), BOX, 8).active == PARTITION
    turn = choice._after_search(dataclasses.replace(s, without_gain=3), BOX, 8)
    assert turn.active == EVOLUTION and turn.search.used == 0
    over = choice._after_search(turn.searching(EVOLUTION, dataclasses.replace(turn.search, used=500)), BOX, 9)
    assert over.active == PARTITION and len(over.seen) == len(turn.seen)
    later = over.searching(TRUST_REGION, Search(ENDED, np.zeros(2), used=10))
    assert choice._after_search(later, BOX, 10).active == PARTITION  # it has had more than its share


def test_many_basins_are_searched_to_the_end():
    """Each of 25 basins has its own depth; a quadratic in each."""

    def loss(x):
        cell = np.clip(np.floor(x), -3, 1)
        z = x - cell - 0.5
        return float(z @ z + 0.1 * abs(cell[0] - 1) + 0.13 * abs(cell[1] + 3))

    best = [zo.minimize(loss, np.array([-2.2, 1.3]), bounds=(-3, 2), budget=300, rng=seed).fun for seed in range(3)]
    assert max(best) < 1e-12 and math.isfinite(sum(best))

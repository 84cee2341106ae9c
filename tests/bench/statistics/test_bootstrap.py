"""Bootstrap intervals: against scipy's, by hand, and their errors."""

import math

import numpy as np
import pytest
from refusals import raises
from scipy import stats as scipy_stats

from zoo_opt.bench.statistics.bootstrap import Interval, bounds, interval, resample


def test_resamples_are_draws_with_replacement():
    counts = resample(5, 4000, 1)
    assert counts.shape == (4000, 5)
    assert (counts.sum(axis=1) == 5).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(counts.var(axis=0), 5 * 0.2 * 0.8, atol=0.08)  # binomial
    np.testing.assert_array_equal(counts, resample(5, 4000, 1))
    assert (counts != resample(5, 4000, 2)).any()


def test_agrees_with_scipy():
    values = np.random.default_rng(3).gamma(2.0, size=40)
    ours = interval(values, resamples=20_000)
    theirs = scipy_stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=0)
    assert ours.estimate == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_units_count_by_their_weights():
    assert interval([3.0, 0.0], [3.0, 1.0]) == Interval(0.75, 0.0, 1.0)  # ratios 1 and 0
    assert bounds([[3.0, 1.0], [0.0, 1.0]], [3.0, 1.0])[0].tolist() == [0.0, pytest.approx(1 / 3)]


def test_one_unit_has_an_estimate_and_no_interval():
    one, none = interval([2.0]), interval([])
    assert one.estimate == 2.0 and all(map(math.isnan, (one.low, one.high, none.estimate, none.low)))


def test_a_higher_level_is_wider():
    values = np.random.default_rng(0).normal(size=30)
    narrow, wide = interval(values, level=0.5), interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_levels_are_between_0_and_1(level):
    raises(ValueError, r"level must be between 0 and 1, got", interval, [1.0, 2.0], level=level)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [[1.0, 1.0]]])
def test_weights_are_positive_and_one_for_each_unit(weights):
    raises(ValueError, "weights must be 2 positive numbers", bounds, [1.0, 2.0], weights)

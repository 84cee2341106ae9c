"""Random keys and perturbation directions: functions of (key, step) alone, with the right moments."""

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.core.keys import RESTART, STEP, SUBSPACE, Key, generator, make_key
from zoo_opt.gradient.draws import quantiles

KEY = Key(1, 2)
DRAWS = [zo.Rademacher(), zo.SegmentedUniform(), zo.Gaussian(), zo.QuantileGaussian(), zo.Sphere()]
DTYPES = [np.float32, np.float64]
draws = pytest.mark.parametrize("draws", DRAWS, ids=repr)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


# ------------------------------------------------------------------------------------------------------------ keys
def test_generator_is_a_philox_at_the_counter():
    words = generator(Key(5, 2**64 - 1), 7, RESTART).bit_generator.random_raw(10)
    fresh = np.random.Philox(key=np.array([5, 2**64 - 1], np.uint64), counter=[0, 0, 7, RESTART])
    assert np.array_equal(words, fresh.random_raw(10))


def test_streams_and_steps_and_keys_differ():
    places = [(KEY, 0, STEP), (KEY, 1, STEP), (KEY, 0, RESTART), (KEY, 0, SUBSPACE), (Key(2, 1), 0, STEP)]
    assert len({generator(*place).bit_generator.random_raw(4).tobytes() for place in places}) == 5


def test_half_words_do_not_leak_from_one_step_to_the_next():
    """A 32-bit draw leaves half a word in a generator; the next step must not see it."""
    expected = generator(KEY, 1).standard_normal(3, dtype=np.float32)
    generator(KEY, 0).integers(2**32, size=3, dtype=np.uint32)
    assert np.array_equal(generator(KEY, 1).standard_normal(3, dtype=np.float32), expected)


def test_threads_have_generators_of_their_own():

    def draw(step):
        return zo.Gaussian().draw(KEY, step, (1, 50), np.float64).tolist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(200))) == [draw(step) for step in range(200)]


def test_keys_of_seeds_are_stable():
    assert make_key(0) == make_key(np.random.default_rng(0)) != make_key(1)
    assert make_key(0) == Key(11749869230777074271, 4976686463289251617)


# ------------------------------------------------------------------------------------------------------------ draws
@draws
@dtypes
def test_draws_are_a_function_of_key_and_step(draws, dtype):
    X = draws.draw(KEY, 3, (4, 37), dtype)
    zo.Gaussian().draw(KEY, 8, (1, 5), dtype)
    assert np.array_equal(draws.draw(KEY, 3, (4, 37), dtype), X)
    assert (X.shape, X.dtype) == ((4, 37), dtype)
    assert not np.array_equal(draws.draw(KEY, 4, (4, 37), dtype), X)
    assert not np.array_equal(draws.draw(Key(1, 3), 3, (4, 37), dtype), X)
    assert len(np.unique(X, axis=0)) == 4


@draws
@dtypes
@pytest.mark.parametrize("d", [1, 7, 64, 129])
def test_parts_of_a_draw_are_the_whole(draws, dtype, d):
    """Directions may be drawn in blocks of rows; the numbers are the same."""
    whole = draws.draw(KEY, 0, (7, d), dtype)
    rng, parts = generator(KEY, 0), np.empty((7, d), dtype)
    for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
        draws.sample(rng, parts[rows])
    assert np.array_equal(parts, whole)


@draws
@dtypes
def test_columns_of_a_direction_are_the_whole(draws, dtype):
    """A direction may be drawn in blocks of columns where the class says so, and scaled by c at once."""
    whole = draws.draw(KEY, 0, (1, 300), dtype)
    rng = generator(KEY, 0)
    parts = [np.empty((1, width), dtype) for width in ((64, 192, 44) if draws.by_columns else (300,))]
    for part in parts:
        draws.sample(rng, part, 0.01)
    np.testing.assert_allclose(np.hstack(parts), whole * dtype(0.01), rtol=1e-6)


@draws
@dtypes
def test_psi_is_dual_to_delta(draws, dtype):
    """E[psi delta'] = I, to four standard errors."""
    n, d = 200_000, 3
    delta = draws.draw(KEY, 1, (n, d), dtype)
    psi = draws.dual(delta)
    assert psi.dtype == dtype
    products = (psi[:, :, None] * delta[:, None, :]).astype(np.float64)
    error = np.abs(products.mean(axis=0) - np.eye(d))
    assert (error <= 4 * products.std(axis=0) / math.sqrt(n) + 1e-6).all()
    scale = draws.self_dual(d)
    assert scale is None or np.array_equal(psi, delta * dtype(scale))


@draws
def test_draws_are_centred_and_uncorrelated(draws):
    X = draws.draw(KEY, 2, (50_000, 4), np.float64)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(X.T), np.eye(4), atol=0.025)
    np.testing.assert_allclose(np.corrcoef(X[:-1, 0], X[1:, 0])[0, 1], 0, atol=0.025)


@dtypes
def test_ranges(dtype):
    shape = (300, 301)
    signs = zo.Rademacher().draw(KEY, 0, shape, dtype)
    assert set(np.unique(signs)) == {-1, 1}
    segments = np.abs(zo.SegmentedUniform().draw(KEY, 0, shape, dtype))
    assert 0.5 <= segments.min() < 0.501 and 0.999 < segments.max() < 1.0
    np.testing.assert_allclose([segments.mean(), segments.var()], [0.75, 1 / 48], rtol=0.01)
    np.testing.assert_allclose(np.linalg.norm(zo.Sphere().draw(KEY, 0, shape, dtype), axis=1), 1, rtol=1e-5)


def test_segmented_uniform_costs_17_percent_more_variance():
    delta = zo.SegmentedUniform().draw(KEY, 0, (1000, 1000), np.float64)
    assert np.mean(delta**2) * np.mean(delta**-2.0) == pytest.approx(7 / 6, rel=1e-3)


def test_quantile_gaussian_is_normal_to_16_bits():
    z = zo.QuantileGaussian().draw(KEY, 0, (1000, 1000), np.float64).ravel()
    assert np.abs(z).max() < 4.33 and np.var(z) == pytest.approx(1, rel=0.005)
    assert np.mean(z**4) == pytest.approx(3, rel=0.02)
    np.testing.assert_allclose([np.mean(np.abs(z) < k) for k in (1, 2, 3)], [0.6827, 0.9545, 0.9973], atol=1e-3)
    assert len(quantiles(np.dtype(np.float64))) == 65_536


GOLDEN = {  # raw bits: the same in every numpy release; a change here changes every recorded run
    ("Rademacher", "float32"): ([1, -1, 1, 1], "230667587a3addbe"),
    ("Rademacher", "float64"): ([1, -1, 1, 1], "bff67df4320f99d3"),
    ("SegmentedUniform", "float32"): ([-0.94628483, -0.54835522, 0.66383201, 0.78408939], "20568d41927b5c27"),
    ("SegmentedUniform", "float64"): ([-0.88684207, 0.77271519, 0.69659891, -0.67562611], "28a60482947174e1"),
    ("QuantileGaussian", "float32"): ([-0.67788571, 0.28734618, -0.30825749, 0.57970351], None),
    ("QuantileGaussian", "float64"): ([-0.67788572, 0.28734619, -0.30825748, 0.57970353], None),
}


@pytest.mark.parametrize(("name", "dtype"), GOLDEN)
def test_golden_draws(name, dtype):
    """Two rows of 70, with row ends inside a word; the quantile table passes through libm, so no hash there."""
    first, digest = GOLDEN[name, dtype]
    X = getattr(zo, name)().draw(KEY, 3, (2, 70), np.dtype(dtype))
    np.testing.assert_allclose(X[0, :4], first, rtol=1e-7)
    if digest:
        assert hashlib.sha256(np.ascontiguousarray(X).tobytes()).hexdigest().startswith(digest)

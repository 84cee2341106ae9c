"""The 22 functions as vectors of residuals r(x), whose squares or absolute values are summed.

Numbers of equations are those of J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization
software, ACM TOMS 7, 1981; the last four are CUTEr's BDQRTIC, CUBE, MANCINO and HEART8LS.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.more_wild.measured import BARD, KOWALIK_U, KOWALIK_Y, MEYER, OSBORNE_1, OSBORNE_2

Float64 = NDArray[np.float64]


def _i(m: int) -> Float64:
    """1, 2, ..., m."""
    return np.arange(1.0, m + 1)


def linear_full_rank(x: Float64, m: int) -> Float64:
    """(32) r_i = x_i - (2 / m) sum x - 1, without x_i for i > n."""
    r = np.full(m, -2 * x.sum() / m - 1)
    r[: x.size] += x
    return r


def linear_rank_1(x: Float64, m: int) -> Float64:
    """(33) r_i = i sum j x_j - 1."""
    return np.asarray(_i(m) * (_i(x.size) @ x) - 1)


def linear_rank_1_zeros(x: Float64, m: int) -> Float64:
    """(34) r_i = (i - 1) sum of j x_j over 1 < j < n, minus 1; r_1 = r_m = -1."""
    r = (_i(m) - 1) * (_i(x.size)[1:-1] @ x[1:-1]) - 1
    r[-1] = -1
    return np.asarray(r)


def rosenbrock(x: Float64, m: int) -> Float64:
    """(1)."""
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def helical_valley(x: Float64, m: int) -> Float64:
    """(7), whose theta runs from -1/4 to 3/4 turns and jumps where x_1 = 0 and x_2 < 0."""
    theta = np.arctan2(x[1], x[0]) / (2 * np.pi)
    theta = theta + 1 if theta < -0.25 else theta
    return np.array([10 * (x[2] - 10 * theta), 10 * (np.hypot(x[0], x[1]) - 1), x[2]])


def powell_singular(x: Float64, m: int) -> Float64:
    """(13)."""
    return np.array([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


def freudenstein_roth(x: Float64, m: int) -> Float64:
    """(2)."""
    u, v = x
    return np.array([-13 + u + ((5 - v) * v - 2) * v, -29 + u + ((v + 1) * v - 14) * v])


def bard(x: Float64, m: int) -> Float64:
    """(8) with u = i, v = 16 - i, w = min(u, v)."""
    u = _i(15)
    v = 16 - u
    return np.asarray(BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2])))


def kowalik_osborne(x: Float64, m: int) -> Float64:
    """(15)."""
    u = KOWALIK_U
    return np.asarray(KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3]))


def meyer(x: Float64, m: int) -> Float64:
    """(10) with t = 45 + 5 i."""
    return np.asarray(x[0] * np.exp(x[1] / (45 + 5 * _i(16) + x[2])) - MEYER)


def watson(x: Float64, m: int) -> Float64:
    """(20) with t = i / 29."""
    powers = np.power.outer(_i(29) / 29, np.arange(x.size))  # t^0, t^1, ...
    slope = powers[:, :-1] @ (np.arange(1, x.size) * x[1:])
    return np.concatenate([slope - (powers @ x) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def box_3d(x: Float64, m: int) -> Float64:
    """(12) with t = i / 10."""
    t = _i(m) / 10
    return np.asarray(np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t)))


def jennrich_sampson(x: Float64, m: int) -> Float64:
    """(6)."""
    i = _i(m)
    return np.asarray(2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1])))


def brown_dennis(x: Float64, m: int) -> Float64:
    """(16) with t = i / 5."""
    t = _i(m) / 5
    return np.asarray((x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2)


def chebyquad(x: Float64, m: int) -> Float64:
    """(35): the mean of the i-th Chebyshev polynomial, shifted to [0, 1], at the x_j, minus its integral."""
    u = 2 * x - 1
    before, now, means = np.ones(x.size), u, []
    for _ in range(m):
        means.append(now.mean())
        before, now = now, 2 * u * now - before
    i = _i(m)
    integrals = np.zeros(m)
    integrals[1::2] = -1 / (i[1::2] ** 2 - 1)
    return np.asarray(np.array(means) - integrals)


def brown_almost_linear(x: Float64, m: int) -> Float64:
    """(27)."""
    r = x + x.sum() - (x.size + 1)
    r[-1] = np.prod(x) - 1
    return np.asarray(r)


def osborne_1(x: Float64, m: int) -> Float64:
    """(17) with t = 10 (i - 1)."""
    t = 10 * (_i(33) - 1)
    return np.asarray(OSBORNE_1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4])))


def osborne_2(x: Float64, m: int) -> Float64:
    """(19) with t = (i - 1) / 10."""
    t = (_i(65) - 1) / 10
    bells = x[1:4] * np.exp(-x[5:8] * np.subtract.outer(t, x[8:11]) ** 2)
    return np.asarray(OSBORNE_2 - (x[0] * np.exp(-t * x[4]) + bells.sum(axis=1)))


def bdqrtic(x: Float64, m: int) -> Float64:
    """The n - 4 numbers 3 - 4 x_i, and as many x_i^2 + 2 x_{i+1}^2 + 3 x_{i+2}^2 + 4 x_{i+3}^2 + 5 x_n^2."""
    s, k = x**2, x.size - 4
    return np.concatenate([3 - 4 * x[:k], s[:k] + 2 * s[1 : k + 1] + 3 * s[2 : k + 2] + 4 * s[3 : k + 3] + 5 * s[-1]])


def cube(x: Float64, m: int) -> Float64:
    """r_1 = x_1 - 1, r_i = 10 (x_i - x_{i-1}^3)."""
    return np.concatenate([[x[0] - 1], 10 * (x[1:] - x[:-1] ** 3)])


def _mancino_sums(squares: Float64) -> Float64:
    """The sums over j of v (sin^5 log v + cos^5 log v), v = sqrt(squares_i + i / j)."""
    i = _i(squares.size)
    v = np.sqrt(squares[:, None] + np.divide.outer(i, i))
    return np.asarray((v * (np.sin(np.log(v)) ** 5 + np.cos(np.log(v)) ** 5)).sum(axis=1))


def mancino(x: Float64, m: int) -> Float64:
    """r_i = 1400 x_i + (i - 50)^3 + sum_j v_ij (sin^5 log v_ij + cos^5 log v_ij), v_ij = sqrt(x_i^2 + i / j)."""
    return np.asarray(1400 * x + (_i(x.size) - 50) ** 3 + _mancino_sums(x**2))


def mancino_start(n: int) -> Float64:
    """-8.710996e-4 ((i - 50)^3 + sum_j ...), the sum that of x = 0."""
    return np.asarray(-8.710996e-4 * ((_i(n) - 50) ** 3 + _mancino_sums(np.zeros(n))))


def heart_8(x: Float64, m: int) -> Float64:
    """The dipole model of the heart: moments of two complex dipoles against eight sums.

    With p = (a + i c), q = (b + i d) of x_1 to x_4 and s = t + i v, r = u + i w of x_5 to x_8 the equations are the
    real and imaginary parts of p + q, p s + q r, p s^2 + q r^2 and p s^3 + q r^3.
    """
    a, b, c, d, t, u, v, w = x
    p, q, s, r = complex(a, c), complex(b, d), complex(t, v), complex(u, w)
    moments = [p * s**k + q * r**k for k in range(4)]
    sums = complex(-0.69, -0.044), complex(-1.57, -1.31), complex(-2.65, 2.0), complex(-12.6, 9.48)
    gaps = [moment - total for moment, total in zip(moments, sums, strict=True)]
    return np.array([part for gap in gaps for part in (gap.real, gap.imag)])


RESIDUALS: tuple[Callable[[Float64, int], Float64], ...] = (
    *(linear_full_rank, linear_rank_1, linear_rank_1_zeros, rosenbrock, helical_valley, powell_singular),
    *(freudenstein_roth, bard, kowalik_osborne, meyer, watson, box_3d, jennrich_sampson, brown_dennis, chebyquad),
    *(brown_almost_linear, osborne_1, osborne_2, bdqrtic, cube, mancino, heart_8),
)
"""In Moré and Wild's order, functions 1 to 22: each takes x of shape (n,) and m, and returns shape (m,)."""

"""Oracles of the gradient-estimate methods: the papers' equations in loops, for tests to compare with.

Written from the papers alone, float64 throughout, nothing shared with `zoo_opt`. Steps are t = 0, 1, ...; a
gain (`lr`, `c`) is a number or a function of t, a loss (`L`) a function of a vector. The random directions are
arguments, so a test can hand over the ones an optimizer drew: `deltas[t]`, `directions[t]` or `us[t]` lists the vectors
of step t. Every function returns the list of iterates, the start first and then one per step.

Sources
-------
BAPS: arXiv 2405.10913 (SPSA eq. 1, SPSA-GC eq. 2, SPSA-GEASS fig. 3). BlackVIP: arXiv 2303.14773, as
released. BAR: Tsai et al. 2020, arXiv 2007.08714. FZOO: arXiv 2506.09034. Second moments: Kingma and Ba 2015
(Adam), as one scalar.
"""

import math

import numpy as np


def _at(gain, t):
    return float(gain(t)) if callable(gain) else float(gain)


def _copy(x):
    return np.array(x, dtype=np.float64)


def _norm(g):
    return math.sqrt(sum(float(g_i) ** 2 for g_i in g))


def spsa_gradient(L, phi, pairs, c):
    """BAPS eq. 1, averaged over the pairs: g_i = (L(phi + c D) - L(phi - c D)) / (2 c) * D_i^-1."""
    g = np.zeros(len(phi))
    for D in map(_copy, pairs):
        L_plus, L_minus = float(L(phi + c * D)), float(L(phi - c * D))
        for i in range(len(phi)):
            g[i] += (L_plus - L_minus) / (2 * c) / D[i]
    return g / len(pairs)


def spsa(L, phi0, deltas, lr, c):
    """SPSA: phi <- phi - lr g(phi)."""
    phis = [_copy(phi0)]
    for t, pairs in enumerate(deltas):
        phis.append(phis[-1] - _at(lr, t) * spsa_gradient(L, phis[-1], pairs, _at(c, t)))
    return phis


def spsa_gc(L, phi0, deltas, lr, c, beta, momenta=None):
    """SPSA-GC, BAPS eq. 2, from m = 0: m <- beta m - lr g(phi + beta m), phi <- phi + m.

    A list given as `momenta` receives m, first its start and then one entry per step.
    """
    phis, momenta = [_copy(phi0)], [] if momenta is None else momenta
    m = np.zeros(len(phi0))
    momenta.append(m)
    for t, pairs in enumerate(deltas):
        g = spsa_gradient(L, phis[-1] + beta * m, pairs, _at(c, t))
        m = beta * m - _at(lr, t) * g
        phis.append(phis[-1] + m)
        momenta.append(m)
    return phis


def spsa_geass_paper(L, phi0, deltas, lr, c, beta, threshold, k1=3, cooldown=2, eta1=100.0, eta2=100.0):
    """SPSA-GEASS, BAPS fig. 3, on top of SPSA-GC; returns the iterates and the number of escapes.

    `strike` counts the steps in a row with |g|_2 < threshold. When it reaches k1, lr and c are multiplied
    by eta1 and eta2 for the next `cooldown` steps; then all returns to the start.

    Read in this way where the paper leaves it open: the comparison is strict (the text's "falls below");
    the boosted steps begin with the one after the k1-th strike; they use momentum as always; they count no
    strikes, and the count starts at 0 after them. g is the estimate as it was measured, with c boosted
    where it is.
    """
    phis, m = [_copy(phi0)], np.zeros(len(phi0))
    strike = escapes = cooling = 0  # cooling: boosted steps still to come
    for t, pairs in enumerate(deltas):
        lr_t, c_t = _at(lr, t), _at(c, t)
        boosted = cooling > 0
        if boosted:
            lr_t, c_t = lr_t * eta1, c_t * eta2

        g = spsa_gradient(L, phis[-1] + beta * m, pairs, c_t)
        m = beta * m - lr_t * g  # eq. 2
        phis.append(phis[-1] + m)

        if boosted:
            cooling = cooling - 1
            continue
        strike = strike + 1 if _norm(g) < threshold else 0
        if strike == k1:
            escapes, cooling, strike = escapes + 1, cooldown, 0
    return phis, escapes


def spsa_geass_released(L, w0, deltas, lr, c, gamma, beta, eta1, eta2, k1=10, cooldown=2, threshold_per_dim=0.001):
    """The trainer released with BAPS; returns the points probed (w) and the number of escapes.

    With i = t + 1 and g the average of the step's two-sided estimates (`sp_avg` of them) at w:

        lr_t = lr * 0.33^(i // 300),  c_t = c / i^gamma (times 10 for every earlier step with |g| = 0)
        m <- beta m + g  (m = g at the first step),  w <- w - lr_t (g + beta m)

    A step with |g|_2 < 0.001 d is a strike, any other sets the count to 0. At 10 strikes: lr_t times eta1,
    c_t times eta2 and beta = 0 for `cooldown` steps. The multipliers have no released default, so they must
    be given.

    Read in this way where the description leaves it open:

    - The boost begins at the step after the last strike; strikes go to 0 then and go on being counted
      during the cooldown. Should they reach k1 again while cooling down, that is an escape and the cooldown
      starts afresh.
    - beta = 0 acts in both lines of a cooldown step: m <- g and w <- w - lr_t g. So the old momentum is
      forgotten, and the first step after the cooldown builds on the gradient of the last boosted step.
    - A zero gradient is a strike, the step is taken all the same (momentum moves w), and c grows from the
      next step on.
    - The threshold is compared with the measured estimate, whatever c was; the comparison is strict.
    """
    ws, m = [_copy(w0)], np.zeros(len(w0))
    strike = escapes = cooling = 0
    c_factor = 1.0
    for i, pairs in enumerate(deltas, start=1):
        lr_t, c_t, beta_t = lr * 0.33 ** (i // 300), c / i**gamma * c_factor, beta
        if cooling > 0:
            lr_t, c_t, beta_t = lr_t * eta1, c_t * eta2, 0.0
            cooling = cooling - 1

        g = spsa_gradient(L, ws[-1], pairs, c_t)
        m = g if i == 1 else beta_t * m + g
        ws.append(ws[-1] - lr_t * (g + beta_t * m))

        if _norm(g) == 0.0:
            c_factor = c_factor * 10.0
        strike = strike + 1 if _norm(g) < threshold_per_dim * len(w0) else 0
        if strike == k1:
            escapes, cooling, strike = escapes + 1, cooldown, 0
    return ws, escapes


def blackvip(L, x0, deltas, lr, c, beta):
    """BlackVIP as released, from M = 0, probing at x': M <- beta M + g(x'), x' <- x' - lr (g + beta M)."""
    xs, M = [_copy(x0)], np.zeros(len(x0))
    for t, pairs in enumerate(deltas):
        g = spsa_gradient(L, xs[-1], pairs, _at(c, t))
        M = beta * M + g
        xs.append(xs[-1] - _at(lr, t) * (g + beta * M))
    return xs


def look_ahead_points(phis, momenta, beta):
    """phi + beta m of an SPSA-GC run. For a constant lr these are the x' of `blackvip` from the same start.

    With m = -lr M: x' - lr (g + beta M) = phi + beta m - lr g + beta m_new = phi + m_new + beta m_new =
    phi_new + beta m_new.
    """
    return [phi + beta * m for phi, m in zip(phis, momenta, strict=True)]


def bar_gradient(L, x, us, beta):
    """One-sided estimate of BAR: g = (d / q) sum_k u_k (f(x + beta u_k) - f(x)) / beta, |u_k| = 1."""
    d, q = len(x), len(us)
    f_x, g = float(L(x)), np.zeros(d)
    for u in map(_copy, us):
        f_u = float(L(x + beta * u))
        for i in range(d):
            g[i] += u[i] * (f_u - f_x) / beta
    return d / q * g


def bar(L, x0, directions, lr, beta):
    """BAR: x <- x - lr g with the one-sided estimate along unit vectors."""
    xs = [_copy(x0)]
    for t, us in enumerate(directions):
        xs.append(xs[-1] - _at(lr, t) * bar_gradient(L, xs[-1], us, _at(beta, t)))
    return xs


def bar_lr(lr0, lr_min, steps):
    """BAR's polynomial decay: (lr0 - lr_min) (1 - t/T)^0.9 + lr_min with T = 0.9 steps, lr_min from t = T
    on."""
    T = 0.9 * steps
    return lambda t: lr_min if t >= T else (lr0 - lr_min) * (1 - t / T) ** 0.9 + lr_min


def fzoo(L, x0, us, lr, c, base=True):
    """FZOO: g = 1/(c N) sum_i (l_i - l_0) u_i and x <- x - lr g / sigma, with N >= 2 directions u_i in each step.

    The step's length is about lr / c, whatever the loss, since sigma is c times the spread of the slopes.
    l_0 = L(x), l_i = L(x + c u_i); sigma is the standard deviation of l_1 .. l_N with ddof = 1. A step on
    which all l_i are equal has no sigma and divides by zero.

    Without a base the mean of l_1 .. l_N is in the place of l_0: g = 1 / (c (N - 1)) sum_i (l_i - mean) u_i.
    N - 1 makes it unbiased for a linear loss: the covariance of the losses and the directions over that of the
    directions, E[u u'] = I.
    """
    xs = [_copy(x0)]
    for t, step in enumerate(us):
        x, c_t, N = xs[-1], _at(c, t), len(step)
        l = [float(L(x + c_t * _copy(u))) for u in step]  # noqa: E741 (the paper's letter)
        mean = sum(l) / N
        l_0, count = (float(L(x)), N) if base else (mean, N - 1)
        g = sum((l_i - l_0) * _copy(u) for l_i, u in zip(l, step, strict=True)) / (c_t * count)
        sigma = math.sqrt(sum((l_i - mean) ** 2 for l_i in l) / (N - 1))
        xs.append(x - _at(lr, t) * g / sigma)
    return xs


def spsa_rms(L, phi0, deltas, lr, c, beta):
    """SPSA over the running RMS of its directional derivatives: Adam's second moment as one number for all of phi.

    p = (L(phi + c D) - L(phi - c D)) / (2 c) for each pair; v <- beta v + (1 - beta) mean p^2, from v = 0;
    v_hat = v / (1 - beta^t), t = 1, 2, ...; phi <- phi - lr g / sqrt(v_hat).
    """
    phis, v = [_copy(phi0)], 0.0
    for t, pairs in enumerate(deltas):
        phi, c_t = phis[-1], _at(c, t)
        squares = [((float(L(phi + c_t * _copy(D))) - float(L(phi - c_t * _copy(D)))) / (2 * c_t)) ** 2 for D in pairs]
        v = beta * v + (1 - beta) * sum(squares) / len(squares)
        v_hat = v / (1 - beta ** (t + 1))
        phis.append(phi - _at(lr, t) * spsa_gradient(L, phi, pairs, c_t) / math.sqrt(v_hat))
    return phis


def noise_of_repeats(repeats, newest):
    """Variance of one loss from points that were evaluated twice: (a - b)^2 / 2 has it as its mean.

    The plain mean of these while there are at most 1 / newest of them; from then on each new one has the weight
    `newest` and the older ones share what is left as before.
    """
    variance = 0.0
    for k, (a, b) in enumerate(repeats, start=1):
        weight = max(1 / k, newest)
        variance = (1 - weight) * variance + weight * (a - b) ** 2 / 2
    return variance

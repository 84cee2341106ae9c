"""Oracles of the gradient-estimate methods: the papers' equations in loops, for tests to compare with.

Written from the papers alone, float64 throughout, nothing shared with `zoo_opt`. Steps are t = 0, 1, ...; a
gain (`lr`, `c`) is a number or a function of t. The random directions are arguments, so a test can hand
over the ones an optimizer drew. Every function returns the list of iterates, the start first and then one
per step.

Sources
-------
BAPS: arXiv 2405.10913 (SPSA eq. 1, SPSA-GC eq. 2, SPSA-GEASS fig. 3). BlackVIP: arXiv 2303.14773, as
released. BAR: Tsai et al. 2020, arXiv 2007.08714. FZOO: arXiv 2506.09034. Second moments: Kingma and Ba 2015
(Adam), as one scalar.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Vector = np.ndarray
Loss = Callable[[Vector], float]
Gain = float | Callable[[int], float]


def _at(gain: Gain, t: int) -> float:
    return float(gain(t)) if callable(gain) else float(gain)


def _copy(x: Sequence[float]) -> Vector:
    return np.array(x, dtype=np.float64)


def _norm(g: Vector) -> float:
    return math.sqrt(sum(float(g_i) ** 2 for g_i in g))


def spsa_gradient(L: Loss, phi: Vector, pairs: Sequence[Vector], c: float) -> Vector:
    """BAPS eq. 1, averaged over the pairs: g_i = (L(phi + c D) - L(phi - c D)) / (2 c) * D_i^-1."""
    d = len(phi)
    g = np.zeros(d)
    for D in pairs:
        D = _copy(D)
        L_plus = float(L(phi + c * D))
        L_minus = float(L(phi - c * D))
        for i in range(d):
            g[i] += (L_plus - L_minus) / (2 * c) / D[i]
    return g / len(pairs)


def spsa(L: Loss, phi0: Sequence[float], deltas: Sequence[Sequence[Vector]], lr: Gain, c: Gain) -> list[Vector]:
    """SPSA: phi <- phi - lr g(phi). `deltas[t]` lists the perturbations of step t, one per pair."""
    phi = _copy(phi0)
    phis = [phi]
    for t, pairs in enumerate(deltas):
        g = spsa_gradient(L, phi, pairs, _at(c, t))
        phi = phi - _at(lr, t) * g
        phis.append(phi)
    return phis


def spsa_gc(
    L: Loss,
    phi0: Sequence[float],
    deltas: Sequence[Sequence[Vector]],
    lr: Gain,
    c: Gain,
    beta: float,
    momenta: list[Vector] | None = None,
) -> list[Vector]:
    """SPSA-GC, BAPS eq. 2, from m = 0: m <- beta m - lr g(phi + beta m), phi <- phi + m.

    A list given as `momenta` receives m, first its start and then one entry per step.
    """
    phi = _copy(phi0)
    m = np.zeros(len(phi))
    phis = [phi]
    if momenta is not None:
        momenta.append(m)
    for t, pairs in enumerate(deltas):
        g = spsa_gradient(L, phi + beta * m, pairs, _at(c, t))
        m = beta * m - _at(lr, t) * g
        phi = phi + m
        phis.append(phi)
        if momenta is not None:
            momenta.append(m)
    return phis


def spsa_geass_paper(
    L: Loss,
    phi0: Sequence[float],
    deltas: Sequence[Sequence[Vector]],
    lr: Gain,
    c: Gain,
    beta: float,
    threshold: float,
    k1: int = 3,
    cooldown: int = 2,
    eta1: float = 100.0,
    eta2: float = 100.0,
) -> tuple[list[Vector], int]:
    """SPSA-GEASS, BAPS fig. 3, on top of SPSA-GC; returns the iterates and the number of escapes.

    `strike` counts the steps in a row with |g|_2 < threshold. When it reaches k1, lr and c are multiplied
    by eta1 and eta2 for the next `cooldown` steps; then all returns to the start.

    Read in this way where the paper leaves it open: the comparison is strict (the text's "falls below");
    the boosted steps begin with the one after the k1-th strike; they use momentum as always; they count no
    strikes, and the count starts at 0 after them. g is the estimate as it was measured, with c boosted
    where it is.
    """
    phi = _copy(phi0)
    m = np.zeros(len(phi))
    phis = [phi]
    strike = 0
    cooling = 0  # boosted steps still to come
    escapes = 0
    for t, pairs in enumerate(deltas):
        lr_t = _at(lr, t)
        c_t = _at(c, t)
        boosted = cooling > 0
        if boosted:
            lr_t = lr_t * eta1
            c_t = c_t * eta2

        g = spsa_gradient(L, phi + beta * m, pairs, c_t)
        m = beta * m - lr_t * g  # eq. 2
        phi = phi + m
        phis.append(phi)

        if boosted:
            cooling = cooling - 1
            continue
        strike = strike + 1 if _norm(g) < threshold else 0
        if strike == k1:
            escapes = escapes + 1
            cooling = cooldown
            strike = 0
    return phis, escapes


def spsa_geass_released(
    L: Loss,
    w0: Sequence[float],
    deltas: Sequence[Sequence[Vector]],
    lr: float,
    c: float,
    gamma: float,
    beta: float,
    eta1: float,
    eta2: float,
    k1: int = 10,
    cooldown: int = 2,
    threshold_per_dim: float = 0.001,
    lr_factor: float = 0.33,
    lr_every: int = 300,
    zero_gradient_boost: float = 10.0,
) -> tuple[list[Vector], int]:
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
    w = _copy(w0)
    d = len(w)
    m = np.zeros(d)
    ws = [w]
    strike = 0
    cooling = 0
    escapes = 0
    c_factor = 1.0
    for t, pairs in enumerate(deltas):
        i = t + 1
        lr_t = lr * lr_factor ** (i // lr_every)
        c_t = c / i**gamma * c_factor
        beta_t = beta
        if cooling > 0:
            lr_t = lr_t * eta1
            c_t = c_t * eta2
            beta_t = 0.0
            cooling = cooling - 1

        g = spsa_gradient(L, w, pairs, c_t)
        m = g if t == 0 else beta_t * m + g
        w = w - lr_t * (g + beta_t * m)
        ws.append(w)

        if _norm(g) == 0.0:
            c_factor = c_factor * zero_gradient_boost
        strike = strike + 1 if _norm(g) < threshold_per_dim * d else 0
        if strike == k1:
            escapes = escapes + 1
            cooling = cooldown
            strike = 0
    return ws, escapes


def blackvip(
    L: Loss, x0: Sequence[float], deltas: Sequence[Sequence[Vector]], lr: Gain, c: Gain, beta: float
) -> list[Vector]:
    """BlackVIP as released, from M = 0, probing at x': M <- beta M + g(x'), x' <- x' - lr (g + beta M)."""
    x = _copy(x0)
    M = np.zeros(len(x))
    xs = [x]
    for t, pairs in enumerate(deltas):
        g = spsa_gradient(L, x, pairs, _at(c, t))
        M = beta * M + g
        x = x - _at(lr, t) * (g + beta * M)
        xs.append(x)
    return xs


def look_ahead_points(phis: Sequence[Vector], momenta: Sequence[Vector], beta: float) -> list[Vector]:
    """phi + beta m of an SPSA-GC run. For a constant lr these are the x' of `blackvip` from the same start.

    With m = -lr M: x' - lr (g + beta M) = phi + beta m - lr g + beta m_new = phi + m_new + beta m_new =
    phi_new + beta m_new.
    """
    return [phi + beta * m for phi, m in zip(phis, momenta, strict=True)]


def bar_gradient(L: Loss, x: Vector, us: Sequence[Vector], beta: float) -> Vector:
    """One-sided estimate of BAR: g = (d / q) sum_k u_k (f(x + beta u_k) - f(x)) / beta, |u_k| = 1."""
    d = len(x)
    q = len(us)
    f_x = float(L(x))
    g = np.zeros(d)
    for u in us:
        u = _copy(u)
        f_u = float(L(x + beta * u))
        for i in range(d):
            g[i] += u[i] * (f_u - f_x) / beta
    return d / q * g


def bar(L: Loss, x0: Sequence[float], directions: Sequence[Sequence[Vector]], lr: Gain, beta: Gain) -> list[Vector]:
    """BAR: x <- x - lr g with the one-sided estimate. `directions[t]` lists the unit vectors of step t."""
    x = _copy(x0)
    xs = [x]
    for t, us in enumerate(directions):
        x = x - _at(lr, t) * bar_gradient(L, x, us, _at(beta, t))
        xs.append(x)
    return xs


def bar_lr(lr0: float, lr_min: float, steps: int) -> Callable[[int], float]:
    """BAR's polynomial decay: (lr0 - lr_min) (1 - t/T)^0.9 + lr_min with T = 0.9 steps, lr_min from t = T
    on."""
    T = 0.9 * steps

    def lr(t: int) -> float:
        return lr_min if t >= T else (lr0 - lr_min) * (1 - t / T) ** 0.9 + lr_min

    return lr


def fzoo(L: Loss, x0: Sequence[float], us: Sequence[Sequence[Vector]], lr: Gain, c: Gain) -> list[Vector]:
    """FZOO: g = 1/(c N) sum_i (l_i - l_0) u_i and x <- x - lr g / sigma. `us[t]` lists the N >= 2
    directions of step t.

    The step's length is about lr / c, whatever the loss, since sigma is c times the spread of the slopes.
    l_0 = L(x), l_i = L(x + c u_i); sigma is the standard deviation of l_1 .. l_N with ddof = 1. A step on
    which all l_i are equal has no sigma and divides by zero.
    """
    x = _copy(x0)
    xs = [x]
    for t, step in enumerate(us):
        c_t = _at(c, t)
        N = len(step)
        l_0 = float(L(x))
        l = [float(L(x + c_t * _copy(u))) for u in step]  # noqa: E741 (the paper's letter)
        g = np.zeros(len(x))
        for l_i, u in zip(l, step, strict=True):
            g = g + (l_i - l_0) * _copy(u)
        g = g / (c_t * N)
        mean = sum(l) / N
        sigma = math.sqrt(sum((l_i - mean) ** 2 for l_i in l) / (N - 1))
        x = x - _at(lr, t) * g / sigma
        xs.append(x)
    return xs


def fzoo_without_base(L: Loss, x0: Sequence[float], us: Sequence[Sequence[Vector]], lr: Gain, c: Gain) -> list[Vector]:
    """FZOO with the mean of l_1 .. l_N in the place of l_0: g = 1 / (c (N - 1)) sum_i (l_i - mean) u_i.

    N - 1 makes it unbiased for a linear loss: the covariance of the losses and the directions over that of the
    directions, E[u u'] = I.
    """
    x = _copy(x0)
    xs = [x]
    for t, step in enumerate(us):
        c_t = _at(c, t)
        N = len(step)
        l = [float(L(x + c_t * _copy(u))) for u in step]  # noqa: E741 (the paper's letter)
        mean = sum(l) / N
        g = np.zeros(len(x))
        for l_i, u in zip(l, step, strict=True):
            g = g + (l_i - mean) * _copy(u)
        g = g / (c_t * (N - 1))
        sigma = math.sqrt(sum((l_i - mean) ** 2 for l_i in l) / (N - 1))
        x = x - _at(lr, t) * g / sigma
        xs.append(x)
    return xs


def spsa_rms(
    L: Loss, phi0: Sequence[float], deltas: Sequence[Sequence[Vector]], lr: Gain, c: Gain, beta: float
) -> list[Vector]:
    """SPSA over the running RMS of its directional derivatives: Adam's second moment as one number for all of phi.

    p = (L(phi + c D) - L(phi - c D)) / (2 c) for each pair; v <- beta v + (1 - beta) mean p^2, from v = 0;
    v_hat = v / (1 - beta^t), t = 1, 2, ...; phi <- phi - lr g / sqrt(v_hat).
    """
    phi = _copy(phi0)
    phis = [phi]
    v = 0.0
    for t, pairs in enumerate(deltas):
        c_t = _at(c, t)
        squares = [((float(L(phi + c_t * _copy(D))) - float(L(phi - c_t * _copy(D)))) / (2 * c_t)) ** 2 for D in pairs]
        v = beta * v + (1 - beta) * sum(squares) / len(squares)
        v_hat = v / (1 - beta ** (t + 1))
        g = spsa_gradient(L, phi, pairs, c_t)
        phi = phi - _at(lr, t) * g / math.sqrt(v_hat)
        phis.append(phi)
    return phis


def noise_of_repeats(repeats: Sequence[tuple[float, float]], newest: float) -> float:
    """Variance of one loss from points that were evaluated twice: (a - b)^2 / 2 has it as its mean.

    The plain mean of these while there are at most 1 / newest of them; from then on each new one has the weight
    `newest` and the older ones share what is left as before.
    """
    samples = [(a - b) ** 2 / 2 for a, b in repeats]
    variance = 0.0
    for k, sample in enumerate(samples, start=1):
        weight = 1 / k if 1 / k > newest else newest
        variance = (1 - weight) * variance + weight * sample
    return variance

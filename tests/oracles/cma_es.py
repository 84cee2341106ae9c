"""Oracles of CMA-ES and sep-CMA-ES: transcriptions with the papers' symbols, for tests to compare with.

Written from the papers alone, float64 throughout, nothing shared with `zoo_opt`.

Sources
-------
N. Hansen, The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772 (version of 2023): algorithm of figure
6, defaults of table 1, appendix A. R. Ros and N. Hansen, A Simple Modification in CMA-ES Achieving Linear
Time and Space Complexity, PPSN X, 2008.
"""

import math
from collections import namedtuple

import numpy as np

State = namedtuple("State", "m sigma C p_c p_sigma")  # after a generation
Parameters = namedtuple(
    "Parameters", "lam mu w mu_eff c_m c_sigma d_sigma c_c c_1 c_mu"
)  # as in table 1 of the tutorial
SepParameters = namedtuple("SepParameters", "lam mu w mu_eff c_sigma d_sigma c_c mu_cov c_cov")  # as by Ros and Hansen


def default_lambda(n):
    """Table 1: lambda = 4 + floor(3 ln n)."""
    return 4 + math.floor(3 * math.log(n))


def expected_norm(n):
    """E|N(0, I)|, in the approximation that the tutorial gives."""
    return math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))


def tutorial_parameters(n, lam=None, rank_mu_offset=0.25):
    """Table 1 of the tutorial, with alpha_cov = 2.

    `rank_mu_offset` is the 1/4 in the numerator of c_mu that the version of 2023 has; it is 0 in that of
    2016.
    """
    lam = default_lambda(n) if lam is None else lam
    mu = lam // 2
    alpha_cov = 2.0

    w_prime = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]  # eq. 49
    mu_eff = sum(w_prime[:mu]) ** 2 / sum(v**2 for v in w_prime[:mu])
    mu_eff_minus = sum(w_prime[mu:]) ** 2 / sum(v**2 for v in w_prime[mu:])

    c_m = 1.0  # eq. 54
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # eq. 55
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # eq. 56
    c_1 = alpha_cov / ((n + 1.3) ** 2 + mu_eff)  # eq. 57
    c_mu = min(  # eq. 58
        1 - c_1, alpha_cov * (rank_mu_offset + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + alpha_cov * mu_eff / 2)
    )

    alpha_mu_minus = 1 + c_1 / c_mu  # eq. 50
    alpha_mu_eff_minus = 1 + 2 * mu_eff_minus / (mu_eff + 2)  # eq. 51
    alpha_pos_def_minus = (1 - c_1 - c_mu) / (n * c_mu)  # eq. 52
    positive = sum(v for v in w_prime if v > 0)
    negative = -sum(v for v in w_prime if v < 0)
    least = min(alpha_mu_minus, alpha_mu_eff_minus, alpha_pos_def_minus)
    w = [v / positive if v >= 0 else least / negative * v for v in w_prime]  # eq. 53
    return Parameters(lam, mu, np.array(w), mu_eff, c_m, c_sigma, d_sigma, c_c, c_1, c_mu)


def pycma_parameters(n, lam=None):
    """The values of pycma 4.5.0: table 1 but for c_sigma and d_sigma (for lambda >= 6, without mirrors).

    c_sigma = min(1/2, (mu_eff + 2) / (n + mu_eff + 3)), and the square root in d_sigma is multiplied by
    max(1, 3 (1 - 2^(-n/9))), which damps large populations more.
    """
    p = tutorial_parameters(n, lam)
    c_sigma = min(0.5, (p.mu_eff + 2) / (n + p.mu_eff + 3))
    k = max(1.0, 3 * (1 - 2 ** (-n / 9)))
    d_sigma = 1 + 2 * max(0.0, k * math.sqrt((p.mu_eff - 1) / (n + 1)) - 1) + c_sigma
    return p._replace(c_sigma=c_sigma, d_sigma=d_sigma)


def cma_es(f, x0, sigma0, normals, generations, eigen_gap=None, parameters=None, points=None):
    """CMA-ES of the tutorial (figure 6, with negative weights); returns the state after each generation.

    Parameters
    ----------
    f, x0, sigma0
        The function to minimize, the first mean and step size.
    normals
        (g, lambda, n) -> z ~ N(0, I) of shape (lambda, n), g = 0, 1, ...; x_k = m + sigma B D z_k.
    generations
        How many.
    eigen_gap
        C is decomposed again at the end of a generation if counteval - eigeneval > eigen_gap; None is the
        tutorial's lambda / (c_1 + c_mu) / n / 10 (appendix A). A negative or zero gap decomposes in every
        generation.
    parameters
        None: `tutorial_parameters(len(x0))`.
    points
        g -> x of shape (lambda, n), used in place of `normals`. The order and the signs of eigenvectors are
        arbitrary (and with lambda < n so is the basis of a whole eigenspace), hence B D z may differ
        between two right programs; with the points given, nothing in an update depends on that choice.

    Notes
    -----
    B, D and C^-1/2 = B D^-1 B^T are those of the last decomposition, as in appendix A. The sort is stable.
    """
    m = np.array(x0, dtype=np.float64)
    n = len(m)
    p = tutorial_parameters(n) if parameters is None else parameters
    gap = p.lam / (p.c_1 + p.c_mu) / n / 10 if eigen_gap is None else eigen_gap
    chi_n = expected_norm(n)

    sigma, p_sigma, p_c = float(sigma0), np.zeros(n), np.zeros(n)
    C, B, D = np.eye(n), np.eye(n), np.ones(n)
    counteval = eigeneval = 0
    states = []

    for g in range(generations):
        # Sample the new population, eq. 38 to 40
        if points is None:
            y = [B @ (D * z_k) for z_k in normals(g, p.lam, n)]  # ~ N(0, C)
            x = [m + sigma * y_k for y_k in y]
        else:
            x = [np.array(x_k, dtype=np.float64) for x_k in points(g)]
            y = [(x_k - m) / sigma for x_k in x]
        values = [float(f(x_k)) for x_k in x]
        counteval += p.lam
        order = sorted(range(p.lam), key=lambda k: values[k])
        y = [y[k] for k in order]  # y[i - 1] is y_{i:lambda}

        # Selection and recombination, eq. 41 and 42
        y_w = sum(p.w[i] * y[i] for i in range(p.mu))
        m = m + p.c_m * sigma * y_w

        # Step-size control, eq. 43 and 44
        C_inverse_root = B @ np.diag(1 / D) @ B.T
        weight = math.sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff)
        p_sigma = (1 - p.c_sigma) * p_sigma + weight * (C_inverse_root @ y_w)
        p_sigma_norm = math.sqrt(float(p_sigma @ p_sigma))
        sigma_next = sigma * math.exp(p.c_sigma / p.d_sigma * (p_sigma_norm / chi_n - 1))

        # Covariance matrix adaptation, eq. 45 to 47
        bound = (1.4 + 2 / (n + 1)) * chi_n
        h_sigma = 1.0 if p_sigma_norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * (g + 1))) < bound else 0.0
        p_c = (1 - p.c_c) * p_c + h_sigma * math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff) * y_w
        delta_h = (1 - h_sigma) * p.c_c * (2 - p.c_c)
        rank_mu = np.zeros((n, n))
        for i in range(p.lam):
            w_i = p.w[i]
            if w_i < 0:  # eq. 46
                v = C_inverse_root @ y[i]
                w_i = w_i * n / float(v @ v)
            rank_mu = rank_mu + w_i * np.outer(y[i], y[i])
        C = (1 + p.c_1 * delta_h - p.c_1 - p.c_mu * float(sum(p.w))) * C + p.c_1 * np.outer(p_c, p_c) + p.c_mu * rank_mu
        sigma = sigma_next

        # Appendix A: update B and D from C
        if counteval - eigeneval > gap:
            eigeneval = counteval
            C = np.triu(C) + np.triu(C, 1).T  # enforce symmetry
            eigenvalues, B = np.linalg.eigh(C)
            D = np.sqrt(eigenvalues)

        states.append(State(m.copy(), sigma, C.copy(), p_c.copy(), p_sigma.copy()))
    return states


def ros_hansen_parameters(n, lam=None):
    """The defaults of Ros and Hansen 2008.

    lambda = 4 + floor(3 ln n), mu = floor(lambda / 2), w_i = (ln(mu + 1) - ln i) / sum_j (ln(mu + 1) - ln j),
    c_sigma = (mu_eff + 2) / (n + mu_eff + 3), d_sigma = 1 + 2 max(0, sqrt((mu_eff - 1) / (n + 1)) - 1) +
    c_sigma, c_c = 4 / (n + 4), mu_cov = mu_eff and c_cov = (n + 2)/3 * [1/mu_cov * 2/(n + sqrt 2)^2 + (1 -
    1/mu_cov) min(1, (2 mu_cov - 1) / ((n + 2)^2 + mu_cov))].
    """
    lam = default_lambda(n) if lam is None else lam
    mu = lam // 2
    raw = [math.log(mu + 1) - math.log(i) for i in range(1, mu + 1)]
    w = np.array([v / sum(raw) for v in raw])
    mu_eff = 1 / sum(float(v) ** 2 for v in w)
    c_sigma = (mu_eff + 2) / (n + mu_eff + 3)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
    c_c = 4 / (n + 4)
    mu_cov = mu_eff
    c_cov = 1 / mu_cov * 2 / (n + math.sqrt(2)) ** 2
    c_cov += (1 - 1 / mu_cov) * min(1.0, (2 * mu_cov - 1) / ((n + 2) ** 2 + mu_cov))
    c_cov = c_cov * (n + 2) / 3  # the only change beside the diagonal: faster by the degrees of freedom
    return SepParameters(lam, mu, w, mu_eff, c_sigma, d_sigma, c_c, mu_cov, c_cov)


def sep_cma_es(f, x0, sigma0, normals, generations, parameters=None):
    """sep-CMA-ES of Ros and Hansen 2008; returns the state after each generation, C as the vector of
    variances.

    Positive weights only; C <- (1 - c_cov) C + c_cov/mu_cov p_c^2 + c_cov (1 - 1/mu_cov) sum_i w_i
    y_{i:lambda}^2 for each coordinate; h_sigma stalls p_c when |p_sigma| / sqrt(1 - (1 - c_sigma)^(2 (g +
    1))) >= (1.4 + 2/(n + 1)) E|N(0, I)|, and no term makes up for the variance that is lost then (the
    tutorial's delta(h_sigma) came later).
    """
    m = np.array(x0, dtype=np.float64)
    n = len(m)
    p = ros_hansen_parameters(n) if parameters is None else parameters
    chi_n = expected_norm(n)
    sigma, p_sigma, p_c, C = float(sigma0), np.zeros(n), np.zeros(n), np.ones(n)
    states = []

    for g in range(generations):
        D = np.sqrt(C)
        z = normals(g, p.lam, n)
        values = [float(f(m + sigma * D * z[k])) for k in range(p.lam)]
        order = sorted(range(p.lam), key=lambda k: values[k])
        z = [np.array(z[k], dtype=np.float64) for k in order]  # z[i - 1] is z_{i:lambda}
        y = [D * z_i for z_i in z]

        z_w = sum(p.w[i] * z[i] for i in range(p.mu))
        y_w = sum(p.w[i] * y[i] for i in range(p.mu))
        m = m + sigma * y_w

        p_sigma = (1 - p.c_sigma) * p_sigma + math.sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff) * z_w
        p_sigma_norm = math.sqrt(float(p_sigma @ p_sigma))
        bound = (1.4 + 2 / (n + 1)) * chi_n
        H_sigma = 1.0 if p_sigma_norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * (g + 1))) < bound else 0.0
        p_c = (1 - p.c_c) * p_c + H_sigma * math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff) * y_w

        rank_mu = sum(p.w[i] * y[i] ** 2 for i in range(p.mu))
        C = (1 - p.c_cov) * C + p.c_cov / p.mu_cov * p_c**2 + p.c_cov * (1 - 1 / p.mu_cov) * rank_mu
        sigma = sigma * math.exp(p.c_sigma / p.d_sigma * (p_sigma_norm / chi_n - 1))

        states.append(State(m.copy(), sigma, C.copy(), p_c.copy(), p_sigma.copy()))
    return states

"""Oracle of dd-CMA-ES: a transcription with the paper's symbols, for tests to compare with.

Written from the paper alone, float64 throughout, nothing shared with `zoo_opt`.

Source
------
Y. Akimoto and N. Hansen, Diagonal Acceleration for Covariance Matrix Adaptation Evolution Strategies, Evolutionary
Computation 28(3), 2020 (arXiv 1905.05885).
"""

import math
from collections import namedtuple

import numpy as np

State = namedtuple(
    "State", "m sigma D C p_sigma p_c p_cD"
)  # after a generation; the covariance matrix is sigma^2 D C D


def learning_rates(n, freedom, mu_w, lam, pace=1.0):
    """c_1, c_mu and c_c of a matrix with so many degrees of freedom; pace = 1 is the paper's."""
    c_1 = pace / (2 * (freedom / n + 1) * (n + 1) ** (3 / 4) + mu_w / 2)
    mu_prime = mu_w + 1 / mu_w - 2 + 1 / 2 * lam / (lam + 5)
    c_mu = min(mu_prime * c_1, 1 - c_1)
    return c_1, c_mu, math.sqrt(mu_w * c_1) / 2


def weights(lam, c_1, c_mu):
    """w_i with negative ones, scaled for a matrix that is learnt at these rates; and mu_w of the positive ones."""
    raw = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]
    positive = sum(v for v in raw if v > 0)
    negative = sum(-v for v in raw if v < 0)
    plus = [v / positive for v in raw if v > 0]
    minus = [v / negative for v in raw if v < 0]
    mu_w = 1 / sum(v**2 for v in plus)
    mu_w_minus = 1 / sum(v**2 for v in minus)
    factor = min(1 + c_1 / c_mu, 1 + 2 * mu_w_minus / (mu_w + 2))
    return [v / positive if v >= 0 else factor * v / negative for v in raw]


def symmetric_root(C):
    """C^(1/2), and the ratio of its largest to its smallest eigenvalue."""
    values, vectors = np.linalg.eigh(C)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T, math.sqrt(values[-1] / values[0])


def dd_cma_es(f, x0, sigma0, normals, lam, generations, interval, pace_C=1.0, pace_D=1.0, damping=1.0):
    """dd-CMA-ES; returns the state after each generation.

    Parameters
    ----------
    f, x0, sigma0
        The function to minimize, the first mean and step size.
    normals
        (g, lambda, n) -> z of shape (lambda, n), g = 0, 1, ...; x_k = m + sigma D C^(1/2) z_k.
    lam
        Candidates of a generation.
    generations
        How many.
    interval
        Generations from one decomposition of C to the next.
    pace_C, pace_D, damping
        Factors of c_1 of C, of c_1 of D, and of d_sigma; 1 is the paper's.
    """
    m = np.array(x0, dtype=np.float64)
    n = len(m)
    raw = [max(0.0, math.log((lam + 1) / 2) - math.log(i)) for i in range(1, lam + 1)]
    w = [v / sum(raw) for v in raw]
    mu_w = 1 / sum(v**2 for v in w)
    c_1, c_mu, c_c = learning_rates(n, n * (n + 1) / 2, mu_w, lam, pace_C)
    c_1D, c_muD, c_cD = learning_rates(n, n, mu_w, lam, pace_D)
    w_C, w_D = weights(lam, c_1, c_mu), weights(lam, c_1D, c_muD)
    c_sigma = (mu_w + 2) / (n + mu_w + 5)
    d_sigma = damping * (1 + c_sigma + 2 * max(0.0, math.sqrt((mu_w - 1) / (n + 1)) - 1))
    chi_n = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))

    sigma, D, C = float(sigma0), np.ones(n), np.eye(n)
    root, condition = np.eye(n), 1.0
    S = np.zeros((n, n))
    p_sigma, p_c, p_cD = np.zeros(n), np.zeros(n), np.zeros(n)
    gamma_sigma = gamma_c = gamma_cD = 0.0
    states = []
    for g in range(generations):
        z = normals(g, lam, n)
        x = [m + sigma * D * (root @ z_k) for z_k in z]
        values = [float(f(x_k)) for x_k in x]
        z = [z[k] for k in sorted(range(lam), key=lambda k: values[k])]  # z[i - 1] is z_{i:lambda}

        z_w = sum(w[i] * z[i] for i in range(lam))
        y_w = D * (root @ z_w)
        m = m + sigma * y_w

        p_sigma = (1 - c_sigma) * p_sigma + math.sqrt(c_sigma * (2 - c_sigma) * mu_w) * z_w
        gamma_sigma = (1 - c_sigma) ** 2 * gamma_sigma + c_sigma * (2 - c_sigma)
        length = float(np.linalg.norm(p_sigma))
        sigma = sigma * math.exp(c_sigma / d_sigma * (length / chi_n - math.sqrt(gamma_sigma)))
        h = 1.0 if length**2 / gamma_sigma < (2 + 4 / (n + 1)) * n else 0.0

        p_c = (1 - c_c) * p_c + h * math.sqrt(c_c * (2 - c_c) * mu_w) * y_w
        gamma_c = (1 - c_c) ** 2 * gamma_c + h * c_c * (2 - c_c)
        p_cD = (1 - c_cD) * p_cD + h * math.sqrt(c_cD * (2 - c_cD) * mu_w) * y_w
        gamma_cD = (1 - c_cD) ** 2 * gamma_cD + h * c_cD * (2 - c_cD)

        # C, in coordinates where it is the identity (eq. 19), and the diagonal of the same for D (eq. 28)
        q = np.linalg.inv(root) @ (p_c / D)
        q_D = np.linalg.inv(root) @ (p_cD / D)
        S = S + c_1 * (np.outer(q, q) - gamma_c * np.eye(n))
        delta = c_1D * (q_D**2 - gamma_cD)
        for i in range(lam):
            square = float(z[i] @ z[i])
            for_C = w_C[i] if w_C[i] >= 0 else w_C[i] * n / square
            for_D = w_D[i] if w_D[i] >= 0 else w_D[i] * n / square
            S = S + c_mu * (for_C * np.outer(z[i], z[i]) - w_C[i] * np.eye(n))
            delta = delta + c_muD * (for_D * z[i] ** 2 - w_D[i])
        beta = max(1.0, condition - 2 + 1)  # eq. 31
        D = D * np.exp(delta / (2 * beta))  # eq. 29

        if (g + 1) % interval == 0:
            least = float(np.linalg.eigvalsh(S)[0])
            alpha = min(0.75 / abs(least), 1.0)  # eq. 22
            C = root @ (np.eye(n) + alpha * S) @ root  # eq. 21
            scales = np.sqrt(np.diag(C))
            D = D * scales  # eq. 34
            C = C / np.outer(scales, scales)  # eq. 35
            root, condition = symmetric_root(C)
            S = np.zeros((n, n))
        states.append(State(m.copy(), sigma, D.copy(), C.copy(), p_sigma.copy(), p_c.copy(), p_cD.copy()))
    return states

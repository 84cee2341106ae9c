"""Oracles of the noise handling of CMA-ES: transcriptions in the plainest form, for tests to compare with.

Written from the papers alone, nothing shared with `zoo_opt`.

Sources
-------
N. Hansen, A. Niederberger, L. Guzzella, P. Koumoutsakos, A method for handling uncertainty in evolutionary
optimization, IEEE Transactions on Evolutionary Computation 13, 2009: the uncertainty measurement of section III-A.
M. Nomura, Y. Akimoto, I. Ono, CMA-ES with learning rate adaptation, arXiv 2304.03473: algorithm 1. The quadratic
model is ours: it is fitted here as a least-squares problem with the penalty as further rows.
"""

import math

import numpy as np


def percentile(values, percent):
    """The percentile with linear interpolation between order statistics."""
    ordered = sorted(values)
    position = percent / 100 * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def uncertainty(first, again, theta):
    """s, from the losses of a generation and a dict of the second losses by row; all losses differ."""
    L = sorted([*first, *again.values()])
    total = 0.0
    for i, second in again.items():
        old, new = L.index(first[i]) + 1, L.index(second) + 1
        delta = new - old - (1 if new > old else -1)

        def limit(R):
            return percentile([abs(j - R) for j in range(1, len(L))], theta * 50)

        total += 2 * abs(delta) - limit(new - (second > first[i])) - limit(old - (first[i] > second))
    return total / len(again)


class LearningRates:
    """eta_m and eta_Sigma of LRA-CMA-ES."""

    def __init__(self, n, alpha=1.4, beta_m=0.1, beta_Sigma=0.03, gamma=0.1):
        self.alpha, self.gamma = alpha, gamma
        self.beta = {"m": beta_m, "Sigma": beta_Sigma}
        self.eta = {"m": 1.0, "Sigma": 1.0}
        self.E = {"m": np.zeros(n), "Sigma": np.zeros(n * n)}
        self.V = {"m": 0.0, "Sigma": 0.0}

    def step(self, m, Sigma, m_cma, Sigma_cma):
        """(m, sigma, C) after a generation that CMA-ES alone takes from (m, Sigma) to (m_cma, Sigma_cma)."""
        n = len(m)
        w, U = np.linalg.eigh(Sigma)
        root = np.linalg.inv(U @ np.diag(np.sqrt(w)) @ U.T)
        local = {"m": root @ (m_cma - m), "Sigma": (root @ (Sigma_cma - Sigma) @ root).flatten() / math.sqrt(2)}
        eta_m_before = self.eta["m"]
        for k in ("m", "Sigma"):
            beta = self.beta[k]
            self.E[k] = (1 - beta) * self.E[k] + beta * local[k]
            self.V[k] = (1 - beta) * self.V[k] + beta * np.linalg.norm(local[k]) ** 2
            E2 = np.linalg.norm(self.E[k]) ** 2
            snr = (E2 - beta / (2 - beta) * self.V[k]) / (self.V[k] - E2)
            inside = np.clip(snr / (self.alpha * self.eta[k]) - 1, -1, 1)
            self.eta[k] = min(1.0, self.eta[k] * math.exp(min(self.gamma * self.eta[k], beta) * inside))
        m = m + self.eta["m"] * (m_cma - m)
        Sigma = Sigma + self.eta["Sigma"] * (Sigma_cma - Sigma)
        sigma = np.linalg.det(Sigma) ** (1 / (2 * n))
        C = Sigma / sigma**2
        return m, sigma * eta_m_before / self.eta["m"], C


def quadratic_model(Z, losses, locality, ridge):
    """(constant, slopes, curvatures / 2) of the model of the ranks of ``losses`` at ``Z``."""
    N, n = Z.shape
    order = sorted(range(N), key=lambda i: (losses[i], i))
    rows, targets = [], []
    for i in range(N):
        weight = math.sqrt(math.exp(-sum(z**2 for z in Z[i]) / (locality * n)))
        rows.append([weight, *(weight * z for z in Z[i]), *(weight * z**2 for z in Z[i])])
        targets.append(weight * ((order.index(i) + 0.5) / N - 0.5))
    for k in range(2 * n + 1):
        rows.append([math.sqrt(ridge * (1e-6 if k == 0 else 1)) * (j == k) for j in range(2 * n + 1)])
        targets.append(0.0)
    c = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    return c[0], c[1 : n + 1], c[n + 1 :]

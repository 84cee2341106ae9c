"""Oracle of the random subspace: x = x0 + A w, nothing more."""

import numpy as np


def to_full(x0, A, w):
    """x = x0 + A w for A of shape (d, k), element by element."""
    d, k = A.shape
    x = np.array(x0, dtype=np.float64)
    for i in range(d):
        for j in range(k):
            x[i] += float(A[i, j]) * float(w[j])
    return x


def in_subspace(L, x0, A):
    """The loss as a function of w, for running any other oracle in the subspace from w = 0."""
    return lambda w: float(L(to_full(x0, A, w)))

"""Hyper-parameters of a forest of scikit-learn: integers, a choice and fractions, by a held-out loss."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from zoo_opt.bench.problems.protocol import FloatArray
from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask
from zoo_opt.support.loading import require

TREES = (2, 3, 4, 6, 8, 12, 16, 24)
DEPTHS = tuple(range(1, 13))
LEAVES = (1, 2, 3, 4, 6, 8, 12, 16)
CRITERIA = ("gini", "entropy")
ROWS = 260  # to train on


@cache
def _data() -> tuple[Any, Any, Any, Any]:
    """Scikit-learn's breast cancer set: 260 rows to train on, the other 309 to judge by."""
    rows, labels = require("sklearn.datasets", "scikit-learn").load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(rows))
    train, test = order[:ROWS], order[ROWS:]
    return rows[train], labels[train], rows[test], labels[test]


class Forest(RealTask):
    """A random forest's logarithmic loss over the number of trees, depth, leaf, criterion, and three fractions.

    The first four coordinates are integers and a choice, in cells of equal width with their levels in the middles; it
    has `levels` for methods that know of them. Its random state is fixed, so that the same point has the same loss.
    """

    task = "forest"
    levels = (len(TREES), len(DEPTHS), len(LEAVES), len(CRITERIA), 0, 0, 0)
    quantities = (
        *(Quantity(name, 0, 1) for name in ("trees", "depth", "leaf", "criterion")),
        Quantity("features", 0.05, 1.0),
        Quantity("rows", 0.2, 1.0),
        Quantity("pruning", 1e-5, 0.1, True),
    )
    optimum, spread = 0.082257729, 0.0726

    def __init__(self) -> None:
        super().__init__()
        self._forest: Any = require("sklearn.ensemble", "scikit-learn").RandomForestClassifier
        self._data = _data()

    def x0(self, seed: int) -> Float64:
        """As for the other tasks, in the middles of the levels' cells."""
        x = super().x0(seed)
        k = np.array(self.levels[:4])
        x[:4] = (np.floor(x[:4] * k) + 0.5) / k
        return x

    def settings(self, p: FloatArray) -> dict[str, Any]:
        """Arguments of scikit-learn's class."""
        at = [min(int(u * k), k - 1) for u, k in zip(p[:4], self.levels[:4], strict=True)]
        return {
            "n_estimators": TREES[at[0]],
            "max_depth": DEPTHS[at[1]],
            "min_samples_leaf": LEAVES[at[2]],
            "criterion": CRITERIA[at[3]],
            "max_features": float(p[4]),
            "max_samples": float(p[5]),
            "ccp_alpha": float(p[6]),
        }

    def loss(self, p: Float64) -> float:
        """Mean of -log of the probability of the right label, of at least 1e-3, over the rows held back."""
        rows, labels, test, test_labels = self._data
        model = self._forest(**self.settings(p), random_state=0, n_jobs=1).fit(rows, labels)
        right = model.predict_proba(test)[np.arange(len(test)), test_labels]
        return float(-np.log(np.maximum(right, 1e-3)).mean())

"""A real low-dimensional stochastic task: an SVM's hyper-parameters by the validation loss of random splits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import pair_seed
from zoo_opt.support.loading import require

Float64 = NDArray[np.float64]
CHECK_SPLITS = 8  # fixed splits that a result is judged by


@cache
def _data() -> tuple[Float64, Float64, Float64, Float64]:
    """Standardised features and labels -1 or 1: 426 rows to tune on, 143 held back; one fixed stratified split."""
    datasets = require("sklearn.datasets", "scikit-learn")
    selection = require("sklearn.model_selection", "scikit-learn")
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    labels = 2.0 * labels - 1
    train, test, y_train, y_test = selection.train_test_split(
        features, labels, test_size=0.25, random_state=0, stratify=labels
    )
    mean, scale = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / scale, y_train, (test - mean) / scale, y_test


class SVMScales:
    """Hinge loss on validation rows of an SVM with Gaussian kernel on scikit-learn's breast cancer set; d = 32.

    The parameters are the natural logarithms of C, of gamma times the number of features, and of a scale for each of
    the 30 standardised features; zeros are scikit-learn's defaults. The candidates of one step are trained and
    validated on the same split in halves, drawn from (seed, step). Runs start uniformly in [-2, 2]^32.
    """

    name = "svm-scales"
    dim = 32
    optimum: float | None = None
    curve = "validation_loss"
    targets: Sequence[float] = (0.2, 0.16, 0.14, 0.12, 0.11, 0.1, 0.095, 0.09, 0.085, 0.08, 0.075, 0.07, 0.065, 0.06)
    bounds = (-5.0, 5.0)
    reusable = True

    def __init__(self) -> None:
        self._svc: Any = require("sklearn.svm", "scikit-learn").SVC
        self._train, self._labels, self._test, self._test_labels = _data()

    def x0(self, seed: int) -> Float64:
        """Uniform in [-2, 2]^32."""
        return np.random.default_rng(pair_seed(self.name, seed)).uniform(-2, 2, self.dim)

    def losses(self, X: NDArray[Any], step: int, seed: int) -> Float64:
        """Mean hinge loss on the validation half of this step's split, shape (n,)."""
        split = self._split([*pair_seed(self.name, seed), 1 + step])
        return np.array([self._hinge(x, split) for x in X])

    def metrics(self, x: NDArray[Any]) -> dict[str, float]:
        """Loss over eight fixed splits, and the error of the SVM trained on all rows on those held back."""
        loss = np.mean([self._hinge(x, self._split([0, split])) for split in range(CHECK_SPLITS)])
        decision = self._decision(x, self._train, self._labels, self._test)
        return {"validation_loss": float(loss), "test_error": float(np.mean(decision * self._test_labels <= 0))}

    def _split(self, entropy: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train and to validate on, half each."""
        rows = np.random.default_rng(entropy).permutation(len(self._train))
        return rows[: len(rows) // 2], rows[len(rows) // 2 :]

    def _hinge(self, x: NDArray[Any], split: tuple[NDArray[np.int64], NDArray[np.int64]]) -> float:
        fit, check = split
        decision = self._decision(x, self._train[fit], self._labels[fit], self._train[check])
        return float(np.maximum(0, 1 - self._labels[check] * decision).mean())

    def _decision(self, x: NDArray[Any], features: Float64, labels: Float64, at: Float64) -> Float64:
        """Decision values at `at` of the SVM with the hyper-parameters `x` (clipped to e^-20 .. e^20)."""
        c, gamma, *scales = np.exp(np.clip(np.asarray(x, dtype=np.float64), -20, 20))
        model = self._svc(C=c, gamma=gamma / len(scales), max_iter=20_000)
        decision: Float64 = model.fit(features * scales, labels).decision_function(at * scales)
        return decision

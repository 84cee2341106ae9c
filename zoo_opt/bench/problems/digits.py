"""A real stochastic task: a small network on scikit-learn's digits, trained by minibatch loss values alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import pair_seed
from zoo_opt.support.loading import require

Float32 = NDArray[np.float32]


@cache
def _data() -> tuple[Float32, NDArray[np.int64], Float32, NDArray[np.int64]]:
    """Training images (1437, 64) in [0, 1] and labels, test images (360, 64) and labels: one fixed stratified split."""
    datasets = require("sklearn.datasets", "scikit-learn")
    selection = require("sklearn.model_selection", "scikit-learn")
    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    train, test, y_train, y_test = selection.train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return train, y_train, test, y_test


class DigitsMLP:
    """Cross-entropy of a 64-hidden-10 ReLU network on a minibatch of the digits.

    The candidates of one step see the same minibatch, drawn from (seed, step): common random numbers. Float32
    throughout, all candidates in one batched matrix product. With 128 hidden units there are 9,610 parameters.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    batch : int
        Images per minibatch.
    """

    optimum: float | None = None
    curve = "train_loss"
    bounds = None
    reusable = True
    targets: Sequence[float] = (2.0, 1.5, 1.2, 1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)

    def __init__(self, hidden: int = 128, batch: int = 128) -> None:
        if hidden < 1:
            raise ValueError(f"hidden must be 1 or more, got {hidden!r}")
        self._train, self._labels, self._test, self._test_labels = _data()
        if not 1 <= batch <= len(self._train):
            raise ValueError(f"batch must be in 1..{len(self._train)}, got {batch!r}")
        self.hidden, self.batch = hidden, batch
        self._shapes = [(64, hidden), (hidden,), (hidden, 10), (10,)]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        self.dim = int(self._ends[-1])
        self.name = f"digits-mlp-d{self.dim}"

    def x0(self, seed: int) -> Float32:
        """He's initialisation, biases zero; shape (dim,), float32."""
        rng = np.random.default_rng(pair_seed(self.name, seed))
        w1 = rng.normal(0, np.sqrt(2 / 64), (64, self.hidden))
        w2 = rng.normal(0, np.sqrt(2 / self.hidden), (self.hidden, 10))
        parts = [w1.ravel(), np.zeros(self.hidden), w2.ravel(), np.zeros(10)]
        return np.concatenate(parts).astype(np.float32)

    def losses(self, X: NDArray[Any], step: int, seed: int) -> NDArray[Any]:
        """Cross-entropy on this step's minibatch, shape (n,), of candidates of shape (n, dim)."""
        rng = np.random.default_rng([*pair_seed(self.name, seed), 1 + step])
        rows = rng.choice(len(self._train), self.batch, replace=False)
        return self._cross_entropy(self._logits(X, self._train[rows]), self._labels[rows])

    def metrics(self, x: NDArray[Any]) -> dict[str, float]:
        """Loss over the whole training set, and accuracy on the test set."""
        X = np.asarray(x)[None]
        loss = self._cross_entropy(self._logits(X, self._train), self._labels)[0]
        right = self._logits(X, self._test)[0].argmax(axis=1) == self._test_labels
        return {"train_loss": float(loss), "test_accuracy": float(right.mean())}

    def _logits(self, X: NDArray[Any], images: Float32) -> Float32:
        """Shape (n, len(images), 10) for candidates of shape (n, dim)."""
        parts = np.split(np.asarray(X, dtype=np.float32), self._ends[:-1], axis=1)
        w1, b1, w2, b2 = (p.reshape(len(X), *shape) for p, shape in zip(parts, self._shapes, strict=True))
        hidden = np.matmul(images, w1)
        hidden += b1[:, None]
        np.maximum(hidden, 0, out=hidden)
        return np.asarray(np.matmul(hidden, w2) + b2[:, None])

    @staticmethod
    def _cross_entropy(logits: Float32, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean over the images, shape (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = logits - logits.max(axis=2, keepdims=True)
            log_sum = np.log(np.exp(shifted).sum(axis=2))
            loss = log_sum - shifted[:, np.arange(len(labels)), labels]
        return np.asarray(loss.mean(axis=1, dtype=np.float64))

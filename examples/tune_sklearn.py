"""Tune a scikit-learn model whose parameters have names, scales, integers and choices.

A `Space` says what there is to choose; the objective gets a dict of values. Here it is the kernel of a kernel ridge
regression, its degree, the regularisation on a logarithmic scale, and a weight for each feature, of which the last
three say nothing about the target: the search finds that out.

Needs scikit-learn. More: docs/spaces.md.
"""

from typing import Any

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_val_score

import zoo_opt as zo

FEATURES = [f"weight{i}" for i in range(8)]
X, y = make_friedman1(450, n_features=8, noise=0.5, random_state=0)  # nothing predicts better than to 0.5
train, test = slice(0, 150), slice(150, 450)

space = zo.Space(
    kernel=zo.Choice("rbf", "laplacian", "polynomial"),
    degree=zo.Int(2, 5),
    alpha=zo.Float(1e-3, 10.0, log=True),
    **{name: zo.Float(0.01, 3.0, log=True) for name in FEATURES},
)


def split(params: dict[str, Any]) -> tuple[KernelRidge, np.ndarray]:
    """Return the model and the weighted features."""
    weights = [params[name] for name in FEATURES]
    return KernelRidge(**{k: v for k, v in params.items() if k not in FEATURES}, gamma=1.0), X * weights


def cross_validated(params: dict[str, Any]) -> float:
    """Return the root mean squared error over three folds of the training set."""
    model, weighted = split(params)
    scores = cross_val_score(model, weighted[train], y[train], cv=3, scoring="neg_root_mean_squared_error")
    return -float(scores.mean())


def tested(params: dict[str, Any]) -> float:
    """Return the root mean squared error on points that the search never saw."""
    model, weighted = split(params)
    errors = model.fit(weighted[train], y[train]).predict(weighted[test]) - y[test]
    return float(np.sqrt(np.mean(errors**2)))


def main() -> None:
    """Tune with 300 models."""
    plain = {"kernel": "rbf", "degree": 3, "alpha": 1.0} | dict.fromkeys(FEATURES, 1.0)
    res = zo.minimize(cross_validated, space, method="auto", budget=300, rng=0)
    print(f"untuned: error {cross_validated(plain):.3f}, on new points {tested(plain):.3f}")
    print(f"tuned:   error {res.fun:.3f}, on new points {tested(res.params):.3f}")
    print(
        ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in res.params.items()
        )
    )


if __name__ == "__main__":
    main()

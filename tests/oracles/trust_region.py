"""The trust region without bounds, in the plainest way: every coefficient of a model is an unknown of its own."""

from collections.abc import Callable

import numpy as np


def model(x: np.ndarray, X: np.ndarray, F: np.ndarray, H: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """c, g, H of the quadratic about x through the points whose Hessian is nearest to H.

    Written as it is said: minimise the sum of squares of H's change, a full matrix of d^2 unknowns, subject to a linear
    equation for each point, by the conditions of Lagrange.
    """
    (m, d), S = X.shape, X - x
    A = np.array([[1.0, *s, *(0.5 * np.outer(s, s)).ravel()] for s in S])
    b = np.array([f - 0.5 * s @ H @ s for f, s in zip(F, S, strict=True)])
    n = 1 + d + d * d
    squares = np.diag([0.0] * (1 + d) + [1.0] * d * d)
    K = np.block([[squares, A.T], [A, np.zeros((m, m))]])
    z = np.linalg.lstsq(K, np.concatenate([np.zeros(n), b]), rcond=1e-14)[0][:n]
    return z[0], z[1 : 1 + d], H + z[1 + d :].reshape(d, d)


def lagrange(x: np.ndarray, X: np.ndarray, t: int) -> tuple[float, np.ndarray, np.ndarray]:
    """That quadratic for values of 1 at point t and 0 at the others, from H = 0."""
    return model(x, X, np.eye(len(X))[t], np.zeros((x.size, x.size)))


def lowest(g: np.ndarray, H: np.ndarray, radius: float) -> np.ndarray:
    """The lowest point of the ball: mu is doubled until the step is short enough, and halved down to that."""

    def step(mu: float) -> np.ndarray:
        return -np.linalg.solve(H + mu * np.eye(len(g)), g)

    least = np.linalg.eigvalsh(H)[0]
    if least > 0 and np.linalg.norm(step(0.0)) <= radius:
        return step(0.0)
    low, high = max(0.0, -least), max(1e-3, 2 * abs(least))
    while np.linalg.norm(step(high)) > radius:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(step(middle)) > radius else (low, middle)
    return step(high)


def minimize(f: Callable[[np.ndarray], float], x: np.ndarray, signs: np.ndarray, evaluations: int) -> list[np.ndarray]:
    """All points evaluated, from radius 1; Powell 2006, section 2, with as many points as the method takes."""
    d, end = len(x), 1e-8
    most = min(4 * d + 1, (d + 1) * (d + 2) // 2)
    X = [x, *(x + sign * e for sign, e in zip(signs, np.eye(d), strict=True))]
    F, seen, H, delta, rho = [f(p) for p in X], list(X), np.zeros((d, d)), 1.0, 1.0

    def best() -> int:
        return int(np.argmin(F))

    def fit() -> tuple[float, np.ndarray, np.ndarray]:
        return model(X[best()], np.array(X), np.array(F), H)

    def near(radius: float) -> float:
        return radius if radius > 1.5 * rho else rho

    def far() -> tuple[int, float]:
        distances = [float(np.linalg.norm(p - X[best()])) for p in X]
        return int(np.argmax(distances)), max(distances)

    _, g, H = fit()
    wanted = "trial"
    while len(seen) < evaluations:
        k = best()
        if wanted == "geometry":
            t, distance = far()
            reach = max(min(0.1 * distance, 0.5 * delta), rho)
            value, slope, curvature = lagrange(X[k], np.array(X), t)
            ends = [lowest(slope, curvature, reach), lowest(-slope, -curvature, reach)]
            s = max(ends, key=lambda s: abs(value + slope @ s + 0.5 * s @ curvature @ s))
            seen.append(X[k] + s)
            X.pop(t), F.pop(t), X.append(seen[-1]), F.append(f(seen[-1]))
            _, g, H = fit()
            wanted = "trial"
            continue
        s = lowest(g, H, delta)
        promised = -(g @ s + 0.5 * s @ H @ s)
        if np.linalg.norm(s) < 0.5 * rho or promised <= 1e-15 * abs(F[k]):
            before, delta = delta, near(0.1 * delta)
            if far()[1] > 2 * delta:
                wanted = "geometry"
            elif delta >= before:
                rho, delta = 0.1 * rho, max(0.5 * rho, 0.1 * rho)
            continue
        before, length = delta, float(np.linalg.norm(s))
        new, value = X[k] + s, f(X[k] + s)
        seen.append(new)
        ratio = (F[k] - value) / promised
        if ratio < 0.1:
            delta = near(0.5 * min(delta, length))
        else:
            delta = near(max(0.5 * delta, length if ratio <= 0.7 else 2 * length))
        if len(X) < most and min(np.linalg.norm(p - new) for p in X) > 0.1 * rho:
            X.append(new), F.append(value)
            _, g, H = fit()
        else:
            centre = new if value < F[k] else X[k]
            weights = []
            for t, p in enumerate(X):
                q, slope, curvature = lagrange(X[k], np.array(X), t)
                size = abs(q + slope @ s + 0.5 * s @ curvature @ s)
                weights.append(size * max(1.0, (np.linalg.norm(p - centre) / max(0.1 * delta, rho)) ** 3))
            if value >= F[k]:
                weights[k] = 0.0
            t = int(np.argmax(weights))
            if value < F[k] or weights[t] > 1.0:
                X.pop(t), F.pop(t), X.append(new), F.append(value)
                _, g, H = fit()
        if ratio < 0.1:
            if far()[1] > 2 * delta:
                wanted = "geometry"
            elif ratio <= 0 and before <= rho:  # as is the length
                rho, delta = 0.1 * rho, max(0.5 * rho, 0.1 * rho)
    assert rho > 250 * end  # of the steps of rho only the first kind is written here
    return seen

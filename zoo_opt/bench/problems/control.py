"""A real stochastic task of policy search: the swing-up of gymnasium's Pendulum-v1 by a small network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import pair_seed

Float64 = NDArray[np.float64]
GRAVITY, MASS, LENGTH, SECONDS, MAX_SPEED, MAX_TORQUE = 10.0, 1.0, 1.0, 0.05, 8.0, 2.0  # Pendulum-v1
TIME_STEPS = 200
CHECK_EPISODES = 64  # fixed episodes that a result is judged by


def advance(angle: Float64, speed: Float64, torque: Float64) -> tuple[Float64, Float64, Float64]:
    """One time step of Pendulum-v1 for any number of pendulums: the next angles and speeds, and the costs.

    Parameters
    ----------
    angle : ndarray
        Radians from upright.
    speed : ndarray
        Radians per second, in [-8, 8].
    torque : ndarray
        Newton metres, in [-2, 2].
    """
    upright = (angle + np.pi) % (2 * np.pi) - np.pi
    cost = upright**2 + 0.1 * speed**2 + 0.001 * torque**2
    pull = 3 * GRAVITY / (2 * LENGTH) * np.sin(angle) + 3 / (MASS * LENGTH**2) * torque
    speed = np.clip(speed + pull * SECONDS, -MAX_SPEED, MAX_SPEED)
    return angle + speed * SECONDS, speed, cost


class PendulumPolicy:
    """Mean cost per time step of a 3-hidden-1 tanh network that swings a pendulum up and balances it.

    The dynamics, costs, observations (cosine, sine, angular speed), initial states and 200 time steps are those of
    gymnasium's Pendulum-v1, for all candidates and episodes at once. The candidates of one step see the same initial
    states, drawn from (seed, step): common random numbers. With 8 hidden units there are 41 parameters.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    episodes : int
        Episodes per evaluation.
    """

    optimum: float | None = None
    curve = "mean_cost"
    targets: Sequence[float] = (6.0, 5.5, 5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.75, 1.5, 1.25, 1.0, 0.9, 0.8)
    bounds = (-5.0, 5.0)
    reusable = True

    def __init__(self, hidden: int = 8, episodes: int = 8) -> None:
        if hidden < 1:
            raise ValueError(f"hidden must be 1 or more, got {hidden!r}")
        if episodes < 1:
            raise ValueError(f"episodes must be 1 or more, got {episodes!r}")
        self.hidden, self.episodes = hidden, episodes
        self.dim = 5 * hidden + 1
        self.name = f"pendulum-d{self.dim}" + (f"-e{episodes}" if episodes != 8 else "")

    def x0(self, seed: int) -> Float64:
        """N(0, 0.5^2) weights, biases zero; shape (dim,)."""
        x = np.random.default_rng(pair_seed(self.name, seed)).normal(0, 0.5, self.dim)
        h = self.hidden
        x[3 * h : 4 * h] = x[-1] = 0
        return x

    def losses(self, X: NDArray[Any], step: int, seed: int) -> Float64:
        """Mean cost over this step's episodes, shape (n,), of candidates of shape (n, dim)."""
        return self._mean_cost(X, self.episodes, [*pair_seed(self.name, seed), 1 + step])

    def metrics(self, x: NDArray[Any]) -> dict[str, float]:
        """Mean cost over 64 fixed episodes."""
        return {"mean_cost": float(self._mean_cost(np.asarray(x)[None], CHECK_EPISODES, [0])[0])}

    def _mean_cost(self, X: NDArray[Any], episodes: int, entropy: list[int]) -> Float64:
        n, h = len(X), self.hidden
        w1, b1, w2, b2 = np.split(np.asarray(X, dtype=np.float64), [3 * h, 4 * h, 5 * h], axis=1)
        w1, b1, w2 = w1.reshape(n, 3, h), b1[:, None], w2[:, :, None]
        rng = np.random.default_rng(entropy)
        angle = np.repeat(rng.uniform(-np.pi, np.pi, (1, episodes)), n, axis=0)
        speed = np.repeat(rng.uniform(-1, 1, (1, episodes)), n, axis=0)
        total = np.zeros((n, episodes))
        observed = np.empty((n, episodes, 3))
        for _ in range(TIME_STEPS):
            np.cos(angle, out=observed[..., 0])
            np.sin(angle, out=observed[..., 1])
            observed[..., 2] = speed
            hidden = np.tanh(observed @ w1 + b1)
            torque = MAX_TORQUE * np.tanh((hidden @ w2)[..., 0] + b2)
            angle, speed, cost = advance(angle, speed, torque)
            total += cost
        return np.asarray(total.mean(axis=1) / TIME_STEPS)

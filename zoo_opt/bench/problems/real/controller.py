"""A cart that balances a pole with a motor that saturates, sticks and is late: falling over is a cliff."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

GRAVITY, CART, POLE, HALF_LENGTH = 9.8, 1.0, 0.1, 0.5  # those of CartPole, A. G. Barto, R. S. Sutton, C. W. Anderson
STEP, STEPS, FORCE, STICTION, DELAY = 0.02, 250, 10.0, 0.4, 2
TILT, TRACK = 0.5, 2.4  # radians and metres at which an episode is lost
# position, speed, angle, angular speed
STARTS = np.array(
    [
        *([0.5, 0.0, 0.1, 0.0], [-1.0, 0.0, 0.0, 0.4], [0.0, 0.8, -0.15, 0.0]),
        *([1.2, -0.5, 0.05, -0.3], [0.0, 0.0, 0.2, 0.0], [-0.6, 0.0, -0.1, -0.3]),
    ]
)


def advance(x: Float64, v: Float64, theta: Float64, omega: Float64, force: Float64) -> tuple[Float64, ...]:
    """One time step of CartPole for any number of carts: position, speed, angle from upright, angular speed."""
    sine, cosine = np.sin(theta), np.cos(theta)
    push = (force + POLE * HALF_LENGTH * omega**2 * sine) / (CART + POLE)
    turn = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / (CART + POLE)))
    pull = push - POLE * HALF_LENGTH * turn * cosine / (CART + POLE)
    return x + STEP * v, v + STEP * pull, theta + STEP * omega, omega + STEP * turn


class Controller(RealTask):
    """Gains of a cart-pole controller by its cost over six starts: four states, an integral, and a dither.

    The dynamics are CartPole's, with a force that is limited to 10 N, two steps late, and less than stiction moves
    nothing. An episode costs the mean over 250 steps of x^2 + 10 theta^2 + 0.001 F^2, and once the pole has fallen or
    the cart left its track, 10 for every step that is left.
    """

    task = "controller"
    quantities = (
        Quantity("k_x", -2, 20),
        Quantity("k_v", -2, 20),
        Quantity("k_theta", 0, 150),
        Quantity("k_omega", 0, 40),
        Quantity("k_integral", -1, 5),
        Quantity("dither", 0, 2),
    )
    optimum, spread = 0.117536869, 3.8

    def loss(self, p: Float64) -> float:
        """The mean cost of a step."""
        gains, k_integral, dither = p[:4], p[4], p[5]
        x, v, theta, omega = STARTS.T.copy()
        integral = np.zeros_like(x)
        late = [np.zeros_like(x)] * DELAY
        alive, cost = np.ones(x.size, dtype=bool), np.zeros(x.size)
        for k in range(STEPS):
            integral = np.clip(integral + STEP * x, -1, 1)
            wanted = gains @ np.array([x, v, theta, omega]) + k_integral * integral
            wanted = wanted + dither * (1 if k % 2 else -1)
            late.append(np.clip(np.where(np.abs(wanted) < STICTION, 0.0, wanted), -FORCE, FORCE))
            force = late.pop(0)
            x, v, theta, omega = advance(x, v, theta, omega, force)
            alive &= (np.abs(theta) < TILT) & (np.abs(x) < TRACK)
            cost += np.where(alive, x**2 + 10 * theta**2 + 0.001 * force**2, 10.0)
            if not alive.any():
                cost += 10.0 * (STEPS - 1 - k)
                break
            x, v, theta, omega = (np.where(alive, now, 0.0) for now in (x, v, theta, omega))
        return float(cost.mean() / STEPS)

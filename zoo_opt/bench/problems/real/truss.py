"""The lightest of trusses that hold: a penalty makes the best design lie on an edge."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

NODES = np.array([[720.0, 360.0], [720.0, 0.0], [360.0, 360.0], [360.0, 0.0], [0.0, 360.0], [0.0, 0.0]])  # inches
BARS = np.array([[4, 2], [2, 0], [5, 3], [3, 1], [2, 3], [0, 1], [4, 3], [5, 2], [2, 1], [3, 0]])
MODULUS, DENSITY, STRESS, SHIFT, LOAD = 1e4, 0.1, 25.0, 2.0, 100.0  # ksi, lb/in^3, ksi, inches, kip
FREE = 8  # degrees of freedom: two of each of the first four nodes
PRICE = 5.0  # of a relative violation, in weights


class Truss(RealTask):
    """The cantilever of ten bars (V. B. Venkayya 1971): cross-sections of least weight under a load, in pounds.

    Displacements are solved for by the stiffness matrix; stresses are at most 25 ksi, displacements two inches. What
    exceeds its limit by a fraction v adds 5 v times the weight, so the least weight, about 5,061 pounds, is at a kink.
    """

    task = "truss"
    quantities = tuple(Quantity(f"A_{i}", 0.1, 35.0, True) for i in range(1, 11))
    optimum, spread = 5060.85, 9e5

    def __init__(self) -> None:
        super().__init__()
        along = NODES[BARS[:, 1]] - NODES[BARS[:, 0]]
        self.lengths = np.linalg.norm(along, axis=1)
        unit = along / self.lengths[:, None]
        self._stretch = np.zeros((10, 12))  # of each bar, from the displacements of all nodes
        rows = np.arange(10)
        for end, sign in ((0, -1.0), (1, 1.0)):
            for axis in (0, 1):
                self._stretch[rows, 2 * BARS[:, end] + axis] = sign * unit[:, axis]
        self._stretch = self._stretch[:, :FREE]
        self._force = np.zeros(FREE)
        self._force[[3, 7]] = -LOAD  # nodes 2 and 4, down

    def solved(self, areas: Float64) -> tuple[Float64, Float64]:
        """Displacements, shape (8,), in inches, and stresses, shape (10,), in ksi."""
        B = self._stretch
        shifts = np.linalg.solve(B.T @ (B * (MODULUS * areas / self.lengths)[:, None]), self._force)
        return shifts, MODULUS * (B @ shifts) / self.lengths

    def loss(self, p: Float64) -> float:
        """The weight with its penalty."""
        shifts, stresses = self.solved(p)
        excess = np.maximum(np.abs(shifts) / SHIFT - 1, 0).sum() + np.maximum(np.abs(stresses) / STRESS - 1, 0).sum()
        weight = DENSITY * p @ self.lengths
        return float(weight * (1 + PRICE * excess))

"""The energy of a small cluster of atoms: smooth, and infinitely steep where two atoms meet."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

ATOMS = 8
SIDE = 3.5  # of the cube that holds them, in units of sigma
CLOSEST = 0.1  # atoms nearer than this count as at this distance: 4e12


class LennardJones(RealTask):
    """Eight atoms: the sum of 4 (r^-12 - r^-6) over pairs, in 24 coordinates.

    The lowest energy, -19.821489, is that of the Cambridge Cluster Database (D. J. Wales et al.). The spread is its
    size: energies of random points say nothing, where two atoms overlap.
    """

    task = "lennard-jones"
    quantities = tuple(Quantity(f"{axis}_{i}", 0.0, SIDE) for i in range(ATOMS) for axis in "xyz")
    optimum, spread = -19.821489, 19.821489
    _pairs = np.triu_indices(ATOMS, 1)

    def loss(self, p: Float64) -> float:
        """The energy, in units of epsilon."""
        atoms = p.reshape(ATOMS, 3)
        i, j = self._pairs
        inverse = 1 / np.maximum(np.square(atoms[i] - atoms[j]).sum(axis=1), CLOSEST**2) ** 3
        return float(4 * np.sum(inverse * (inverse - 1)))

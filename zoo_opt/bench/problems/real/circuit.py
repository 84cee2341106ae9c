"""A filter of coils and capacitors that lose energy: nodal analysis, and the worst frequency counts."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

PASS, STOP = (0.1, 1.0), (1.25, 6.0)  # angular frequencies, normed
RIPPLE, ATTENUATION = 0.5, 40.0  # dB
QUALITY = 150.0  # of the coils, at the edge of the pass band
NODES = 4


class Circuit(RealTask):
    """A low-pass ladder with traps between resistors of 1: ten element values by the worst violation of its mask.

    Four capacitors to ground, three coils between them, each with a capacitor across it, which makes a notch. The
    voltages follow from the admittance matrix at 160 frequencies, whose coils have losses. The loss is the largest
    excess, in dB, over 0.5 dB of attenuation up to 1 and below 40 dB from 1.25 on, and it is a maximum of many curves.
    """

    task = "circuit"
    quantities = (
        *(Quantity(f"C_{k}", 0.1, 4.0, True) for k in range(1, 5)),
        *(Quantity(f"L_{k}", 0.1, 4.0, True) for k in range(1, 4)),
        *(Quantity(f"trap_{k}", 0.01, 2.0, True) for k in range(1, 4)),
    )
    optimum, spread = -0.239255172, 35.0

    def __init__(self) -> None:
        super().__init__()
        self._omega = np.concatenate([np.geomspace(*PASS, 60), np.geomspace(*STOP, 100)])
        self._passes = self._omega <= PASS[1]

    def attenuation(self, p: Float64) -> Float64:
        """Attenuation relative to the lossless maximum, shape (frequencies,), in dB."""
        ground, coils, traps = p[:4], p[4:7], p[7:]
        s = 1j * self._omega[:, None]
        across = 1 / (s * coils + coils / QUALITY) + s * traps  # admittances between neighbours
        Y = np.zeros((self._omega.size, NODES, NODES), dtype=np.complex128)
        for k in range(NODES):
            Y[:, k, k] = s[:, 0] * ground[k]
        for k in range(NODES - 1):
            Y[:, k, k] += across[:, k]
            Y[:, k + 1, k + 1] += across[:, k]
            Y[:, k, k + 1] = Y[:, k + 1, k] = -across[:, k]
        Y[:, 0, 0] += 1
        Y[:, -1, -1] += 1
        source = np.zeros((self._omega.size, NODES, 1), dtype=np.complex128)
        source[:, 0] = 1
        out = np.linalg.solve(Y, source)[:, -1, 0]
        return np.asarray(-20 * np.log10(np.maximum(2 * np.abs(out), 1e-12)))

    def loss(self, p: Float64) -> float:
        """The worst excess over the mask, in dB; negative where all of it is kept."""
        db = self.attenuation(p)
        return float(max((db[self._passes] - RIPPLE).max(), (ATTENUATION - db[~self._passes]).max()))

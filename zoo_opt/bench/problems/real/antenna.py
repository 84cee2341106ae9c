"""Where to put the elements of an antenna array: the worst side lobe, a maximum over directions."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

PAIRS = 8
MAIN_LOBE = 0.11  # half width, in the sine of the angle
DIRECTIONS = 600


class Antenna(RealTask):
    """A symmetric array of 16 elements: 8 gaps in wavelengths and 7 amplitudes, by its highest side lobe in dB.

    The array factor is 2 sum a_k cos(2 pi d_k sin theta); the first amplitude is 1. Elements are at least .35
    wavelengths apart, so that they can be built.
    """

    task = "antenna"
    quantities = (
        Quantity("gap_1", 0.175, 0.5),
        *(Quantity(f"gap_{k}", 0.35, 1.0) for k in range(2, PAIRS + 1)),
        *(Quantity(f"a_{k}", 0.1, 1.0) for k in range(2, PAIRS + 1)),
    )
    optimum, spread = -29.9658606, 20.9
    _sines = np.linspace(MAIN_LOBE, 1, DIRECTIONS)

    def loss(self, p: Float64) -> float:
        """The highest side lobe over the main one, in dB."""
        places, amplitudes = np.cumsum(p[:PAIRS]), np.concatenate([[1.0], p[PAIRS:]])
        factor = np.abs(np.cos(2 * np.pi * np.multiply.outer(self._sines, places)) @ amplitudes)
        return float(20 * np.log10(factor.max() / amplitudes.sum()))

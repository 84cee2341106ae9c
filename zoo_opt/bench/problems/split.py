"""What a method may be designed on, and what is kept for the record: written down before any of it was run.

Whoever designs or tunes looks at ``"design"`` alone; recorded figures are of ``"record"``, or say of what they are.
"""

from __future__ import annotations

from types import MappingProxyType

BBOB_INSTANCES = MappingProxyType({"design": (11, 12, 13), "record": (1, 2, 3)})
"""Instances of bbob, with and without shaky digits."""

START_SEEDS = MappingProxyType({"design": (101, 102, 103), "record": (1, 2, 3)})
"""Seeds of starts and of methods on the real tasks."""

_EVEN = (3, 4, 7, 8, 11, 12, 15, 16, 18, 25, 27, 28, 35, 37, 38, 43, 44, 45, 52, 53)
MORE_WILD = MappingProxyType({"design": _EVEN, "record": tuple(k for k in range(1, 54) if k not in _EVEN)})
"""Numbers of Moré and Wild's problems: those of their functions 2, 4, ..., 22 to design on, of 1, 3, ..., 21 kept.

Dimensions and starts of one function stay together: they are too much alike to be on both sides.
"""

REAL_TASKS = MappingProxyType(
    {
        "design": ("antenna", "forest", "kinetics", "portfolio", "registration", "sir"),
        "record": ("circuit", "controller", "lennard-jones", "lens", "lotka-volterra", "truss"),
    }
)
"""Real tasks, drawn by ``numpy.random.default_rng(18).permutation(12)`` from the twelve in the order of the issue."""

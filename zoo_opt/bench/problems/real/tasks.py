"""The twelve real tasks by name."""

from __future__ import annotations

from types import MappingProxyType

from zoo_opt.bench.problems.real.base import RealTask
from zoo_opt.support.loading import load_object

TASKS = MappingProxyType(
    {
        "sir": "odes:Sir",
        "lotka-volterra": "odes:LotkaVolterra",
        "kinetics": "odes:Kinetics",
        "lennard-jones": "lennard_jones:LennardJones",
        "truss": "truss:Truss",
        "antenna": "antenna:Antenna",
        "registration": "registration:Registration",
        "forest": "forest:Forest",
        "controller": "controller:Controller",
        "lens": "lens:Lens",
        "portfolio": "portfolio:Portfolio",
        "circuit": "circuit:Circuit",
    }
)
"""Where each is, in this folder."""


def make_task(task: str) -> RealTask:
    """Make one of the tasks.

    Parameters
    ----------
    task : str
        A name in `TASKS`.

    Raises
    ------
    ValueError
        If there is no such task.
    ImportError
        If what its solver needs is not installed.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    made: RealTask = load_object(f"zoo_opt.bench.problems.real.{TASKS[task]}")()
    return made

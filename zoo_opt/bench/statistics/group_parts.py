"""Parts of a group: its dimensions and, for COCO's problems, its classes of functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from zoo_opt.bench.statistics.hits import Run, grouped

# First function of each class. N. Hansen et al., RR-6829 (noiseless) and RR-6869 (noisy), 2009.
CLASSES = {
    "bbob": {
        1: "separable",
        6: "moderate conditioning",
        10: "ill-conditioned",
        15: "multi-modal",
        20: "weak structure",
    },
    "bbob-noisy": {101: "moderate noise", 107: "severe noise", 122: "severe noise, multi-modal"},
}
CLASSES["bbob-largescale"] = CLASSES["bbob-mixint"] = CLASSES["bbob"]
_NAME = re.compile(
    r"(?P<suite>bbob(?:-noisy|-largescale|-mixint)?)-f(?P<function>\d+)-i(?P<instance>\d+)-d(?P<dim>\d+)"
)


@dataclass(frozen=True)
class Coco:
    """What the name of a problem of COCO says, such as ``"bbob-f01-i1-d10"``."""

    suite: str
    function: int
    instance: int
    dim: int

    @property
    def kind(self) -> str:
        """The function's class."""
        classes = CLASSES[self.suite]
        return classes[max(first for first in classes if first <= self.function)]


def coco_problem(name: str) -> Coco | None:
    """Read a problem's name; None where it is none of COCO's."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    return Coco(parts["suite"], int(parts["function"]), int(parts["instance"]), int(parts["dim"]))


def subgroups(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """A group's runs as ``"all"``, by dimension (``"5-D"``) and by class of functions (``"separable"``).

    Parameters
    ----------
    runs : sequence of dict
        Of one group.

    Returns
    -------
    dict
        ``"all"`` first. Dimensions are left out where there is one only, and so are classes.
    """
    parts: dict[str, list[Run]] = {"all": list(runs)}
    by_dim = grouped(runs, itemgetter("dim"))
    if len(by_dim) > 1:
        parts |= {f"{dim}-D": own for dim, own in sorted(by_dim.items())}
    known = [(coco, run) for run in runs if (coco := coco_problem(run["problem"]))]
    by_class = grouped(sorted(known, key=lambda pair: pair[0].function), lambda pair: pair[0].kind)
    if len(by_class) > 1:
        parts |= {kind: [run for _, run in pairs] for kind, pairs in by_class.items()}
    return parts

"""Losses that come after their step: what they say of its directions is used in a later step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from zoo_opt.gradient.scaling import Memory
from zoo_opt.gradient.zo_gradient import LARGEST, ZOGradient, ZOMemo


class Answer(NamedTuple):
    """A loss that has come after its step: of which step, of which of its probes."""

    step: int
    probe: int
    loss: float


class LatePart(NamedTuple):
    """A direction of an earlier step whose losses are known now.

    Attributes
    ----------
    step : int
        Its step.
    direction : int
        Its number there.
    slope : float
        The slope along it, scaled as in its step; one of those that the estimate is the mean of.
    lr : float
        The rate of its step.
    """

    step: int
    direction: int
    slope: float
    lr: float


class _OpenStep:
    """A step that lacks losses."""

    def __init__(self, memo: ZOMemo, losses: list[float], memory: Memory) -> None:
        self.memo, self.losses, self.memory, self.used = memo, losses, memory, set[int]()


class OpenSteps:
    """The newest steps of which losses may still come.

    The method decides such a step again, by the same code, from all losses of it that are there by then: its slopes,
    and what scales them, are those of its own losses. Directions that it lacked before are the parts that are new.

    Parameters
    ----------
    kit : ZOGradient
        Of the method.
    most : int
        How many steps late a loss may be.
    """

    def __init__(self, kit: ZOGradient, most: int) -> None:
        self._kit, self._most = kit, most
        self._open: dict[int, _OpenStep] = {}

    def keep(self, step: int, memo: ZOMemo, losses: list[float], memory: Memory) -> None:
        """Keep a step that has been made from ``losses``, where one is missing; ``memory`` is what scaled it."""
        self._open.pop(step - self._most, None)
        if self._most and memo.radii is None and any(map(math.isnan, losses)):
            kept = _OpenStep(memo, list(losses), memory)
            kept.used |= self._slopes(kept).keys()
            self._open[step] = kept

    def parts(self, answers: list[Answer]) -> list[LatePart]:
        """Return what these losses add to the directions that are known."""
        for step, probe, loss in answers:
            if step in self._open:
                self._open[step].losses[probe] = loss
        parts = []
        for step in sorted({answer.step for answer in answers} & self._open.keys()):
            kept = self._open[step]
            new = {k: slope for k, slope in self._slopes(kept).items() if k not in kept.used}
            parts += [LatePart(step, k, slope, kept.memo.gain.lr) for k, slope in new.items()]
            kept.used |= new.keys()
        return parts

    def _slopes(self, kept: _OpenStep) -> dict[int, float]:
        """Return the scaled slopes along the directions that are known."""
        scaled = self._kit.decide(kept.memo, kept.losses, kept.memory, LARGEST["f"]).scaled
        known = [] if scaled is None else directions(self._kit, kept.memo, kept.losses)
        return {k: len(known) * scaled[k] for k in known} if scaled else {}


def directions(kit: ZOGradient, memo: ZOMemo, losses: Sequence[float]) -> list[int]:
    """Return the directions that the finite ``losses`` tell of; a slope of 0 may be a lost one or a flat one."""
    apart = [math.exp(i / len(losses)) if math.isfinite(loss) else math.nan for i, loss in enumerate(losses)]
    if memo.repeats:
        apart[1] = math.nan
    slopes = kit.estimator.slopes(apart, 1.0)  # none is 0 but of a lost direction: no e^(i/n) is the mean of others
    return [k for k, slope in enumerate(slopes or []) if slope]


def share(own: int, late: int) -> float:
    """Return what the own slopes of a step, divided by their number, are multiplied by beside late ones.

    The estimate is then the mean over all of them.
    """
    return own / (own + late) if late else 1.0

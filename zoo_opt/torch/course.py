"""The course of a training: what the method decides from the losses of each step, as in the core, and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch

from zoo_opt.core.errors import finite
from zoo_opt.core.keys import Key
from zoo_opt.gradient.gains import Gain, Observation
from zoo_opt.gradient.scaling import Memory
from zoo_opt.gradient.zo_gradient import LARGEST, ZOMemo
from zoo_opt.methods import make
from zoo_opt.methods.base import GradientMethod
from zoo_opt.methods.fzoo import FZOO
from zoo_opt.storage import checkpoint
from zoo_opt.torch.late import LatePart, OpenSteps, directions, share
from zoo_opt.torch.log import LogHead, StepRecord
from zoo_opt.torch.replica import Decided, Frame, Late, Replica, placed
from zoo_opt.torch.saved import as_tree, grids_in, put_back
from zoo_opt.torch.slots import Slots


class Course:
    """A replica and the state of its method between two steps.

    Attributes
    ----------
    method : GradientMethod
        Planned: nothing of it is open.
    replica : Replica
    head : LogHead
        What a log of it begins with.
    n : int
        Probes of a step.
    forwards, failures : int
        Losses so far, and those that were NaN.
    late : int
        Directions that a later step than theirs has used.
    """

    def __init__(self, slots: Slots, method: GradientMethod, key: Key) -> None:
        kit = method.kit
        self.method, self._kit, self._placed = method, kit, placed(kit)
        self.replica = Replica(slots, Frame.of(kit), key)
        self._gains: Any = kit.gains.start
        self._memory: Memory = ()
        self.head = _head_of(method, self.replica)
        self.n = kit.estimator.n
        self.forwards = self.failures = self.late = 0
        self.wanted = 0.0  # the radius before it was made a multiple of the grid

    @property
    def steps(self) -> int:
        """Steps so far."""
        return self.replica.step

    @property
    def memory(self) -> Memory:
        """What the scaling remembers."""
        return self._memory

    def begin(self, factor: float = 1.0, wanted: float | None = None) -> ZOMemo:
        """Return the gains of the next step, lr times ``factor``, c a multiple of the grid near to what is wanted."""
        t = self.steps
        gain = self._kit.gains.at(self._gains, t)
        self.wanted = _single([gain.c])[0] if wanted is None else wanted
        c = self.replica.begin(self.wanted)
        gain = gain._replace(c=c, lr=finite("lr_factor", factor) * gain.lr)
        return ZOMemo(gain, self._kit.gains.repeats(self._gains, t), self._kit.gains.radii(self._gains, t))

    def places(self, memo: ZOMemo) -> list[dict[int, float]]:
        """Return where the probes of the step are."""
        if memo.radii is not None:
            pairs = zip(memo.radii, self._placed, strict=True)
            return [{k: radius * times for k, times in place.items() if radius} for radius, place in pairs]
        return [self._placed[0], self._placed[0], *self._placed[2:]] if memo.repeats else self._placed

    def finish(
        self,
        memo: ZOMemo,
        losses: list[float],
        decided: Decided | None = None,
        write: Callable[[StepRecord], None] | None = None,
        parts: Sequence[LatePart] = (),
    ) -> StepRecord:
        """Take in the losses of the step and move the parameters: as ``decided``, where that is from a log.

        ``parts`` are what came late of earlier steps; gains and scaling go by the step's own losses.

        What ``write`` raises, which is called before anything is changed, leaves the step to be made again. An
        interrupt does not, since the log may have the step already.
        """
        kit, gain, replica, gains = self._kit, memo.gain, self.replica, self._gains
        slopes, scaled, factor, memory = kit.decide(memo, losses, self._memory, LARGEST["f"])
        if kit.gains.observes and (slopes is None or scaled is not None):
            seen = Observation(losses, gain, memo.repeats, kit.estimator, radii=memo.radii)
            if scaled is not None:
                norm: Callable[[], float] = lambda: replica.norm(_single(scaled))  # noqa: E731
                seen = seen._replace(slopes=slopes, factor=factor, length=norm)
            gains = kit.gains.observe(gains, seen)
        if decided is None:
            own = len(directions(kit, memo, losses)) if parts and scaled is not None else 0
            decided = self._decided(scaled, gain, parts, share(own, len(parts)))
        record = StepRecord(decided, losses)
        with replica.whole():
            if write is not None:
                try:
                    write(record)
                except BaseException as error:
                    replica.torn = False
                    replica.home()
                    replica.torn = not isinstance(error, Exception)
                    raise
            replica.apply(decided)
            self._gains, self._memory = gains, self._memory if scaled is None else memory
            self.late += len(decided.late)
            self.forwards += len(losses)
            self.failures += sum(map(math.isnan, losses))
        return record

    def repeat(self, record: StepRecord) -> None:
        """Make a step of a log again."""
        self.finish(self.begin(wanted=record.decided.c), record.losses, record.decided)

    def opened(self, most: int) -> OpenSteps:
        """Return what steps from now on may be kept in, for losses that come up to ``most`` steps late."""
        return OpenSteps(self._kit, most)

    def _decided(self, scaled: list[float] | None, gain: Gain, parts: Sequence[LatePart], whole: float) -> Decided:
        """Return what a step does: under momentum the estimate and the gains, else its moves.

        ``whole`` is the share of its own slopes, the rest that of the late ones.
        """
        if scaled is None and not parts:
            return Decided(self.wanted, [])
        own = [whole * slope for slope in scaled or [0.0] * self._kit.estimator.q]
        others = [(1.0 - whole) / len(parts) * part.slope for part in parts]
        if not max(gain.lr, *(part.lr for part in parts), 0.0) * sum(map(abs, own + others)) < LARGEST["f"]:
            return Decided(self.wanted, [])
        gains = (gain.lr, gain.momentum)
        if not self.replica.frame.has_momentum:
            gains = (0.0, 0.0)
            own = [-gain.lr * weight for weight in own]
            others = [-part.lr * weight for part, weight in zip(parts, others, strict=True)]
        pairs = zip(parts, _single(others), strict=True)
        late = [Late(self.steps - part.step, part.direction, weight) for part, weight in pairs]
        return Decided(self.wanted, _single(own), *gains, late)

    # ------------------------------------------------------------------------------------------------ storage
    def tree(self, values: bool) -> dict[str, Any]:
        """Return all that goes on from here as plain values and arrays; without ``values`` only those of masters."""
        own = {"method": self.method, "key": list(self.replica.key), "gains": self._gains, "memory": self._memory}
        own |= {"forwards": self.forwards, "failures": self.failures, "late": self.late}
        own |= {"head": self.head.line().decode()}
        return {**as_tree(self.replica, values), **own}

    @classmethod
    def of_tree(cls, tree: dict[str, Any], named: list[tuple[str, torch.nn.Parameter]]) -> Self:
        """Return the course that goes on from a `tree`; what that has no values for must be as it was."""
        self = cls(Slots(named, grids_in(tree, named)), tree["method"], Key(*tree["key"]))
        put_back(self.replica, tree)
        self.head = LogHead.read(tree["head"].encode(), "the checkpoint")
        self._gains, self._memory = tree["gains"], tuple(tree["memory"])
        self.forwards, self.failures, self.late = tree["forwards"], tree["failures"], tree["late"]
        return self


def named_in(module: Any) -> list[tuple[str, torch.nn.Parameter]]:
    """Return the parameters of a module, or those that are given, with names."""
    if isinstance(module, torch.nn.Module):
        return list(module.named_parameters())
    try:
        parameters = list(module)
    except TypeError:
        parameters = []
    if not parameters or not all(isinstance(parameter, torch.nn.Parameter) for parameter in parameters):
        raise TypeError(f"module must be a torch.nn.Module or parameters of one, got {type(module).__name__}")
    return [(str(i), parameter) for i, parameter in enumerate(parameters)]


def method_of(method: Any) -> GradientMethod:
    """Return the method that was given or named."""
    named = (FZOO.untuned(trial=True) if method == "auto" else make(method)) if isinstance(method, str) else method
    if not isinstance(named, GradientMethod):
        raise TypeError(f"method must be FZOO, SPSA, SPSAGC, SPSAGEASS or BAR, or 'auto', got {named!r}")
    if named.bounds is not None:
        raise ValueError(f"bounds must be None where a module is trained in place, got {named.bounds!r}")
    return named


def _head_of(method: GradientMethod, replica: Replica) -> LogHead:
    """Return what a log of this training begins with; the replica is at the start."""
    estimator, frame = method.kit.estimator, replica.frame
    return LogHead(
        key=list(replica.key),
        kind=frame.kind.name,
        rule=type(frame.rule).__name__,
        method=checkpoint.fingerprint(method),
        n=estimator.n,
        q=estimator.q,
        start=replica.slots.checksum(),
        shapes=replica.slots.shapes,
    )


def _single(numbers: list[float]) -> list[float]:
    """Return the numbers rounded to single precision."""
    rounded: list[float] = np.array(numbers, np.float32).tolist()
    return rounded

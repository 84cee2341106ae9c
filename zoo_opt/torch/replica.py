"""A module in training, as every worker holds one: it goes to a probe, comes home, and takes in what a step decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo_opt.core.errors import loss as as_loss
from zoo_opt.core.keys import NOISE, Key, words
from zoo_opt.gradient.gains import Gain
from zoo_opt.gradient.updates import Plain, UpdateRule
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.support.interrupts import interrupts_held
from zoo_opt.torch.arrays import Flat
from zoo_opt.torch.directions import Kind, Term, kind_of
from zoo_opt.torch.moves import Direction, Moves
from zoo_opt.torch.slots import Slots


class Late(NamedTuple):
    """What a step makes of a direction of an earlier step, whose losses came after that.

    Attributes
    ----------
    back : int
        How many steps earlier.
    direction : int
        Its number there.
    weight : float
        As those of `Decided`.
    """

    back: int
    direction: int
    weight: float


class Decided(NamedTuple):
    """What a step does to the parameters: all that a replica needs of it.

    Attributes
    ----------
    c : float
        The radius that was wanted, a float32.
    weights : list of float
        Of the directions, float32: what each moves the parameters by, or under momentum its part of the estimate;
        empty where the step changes nothing.
    lr, momentum : float
        Gains of a rule with momentum; 0 otherwise.
    late : sequence of Late
        Directions of earlier steps, where the step changes something.
    """

    c: float
    weights: list[float]
    lr: float = 0.0
    momentum: float = 0.0
    late: Sequence[Late] = ()

    def terms(self, step: int) -> dict[Direction, list[Term]]:
        """Return what the directions are multiplied by in a sum, as ``step`` says it."""
        own = {(step, k): [Term(weight, dual=True)] for k, weight in enumerate(self.weights)}
        return own | {(step - back, k): [Term(weight, dual=True)] for back, k, weight in self.late}


class Frame(NamedTuple):
    """What the moves of a training depend on beside its key and its steps."""

    kind: Kind
    rule: UpdateRule

    @classmethod
    def of(cls, kit: ZOGradient) -> Frame:
        """Return that of a method's composition."""
        return cls(kind_of(kit.draws), kit.rule)

    @property
    def has_momentum(self) -> bool:
        """Whether the rule has a momentum buffer."""
        return not isinstance(self.rule, Plain)

    @property
    def looks_ahead(self) -> bool:
        """Whether the probes surround another point than the iterate."""
        x = np.ones(1)
        return self.rule.center(x, x, Gain(1.0, 1.0, 0.5)) is not x


def placed(kit: ZOGradient) -> list[dict[int, float]]:
    """Return for each probe of a step where it is: the multiple of c that each direction has in it."""
    estimator = kit.estimator
    q = estimator.q
    X = np.zeros((estimator.n, q))
    estimator.place(X, 0, np.zeros(q), np.eye(q))
    return [{k: float(row[k]) for k in np.flatnonzero(row).tolist()} for row in X]


class Replica:
    """The trained tensors of one module, between two steps or at a probe.

    Parameters
    ----------
    slots : Slots
    frame : Frame
    key : Key
    block : int, optional
        See `Moves`.

    Attributes
    ----------
    torn : bool
        Whether something was interrupted that must be done as a whole, so that the numbers are of no use.
    """

    def __init__(self, slots: Slots, frame: Frame, key: Key, block: int | None = None) -> None:
        self.slots, self.frame, self.key = slots, frame, key
        self.moves = Moves(slots, frame.kind, key, block)
        self.step = 0
        self._at: dict[int, float] = {}  # how far along each direction of the step
        self._ahead: Gain | None = None
        self.torn = False
        if frame.has_momentum:
            for slot in slots.all:
                slot.m = _zeros(slot.flat)

    @property
    def memory(self) -> int:
        """Bytes held beside the module's own."""
        masters = sum(slot.flat.nbytes for slot in self.slots.all if slot.is_master)
        momentum = sum(slot.m.nbytes for slot in self.slots.all if slot.m is not None)
        return int(masters + momentum + self.moves.memory)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Leave this torn where the block is not done to its end; Ctrl-C waits for it."""
        with interrupts_held():
            before, self.torn = self.torn, True
            yield
            self.torn = before

    def check(self) -> None:
        """Raise RuntimeError if this is torn, or a parameter has its numbers elsewhere.

        Go home from a probe at which a second interrupt, before the way home has begun, has left this.
        """
        if self.torn:
            raise RuntimeError("a step was interrupted while it moved the parameters: go on from its log or checkpoint")
        self.slots.check()
        if self._at or self._ahead is not None:
            self.home()

    def begin(self, c: float) -> float:
        """Make room for probes of radius ``c``, float32, and return the multiple of all grids that is nearest to it."""
        slots, reach = self.slots, self.frame.kind.reach
        self.check()
        with self.whole():
            slots.make_room(2.0 * c * reach)
            slots.make_room(slots.radius(c) * reach)  # more than that only where c is below all spacings
        return slots.radius(c)

    def go(self, to: dict[int, float], c: float, gain: Gain) -> None:
        """Go to the probe ``to``, multiples of ``c`` along directions of this step."""
        with self.whole():
            if self._ahead is None and self.frame.looks_ahead and gain.momentum:
                self.moves.look_ahead(self.frame.rule, gain, 1.0)
                self._ahead = gain
            target = {k: times * c for k, times in to.items()}
            self.moves.by(self._between(target))
            self._at = target

    def home(self) -> None:
        """Go back to the iterate: every bit is as it was. If this is torn, there is no way."""
        if self.torn:
            return
        with self.whole():
            self._home()

    def _home(self) -> None:
        self.moves.by(self._between({}))
        self._at = {}
        if self._ahead is not None:
            self.moves.look_ahead(self.frame.rule, self._ahead, -1.0)
            self._ahead = None

    def apply(self, decided: Decided) -> None:
        """Take in what the step decided, from wherever this is, and go on to the next one."""
        with self.whole():
            self._apply(decided)

    def _apply(self, decided: Decided) -> None:
        frame, weights = self.frame, decided.weights
        if not weights:
            self._home()
        elif frame.has_momentum:
            self._home()
            gain = Gain(decided.lr, decided.c, decided.momentum)
            self.moves.by_rule(decided.terms(self.step), frame.rule, gain, frame.looks_ahead)
        else:
            reach = sum(map(abs, [*weights, *(late.weight for late in decided.late)])) * frame.kind.dual_reach
            room = reach + self.slots.radius(decided.c) * frame.kind.reach  # the way home is part of the same sum
            if not self.slots.fits(room):
                self._home()
                self.slots.make_room(room)
            terms = self._between({})
            for direction, moved in decided.terms(self.step).items():
                terms.setdefault(direction, []).extend(moved)
            self.moves.by(terms)
            self.slots.grow(reach)
            self._at = {}
        self.step += 1

    def repeat(self, decided: Decided) -> None:
        """Make a step again that another replica has made."""
        self.begin(decided.c)
        self.apply(decided)

    def norm(self, weights: list[float]) -> float:
        """Return the length of the sum of ``weights`` times psi."""
        return self.moves.norm(self.step, weights)

    def _between(self, target: dict[int, float]) -> dict[Direction, list[Term]]:
        """Return what takes this to ``target``: each term a multiple of delta that the grid holds exactly."""
        terms: dict[Direction, list[Term]] = {}
        for k in {**self._at, **target}:
            if self._at.get(k, 0.0) != target.get(k, 0.0):
                both = ((-1.0, self._at), (1.0, target))
                terms[self.step, k] = [Term(sign * at[k]) for sign, at in both if at.get(k, 0.0)]
        return terms


def loss_of(fun: Callable[[], Any]) -> float:
    """Return the loss that ``fun`` gives, without recording gradients; NaN for None."""
    with torch.inference_mode():
        value = fun()
        number = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    return as_loss(number)


@contextmanager
def same_draws(replica: Replica) -> Iterator[Callable[[], None]]:
    """Let torch's random numbers, such as dropout's, be a function of key and step, and put them back afterwards.

    Call what is yielded before each probe: all probes of a step draw the same.
    """
    seed = int(words(replica.key, replica.step, 0, 1, NOISE)[0]) >> 1
    devices = [slot.parameter.device for slot in replica.slots.all]
    cuda = sorted({device.index or 0 for device in devices if device.type == "cuda"})

    def again() -> None:
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)

    with torch.random.fork_rng(devices=cuda, enabled=True):
        yield again


def _zeros(flat: Flat) -> Flat:
    return np.zeros_like(flat) if isinstance(flat, np.ndarray) else torch.zeros_like(flat)

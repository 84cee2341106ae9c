"""What an adaptation will ask of a service, how long that takes and what it costs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt_seg.blackbox.serving import Served
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.remote.found import services_of

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.plan import Plan


@dataclass(frozen=True)
class Forecast:
    """What is expected of a run.

    Attributes
    ----------
    calls, tests : int
        Images to train on and to validate, and to measure at most; of what a run has left, where it has begun.
    seconds, money : float
    before : int
        Calls that the run has paid for already.
    refine : bool
        Whether a refiner is trained, which takes time but no call.
    """

    calls: int
    tests: int
    seconds: float
    money: float
    before: int
    refine: bool

    @property
    def words(self) -> str:
        """It in a sentence."""
        money = f" and {self.money:,.8g}" if self.money else ""
        tests = f" and up to {self.tests:,} to measure" if self.tests else ""
        left = " are left" if self.before else ""
        here = "; the refiner's training on this machine comes on top" if self.refine else ""
        return f"{self.calls:,} calls{tests}{left}: about {_duration(self.seconds)} of the service{money}{here}"


def forecast(plan: Plan) -> Forecast:
    """Return what a plan will ask of its service: by what its ledger says of one, or by one question that is asked now.

    Raises
    ------
    NotServed, Refused
        If the one question meets with it.
    """
    services = services_of(plan.box)
    service = services[0]
    before = service.spent.calls
    each = service.seconds_each or _measured(plan)
    tests = 0
    if plan.tested is not None:
        rows = 1 + plan.prompt.views * (1 + plan.reporting.test_start)
        tests = rows * len(plan.tested) * plan.reporting.repeats
    left = max(plan.training.calls + tests - before, 0)
    calls = max(plan.training.calls - before, 0)
    terms = service.terms
    together = plan.batch * plan.prompt.views  # a question's images; the next one is put when all are answered
    rounds = math.ceil(together / (terms.workers * len(services)))
    slowest = [
        each * rounds / together,
        *(1.0 / rate for rate in (terms.rate, terms.images_rate) if rate),
    ]
    return Forecast(calls, min(tests, left), left * max(slowest), left * terms.price, before, plan.refining.refine)


def _measured(plan: Plan) -> float:
    """Ask about one training image, and return the seconds that it takes."""
    train = plan.splits.train
    rows = train.with_object[:1] if plan.points != "text" else np.arange(1)
    some = train[rows]
    began = time.monotonic()
    Served(plan.box, plan.training.wait)(np.asarray(some.images), draw_prompts(plan.points, some, (0,), exact=True))
    return time.monotonic() - began


def _duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90.0:
        whole = math.ceil(seconds)
        return f"{whole} second{'' if whole == 1 else 's'}"
    if seconds < 5400.0:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"

"""What the contract tells: what must be refused, and losses that must not be taken for others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from zoo_opt.optimizer import Optimizer

BAD_TELLS: dict[str, Callable[[Optimizer, list[int]], Any]] = {  # what is wrong -> a call with the ids that are out
    "unknown id": lambda opt, ids: opt.tell([*ids, ids[-1] + 10**6], [1.0] * (len(ids) + 1)),
    "negative id": lambda opt, ids: opt.tell([-1], [1.0]),
    "same id twice": lambda opt, ids: opt.tell([ids[0], ids[0]], [1.0, 1.0]),
    "too few losses": lambda opt, ids: opt.tell(ids, [1.0] * (len(ids) - 1)),
    "too many losses": lambda opt, ids: opt.tell(ids, [1.0] * (len(ids) + 1)),
    "minus infinity": lambda opt, ids: opt.tell(ids, [1.0] * (len(ids) - 1) + [-math.inf]),
    "text": lambda opt, ids: opt.tell(ids, [1.0] * (len(ids) - 1) + ["1"]),
    "too few standard errors": lambda opt, ids: opt.tell(ids, [1.0] * len(ids), [0.1] * (len(ids) - 1)),
    "negative standard error": lambda opt, ids: opt.tell(ids, [1.0] * len(ids), [-0.1] * len(ids)),
    "standard error of NaN": lambda opt, ids: opt.tell(ids, [1.0] * len(ids), [math.nan] * len(ids)),
    "infinite standard error": lambda opt, ids: opt.tell(ids, [1.0] * len(ids), [math.inf] * len(ids)),
    "standard errors as text": lambda opt, ids: opt.tell(ids, [1.0] * len(ids), "1" * len(ids)),
    "told before": lambda opt, ids: opt.tell([*ids, 0], [1.0] * (len(ids) + 1)),
    "failed before": lambda opt, ids: opt.tell_failed([*ids, 0]),
}

ROWS = {"first": 0.0, "middle": 0.5, "last": 1.0}  # which candidate of a step -> its place, from 0 to 1
UNLIKE = {  # what is wrong if the two losses have the same effect; -1 is lower than all others
    "a failure is taken for a loss of 0": (math.nan, 0.0),
    "a failure is taken for the best": (math.nan, -1.0),
    "an infinite loss is taken for the best": (math.inf, -1.0),
}

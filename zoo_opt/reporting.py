"""What a run says while it goes on: to a callback, on the terminal, and to the log."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.outcome import Outcome
from zoo_opt.optimizer import Optimizer
from zoo_opt.result import Result
from zoo_opt.support.secrets import hidden

log = logging.getLogger("zoo_opt")
log.addHandler(logging.NullHandler())  # what is heard of it is up to the program, as with every library

Notify = Callable[[Optimizer], bool]  # called after each step; returns whether to stop


def summary(opt: Optimizer) -> Result:
    """Return the best point told, or the iterate where none was finite."""
    x = opt.mean if opt.best.x is None else opt.best.x
    params = {} if opt.space is None else {"params": opt.space.decode(x)}
    return Result(x=x.copy(), **params, fun=opt.best.loss, nfev=opt.nfev, nit=opt.nit, nfail=opt.nfail)


def going_on(path: str | os.PathLike[str], nfev: int | None = None) -> str:
    """Return what is said where a run goes on from the file at ``path``, after ``nfev`` evaluations where known."""
    after = "" if nfev is None else f" after {nfev} evaluations"
    return f"going on from {path}{after}; delete it to start anew"


def notifier(callback: Callable[..., Any] | None, verbose: bool | int) -> Notify:
    """Return what to call after each step: it prints lines, and passes the callback what it has a parameter for."""
    every = int(verbose) if isinstance(verbose, (bool, np.bool_)) else integer("verbose", verbose, 0)
    lines = _Lines(every) if every else None
    call = _caller(callback)

    def notify(opt: Optimizer) -> bool:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("step %d: %d evaluations, best loss %.9g", opt.nit, opt.nfev, opt.best.loss)
        if lines is not None:
            lines.print(opt)
        try:
            call(opt)
        except StopIteration:
            return True
        return False

    return notify


def _caller(callback: Callable[..., Any] | None) -> Callable[[Optimizer], Any]:
    """Return the callback as a function of the optimizer, in scipy's two forms."""
    if callback is None:
        return lambda opt: None
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {callback!r}")
    try:
        by_name = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except ValueError:  # a callable without a signature
        by_name = False
    if not by_name:

        def call_with_point(opt: Optimizer) -> None:
            result = summary(opt)
            callback(result.get("params", result.x))

        return call_with_point
    seen: list[int] = []  # evaluations before the last call

    def call(opt: Optimizer) -> None:
        result = summary(opt)
        result.last = opt.last(opt.nfev - (seen[-1] if seen else 0))
        seen[:] = [opt.nfev]
        callback(intermediate_result=result)

    return call


class _Lines:
    """Prints every k-th step."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._begun = False
        self._seen = 0  # evaluations before the step that has closed

    def print(self, opt: Optimizer) -> None:
        """Print the step that has closed, under a heading at the first."""
        if not self._begun:
            print(
                f"{'step':>7} {'evaluations':>11} {'failed':>7} {'loss of step':>16} {'best loss':>16} {'seconds':>9}"
            )
        if not self._begun or opt.nit % self._every == 0:
            step = opt.last(opt.nfev - self._seen)
            losses = step.loss[step.step == opt.nit - 1]
            lowest = min((loss for loss in losses.tolist() if loss == loss), default=float("nan"))
            seconds = step.time[-1] if len(step) else 0.0
            print(f"{opt.nit:7d} {opt.nfev:11d} {opt.nfail:7d} {lowest:16.9g} {opt.best.loss:16.9g} {seconds:9.1f}")
        self._begun, self._seen = True, opt.nfev


def report_failures(outcomes: list[Outcome], known: dict[str, int]) -> None:
    """Log the first failure of each reason."""
    for outcome in outcomes:
        if outcome.reason and outcome.reason not in known:
            words = "" if outcome.raised is None else f": {outcome.raised.error}"
            log.warning("an evaluation failed, candidate %d, with %s%s", outcome.id, outcome.reason, hidden(words))

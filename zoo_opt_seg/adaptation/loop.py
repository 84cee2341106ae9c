"""The loop of an adaptation: ask, evaluate, write down, tell; validate now and then; log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.core.batch import Candidate
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.core.outcome import Outcome, failed, succeeded
from zoo_opt.methods import GradientMethod, Method
from zoo_opt.methods.cma.runs import ESState
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt.resume import KeptRun
from zoo_opt.support.progress import ShowProgress
from zoo_opt_seg.adaptation.history import mean
from zoo_opt_seg.adaptation.log import RunLog
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.adaptation.retrying import down, down_after
from zoo_opt_seg.adaptation.validation import Validator
from zoo_opt_seg.blackbox.protocol import BlackBoxGone
from zoo_opt_seg.measures.losses import LossError


@dataclass(eq=False)
class TrainingLoop:
    """Minimises the objective, one candidate at a time.

    What a kill leaves behind: a candidate's loss is in the run's journal before it is told, and an iterate is
    validated before the next candidate is asked for. So the optimizer that is brought up to date by its journal stands
    where the killed one stood, and what it does next is what that one would have done. A step's line is logged before
    its last loss is journalled, so that no closed step lacks its line; a line too many is taken away on resuming.

    Parameters
    ----------
    run : KeptRun
        Open, with the optimizer.
    objective : Objective
        What is minimised.
    validator : Validator
    validations : list of int
        Evaluations after which the mean is validated.
    budget : int
        Calls that may be made in all, as many as the evaluations and validations take.
    patience : int
        Failed evaluations in a row after which the black box counts as down.
    log : RunLog

    Attributes
    ----------
    opt : Optimizer
        That of the run.
    history : History
        The validation points.
    """

    run: KeptRun
    objective: Objective
    validator: Validator
    validations: list[int]
    budget: int
    patience: int
    log: RunLog

    def __post_init__(self) -> None:
        self.opt, self.history = self.run.opt, self.validator.history
        self._failures_in_a_row = 0
        self._error: Exception | None = None
        self._loss = self._dice = math.nan  # for the progress bar

    @property
    def calls(self) -> int:
        """Calls made so far, whatever was repeated after a kill counted once."""
        return self.opt.nfev * self.objective.calls + self.history.calls

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self.budget - self.calls

    def ended(self) -> dict[str, object]:
        """Return why there is no next step, nothing while there is one.

        Calls that validation spent in vain are missing for steps: what is left to validate is kept free.
        """
        opt, history = self.opt, self.history
        reasons: dict[str, object] = dict(opt.stop())
        missing = -(-history.lost // self.objective.calls)
        if not reasons and missing and not opt.told:
            left = self.validations[-1] - missing - opt.nfev
            if opt.method.size(opt.state) > left:
                reasons["budget"] = f"{history.lost} calls of validations that failed"
        last = len(self.validations) - 1
        if reasons and self.validations and not history.done(last) and history.price(last) > self.left:
            reasons["validation"] = "the last mean was not judged, as validations that failed left no calls for it"
        return reasons

    def go_on(self, update: ShowProgress) -> None:
        """Ask, evaluate and tell until the budget or the method ends the run.

        Raises
        ------
        BlackBoxDown
            If the black box keeps failing, or is out of service for too long.
        Refused
            If it refuses.
        """
        self.objective.minibatch(self.opt.nit)  # what cannot be asked is said before the first question
        while True:
            self._validate()
            self._show(update)
            if self.ended():
                return
            self._step(update)

    def _show(self, update: ShowProgress) -> None:
        update(self.calls, {"loss {:.4f}": self._loss, "validation Dice {:.3f}": self._dice})

    def _validate(self) -> None:
        """Validate the mean if that is due, has not been done, and can be paid for."""
        opt, history = self.opt, self.history
        if not self.validations or opt.told:  # the rest of a step that was cut off comes first
            return
        last = len(self.validations) - 1
        number = last if self.ended() else max(k for k, nfev in enumerate(self.validations) if nfev <= opt.nfev)
        if not history.done(number):
            if history.price(number) > self.left:  # after validations that failed, the last one may not be
                return
            point = self.validator.validate(number, opt.nfev, opt.mean)
            self.log.add(point.line(self.calls))
        self._dice = mean(history.points[number].dice)

    def _step(self, update: ShowProgress) -> None:
        """Evaluate what is open of a step, or the next one."""
        opt = self.opt
        batch = opt.ask()
        losses, size = list(opt.told.values()), step_size(opt.method, opt.state, batch.step)
        for i in range(len(batch)):
            outcome = self._evaluate(batch[i])
            losses.append(outcome.loss)
            self._loss = mean(losses)
            if i == len(batch) - 1:
                line = {"kind": "step", "step": batch.step, "nfev": opt.nfev + 1}
                line |= {"calls": self.calls + self.objective.calls, **spread(losses), **size}
                self.log.add(line | {"seconds": round(self.log.seconds, 3)})
            self.run.tell([outcome])
            self._show(update)
            if self._failures_in_a_row >= self.patience:
                last = "NaN" if self._error is None else f"{type(self._error).__name__}: {self._error}"
                raise down_after(self._failures_in_a_row, last) from self._error

    def _evaluate(self, candidate: Candidate) -> Outcome:
        """Return what a candidate gave; a failure counts towards those in a row unless the candidate was at fault.

        An evaluation that is not served, or refused, ends the loop before anything is told of it.
        """
        self.objective.minibatch(candidate.step)  # what cannot be drawn is no failure of the black box
        self._error = None
        try:
            outcome = succeeded(candidate.id, float(self.objective(candidate.x, candidate.step)))
        except (NotServed, BlackBoxGone) as error:
            raise down(error) from error
        except (Refused, LossError):
            raise
        except Exception as error:
            self._error = error
            outcome = failed(candidate.id, error)
        if not math.isnan(outcome.loss):
            self._failures_in_a_row = 0
        elif np.isfinite(candidate.x.astype(np.float32)).all():
            self._failures_in_a_row += 1
        return outcome


def spread(losses: Sequence[float]) -> dict[str, float]:
    """Return the mean and standard deviation of a step's losses, and how many failed."""
    good = [loss for loss in losses if math.isfinite(loss)]
    center = mean(good)
    deviation = math.sqrt(mean([(loss - center) ** 2 for loss in good])) if good else math.nan
    return {"loss": center, "spread": deviation, "failed": sum(map(math.isnan, losses))}


def step_size(method: Method, state: Any, step: int) -> dict[str, float]:
    """Return the step size that a step is placed with, where the method has one."""
    if isinstance(method, SeveralStarts):
        return {} if state.left else step_size(method.method, state.inner, step - len(state.told))
    if isinstance(state, ESState):
        return {"sigma": state.distribution.sigma}
    if not isinstance(method, GradientMethod):
        return {}
    gain = method.kit.gain(state, step)
    return {"lr": float(gain.lr), "c": float(gain.c)}

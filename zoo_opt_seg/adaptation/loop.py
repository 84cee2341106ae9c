"""The loop of an adaptation: ask, evaluate, write down, tell; validate at marks; log."""

from __future__ import annotations

import math
import time

import numpy as np

from zoo_opt.core.batch import Candidate
from zoo_opt.core.outcome import Outcome, failed, succeeded
from zoo_opt.methods import GradientMethod
from zoo_opt.optimizer import Optimizer
from zoo_opt.resume import KeptRun
from zoo_opt.support.progress import Update
from zoo_opt_seg.adaptation.folder import Line, RunFolder, json_line, read_lines, write_lines
from zoo_opt_seg.adaptation.marks import BlackBoxDown, Marks, mean
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.blackbox.protocol import BlackBoxGone
from zoo_opt_seg.blackbox.wrappers import BudgetExhausted
from zoo_opt_seg.measures.losses import LossError


class Driver:
    """Drives an optimizer over an objective, one candidate at a time.

    What a kill leaves behind: a candidate's loss is in the recorder's journal before it is told, and a mark is judged
    before the next candidate is asked for. So the optimizer that is brought up to date by its journal stands where the
    killed one stood, and what it does next is what that one would have done. A step's line is logged just before its
    last loss is journalled, so that no closed step lacks its line; a line too many is taken away on resuming.

    Parameters
    ----------
    recorder : KeptRun
        Open, with the optimizer.
    objective : Objective
        What is minimised.
    marks : Marks
        Where iterates are judged.
    due : list of int
        Evaluations after which the marks are due, see `thresholds`.
    budget : int
        Calls that may be made in all, as many as the evaluations and marks take.
    patience : int
        Failed evaluations in a row after which the black box counts as down.
    folder : RunFolder or None
        Where the log is.
    """

    def __init__(
        self,
        recorder: KeptRun,
        objective: Objective,
        marks: Marks,
        due: list[int],
        budget: int,
        patience: int,
        folder: RunFolder | None,
    ) -> None:
        self._recorder, self._objective, self._marks = recorder, objective, marks
        self._due, self._budget, self._patience, self._folder = due, budget, patience, folder
        self._batch = objective.calls
        self._in_a_row = 0
        self._error: Exception | None = None
        self._loss = self._dice = math.nan  # for the progress bar
        self._before = 0.0
        if folder is not None:
            self._before = self._mend_log(folder)
        self._began = time.monotonic()

    @property
    def opt(self) -> Optimizer:
        """The optimizer."""
        return self._recorder.opt

    @property
    def calls(self) -> int:
        """Calls made so far, whatever was repeated after a kill counted once."""
        return self.opt.nfev * self._batch + self._marks.calls

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self._budget - self.calls

    @property
    def seconds(self) -> float:
        """Seconds so far, those before an interruption included."""
        return self._before + time.monotonic() - self._began

    def ended(self) -> dict[str, object]:
        """Return why there is no next step, nothing while there is one.

        Calls that validation spent in vain are missing for steps: what is left to validate is kept free.
        """
        opt = self.opt
        reasons: dict[str, object] = dict(opt.stop())
        missing = -(-self._marks.lost // self._batch)
        if not reasons and missing and not self.opt.told:
            left = self._due[-1] - missing - opt.nfev
            if opt.method.size(opt.state) > left:
                reasons["budget"] = f"{self._marks.lost} calls of validations that failed"
        last = len(self._due) - 1
        if reasons and self._due and not self._marks.done(last) and self._marks.price(last) > self.left:
            reasons["validation"] = "the last mean was not judged, as validations that failed left no calls for it"
        return reasons

    def run(self, update: Update) -> None:
        """Go on until the budget or the method ends the run.

        Raises
        ------
        BlackBoxDown
            If the black box keeps failing.
        """
        while True:
            self._validate()
            update(self.calls, {"loss {:.4f}": self._loss, "validation Dice {:.3f}": self._dice})
            if self.ended():
                return
            self._step(update)

    # ------------------------------------------------------------------------------------------------ validation
    def _validate(self) -> None:
        """Judge the iterate if a mark is due, has not been judged, and can be paid for."""
        opt = self.opt
        if not self._due or opt.told:  # the rest of a step that was cut off comes first
            return
        last = len(self._due) - 1
        number = last if self.ended() else max(k for k, nfev in enumerate(self._due) if nfev <= opt.nfev)
        if not self._marks.done(number):
            if self._marks.price(number) > self.left:  # after validations that failed, the last one may not be
                return
            mark = self._marks.judge(number, opt.nfev, opt.mean)
            self._log(mark.line(self.calls))
        self._dice = mean(self._marks.marks[number].dice)

    # ------------------------------------------------------------------------------------------------------ steps
    def _step(self, update: Update) -> None:
        """Evaluate what is open of a step, or the next one."""
        opt = self.opt
        batch = opt.ask()
        losses, gains = list(opt.told.values()), gains_of(opt, batch.step)
        for i in range(len(batch)):
            outcome = self._evaluate(batch[i])
            losses.append(outcome.loss)
            self._loss = mean(losses)
            if i == len(batch) - 1:
                self._log(self._line(batch.step, losses, gains))
            self._recorder.tell([outcome])
            update(self.calls, {"loss {:.4f}": self._loss, "validation Dice {:.3f}": self._dice})
            if self._in_a_row >= self._patience:
                raise BlackBoxDown(
                    f"the black box failed {self._in_a_row} times in a row, the last time with {self._said()}"
                ) from self._error

    def _evaluate(self, candidate: Candidate) -> Outcome:
        """Return what a candidate gave; a failure counts towards those in a row unless the candidate was at fault."""
        self._objective.minibatch(candidate.step)  # what cannot be drawn is no failure of the black box
        self._error = None
        try:
            outcome = succeeded(candidate.id, float(self._objective(candidate.x, candidate.step)))
        except (BudgetExhausted, LossError):
            raise
        except BlackBoxGone as error:
            raise BlackBoxDown(str(error)) from error
        except Exception as error:
            self._error = error
            outcome = failed(candidate.id, error)
        if not math.isnan(outcome.loss):
            self._in_a_row = 0
        elif np.isfinite(candidate.x.astype(np.float32)).all():
            self._in_a_row += 1
        return outcome

    def _said(self) -> str:
        return "NaN" if self._error is None else f"{type(self._error).__name__}: {self._error}"

    # -------------------------------------------------------------------------------------------------------- log
    def mark_lines(self) -> list[Line]:
        """Return the lines of the marks that have been judged."""
        lines, spent = [], 0
        for number, mark in sorted(self._marks.marks.items()):
            spent += self._marks.views * (len(mark.dice) + mark.lost)
            if self._marks.done(number):
                lines.append(mark.line(mark.nfev * self._batch + spent))
        return lines

    def _line(self, step: int, losses: list[float], gains: dict[str, float]) -> Line:
        """Return a step's line; it is written before the last loss is told."""
        good = [loss for loss in losses if math.isfinite(loss)]
        center = mean(good)
        spread = math.sqrt(mean([(loss - center) ** 2 for loss in good])) if good else math.nan
        return {
            "kind": "step",
            "step": step,
            "nfev": self.opt.nfev + 1,
            "calls": self.calls + self._batch,
            "loss": center,
            "spread": spread,
            "failed": sum(map(math.isnan, losses)),
            **gains,
            "seconds": round(self.seconds, 3),
        }

    def _log(self, line: Line) -> None:
        if self._folder is not None:
            with self._folder.log.open("ab") as file:
                file.write(json_line(line))

    def _mend_log(self, folder: RunFolder) -> float:
        """Bring the log to where the optimizer and the marks are; return the seconds it tells of."""
        steps = [x for x in read_lines(folder.log) if x.get("kind") == "step" and x["step"] < self.opt.nit]
        write_lines(folder.log, sorted([*steps, *self.mark_lines()], key=lambda line: line["calls"]))
        return max((line["seconds"] for line in steps), default=0.0)


def gains_of(opt: Optimizer, step: int) -> dict[str, float]:
    """Return the step size that a step is placed with, where the method has one."""
    sigma = getattr(opt.state, "sigma", None)
    if isinstance(sigma, float):
        return {"sigma": sigma}
    if not isinstance(opt.method, GradientMethod):
        return {}
    gain = opt.method.kit.gain(opt.state, step)
    return {"lr": float(gain.lr), "c": float(gain.c)}

"""Ours as theirs: a zoo_opt method as a sampler of Optuna."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.batch import Candidate
from zoo_opt.methods import Method, make
from zoo_opt.optimizer import Optimizer
from zoo_opt.support.loading import require

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_LOCK = threading.Lock()  # of no sampler's own, which would keep studies from being pickled
_KEY = "zoo_opt:candidate"  # system attribute of a trial: which optimizer's which candidate it evaluates

require("optuna", "optuna", extra="optuna")

from optuna.distributions import FloatDistribution, IntDistribution  # noqa: E402
from optuna.samplers import BaseSampler, RandomSampler  # noqa: E402
from optuna.search_space import IntersectionSearchSpace  # noqa: E402
from optuna.study import StudyDirection  # noqa: E402
from optuna.trial import TrialState  # noqa: E402


class ZooSampler(BaseSampler):
    """Optuna's trials as the candidates of a zoo_opt method.

    The search space is that of the trials so far, as for Optuna's own CMA-ES: the first trials are drawn at random, as
    are categorical parameters and those that not every trial has. Floats and integers are scaled to [0, 1], their
    logarithms if ``log=True``; the method is kept in this box, unless it was given bounds of its own; steps and
    integers are rounded. The method starts at the best of the first trials, and anew when the search space changes. A
    pruned or failed trial is told as failed. Trials may run at the same time; if a whole step is out, further trials
    are drawn at random.

    The sampler lives in one process; workers in several processes each have their own method.

    Parameters
    ----------
    method : Method or str
        What proposes the candidates, or its registered name. Its steps are in units of the scaled box of side 1.
    seed : int or None
        Source of all draws.
    startup_trials : int
        Trials drawn at random before the method starts, at least 1.

    Raises
    ------
    ValueError
        If ``startup_trials`` is below 1; from the study, if it has several objectives.

    Examples
    --------
    >>> import optuna  # doctest: +SKIP
    >>> from zoo_opt.interop.optuna import ZooSampler  # doctest: +SKIP
    >>> study = optuna.create_study(sampler=ZooSampler("cma-es", seed=0))  # doctest: +SKIP
    """

    def __init__(self, method: Method | str = "cma-es", *, seed: int | None = None, startup_trials: int = 1) -> None:
        if startup_trials < 1:
            raise ValueError(f"startup_trials must be 1 or more, got {startup_trials!r}")
        self.method = make(method) if isinstance(method, str) else method
        self._rng = np.random.default_rng(seed)
        self._startup = startup_trials
        self._independent = RandomSampler(seed=int(self._rng.integers(2**31)))
        self._space = IntersectionSearchSpace()
        self._names: tuple[str, ...] = ()
        self._opt: Optimizer | None = None
        self._started = 0  # optimizers so far

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Floats and integers of more than one value that all finished trials have."""
        return {
            name: distribution
            for name, distribution in self._space.calculate(study).items()
            if isinstance(distribution, FloatDistribution | IntDistribution) and not distribution.single()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate's parameters; none while the method has not started or its open step is all out."""
        if len(study.directions) > 1:
            raise ValueError(f"ZooSampler takes studies of one objective, got {len(study.directions)}")
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not search_space or len(done) < self._startup:
            return {}
        names = tuple(sorted(search_space))
        with _LOCK:
            if self._opt is None or names != self._names:
                self._names = names
                sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
                best = min(done, key=lambda t: sign * t.value if t.value is not None else np.inf)
                x0 = np.clip([_to_unit(search_space[name], best.params[name]) for name in names], 0.0, 1.0)
                bounds = (0.0, 1.0) if getattr(self.method, "bounds", None) is None else None
                self._opt = Optimizer(self.method, x0, bounds=bounds, rng=self._rng)
                self._started += 1
            batch, started = self._opt.ask(1), self._started
        if len(batch) == 0:
            return {}
        candidate: Candidate = batch[0]
        study._storage.set_trial_system_attr(trial._trial_id, _KEY, [started, candidate.id])
        return {
            name: _from_unit(search_space[name], u)
            for name, u in zip(names, np.clip(candidate.x, 0, 1).tolist(), strict=True)
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for the first trials and for what the method does not cover."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tell the trial's value, or that it failed."""
        started, identity = trial.system_attrs.get(_KEY, (0, 0))
        with _LOCK:
            opt = self._opt
            if opt is None or started != self._started or identity not in opt.pending:
                return
        if state != TrialState.COMPLETE or values is None:
            opt.tell_failed([identity], reason=state.name.lower())
            return
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        loss = sign * values[0]
        opt.tell([identity], [np.inf if loss == -np.inf else loss])

    def reseed_rng(self) -> None:
        """Optuna calls this in each worker that it copies the sampler to: the random draws then differ."""
        self._independent.reseed_rng()


def _log(distribution: Any) -> bool:
    return bool(distribution.log)


def _ends(distribution: Any) -> tuple[float, float]:
    """Ends of the scaled axis; half a unit beyond an integer's or a step's range, so that the ends get their share."""
    margin = 0.5 * float(distribution.step or 0)
    low, high = distribution.low - margin, distribution.high + margin
    return (float(np.log(low)), float(np.log(high))) if _log(distribution) else (float(low), float(high))


def _to_unit(distribution: BaseDistribution, value: float) -> float:
    """A parameter's value on the scaled axis."""
    low, high = _ends(distribution)
    return ((float(np.log(value)) if _log(distribution) else float(value)) - low) / (high - low)


def _from_unit(distribution: Any, u: float) -> float | int:
    """The parameter's value at `u` in [0, 1], rounded to its steps and within its range."""
    low, high = _ends(distribution)
    value = low + u * (high - low)
    value = float(np.exp(value)) if _log(distribution) else value
    if distribution.step:
        value = distribution.low + distribution.step * round((value - distribution.low) / distribution.step)
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else value

"""minimize: drives an Optimizer over an objective, in this thread or over an executor."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from zoo_opt.core.errors import NotServed, ObjectiveError, Refused, integer
from zoo_opt.core.outcome import Outcome
from zoo_opt.engines import Call, evaluate_one, in_flight, one_by_one, whole_steps
from zoo_opt.methods import Method
from zoo_opt.optimizer import Optimizer
from zoo_opt.outage import WAIT, check_wait
from zoo_opt.reporting import Notify, going_on, log, notifier, report_failures, summary
from zoo_opt.result import Result
from zoo_opt.resume import KeptRun
from zoo_opt.start import OfParams
from zoo_opt.support.progress import bar
from zoo_opt.support.secrets import hidden

if TYPE_CHECKING:
    from zoo_opt.typing import RNG

ENDED, BUDGET, CALLBACK, INTERRUPTED, NOTHING_FINITE, TARGET, TIMEOUT, PATIENCE, FAILURES, NOT_SERVED, REFUSED = range(
    11
)
_MESSAGES = (
    "the method has ended: {stop}",
    "the budget of evaluations is spent",
    "the callback raised StopIteration",
    "interrupted",
    "no evaluation gave a finite loss",
    "the target is reached",
    "the time is over",
    "so many evaluations in a row have not lowered the best loss",
    "all of the last evaluations have failed",
    "evaluations are not served any more: {error}",
    "evaluations are refused: {error}",
)
_BY_REASON = {"target": TARGET, "timeout": TIMEOUT, "patience": PATIENCE, "failures": FAILURES, "budget": BUDGET}

# A run none of whose first evaluations works ends with an error: so many, and one whole step. Chosen: with 70 % failing
# at random, twenty in a row at the start are one run in a thousand.
FIRST = 20


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    *,
    args: Sequence[Any] = (),
    method: Method | str = "auto",
    bounds: Any = None,
    x_scale: Any = None,
    budget: int | None = None,
    target: float | None = None,
    timeout: float | None = None,
    patience: int | None = None,
    rng: RNG = None,
    executor: Any = None,
    workers: int | None = None,
    lookahead: int = 0,
    unpack: bool = False,
    vectorized: bool = False,
    pass_step: bool = False,
    sem: bool = False,
    on_error: str = "fail",
    wait: float = WAIT,
    callback: Callable[..., Any] | None = None,
    progress: bool = False,
    verbose: bool | int = False,
    checkpoint: str | os.PathLike[str] | None = None,
    recommend: str = "best",
) -> Result:
    """Minimise ``fun`` by function values alone.

    To maximise, minimise the negative: ``res = minimize(lambda x: -f(x), x0)``, whose maximum is ``-res.fun``.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> loss`` for a (d,) array, which is read-only; with a `Space`, ``fun(params, *args)`` for a
        dict. The loss is a number or an array of one; NaN and None are failed evaluations, and so is what is no loss:
        -inf, a complex number, a text, a larger array.
    x0 : array_like of shape (d,), Space or SpacePoint
        Where to start; or the space of the parameters, or a point ``space.at(...)`` of it to start from. Several
        starts, an array (k, d) or a list of points: all are evaluated first, and the run is from the best.
    args : sequence, default ()
        Further arguments of ``fun``; an object that is no tuple is the only one, as with scipy.
    method : Method or str, default "auto"
        What proposes the candidates, or its registered name.
    bounds : None or bounds, optional
        Box that no candidate leaves, in any of the forms that `Optimizer` takes.
    x_scale : None, float or array_like of shape (d,), optional
        Typical sizes of the variables, see `Optimizer`.
    budget : int or None, optional
        Evaluations never to be exceeded. None: until the method ends by itself, or the callback or a limit ends it.
    target : float or None, optional
        Loss at which to stop.
    timeout : float or None, optional
        Seconds after which to stop; the calls that run then are waited for.
    patience : int or None, optional
        Stop after so many evaluations in a row that have not lowered the best loss. These three stop in the middle
        of a step too, so that with workers it depends on them which evaluations were made by then.
    rng : None, int, SeedSequence or Generator, optional
        Seed. The same seed gives the same result for any executor and number of workers.
    executor : object with ``submit(fn, *args) -> future``, optional
        Where evaluations run: ``concurrent.futures``, loky, or ``dask.distributed`` by
        ``client.get_executor(pure=False)``. None: in this thread.
    workers : int or None, optional
        Evaluations in flight at a time, at most those of the open steps. None: the executor's own number.
    lookahead : int, default 0
        Steps that may be placed before the ones before them are closed (gradient-estimate methods).
    unpack : bool, default False
        With a `Space`: call ``fun(**params)``. (A callback gets a dict in any case.)
    vectorized : bool, default False
        Call ``fun(X)`` with the (n, d) matrix of a step and expect n losses; not with an executor.
    pass_step : bool, default False
        Call ``fun(x, step=k)``: an objective can use one minibatch for all candidates of a step.
    sem : bool, default False
        Expect ``fun`` to return ``(loss, standard error)``, None or NaN for an error that is not known
        (``vectorized``: n losses and n standard errors). Methods that take noise into account use it, see
        `Optimizer.tell`.
    on_error : {"fail", "raise"}, default "fail"
        What an exception in ``fun``, or a value that is no loss, is: a failed evaluation, or the end of the run. With
        "raise" what came before is in the checkpoint, if there is one.
    wait : float, default 60
        Seconds that an outage is waited for, 0 or more, perhaps infinite. An evaluation that raises `NotServed` is no
        failed one: neither counted nor told, it is asked for again within 0.1 s, then within twice as long each time,
        30 s at most, or when its ``retry_after`` says. An outage ends with the next evaluation that is served; one that
        lasts longer than ``wait``, or a `Refused` at once, ends the run with its status and message, or is raised if
        nothing was evaluated before. With a checkpoint the same call then goes on, and ends as if it had never been.
        Errors of the connection count as outages of an objective in `as_service`.
    callback : callable, optional
        Called after each closed step, as by scipy: ``callback(intermediate_result=Result)`` if its parameter has this
        name, with the evaluations since the call before as ``intermediate_result.last``; else ``callback(x)`` with
        the current recommendation. ``StopIteration`` stops the run.
    progress : bool, default False
        Show a progress bar (needs ``rich``).
    verbose : bool or int, default False
        Print a line for each step, or for every so many, and first one where the run goes on from its
        checkpoint. The logger ``zoo_opt`` of ``logging`` has the start and end of a run (INFO), the first failure of
        each kind and each outage (WARNING) and each step (DEBUG).
    checkpoint : path-like, optional
        File to resume from if it is there, and to keep: every loss is on the disk before it is used, so that after a
        kill only the calls that were in flight are made again. The same call then resumes the run, and returns the
        result at once if the run was complete.
    recommend : {"best", "mean"}, default "best"
        Which point is returned: the best one told, or the final iterate, which costs one evaluation more within the
        budget and is the better choice under noise.

    Returns
    -------
    Result
        With x, fun, nfev, nit, success, status, message, history and more.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this form; the message names it.
    CheckpointError
        If the checkpoint cannot be read or is of another run.
    NotServed, Refused
        If nothing was evaluated before the service of the objective was out, or refused it; see ``wait``.
    ObjectiveError
        If the first evaluations, 20 of them and a whole step, all failed; its cause is what the first one raised. They
        are in the checkpoint, and the same call goes on from there.
    Exception
        Whatever the executor itself raises, such as that the objective cannot be pickled: it says nothing of a point.

    Examples
    --------
    >>> import zoo_opt as zo
    >>> res = zo.minimize(lambda x: float((x - 1) @ (x - 1)), [0.0, 0.0], budget=500, rng=0)
    >>> res.x.round(3).tolist()
    [1.0, 1.0]
    """
    _one_of("on_error", on_error, ("fail", "raise"))
    _one_of("recommend", recommend, ("best", "mean"))
    if not callable(fun):
        raise TypeError(f"fun must be callable, got {fun!r}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have a submit method, got {executor!r}")
    if vectorized and executor is not None:
        raise ValueError("vectorized must be False with an executor, which evaluates candidates one by one")
    if workers is not None and executor is None:
        raise ValueError(f"workers must be None without an executor, got {workers!r}")
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f"checkpoint must be a path or None, got {checkpoint!r}")
    wait = check_wait(wait)
    notify = notifier(callback, verbose)
    reserve = 1 if recommend == "mean" and budget is not None else 0
    if budget is not None:
        integer("budget", budget, 1 + reserve)
    limits: dict[str, Any] = {"target": target, "timeout": timeout, "patience": patience}
    opt = Optimizer(
        method,
        x0,
        bounds=bounds,
        x_scale=x_scale,
        rng=rng,
        budget=None if budget is None else budget - reserve,
        lookahead=lookahead,
        **limits,
    )
    unlimited = budget is None and callback is None and all(limit is None for limit in limits.values())
    if unlimited and not opt.method.ends:
        raise ValueError(
            f"budget must be given for {type(opt.method).__name__}, which does not end by itself, got None"
        )
    if unpack and vectorized:
        raise ValueError("unpack must be False with vectorized, where the objective gets a list of dicts")
    if opt.space is not None:
        if unpack and pass_step and "step" in opt.space.parameters:
            raise ValueError("pass_step must be False with unpack for a Space with a parameter named step")
        fun = OfParams(fun, opt.space, unpack, vectorized)
    elif unpack:
        raise ValueError("unpack must be False without a Space, whose parameters have names")
    call = Call(fun, pass_step, vectorized, sem, args if isinstance(args, tuple) else (args,))
    with KeptRun(opt, checkpoint, seeded=rng is not None) as kept:
        opt = kept.opt
        if kept.resumed is not None:
            said = going_on(kept.resumed, opt.nfev)
            log.info(said)
            if verbose:
                print(said)
        if vectorized:
            outcomes = whole_steps(opt, call, wait)
        elif executor is None:
            outcomes = one_by_one(opt, call, wait)
        else:
            outcomes = in_flight(opt, call, executor, workers, wait)
        final, unserved = None, None
        try:
            status = _drive(kept, outcomes, on_error, notify, progress)
            if recommend == "mean":
                final = kept.final(lambda: evaluate_one(opt, call, executor, wait))
        except KeyboardInterrupt:
            status = INTERRUPTED
            kept.interrupted()
        except (NotServed, Refused) as error:
            if not opt.nfev:
                raise
            status, unserved = (NOT_SERVED if isinstance(error, NotServed) else REFUSED), error
        if on_error == "raise" and final is not None and final.raised is not None:
            raise final.raised.error
        result = _result(opt, status, final, unserved)
        log.info("end of a run: %s; %d evaluations, loss %.9g", result.message, result.nfev, result.fun)
        return result


def _drive(kept: KeptRun, outcomes: Iterator[list[Outcome]], on_error: str, notify: Notify, progress: bool) -> int:
    """Tell outcomes as they come until there is a reason to stop; return the status."""
    opt = kept.opt
    made, first = 0, None  # evaluations of this call, and the first of them that failed
    log.info("start of a run: %s", opt)
    try:
        with bar("evaluations", "", opt.budget, progress, stderr=False) as update:
            update(opt.nfev)
            for arrived in outcomes:
                steps = opt.nit
                if lost := [outcome for outcome in arrived if outcome.reason]:
                    report_failures(lost, opt.failures)
                    first = first or lost[0]
                    raised = [outcome.raised.error for outcome in lost if outcome.raised]
                    if raised and on_error == "raise":
                        kept.tell([outcome for outcome in arrived if not outcome.raised])
                        raise raised[0]
                kept.tell(arrived)
                made += len(arrived)
                if first and opt.nfail == opt.nfev and made >= FIRST and opt.nit:
                    _give_up(opt, first)
                if progress:
                    update(opt.nfev, {"best {:.6g}": opt.best.loss})
                if opt.nit > steps and notify(opt):
                    return CALLBACK
    finally:
        outcomes.close()  # type: ignore[attr-defined]
    reasons = opt.stop()
    return next((status for reason, status in _BY_REASON.items() if reason in reasons), ENDED)


def _give_up(opt: Optimizer, first: Outcome) -> NoReturn:
    """Raise that nothing has worked, from what the first evaluation raised."""
    cause = None if first.raised is None else first.raised.error
    words = f"it gave {first.reason}" if cause is None else hidden(f"{first.reason}: {cause}")
    raise ObjectiveError(
        f"fun must give a loss for some x, but all of the first {opt.nfev} evaluations failed; {words}"
    ) from cause


def _result(opt: Optimizer, status: int, final: Outcome | None, unserved: Exception | None) -> Result:
    """Return the result; with ``final``, what the mean gave, the mean is the point."""
    result = summary(opt)
    failures, first_failures = opt.failures, opt.first_failures
    if final is not None:
        result.x, result.fun = opt.mean.copy(), final.loss
        if opt.space is not None:
            result.params = opt.space.decode(result.x)
        result.nfev += 1
        if final.reason:
            result.nfail += 1
            failures[final.reason] = failures.get(final.reason, 0) + 1
            if final.raised is not None:
                first_failures.setdefault(final.reason, final.raised.text)
    cut_off = INTERRUPTED, NOT_SERVED, REFUSED
    if not math.isfinite(result.fun) and status not in cut_off:
        status = NOTHING_FINITE
    result.success = status not in (*cut_off, NOTHING_FINITE, FAILURES)
    result.status = status
    result.message = _message(opt, status, failures, unserved)
    result.stop = opt.stop()
    result.believed = opt.believed
    result.failures = failures
    result.first_failures = first_failures
    result.history = opt.history
    return result


def _message(opt: Optimizer, status: int, failures: dict[str, int], error: Exception | None) -> str:
    """Return the status in words."""
    if status != NOTHING_FINITE:
        return _MESSAGES[status].format(stop=", ".join(opt.stop()), error=hidden(str(error)))
    if opt.nfev == 0:
        if "timeout" in opt.stop():
            return f"{_MESSAGES[TIMEOUT]} before any evaluation"
        return f"the budget of {opt.budget} evaluations allows no step of {opt.method.size(opt.state)}"
    if opt.best.x is not None:
        return "the evaluation of the final iterate failed"
    return f"{_MESSAGES[status]}: {failures or 'all were +inf'}"


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")

"""Optimizer: the ask/tell shell around a method, and the only object with state."""

from __future__ import annotations

import sys
import threading
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.arguments import as_ids, as_told, points_of
from zoo_opt.core.batch import Batch, Candidate
from zoo_opt.core.errors import CheckpointError, integer
from zoo_opt.core.keys import make_key
from zoo_opt.core.ledger import FAILED
from zoo_opt.core.limits import Limits
from zoo_opt.core.pipeline import Pipeline
from zoo_opt.core.tally import Tally
from zoo_opt.known import known_points
from zoo_opt.methods import Method
from zoo_opt.start import start_of
from zoo_opt.stored import Stored

if TYPE_CHECKING:
    from zoo_opt.core.ledger import OpenStep
    from zoo_opt.core.outcome import Outcome
    from zoo_opt.typing import RNG, Array


class Optimizer(Stored):
    """Minimise a black box by asking for candidates and telling their losses.

    Parameters
    ----------
    method : Method or str
        What proposes the candidates, or its registered name (see `METHODS`), which takes its defaults.
    x0 : array_like of shape (d,), Space or SpacePoint
        Where to start; copied. float32 is kept by the gradient-estimate methods, integers become float64. A `Space`, or
        a point `Space.at` of it: what is asked for has ``params``. Several, as an array (k, d) or a list of points: all
        are evaluated in the first step, and the run is from the best.
    bounds : None or bounds, optional
        For a method without its own: ``(low, high)``, a list of such pairs for each variable, or scipy's ``Bounds``;
        None or inf for no side, low == high for a variable that stays. No candidate leaves them.
    x_scale : None, float or array_like of shape (d,), optional
        Typical sizes of the variables, rounded to powers of 2: the method works in units of them.
    rng : None, int, SeedSequence or Generator, optional
        Seed (SPEC 7). A Generator is consumed once; None takes entropy. The same seed gives the same candidates, bit
        for bit, whatever the order and the parts in which losses are told.
    budget : int or None, optional
        Evaluations never to be exceeded. None: unlimited.
    target, timeout, patience : float, float, int, optional
        Further reasons of `stop`, see there.
    lookahead : int, default 0
        How many steps may be placed before the steps before them are closed (gradient-estimate methods only): step s
        is placed after update s - 1 - lookahead. The result depends on seed and lookahead, never on timing.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this form; the message names it.

    Examples
    --------
    >>> import zoo_opt as zo
    >>> opt = zo.Optimizer(zo.CMAES(sigma0=0.5), [1.0, 2.0], rng=0, budget=600)
    >>> while not opt.stop():
    ...     batch = opt.ask()
    ...     opt.tell(batch, [float(x @ x) for x in batch])
    >>> bool(opt.best.loss < 1e-9)
    True
    """

    def __init__(
        self,
        method: Method | str,
        x0: Any,
        *,
        bounds: Any = None,
        x_scale: Any = None,
        rng: RNG = None,
        budget: int | None = None,
        target: float | None = None,
        timeout: float | None = None,
        patience: int | None = None,
        lookahead: int = 0,
    ) -> None:
        integer("lookahead", lookahead, 0)
        self.budget = budget
        self._limits = Limits(target, timeout, patience)
        self._given, x, self._space = start_of(method, x0, bounds, x_scale)
        method = self._given.plan(x, self._budget)
        self._d = x.size
        self._key = make_key(rng)
        self._origin = f"{x.dtype.str} {zlib.adler32(x.data):08x} {zlib.crc32(x.data):08x}"
        self._pipeline = Pipeline(method, [method.init(x, self._key)], int(lookahead))
        self._lock = threading.RLock()
        self._tally = Tally()
        self._run = self._checksum()

    def ask(self, n: int | None = None) -> Batch:
        """Return candidates to evaluate.

        Parameters
        ----------
        n : int or None, optional
            None: every candidate of the open step that is not told; asking again gives the same ones. A number:
            lease up to ``n`` candidates that are not out yet, for workers that share a step.

        Returns
        -------
        Batch
            Candidates of one step. Empty if ``n`` is given and all are out, or if the budget allows no further step.
        """
        with self._lock:
            steps = self._pipeline.ledger.open
            if steps and not steps[0].left:
                self._pipeline.close()  # an update that Ctrl-C broke off is made now
            if n is None:
                batch = steps[0].hand_out(self._room()) if steps or self._place() else self._nothing()
            else:
                n = integer("n", n, 1)
                step = next((step for step in steps if step.waiting), None)
                most = min(n, self._room(apart=True)) if step else n
                batch = step.lease(most) if step else steps[-1].lease(n) if self._place() else self._nothing()
            batch._run, batch._space = self._run, self._space
            return batch

    def _nothing(self) -> Batch:
        return Batch(np.empty((0, self._d)), [], self._pipeline.next_step)

    def _place(self) -> bool:
        """Open the next step if budget and lookahead allow it."""
        return self._affordable() and self._pipeline.place()

    def _room(self, *, apart: bool = False) -> int:
        """Return how many candidates of the open steps the budget allows: not all, if it was lowered meanwhile.

        With ``apart``, beside those that are out.
        """
        if self._budget is None or self._pipeline.ledger.next_id <= self._budget:
            return sys.maxsize
        return max(0, self._budget - self._tally.nfev - (len(self.pending) if apart else 0))

    def _affordable(self) -> bool:
        """Return whether the budget has room for the next whole step."""
        steps = self._pipeline
        return self._budget is None or steps.ledger.next_id + steps.method.size(steps.newest) <= self._budget

    def tell(self, candidates: Batch | Candidate | int | Sequence[int], losses: Any, sem: Any = None) -> None:
        """Enter losses, in any order and in any parts. All is checked before anything changes.

        Parameters
        ----------
        candidates : Batch, Candidate, int or sequence of int
            What was evaluated: what `ask` returned, a part of it, or ids.
        losses : float or sequence of float
            One loss for each; a number for a single candidate. NaN and None are failed evaluations, +inf the worst
            possible loss.
        sem : None, float or sequence of float, optional
            Standard errors of the losses, where a loss is the mean of noisy ones: one for each, None where not known.
            Methods that take the noise into account use them, the others pass them by.

        Raises
        ------
        KeyError
            If an id is not of this optimizer.
        ValueError
            If a batch or a candidate is of another optimizer (of another method, seed or start, or with other points),
            was told before or stands twice, if the lengths differ, if a loss is -inf, or if a standard error is
            negative, infinite or NaN.
        TypeError
            If a loss or a standard error is not a real number, or if ids or numbers come without an order of their own
            (a set, a dict) or under labels (a pandas object), so that they could be paired wrongly.
        """
        ids, values, errors = as_told(candidates, losses, sem, self._run)
        self._enter(candidates, ids, values, "NaN or None", errors)

    def tell_failed(self, candidates: Batch | Candidate | int | Sequence[int], *, reason: str = "failed") -> None:
        """Enter failed evaluations: they count in ``nfev`` and never as a loss.

        Parameters
        ----------
        candidates : Batch, Candidate, int or sequence of int
            As in `tell`.
        reason : str, default "failed"
            Counted in ``failures``.
        """
        ids = as_ids(candidates, self._run)
        self._enter(candidates, ids, [FAILED] * len(ids), str(reason))

    def tell_known(self, X: Any, losses: Any) -> str:
        """Tell points that nobody asked for: an earlier run's, a guess. They count neither in ``nfev`` nor as history.

        Before the first `ask` the best of all of them takes the place of x0, for every method. Later the CMA-ES family
        injects the best of them, at most half a population, into its next generation (Hansen 2011, arXiv 1110.4181),
        and `Auto` goes on from a better point; others make no use of them, which is said by a warning. Failed and
        infinite losses are passed over. `best` may be one of these points; its id is then None.

        Parameters
        ----------
        X : array_like of shape (n, d) or (d,); with a Space, dicts too
            The points, inside the bounds.
        losses : sequence of float
            One loss for each.

        Returns
        -------
        str
            "start", "used" or "ignored": what became of them.

        Raises
        ------
        TypeError, ValueError
            If the points or the losses are not of this form; nothing has changed then.
        """
        with self._lock:
            points, values = known_points(X, losses, self.mean, self._given, self._space)
            if not values:
                return "ignored"
            k = int(np.argmin(values))
            done = self._pipeline.know(points, values, self._key, self.best.loss)
            self._tally.know(points[k].copy(), values[k])
        if done == "ignored" and self._pipeline.ledger.next_id:
            warnings.warn(f"{type(self.method).__name__} makes no use of known points after its start", stacklevel=2)
        return done

    def _enter(self, given: Any, ids: Sequence[int], losses: list[float], reason: str, sem: Any = None) -> None:
        with self._lock:
            ledger = self._pipeline.ledger
            parts = ledger.locate(ids)
            if not (type(given) is Batch and len(parts) == 1 and given.X is parts[0].X):  # what was handed out
                ledger.check_points(parts, ids, points_of(given))
            self._record(parts, ids, losses, reason, sem, self._tally.clock.now)

    def _record(
        self, parts: list[OpenStep], ids: Sequence[int], losses: list[float], reason: str, sem: Any, time: float
    ) -> None:
        pipeline, tally = self._pipeline, self._tally
        failed = tally.enter(parts, ids, losses, reason, pipeline.closed)
        if sem is not None:
            tally.sem_told = True
        pipeline.ledger.record(parts, ids, losses, sem, time, reason if failed else "")
        pipeline.close()

    def replay(self, outcomes: Iterable[Outcome], points: Mapping[int, Array] | None = None) -> None:
        """Enter what was told to an equal optimizer, in its order, and pass by what is told already.

        Raises
        ------
        CheckpointError
            If a candidate cannot have been asked for by an equal optimizer, or not at its point in ``points``, by id.
        """
        ledger, tally = self._pipeline.ledger, self._tally
        for id_, loss, reason, sem, raised, time in outcomes:
            with self._lock:
                while id_ >= ledger.next_id and self._place():
                    pass
                step = ledger.untold(id_)
                if step is not None:
                    if points is not None and not np.array_equal(step.X[id_ - step.first], points[id_]):
                        raise CheckpointError(f"candidate {id_} was at another point than this run asks for")
                    if raised is not None:
                        tally.explain(reason, raised)
                    when = time if time == time else tally.clock.now
                    self._record([step], [id_], [loss], reason, [sem] if sem == sem else None, when)
                elif id_ >= ledger.next_id:
                    raise CheckpointError(f"the journal has candidate {id_}, which this run cannot have asked for")

    def replan(self) -> bool:
        """Plan the method for the present budget, from where the run is; return False if it cannot."""
        method = self.method.replanned(self._budget)
        if method is None or not self._pipeline.replan(method):
            return False
        self._run = self._checksum()
        return True

    def stop(self) -> dict[str, Any]:
        """Return the reasons to stop, an empty dict (false) if there are none.

        Those of the method, such as ``tolfun``, and these:

        - ``budget``: the evaluations done and out have reached the budget, or the next whole step would exceed it;
        - ``target``: the best loss is at most ``target``;
        - ``timeout``: so many seconds have passed since the optimizer was made, or loaded;
        - ``patience``: so many evaluations in a row, failed ones included, have not lowered the best loss;
        - ``failures``: the last 100 evaluations at least, and 20 steps, have all failed since then.
        """
        with self._lock:
            reasons = {**self._pipeline.method.stop(self._pipeline.newest), **self.reached}
            if not self._affordable() and not (self._pipeline.ledger.waiting and self._room(apart=True)):
                reasons["budget"] = self.budget
            return reasons

    @property
    def budget(self) -> int | None:
        """The evaluations never to be exceeded; can be set, which does not change the method."""
        return self._budget

    @budget.setter
    def budget(self, budget: int | None) -> None:
        self._budget = None if budget is None else integer("budget", budget, 1)

    def __repr__(self) -> str:
        return f"Optimizer({self._pipeline.method!r}, d={self._d}, nfev={self.nfev}, best={self.best.loss!r})"

"""Optimizer: the ask/tell shell around a method, and the only object with state."""

from __future__ import annotations

import math
import numbers
import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo_opt import checkpoint
from zoo_opt.batch import Batch, Candidate
from zoo_opt.errors import CheckpointError, integer, vector
from zoo_opt.keys import make_key
from zoo_opt.ledger import FAILED, TOLD, OpenStep
from zoo_opt.methods import Method, make
from zoo_opt.typing import RNG, Array


class Best(NamedTuple):
    """The lowest loss told so far; of equal ones the lowest id. Biased downwards where the loss is noisy."""

    x: Array | None
    loss: float
    id: int | None


class Optimizer:
    """Minimise a black box by asking for candidates and telling their losses.

    Parameters
    ----------
    method : Method or str
        What proposes the candidates, or its registered name (see `METHODS`), which takes its defaults.
    x0 : array_like of shape (d,)
        Where to start; copied. float32 is kept by the gradient-estimate methods, integers become float64.
    rng : None, int, SeedSequence or Generator, optional
        Seed (SPEC 7). A Generator is consumed once; None takes entropy. The same seed gives the same candidates, bit
        for bit, whatever the order and the parts in which losses are told.
    budget : int or None, optional
        Evaluations never to be exceeded. None: unlimited.
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
        rng: RNG = None,
        budget: int | None = None,
        lookahead: int = 0,
    ) -> None:
        if isinstance(method, str):
            method = make(method)
        if not isinstance(method, Method):
            raise TypeError(f"method must be a Method or a registered name, got {method!r}")
        if integer("lookahead", lookahead, 0) and not method.lookahead:
            raise ValueError(f"lookahead must be 0 for {type(method).__name__}, which ranks whole steps, got {lookahead}")
        self._method = method
        self._budget = None if budget is None else integer("budget", budget, 1)
        self._lookahead = int(lookahead)
        x = vector("x0", x0)
        self._d = x.size
        # the states after the last lookahead + 1 updates: the newest to go on from, the oldest to place from
        self._states = deque([method.init(x, make_key(rng))], maxlen=lookahead + 1)
        self._open: list[OpenStep] = []
        self._closed = 0
        self._next_id = 0
        self._nfev = 0
        self._failures: dict[str, int] = {}
        self._best = Best(None, math.inf, None)

    # ---------------------------------------------------------------------------------------------- ask
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
        if n is None:
            if not self._open and not self._place():
                return self._nothing()
            return self._open[0].hand_out()
        n = integer("n", n, 1)
        for step in self._open:
            if step.waiting:
                return step.lease(n)
        return self._open[-1].lease(n) if self._place() else self._nothing()

    def _place(self) -> bool:
        """Open the next step if lookahead and budget allow it."""
        if len(self._open) > self._lookahead or not self._affordable():
            return False
        self._open.append(self._opened(self._closed + len(self._open), self._next_id))
        self._next_id += len(self._open[-1].status)
        return True

    def _opened(self, number: int, first: int) -> OpenStep:
        """Return step ``number``, placed from the state after update ``number`` - 1 - lookahead."""
        newest = len(self._states) - 1
        state = self._states[max(0, newest - (self._closed - max(0, number - self._lookahead)))]
        queries = self._method.propose(state, number)
        return OpenStep(number, first, queries, self._method.points(state, queries))

    def _affordable(self) -> bool:
        """Return whether the budget has room for the next whole step."""
        return self._budget is None or self._next_id + self._method.size(self._states[-1]) <= self._budget

    def _nothing(self) -> Batch:
        return Batch(np.empty((0, self._d)), [], self._closed + len(self._open))

    # --------------------------------------------------------------------------------------------- tell
    def tell(self, candidates: Batch | Candidate | int | Sequence[int], losses: Any) -> None:
        """Enter losses, in any order and in any parts. All is checked before anything changes.

        Parameters
        ----------
        candidates : Batch, Candidate, int or sequence of int
            What was evaluated: what `ask` returned, a part of it, or ids.
        losses : float or sequence of float
            One loss for each; a number for a single candidate. NaN and None are failed evaluations, +inf the worst
            possible loss.

        Raises
        ------
        KeyError
            If an id is not of this optimizer.
        ValueError
            If a candidate was told before or stands twice, if the lengths differ, or if a loss is -inf.
        TypeError
            If a loss is not a real number.
        """
        ids = _ids(candidates)
        values = _losses(losses, len(ids), isinstance(candidates, (Candidate, numbers.Integral)))
        self._enter(ids, values, "told as NaN or None")

    def tell_failed(self, candidates: Batch | Candidate | int | Sequence[int], *, reason: str = "failed") -> None:
        """Enter failed evaluations: they count in ``nfev`` and never as a loss.

        Parameters
        ----------
        candidates : Batch, Candidate, int or sequence of int
            As in `tell`.
        reason : str, default "failed"
            Counted in ``failures``.
        """
        ids = _ids(candidates)
        self._enter(ids, [FAILED] * len(ids), str(reason))

    def _enter(self, ids: Sequence[int], losses: list[float], reason: str) -> None:
        parts = self._locate(ids)
        for loss in losses:
            if loss != loss:
                self._failures[reason] = self._failures.get(reason, 0) + 1
        self._nfev += len(ids)
        if len(parts) == 1:
            self._record(parts[0], ids, losses)
        else:
            for step in parts:
                mine = [(i, loss) for i, loss in zip(ids, losses, strict=True) if 0 <= i - step.first < len(step.status)]
                self._record(step, [i for i, _ in mine], [loss for _, loss in mine])
        while self._open and not self._open[0].left:
            step = self._open.pop(0)
            self._states.append(self._method.update(self._states[-1], step.queries, step.X, step.losses))
            self._closed += 1

    def _record(self, step: OpenStep, ids: Sequence[int], losses: list[float]) -> None:
        step.record(ids, losses)
        best, best_id = self._best.loss, self._best.id
        for id_, loss in zip(ids, losses, strict=True):
            if loss < best or (loss == best and best_id is not None and id_ < best_id):
                best, best_id = loss, id_
        if best_id != self._best.id and best_id is not None:
            x = step.X[best_id - step.first].copy()
            x.flags.writeable = False
            self._best = Best(x, best, best_id)

    def _locate(self, ids: Sequence[int]) -> list[OpenStep]:
        """Return the open steps that ``ids`` belong to, or raise; nothing is changed."""
        if len(self._open) == 1 and isinstance(ids, range):
            step = self._open[0]  # the common case: a batch of the only open step, none of it told
            if ids.start >= step.first and ids.stop <= self._next_id and step.left == len(step.status):
                return [step]
        if len(set(ids)) != len(ids):
            raise ValueError(f"each candidate can be told once, got ids {list(ids)}")
        parts: dict[int, OpenStep] = {}
        for id_ in ids:
            if not 0 <= id_ < self._next_id:
                raise KeyError(f"unknown candidate id {id_}: ids so far are 0 to {self._next_id - 1}")
            for step in self._open:
                i = id_ - step.first
                if 0 <= i < len(step.status):
                    break
            else:
                raise ValueError(f"candidate {id_} was told before: its step is closed")
            if step.status[i] == TOLD:
                raise ValueError(f"candidate {id_} was told before")
            parts[step.number] = step
        return list(parts.values())

    # ----------------------------------------------------------------------------------------- read-outs
    def stop(self) -> dict[str, Any]:
        """Return the reasons to stop, an empty dict (false) if there are none.

        ``{"budget": n}`` when the evaluations done and out have reached the budget, or the next whole step would
        exceed it; the method's own reasons, such as ``tolfun``, otherwise.
        """
        reasons = self._method.stop(self._states[-1])
        if self._budget is not None and not self._affordable() and not any(step.waiting for step in self._open):
            reasons["budget"] = self._budget
        return reasons

    @property
    def best(self) -> Best:
        """The best point told: ``best.x``, ``best.loss``, ``best.id``; x and id are None before the first."""
        return self._best

    @property
    def mean(self) -> Array:
        """The current iterate (d,), read-only: it changes only when a step closes."""
        view = self._method.mean(self._states[-1]).view()
        view.flags.writeable = False
        return view

    @property
    def nfev(self) -> int:
        """Evaluations told, failed ones included."""
        return self._nfev

    @property
    def nfail(self) -> int:
        """Failed evaluations."""
        return sum(self._failures.values())

    @property
    def failures(self) -> dict[str, int]:
        """Failed evaluations by reason."""
        return dict(self._failures)

    @property
    def nit(self) -> int:
        """Steps closed."""
        return self._closed

    @property
    def pending(self) -> list[int]:
        """Ids of the candidates that are out: asked for and not told."""
        return [id_ for step in self._open for id_ in step.out()]

    @property
    def budget(self) -> int | None:
        """The evaluations never to be exceeded."""
        return self._budget

    @property
    def method(self) -> Method:
        """The method."""
        return self._method

    @property
    def state(self) -> Any:
        """The method's state after the last closed step."""
        return self._states[-1]

    def __repr__(self) -> str:
        return f"Optimizer({self._method!r}, d={self._d}, nfev={self._nfev}, best={self._best.loss!r})"

    # ------------------------------------------------------------------------------------------ save, load
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, atomically: `load` goes on exactly from here, half-told steps included.

        Parameters
        ----------
        path : path-like
            File to write. A file that is there stays whole until the new one is on the disk.

        Raises
        ------
        TypeError
            If a hyper-parameter is not a number, string, tuple or dataclass of zoo_opt (a lambda as a schedule, say).
        """
        steps = [(step.number, step.first, step.status, step.losses) for step in self._open]
        checkpoint.write(
            path,
            {
                "method": self._method,
                "budget": self._budget,
                "lookahead": self._lookahead,
                "d": self._d,
                "states": list(self._states),
                "open": [
                    {"number": number, "first": first, "told": [s == TOLD for s in status], "losses": losses}
                    for number, first, status, losses in steps
                ],
                "closed": self._closed,
                "next_id": self._next_id,
                "nfev": self._nfev,
                "failures": self._failures,
                "best": list(self._best),
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, types: Iterable[type] = ()) -> Optimizer:
        """Return the optimizer that was saved at ``path``. Candidates that were out are free to be asked for again.

        Parameters
        ----------
        path : path-like
            A file written by `save`.
        types : iterable of dataclasses, optional
            Classes of your own that the method, its schedules or its state are made of.

        Raises
        ------
        CheckpointError
            If the file is corrupt, truncated, of a newer format, or names a class that is not known.
        OSError
            If the file cannot be read.
        """
        data = checkpoint.read(path, types)
        try:
            return cls._restored(data)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(f"{os.fspath(path)} is not a checkpoint of an Optimizer: {error}") from error

    @classmethod
    def _restored(cls, data: dict[str, Any]) -> Optimizer:
        self = cls.__new__(cls)
        self._method = data["method"]
        self._budget = data["budget"]
        self._lookahead = data["lookahead"]
        self._d = data["d"]
        self._states = deque(data["states"], maxlen=self._lookahead + 1)
        self._closed = data["closed"]
        self._next_id = data["next_id"]
        self._nfev = data["nfev"]
        self._failures = data["failures"]
        self._best = Best(*data["best"])
        self._open = []
        for saved in data["open"]:
            step = self._opened(saved["number"], saved["first"])
            told = [step.first + i for i, is_told in enumerate(saved["told"]) if is_told]
            step.record(told, [saved["losses"][id_ - step.first] for id_ in told])
            self._open.append(step)
        return self


def _ids(candidates: Any) -> Sequence[int]:
    """Return the ids that ``candidates`` names."""
    if isinstance(candidates, Batch):
        return candidates._ids
    if isinstance(candidates, Candidate):
        return [candidates.id]
    if isinstance(candidates, (bool, str)):
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}")
    if isinstance(candidates, numbers.Integral):
        return [int(candidates)]
    try:
        items = list(candidates)
    except TypeError:
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}") from None
    ids = [item.id if isinstance(item, Candidate) else item for item in items]
    for id_ in ids:
        if isinstance(id_, bool) or not isinstance(id_, numbers.Integral):
            raise TypeError(f"candidates must be a Batch, a Candidate or ids, got an element {id_!r}")
    return [int(id_) for id_ in ids]


def _losses(losses: Any, n: int, single: bool) -> list[float]:
    """Return ``n`` floats, NaN for failures, or raise."""
    if single and (losses is None or np.ndim(losses) == 0):
        losses = (losses,)
    try:
        values = losses.tolist() if isinstance(losses, np.ndarray) else list(losses)
    except TypeError:
        raise TypeError(f"losses must be a sequence of {n} numbers, got {losses!r}") from None
    if len(values) != n:
        raise ValueError(f"losses must be {n} numbers, one for each candidate, got {len(values)}")
    return [value if type(value) is float and value > -math.inf else _loss(value) for value in values]


def _loss(value: Any) -> float:
    """Return a loss as a float, or raise."""
    if value is None:
        return FAILED
    try:
        if isinstance(value, (str, bytes, complex, list, tuple)):
            raise TypeError
        loss = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"losses must be real numbers, got {value!r} of type {type(value).__name__}") from None
    if loss == -math.inf:
        raise ValueError("losses must not be -inf, which no further loss could beat")
    return loss

"""The exchange about one image: its requests sent one by one, the paid ones in the ledger before and after."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo_opt.core.errors import CheckpointError, NotServed, Refused
from zoo_opt_seg.blackbox.protocol import Array, BlackBoxError, Unanswerable, check_answer
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.books import ANSWERED, FAILED, LOST, REFUSED, UNSENT, UNSERVED
from zoo_opt_seg.remote.exchange import Adapter, Exchange, Reply, Request, presentable
from zoo_opt_seg.remote.ledger import Attempt, Ledger
from zoo_opt_seg.remote.transport import Lost, NotSent, Transport

_APPEARS, _AGAIN = 10.0, 1.0  # seconds that a job may take to be known where it is asked for, and between two looks


class Stopped(NotServed):
    """The box is to end; nothing was sent."""


class Exchanging:
    """The exchange about one image, each of its paid requests in the ledger.

    Parameters
    ----------
    adapter, transport, ledger
    question : str
    total : float
        Seconds that it may take.
    """

    def __init__(self, adapter: Adapter, transport: Transport, ledger: Ledger, question: str, total: float) -> None:
        self._adapter, self._transport, self._ledger, self._question = adapter, transport, ledger, question
        self._total, self._until = total, math.inf
        self._attempt: Attempt | None = None
        self._reply: Reply | None = None
        self._images = 1  # that the next paid request is about
        self._job = self._resumed = ledger.job(question)
        self._appears = -math.inf  # until when a job that has begun may be unknown

    def __call__(
        self,
        image: Array,
        prompts: Prompts,
        places: threading.BoundedSemaphore,
        admit: Callable[[], None],
        keep: Callable[[Array], None],
    ) -> Array:
        """Return the mask, float32 or bool, checked.

        Parameters
        ----------
        image, prompts
        places : semaphore
            Taken from the first request to the last reply.
        admit : callable
            Raises where it is not to be sent any more.
        keep : callable
            Given the mask, before the ledger says that it came: so a kill loses none that it says so of.
        """
        exchange = self._adapter.question(image, prompts, self._job)
        try:
            request = next(exchange)
            with places:
                admit()
                mask = self._asked(exchange, request)
            mask = self._checked(mask, image.shape[:2])
            keep(mask)
        except Exception as error:
            if isinstance(error, (BlackBoxError, NotServed, Refused)):
                error.args = (presentable(error, 1000),)
            self._end(_how(error), str(error))
            if not isinstance(error, (NotServed, Refused)):  # else a job goes on
                self._forget_job()
            raise
        finally:
            exchange.close()
        self._end(ANSWERED)
        self._forget_job()
        return mask

    def _asked(self, exchange: Exchange, request: Request) -> Any:
        """Return what the exchange does; the attempt whose reply was the last is open."""
        self._until = time.monotonic() + self._total
        came = False
        try:
            while True:
                if request.job and request.job != self._job:
                    self._job, self._appears = request.job, time.monotonic() + _APPEARS
                    self._ledger.keep_job(self._question, self._job)
                self._end(ANSWERED)  # what the request before began, once its job is known: a kill loses no job
                self._reply, came = self._replied(request), True
                try:
                    request = exchange.send(self._reply)
                except StopIteration as end:
                    return end.value
        except (BlackBoxError, NotServed, Refused, CheckpointError):
            raise
        except Exception as error:
            if not came:  # it is the question's
                raise
            who = self._adapter.name
            raise Unanswerable(f"the reply of {who} cannot be used: {type(error).__name__}: {error}") from error

    def _replied(self, request: Request) -> Reply:
        """Return the reply to a request, sent by the terms; its attempt, if it is paid, is open."""
        self._transport.pause(request.after, self._until)
        images = self._images if request.paid else 0
        self._transport.wait(images, self._until)
        self._reply = None
        if request.paid:
            self._attempt, self._images = self._ledger.begin(self._question, images), 0
        try:
            reply = self._transport.send(request, self._until)
        except Lost as error:
            if self._attempt is not None:
                self._end(LOST, str(error))
                self._ledger.check(self._question, str(error))
            raise
        if reply.status == 404 and not request.paid and time.monotonic() < self._appears:
            return self._replied(replace(request, after=_AGAIN))
        self._reply = reply
        try:
            self._transport.judge(request, reply)
        except Refused as error:
            if self._resumed and not request.paid and reply.status in (404, 410):  # the service has forgotten the job
                self._forget_job(lost=True)
                self._ledger.check(self._question)
                raise Lost(f"{error}: the job is gone, its answer never came") from error
            raise
        return reply

    def _forget_job(self, lost: bool = False) -> None:
        if self._job:
            self._ledger.keep_job(self._question, "", lost)
            self._job = ""

    def _end(self, how: str, why: str = "") -> None:
        if self._attempt is not None:
            status, size = (0, 0) if self._reply is None else (self._reply.status, len(self._reply.content))
            self._ledger.end(self._attempt, how, status, size, why)
            self._attempt = None

    def _checked(self, mask: Any, shape: tuple[int, ...]) -> Array:
        try:
            return check_answer(np.asarray(mask)[None], (1, *shape), f"the adapter of {self._adapter.name}")[0]
        except (TypeError, ValueError) as error:
            raise Unanswerable(str(error)) from None


def _how(error: Exception) -> str:
    """Return how an attempt ended that ended with this."""
    kinds = ((Stopped, UNSENT), (NotSent, UNSENT), (Lost, LOST), (NotServed, UNSERVED), (Refused, REFUSED))
    return next((how for kind, how in kinds if isinstance(error, kind)), FAILED)

"""A service as a black box: one exchange for each image, several at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, NoReturn

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.blackbox.cache import mask_key
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBox,
    BlackBoxError,
    BlackBoxGone,
    Unanswerable,
    check_images,
    check_prompts,
)
from zoo_opt_seg.blackbox.several import together
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.attempts import Exchanging, Stopped
from zoo_opt_seg.remote.books import Spent
from zoo_opt_seg.remote.exchange import Adapter, Reply, Request
from zoo_opt_seg.remote.ledger import Ledger
from zoo_opt_seg.remote.terms import Terms
from zoo_opt_seg.remote.transport import Transport

_AHEAD = 2  # questions that are packed or read while others are in flight; chosen. One worker asks in order
_GRACE = 5.0  # seconds that an interrupt, and the end, wait for answers which are paid and on their way; chosen


Place = Callable[[str, tuple[int, ...]], contextlib.AbstractContextManager[Callable[[Array], None]]]


def _no_place(*_: object) -> contextlib.AbstractContextManager[Callable[[Array], None]]:
    return contextlib.nullcontext(lambda mask: None)


@dataclass
class _Call:
    """One question of some images.

    Attributes
    ----------
    halt : NotServed or Refused or None
        Why no more of its images are asked about: the service is out, or refuses.
    """

    halt: NotServed | Refused | None = None
    masks: dict[int, Array] = field(default_factory=dict)


class RemoteBlackBox(BlackBox):
    """A black box behind HTTP.

    Parameters
    ----------
    adapter : Adapter
        What the service is asked, and how its replies are read.
    terms : Terms
        How fast, how long, how much.

    Attributes
    ----------
    spent : Spent
        What the attempts of its run come to, by its ledger.

    Raises
    ------
    ImportError
        If the extra ``remote`` is not installed.
    ValueError, CheckpointError
        If the address, a header or the ledger is not of its form.

    Notes
    -----
    Each image is asked about once. After a temporary error (`zoo_opt.NotServed`) no more images of the question are
    sent. `zoo_opt_seg.blackbox.Served` waits and asks again, and so does `zoo_opt_seg.adapt`. If a request was sent and
    no answer came, it may have been charged: it is counted as perhaps paid, and the image is asked about again
    `Terms.repeats` times. Then it is `Unanswerable`.

    `close`, or leaving a ``with`` block, ends its threads and connections.
    """

    def __init__(self, adapter: Adapter, terms: Terms | None = None) -> None:
        self.adapter, self.terms = adapter, terms or Terms()
        self.name, self.prompted_by, self.hard = adapter.name, adapter.prompted_by, adapter.hard
        self._stop, workers = threading.Event(), self.terms.workers
        self._process = os.getpid()
        self._transport = Transport(adapter, self.terms, self._sleep)
        self._ledger = Ledger(self.terms, adapter.name)
        self._threads = ThreadPoolExecutor(workers + min(_AHEAD, workers - 1), thread_name_prefix="remote")
        self._places = threading.BoundedSemaphore(workers)  # among the questions in flight
        self._checked, self._check_lock = False, threading.Lock()
        self._given_up: dict[str, Unanswerable] = {}
        self._place: Place = _no_place
        self._closed = False

    @property
    def spent(self) -> Spent:
        """What the attempts of its run come to."""
        return self._ledger.spent

    @property
    def seconds_each(self) -> float:
        """Seconds that an answered attempt took on average, by the ledger and whatever its run; 0 without one."""
        return self._ledger.seconds_each

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks; raise `PartlyAnswered` where some images have none."""
        if self._process != os.getpid():
            raise BlackBoxGone(f"the black box {self.name} was made before this process was forked: make one here")
        images = check_images(images)
        check_prompts(prompts, len(images))
        if self._closed:
            raise BlackBoxGone(f"the service {self.name} cannot be asked any more: its black box was closed")
        self._check()
        call, futures = _Call(), dict[int, Future[Array]]()
        try:
            for row in range(len(images)):
                futures[row] = self._threads.submit(self._answer, call, images[row], prompts[row])
            wait(futures.values())
        except BaseException as error:
            self._interrupt(call, list(futures.values()))
            if isinstance(error, RuntimeError) and self._closed:  # the threads have ended
                raise BlackBoxGone(f"the service {self.name} was not asked: its black box was closed") from None
            raise
        errors: dict[int, Exception] = {}
        for row, future in futures.items():
            try:
                call.masks[row] = future.result()
            except Exception as error:
                errors[row] = error
        for one in errors.values():
            if not isinstance(one, (BlackBoxError, NotServed, Refused)):  # the question cannot be put so
                raise one
        return together(call.masks, errors, images.shape[:3])

    def keep_in(self, kept: Any) -> bool:
        """Write each mask there as it comes; nothing is sent where there is no room for its answer."""
        self._place = _no_place if kept is None else kept.place
        return True

    def close(self) -> None:
        """End its threads and connections, soon after answers on their way; a second time nothing happens."""
        self._closed = True
        self._stop.set()
        soon = threading.Timer(_GRACE, self._transport.abort)
        soon.daemon = True
        soon.start()
        try:
            self._threads.shutdown(wait=True)  # what waits is not asked any more
        finally:  # at an interrupt too
            soon.cancel()
            self._transport.abort()
        self._transport.close()
        self._ledger.close()

    def __enter__(self) -> RemoteBlackBox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError: connections and a ledger are of one process."""
        raise TypeError("a service's black box cannot be sent to another process: send a function that makes it there")

    def _check(self) -> None:
        """Hold the adapter's settings against the service, once."""
        with self._check_lock:
            if not self._checked:
                self.adapter.check(self._fetched)
                self._checked = True

    def _fetched(self, request: Request) -> Reply:
        if request.paid:
            raise ValueError("a check of an adapter may send nothing that is paid")
        until = time.monotonic() + self.terms.total
        self._transport.wait(0, until)
        reply = self._transport.send(request, until)
        self._transport.judge(request, reply)
        return reply

    def _answer(self, call: _Call, image: Array, prompts: Prompts) -> Array:
        """Return the mask of one image."""

        def admit() -> None:
            if self._closed:
                raise Stopped(f"the service {self.name} was not asked: its black box was closed")
            if call.halt is not None:
                raise call.halt

        admit()
        key = mask_key(image, prompts, 0)
        question = hashlib.sha256(f"{self.name} {key}".encode()).hexdigest()[:32]
        if question in self._given_up:
            raise self._given_up[question]

        exchanging = Exchanging(self.adapter, self._transport, self._ledger, question, self.terms.total)
        try:
            with self._place(key, image.shape[:2]) as keep:
                return exchanging(image, prompts, self._places, admit, keep)
        except (NotServed, Refused) as error:
            call.halt = call.halt or error
            raise
        except Unanswerable as error:
            self._given_up[question] = error
            raise

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped(f"the service {self.name} was not asked: its black box ends")

    def _interrupt(self, call: _Call, futures: list[Future[Array]]) -> None:
        """End a question soon: what is on its way may still come, nothing else is sent, and nobody waits for a job."""
        call.halt = Stopped(f"the service {self.name} was interrupted")
        self._stop.set()
        for future in futures:
            future.cancel()
        with contextlib.suppress(BaseException):  # a second interrupt
            wait(futures, _GRACE)
        self._transport.abort()
        wait(futures, 1.0)
        if not self._closed:  # it may be asked again
            self._stop.clear()

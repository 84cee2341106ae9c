"""Where all questions to a served model arrive, whatever form they had: queue, memory, versions, batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.serve.batches import BatchThread
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.metrics import Metrics
from zoo_opt_seg.serve.problems import Problem, busy, problem_of
from zoo_opt_seg.serve.versions import Version, Versions

T = TypeVar("T")
_THREADS = 4  # that read images and write masks, beside the one that asks the model; chosen
_log = logging.getLogger("zoo_opt_seg.serve")


class Room:
    """So much memory that questions share: who finds too little left waits.

    Parameters
    ----------
    most : int
        One that needs more than this is let in when it is alone.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken, self._changed = most, 0, asyncio.Condition()

    @asynccontextmanager
    async def taken(self, n: int) -> AsyncIterator[None]:
        """Hold ``n`` of it."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._taken or self._taken + n <= self._most)
            self._taken += n
        try:
            yield
        finally:
            async with self._changed:
                self._taken -= n
                self._changed.notify_all()


class Desk:
    """Takes questions about images and has them answered.

    Parameters
    ----------
    name : str
        Of the model, in addresses.
    versions : Versions
        What answers; `Versions.put` and `Versions.use` change it while it is served.
    limits : Limits, optional
    batch, wait
        See `BatchThread`.

    Attributes
    ----------
    metrics : Metrics
    open : int
        Requests that are being answered, of all kinds.
    ending : bool
        Whether new requests are refused, because the server ends.
    """

    def __init__(
        self, name: str, versions: Versions, limits: Limits | None = None, *, batch: int = 8, wait: float = 0.005
    ) -> None:
        self.name, self.versions, self.limits = name, versions, limits or Limits()
        self.metrics, self.open, self.ending = Metrics(), 0, False
        self._waiting, self._coming = 0, 0
        self._room, self._one_text = Room(2 * self.limits.pixels), asyncio.Semaphore(1)
        self._threads = ThreadPoolExecutor(_THREADS, "zoo-opt-seg images")
        self._model = BatchThread(lambda: self._coming, batch, wait, self.limits.pixels, self.metrics.asked)

    async def parsed(self, read: Callable[[], T]) -> T:
        """Return what reads a message, called in a thread and one at a time, as JSON takes many times its bytes.

        Raises
        ------
        Problem
            For a TypeError or ValueError of it.
        """
        async with self._one_text:
            return await self._in_thread(read)

    async def answer(
        self,
        read: Callable[[], tuple[Array, Prompts]],
        write: Callable[[Version, Array], T],
        *,
        pixels: int,
        version: str = "",
        receive: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
    ) -> T:
        """Return the answer to one question.

        Parameters
        ----------
        read : callable
            Returns the image, (H, W, 3), uint8 or floats in [0, 1], and its `Prompts`, one row; called in a thread.
        write : callable
            Makes what is returned of the version that answered and the probability, float32 (H, W); called in a thread.
        pixels : int
            Of the image.
        version : str
            "" is the current one.
        receive : callable, optional
            That of ASGI, once the question is read. The model is not asked any more for a client that has left, as one
            that asks again does.

        Raises
        ------
        Problem
            If it is not answered; of all kinds.
        """
        answering = asyncio.ensure_future(self._answered(read, write, pixels, version))
        leaving = None if receive is None else asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait(filter(None, (answering, leaving)), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise Problem(499, "nobody is there to be answered")
            return answering.result()
        finally:
            answering.cancel()
            if leaving is not None:
                leaving.cancel()

    async def _answered(
        self,
        read: Callable[[], tuple[Array, Prompts]],
        write: Callable[[Version, Array], T],
        pixels: int,
        version: str,
    ) -> T:
        chosen = self._version(version)
        if self._waiting >= self.limits.queue:
            raise busy(f"the queue of {self.limits.queue} questions is full")
        self._count(1)
        try:
            async with self._room.taken(pixels):
                mask = await self._asked(chosen, read)
                return await asyncio.get_running_loop().run_in_executor(self._threads, write, chosen, mask)
        finally:
            self._count(-1)

    async def _asked(self, version: Version, read: Callable[[], tuple[Array, Prompts]]) -> Array:
        self._coming += 1
        try:
            shown = await self._in_thread(lambda: version.segmenter.shown(*read()))
            return await asyncio.wrap_future(self._model.put(version.segmenter, shown))
        except Problem:
            raise
        except Exception as error:
            problem = problem_of(error)
            _log.warning("%s", problem.message)
            raise problem from error
        finally:
            self._coming -= 1

    async def _in_thread(self, read: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except (TypeError, ValueError) as error:
            raise Problem(400, str(error)) from error

    def _version(self, name: str) -> Version:
        try:
            return self.versions[name] if name else self.versions.current
        except KeyError as error:
            raise Problem(404, str(error.args[0])) from error

    def _count(self, change: int) -> None:
        self._waiting += change
        self.metrics.waiting(self._waiting)

    def close(self) -> None:
        """Answer what was put, and end the threads."""
        self._model.close()
        self._threads.shutdown()


async def _left(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass

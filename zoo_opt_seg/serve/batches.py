"""The one thread that asks the model: questions that arrive together are one batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from zoo_opt.core.errors import integer, real
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.serve.segmenting import Segmenter, Shown


@dataclass(frozen=True, eq=False)
class _Job:
    segmenter: Segmenter
    shown: Shown
    answer: Future[Array] = field(default_factory=Future)

    @property
    def pixels(self) -> int:
        return self.shown.image.shape[0] * self.shown.image.shape[1]


class BatchThread:
    """Asks the model about several images at once where several are there.

    Parameters
    ----------
    coming : callable
        Returns how many questions are there or on their way: no others are waited for.
    batch : int
        Images of a batch at most.
    wait : float
        Seconds that the first question of a batch waits for others that are on their way.
    pixels : int
        Of all images of a batch; a larger image is asked about alone.
    seen : callable, optional
        Called with the number of images of each batch and the seconds that it took.
    """

    def __init__(
        self,
        coming: Callable[[], int],
        batch: int = 8,
        wait: float = 0.005,
        pixels: int = 1 << 24,
        seen: Callable[[int, float], None] | None = None,
    ) -> None:
        self.batch, self.wait = integer("batch", batch, 1), real("wait", wait)
        if not 0.0 <= self.wait <= 60.0:
            raise ValueError(f"wait must be a number of seconds in [0, 60], got {wait!r}")
        self._coming, self._pixels, self._seen = coming, pixels, seen
        self._jobs: deque[_Job] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="zoo-opt-seg model", daemon=True)
        self._thread.start()

    def put(self, segmenter: Segmenter, shown: Shown) -> Future[Array]:
        """Return the answer to come."""
        job = _Job(segmenter, shown)
        with self._changed:
            if self._closed:
                raise RuntimeError("the thread that asks the model has ended")
            self._jobs.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Answer what was put, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._taken():
            begin = time.perf_counter()
            for segmenter in {id(job.segmenter): job.segmenter for job in jobs}.values():
                _answer(segmenter, [job for job in jobs if job.segmenter is segmenter])
            if self._seen is not None:
                self._seen(len(jobs), time.perf_counter() - begin)
            del jobs

    def _taken(self) -> list[_Job]:
        """Return the next batch, none at the end."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            until = time.monotonic() + self.wait
            while self._jobs and len(self._jobs) < min(self.batch, self._coming()) and not self._closed:
                if (left := until - time.monotonic()) <= 0.0:
                    break
                self._changed.wait(left)
            jobs: list[_Job] = []
            pixels = 0
            while self._jobs and len(jobs) < self.batch:
                pixels += self._jobs[0].pixels
                if jobs and pixels > self._pixels:
                    break
                jobs.append(self._jobs.popleft())
            return jobs


def _answer(segmenter: Segmenter, jobs: list[_Job]) -> None:
    jobs = [job for job in jobs if job.answer.set_running_or_notify_cancel()]
    try:
        answers = segmenter.answers([job.shown for job in jobs])
    except Exception as error:  # memory, say
        answers = [error] * len(jobs)
    for job, answer in zip(jobs, answers, strict=True):
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)

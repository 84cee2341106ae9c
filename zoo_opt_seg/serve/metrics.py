"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the environment variable that has several processes counted together
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Requests by route and status, their seconds, images, batches and the queue."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter("zoo_opt_requests", "Requests answered", ["route", "status"], registry=own)
        self._seconds = Histogram(
            "zoo_opt_request_seconds", "Seconds that requests took", ["route"], buckets=_SECONDS, registry=own
        )
        self._batches = Histogram("zoo_opt_batch_images", "Images of a batch", buckets=_IMAGES, registry=own)
        self._asked = Histogram("zoo_opt_model_seconds", "Seconds of a batch", buckets=_SECONDS, registry=own)
        self._images = Counter("zoo_opt_images", "Images that the model was asked about", registry=own)
        self._queue = Gauge(
            "zoo_opt_queue", "Questions that wait or are answered", registry=own, multiprocess_mode="livesum"
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def asked(self, images: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(images)
        self._asked.observe(seconds)
        self._images.inc(images)

    def waiting(self, questions: int) -> None:
        """Note how many questions wait or are answered."""
        self._queue.set(questions)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text form, of all processes where there are several."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

"""The service below whatever is around it, and what it has cost."""

from __future__ import annotations

from typing import Any

from zoo_opt_seg.blackbox.protocol import BlackBox
from zoo_opt_seg.remote.box import RemoteBlackBox


def spent_of(box: Any) -> dict[str, Any]:
    """Return what the run of a service has spent, for ``metrics.json``; nothing of what is no service."""
    service = service_of(box)
    return {} if service is None else {"spent": service.spent.plain()}


def service_of(box: Any) -> RemoteBlackBox | None:
    """Return the service that is asked in the end, below whatever is around it."""
    while isinstance(box, BlackBox):
        if isinstance(box, RemoteBlackBox):
            return box
        box = getattr(box, "model", None) or getattr(box, "fn", None)
    return None

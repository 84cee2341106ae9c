"""The services below whatever is around them, and what they have cost."""

from __future__ import annotations

from typing import Any

from zoo_opt_seg.blackbox.protocol import BlackBox
from zoo_opt_seg.blackbox.several import SeveralBoxes
from zoo_opt_seg.remote.box import RemoteBlackBox


def spent_of(box: Any) -> dict[str, Any]:
    """Return what the run of a service has spent, for ``metrics.json``; nothing of what is no service."""
    spent = [service.spent for service in services_of(box)]
    # several have one ledger: the last of them to write there has read what all have written
    return {"spent": max(spent, key=lambda one: (one.calls, one.seconds)).plain()} if spent else {}


def services_of(box: Any) -> list[RemoteBlackBox]:
    """Return the services that are asked in the end, below whatever is around them."""
    while isinstance(box, BlackBox):
        if isinstance(box, RemoteBlackBox):
            return [box]
        if isinstance(box, SeveralBoxes):
            return [service for one in box.boxes for service in services_of(one)]
        box = getattr(box, "model", None) or getattr(box, "fn", None)
    return []

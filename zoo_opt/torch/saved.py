"""A replica as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from zoo_opt.core.errors import CheckpointError
from zoo_opt.torch.replica import Replica
from zoo_opt.torch.slots import SavedGrid, Slot, once

_FORMAT = 1


def as_tree(replica: Replica, values: bool) -> dict[str, Any]:
    """Return the tensors' grids, momentum and, of all or else of masters alone, their numbers."""
    replica.check()
    slots = replica.slots.all
    return {
        "torch_training": _FORMAT,
        "step": replica.step,
        "grids": {slot.name: [slot.e, slot.bound, slot.ahead] for slot in slots},
        "values": [slot.arrays.host(slot.flat) if values or slot.is_master else None for slot in slots],
        "m": [None if slot.m is None else slot.arrays.host(slot.m) for slot in slots],
        "checksum": replica.slots.checksum(),
    }


def grids_in(tree: Any, named: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, SavedGrid]:
    """Return the grids of a saved training; CheckpointError if it is none, or one of other parameters."""
    if not isinstance(tree, dict) or tree.get("torch_training") != _FORMAT:
        raise CheckpointError("it is not a checkpoint of a Trainer")
    grids = {name: SavedGrid(*grid) for name, grid in tree["grids"].items()}
    if other := sorted(set(grids) ^ {name for name, _ in once(named)}):
        raise CheckpointError(f"it is a checkpoint of another module, of which {', '.join(other[:5])} are not in both")
    return grids


def put_back(replica: Replica, tree: dict[str, Any]) -> None:
    """Put the numbers and the momentum where they were; CheckpointError if they are not those that were saved."""
    slots = replica.slots.all
    if len(slots) != len(tree["values"]):
        raise CheckpointError("it is a checkpoint of another module: the number of its parameters differs")
    saved = zip(slots, tree["values"], tree["m"], strict=True)
    pairs: list[tuple[Slot, Any, Any]] = [(slot, *own) for slot, x, m in saved for own in ((slot.flat, x), (slot.m, m))]
    given = [(slot, flat, array) for slot, flat, array in pairs if array is not None]
    for slot, flat, array in given:  # nothing is written before all of it fits
        if flat is None or array.shape != tuple(flat.shape):
            raise CheckpointError(f"it is a checkpoint of another module: {slot.name} has {array.size} numbers there")
    for slot, flat, array in given:
        flat[:] = slot.arrays.brought(array)
    replica.slots.push()
    replica.step = tree["step"]
    if replica.slots.checksum() != tree["checksum"]:
        raise CheckpointError("the module's parameters are not those that were trained when this was saved")

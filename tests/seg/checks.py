"""What tests of trainings share: one number for all weights, and a training that is killed after an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch

from zoo_opt_seg.whitebox.core.recipe import Epoch, Recipe


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """One number for all weights, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def die_after(last: int) -> Callable[[Epoch, Recipe], None]:
    """A ``report`` that kills the training after an epoch."""

    def report(epoch: Epoch, recipe: Recipe) -> None:
        if epoch.epoch == last:
            raise KeyboardInterrupt

    return report

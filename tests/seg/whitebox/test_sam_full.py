"""Full fine-tuning of SAM: all of it is trained, in a copy, and the result is a checkpoint like SAM's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import checksum
from seg.small import disc_splits, small_sam

from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.sam.full import PARTS, sam_training, train_sam

RECIPE = Recipe(epochs=4, batch=4, lr=3e-3, stop_after=None, seed=1)


def test_all_of_sam_is_trained_in_a_copy(tmp_path: Path) -> None:
    sam, splits = small_sam(), disc_splits()
    original = checksum(sam.state_dict())
    trained, fitted = train_sam(sam, splits, recipe=RECIPE, augment=None, out=tmp_path)
    assert checksum(sam.state_dict()) == original and all(p.requires_grad for p in sam.parameters())
    assert fitted.trained == sum(p.numel() for p in sam.parameters())
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    assert min(e.loss for e in fitted.history[1:]) < fitted.history[0].loss
    changed = {k for k, t in trained.state_dict().items() if not torch.equal(t, sam.state_dict()[k])}
    assert any(k.startswith("image_encoder.blocks.0.") for k in changed)
    assert any(k.startswith("mask_decoder.") for k in changed) and "pixel_mean" not in changed

    loaded = small_sam(seed=9)
    loaded.load_state_dict(torch.load(tmp_path / "sam.pth", weights_only=True))
    points = random_points(splits.test.masks, 5)
    answers = [SamBlackBox(sam=s)(splits.test.images, points) for s in (trained, loaded)]
    assert np.array_equal(*answers)
    again, _ = train_sam(sam, splits, recipe=RECIPE, augment=None)
    assert checksum(again.state_dict()) == checksum(trained.state_dict())


@pytest.mark.parametrize("parts", [("mask_decoder",), ("image_encoder", "mask_decoder")])
def test_parts_that_are_not_trained_stay(parts: tuple[str, ...]) -> None:
    sam, splits = small_sam(), disc_splits()
    trained, fitted = train_sam(sam, splits, parts, recipe=Recipe(epochs=2, batch=4, lr=1e-2, stop_after=None))
    kept = [k for k in sam.state_dict() if not k.startswith(parts)]
    assert all(torch.equal(trained.state_dict()[k], sam.state_dict()[k]) for k in kept)
    assert fitted.trained == sum(p.numel() for k, p in sam.named_parameters() if k.startswith(parts))
    task = sam_training(small_sam(), splits, parts=parts)
    assert f"SAM ({', '.join(parts)})" in task.name and set(task.tensors()).isdisjoint(kept)


def test_published_sam_has_so_many_to_train() -> None:
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        sam = sam_model_registry["vit_b"]()
    assert sum(p.numel() for p in sam.parameters()) == 93_735_472


@pytest.mark.parametrize("parts", [(), ("encoder",), ("mask_decoder", "mask_decoder")])
def test_parts_that_there_are_not_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"parts must be some of {', '.join(PARTS)}, each once"):
        sam_training(small_sam(), disc_splits(), parts=parts)

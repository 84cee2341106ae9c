"""Where asking by text differs from asking by points: images without an object, several views, other images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.small import disc_splits, discs, small_sam

import zoo_opt as zo
from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg import Samples, Splits, adapt
from zoo_opt_seg.blackbox import Counted, SamBlackBox
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.measures import losses
from zoo_opt_seg.visual_prompts import VPT, make_prompt
from zoo_opt_seg.whitebox import Recipe, Segmentation
from zoo_opt_seg.whitebox.core.segmentation import bce_dice, vlsm_loss
from zoo_opt_seg.whitebox.prompt.gradient import PromptByGradient, train_prompt

FEW = {"method": zo.CMAES(sigma0=0.1, popsize=4), "calls": 40, "batch": 4, "validate": 0, "repeats": 2, "panel": False}


class Bright:
    """What is bright is the object, whatever the text says."""

    name, prompted_by = "bright", "text"

    def __call__(self, images, prompts):
        found = np.asarray(images, np.float32).mean(axis=3) / (255 if images.dtype == np.uint8 else 1)
        return 1 / (1 + np.exp(-30 * (found - 0.35)))


class Reader(Segmentation):
    """A text segmenter that answers what it is told to."""

    def _what(self) -> str:
        return "reader"

    def tensors(self):
        return {}

    def predict(self, images, prompts):
        return self.answer


def normal_too(part: Samples, n: int = 2) -> Samples:
    """The first n images without an object."""
    images, masks = part.images.copy(), part.masks.copy()
    images[:n], masks[:n] = images[:n] // 4, False
    return replace(part, images=images, masks=masks)


def told() -> Splits:
    splits = disc_splits()
    return Splits("told", splits.train, normal_too(splits.validation), normal_too(splits.test)).with_texts("disc")


def test_no_object_and_none_found_is_a_perfect_answer() -> None:
    splits = told()
    task = Reader(Bright(), splits)
    task.answer = splits.validation.masks.astype(np.float32)
    found = task.validate()
    assert found.dice == 1.0  # as zoo_opt_seg.measures.metrics has it
    task.answer = np.ones_like(task.answer)
    assert task.validate().dice < 0.5


@pytest.mark.parametrize(("loss", "weight"), [(bce_dice, 1.0), (vlsm_loss, 1.5)])
def test_losses_of_images_without_an_object_are_finite(loss, weight: float) -> None:
    logits = torch.tensor([-300.0, -4.0, 300.0])[:, None, None].repeat(1, 4, 4).requires_grad_()
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    values = loss(logits, masks)
    p = logits.detach().double().sigmoid().clamp(0, 1)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, masks.float(), reduction="none").mean((1, 2))
    wanted = bce + weight * losses.dice_loss(p, masks, "none")
    torch.testing.assert_close(values, wanted.float(), atol=1e-5, rtol=1e-5)
    values.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_images_without_an_object_are_measured_by_text_and_left_out_by_points() -> None:
    splits, prompt = told(), make_prompt("vpt", 32)
    by_text = adapt(Bright(), prompt, splits, **FEW)
    assert by_text.metrics["test"]["rows"]["zero-shot"]["images"] == len(splits.test) == 6
    assert by_text.metrics["test"]["images"]["zero-shot"][:2] == [1.0, 1.0]  # nothing there, nothing found
    by_points = adapt(SamBlackBox(sam=small_sam()), prompt, splits, **FEW)
    assert by_points.metrics["test"]["rows"]["zero-shot"]["images"] == 4


def test_calls_of_the_test_count_every_view() -> None:
    splits, box = told(), Counted(Bright())
    result = adapt(box, make_prompt("views", 32, inner={"name": "vpt"}), splits, **{**FEW, "calls": 80})
    test = result.metrics["test"]
    assert box.calls - result.calls == test["calls"]
    views = 1 if test["over_start"]["kept"] else 3  # the start's zoomed view, and two if another is kept
    assert test["calls"] == 6 * (1 + views)  # what was asked already, as the text a second time, is not asked again


def test_training_on_other_images_of_the_same_name_is_refused(tmp_path: Path) -> None:
    splits, recipe = disc_splits(), Recipe(epochs=1, batch=4, stop_after=None)
    box, other = SamBlackBox(sam=small_sam()), replace(splits, train=discs(12, 9))
    train_prompt(box, VPT(32), splits, recipe=recipe, out=tmp_path)
    with pytest.raises(CheckpointError, match="of another training: its data is"):
        train_prompt(box, VPT(32), other, recipe=recipe, out=tmp_path)
    state = torch.load(tmp_path / "train.ckpt", weights_only=True)
    del state["identity"]["data"]  # of before this was written down
    torch.save(state, tmp_path / "train.ckpt")
    train_prompt(box, VPT(32), splits, recipe=recipe, out=tmp_path)


def test_gradient_of_a_prompt_predicts_any_images_after_validation() -> None:
    splits = disc_splits()
    task = PromptByGradient(SamBlackBox(sam=small_sam()), VPT(32), splits)
    task.validate()
    asked = draw_prompts("random", splits.test, 0)
    once = task.predict(splits.test.images, asked)
    fresh = PromptByGradient(SamBlackBox(sam=small_sam()), VPT(32), splits)
    np.testing.assert_array_equal(once, fresh.predict(splits.test.images, asked))

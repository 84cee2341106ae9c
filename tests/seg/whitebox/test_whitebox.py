"""The white-box comparators: trainer, LoRA, backpropagation through a visual prompt."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import checksum, raises, refused
from seg.small import CropLike, disc_splits, small_sam
from segment_anything import sam_model_registry

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.visual_prompts import VPT, TrainedPrompt
from zoo_opt_seg.whitebox.core.recipe import Progress, Recipe, Validation
from zoo_opt_seg.whitebox.core.segmentation import POINTS, bce_dice
from zoo_opt_seg.whitebox.core.trainer import Trainable, fit, seeded
from zoo_opt_seg.whitebox.prompt.gradient import PromptByGradient, train_prompt
from zoo_opt_seg.whitebox.sam.lora import LoRA, LoRASam, lora_training, train_lora


class Line(Trainable):
    """y = w x + noise, with a draw of torch's own in the loss; stopped before an epoch if asked to."""

    name, size = "line", 20

    def __init__(self, die_at: int = 10**9) -> None:
        self.w = torch.zeros(3, requires_grad=True)
        self.running = torch.zeros(1)  # a buffer that training changes
        self.x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
        self.die_at, self.seen = die_at, []

    def tensors(self):
        return {"w": self.w, "running": self.running}

    def loss(self, rows, seed):
        if seed[1] == self.die_at and seed[2] == 1:
            raise KeyboardInterrupt
        self.seen.append((seed, tuple(rows)))
        self.running += 1
        x = torch.from_numpy(self.x[rows])
        return ((x @ (self.w - 1.0) + 0.1 * torch.randn(len(rows))) ** 2).mean()

    def validate(self):
        loss = float(((self.w.detach() - 1) ** 2).sum())
        return Validation(loss, 1 / (1 + loss))


FAST = Recipe(epochs=6, batch=8, lr=0.1, weight_decay=0.01, warmup=4, stop_after=None, seed=3)


def without_time(epoch) -> list[str]:
    return [str(value) for value in vars(epoch).values()][:-1]


# ---------------------------------------------------------------------------------------------------- trainer


@pytest.mark.parametrize("schedule", ["constant", "polynomial", "plateau"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_killed_training_ends_in_the_same_weights(tmp_path: Path, schedule: str, optimizer: str) -> None:
    recipe = replace(FAST, schedule=schedule, optimizer=optimizer, patience=1, clip=1.0)
    whole = Line()
    expected = fit(whole, recipe)
    for epoch in (1, 3, 6):
        raises(KeyboardInterrupt, None, fit, Line(die_at=epoch), recipe, out=tmp_path)
    resumed = Line()
    found = fit(resumed, recipe, out=tmp_path)
    assert torch.equal(whole.w, resumed.w) and torch.equal(whole.running, resumed.running)
    assert [without_time(e) for e in found.history] == [without_time(e) for e in expected.history]
    assert {seed[1] for seed, _ in resumed.seen} == {6}  # only the epoch that was cut short is repeated
    table = list(csv.DictReader((tmp_path / "train.csv").read_text().splitlines()))
    assert [row["epoch"] for row in table] == [str(i) for i in range(7)]
    again = Line()
    assert fit(again, recipe, out=tmp_path).best_epoch == found.best_epoch and again.seen == []


def test_every_sample_once_an_epoch_in_an_order_of_its_own() -> None:
    line = Line()
    fit(line, FAST)
    by_epoch = {epoch: [rows for seed, rows in line.seen if seed[1] == epoch] for epoch in range(1, 7)}
    assert all(sorted(sum(batches, ())) == list(range(20)) for batches in by_epoch.values())
    assert [len(rows) for rows in by_epoch[1]] == [8, 8, 4] and by_epoch[1] != by_epoch[2]


def test_global_generators_are_left_alone(generators: None) -> None:
    fit(Line(), FAST)
    with seeded((1, 2)):
        first = torch.randn(3)
    with seeded((1, 2)):
        assert torch.equal(first, torch.randn(3))


def test_schedules() -> None:
    warm = Recipe(lr=1.0, warmup=4, schedule="polynomial", power=0.9)
    rates = [warm.rate(step, 14, 0) for step in range(14)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0] and rates[4] == 1.0
    assert rates[9] == pytest.approx(0.5**0.9) and rates[4:] == sorted(rates[4:], reverse=True)
    assert Recipe(lr=1.0, schedule="plateau", factor=0.3).rate(9, 10, 2) == pytest.approx(0.09)
    assert Recipe(lr=1.0, schedule="constant").rate(9, 10, 2) == 1.0


def test_plateau_and_early_stopping() -> None:
    recipe, progress = Recipe(patience=2, stop_after=3, min_delta=0.01, epochs=50), Progress()
    losses, dices = [1.0, 0.5, 0.5, 0.495, 0.4, 0.4, 0.4], [0.1, 0.2, 0.3, 0.305, 0.2, 0.2, 0.2]
    best = [progress.see(i, Validation(a, b), recipe) for i, (a, b) in enumerate(zip(losses, dices, strict=True))]
    assert best == [True, True, True, False, False, False, False]
    assert progress.drops == 2 and progress.best_epoch == 2
    assert progress.stopped(4, recipe) == "" and progress.stopped(5, recipe) == "plateau"
    assert Progress(best_epoch=50).stopped(50, recipe) == "epochs"


def test_best_epoch_is_kept_not_the_last() -> None:
    line = Line()
    fitted = fit(line, replace(FAST, lr=0.9, schedule="constant", warmup=0))
    best = max(fitted.history, key=lambda e: e.dice)
    assert line.validate().dice == pytest.approx(best.dice) and fitted.best_epoch == best.epoch
    assert fitted.trained == 3 and fitted.stopped == "epochs"


test_recipe_says_what_is_wrong = refused(
    Recipe,
    ({"epochs": 0}, "epochs must be >= 1"),
    ({"lr": 0.0}, "lr must be > 0"),
    ({"optimizer": "sgd"}, "optimizer must be one of adamw, adam"),
    ({"schedule": "step"}, "schedule must be one of"),
    ({"precision": "float8"}, "precision must be one of"),
    ({"stop_after": 0}, "stop_after must be >= 1"),
    ({"clip": -1.0}, "clip must be > 0"),
)


def test_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    fit(Line(), FAST, out=tmp_path)
    raises(CheckpointError, "its recipe is", fit, Line(), replace(FAST, seed=4), out=tmp_path)
    (tmp_path / "train.ckpt").write_bytes(b"nothing")
    raises(CheckpointError, "corrupt", fit, Line(), FAST, out=tmp_path)


def test_best_of_no_dice_is_an_error_and_the_last_is_kept() -> None:
    class Blind(Line):
        def validate(self):
            return Validation(float("nan"), float("nan"))

    with pytest.raises(FloatingPointError, match="line: no epoch has a validation Dice; keep='last' needs none"):
        fit(Blind(), replace(FAST, epochs=2))
    assert fit(Blind(), replace(FAST, epochs=2, keep="last")).best_epoch == 2


def test_loss_that_is_not_finite_is_an_error() -> None:
    class Broken(Line):
        def loss(self, rows, seed):
            return self.w.sum() * float("nan")

    raises(FloatingPointError, "line: the loss is nan", fit, Broken(), FAST)


# ---------------------------------------------------------------------------------------------------- LoRA


@pytest.mark.parametrize("decoder", [True, False])
def test_lora_starts_as_the_sam_and_trains_nothing_else(tmp_path: Path, decoder: bool) -> None:
    sam, splits = small_sam(), disc_splits()
    original, box = checksum(sam.state_dict()), SamBlackBox(sam=sam)
    points = random_points(splits.test.masks, 5)
    adapted = LoRASam(sam, LoRA(rank=2, decoder=decoder), seed=1)
    before = box(splits.test.images, points)
    assert np.allclose(SamBlackBox(sam=adapted.sam)(splits.test.images, points), before, atol=1e-6)
    frozen = checksum(adapted.frozen())
    fitted = fit(lora_training(adapted, splits), Recipe(epochs=2, batch=4, lr=1e-2))
    assert checksum(adapted.frozen()) == frozen and checksum(sam.state_dict()) == original
    assert fitted.trained == sum(p.numel() for p in adapted.tensors().values())
    names = list(adapted.tensors())
    assert any(n.startswith("mask_decoder.") for n in names) is decoder
    assert sum(".lora_" in n for n in names) == 2 * 2  # A and B for each of two blocks
    after = SamBlackBox(sam=adapted.sam)(splits.test.images, points)
    if fitted.best_epoch:
        assert not np.allclose(after, before, atol=1e-4)

    adapted.save(tmp_path / "lora.safetensors")
    loaded = LoRASam.load(tmp_path / "lora.safetensors", small_sam())
    assert np.allclose(SamBlackBox(sam=loaded.sam)(splits.test.images, points), after, atol=1e-6)
    assert checksum(loaded.tensors()) == checksum(adapted.tensors())
    weights = sum(p.numel() for p in adapted.tensors().values()) * 4
    assert (tmp_path / "lora.safetensors").stat().st_size < weights + 20_000
    other = small_sam()
    with torch.no_grad():
        other.image_encoder.pos_embed.add_(0.1)
    with pytest.warns(UserWarning, match="was trained on a SAM with other weights than this one's"):
        LoRASam.load(tmp_path / "lora.safetensors", other)


def test_lora_learns_and_repeats(tmp_path: Path) -> None:
    splits, recipe = disc_splits(), Recipe(epochs=4, batch=4, lr=1e-2, seed=1)
    first, fitted = train_lora(small_sam(), splits, LoRA(rank=2), recipe=recipe, augment=None, out=tmp_path)
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    assert min(e.loss for e in fitted.history[1:]) < fitted.history[0].loss
    second, _ = train_lora(small_sam(), splits, LoRA(rank=2), recipe=recipe, augment=None)
    assert checksum(first.tensors()) == checksum(second.tensors())
    assert (tmp_path / "lora.safetensors").is_file()


def test_lora_file_of_another_sam_is_refused(tmp_path: Path) -> None:
    LoRASam(small_sam(), LoRA(rank=2)).save(tmp_path / "a")
    raises(CheckpointError, r"of another SAM: \d+ tensors differ", LoRASam.load, tmp_path / "a", small_sam(width=48))
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:300])
    raises(CheckpointError, "truncated", LoRASam.load, tmp_path / "b", small_sam())


@pytest.mark.slow
def test_lora_fits_the_stock_vit_b() -> None:
    with seeded((0,)):
        sam = sam_model_registry["vit_b"]()
    adapted = LoRASam(sam, LoRA(rank=4, decoder=False))
    assert sum(p.numel() for p in adapted.tensors().values()) == 12 * 4 * (768 + 3 * 768)
    assert len(adapted.tensors()) == 24


# ---------------------------------------------------------------------------------------------------- backpropagation


def test_backpropagation_through_a_prompt_lowers_the_loss() -> None:
    splits, box = disc_splits(), SamBlackBox(sam=small_sam())
    weights = checksum(box.sam.state_dict())
    recipe = Recipe(epochs=4, batch=4, lr=0.05, weight_decay=0.0, optimizer="adam")
    x, fitted = train_prompt(box, VPT(32), splits, recipe=recipe)
    assert x.shape == (VPT(32).dim,) and x.dtype == np.float32
    assert min(e.loss for e in fitted.history) < fitted.history[0].loss
    assert checksum(box.sam.state_dict()) == weights
    assert fitted.trained == VPT(32).dim


def test_every_comparator_has_the_loss_it_is_told_and_does_without_validation(tmp_path: Path) -> None:
    splits = disc_splits()
    alone = replace(splits, validation=splits.validation[:0])
    recipe = Recipe(epochs=1, batch=4, keep="last", stop_after=None, schedule="constant", warmup=0)
    by_prompt = partial(train_prompt, SamBlackBox(sam=small_sam()), prompt=VPT(32))
    for train in (partial(train_lora, small_sam()), by_prompt):
        train = partial(train, recipe=recipe, augment=None)
        one, other = (train(splits=splits, loss=loss)[1].history[0].loss for loss in ("bce+dice", "bce+1.5dice"))
        assert other > one + 0.1
        assert np.isnan(train(splits=alone)[1].history[0].dice)
        raises(ValueError, "loss must be one of", train, splits=splits, loss="mse")


@pytest.mark.parametrize("kept", [0, 2**24])
def test_validation_by_parts_is_the_same(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_opt_seg.whitebox.prompt.gradient.KEPT", kept)
    monkeypatch.setattr("zoo_opt_seg.whitebox.prompt.gradient.ROWS", 4)
    splits, made = disc_splits(), []
    task = PromptByGradient(SamBlackBox(sam=small_sam()), VPT(32), splits)
    prompts = random_points(splits.validation.masks, 0)
    task.prompt.context = lambda images, prompts: made.append(len(images)) or VPT(32).context(images, prompts)
    found = [task.predict(splits.validation.images, prompts) for _ in range(2)]
    whole = TrainedPrompt(VPT(32), task.x.detach().numpy()).predict(task.model, splits.validation.images, prompts)
    assert made == ([4, 2] if kept else [4, 2, 4, 2])
    for one in found:
        np.testing.assert_allclose(one, whole, atol=1e-5)


def test_gradient_is_that_of_the_black_box_by_differences() -> None:
    """Along a direction, where the box takes floats: the same function on both paths."""
    splits = disc_splits()
    task = PromptByGradient(SamBlackBox(sam=small_sam(), quantize=False), VPT(32), splits)
    rows, seed = np.arange(3), (0, 1, 2)
    (gradient,) = torch.autograd.grad(task.loss(rows, seed), task.x)
    direction = gradient / gradient.norm()
    c, x = 1e-2, task.x.detach().clone()

    def at(step: float) -> float:
        with torch.no_grad():
            task.x.copy_(x + step * direction)
            images, masks = splits.train.images[rows], splits.train.masks[rows]
            p = torch.from_numpy(_black(task, images, random_points(masks, (*seed, POINTS))).astype(np.float64))
            return float(bce_dice(torch.logit(p.clamp(1e-7, 1 - 1e-7)), torch.from_numpy(masks)).mean())

    slope = (at(c) - at(-c)) / (2 * c)
    assert slope == pytest.approx(float(gradient.norm()), rel=0.05)


def _black(task: PromptByGradient, images: np.ndarray, prompts) -> np.ndarray:
    task._contexts = {}
    return task.predict(images, prompts)


def test_prompt_that_moves_the_image_is_restored_before_the_loss() -> None:
    task = PromptByGradient(SamBlackBox(sam=small_sam()), CropLike(32), disc_splits())
    (gradient,) = torch.autograd.grad(task.loss(np.arange(2), (0, 1, 2)), task.x)
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0

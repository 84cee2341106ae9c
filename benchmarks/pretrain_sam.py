"""Train the embedded tiny SAM from scratch on the source scenes, on one thread.

    python benchmarks/pretrain_sam.py --out results/pretrain-sam          # about 25 CPU-minutes; resumes
    python benchmarks/pretrain_sam.py --out results/pretrain-sam --ship   # and puts the weights into the package

The number of steps is fixed, so that the result does not depend on the machine's speed. Every step is a function of
(seed, step): 16 scenes, turned, mirrored and with permuted or inverted colours, and 3 prompts for each, of one kind in
a step. Small steps in great number (16 scenes rather than 32) and Muon (torch >= 2.9) make the most of the CPU-minutes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pretraining import HELD_OUT_SEED, go_on, mixed_waves, muon, options, trained
from torch import Tensor

from zoo_opt_seg.data.synthetic import domain, source_scenes
from zoo_opt_seg.embedded.sam import WEIGHTS, build_tiny_sam, decode_batch
from zoo_opt_seg.embedded.weights import save_weights

IMAGES, PROMPTS = 16, 3
WARM_UP = 200
# one point; several points, background among them; a box; a box and a point; a rough mask and a point
KINDS = {"point": 0.72, "points": 0.1, "box": 0.08, "box and point": 0.05, "mask and point": 0.05}


def minibatch(images: np.ndarray, labels: np.ndarray, seed: int, step: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Images (n, 3, H, W), the prompted objects' masks (n * m, H, W), and the prompts of a step."""
    rng = np.random.default_rng([seed, 1, step])
    rows = rng.choice(len(images), IMAGES, replace=len(images) < IMAGES)
    shown, objects = np.empty_like(images[rows]), np.empty_like(labels[rows])
    for i, row in enumerate(rows):
        turn, mirror, invert = rng.integers(4), rng.random() < 0.5, rng.random() < 0.5
        image, label = np.rot90(images[row], turn), np.rot90(labels[row], turn)
        image, label = (image[:, ::-1], label[:, ::-1]) if mirror else (image, label)
        image = image[:, :, rng.permutation(3)]
        shown[i], objects[i] = (255 - image if invert else image), label
    wanted = 1 + (rng.random((IMAGES, PROMPTS)) * objects.max(axis=(1, 2))[:, None]).astype(int)
    masks = (objects[:, None] == wanted[:, :, None, None]).reshape(-1, *objects.shape[1:])
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    pixels = torch.from_numpy(shown).permute(0, 3, 1, 2).float()
    return pixels, torch.from_numpy(masks), prompts_of(masks, str(kind), rng)


def prompts_of(masks: np.ndarray, kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments of SAM's prompt encoder for masks (n, H, W)."""
    given: dict[str, Any] = {"points": None, "boxes": None, "masks": None}
    if kind != "box":
        points, labels = pixels_in(masks, rng)[:, None], np.ones((len(masks), 1), np.float32)
        for _ in range(int(rng.integers(1, 4)) if kind == "points" else 0):
            inside = rng.random(len(masks)) < 0.5
            more = pixels_in(np.where(inside[:, None, None], masks, ~masks), rng)
            points = np.concatenate([points, more[:, None]], axis=1)
            labels = np.concatenate([labels, inside[:, None].astype(np.float32)], axis=1)
        given["points"] = torch.from_numpy(points), torch.from_numpy(labels)
    if kind.startswith("box"):
        given["boxes"] = torch.from_numpy(boxes_about(masks, rng))
    if kind.startswith("mask"):
        rough = F.avg_pool2d(torch.from_numpy(masks)[:, None].float(), 2)
        noise = torch.from_numpy(rng.standard_normal((len(masks), 1, 6, 6), dtype=np.float32))
        noise = F.interpolate(noise, rough.shape[2:], mode="bilinear")
        given["masks"] = 12 * rough - 6 + float(rng.uniform(1, 6)) * noise
    return given


def pixels_in(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random pixel (x, y) of each mask, (n, 2) float32."""
    flat = masks.reshape(len(masks), -1)
    rank = (rng.random(len(masks)) * flat.sum(axis=1)).astype(int)
    chosen = (np.cumsum(flat, axis=1, dtype=np.int32) > rank[:, None]).argmax(axis=1)
    return np.stack(np.divmod(chosen, masks.shape[2])[::-1], axis=1).astype(np.float32)


def boxes_about(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes (x0, y0, x1, y1) about each mask, every side moved by about a twentieth of the box; (n, 4) float32."""
    columns, rows = masks.any(axis=1), masks.any(axis=2)
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1 = masks.shape[2] - 1 - columns[:, ::-1].argmax(axis=1)
    y1 = masks.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    boxes = np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)
    extent = np.stack([x1 - x0, y1 - y0] * 2, axis=1)
    return (boxes + 0.05 * extent * rng.standard_normal(boxes.shape)).clip(0, masks.shape[2] - 1).astype(np.float32)


def loss_of(logits: Tensor, iou: Tensor, masks: Tensor) -> Tensor:
    """BCE + Dice of the single mask, half that of the best of the three others, and the error of the predicted IoU."""
    target = F.avg_pool2d(masks[:, None].float(), 2).expand_as(logits)
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(2, 3))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * target).sum(dim=(2, 3)) + 1) / ((p + target).sum(dim=(2, 3)) + 1)
    losses = bce + dice
    with torch.no_grad():
        hard, truth = logits > 0, target > 0.5
        overlap = (hard & truth).sum(dim=(2, 3)) / (hard | truth).sum(dim=(2, 3)).clamp(min=1)
    return losses[:, 0].mean() + 0.5 * losses[:, 1:].amin(dim=1).mean() + 0.2 * F.mse_loss(iou, overlap)


def forward(sam: Any, pixels: Tensor, prompts: dict[str, Any], repeat: int, bf16: bool = True) -> tuple[Tensor, Tensor]:
    """Logits (n * repeat, 4, 48, 48) and predicted IoU (n * repeat, 4), in bf16 arithmetic or in single precision."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        embeddings = sam.image_encoder(sam.preprocess(pixels)).repeat_interleave(repeat, dim=0)
        sparse, dense = sam.prompt_encoder(**prompts)
        logits, iou = decode_batch(sam, embeddings, sparse, dense)
    return logits.float(), iou.float()


@torch.inference_mode()
def dice_of(sam: Any, images: np.ndarray, masks: np.ndarray, prompts: dict[str, Any]) -> Tensor:
    """Dice (n, 2), single mask and the three's best by predicted IoU, of images (n, S, S, 3) and masks (n, S, S).

    ``prompts`` are arguments of SAM's prompt encoder, a row for each image.
    """
    mode, dice = sam.training, []
    sam.eval()
    for start in range(0, len(images), 32):
        part = slice(start, start + 32)
        truth = torch.from_numpy(masks[part])
        given = {name: cut(value, part) for name, value in prompts.items()}
        pixels = torch.from_numpy(images[part]).permute(0, 3, 1, 2).float()
        sparse, dense = sam.prompt_encoder(**given)
        logits, iou = decode_batch(sam, sam.image_encoder(sam.preprocess(pixels)), sparse, dense)
        hard = sam.postprocess_masks(logits, truth.shape[1:], truth.shape[1:]) > 0
        both = 2 * (hard & truth[:, None]).sum(dim=(2, 3)) / (hard.sum(dim=(2, 3)) + truth.sum(dim=(1, 2))[:, None])
        best = both[:, 1:].gather(1, iou[:, 1:].argmax(dim=1, keepdim=True))
        dice.append(torch.cat([both[:, :1], best], dim=1))
    sam.train(mode)
    return torch.cat(dice)


def cut(value: Any, part: slice) -> Any:
    """The rows ``part`` of an argument of SAM's prompt encoder: a tensor, several, or None."""
    return tuple(each[part] for each in value) if isinstance(value, tuple) else None if value is None else value[part]


def at_a_point(masks: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments of SAM's prompt encoder: a random point on each mask."""
    points = torch.from_numpy(pixels_in(masks, rng)[:, None])
    return {"points": (points, torch.ones(len(masks), 1)), "boxes": None, "masks": None}


def held_out_dice(sam: Any, count: int = 200, seed: int = HELD_OUT_SEED) -> tuple[float, float]:
    """Mean Dice on held-out scenes at a random point: of the single mask, and of the three's best by predicted IoU."""
    test = domain("source", seed=seed, sizes=(0, 0, count)).test
    prompts = at_a_point(test.masks, np.random.default_rng([seed, 2]))
    single, best_of_three = dice_of(sam, test.images, test.masks, prompts).mean(dim=0).tolist()
    return single, best_of_three


def optimizers_of(sam: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformers, AdamW for the rest."""
    embeddings = ("embed", "token.weight", "tokens.weight")
    named = list(sam.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and min(p.shape) > 8 and not any(e in name for e in embeddings)]
    return muon(matrices, [p for _, p in named if not any(p is m for m in matrices)])


def train(out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 400) -> Any:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = build_tiny_sam().train()
    embedding = sam.image_encoder.pos_embed  # (1, side, side, width), zero in the stock class
    with torch.no_grad():
        embedding.copy_(mixed_waves(embedding.shape[1], embedding.shape[3], seed)[None])

    def loss(drawn: Any, step: int) -> Tensor:
        pixels, masks, prompts = minibatch(*drawn, seed, step)
        return loss_of(*forward(sam, pixels, prompts, PROMPTS), masks)

    def measured() -> dict[str, float]:
        return dict(zip(("dice", "best_of_three"), held_out_dice(sam), strict=True))

    def save() -> None:
        save_weights(sam, out / WEIGHTS.name)

    run, draw = (steps, scenes, seed), lambda: source_scenes(scenes, seed)
    go_on(sam, optimizers_of(sam), out, run, stop_at, every, WARM_UP, draw, loss, measured, save)
    return sam.eval()


def main() -> None:
    args = options(__doc__, "results/pretrain-sam", steps=5600, scenes=12000, every=400)
    sam = trained(args, train, WEIGHTS.name)
    single, best = held_out_dice(sam, 1000)
    print(f"Dice on 1,000 held-out scenes: single mask {single:.4f}, best of three by predicted IoU {best:.4f}")
    if args.ship:
        save_weights(sam, WEIGHTS)


if __name__ == "__main__":
    main()

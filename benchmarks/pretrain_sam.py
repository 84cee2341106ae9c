"""Train the embedded tiny SAM from scratch on the source scenes, on one thread.

    python benchmarks/pretrain_sam.py --out results/pretrain-sam          # about 25 CPU-minutes; resumes
    python benchmarks/pretrain_sam.py --out results/pretrain-sam --ship   # and puts the weights into the package

The number of steps is fixed, so that the result does not depend on the machine's speed. Every step is a function of
(seed, step): 16 scenes, turned, mirrored and with permuted or inverted colours, and 3 prompts for each, of one kind in
a step. Small steps in great number (16 scenes rather than 32) and Muon (torch >= 2.9) make the most of the CPU-minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo_opt_seg.data.synthetic import domain, source_scenes
from zoo_opt_seg.embedded.sam import WEIGHTS, build_tiny_sam, decode_batch
from zoo_opt_seg.embedded.weights import load_weights, save_weights

IMAGES, PROMPTS = 16, 3
LR, WARM_UP, WEIGHT_DECAY, CLIP = 1e-3, 200, 0.03, 1.0
# one point; several points, background among them; a box; a box and a point; a rough mask and a point
KINDS = {"point": 0.72, "points": 0.1, "box": 0.08, "box and point": 0.05, "mask and point": 0.05}
HELD_OUT_SEED = 1_000_001


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


def forward(sam: Any, pixels: Tensor, prompts: dict[str, Any], repeat: int) -> tuple[Tensor, Tensor]:
    """Logits (n * repeat, 4, 48, 48) and predicted IoU (n * repeat, 4) in bf16 arithmetic."""
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = sam.image_encoder(sam.preprocess(pixels)).repeat_interleave(repeat, dim=0)
        sparse, dense = sam.prompt_encoder(**prompts)
        logits, iou = decode_batch(sam, embeddings, sparse, dense)
    return logits.float(), iou.float()


@torch.inference_mode()
def held_out_dice(sam: Any, count: int = 200, seed: int = HELD_OUT_SEED) -> tuple[float, float]:
    """Mean Dice on held-out scenes at a random point: of the single mask, and of the three's best by predicted IoU."""
    sam.eval()
    test = domain("source", seed=seed, sizes=(0, 0, count)).test
    points = pixels_in(test.masks, np.random.default_rng([seed, 2]))
    dice = []
    for start in range(0, count, 32):
        part = slice(start, start + 32)
        masks = torch.from_numpy(test.masks[part])
        given = torch.from_numpy(points[part, None]), torch.ones(len(masks), 1)
        pixels = torch.from_numpy(test.images[part]).permute(0, 3, 1, 2).float()
        sparse, dense = sam.prompt_encoder(points=given, boxes=None, masks=None)
        logits, iou = decode_batch(sam, sam.image_encoder(sam.preprocess(pixels)), sparse, dense)
        hard = sam.postprocess_masks(logits, masks.shape[1:], masks.shape[1:]) > 0
        both = 2 * (hard & masks[:, None]).sum(dim=(2, 3)) / (hard.sum(dim=(2, 3)) + masks.sum(dim=(1, 2))[:, None])
        best = both[:, 1:].gather(1, iou[:, 1:].argmax(dim=1, keepdim=True))
        dice.append(torch.cat([both[:, :1], best], dim=1))
    sam.train()
    single, best_of_three = torch.cat(dice).mean(dim=0).tolist()
    return single, best_of_three


def optimizers_of(sam: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformers, AdamW for the rest; the rates are comparable."""
    embeddings = ("embed", "token.weight", "tokens.weight")
    named = list(sam.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and min(p.shape) > 8 and not any(e in name for e in embeddings)]
    others = [p for _, p in named if not any(p is m for m in matrices)]
    muon = torch.optim.Muon(matrices, lr=LR, weight_decay=WEIGHT_DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=LR, betas=(0.9, 0.98), weight_decay=0.0, fused=True)]


def start_positions(sam: Any, seed: int) -> None:
    """Let the encoder's position embedding, zero in the stock class, begin with mixed waves of x and y."""
    embedding = sam.image_encoder.pos_embed  # (1, side, side, width)
    side, width = embedding.shape[1], embedding.shape[3]
    place = (torch.arange(side) + 0.5)[:, None] / side
    phase = math.pi * place * torch.tensor([0.5, 1, 2, 3, 4, 5])
    waves = torch.cat([phase.sin(), phase.cos()], dim=1)
    both = torch.cat([waves[None].expand(side, -1, -1), waves[:, None].expand(-1, side, -1)], dim=2)
    mixing = 0.06 * torch.randn(both.shape[2], width, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        embedding.copy_((both @ mixing)[None])


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm_up = min(WARM_UP, steps // 10 + 1)
    if step < warm_up:
        return LR * (step + 1) / warm_up
    return LR * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 400) -> Any:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    out.mkdir(parents=True, exist_ok=True)
    began, spent = time.process_time(), 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = build_tiny_sam().train()
    start_positions(sam, seed)
    optimizers = optimizers_of(sam)
    first, checkpoint = 0, out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if (state["steps"], state["scenes"], state["seed"]) != (steps, scenes, seed):
            raise SystemExit(f"{checkpoint} belongs to a run with other --steps, --scenes or --seed")
        sam.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, spent = state["step"], state["cpu_seconds"]
    if first < steps:
        images, labels = source_scenes(scenes, seed)
    running = 0.0
    for step in range(first, steps if stop_at is None else min(stop_at, steps)):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps)
        pixels, masks, prompts = minibatch(images, labels, seed, step)
        loss = loss_of(*forward(sam, pixels, prompts, PROMPTS), masks)
        sam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sam.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        done = step + 1
        if done % every == 0 or done in (steps, stop_at):
            single, best = held_out_dice(sam)
            cpu = spent + time.process_time() - began
            record = {
                "step": done,
                "loss": round(running, 4),
                "dice": round(single, 4),
                "best_of_three": round(best, 4),
                "cpu_minutes": round(cpu / 60, 2),
            }
            print(json.dumps(record), flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            saved = [optimizer.state_dict() for optimizer in optimizers]
            state = {"model": sam.state_dict(), "optimizers": saved, "step": done, "cpu_seconds": cpu}
            save_checkpoint(checkpoint, state | {"steps": steps, "scenes": scenes, "seed": seed})
            save_weights(sam, out / "sam.safetensors")
    return sam.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/pretrain-sam"))
    parser.add_argument("--steps", type=int, default=5600)
    parser.add_argument("--scenes", type=int, default=12000, help="drawn once, used again in other guises")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=400, help="steps between two saves")
    parser.add_argument("--stop-at", type=int, help="stop after this step; a later call goes on")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sam = train(args.out, args.steps, args.scenes, args.seed, args.stop_at, args.every)
    weights = args.out / "sam.safetensors"
    load_weights(sam, weights)
    single, best = held_out_dice(sam, 1000)
    print(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")
    print(f"Dice on 1,000 held-out scenes: single mask {single:.4f}, best of three by predicted IoU {best:.4f}")
    if args.ship:
        save_weights(sam, WEIGHTS)


if __name__ == "__main__":
    main()

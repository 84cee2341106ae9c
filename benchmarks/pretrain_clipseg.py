"""Train the embedded tiny CLIPSeg from scratch on source scenes with texts, on one thread.

    python benchmarks/pretrain_clipseg.py --out results/pretrain-clipseg           # about 20 CPU-minutes; resumes
    python benchmarks/pretrain_clipseg.py --out results/pretrain-clipseg --ship    # puts the weights into the package

The number of steps is fixed, so that the result does not depend on the machine's speed. Every step is a function of
(seed, step): 16 scenes, turned and mirrored, and 3 texts for each, made anew by the grammar, so that an image's parts
must be told apart by what is said. Encoders and decoder are trained together. Muon (torch >= 2.9) for the matrices.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo_opt_seg.baselines import baselines
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.data.synthetic import DOMAINS, domain, referring_scenes
from zoo_opt_seg.data.synthetic.describing import describe, vocabulary
from zoo_opt_seg.embedded.clipseg import (
    MEAN,
    STD,
    TOKENS,
    UNKNOWN,
    WEIGHTS,
    TinyTokenizer,
    build_tiny_clipseg,
    tokens_of,
)
from zoo_opt_seg.embedded.weights import load_weights, save_weights
from zoo_opt_seg.evaluation import evaluate

IMAGES, TEXTS = 16, 3
LR, WARM_UP, WEIGHT_DECAY, CLIP = 1e-3, 200, 0.03, 1.0
DROPPED = 0.01  # of the words: their row of the embedding is that of the unknown ones
FULL_STOP = 0.1  # of the texts
HELD_OUT_SEED = 1_000_001


def minibatch(scenes: Any, seed: int, step: int) -> tuple[Tensor, Tensor, list[str], np.random.Generator]:
    """Images (n, H, W, 3) uint8, the masks of the objects said (n * m, H, W), their texts, and the step's generator."""
    images, labels, objects = scenes
    rng = np.random.default_rng([seed, 1, step])
    shown, masks, texts = [], [], []
    while len(shown) < IMAGES:
        row, turn, mirror = int(rng.integers(len(images))), int(rng.integers(4)), bool(rng.random() < 0.5)
        image, label = np.rot90(images[row], turn), np.rot90(labels[row], turn)
        image, label = (image[:, ::-1], label[:, ::-1]) if mirror else (image, label)
        things = [thing.turned(turn, mirror) for thing in objects[row]]
        said: list[tuple[int, str]] = []
        for _ in range(2 * TEXTS):  # each object once before one comes again; those that no text picks are left out
            order = rng.permutation(len(things)).tolist()
            said += [(k, text) for k in order if (text := describe(rng, things, k)) is not None]
            if len(said) >= TEXTS:
                break
        else:
            continue
        shown.append(image)
        for k, text in said[:TEXTS]:
            masks.append(label == k + 1)
            texts.append(text + "." * (rng.random() < FULL_STOP))
    return torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(masks)), texts, rng


def tokenized(tokenizer: Any, texts: list[str], rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Token numbers and mask, cut to the longest text; with a generator some words are made unknown."""
    ids, present = tokenizer(texts)
    longest = int(present.sum(dim=1).max())
    ids, present = ids[:, :longest], present[:, :longest]
    if rng is not None:
        dropped = torch.from_numpy(rng.random(ids.shape) < DROPPED)
        dropped[:, 0] = False
        dropped &= (present.cumsum(dim=1) < present.sum(dim=1, keepdim=True)) & present.bool()
        ids = torch.where(dropped, UNKNOWN, ids)
    return ids, present


def forward(model: Any, images: Tensor, ids: Tensor, present: Tensor) -> Tensor:
    """Logits (n * m, 48, 48) of images (n, H, W, 3) in bytes and m texts each, with gradients in both encoders."""
    pixels = (images.permute(0, 3, 1, 2).float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    states = model.clip.get_image_features(pixel_values=pixels, output_hidden_states=True).hidden_states
    repeat = len(ids) // len(images)
    skips = [states[i + 1].repeat_interleave(repeat, dim=0) for i in model.config.extract_layers]
    condition = model.clip.get_text_features(ids, attention_mask=present).pooler_output
    logits: Tensor = model.decoder(skips, condition).logits
    return logits


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """BCE + Dice."""
    target = F.avg_pool2d(masks.float(), 2)
    bce = F.binary_cross_entropy_with_logits(logits, target)
    p = logits.sigmoid()
    dice = 1 - (2 * (p * target).sum(dim=(1, 2)) + 1) / ((p + target).sum(dim=(1, 2)) + 1)
    return bce + dice.mean()


@torch.inference_mode()
def text_dice(model: Any, tokenizer: Any, samples: Samples, seed: int = 0) -> float:
    """Mean Dice of samples, each asked by one of its texts; the logits enlarged to the masks' size."""
    model.eval()
    texts = draw_prompts("text", samples, seed).texts or ()
    found = []
    for start in range(0, len(samples), 32):
        part = slice(start, start + 32)
        ids, present = tokenized(tokenizer, list(texts[part]))
        logits = forward(model, torch.from_numpy(samples.images[part]), ids, present)
        hard = F.interpolate(logits[:, None], samples.size, mode="bilinear", align_corners=False)[:, 0] > 0
        masks = torch.from_numpy(samples.masks[part])
        found.append(2 * (hard & masks).sum(dim=(1, 2)) / (hard.sum(dim=(1, 2)) + masks.sum(dim=(1, 2))))
    model.train()
    return float(torch.cat(found).mean())


def held_out_dice(model: Any, tokenizer: Any, count: int = 200, seed: int = HELD_OUT_SEED) -> float:
    """Mean Dice on held-out scenes."""
    return text_dice(model, tokenizer, domain("referring", seed=seed, sizes=(0, 0, count)).test)


def zero_shot(model: Any, tokenizer: Any, name: str) -> dict[str, float]:
    """Mean Dice on a domain's validation images: by a random text, by each kind of text, and of the trivial lines."""
    splits = domain(name)
    samples = splits.validation
    found = {"text": text_dice(model, tokenizer, samples)}
    for i in range(len((samples.texts or [()])[0])):
        texts = tuple((kinds[i],) for kinds in samples.texts or ())
        found[f"p{i + 1}"] = text_dice(model, tokenizer, replace(samples, texts=texts))
    for line, box in baselines(splits, points="text").items():
        found[line] = float(evaluate(box, samples, repeats=1, draw="text", distances=False).dice.mean())
    return {key: round(value, 3) for key, value in found.items()}


def optimizers_of(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformers, AdamW for the rest; the rates are comparable."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and "embedding" not in name]
    others = [p for _, p in named if not any(p is m for m in matrices)]
    muon = torch.optim.Muon(matrices, lr=LR, weight_decay=WEIGHT_DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=LR, betas=(0.9, 0.98), weight_decay=0.0, fused=True)]


def start_positions(model: Any, seed: int) -> None:
    """Let the position embedding of the patches begin with mixed waves of x and y."""
    weight = model.clip.vision_model.embeddings.position_embedding.weight  # (1 + side * side, width)
    side = math.isqrt(len(weight) - 1)
    place = (torch.arange(side) + 0.5)[:, None] / side
    phase = math.pi * place * torch.tensor([0.5, 1, 2, 3, 4, 5])
    waves = torch.cat([phase.sin(), phase.cos()], dim=1)
    both = torch.cat([waves[None].expand(side, -1, -1), waves[:, None].expand(-1, side, -1)], dim=2)
    mixing = 0.06 * torch.randn(both.shape[2], weight.shape[1], generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        weight[1:] = (both @ mixing).flatten(0, 1)


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm_up = min(WARM_UP, steps // 10 + 1)
    if step < warm_up:
        return LR * (step + 1) / warm_up
    return LR * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def new_model(kept: tuple[int, ...], seed: int) -> Any:
    """The model at the start; the parts that only images as prompts would use are left as drawn.

    transformers draws the decoder's projections with a standard deviation of 1, from which no training gets away (the
    first logits are in the hundreds): they are drawn again as torch does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_tiny_clipseg(len(kept)).train()
        decoder = model.decoder
        for part in (decoder.film_mul, decoder.film_add, *decoder.reduces, *decoder.transposed_convolution):
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
    unused = (model.clip.visual_projection, model.clip.vision_model.post_layernorm)
    for parameter in [model.clip.logit_scale, *(p for module in unused for p in module.parameters())]:
        parameter.requires_grad_(False)
    start_positions(model, seed)
    return model


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 400) -> Any:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    out.mkdir(parents=True, exist_ok=True)
    began, spent = time.process_time(), 0.0
    kept = tokens_of([*vocabulary(), "."])
    tokenizer = TinyTokenizer(kept)
    model = new_model(kept, seed)
    optimizers = optimizers_of(model)
    first, checkpoint = 0, out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if (state["steps"], state["scenes"], state["seed"]) != (steps, scenes, seed):
            raise SystemExit(f"{checkpoint} belongs to a run with other --steps, --scenes or --seed")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, spent = state["step"], state["cpu_seconds"]
    drawn = referring_scenes(scenes, seed) if first < steps else None
    running = 0.0
    for step in range(first, steps if stop_at is None else min(stop_at, steps)):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps)
        images, masks, texts, rng = minibatch(drawn, seed, step)
        loss = loss_of(forward(model, images, *tokenized(tokenizer, texts, rng)), masks)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        done = step + 1
        if done % every == 0 or done in (steps, stop_at):
            dice = held_out_dice(model, tokenizer)
            cpu = spent + time.process_time() - began
            record = {
                "step": done,
                "loss": round(running, 4),
                "dice": round(dice, 4),
                "cpu_minutes": round(cpu / 60, 2),
            }
            print(json.dumps(record), flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            saved = [optimizer.state_dict() for optimizer in optimizers]
            state = {"model": model.state_dict(), "optimizers": saved, "step": done, "cpu_seconds": cpu}
            save_checkpoint(checkpoint, state | {"steps": steps, "scenes": scenes, "seed": seed})
            save_weights(model, out / WEIGHTS.name)
            (out / TOKENS.name).write_text(json.dumps({"tokens": kept}) + "\n")
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/pretrain-clipseg"))
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--scenes", type=int, default=8000, help="drawn once, used again in other guises")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=100, help="steps between two saves")
    parser.add_argument("--stop-at", type=int, help="stop after this step; a later call goes on")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = train(args.out, args.steps, args.scenes, args.seed, args.stop_at, args.every)
    weights = args.out / WEIGHTS.name
    load_weights(model, weights)
    tokenizer = TinyTokenizer(json.loads((args.out / TOKENS.name).read_text())["tokens"])
    print(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")
    print(f"Dice on 1,000 held-out scenes: {held_out_dice(model, tokenizer, 1000):.4f}")
    for name in DOMAINS:
        print(f"{name}, validation: {zero_shot(model, tokenizer, name)}")
    if args.ship:
        save_weights(model, WEIGHTS)
        TOKENS.write_text((args.out / TOKENS.name).read_text())


if __name__ == "__main__":
    main()

"""Train the embedded tiny CLIPSeg from scratch on source scenes with texts, on one thread.

    python benchmarks/pretrain_clipseg.py --out results/pretrain-clipseg           # about 20 CPU-minutes; resumes
    python benchmarks/pretrain_clipseg.py --out results/pretrain-clipseg --ship    # puts the weights into the package

The number of steps is fixed, so that the result does not depend on the machine's speed. Every step is a function of
(seed, step): 16 scenes, turned and mirrored, and 3 texts for each, made anew by the grammar, so that an image's parts
must be told apart by what is said. Encoders and decoder are trained together. Muon (torch >= 2.9) for the matrices.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pretraining import HELD_OUT_SEED, go_on, mixed_waves, muon, options, trained
from torch import Tensor

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
from zoo_opt_seg.embedded.weights import save_weights
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.trivial import baselines

IMAGES, TEXTS = 16, 3
WARM_UP = 200
DROPPED = 0.01  # of the words: their row of the embedding is that of the unknown ones
FULL_STOP = 0.1  # of the texts


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
    dice = []
    for start in range(0, len(samples), 32):
        part = slice(start, start + 32)
        ids, present = tokenized(tokenizer, list(texts[part]))
        logits = forward(model, torch.from_numpy(samples.images[part]), ids, present)
        hard = F.interpolate(logits[:, None], samples.size, mode="bilinear", align_corners=False)[:, 0] > 0
        masks = torch.from_numpy(samples.masks[part])
        dice.append(2 * (hard & masks).sum(dim=(1, 2)) / (hard.sum(dim=(1, 2)) + masks.sum(dim=(1, 2))))
    model.train()
    return float(torch.cat(dice).mean())


def held_out_dice(model: Any, tokenizer: Any, count: int = 200, seed: int = HELD_OUT_SEED) -> float:
    """Mean Dice on held-out scenes."""
    return text_dice(model, tokenizer, domain("referring", seed=seed, sizes=(0, 0, count)).test)


def zero_shot(model: Any, tokenizer: Any, name: str) -> dict[str, float]:
    """Mean Dice on a domain's validation images: by a random text, by each kind of text, and of the trivial lines."""
    splits = domain(name)
    samples = splits.validation
    figures = {"text": text_dice(model, tokenizer, samples)}
    for i in range(len((samples.texts or [()])[0])):
        texts = tuple((kinds[i],) for kinds in samples.texts or ())
        figures[f"p{i + 1}"] = text_dice(model, tokenizer, replace(samples, texts=texts))
    for line, box in baselines(splits, points="text").items():
        figures[line] = float(evaluate(box, samples, repeats=1, draw="text", distances=False).dice.mean())
    return {key: round(value, 3) for key, value in figures.items()}


def optimizers_of(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformers, AdamW for the rest."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and "embedding" not in name]
    return muon(matrices, [p for _, p in named if not any(p is m for m in matrices)])


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
    positions = model.clip.vision_model.embeddings.position_embedding.weight  # (1 + side * side, width)
    with torch.no_grad():
        positions[1:] = mixed_waves(math.isqrt(len(positions) - 1), positions.shape[1], seed).flatten(0, 1)
    return model


def train(out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 400) -> Any:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    kept = tokens_of([*vocabulary(), "."])
    tokenizer, model = TinyTokenizer(kept), new_model(kept, seed)

    def loss(drawn: Any, step: int) -> Tensor:
        images, masks, texts, rng = minibatch(drawn, seed, step)
        return loss_of(forward(model, images, *tokenized(tokenizer, texts, rng)), masks)

    def measured() -> dict[str, float]:
        return {"dice": held_out_dice(model, tokenizer)}

    def save() -> None:
        save_weights(model, out / WEIGHTS.name)
        (out / TOKENS.name).write_text(json.dumps({"tokens": kept}) + "\n")

    run, draw = (steps, scenes, seed), lambda: referring_scenes(scenes, seed)
    go_on(model, optimizers_of(model), out, run, stop_at, every, WARM_UP, draw, loss, measured, save)
    return model.eval()


def main() -> None:
    args = options(__doc__, "results/pretrain-clipseg", steps=2200, scenes=8000, every=100)
    model = trained(args, train, WEIGHTS.name)
    tokenizer = TinyTokenizer(json.loads((args.out / TOKENS.name).read_text())["tokens"])
    print(f"Dice on 1,000 held-out scenes: {held_out_dice(model, tokenizer, 1000):.4f}")
    for name in DOMAINS:
        print(f"{name}, validation: {zero_shot(model, tokenizer, name)}")
    if args.ship:
        save_weights(model, WEIGHTS)
        TOKENS.write_text((args.out / TOKENS.name).read_text())


if __name__ == "__main__":
    main()

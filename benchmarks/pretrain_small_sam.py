"""Train the embedded small SAM on real pictures and source scenes, on one thread: it plays a vendor's model.

    python benchmarks/pretrain_small_sam.py --out results/pretrain-small-sam          # CPU-minutes in the card; resumes
    python benchmarks/pretrain_small_sam.py --out results/pretrain-small-sam --ship   # and puts the weights in place

The pictures are those of ``../shared/data/medical`` and ``photos`` (`real_pictures`), which are not in the repository;
docs/seg-small-sam.md is the card of what comes out. The number of steps is fixed and every step is a function of
(seed, step): 9 medical pictures, 3 photographs and 4 source scenes, seen from elsewhere and in other colours, and 2
prompts for each, of one kind in a step. Prompt encoder and mask decoder start as those of the tiny SAM, the image
encoder at random. Arithmetic is in single precision: where a CPU has no bf16, it would be slower.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pretrain_sam import at_a_point, dice_of, forward, loss_of, pixels_in, prompts_of
from pretraining import HELD_OUT_SEED, adamw, go_on, late_fall, mixed_waves, options, trained
from real_pictures import Pictures, read_pictures
from torch import Tensor

from zoo_opt_seg.data.synthetic import source_scenes
from zoo_opt_seg.embedded import TINY_SIZE, tiny_sam
from zoo_opt_seg.embedded.small import WEIGHTS, build_small_sam
from zoo_opt_seg.embedded.weights import save_weights

PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARES = {"medical": 9, "photos": 3, "drawn": 4}  # of the images of a step
PROMPTS = 2
WARM_UP = 300
KINDS = {"point": 0.62, "points": 0.12, "box": 0.14, "box and point": 0.06, "mask and point": 0.06}
FAVOURED = {"polypgen": 3.0, "dsb2018": 1.5}  # 1 else, times the root of a set's number of pictures
LEAST = 20  # pixels of an object that is asked for
PER_SET = 60  # objects measured in a set of the design part


@dataclass(frozen=True, eq=False)
class Pool:
    """What images of a step are drawn from: pictures, and the probability of each."""

    pictures: Pictures
    chances: np.ndarray

    @classmethod
    def of(cls, pictures: Pictures) -> "Pool":
        """Pictures of each set in proportion to the root of their number, some sets favoured."""
        names, of_set, counts = np.unique(pictures.sets, return_inverse=True, return_counts=True)
        weights = np.array([FAVOURED.get(str(name), 1.0) for name in names]) / np.sqrt(counts)
        chances = weights[of_set]
        return cls(pictures, chances / chances.sum())


def drawn_pool(scenes: int, seed: int) -> Pool:
    """Source scenes as pictures."""
    images, labels = source_scenes(scenes, seed, size=TINY_SIZE)
    objects = [label == np.arange(1, label.max() + 1)[:, None, None] for label in labels]
    names = np.full(scenes, "drawn")
    return Pool.of(Pictures(images, objects, names, names))


def minibatch(pools: dict[str, Pool], seed: int, step: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Images (n, 3, S, S), the prompted objects' masks (n * PROMPTS, S, S), and the prompts of a step."""
    rng = np.random.default_rng([seed, 1, step])
    images, masks = [], []
    for name, share in SHARES.items():
        pool = pools[name]
        for row in rng.choice(len(pool.chances), share, p=pool.chances):
            objects = pool.pictures.objects[row]
            images.append(pool.pictures.images[row])
            masks.append(objects[rng.integers(len(objects), size=PROMPTS)])
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    seen, shown = viewed(pixels, torch.from_numpy(np.stack(masks)), rng)
    flat = shown.flatten(0, 1)
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    return coloured(seen, rng), flat, prompts_of(flat.numpy(), str(kind), rng)


def viewed(pixels: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images (n, 3, S, S) and masks (n, m, S, S) turned, mirrored, and most of them zoomed and slightly tilted.

    A view keeps a random pixel of the first object; an object that is hardly in it gives way to the first.
    """
    n, side = len(pixels), pixels.shape[2]
    area = masks[:, 0].float().mean(dim=(1, 2)).numpy()
    most = np.sqrt(0.6 / np.maximum(area, 1e-3))  # at which zoom the first object fills most of the view
    moved = rng.random(n) < 0.65
    zoom = np.where(moved, np.exp(rng.uniform(np.log(0.8), np.log(2.5), n)).clip(max=np.maximum(most, 0.8)), 1.0)
    stretch = np.where(moved, np.exp(rng.normal(0, 0.12, n)), 1.0)
    angle = rng.integers(4, size=n) * (np.pi / 2) + np.where(moved, rng.normal(0, 0.15, n), 0.0)
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(n, 2, 2)
    linear = turn * np.stack([mirror * stretch / zoom, 1 / (stretch * zoom)], axis=1)[:, None]
    held = (pixels_in(masks[:, 0].numpy(), rng) + 0.5) / side * 2 - 1  # in the picture's coordinates, -1 to 1
    place = rng.uniform(-0.7, 0.7, (n, 2))  # where the view has it
    shift = held - np.einsum("nij,nj->ni", linear, place)
    room = np.maximum(1 - 1 / zoom, 0)[:, None]  # the view does not leave the picture by more than it must
    shift = np.where(moved[:, None], shift.clip(-room, room), 0.0)
    affine = torch.from_numpy(np.concatenate([linear, shift[:, :, None]], axis=2)).float()
    both = torch.cat([pixels, masks.float()], dim=1)
    warped = F.grid_sample(both, F.affine_grid(affine, both.shape, align_corners=False), align_corners=False)
    shown = warped[:, 3:] > 0.5
    first = shown[:, :1]
    shown = torch.where((shown.sum(dim=(2, 3)) >= LEAST)[:, :, None, None], shown, first)
    lost = first.sum(dim=(1, 2, 3)) < LEAST  # as small as that before, or at the view's edge
    seen = torch.where(lost[:, None, None, None], pixels, warped[:, :3])
    return seen, torch.where(lost[:, None, None, None], masks[:, :1].expand_as(masks), shown)


def coloured(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Images in 0..255 in other colours, contrasts and sharpness."""
    n = len(pixels)

    def some(chance: float) -> Tensor:
        return torch.from_numpy(rng.random(n) < chance)[:, None, None, None]

    def each(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().reshape(n, -1, 1, 1)

    x = (pixels / 255).clamp(0, 1)
    permuted = torch.stack([image[rng.permutation(3)] for image in x])
    x = torch.where(some(0.25), permuted, x)
    x = torch.where(some(0.15), 1 - x, x)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * each(rng.uniform(0.4, 1.5, n) * (rng.random(n) > 0.15))
    x = x.clamp(1e-4, 1) ** each(np.exp(rng.normal(0, 0.25, n)))
    x = x * each(rng.uniform(0.75, 1.25, (n, 1)) * rng.uniform(0.88, 1.12, (n, 3))) + each(rng.normal(0, 0.05, n))
    x = torch.where(some(0.25), F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), x)
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    x = x + noise * each(rng.uniform(0, 0.06, n) * (rng.random(n) < 0.25))
    return (255 * x).clamp(0, 255)


def objects_by_set(parts: list[Pictures], seed: int = HELD_OUT_SEED) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """At most PER_SET images and masks of each set, an object of every picture in turn."""
    rng, found = np.random.default_rng(seed), {}
    for part in parts:
        for name in np.unique(part.sets):
            rows = rng.permutation(np.flatnonzero(part.sets == name))[:PER_SET]
            masks = [part.objects[i][rng.integers(len(part.objects[i]))] for i in rows]
            found[str(name)] = part.images[rows], np.stack(masks)
    return found


def dice_by_set(
    sam: Any, objects: dict[str, tuple[np.ndarray, np.ndarray]], seed: int = HELD_OUT_SEED
) -> dict[str, float]:
    """Mean Dice of the single mask of a set's objects, each asked about at a point."""
    figures = {}
    for name, (images, masks) in objects.items():
        prompts = at_a_point(masks, np.random.default_rng([seed, 2]))
        figures[name] = dice_of(sam, images, masks, prompts)[:, 0].mean().item()
    return figures


def design_dice(figures: dict[str, float], objects: dict[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean of the sets with 10 objects or more: what settings are chosen by."""
    return float(np.mean([figures[name] for name, (images, _) in objects.items() if len(images) >= 10]))


def start(seed: int) -> Any:
    """The small SAM as training begins."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam: Any = build_small_sam().train()
    tiny = tiny_sam()
    sam.prompt_encoder.load_state_dict(tiny.prompt_encoder.state_dict())
    sam.mask_decoder.load_state_dict(tiny.mask_decoder.state_dict())
    embedding = sam.image_encoder.pos_embed
    with torch.no_grad():
        embedding.copy_(mixed_waves(embedding.shape[1], embedding.shape[3], seed)[None])
    sam.image_encoder.to(memory_format=torch.channels_last)
    return sam


def train(
    pictures: Path, out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 250
) -> Any:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    sam, parts = start(seed), read_pictures(pictures, TINY_SIZE)
    objects = objects_by_set([design for _, design in parts.values()])

    def draw() -> dict[str, Pool]:
        return {name: Pool.of(part) for name, (part, _) in parts.items()} | {"drawn": drawn_pool(scenes, seed)}

    def loss(pools: Any, step: int) -> Tensor:
        pixels, masks, prompts = minibatch(pools, seed, step)
        return loss_of(*forward(sam, pixels, prompts, PROMPTS, bf16=False), masks)

    def measured() -> dict[str, float]:
        figures = dice_by_set(sam, objects)
        return {"design": design_dice(figures, objects), **figures}

    def save() -> None:
        save_weights(sam, out / WEIGHTS.name)

    run = (steps, scenes, seed)
    go_on(sam, adamw(sam), out, run, stop_at, every, WARM_UP, draw, loss, measured, save, late_fall)
    return sam.eval()


def main() -> None:
    args = options(__doc__, "results/pretrain-small-sam", steps=7000, scenes=4000, every=250, pictures=PICTURES)
    torch.set_flush_denormal(True)
    sam = trained(args, partial(train, args.pictures), WEIGHTS.name)
    if args.ship:
        save_weights(sam, WEIGHTS)


if __name__ == "__main__":
    main()

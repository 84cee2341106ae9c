"""Train the embedded tiny encoder from scratch on the source scenes, on one thread.

    python benchmarks/pretrain_encoder.py --out results/pretrain-encoder          # about 6 CPU-minutes; resumes
    python benchmarks/pretrain_encoder.py --out results/pretrain-encoder --ship   # and ships the weights

A masked autoencoder: of 144 patches 48 are looked at, and a decoder of one layer fills in the others. From the CLS
vector alone, a linear layer tells the mean and spread of the colours of every patch; without it, nothing would oblige
the CLS vector to know about the image. The number of steps is fixed, so that the result does not depend on the
machine's speed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pretraining import HELD_OUT_SEED, LR, go_on, options, trained
from torch import Tensor, nn

from zoo_opt_seg.data.synthetic import source_scenes
from zoo_opt_seg.embedded.encoder import PATCH, WEIGHTS, TinyEncoder
from zoo_opt_seg.embedded.weights import save_weights

BATCH, SEEN = 32, 48
WARM_UP, WEIGHT_DECAY = 150, 0.05


class Autoencoder(nn.Module):
    """The encoder, a decoder of one layer for the patches, and a linear read-out of the CLS vector."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TinyEncoder()
        dim, count = self.encoder.dim, (self.encoder.size // PATCH) ** 2
        self.mask = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerEncoder(layer, 1, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.pixels = nn.Linear(dim, 3 * PATCH**2)
        self.colours = nn.Linear(dim, 6 * count)

    def forward(self, images: Tensor, order: Tensor) -> Tensor:
        """The loss of images (n, 3, H, W) in [0, 1]; the first patches of ``order`` (n, patches) are seen."""
        truth = F.unfold(images, PATCH, stride=PATCH).transpose(1, 2)
        split = truth.unflatten(2, (3, PATCH**2))
        mean, spread = split.mean(dim=3), split.std(dim=3)
        tokens = self.encoder.tokens(images, order[:, :SEEN])
        guess = self.colours(tokens[:, 0]).view(len(images), -1, 6)
        whole = F.mse_loss(guess, torch.cat([(mean - 0.5) / 0.25, (spread - 0.05) / 0.06], dim=2))
        filled = self.mask.expand(len(images), order.shape[1], -1).scatter(
            1, order[:, :SEEN, None].expand(-1, -1, tokens.shape[2]), tokens[:, 1:]
        )
        decoded = self.pixels(self.decoder(torch.cat([tokens[:, :1], filled + self.positions], dim=1))[:, 1:])
        error = (decoded - (truth - 0.5) / 0.25).square().mean(dim=2)
        return error.gather(1, order[:, SEEN:]).mean() + 0.5 * whole


def minibatch(images: np.ndarray, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Images of a step, turned, mirrored, and with permuted or inverted colours; and an order of each one's patches."""
    rng = np.random.default_rng([seed, 2, step])
    shown = []
    for row in rng.choice(len(images), BATCH, replace=len(images) < BATCH):
        image = np.rot90(images[row], rng.integers(4))[:, :: int(rng.choice([-1, 1]))][:, :, rng.permutation(3)]
        shown.append(255 - image if rng.random() < 0.5 else image)
    order = rng.random((BATCH, (images.shape[1] // PATCH) ** 2)).argsort(axis=1)
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(order)


@torch.inference_mode()
def vectors(encoder: TinyEncoder, images: np.ndarray) -> np.ndarray:
    """CLS vectors (n, dim) of images uint8 (n, H, W, 3)."""
    parts = torch.from_numpy(images).permute(0, 3, 1, 2).split(64)
    return torch.cat([encoder(part.float() / 255) for part in parts]).numpy()


def probes(encoder: TinyEncoder, scenes: int = 2000) -> dict[str, float]:
    """R^2 on held-out scenes of a ridge regression from the CLS vector: what can be read off linearly."""
    images, labels = source_scenes(scenes, HELD_OUT_SEED)
    x = vectors(encoder, images).astype(np.float64)
    x = np.hstack([(x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6), np.ones((scenes, 1))])
    targets = {
        "mean colour": images.mean(axis=(1, 2)) / 255,
        "number of objects": labels.max(axis=(1, 2))[:, None].astype(float),
        "coverage": (labels > 0).mean(axis=(1, 2))[:, None],
        "objects' centre": np.stack([np.argwhere(label > 0).mean(axis=0) for label in labels]),
    }
    train, test = slice(0, scenes * 3 // 4), slice(scenes * 3 // 4, scenes)
    normal = x[train].T @ x[train] + 3.0 * np.eye(x.shape[1])
    scores = {}
    for name, y in targets.items():
        error = y[test] - x[test] @ np.linalg.solve(normal, x[train].T @ y[train])
        scores[name] = round(float(1 - error.var() / (y[test] - y[test].mean(axis=0)).var()), 3)
    return scores


def train(out: Path, steps: int, scenes: int, seed: int, stop_at: int | None = None, every: int = 250) -> TinyEncoder:
    """Train, or go on with what ``out`` holds; ``stop_at`` ends early, as a kill after that step would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY, fused=True)

    def loss(images: Any, step: int) -> Tensor:
        value: Tensor = model(*minibatch(images, seed, step))
        return value

    def save() -> None:
        save_weights(model.encoder, out / WEIGHTS.name)

    run, draw = (steps, scenes, seed), lambda: source_scenes(scenes, seed)[0]
    go_on(model, [optimizer], out, run, stop_at, every, WARM_UP, draw, loss, dict, save)
    return model.encoder.eval()


def main() -> None:
    args = options(__doc__, "results/pretrain-encoder", steps=2000, scenes=6000, every=250)
    encoder = trained(args, train, WEIGHTS.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        untrained = TinyEncoder().eval()
    print("R^2 of linear probes, trained:  ", probes(encoder))
    print("R^2 of linear probes, untrained:", probes(untrained))
    if args.ship:
        save_weights(encoder, WEIGHTS)


if __name__ == "__main__":
    main()

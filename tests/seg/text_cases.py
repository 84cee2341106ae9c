"""Small CLIPs of open_clip's with drawn weights, a tokenizer of a few words, and discs that two texts tell apart."""

from collections.abc import Sequence

import numpy as np
import torch

from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.whitebox.clip.backbone import open_clip_model

SIZE = 64
WORDS = ("<start>", "a", "red", "blue", "disc", "the", "on", "black")
LENGTH, END = 8, 9  # of a text in tokens; the number of the end-of-text token, the highest
TEXT = {"context_length": LENGTH, "vocab_size": END + 1, "width": 16, "heads": 2, "layers": 2}
RESNET = {"image_size": SIZE, "layers": (1, 1, 1, 1), "width": 8, "head_width": 64}
VIT = {"image_size": 48, "layers": 4, "width": 24, "head_width": 8, "patch_size": 8}


def words(texts: Sequence[str]) -> torch.Tensor:
    """Ids as open_clip's tokenizers give them: padded by 0 after the highest of all."""
    ids = torch.zeros(len(texts), LENGTH, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        found = [WORDS.index(word) for word in ("<start>", *text.split())] + [END]
        row[: len(found)] = torch.tensor(found)
    return ids


def clip_config(vision: dict) -> dict:
    """Arguments of `open_clip.model.CLIP`."""
    return {"embed_dim": 20, "quick_gelu": True, "vision_cfg": dict(vision), "text_cfg": dict(TEXT)}


def small_clip(vision: dict, seed: int = 0) -> torch.nn.Module:
    """A CLIP whose weights are far enough from zero for differences to be seen."""
    clip = open_clip_model(clip_config(vision), seed=seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed + 1)
        for parameter in clip.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return clip


def two_discs(n: int, seed: int) -> Samples:
    """n images of 40 x 48 with a red and a blue disc; the text says which is meant."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :48]
    images, masks, texts = rng.integers(0, 60, (n, 40, 48, 3), np.uint8), np.zeros((n, 40, 48), bool), []
    for i in range(n):
        found = []
        for side, channel in zip(rng.permutation([12, 36]), (0, 2), strict=True):
            disc = (y - rng.integers(12, 28)) ** 2 + (x - side) ** 2 <= rng.integers(6, 10) ** 2
            images[i, disc, channel] = 230
            found.append(disc)
        meant = int(rng.integers(2))
        masks[i] = found[meant]
        texts.append(((f"the {('red', 'blue')[meant]} disc", f"a {('red', 'blue')[meant]} disc"),))
    return Samples(images, masks, tuple(f"discs-{seed}-{i}" for i in range(n)), texts=tuple(texts))


def two_discs_splits() -> Splits:
    """16, 6 and 4 images."""
    return Splits("two discs", two_discs(16, 1), two_discs(6, 2), two_discs(4, 3))

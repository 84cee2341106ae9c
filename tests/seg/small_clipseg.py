"""Small stand-ins for the tests: a random CLIPSeg, a tokenizer of letters, a folder as transformers saves it."""

import functools
import gzip
import json
from pathlib import Path

import numpy as np
import torch
from seg.small import SIZE, disc_splits
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from zoo_opt.bench import factory
from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox
from zoo_opt_seg.data.samples import Splits

LETTERS = 64
START, END = LETTERS - 2, LETTERS - 1
TEXTS = ("bright disc", "the disc", "a pale round spot")


@functools.cache
def _weights(words: int, size: int, seed: int):
    text = {"vocab_size": words, "bos_token_id": words - 2, "eos_token_id": words - 1, "num_hidden_layers": 2}
    vision = {"image_size": size, "patch_size": 8, "num_hidden_layers": 3}
    both = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    text, vision = {**text, **both, "max_position_embeddings": 24}, {**vision, **both}
    decoder = {"decoder_num_attention_heads": 4, "decoder_intermediate_size": 32, "reduce_dim": 16}
    decoder |= {"extract_layers": [0, 1, 2], "use_complex_transposed_convolution": True}
    config = CLIPSegConfig(text_config=text, vision_config=vision, projection_dim=16, **decoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPSegForImageSegmentation(config)
        for value in model.parameters():  # its own start gives almost the same logit everywhere
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=value[0].numel() ** -0.5)
    return config, model.state_dict()


def small_clipseg(words: int = LETTERS, size: int = SIZE, seed: int = 0):
    """CLIPSeg of 32 px with random weights whose answers depend on image and text, 0.06 M parameters."""
    config, state = _weights(words, size, seed)
    with torch.random.fork_rng(devices=[]):
        model = CLIPSegForImageSegmentation(config)
    model.load_state_dict(state)
    return model.eval()


def letters(texts):
    """Ids and attention mask: a number for each character, padded."""
    rows = [[START, *(ord(c) % START for c in text[:20]), END] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [END] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


@factory("black box")
def box(**options) -> ClipSegBlackBox:
    """The small CLIPSeg as a black box."""
    return ClipSegBlackBox(model=small_clipseg(), tokenizer=letters, **options)


@factory("data")
def told_splits() -> Splits:
    """12, 6 and 6 discs with texts."""
    return disc_splits().with_texts(*TEXTS)


def save_folder(folder: Path) -> Path:
    """Write a small CLIPSeg with CLIP's own tokenizer and a processor of 40 px, as ``save_pretrained`` does."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe
    from transformers import CLIPSegProcessor, CLIPTokenizer, ViTImageProcessor

    with gzip.open(default_bpe(), "rt") as file:
        merges = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(w + "</w>" for w in letters), *("".join(m.split()) for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "made" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    images = ViTImageProcessor(size={"height": 40, "width": 40}, image_mean=mean, image_std=std)
    saved = folder / "small-clipseg"
    small_clipseg(len(words)).save_pretrained(saved)
    CLIPSegProcessor(images, CLIPTokenizer.from_pretrained(folder / "made")).save_pretrained(saved)
    return saved


def pictures(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random images, uint8, not quite noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (n, height // 5 + 1, width // 5 + 1, 3))
    fine = coarse.repeat(5, axis=1).repeat(5, axis=2)[:, :height, :width]
    return (fine + rng.integers(0, 56, fine.shape)).astype(np.uint8)

"""What the tests of VLSM adapters share: a random CLIPSeg of 24 pixels, its inputs, its black box, spots with texts."""

import numpy as np
import torch
import transformers

from zoo_opt.bench import factory
from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.whitebox.core.trainer import seeded

EOS = 29


def small(**changes):
    """CLIPSeg of 24 px and random weights: 5 vision layers of width 16, 4 text layers of width 12."""
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 5, "num_attention_heads": 2}
    text = {"hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 4, "num_attention_heads": 2}
    text |= {"vocab_size": 30, "max_position_embeddings": 7, "bos_token_id": 28, "eos_token_id": EOS}
    settings = {"extract_layers": [0, 2, 3], "reduce_dim": 8, "projection_dim": 12, "decoder_num_attention_heads": 2}
    settings |= {"decoder_intermediate_size": 16, "use_complex_transposed_convolution": True}
    config = transformers.CLIPSegConfig(
        vision_config=vision | {"image_size": 24, "patch_size": 8} | changes.pop("vision", {}),
        text_config=text | changes.pop("text", {}),
        **settings | changes,
    )
    with seeded((5,)):
        model = transformers.CLIPSegForImageSegmentation(config).eval()
        for parameter in model.parameters():  # transformers' own start is so small that nothing would be seen
            parameter.data += 0.15 * torch.randn_like(parameter)
    return model


def inputs(n: int = 3) -> dict:
    """Images and texts of different lengths, padded."""
    with seeded((6,)):
        pixels = torch.randn(n, 3, 24, 24)
    ids = torch.tensor([[28, 3, 4, EOS, 0, 0, 0], [28, 7, EOS, 0, 0, 0, 0], [28, 9, 1, 2, 5, 6, EOS]])[:n]
    lengths = (ids == EOS).int().argmax(1)
    return {"pixel_values": pixels, "input_ids": ids, "attention_mask": (torch.arange(7) <= lengths[:, None]).long()}


def tokens(texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Words by their lengths: input_ids and attention_mask."""
    ids, lengths = torch.zeros(len(texts), 7, dtype=torch.long), []
    for row, text in enumerate(texts):
        words = [28, *(len(word) for word in text.split()[:5]), EOS]
        ids[row, : len(words)] = torch.tensor(words)
        lengths.append(len(words))
    return ids, (torch.arange(7) < torch.tensor(lengths)[:, None]).long()


@factory("black box")
def box() -> ClipSegBlackBox:
    """The small CLIPSeg as a black box."""
    return ClipSegBlackBox(model=small(), tokenizer=tokens)


def spots(n: int, seed: int) -> Samples:
    """n images of 24 px with a red and a blue spot; the text says which is the object."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :24]
    images, masks, texts = rng.integers(0, 60, (n, 24, 24, 3), np.uint8), np.zeros((n, 24, 24), bool), []
    for i in range(n):
        red = bool(rng.integers(2))
        for channel, cx in ((0, 6), (2, 17)):
            spot = (y - rng.integers(7, 17)) ** 2 + (x - cx) ** 2 <= 20
            images[i, ..., channel][spot] = 220
            if (channel == 0) == red:
                masks[i] = spot
        texts.append((("red", "a red spot"), ("on the left",)) if red else (("blue", "a blue spot"), ("right side",)))
    return Samples(images, masks, tuple(f"spots-{seed}-{i}" for i in range(n)), tuple(texts))


@factory("data")
def spot_splits() -> Splits:
    """16, 8 and 8 of them."""
    return Splits("spots", spots(16, 1), spots(8, 2), spots(8, 3))


@factory("data")
def few_polyps() -> Splits:
    """Drawn polyps of 96 px with texts, for the networks that go with the embedded CLIPSeg."""
    from zoo_opt_seg.data.synthetic import domain

    return domain("polyp", sizes=(4, 2, 2))

"""Small stand-ins for the tests: a random SAM of 32 pixels, a domain of bright discs, a prompt that moves images."""

import numpy as np
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from zoo_opt.bench import factory
from zoo_opt_seg import SamBlackBox, Samples, Splits
from zoo_opt_seg.visual_prompts.bar import BAR

SIZE = 32


def small_sam(width: int = 32, seed: int = 0) -> Sam:
    """SAM of 32 px with random weights, 0.05 M parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size, grid = (SIZE, SIZE), (SIZE // 8, SIZE // 8)
        encoder = ImageEncoderViT(SIZE, 8, embed_dim=width, depth=2, num_heads=2, mlp_ratio=2.0, out_chans=16)
        prompts = PromptEncoder(embed_dim=16, image_embedding_size=grid, input_image_size=size, mask_in_chans=4)
        transformer = TwoWayTransformer(depth=1, embedding_dim=16, num_heads=2, mlp_dim=32)
        decoder = MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_depth=2, iou_head_hidden_dim=16)
        return Sam(encoder, prompts, decoder).eval()


def discs(n: int, seed: int) -> Samples:
    """n bright discs on dark noise, 32 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    images, masks = rng.integers(0, 90, (n, SIZE, SIZE, 3), np.uint8), np.zeros((n, SIZE, SIZE), bool)
    for image, mask in zip(images, masks, strict=True):
        cy, cx, r = rng.integers(10, 22), rng.integers(10, 22), rng.integers(4, 9)
        mask[:] = (y - cy) ** 2 + (x - cx) ** 2 <= r**2
        image[mask] += 120
    return Samples(images, masks, tuple(f"disc-{seed}-{i}" for i in range(n)))


@factory("data")
def disc_splits() -> Splits:
    """12, 6 and 6 discs."""
    return Splits("discs", discs(12, 1), discs(6, 2), discs(6, 3))


@factory("black box")
def box(**options: object) -> SamBlackBox:
    """The small SAM as a black box, for suites: ``use = "seg.small:box"``."""
    return SamBlackBox(sam=small_sam(), name="small", **options)


class CropLike(BAR):
    """A frame that starts at zeros, so that its gradient is not flat."""

    def x0(self, seed: int = 0) -> np.ndarray:
        return np.zeros(self.dim, np.float32)

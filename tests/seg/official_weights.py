"""State dicts in the form of official files, with weights that are a function of their names.

The layouts were written down from the official code, which needs packages that the tests do without: mobilesam-mirror
1.0.0 for MobileSAM, segment-anything-hq 0.3 for SAM-HQ. A digest of all names and shapes, made by that code, is beside
each; so are answers of that code with these weights, in the tests.
"""

import hashlib
import zlib
from collections.abc import Mapping

import numpy as np
import torch

Layout = dict[str, tuple[int, ...]]


def digest(layout: Mapping[str, tuple[int, ...]]) -> str:
    """One number for names and shapes."""
    lines = [f"{name} {tuple(shape)}" for name, shape in sorted(layout.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def filled(layout: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Weights for a layout, each drawn from its name; of a size that keeps signals of about one."""
    return {name: _filled(name, tuple(shape)) for name, shape in layout.items()}


def _filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = rng.normal(0, (1.0 if "bias" in name or "gaussian" in name else np.prod(shape[1:]) ** -0.5), shape)
    else:
        values = rng.normal(1.0 * name.endswith("weight"), 0.2, shape)
    return torch.tensor(values, dtype=torch.float32)


def _linear(name: str, n_in: int, n_out: int) -> Layout:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str, n: int) -> Layout:
    return {f"{name}.weight": (n,), f"{name}.bias": (n,)}


def _conv_bn(name: str, n_in: int, n_out: int, side: int) -> Layout:
    """A convolution without bias and its batch norm, the two named c and bn."""
    running = {f"{name}.bn.running_mean": (n_out,), f"{name}.bn.running_var": (n_out,)}
    norm = _norm(f"{name}.bn", n_out) | running | {f"{name}.bn.num_batches_tracked": ()}
    return {f"{name}.c.weight": (n_out, n_in, side, side)} | norm


def tiny_vit() -> Layout:
    """MobileSAM's image encoder, names without ``image_encoder.``."""
    widths, depths, heads, windows = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)
    found = _conv_bn("patch_embed.seq.0", 3, 32, 3) | _conv_bn("patch_embed.seq.2", 32, 64, 3)
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            if i == 0:
                found |= _conv_bn(f"{block}.conv1", width, 4 * width, 1) | _conv_bn(f"{block}.conv2", 1, 4 * width, 3)
                found |= _conv_bn(f"{block}.conv3", 4 * width, width, 1)
                continue
            found |= {f"{block}.attn.attention_biases": (heads[i], windows[i] ** 2)}
            found |= _norm(f"{block}.attn.norm", width) | _linear(f"{block}.attn.qkv", width, 3 * width)
            found |= _linear(f"{block}.attn.proj", width, width) | _norm(f"{block}.mlp.norm", width)
            found |= _linear(f"{block}.mlp.fc1", width, 4 * width) | _linear(f"{block}.mlp.fc2", 4 * width, width)
            found |= _conv_bn(f"{block}.local_conv", 1, width, 3)
        if i < 3:
            down, after = f"layers.{i}.downsample", widths[i + 1]
            found |= _conv_bn(f"{down}.conv1", width, after, 1) | _conv_bn(f"{down}.conv2", 1, after, 3)
            found |= _conv_bn(f"{down}.conv3", after, after, 1)
    found |= _norm("norm_head", 320) | _linear("head", 320, 1000)
    found |= {"neck.0.weight": (256, 320, 1, 1), "neck.2.weight": (256, 256, 3, 3)}
    return found | _norm("neck.1", 256) | _norm("neck.3", 256)


def sam_hq(sam: Mapping[str, torch.Tensor], channels: int = 32, width: int = 32) -> Layout:
    """SAM-HQ's names and shapes: those of a SAM's state dict and the parts of its high-quality decoder."""
    head, q, e = "mask_decoder", channels // 4, channels // 8

    def deconvolution(name: str, n_in: int, n_out: int) -> Layout:
        return {f"{head}.{name}.weight": (n_in, n_out, 2, 2), f"{head}.{name}.bias": (n_out,)}

    def convolution(name: str, n_in: int, n_out: int) -> Layout:
        return {f"{head}.{name}.weight": (n_out, n_in, 3, 3), f"{head}.{name}.bias": (n_out,)}

    found: Layout = {name: tuple(value.shape) for name, value in sam.items()} | {
        f"{head}.hf_token.weight": (1, channels)
    }
    for i, n_out in enumerate((channels, channels, e)):
        found |= _linear(f"{head}.hf_mlp.layers.{i}", channels, n_out)
    found |= deconvolution("compress_vit_feat.0", width, channels) | _norm(f"{head}.compress_vit_feat.1", channels)
    found |= deconvolution("compress_vit_feat.3", channels, e)
    found |= deconvolution("embedding_encoder.0", channels, q) | _norm(f"{head}.embedding_encoder.1", q)
    found |= deconvolution("embedding_encoder.3", q, e)
    found |= convolution("embedding_maskfeature.0", e, q) | _norm(f"{head}.embedding_maskfeature.1", q)
    return found | convolution("embedding_maskfeature.3", q, e)

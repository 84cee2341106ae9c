"""SAM-HQ [1]_ from its official files, as transformers' `SamHQModel`; and SAM's names under those of transformers.

References
----------
.. [1] Ke et al. Segment anything in high quality. NeurIPS 2023. Code and weights: github.com/SysCV/sam-hq.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import CheckpointError, one_of
from zoo_opt_seg.blackbox.checkpoints import misfit, read_state_dict
from zoo_opt_seg.blackbox.hub.sam_files import class_of

ENCODERS: dict[str, dict[str, Any]] = {  # what differs from the configuration of vit_b
    "vit_b": {},
    "vit_l": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
    },
    "vit_h": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
    },
}
MLPS = r"(iou_prediction_head|output_hypernetworks_mlps\.\d|hq_mask_mlp)"
RENAMED = (  # official names to those of transformers, one after the other
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"\.neck\.0\.", ".neck.conv1."),
    (r"\.neck\.1\.", ".neck.layer_norm1."),
    (r"\.neck\.2\.", ".neck.conv2."),
    (r"\.neck\.3\.", ".neck.layer_norm2."),
    (r"\.norm(\d|_final)", r".layer_norm\1"),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.hf_token\.", ".hq_token."),
    (r"\.hf_mlp\.", ".hq_mask_mlp."),
    *(
        (rf"\.{theirs}\.{i}\.", f".{ours}_{part}.")
        for theirs, ours in (("compress_vit_feat", "compress_vit"), ("embedding_encoder", "encoder"))
        for i, part in ((0, "conv1"), (1, "norm"), (3, "conv2"))
    ),
    *((rf"\.embedding_maskfeature\.{i}\.", f".mask_{part}.") for i, part in ((0, "conv1"), (1, "norm"), (3, "conv2"))),
    (rf"\.{MLPS}\.layers\.0\.", r".\1.proj_in."),
    (rf"\.{MLPS}\.layers\.2\.", r".\1.proj_out."),
    (rf"\.{MLPS}\.layers\.1\.", r".\1.layers.0."),
)
POSITIONS = "shared_embedding.positional_embedding"


def load_sam_hq(model_type: str, checkpoint: str | os.PathLike[str]) -> nn.Module:
    """Return transformers' `SamHQModel` with the weights of an official file, in evaluation mode on the CPU.

    Parameters
    ----------
    model_type : {"vit_b", "vit_l", "vit_h"}
        Light HQ-SAM, of a tiny ViT, is none of transformers' models.
    checkpoint : path
        ``sam_hq_vit_b.pth`` and the like, in any form that `load_sam` takes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is truncated, no state dict, or does not fit the model.
    ValueError
        If the model type is unknown.
    """
    one_of("model_type", model_type, ENCODERS)
    state = from_segment_anything(read_state_dict(checkpoint))
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten, and is not to cost anyone's draws
        model: nn.Module = class_of("sam_hq")(config_of(model_type))
    if complaint := misfit(model.state_dict(), state):
        raise CheckpointError(f"checkpoint {os.fspath(checkpoint)} does not fit SAM-HQ {model_type}: {complaint}")
    model.load_state_dict(state)
    return model.eval()


def config_of(model_type: str) -> Any:
    """Return the configuration of `SamHQModel` for a type of official weights."""
    vision = ENCODERS[model_type]
    decoder = {"vit_dim": vision.get("hidden_size", 768)}
    return class_of("sam_hq").config_class(vision_config=vision, mask_decoder_config=decoder)


def mend(model: Any) -> None:
    """Let a `SamHQModel` make its masks of the image embeddings that went through its decoder's transformer.

    So does the official code. transformers 5.23 passes over them, and takes those that went in, transposed: its masks
    are others. Where a model does right, nothing changes.
    """
    if getattr(model, "_mended", False):
        return
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        kept[:] = [output[1]]  # (n, 1, h w, c)

    def take(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        return (kept.pop().transpose(2, 3).reshape(args[0].shape),)

    model.mask_decoder.transformer.register_forward_hook(keep)
    model.mask_decoder.upscale_conv1.register_forward_pre_hook(take)
    model._mended = True


def from_segment_anything(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a SAM or SAM-HQ under the names of `SamModel` or `SamHQModel`."""
    found = {_renamed(name): value for name, value in state.items()}
    if (positions := found.get(f"prompt_encoder.{POSITIONS}")) is not None:
        found["shared_image_embedding.positional_embedding"] = positions
    return found


def _renamed(name: str) -> str:
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    return name

"""Random SAM, SAM-HQ and SAM 2 of transformers at 64 px, and folders with them as ``save_pretrained`` writes them."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamHQProcessor,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

SIDE, PATCH, CHANNELS = 64, 8, 32  # those of the small SAM of test_sam.py
_VISION = {
    **{"hidden_size": 32, "output_channels": CHANNELS, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"image_size": SIDE, "patch_size": PATCH, "window_size": 3, "global_attn_indexes": [1], "num_pos_feats": 16},
}
_PROMPTS = {"hidden_size": CHANNELS, "image_size": SIDE, "patch_size": PATCH, "mask_input_channels": 8}
_DECODER = {"hidden_size": CHANNELS, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
_HIERA = {
    **{"hidden_size": 8, "image_size": [SIDE, SIDE], "blocks_per_stage": [1, 1, 2, 1], "global_attention_blocks": [3]},
    **{"embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 2]},
    **{"window_size_per_stage": [4, 4, 4, 2], "window_positional_embedding_background_size": [4, 4]},
}
_SAM2 = {
    **{"backbone_config": {"model_type": "sam2_hiera_det_model", **_HIERA}, "fpn_hidden_size": CHANNELS},
    **{"backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]},
}


def config_of(kind: str) -> Any:
    """The configuration of "sam", "sam_hq" or "sam2"."""
    if kind == "sam2":
        prompts = {**_PROMPTS, "patch_size": 16}
        return Sam2Config(vision_config=_SAM2, prompt_encoder_config=prompts, mask_decoder_config=_DECODER)
    made, more = (SamHQConfig, {"vit_dim": 32}) if kind == "sam_hq" else (SamConfig, {})
    return made(vision_config=_VISION, prompt_encoder_config=_PROMPTS, mask_decoder_config={**_DECODER, **more})


def small(kind: str, seed: int = 0) -> Any:
    """A random model, loud enough for masks of many sizes."""
    made = {"sam": SamModel, "sam_hq": SamHQModel, "sam2": Sam2Model}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = made(config_of(kind))
        for name, value in model.named_parameters():
            if value.ndim > 1:
                scale = 0.5 if "embed" in name or "token" in name else value[0].numel() ** -0.5
                torch.nn.init.normal_(value, std=scale)
        for name, value in model.named_buffers():
            if name.endswith("positional_embedding"):
                torch.nn.init.normal_(value)
    return model.eval()


def processor_of(kind: str) -> Any:
    """Its processor, for 64 px."""
    if kind == "sam2":
        return Sam2Processor(Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    square = {"height": SIDE, "width": SIDE}
    images = SamImageProcessor(size={"longest_edge": SIDE}, pad_size=square)
    return (SamHQProcessor if kind == "sam_hq" else SamProcessor)(images)


def save_folder(folder: Path, kind: str) -> Path:
    """Write model and processor."""
    saved = folder / f"small-{kind}"
    small(kind).save_pretrained(saved)
    processor_of(kind).save_pretrained(saved)
    return saved

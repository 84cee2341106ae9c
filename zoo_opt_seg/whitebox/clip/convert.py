"""The towers of a CLIPSeg of transformers' as a CLIP of open_clip's: the same function under other names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.whitebox.clip.backbone import Tokenizer, open_clip_model


def clip_of_clipseg(clipseg: Any, *, resnet: dict[str, Any] | None = None, seed: int = 0) -> nn.Module:
    """Return a CLIP with the towers of a CLIPSeg, as copies.

    Parameters
    ----------
    clipseg : transformers.CLIPSegForImageSegmentation
    resnet : dict, optional
        Settings of an image tower of another kind, with drawn weights, instead of the CLIPSeg's.
    seed : int
        Of drawn weights.

    Returns
    -------
    open_clip.model.CLIP
        On the CPU, in evaluation mode.
    """
    towers = clipseg.clip
    image, text = towers.config.vision_config, towers.config.text_config
    for tower in (image, text):
        if tower.hidden_act not in ("quick_gelu", "gelu") or tower.hidden_act != image.hidden_act:
            raise ValueError(f"clipseg must have GELU or quick GELU in both towers, got {tower.hidden_act!r}")
    pixels = {"patch_size": image.patch_size, "image_size": image.image_size}
    head_width = image.hidden_size // image.num_attention_heads
    vision = resnet or {**_sizes(image), "head_width": head_width, **pixels}
    tokens = {"context_length": text.max_position_embeddings, "vocab_size": text.vocab_size}
    words = {**_sizes(text), "heads": text.num_attention_heads, **tokens}
    common = {"embed_dim": towers.config.projection_dim, "quick_gelu": image.hidden_act == "quick_gelu"}
    clip: Any = open_clip_model({**common, "vision_cfg": vision, "text_cfg": words}, seed=seed)
    theirs = {name: tensor.detach() for name, tensor in towers.state_dict().items()}
    ours = {"logit_scale": theirs["logit_scale"], **_text(theirs)}
    if resnet is None:
        ours |= {f"visual.{name}": tensor for name, tensor in _vision(theirs).items()}
    else:
        ours |= {name: tensor for name, tensor in clip.state_dict().items() if name.startswith("visual.")}
    clip.load_state_dict({name: tensor.cpu() for name, tensor in ours.items()})
    return clip  # type: ignore[no-any-return]


def _sizes(tower: Any) -> dict[str, Any]:
    ratio = tower.intermediate_size / tower.hidden_size
    return {"layers": tower.num_hidden_layers, "width": tower.hidden_size, "mlp_ratio": ratio}


def _text(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    part = _under(theirs, "text_model.")
    return {
        "token_embedding.weight": part["embeddings.token_embedding.weight"],
        "positional_embedding": part["embeddings.position_embedding.weight"],
        **_norm(part, "final_layer_norm", "ln_final"),
        "text_projection": theirs["text_projection.weight"].T.contiguous(),
        **_blocks(part),
    }


def _vision(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    part = _under(theirs, "vision_model.")
    return {
        "conv1.weight": part["embeddings.patch_embedding.weight"],
        "class_embedding": part["embeddings.class_embedding"],
        "positional_embedding": part["embeddings.position_embedding.weight"],
        **_norm(part, "pre_layrnorm", "ln_pre"),  # so misspelt there
        **_norm(part, "post_layernorm", "ln_post"),
        "proj": theirs["visual_projection.weight"].T.contiguous(),
        **_blocks(part),
    }


def _blocks(part: dict[str, Tensor]) -> dict[str, Tensor]:
    blocks: dict[str, Tensor] = {}
    layers = 1 + max(int(name.split(".")[2]) for name in part if name.startswith("encoder.layers."))
    for i in range(layers):
        theirs, ours = _under(part, f"encoder.layers.{i}."), f"transformer.resblocks.{i}."
        block = {
            **_norm(theirs, "layer_norm1", "ln_1"),
            **_norm(theirs, "layer_norm2", "ln_2"),
            **_norm(theirs, "mlp.fc1", "mlp.c_fc"),
            **_norm(theirs, "mlp.fc2", "mlp.c_proj"),
            **_norm(theirs, "self_attn.out_proj", "attn.out_proj"),
        }
        for kind in ("weight", "bias"):
            block[f"attn.in_proj_{kind}"] = torch.cat([theirs[f"self_attn.{x}_proj.{kind}"] for x in "qkv"])
        blocks |= {ours + name: tensor for name, tensor in block.items()}
    return blocks


def _norm(part: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.{kind}": part[f"{theirs}.{kind}"] for kind in ("weight", "bias")}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def tiny_clip(kind: str, clipseg: Any = None, *, seed: int = 0) -> tuple[nn.Module, Tokenizer]:
    """Return a small CLIP for images of 96 px with the embedded CLIPSeg's towers, and its tokenizer.

    Parameters
    ----------
    kind : {"vit", "resnet"}
        The CLIPSeg's own image tower, or a ResNet with drawn weights beside its text tower.
    clipseg : transformers.CLIPSegForImageSegmentation, optional
        Another one that the embedded tokenizer fits.
    seed : int
    """
    from zoo_opt_seg.embedded.clipseg import tiny_clipseg, tiny_tokenizer

    resnet = {"layers": (1, 1, 1, 1), "width": 16, "image_size": TINY_SIZE} if kind == "resnet" else None
    model = tiny_clipseg() if clipseg is None else clipseg
    return clip_of_clipseg(model, resnet=resnet, seed=seed), tiny_tokenizer()

"""CLIPSeg [1]_ as a black box: an image and a text in, the mask of what the text names out.

References
----------
.. [1] Lüddecke, Ecker. Image segmentation using text and image prompts. CVPR 2022. Weights: CIDAS/clipseg-rd64-refined.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.blackbox.clipseg_files import RELEASED, load_clipseg, tokens_of
from zoo_opt_seg.blackbox.hub.preparation import Preparation
from zoo_opt_seg.blackbox.network import NetworkBox, need_parts, texts_of
from zoo_opt_seg.blackbox.protocol import Array, check_pixels
from zoo_opt_seg.features.text_encoders import EncodedTexts, TextEncoder, embed_texts
from zoo_opt_seg.prompts import Prompts


class ClipSegBlackBox(NetworkBox):
    """CLIPSeg: images with a text each in, one mask each out, what transformers' processor and model give.

    Parameters
    ----------
    name_or_path : str or path
        Folder of a CLIPSeg, or its name in the Hugging Face cache of this machine; see `load_clipseg`. Nothing is
        downloaded.
    model : transformers.CLIPSegForImageSegmentation, optional
        A model instead of a folder; it is put into evaluation mode and is not copied.
    tokenizer : callable, optional
        With `model`: one of transformers, or a function of texts to input_ids and attention_mask, int64 (n, tokens).
    size : int, optional
        Side in pixels that images are stretched to: with a folder as its processor says (352), with `model` by default
        that of its position embeddings; these are interpolated for another.
    device : str or torch.device, optional
        Where it runs; by default where `model` is, or the CPU.
    quantize : bool
        Round float images to 8 bits first, as an API that takes image files would.
    hard : bool
        Answer with bool masks (logit > 0) instead of probabilities.
    batch_size : int
        Images that go through the networks at once.
    name : str, optional
        Its identity for `Cached` and records. By default the folder's name and 8 digits of the SHA-256 of the weights
        at the first use, so a model that is trained further needs a new black box.
    dtype : {"float32", "float16", "bfloat16"}
        Of the image encoder, which is converted in place; text encoder, decoder and answers stay float32.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or a file of it is missing.
    zoo_opt.core.errors.CheckpointError
        If a file of the folder is truncated, or of another model.
    ValueError, TypeError
        If an argument is none of the above, or prompts lack a text.

    Notes
    -----
    All images of a call have one size, which may be any. They are stretched to the model's square, bilinearly with
    antialiasing: in 8 bits as the processor does, in floating point with ``quantize=False`` and in `logits`. The logits
    are resized bilinearly to the image. Points and boxes are for other models.
    """

    prompted_by = "text"

    def __init__(
        self,
        name_or_path: str | os.PathLike[str] = RELEASED,
        *,
        model: nn.Module | None = None,
        tokenizer: Any = None,
        size: int | None = None,
        device: str | torch.device | None = None,
        quantize: bool = True,
        hard: bool = False,
        batch_size: int = 16,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        if (model is None) != (tokenizer is None):
            raise ValueError("model and tokenizer go together, got one of them")
        loaded: Any = model
        if model is None:
            loaded, self.tokenizer, self._preparation, folder = load_clipseg(Path(name_or_path))
            base = Path(name_or_path).name or folder.name
        else:
            base, config = "clipseg", _checked(model).config
            text, vision = config.text_config, config.vision_config
            own = hasattr(tokenizer, "model_max_length")  # one of transformers
            self.tokenizer = tokens_of(tokenizer, text.max_position_embeddings) if own else tokenizer
            self._preparation = Preparation((vision.image_size, vision.image_size))
        asked: dict[str, Any] = {"quantize": quantize, "hard": hard, "batch_size": batch_size, "name": name}
        super().__init__(loaded, base, **asked, dtype=dtype, encoder="clip.vision_model")
        self._stretched: list[str] = []
        if size is not None:
            side = integer("size", size, self.model.config.vision_config.patch_size)
            self._stretched = [f"{side}px"] * (self.size != (side, side))
            self._preparation = self._preparation._replace(size=(side, side))
        if device is not None:
            self.model.to(device)

    @property
    def model(self) -> Any:
        """The model, a `transformers.CLIPSegForImageSegmentation`."""
        return self.network

    def _said(self) -> list[str]:
        return self._stretched + super()._said()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.clip.text_projection.weight.device  # type: ignore[no-any-return]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels that images are stretched to."""
        return self._preparation.size

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        """What a visual prompt can be conditioned on: `embed`, with the name of this black box's weights."""
        return EncodedTexts(self.identity, self.model.config.projection_dim, self.embed)

    def around(self, model: nn.Module, name: str | None = None) -> ClipSegBlackBox:
        """Return a black box with the same tokenizer and options around another model, such as one that was adapted.

        Parameters
        ----------
        model : transformers.CLIPSegForImageSegmentation
            Put into evaluation mode, not copied.
        name : str, optional
            As at the start; by default "clipseg" and the digest of its weights at the first use.
        """
        other = copy.copy(self)
        other.__dict__.pop("text_encoder", None)
        other._weighed(_checked(model), "clipseg", name)
        return other

    def _asked(self, prompts: Prompts) -> Any:
        texts = self._texts(prompts, len(prompts))
        return self.embed(texts) if texts else ()

    def _answered(self, images: Array, asked: Tensor) -> Tensor:
        pixels = self._preparation.inputs(images, self.quantize, self.device)
        return self._decode(pixels, asked, images.shape[1:3])

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid the black box answers, differentiably, as `NetworkBox` says.

        Unlike in transformers' own forward, images, encoders and text have a gradient too.
        """
        check_pixels(images)
        conditions = self.embed(self._texts(prompts, len(images)))
        pixels = self._preparation.resized(images.to(self.device, torch.float32) * 255.0)
        return self._decode(self._preparation.normalised(pixels), conditions, images.shape[2:])

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the conditional embeddings (n, d) of texts, differentiable in the weights; each is encoded once."""
        return embed_texts(self.model.clip, self.tokenizer, texts)

    @staticmethod
    def _texts(prompts: Prompts, n: int) -> tuple[str, ...]:
        return texts_of(prompts, n, "CLIPSeg", "in each row for CLIPSeg")

    def _decode(self, pixels: Tensor, conditions: Tensor, size: Sequence[int]) -> Tensor:
        """Logits (n, H, W) of prepared images (n, 3, h, w) and conditional embeddings (n, d)."""
        model = self.model
        vision = model.clip.vision_model(
            pixel_values=pixels, output_hidden_states=True, interpolate_pos_encoding=True, return_dict=True
        )
        skips = tuple(vision.hidden_states[i + 1] for i in model.extract_layers)  # the first is what goes in
        logits = model.decoder(skips, conditions).logits[:, None]
        if tuple(logits.shape[2:]) != tuple(size):
            logits = F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
        return logits[:, 0]


def _checked(model: Any) -> Any:
    need_parts("model", model, "CLIPSegForImageSegmentation", ("clip", "decoder", "extract_layers", "config"))
    return model


def clipseg_in(folder: str | os.PathLike[str] = RELEASED, **options: Any) -> ClipSegBlackBox:
    """Return the CLIPSeg of a folder, by default the released one in transformers' cache; options of the class."""
    return ClipSegBlackBox(folder, **options)

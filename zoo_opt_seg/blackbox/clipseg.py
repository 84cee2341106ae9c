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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.blackbox.clipseg_files import RELEASED, Preparation, load_clipseg, tokens_of
from zoo_opt_seg.blackbox.protocol import Array, BlackBox, check_images, check_pixels, check_prompts
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.digests import weights_digest
from zoo_opt_seg.features.text_encoders import EncodedTexts, TextEncoder, embed_texts
from zoo_opt_seg.prompts import Prompts


class ClipSegBlackBox(BlackBox):
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
    ) -> None:
        if (model is None) != (tokenizer is None):
            raise ValueError("model and tokenizer go together, got one of them")
        self.batch_size = integer("batch_size", batch_size, 1)
        self.quantize, self.hard = quantize, hard
        self.model: Any
        if model is None:
            self.model, self.tokenizer, self._preparation, folder = load_clipseg(Path(name_or_path))
            base = Path(name_or_path).name or folder.name
        else:
            self.model, base = _checked(model), "clipseg"
            text, vision = self.model.config.text_config, self.model.config.vision_config
            own = hasattr(tokenizer, "model_max_length")  # one of transformers
            self.tokenizer = tokens_of(tokenizer, text.max_position_embeddings) if own else tokenizer
            self._preparation = Preparation((vision.image_size, vision.image_size))
        self._stretched = ""
        if size is not None:
            side = integer("size", size, self.model.config.vision_config.patch_size)
            self._stretched = f"+{side}px" * (self.size != (side, side))
            self._preparation = self._preparation._replace(size=(side, side))
        self._base, self._digest = name or base, "" if name else None
        if device is not None:
            self.model.to(device)
        self.model.eval()

    @property
    def name(self) -> str:  # type: ignore[override]
        """Identity of model, weights and options."""
        options = self._stretched + "+float" * (not self.quantize) + "+hard" * self.hard
        return self._identity + options

    @property
    def _identity(self) -> str:
        if self._digest is None:
            self._digest = "-" + weights_digest(self.model)[:8]
        return self._base + self._digest

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.clip.text_projection.weight.device  # type: ignore[no-any-return]

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked, for a black box around another network to be asked in the same way."""
        return {"quantize": self.quantize, "hard": self.hard, "batch_size": self.batch_size}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels that images are stretched to."""
        return self._preparation.size

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        """What a visual prompt can be conditioned on: `embed`, with the name of this black box's weights."""
        return EncodedTexts(self._identity, self.model.config.projection_dim, self.embed)

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
        other.model, other._base, other._digest = _checked(model).eval(), name or "clipseg", "" if name else None
        return other

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks.

        Parameters
        ----------
        images : (n, H, W, 3) array
            RGB: uint8, or float32 in [0, 1].
        prompts : Prompts
            A text in each row; the rest is not looked at.

        Returns
        -------
        (n, H, W) array
            float32 probabilities, sigmoid of the logits at the image's size; bool with ``hard=True``.
        """
        images = check_images(images)
        texts = _texts(prompts, len(images))
        answers = np.empty(images.shape[:3], bool if self.hard else np.float32)
        with torch.inference_mode():
            conditions = self.embed(texts) if texts else None
            for start in range(0, len(images), self.batch_size):
                rows = slice(start, start + self.batch_size)
                assert conditions is not None
                logits = self._decode(self._input(images[rows]), conditions[rows], images.shape[1:3])
                answers[rows] = (logits > 0 if self.hard else logits.sigmoid()).cpu().numpy()
        return answers

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid the black box answers, differentiably: for white-box comparators alone.

        Unlike in transformers' own forward, images, encoders and text have a gradient too.

        Parameters
        ----------
        images : (n, 3, H, W) tensor
            Floats in [0, 1], not rounded to 8 bits; all go through the networks at once.
        prompts : Prompts
            A text in each row.

        Returns
        -------
        (n, H, W) tensor
        """
        check_pixels(images)
        conditions = self.embed(_texts(prompts, len(images)))
        pixels = images.to(self.device, torch.float32) * 255.0
        return self._decode(self._normalised(self._resized(pixels)), conditions, images.shape[2:])

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the conditional embeddings (n, d) of texts, differentiable in the weights; each is encoded once."""
        return embed_texts(self.model.clip, self.tokenizer, texts)

    def _input(self, images: Array) -> Tensor:
        """Images as the networks take them, (n, 3, h, w), normalised."""
        if self.quantize:
            images = to_bytes(images)
        pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, 3, 1)))
        if not self.quantize and images.dtype != np.uint8:
            return self._normalised(self._resized(pixels.to(self.device) * 255.0))
        return self._normalised(self._resized(pixels).to(self.device, torch.float32))  # resized in 8 bits, on the CPU

    def _resized(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[2:]) == self.size:
            return pixels
        from torchvision.transforms.v2 import functional as transforms

        return transforms.resize(pixels, list(self.size), antialias=True)

    def _normalised(self, pixels: Tensor) -> Tensor:
        mean, std = (255.0 * torch.tensor(v, device=pixels.device).view(3, 1, 1) for v in self._preparation[1:])
        return (pixels - mean) / std

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


def _texts(prompts: Prompts, n: int) -> tuple[str, ...]:
    check_prompts(prompts, n)
    if prompts.texts is None:
        raise ValueError("prompts must have texts for CLIPSeg, got none")
    if not all(prompts.texts):
        raise ValueError(f"prompts must have a text in each row for CLIPSeg, got none in row {prompts.texts.index('')}")
    return prompts.texts


def _checked(model: Any) -> Any:
    for part in ("clip", "decoder", "extract_layers", "config"):
        if not hasattr(model, part):
            raise TypeError(f"model must be a CLIPSegForImageSegmentation, got {type(model).__name__} without {part}")
    return model

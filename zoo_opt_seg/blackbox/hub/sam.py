"""SAM, SAM-HQ and SAM 2 of transformers as black boxes: an image with points, boxes or a mask in, one mask out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_opt_seg.blackbox.hub.sam_files import KINDS, load_folder, usual_preparation
from zoo_opt_seg.blackbox.hub.sam_hq import load_sam_hq, mend
from zoo_opt_seg.blackbox.network import NetworkBox, check_kinds, need_parts
from zoo_opt_seg.blackbox.protocol import Array, check_pixels, check_prompts
from zoo_opt_seg.prompts import Prompts

EXAMPLE = "facebook/sam2.1-hiera-tiny"


class HubSamBlackBox(NetworkBox):
    """A SAM of transformers: what its processor and model give, one mask for each image.

    Parameters
    ----------
    name_or_path : str or path, optional
        Folder as ``save_pretrained`` of model and processor writes it, or its name in the Hugging Face cache of this
        machine: a `SamModel`, `SamHQModel` or `Sam2Model`; see `load_folder`. Nothing is downloaded.
    model : transformers.SamModel, SamHQModel or Sam2Model, optional
        A model instead of a folder; it is put into evaluation mode and is not copied.
    device : str or torch.device, optional
        Where it runs; by default where `model` is, or the CPU.
    quantize : bool
        Round float images to 8 bits first, as an API that takes image files would.
    masks : {"single", "best"}
        The mask of ``multimask_output=False``, or of the three the one with the highest predicted IoU. The single mask
        of SAM 2 is its own choice: where it is unstable, SAM 2 takes the best of the three. Of SAM-HQ, both are the sum
        of SAM's mask and the high-quality one, as in its release.
    hard : bool
        Answer with bool masks (logit > 0) instead of probabilities.
    batch_size : int
        Images that go through the networks at once.
    name : str, optional
        Its identity for `Cached` and records. By default the folder's name and 8 digits of the SHA-256 of the weights
        at the first use, so a model that is trained further needs a new black box.
    dtype : {"float32", "float16", "bfloat16"}
        Of the image encoder, which is converted in place; prompt encoder, mask decoder and answers stay float32.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or a file of it is missing.
    zoo_opt.core.errors.CheckpointError
        If a file of the folder is truncated, or of another model.
    ValueError, TypeError
        If an argument is none of the above, or prompts have masks of another size than the model's.

    Notes
    -----
    All images of a call have one size, which may be any. They are resized bilinearly with antialiasing as the folder's
    processor says: to the longest side and padded for SAM and SAM-HQ, stretched for SAM 2; in 8 bits as the processor
    does, in floating point with ``quantize=False`` and in `logits`.
    """

    prompted_by = "points"

    def __init__(
        self,
        name_or_path: str | os.PathLike[str] | None = None,
        *,
        model: nn.Module | None = None,
        device: str | torch.device | None = None,
        quantize: bool = True,
        masks: str = "single",
        hard: bool = False,
        batch_size: int = 16,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        if masks not in ("single", "best"):
            raise ValueError(f"masks must be 'single' or 'best', got {masks!r}")
        if (model is None) == (name_or_path is None):
            raise ValueError(f"name_or_path or model must be given, got {'neither' if model is None else 'both'}")
        self.masks, loaded = masks, model
        if name_or_path is not None:
            loaded, self._preparation, folder = load_folder(Path(name_or_path), EXAMPLE)
            base = Path(name_or_path).name or folder.name
        else:
            base = _checked(model).config.model_type
            self._preparation = usual_preparation(_checked(model).config)
        asked: dict[str, Any] = {"quantize": quantize, "hard": hard, "batch_size": batch_size, "name": name}
        super().__init__(_checked(loaded), base, **asked, dtype=dtype, encoder="vision_encoder")
        if self.network.config.model_type == "sam_hq":
            mend(self.network)
        if device is not None:
            self.network.to(device)

    def _said(self) -> list[str]:
        words = {"float": not self.quantize, "best": self.masks == "best", "hard": self.hard}
        return [word for word, said in words.items() if said] + self._precision

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked: ``HubSamBlackBox(model=other, **box.settings)`` asks another model in the same way."""
        return {**super().settings, "masks": self.masks}

    @property
    def size(self) -> int:
        """Side in pixels of the model's square input."""
        return max(self._preparation.size)

    def _answered(self, images: Array, asked: Prompts) -> Tensor:
        return self._decode(self._preparation.inputs(images, self.quantize, self.device), asked, images.shape[1:3])

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid the black box answers, differentiably, as `NetworkBox` says."""
        check_pixels(images)
        check_prompts(prompts, len(images))
        pixels = self._preparation.resized(images.to(self.device, torch.float32) * 255.0)
        return self._decode(self._preparation.normalised(pixels), prompts, tuple(images.shape[2:]))

    def _decode(self, pixels: Tensor, prompts: Prompts, size: tuple[int, ...]) -> Tensor:
        """Logits (n, H, W) of prepared images (n, 3, h, w), each row with its own prompts."""
        encoder = self.network.config.prompt_encoder_config
        side = 4 * encoder.image_size // encoder.patch_size
        check_kinds(prompts, (side, side))
        low: list[Any] = [None] * len(prompts)
        for rows, part in prompts.groups():
            for row, one in zip(rows, self._low(pixels[torch.as_tensor(rows)], part, size), strict=True):
                low[row] = one
        return self._preparation.upscaled(torch.stack(low), size)

    def _low(self, pixels: Tensor, prompts: Prompts, size: tuple[int, ...]) -> Tensor:
        """The chosen masks' logits (n, h, w) for rows that all have the same kinds of prompts."""
        height, width = self._preparation.fitted(size)
        scale = np.array([width / size[1], height / size[0]])  # of points, in float64 as the processors have it
        asked: dict[str, Tensor] = {}
        if prompts.points is not None and prompts.points.shape[1]:
            asked["input_points"] = self._tensor(prompts.points * scale)
            asked["input_labels"] = self._tensor(prompts.labels, torch.int64)
        if prompts.boxes is not None:
            asked["input_boxes"] = self._tensor(prompts.boxes * np.tile(scale, 2))
        if prompts.masks is not None:
            asked["input_masks"] = self._tensor(prompts.masks)
        found = self.network(pixel_values=pixels, multimask_output=self.masks == "best", **asked)
        masks, quality = found.pred_masks[:, 0], found.iou_scores[:, 0]  # (n, 1 or 3, h, w)
        chosen: Tensor = masks[torch.arange(len(masks), device=masks.device), quality.argmax(dim=1)]
        return chosen

    def _tensor(self, array: Any, dtype: torch.dtype = torch.float) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=self.device)[:, None]  # one prompt for each image


def _checked(model: Any) -> Any:
    need_parts("model", model, "SamModel, SamHQModel or Sam2Model", ("vision_encoder", "prompt_encoder", "config"))
    if model.config.model_type not in KINDS:
        raise TypeError(f"model must be a SamModel, SamHQModel or Sam2Model, got a {type(model).__name__}")
    return model


def sam_hq(model_type: str, checkpoint: str | os.PathLike[str], **options: Any) -> HubSamBlackBox:
    """Return SAM-HQ with the weights of an official file: see `load_sam_hq`; options of `HubSamBlackBox`."""
    return HubSamBlackBox(model=load_sam_hq(model_type, checkpoint), **options)

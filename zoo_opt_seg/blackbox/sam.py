"""Segment Anything [1]_ as a black box, with the images of a call encoded and decoded in batches.

References
----------
.. [1] Kirillov et al. Segment Anything. ICCV 2023. Code and weights: github.com/facebookresearch/segment-anything.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_opt_seg.blackbox.checkpoints import load_sam
from zoo_opt_seg.blackbox.network import NetworkBox, check_kinds, need_parts
from zoo_opt_seg.blackbox.protocol import Array, check_pixels, check_prompts
from zoo_opt_seg.blackbox.sams.inputs import input_of
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.embedded.sam import decode_batch
from zoo_opt_seg.prompts import Prompts


class SamBlackBox(NetworkBox):
    """SAM: an image with points, boxes or a mask in, one mask out, the same that `SamPredictor` gives.

    Parameters
    ----------
    model_type : {"vit_b", "vit_l", "vit_h", "vit_t"}
        What the checkpoint holds; vit_t is MobileSAM.
    checkpoint : path, optional
        Weights in the official format: a state dict saved by ``torch.save``. Needed unless `sam` is given.
    sam : segment_anything.modeling.Sam, optional
        A model instead of a checkpoint, of any image size; it is put into evaluation mode and is not copied.
    device : str or torch.device, optional
        Where it runs; by default where `sam` is, or the CPU.
    quantize : bool
        Round float images to 8 bits first, as an API that takes image files would.
    masks : {"single", "best"}
        SAM's single mask, or of its three the one with the highest predicted IoU.
    hard : bool
        Answer with bool masks (logit > 0) instead of probabilities.
    batch_size : int
        Images that go through the networks at once.
    name : str, optional
        Its identity for `Cached` and records. By default the model type and 8 digits of the SHA-256 of the weights at
        the first use, so a model that is trained further needs a new black box.
    prepared : {"sam", "medsam"}
        How images go in: as `SamPredictor` does it, or as MedSAM was trained, see `zoo_opt_seg.blackbox.sams.inputs`.
    dtype : {"float32", "float16", "bfloat16"}
        Of the image encoder, which is converted in place; prompt encoder, mask decoder and answers stay float32.

    Raises
    ------
    FileNotFoundError
        If there is no file at `checkpoint`.
    zoo_opt.core.errors.CheckpointError
        If the checkpoint is truncated, no state dict, or of another model.
    ValueError, TypeError
        If an argument is none of the above, or prompts have masks of another size than the model's.

    Notes
    -----
    All images of a call have one size, which may be any. As in `SamPredictor`, they are resized to the model's longest
    side by Pillow in 8 bits, and padded. With ``quantize=False``, and in `logits`, they are resized in floating point.
    """

    prompted_by = "points"

    def __init__(
        self,
        model_type: str = "vit_b",
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        sam: nn.Module | None = None,
        device: str | torch.device | None = None,
        quantize: bool = True,
        masks: str = "single",
        hard: bool = False,
        batch_size: int = 16,
        name: str | None = None,
        prepared: str = "sam",
        dtype: str = "float32",
    ) -> None:
        if masks not in ("single", "best"):
            raise ValueError(f"masks must be 'single' or 'best', got {masks!r}")
        if sam is not None and checkpoint is not None:
            raise ValueError("checkpoint and sam exclude each other, got both")
        self.masks = masks
        model: Any = load_sam(model_type, checkpoint) if sam is None else _checked(sam)
        base = model_type if sam is None else "sam"
        asked: dict[str, Any] = {"quantize": quantize, "hard": hard, "batch_size": batch_size, "name": name}
        super().__init__(model, base, **asked, dtype=dtype, encoder="image_encoder")
        if device is not None:
            self.sam.to(device)
        self.prepared, self._prepare = prepared, input_of(prepared, model)
        if prepared == "medsam":  # which saw nothing but boxes
            self.prompted_by = "boxes"
        self.size = self._prepare.side  # of the model's square input

    @property
    def sam(self) -> Any:
        """The model, a `segment_anything.modeling.Sam`."""
        return self.network

    def _said(self) -> list[str]:
        words = {"medsam": self.prepared == "medsam", "float": not self.quantize}
        words |= {"best": self.masks == "best", "hard": self.hard}
        return [word for word, said in words.items() if said] + self._precision

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked: ``SamBlackBox(sam=other, **box.settings)`` asks another model in the same way."""
        return {**super().settings, "masks": self.masks, "prepared": self.prepared}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.sam.pixel_mean.device  # type: ignore[no-any-return]

    def _answered(self, images: Array, asked: Prompts) -> Tensor:
        return self._decode(self._encode(self._input(images)), asked, images.shape[1:3])

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid the black box answers, differentiably, as `NetworkBox` says."""
        check_pixels(images)
        check_prompts(prompts, len(images))
        size = tuple(images.shape[2:])
        pixels = images.to(self.device, torch.float32) * 255.0
        return self._decode(self._encode(self._prepare.resized(pixels)), prompts, size)

    def _input(self, images: Array) -> Tensor:
        """Images as the networks take them: (n, 3, h, w) floats in 0..255, the longer side as long as the model's."""
        if images.dtype == np.uint8 or self.quantize:
            return self._channels_first(self._prepare.resized_bytes(to_bytes(images)))
        return self._prepare.resized(self._channels_first(images) * 255.0)

    def _channels_first(self, images: Array) -> Tensor:
        return torch.tensor(images, device=self.device).permute(0, 3, 1, 2).float().contiguous()

    def _encode(self, pixels: Tensor) -> Tensor:
        return self.sam.image_encoder(self._prepare.normalised(pixels))  # type: ignore[no-any-return]

    def _decode(self, features: Tensor, prompts: Prompts, size: tuple[int, ...]) -> Tensor:
        """Logits (n, H, W) of features (n, c, h, w), each row with its own prompts."""
        check_kinds(prompts, self.sam.prompt_encoder.mask_input_size)
        groups = prompts.groups()
        if len(groups) == 1:
            return self._prepare.upscaled(self._low(features, groups[0][1], size), size)
        low: list[Any] = [None] * len(prompts)
        for rows, part in groups:
            for row, one in zip(rows, self._low(features[torch.as_tensor(rows)], part, size), strict=True):
                low[row] = one
        return self._prepare.upscaled(torch.stack(low), size)

    def _low(self, features: Tensor, prompts: Prompts, size: tuple[int, ...]) -> Tensor:
        """The chosen masks' logits (n, 4h, 4w) for rows that all have the same kinds of prompts."""
        sam, n = self.sam, len(features)
        height, width = self._prepare.size(size)
        scale = np.array([width / size[1], height / size[0]])  # of points, in float64 as SamPredictor has it
        points = boxes = masks = None
        if prompts.points is not None and prompts.points.shape[1]:
            points = (self._tensor(prompts.points * scale), self._tensor(prompts.labels, torch.int))
        if prompts.boxes is not None:
            boxes = self._tensor(prompts.boxes * np.tile(scale, 2))
        if prompts.masks is not None:
            masks = self._tensor(prompts.masks)[:, None]
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
        if points is None and boxes is None and masks is None:  # the prompt encoder then thinks of one image
            sparse, dense = sparse.expand(n, -1, -1), dense.expand(n, -1, -1, -1)
        logits, quality = decode_batch(sam, features, sparse, dense)  # the single mask and the three
        if self.masks == "single":
            return logits[:, 0]
        return logits[:, 1:][torch.arange(n, device=logits.device), quality[:, 1:].argmax(dim=1)]

    def _tensor(self, array: Any, dtype: torch.dtype = torch.float) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=self.device)


def medsam(checkpoint: str | os.PathLike[str] | None = None, **options: Any) -> SamBlackBox:
    """Return MedSAM: a SAM of type vit_b whose images are prepared as it was trained; options of `SamBlackBox`."""
    return SamBlackBox("vit_b", checkpoint, prepared="medsam", **options)


def _checked(sam: Any) -> Any:
    parts = ("image_encoder.img_size", "prompt_encoder.mask_input_size", "mask_decoder", "pixel_mean")
    need_parts("sam", sam, "segment_anything Sam", parts)
    side, own = sam.image_encoder.img_size, tuple(sam.prompt_encoder.input_image_size)
    if own != (side, side):
        raise ValueError(f"sam must have one image size, got {side} in its image encoder, {own} in its prompt encoder")
    return sam

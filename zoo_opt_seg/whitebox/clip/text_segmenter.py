"""A network that takes pixels and tokens, seen as the other models are: images and texts in, masks out.

Beside it, the file of what was trained.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt_seg.blackbox.network import NetworkBox, texts_of
from zoo_opt_seg.blackbox.protocol import Array, check_pixels
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.clip.backbone import normalised, resized, tokens
from zoo_opt_seg.whitebox.clip.text_net import TextNet
from zoo_opt_seg.whitebox.core import adapter_file

FORMAT = "zoo-opt-seg text segmenter 1"


class TextSegmenter(NetworkBox):
    """CRIS or SAN as a black box that is prompted by text.

    Parameters
    ----------
    net : CRIS or SAN
        In evaluation mode from here on, unless it is trained.
    quantize : bool
        Round float images to 8 bits first.
    hard : bool
        Answer with bool masks (logit > 0) instead of probabilities.
    batch_size : int
        Images that go through the network at once.
    name : str, optional
        Its identity for `Cached` and records. By default the kind of network and 8 digits of the SHA-256 of its weights
        at the first use.

    Notes
    -----
    Images of any size are resized to the network's square, and its logits to the images, bilinearly.
    """

    prompted_by = "text"

    def __init__(
        self, net: Any, *, quantize: bool = True, hard: bool = False, batch_size: int = 16, name: str | None = None
    ) -> None:
        if not isinstance(net, TextNet):
            raise TypeError(f"net must be a CRIS or a SAN, got {type(net).__name__}")
        base = type(net).__name__.lower()
        super().__init__(net, base, quantize=quantize, hard=hard, batch_size=batch_size, name=name)

    @property
    def net(self) -> Any:
        """The network, a CRIS or a SAN."""
        return self.network

    def _answered(self, images: Array, asked: Prompts) -> Tensor:
        pixels = to_bytes(images) if self.quantize else images
        tensor = torch.tensor(pixels, device=self.device).permute(0, 3, 1, 2).float()
        return self.logits(tensor / 255 if pixels.dtype == np.uint8 else tensor, asked).float()

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid is answered, differentiably, as `NetworkBox` says."""
        check_pixels(images)
        ids, ends = tokens(self.net.tokenizer, self._texts(prompts, len(images)))
        pixels = normalised(resized(images.to(self.device), self.net.size), self.net.pixels)
        low = self.net(pixels, ids.to(self.device), ends.to(self.device))
        size = (int(images.shape[2]), int(images.shape[3]))
        return F.interpolate(low[:, None], size, mode="bilinear", align_corners=False)[:, 0]

    def _asked(self, prompts: Prompts) -> Prompts:
        self._texts(prompts, len(prompts))
        return prompts

    @staticmethod
    def _texts(prompts: Prompts, n: int) -> tuple[str, ...]:
        return texts_of(prompts, n, "this model", "for each image")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what training changes, alone, as safetensors, all or nothing."""
        adapter_file.write(path, self.net.trained(), self.net.frozen(), {"format": FORMAT, "net": self.net.config})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Put weights that `save` wrote in place.

        Raises
        ------
        CheckpointError
            If the file is not one of ours, or of a network of another configuration.
        """
        values, metadata = adapter_file.read(path, FORMAT, "weights of a CRIS or a SAN")
        kind = type(self.net).__name__
        with adapter_file.making(path, f"a {kind}"):
            adapter_file.check_same(path, metadata["net"], self.net.config, kind)
            adapter_file.put(values, metadata, self.net.trained(), self.net.frozen(), path, kind)
        if self._digest:
            self._digest = None

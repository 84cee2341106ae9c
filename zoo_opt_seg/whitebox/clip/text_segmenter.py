"""A network that takes pixels and tokens, seen as the other models are: images and texts in, masks out.

Beside it, the file of what was trained.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import CheckpointError, integer
from zoo_opt_seg.blackbox.protocol import Array, BlackBox, check_images, check_pixels, check_prompts
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.digests import weights_digest
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.clip.backbone import normalised, resized, tokens
from zoo_opt_seg.whitebox.core import adapter_file

FORMAT = "zoo-opt-seg text segmenter 1"


class TextSegmenter(BlackBox):
    """CRIS or SAN as a model that is told by a text what to look for.

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
        if not isinstance(net, nn.Module) or not hasattr(net, "tokenizer") or not hasattr(net, "trained"):
            raise TypeError(f"net must be a CRIS or a SAN, got {type(net).__name__}")
        self.net: Any = net.eval()
        self.quantize, self.hard, self.batch_size = quantize, hard, integer("batch_size", batch_size, 1)
        self._base, self._digest = name or type(net).__name__.lower(), "" if name else None

    @property
    def name(self) -> str:  # type: ignore[override]
        """Identity of model, weights and options."""
        if self._digest is None:
            self._digest = "-" + weights_digest(self.net)[:8]
        said = (["float"] if not self.quantize else []) + (["hard"] if self.hard else [])
        return "+".join([self._base + self._digest, *said])

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked: ``TextSegmenter(other, **box.settings)`` asks another network in the same way."""
        return {"quantize": self.quantize, "hard": self.hard, "batch_size": self.batch_size}

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.net.parameters()).device  # type: ignore[no-any-return]

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks.

        Parameters
        ----------
        images : (n, H, W, 3) array
            RGB: uint8, or float32 in [0, 1].
        prompts : Prompts
            With a text for each image; the rest is for other models.

        Returns
        -------
        (n, H, W) array
            float32 probabilities, sigmoid of the logits at the image's size; bool with ``hard=True``.
        """
        images = check_images(images)
        check_prompts(prompts, len(images))
        check_texts(prompts)
        answers = np.empty(images.shape[:3], bool if self.hard else np.float32)
        for start in range(0, len(images), self.batch_size):
            rows = slice(start, start + self.batch_size)
            pixels = to_bytes(images[rows]) if self.quantize else images[rows]
            found = torch.tensor(pixels, device=self.device).permute(0, 3, 1, 2).float()
            if pixels.dtype == np.uint8:
                found = found / 255
            with torch.no_grad():
                logits = self.logits(found, prompts[rows]).float()
            answers[rows] = ((logits > 0) if self.hard else logits.sigmoid()).cpu().numpy()
        return answers

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid is answered, differentiably.

        Parameters
        ----------
        images : (n, 3, H, W) tensor
            Floats in [0, 1].
        prompts : Prompts
            With a text for each image.

        Returns
        -------
        (n, H, W) tensor
        """
        check_pixels(images)
        check_prompts(prompts, len(images))
        ids, ends = tokens(self.net.tokenizer, check_texts(prompts))
        pixels = normalised(resized(images.to(self.device), self.net.size), self.net.pixels)
        low = self.net(pixels, ids.to(self.device), ends.to(self.device))
        size = (int(images.shape[2]), int(images.shape[3]))
        return F.interpolate(low[:, None], size, mode="bilinear", align_corners=False)[:, 0]

    def tensors(self) -> dict[str, Tensor]:
        """Return what training changes, by name."""
        return dict(self.net.trained())

    def frozen(self) -> dict[str, Tensor]:
        """Return everything else."""
        return dict(self.net.frozen())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what training changes, alone, as safetensors, all or nothing."""
        adapter_file.write(path, self.tensors(), self.frozen(), {"format": FORMAT, "net": self.net.config})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Put weights that `save` wrote in place.

        Raises
        ------
        CheckpointError
            If the file is not one of ours, or of a network of another configuration.
        """
        values, metadata = adapter_file.read(path, FORMAT, "weights of a CRIS or a SAN")
        theirs, ours = json.loads(metadata["net"]), json.loads(json.dumps(asdict(self.net.config)))
        if differ := [name for name in ours if ours[name] != theirs.get(name)]:
            said = ", ".join(f"its {name} is {theirs.get(name)}, this one's {ours[name]}" for name in differ)
            raise CheckpointError(f"{path} is of another {type(self.net).__name__}: {said}")
        adapter_file.put(values, metadata, self.tensors(), self.frozen(), path, type(self.net).__name__)
        if self._digest:
            self._digest = None


def check_texts(prompts: Prompts) -> tuple[str, ...]:
    """Return the texts of prompts, one for each image, or raise a ValueError."""
    if prompts.texts is None:
        raise ValueError("prompts must have texts for this model, got none")
    if "" in prompts.texts:
        raise ValueError(f"prompts must have a text for each image, got none in row {prompts.texts.index('')}")
    return prompts.texts

"""SAM's embeddings kept on disk by what they are of: the same pixels go through the frozen encoder once.

``<folder>/ab/cdef....mask`` holds one embedding in float32, in the form of `zoo_opt_seg.blackbox.cache`; the name is
the SHA-256 of the encoder's weights and the pixels, augmented or not. Any number of runs and seeds may share a folder.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.digests import weights_digest
from zoo_opt_seg.whitebox.ladder.model import LadderSam


class CachedEmbeddings:
    """`LadderSam.embed` with a folder: an embedding that was computed before is read from there, bit for bit.

    Parameters
    ----------
    ladder : LadderSam
        The model. Its image encoder must stay as it is: the weights are checked once, when this object is made.
    folder : path
        Made where it does not exist.

    Attributes
    ----------
    hits, misses : int
        Embeddings read from the folder, and computed.
    """

    def __init__(self, ladder: LadderSam, folder: str | os.PathLike[str]) -> None:
        self.ladder, self._masks = ladder, MaskFolder(folder, "embeddings")
        self.hits = self.misses = 0
        weights, on = weights_digest(ladder.image_encoder), ladder.pixel_mean.device.type  # bits differ
        said = f"zoo-opt-seg embeddings 1 {weights} {ladder.config.normalisation} {on}"
        self._prefix = hashlib.sha256(said.encode())
        side = ladder.prompt_encoder.image_embedding_size
        self._shape = (int(ladder.prompt_encoder.embed_dim), int(side[0]), int(side[1]))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the embeddings (n, c, h, w) of pixels (n, 3, size, size) with equal channels."""
        return torch.cat([self._one(pixels[i : i + 1]) for i in range(len(pixels))])

    def _one(self, pixels: Tensor) -> Tensor:
        channels, height, width = self._shape
        key = self._key(pixels)
        known = self._masks.read(key, (channels, height * width))
        if known is not None:
            self.hits += 1
            return torch.from_numpy(known.reshape(1, *self._shape).copy()).to(pixels.device)
        self.misses += 1
        embedding = self.ladder.embed(pixels)
        self._masks.write(key, embedding[0].float().reshape(channels, -1).cpu().numpy())
        return embedding

    def _key(self, pixels: Tensor) -> str:
        digest = self._prefix.copy()
        channel = pixels[0, 0].detach().cpu().numpy()  # the others are this one, shifted and scaled
        digest.update(str(channel.shape).encode())
        digest.update(np.ascontiguousarray(channel).data)
        return digest.hexdigest()

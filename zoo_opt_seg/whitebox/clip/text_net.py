"""What CRIS and SAN have in common: a network around a CLIP of open_clip's, at its published sizes or small."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from zoo_opt_seg.embedded.clipseg import MEAN, STD
from zoo_opt_seg.whitebox.clip.backbone import PIXELS, Colour, Tokenizer, open_clip_model, open_clip_tokenizer
from zoo_opt_seg.whitebox.clip.convert import tiny_clip
from zoo_opt_seg.whitebox.core.recipe import Recipe


class TextNet(nn.Module):
    """An image and a text to the logits of the mask that the text means, around a CLIP.

    Parameters
    ----------
    clip : open_clip.model.CLIP
        It becomes part of the network.
    tokenizer : callable
        Of its texts.
    config : dataclass
        Sizes of what is added to it; None: the published ones.
    seed : int
        Of the weights that are not the CLIP's.
    pixels : tuple of two tuples of three floats
        Mean and standard deviation that the CLIP's images are normalised by.

    Attributes
    ----------
    clip_name, tower : str
        What the CLIP of the published network is called in open_clip, and the kind of its image tower.
    tiny_config : dataclass
        Sizes of `tiny`.
    left : str
        What the names of the weights begin with that training leaves alone.
    recipe : Recipe
        Of VLSM-Adapter's comparison.
    """

    clip_name: ClassVar[str]
    tower: ClassVar[str]
    tiny_config: ClassVar[Any]
    left: ClassVar[str]
    recipe: ClassVar[Recipe]

    def __init__(
        self,
        clip: Any,
        tokenizer: Tokenizer,
        config: Any = None,
        *,
        seed: int = 0,
        pixels: tuple[Colour, Colour] = PIXELS,
    ) -> None:
        super().__init__()
        self.config = config or type(self.tiny_config)()
        self.tokenizer, self.size, self.pixels = tokenizer, self.config.size, pixels
        self._build(clip, seed)

    def _build(self, clip: Any, seed: int) -> None:
        """Check the CLIP and add the network to it."""
        raise NotImplementedError

    def forward(self, pixels: Tensor, ids: Tensor, ends: Tensor) -> Tensor:
        """Return logits (n, h, w) at a lower resolution.

        Parameters
        ----------
        pixels : (n, 3, size, size) tensor
            Normalised as CLIP's.
        ids : (n, L) tensor of int64
        ends : (n,) tensor of int64
            Place of the end-of-text token.
        """
        raise NotImplementedError

    @classmethod
    def published(
        cls,
        pretrained: str | os.PathLike[str] | None = None,
        *,
        name: str | None = None,
        config: Any = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Return the network at its published sizes.

        Parameters
        ----------
        pretrained : path, optional
            A local file of the CLIP's weights; None: drawn weights.
        name : str, optional
            Of the CLIP in open_clip; None: the published one.
        config : dataclass, optional
        seed : int
            Of all that is drawn.
        device : str or torch.device
            "meta" gives shapes without memory.
        """
        name = name or cls.clip_name
        clip = open_clip_model(name, pretrained, seed=seed, device=device)
        return cls(clip, open_clip_tokenizer(name), config, seed=seed)

    @classmethod
    def tiny(cls, clipseg: Any = None, *, config: Any = None, seed: int = 0) -> Self:
        """Return a small network for images of 96 px on the embedded CLIPSeg's towers; a ResNet is drawn.

        Parameters
        ----------
        clipseg : transformers.CLIPSegForImageSegmentation, optional
            In the place of the embedded one.
        config : dataclass, optional
        seed : int
            Of all that is drawn.
        """
        clip, tokenizer = tiny_clip(cls.tower, clipseg, seed=seed)
        return cls(clip, tokenizer, config or cls.tiny_config, seed=seed, pixels=(MEAN, STD))

    def trained(self) -> dict[str, Tensor]:
        """Return what training changes, by name: parameters, and running statistics of normalisations."""
        return {name: t for name, t in self.state_dict(keep_vars=True).items() if not name.startswith(self.left)}

    def frozen(self) -> dict[str, Tensor]:
        """Return what training leaves alone."""
        return {name: t for name, t in self.state_dict(keep_vars=True).items() if name.startswith(self.left)}

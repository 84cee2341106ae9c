"""What black boxes around a network in this process share: they are asked in batches and named by their weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_opt.core.errors import integer
from zoo_opt_seg.blackbox.precision import lower
from zoo_opt_seg.blackbox.protocol import Array, BlackBox, check_images, check_prompts
from zoo_opt_seg.digests import weights_digest
from zoo_opt_seg.prompts import Prompts


class NetworkBox(BlackBox):
    """A network of torch as a black box.

    Parameters
    ----------
    network : torch.nn.Module
        Put into evaluation mode, not copied.
    base : str
        What its name begins with, before the digest of its weights.
    quantize : bool
        Round float images to 8 bits first, as an API that takes image files would.
    hard : bool
        Answer with bool masks (logit > `threshold`) instead of probabilities.
    batch_size : int
        Images that go through the network at once.
    name : str or None
        Its identity for `Cached` and records, in place of base and digest.
    dtype : {"float32", "float16", "bfloat16"}
        Of the image encoder's weights and arithmetic; what comes after it, and the answers, are float32.
    encoder : str
        The image encoder's name in the network, needed for another precision than float32.

    Attributes
    ----------
    network : torch.nn.Module
    dtype : str
    threshold : float
        Of a hard mask, in logits: 0, or the network's own ``mask_threshold``.
    """

    hard: bool

    def __init__(
        self,
        network: nn.Module,
        base: str,
        *,
        quantize: bool,
        hard: bool,
        batch_size: int,
        name: str | None,
        dtype: str = "float32",
        encoder: str = "",
    ) -> None:
        self.dtype, self._encoder = dtype, encoder
        self.quantize, self.hard, self.batch_size = quantize, hard, integer("batch_size", batch_size, 1)
        self.threshold = float(getattr(network, "mask_threshold", 0.0))
        self._weighed(network, base, name)

    def _weighed(self, network: nn.Module, base: str, name: str | None) -> None:
        """Take a network; without a name, that of its weights at the first use."""
        lower(network.get_submodule(self._encoder), self.dtype)
        self.network: Any = network.eval()
        self._base, self._digest = name or base, "" if name else None

    @property
    def identity(self) -> str:
        """What tells its weights from others, whatever the options."""
        if self._digest is None:
            self._digest = "-" + weights_digest(self.network)[:8]
        return self._base + self._digest

    @property
    def name(self) -> str:  # type: ignore[override]
        """Identity of model, weights and options."""
        return "+".join([self.identity, *self._said()])

    def _said(self) -> list[str]:
        """The options that differ from the usual ones."""
        return ["float"] * (not self.quantize) + ["hard"] * self.hard + self._precision

    @property
    def _precision(self) -> list[str]:
        return [self.dtype] * (self.dtype != "float32")

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked: keywords for a black box around another network to be asked in the same way."""
        return {"quantize": self.quantize, "hard": self.hard, "batch_size": self.batch_size}

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device  # type: ignore[no-any-return]

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks.

        Parameters
        ----------
        images : (n, H, W, 3) array
            RGB: uint8, or float32 in [0, 1].
        prompts : Prompts
            What the network is prompted by; the rest is for other models.

        Returns
        -------
        (n, H, W) array
            float32 probabilities, sigmoid of the logits at the image's size; bool with ``hard=True``.
        """
        images = check_images(images)
        check_prompts(prompts, len(images))
        answers = np.empty(images.shape[:3], bool if self.hard else np.float32)
        with torch.inference_mode():
            asked = self._asked(prompts)
            for start in range(0, len(images), self.batch_size):
                rows = slice(start, start + self.batch_size)
                logits = self._answered(images[rows], asked[rows])
                answers[rows] = (logits > self.threshold if self.hard else logits.sigmoid()).cpu().numpy()
        return answers

    def _asked(self, prompts: Prompts) -> Any:
        """What is made of all prompts at once; its rows are given to `_answered`."""
        return prompts

    @abstractmethod
    def _answered(self, images: Array, asked: Any) -> Tensor:
        """The logits (n, H, W) of some images, rounded to 8 bits first with ``quantize``."""

    @abstractmethod
    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return the logits whose sigmoid the black box answers, differentiably: for white-box comparators alone.

        Parameters
        ----------
        images : (n, 3, H, W) tensor
            Floats in [0, 1], not rounded to 8 bits; all go through the network at once.
        prompts : Prompts
            One row per image.

        Returns
        -------
        (n, H, W) tensor
        """


def need_parts(argument: str, model: Any, kind: str, parts: Sequence[str]) -> None:
    """Raise unless a model has the parts of its kind, attributes such as ``"image_encoder.img_size"``."""
    for part in parts:
        try:
            attrgetter(part)(model)
        except AttributeError:
            raise TypeError(f"{argument} must be a {kind}, got {type(model).__name__} without {part}") from None


def check_kinds(prompts: Prompts, mask_size: tuple[int, int]) -> None:
    """Raise unless prompts have what a SAM takes: points, boxes or masks, the masks (h, w) of its size."""
    if prompts.masks is not None and prompts.masks.shape[1:] != tuple(mask_size):
        raise ValueError(f"prompts' masks must have this SAM's size {tuple(mask_size)}, got {prompts.masks.shape[1:]}")
    if prompts.points is None and prompts.boxes is None and prompts.masks is None:
        raise ValueError("prompts must have points, boxes or masks for SAM, got texts alone")


def texts_of(prompts: Prompts, n: int, model: str, row: str) -> tuple[str, ...]:
    """Return the texts of prompts, one for each of n images, or raise.

    Parameters
    ----------
    prompts : Prompts
    n : int
    model, row : str
        What the model and its rows are called in messages.

    Raises
    ------
    TypeError, ValueError
        If they are no prompts, as many as the images, or a row has no text.
    """
    check_prompts(prompts, n)
    if prompts.texts is None:
        raise ValueError(f"prompts must have texts for {model}, got none")
    if not all(prompts.texts):
        raise ValueError(f"prompts must have a text {row}, got none in row {prompts.texts.index('')}")
    return prompts.texts

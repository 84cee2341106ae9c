"""A trained refiner, its file, and the black box that it makes of another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from zoo_opt_seg.blackbox.protocol import Array, SegmentationModel, check_answer, check_images, check_prompts
from zoo_opt_seg.blackbox.wrappers import Wrapped, to_bytes
from zoo_opt_seg.digests import tensors_digest
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet, evidence_of, guides_of
from zoo_opt_seg.whitebox.core import adapter_file

FORMAT = "zoo-opt-seg refiner 1"
_ROWS = 32  # images that pass the network at a time


class Refiner:
    """A network that corrects answers; made by `zoo_opt_seg.refine.train_refiner` or `load_refiner`.

    Parameters
    ----------
    net : RefinerNet
    """

    def __init__(self, net: RefinerNet) -> None:
        self.net = net

    @property
    def config(self) -> RefinerConfig:
        """What the network is made of."""
        return self.net.config

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(p.numel() for p in self.net.parameters())

    @torch.no_grad()
    def correct(self, images: Array, prompts: Prompts, answers: Array) -> Array:
        """Return corrected probabilities.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, 3)
            uint8, or floats in [0, 1].
        prompts : Prompts
            In pixels of these images.
        answers : ndarray, shape (n, H, W)
            What the black box said: probabilities, or bool masks.

        Returns
        -------
        ndarray of float32, shape (n, H, W)
            NaN where the answer is.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of this form, or the answers are hard where the refiner learnt from probabilities.
        """
        images = to_bytes(check_images(images))
        check_prompts(prompts, len(images))
        answers = check_answer(answers, images.shape[:3], "answers", nan=True)
        if self.config.hard:
            answers = np.where(np.isnan(answers), np.nan, answers > 0.5) if answers.dtype != np.bool_ else answers
        elif answers.dtype == np.bool_:
            raise TypeError("answers must be probabilities, from which this refiner learnt, got bool masks")
        failed = np.isnan(answers).any(axis=(1, 2)) if answers.dtype != np.bool_ else np.zeros(len(images), np.bool_)
        said = answers.astype(np.bool_) if self.config.hard else np.nan_to_num(answers)
        corrected = np.empty(images.shape[:3], np.float32)
        self.net.eval()
        device = self.net.trust.device
        for start in range(0, len(images), _ROWS):
            rows = slice(start, start + _ROWS)
            pixels = np.moveaxis(images[rows], 3, 1).astype(np.float32) / 255
            guides = guides_of(prompts[rows], (images.shape[1], images.shape[2]), self.config.sigma)
            layers = (torch.from_numpy(layer).to(device) for layer in (pixels, guides, evidence_of(said[rows])))
            corrected[rows] = self.net(*layers).sigmoid().cpu().numpy()
        corrected[failed] = np.nan
        return corrected

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the refiner to a safetensors file, whole or not at all."""
        about = {"format": FORMAT, "config": self.config}
        adapter_file.write(path, dict(self.net.named_parameters()), {}, about)


def load_refiner(path: str | os.PathLike[str]) -> Refiner:
    """Return the refiner in a file that `Refiner.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is not a refiner, or is corrupt.
    """
    values, about = adapter_file.read(path, FORMAT, "refiner")
    with adapter_file.making(path, "a refiner"):
        config = adapter_file.settings(values, about, "config")
        channels, weights = tuple(config["channels"]), sum(value.numel() for value in values.values())
        if len(channels) > len(values) or max(channels) ** 2 > weights:  # each level has a layer of its square
            raise ValueError(f"its {weights} weights are too few for the channels {channels}")
        net = RefinerNet(RefinerConfig(**{**config, "channels": channels}))
        adapter_file.put(values, about, dict(net.named_parameters()), {}, path, "refiner")
    return Refiner(net)


class Refined(Wrapped):
    """A black box whose answers are corrected by a refiner.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    refiner : Refiner
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any], refiner: Refiner) -> None:
        self.refiner = refiner
        super().__init__(model)

    @property
    def label(self) -> str:
        """That of the model, and ``+refiner`` with the digest of its weights."""
        digest = tensors_digest(dict(self.refiner.net.named_parameters()))
        return f"{self.model.label}+refiner:{digest[:8]}"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the corrected answers."""
        return self.refiner.correct(images, prompts, self.model(images, prompts))

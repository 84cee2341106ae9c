"""A trained refiner, its file, and the black box that it makes of another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from zoo_opt.core.errors import finite
from zoo_opt_seg.blackbox.protocol import Array, SegmentationModel, check_answer, check_images, check_prompts
from zoo_opt_seg.blackbox.wrappers import Wrapped, to_bytes
from zoo_opt_seg.digests import tensors_digest
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.refine.network import ROWS, RefinerConfig, RefinerNet, evidence_of, guides_of, shrunk
from zoo_opt_seg.whitebox.core import adapter_file

FORMAT = "zoo-opt-seg refiner 3"
MEMBERS = 64  # networks of a refiner, at most


class Refiner:
    """Networks that correct answers together; made by `zoo_opt_seg.refine.train_refiner` or `load_refiner`.

    The corrected logit is a + s (mean_k f_k - a), of the answer's logit a, the logits f_k of the networks and the share
    s: 0 leaves every answer as it is, 1 follows the networks alone. Images larger than the networks' ``side`` are
    shrunk for them, and f_k - a is enlarged.

    Parameters
    ----------
    nets : sequence of RefinerNet
        Of one configuration.
    share : float
        How far the networks are followed, in [0, 1].
    """

    def __init__(self, nets: Sequence[RefinerNet], share: float = 1.0) -> None:
        self.nets = tuple(nets)
        if not 0 < len(self.nets) <= MEMBERS or len({net.config for net in self.nets}) > 1:
            raise ValueError(f"nets must be 1 to {MEMBERS} RefinerNet of one configuration, got {len(self.nets)}")
        self.share = finite("share", share)
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share must be in [0, 1], got {share!r}")

    @property
    def config(self) -> RefinerConfig:
        """What the networks are made of."""
        return self.nets[0].config

    @property
    def parameters(self) -> int:
        """How many weights they have."""
        return sum(tensor.numel() for tensor in self.tensors().values())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights by name."""
        return {f"{k}.{name}": p for k, net in enumerate(self.nets) for name, p in net.named_parameters()}

    @property
    def digest(self) -> str:
        """Of the weights and the share."""
        return tensors_digest({**self.tensors(), "share": torch.tensor(self.share, dtype=torch.float64)})

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
        return self.corrections(images, prompts, answers, (self.share,))[0]

    @torch.no_grad()
    def corrections(self, images: Array, prompts: Prompts, answers: Array, shares: Sequence[float]) -> Array:
        """Return what `correct` would with each of several shares, (k, n, H, W), from one pass of the networks."""
        images = to_bytes(check_images(images))
        check_prompts(prompts, len(images))
        answers = check_answer(answers, images.shape[:3], "answers", nan=True)
        if self.config.hard:
            answers = np.where(np.isnan(answers), np.nan, answers > 0.5) if answers.dtype != np.bool_ else answers
        elif answers.dtype == np.bool_:
            raise TypeError("answers must be probabilities, from which this refiner learnt, got bool masks")
        failed = np.isnan(answers).any(axis=(1, 2)) if answers.dtype != np.bool_ else np.zeros(len(images), np.bool_)
        said = answers.astype(np.bool_) if self.config.hard else np.nan_to_num(answers)
        corrected = np.empty((len(shares), *images.shape[:3]), np.float32)
        for start in range(0, len(images), ROWS):
            rows = slice(start, start + ROWS)
            pixels = np.moveaxis(images[rows], 3, 1).astype(np.float32) / 255
            guides = guides_of(prompts[rows], (images.shape[1], images.shape[2]), self.config.sigma)
            layers = [torch.from_numpy(layer) for layer in (pixels, guides, evidence_of(said[rows]))]
            logits, evidence = self._logits(*layers), layers[-1][:, 0]
            for k, share in enumerate(shares):
                corrected[k, rows] = torch.lerp(evidence, logits, share).sigmoid().numpy()
        corrected[:, failed] = np.nan
        return corrected

    def _logits(self, images: torch.Tensor, guides: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        """Return the mean of the networks' logits (n, H, W); see `RefinerNet.forward`."""
        seen = [shrunk(layer, self.config.side) for layer in (images, guides, evidence)]
        said = seen[-1][:, 0]
        logits = torch.zeros_like(said)
        for net in self.nets:
            net.eval()
            logits += net(*(layer.to(net.trust.device) for layer in seen)).cpu() / len(self.nets)
        if said.shape == evidence[:, 0].shape:
            return logits
        return (evidence + F.interpolate((logits - said)[:, None], evidence.shape[-2:], mode="bilinear"))[:, 0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the refiner to a safetensors file, whole or not at all."""
        about = {"format": FORMAT, "config": self.config, "nets": str(len(self.nets)), "share": repr(self.share)}
        adapter_file.write(path, self.tensors(), {}, about)


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
        count, channels = int(about["nets"]), tuple(config["channels"])
        weights = sum(value.numel() for value in values.values())
        if not 0 < count <= MEMBERS or len(channels) > len(values) or count * max(channels) ** 2 > weights:
            # before memory is taken: each level of a network has a layer of its square
            raise ValueError(f"its {weights} weights are too few for {count} networks of the channels {channels}")
        made = RefinerConfig(**{**config, "channels": channels})
        refiner = Refiner([RefinerNet(made) for _ in range(count)], float(about["share"]))
        adapter_file.put(values, about, refiner.tensors(), {}, path, "refiner")
    return refiner


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
        return f"{self.model.label}+refiner:{self.refiner.digest[:8]}"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the corrected answers."""
        return self.refiner.correct(images, prompts, self.model(images, prompts))

"""Frozen image encoders: an image to the one vector that a visual prompt is conditioned on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer, one_of
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.prompts import Array

Made = TypeVar("Made")


@runtime_checkable
class Encoder(Protocol):
    """An image to a vector. Anything with these three will do.

    An encoder that `make_encoder` cannot make again is to be handed to `load_prompt` as it was to the prompt.

    Attributes
    ----------
    name : str
    dim : int
        Length of the vector.
    """

    name: str
    dim: int

    def __call__(self, images: Array) -> Array:
        """Return vectors, float32 (n, dim), of images, uint8 (n, H, W, 3)."""


class WeightsError(RuntimeError):
    """Weights that could not be had: no network, no such file, or a file of another model."""


class EncoderSource(NamedTuple):
    """How a named encoder is made.

    Parameters
    ----------
    library : {"timm", "open_clip"}
    arch : str
        The library's name of the architecture; for timm with the tag of the weights.
    tag : str
        open_clip's name of the weights, or for timm an address where its own registry has none.
    dim : int
        Length of the vector.
    """

    library: str
    arch: str
    tag: str
    dim: int


_DINO = "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"
SOURCES: dict[str, EncoderSource] = {
    "vit-mae": EncoderSource("timm", "vit_base_patch16_224.mae", "", 768),
    "vit": EncoderSource("timm", "vit_base_patch16_224.augreg_in21k", "", 768),
    "dino-resnet50": EncoderSource("timm", "resnet50", _DINO, 2048),
    "clip": EncoderSource("open_clip", "ViT-B-32-quickgelu", "openai", 512),  # as OpenAI trained it
}
ENCODERS = ("tiny", "tiny-random", *SOURCES)


class TorchEncoder:
    """A torch module behind `Encoder`: resizes, normalises, runs in batches and without gradients.

    Parameters
    ----------
    name : str
    module : torch.nn.Module
        Maps images (n, 3, size, size) to vectors (n, dim). It is frozen and put in evaluation mode.
    dim : int
    size : int
        Side in pixels of the images that the module takes.
    mean, std : sequence of 3 floats
        Images in [0, 1] become (image - mean) / std.
    device : str
    batch : int
        Images at a time.
    settings : mapping, optional
        Arguments by which `make_encoder` makes the encoder again.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        dim: int,
        size: int,
        *,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        std: tuple[float, ...] = (1.0, 1.0, 1.0),
        device: str = "cpu",
        batch: int = 32,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.dim, self.size = name, dim, size
        self.device, self.batch = torch.device(device), integer("batch", batch, 1)
        self.module = module.eval().requires_grad_(False).to(self.device)
        self._mean, self._std = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (mean, std))
        self._settings = dict(settings or {})

    def __call__(self, images: Array) -> Array:
        """Return vectors, float32 (n, dim), of images, uint8 (n, H, W, 3)."""
        parts = [self._encode(images[i : i + self.batch]) for i in range(0, len(images), self.batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def config(self) -> dict[str, Any]:
        """Return the arguments of `make_encoder` for this encoder."""
        return {"encoder": self.name, **self._settings}

    def _encode(self, images: Array) -> Array:
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, 3, 1))).to(self.device).float().div_(255)
            if x.shape[-2:] != (self.size, self.size):
                side = (self.size, self.size)
                x = F.interpolate(x, side, mode="bilinear", align_corners=False, antialias=True)
            vectors: Tensor = self.module((x - self._mean) / self._std)
        if vectors.shape != (len(images), self.dim):
            wanted = (len(images), self.dim)
            raise ValueError(f"encoder {self.name} must return vectors of shape {wanted}, got {tuple(vectors.shape)}")
        return np.asarray(vectors.float().cpu().numpy())


def make_encoder(
    encoder: Encoder | str | Mapping[str, Any],
    weights: str | Path | None = None,
    *,
    arch: str | None = None,
    size: int | None = None,
    device: str = "cpu",
) -> Encoder:
    """Return a frozen encoder by name; an encoder is returned as it is.

    Parameters
    ----------
    encoder : {"tiny", "tiny-random", "vit-mae", "vit", "clip", "dino-resnet50"}, mapping, or Encoder
        ``"tiny"`` comes with the package, ``"tiny-random"`` is the same with random weights, to compare with; the
        others are the published models, of timm and open_clip. A mapping holds these arguments by name.
    weights : path-like, optional
        File of weights (safetensors, or a torch state dict); by default loaded over the network by name.
    arch : str, optional
        Another architecture of the same library; needs ``weights``.
    size : int, optional
        Side in pixels that images are resized to; by default the model's own.
    device : str

    Raises
    ------
    ValueError
        For an unknown name.
    WeightsError
        If the weights cannot be loaded.
    """
    if isinstance(encoder, Mapping):
        return make_encoder(**encoder)
    if not isinstance(encoder, str):
        return own("encoder", encoder, Encoder)
    one_of("encoder", encoder, ENCODERS)
    if encoder in ("tiny", "tiny-random"):
        return _tiny(encoder, device)
    if arch is not None and weights is None:
        raise ValueError(f"arch needs weights, as {arch!r} has none by the name of {encoder!r}")
    if arch is not None and ":" in arch:  # such as "hf-hub:who/what", which a file must not have fetched
        raise ValueError(f"arch must be the name of an architecture, not of a place, got {arch!r}")
    path = None if weights is None else Path(weights)
    if path is not None and not path.is_file():
        raise WeightsError(f"weights of encoder {encoder!r} must be a file, there is none at {path}")
    source = SOURCES[encoder] if arch is None else SOURCES[encoder]._replace(arch=arch)
    make: Callable[..., TorchEncoder] = _timm if source.library == "timm" else _open_clip
    settings = {"weights": None if path is None else str(path), "arch": arch, "size": size}
    with loading(f"encoder {encoder!r}", path):
        made = make(encoder, source, path, size, device=device, settings=settings)
    return made


@contextlib.contextmanager
def loading(what: str, path: str | Path | None) -> Iterator[None]:
    """Turn what the libraries raise, of the network, of files, of state dicts, into a WeightsError in one sentence."""
    try:
        yield
    except Exception as error:
        origin = f"from {path}" if path is not None else "over the network; give weights=, a local file, without one"
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 200 else f"{reason[:200]}..."
        raise WeightsError(f"cannot load {what} {origin} ({type(error).__name__}: {reason})") from error


def own(argument: str, value: Made, kind: Any) -> Made:
    """Return an encoder of the caller's own, or raise a TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{argument} must be a name or have name, dim and __call__, got {value!r}")
    return value


def encoder_config(encoder: Any) -> dict[str, Any]:
    """Return what `make_encoder` or `make_text_encoder` takes, or of an encoder of the caller's own name and dim."""
    config = getattr(encoder, "config", None)
    return dict(config()) if callable(config) else {"own": encoder.name, "dim": encoder.dim}


def _tiny(name: str, device: str) -> TorchEncoder:
    from zoo_opt_seg import embedded

    module = embedded.tiny_encoder()
    if name == "tiny-random":
        _randomise(module)
    return TorchEncoder(name, module, int(module.dim), embedded.TINY_SIZE, device=device)


def _randomise(module: nn.Module) -> None:
    """Overwrite weights by uniform numbers of variance 1 / fan-in, always the same ones, and biases by zeros."""
    with torch.no_grad():
        for i, (name, value) in enumerate(module.named_parameters()):
            if value.ndim >= 2:
                bound = math.sqrt(3.0 / math.prod(value.shape[1:]))
                value.copy_(torch.from_numpy(uniform(0, i, tuple(value.shape), -bound, bound)))
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)


def _timm(name: str, source: EncoderSource, path: Path | None, size: int | None, **options: Any) -> TorchEncoder:
    import timm

    arguments: dict[str, Any] = {"num_classes": 0}
    if source.arch.startswith("vit"):
        arguments["global_pool"] = "token"  # the CLS vector
        if size is not None:
            arguments["img_size"] = size
    if path is None and source.tag:
        arguments["pretrained_cfg_overlay"] = {"url": source.tag, "hf_hub_id": None, "num_classes": 0}
    model: Any = timm.create_model(source.arch, pretrained=path is None, **arguments)
    cfg = model.pretrained_cfg
    if path is not None:
        _load_timm(model, path)
    side = size or int(cfg["input_size"][-1])
    return TorchEncoder(name, model, model.num_features, side, mean=cfg["mean"], std=cfg["std"], **options)


def _load_timm(model: nn.Module, path: Path) -> None:
    """Load a file into a timm model, resizing position embeddings; what belongs to a classifier is left out."""
    import importlib

    state = read_state(path)
    convert = getattr(importlib.import_module(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is not None:
        state = convert(state, model)
    extra = ("head.", "fc.", "head_drop.", "fc_norm.", "decoder", "mask_token")
    state = {key: value for key, value in state.items() if key in model.state_dict() or not key.startswith(extra)}
    model.load_state_dict(state)


def open_clip_model(source: EncoderSource, path: Path | None, **options: Any) -> Any:
    """Return a model of open_clip with the weights of a file, or without one with those of its own name."""
    import open_clip

    model = open_clip.create_model(source.arch, pretrained=source.tag if path is None else None, **options)
    if path is not None:
        model.load_state_dict(read_state(path))
    return model


def _open_clip(name: str, source: EncoderSource, path: Path | None, size: int | None, **options: Any) -> TorchEncoder:
    import open_clip

    visual = open_clip_model(source, path, **({} if size is None else {"force_image_size": size})).visual
    side = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return TorchEncoder(name, visual, visual.output_dim, int(side), mean=mean, std=std, **options)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, safetensors or torch, also one held under "model" or "state_dict".

    Raises
    ------
    ValueError
        If it holds no state dict.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError("the file holds no state dict")
    return state

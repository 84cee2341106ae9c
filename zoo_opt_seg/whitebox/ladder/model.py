"""The ladder SAM-LST [1]_: a small CNN beside SAM's frozen encoder, a learnt gate, and SAM's decoder with classes.

`LadderSam` is the model and its file; `zoo_opt_seg.whitebox.ladder.training` trains one.

References
----------
.. [1] Chai et al., Ladder fine-tuning approach for SAM integrating complementary network, arXiv 2306.12737.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import CheckpointError, integer, one_of
from zoo_opt_seg.embedded.sam import decode_batch
from zoo_opt_seg.whitebox.core import adapter_file
from zoo_opt_seg.whitebox.core.trainer import seeded
from zoo_opt_seg.whitebox.ladder.resnet import ResNetToLayer3, load_imagenet

if TYPE_CHECKING:
    from segment_anything.modeling import MaskDecoder, Sam

FORMAT = "zoo-opt-seg ladder 1"
ENCODERS = ("both", "cnn", "sam")
STREAM = 0x1ADDE2  # of the seed


@dataclass(frozen=True)
class Ladder:
    """Which ladder.

    Parameters
    ----------
    classes : int
        Masks, that of the background included: 9 for eight organs.
    encoders : {"both", "cnn", "sam"}
        Which encoders are used: both through the gate, or one alone.
    normalisation : {"sam", "none"}
        What both encoders see: SAM's mean taken off and divided by its standard deviation (those of ImageNet, for which
        both are made); or, as released, values in [0, 1] as they are.
    tokens : {"random", "sam"}
        The classes' mask tokens and hypernetworks, which are frozen: random, as released; or SAM's own, in the order of
        its decoder, of which there are four: the single mask's and three others.
    """

    classes: int
    encoders: str = "both"
    normalisation: str = "sam"
    tokens: str = "random"

    def __post_init__(self) -> None:
        integer("classes", self.classes, 2)
        one_of("encoders", self.encoders, ENCODERS)
        one_of("normalisation", self.normalisation, ("sam", "none"))
        one_of("tokens", self.tokens, ("random", "sam"))


class LadderSam(nn.Module):
    """SAM with a CNN beside its image encoder, one mask per class, and no prompts.

    e = s e_SAM + (1 - s) e_CNN with the gate s = sigmoid(alpha), alpha = 0 at the start; then SAM's mask decoder
    without prompts. Trained: the CNN, alpha, and the decoder's ``output_upscaling``.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Of any size, with patches of 16 or 8 pixels; left as it is.
    config : Ladder
    weights : path or None
        ImageNet weights of ResNet-18, by torchvision or timm, for embeddings of 256 channels at stride 16. None:
        random. For other embeddings the network has their width (a fourth of their channels in its first layer) and
        stride, and is random.
    seed : int
        Seed of everything random.

    Raises
    ------
    ValueError
        If the embeddings have a stride other than 16 or 8, or the decoder has fewer tokens than classes where its own
        are asked for.
    CheckpointError
        If the weights do not fit.
    """

    def __init__(
        self, sam: Sam, config: Ladder, *, weights: str | os.PathLike[str] | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.config, self.seed = config, integer("seed", seed, 0)
        self.size = int(sam.image_encoder.img_size)
        channels, side = sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size[0]
        stride = self.size // side
        if stride not in (16, 8) or channels % 4:
            raise ValueError(f"sam must have embeddings of stride 16 or 8, got {channels} channels of stride {stride}")
        device = next(sam.parameters()).device
        self.image_encoder = copy.deepcopy(sam.image_encoder)
        self.prompt_encoder = copy.deepcopy(sam.prompt_encoder)
        self.pixel_mean: Tensor
        self.pixel_std: Tensor
        self.register_buffer("pixel_mean", sam.pixel_mean.detach().clone().to(device), persistent=False)
        self.register_buffer("pixel_std", sam.pixel_std.detach().clone().to(device), persistent=False)
        with seeded((seed, STREAM)):
            self.cnn = ResNetToLayer3(channels // 4, stride)
            self.mask_decoder = _class_decoder(sam.mask_decoder, config)
        if weights is not None:
            load_imagenet(self.cnn, weights)
        self.cnn.to(device)
        self.mask_decoder.to(device)
        self.alpha = nn.Parameter(torch.zeros((), device=device))
        self.eval()
        trained = set(self.trained())
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in trained)

    @property
    def gate(self) -> float:
        """Share of SAM's embedding, s = sigmoid(alpha); 1 or 0 where only one encoder is used."""
        if self.config.encoders == "both":
            return float(self.alpha.detach().sigmoid())
        return float(self.config.encoders == "sam")

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        parts = {"both": ("cnn.", "alpha"), "cnn": ("cnn.",), "sam": ()}[self.config.encoders]
        chosen = (*parts, "mask_decoder.output_upscaling.")
        return {name: p for name, p in self.named_parameters() if name.startswith(chosen)}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that training changes: `trained`, and the CNN's running means and variances."""
        changing: dict[str, Tensor] = dict(self.trained())
        if self.config.encoders != "sam":
            changing |= {f"cnn.{name}": buffer for name, buffer in self.cnn.named_buffers()}
        return changing

    def frozen(self) -> dict[str, Tensor]:
        """Everything else, buffers too."""
        changing = self.tensors().keys()
        return {name: t for name, t in self.state_dict(keep_vars=True).items() if name not in changing}

    def train(self, mode: bool = True) -> LadderSam:
        """Switch the CNN's batch normalisation; SAM's parts stay in evaluation mode."""
        super().train(False)
        self.cnn.train(mode)
        return self

    def pixels(self, images: np.ndarray) -> Tensor:
        """Return slices, float32 (n, H, W) in [0, 1], as both encoders take them, (n, 3, size, size)."""
        x = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(self.pixel_mean.device)[:, None]
        if x.shape[2:] != (self.size, self.size):
            smaller = max(x.shape[2:]) > self.size
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False, antialias=smaller)
        x = x.expand(-1, 3, -1, -1)
        return (255 * x - self.pixel_mean) / self.pixel_std if self.config.normalisation == "sam" else x.contiguous()

    def embed(self, pixels: Tensor) -> Tensor:
        """Return SAM's embeddings (n, c, h, w), without a gradient, in full precision.

        One image at a time goes through the encoder, so that an embedding does not depend on what else is in the batch,
        and one from a cache is the same bit for bit.
        """
        full: AbstractContextManager[object] = nullcontext()
        if not pixels.is_meta:
            full = torch.autocast(pixels.device.type, enabled=False)
        with torch.no_grad(), full:
            return torch.cat([self.image_encoder(pixels[i : i + 1]) for i in range(len(pixels))])

    def fused(self, pixels: Tensor, embeddings: Tensor | None = None, gate: float | None = None) -> Tensor:
        """Return e, (n, c, h, w), from pixels and, where they are known, SAM's embeddings; ``gate`` in place of s."""
        encoders = self.config.encoders
        e_sam = None if encoders == "cnn" else self.embed(pixels) if embeddings is None else embeddings
        e_cnn = None if encoders == "sam" else self.cnn(pixels)
        if e_sam is None or e_cnn is None:
            if gate is not None:
                raise ValueError(f"gate is between two encoders, and this ladder has {encoders!r} alone")
            return e_sam if e_cnn is None else e_cnn  # type: ignore[return-value]
        s = self.alpha.sigmoid() if gate is None else gate
        return s * e_sam + (1 - s) * e_cnn

    def decode(self, e: Tensor) -> Tensor:
        """Return logits (n, classes, 4 h, 4 w) of embeddings (n, c, h, w), without prompts."""
        sparse, dense = self.prompt_encoder(points=None, boxes=None, masks=None)
        return decode_batch(self, e, sparse.expand(len(e), -1, -1), dense)[0]

    def forward(self, pixels: Tensor, embeddings: Tensor | None = None, gate: float | None = None) -> Tensor:
        """Return low-resolution logits (n, classes, 4 h, 4 w).

        Parameters
        ----------
        pixels : Tensor, shape (n, 3, size, size)
            Of `pixels`.
        embeddings : Tensor, optional
            Of `embed`, where they are known.
        gate : float, optional
            In place of the learnt s: with 1 the output is that of SAM's embedding alone, with 0 that of the CNN's.
        """
        return self.decode(self.fused(pixels, embeddings, gate))

    def logits(
        self, images: np.ndarray, *, embed: Callable[[Tensor], Tensor] | None = None, gate: float | None = None
    ) -> Tensor:
        """Return low-resolution logits of slices, float32 (n, H, W) in [0, 1]; ``embed`` in place of `embed`."""
        pixels = self.pixels(images)
        known = None if self.config.encoders == "cnn" else (embed or self.embed)(pixels)
        return self(pixels, known, gate)

    def labels(self, images: np.ndarray, *, gate: float | None = None, through: int | None = None) -> np.ndarray:
        """Return the likeliest class of each pixel, uint8 (n, H, W): of logits brought to the slices' own size.

        Parameters
        ----------
        images : ndarray of float32, shape (n, H, W)
        gate : float, optional
            In place of the learnt s.
        through : int, optional
            As the released code tests, with 224: slices are brought to this side in pixels and from there to the
            model's, by cubic splines, which loses detail, and the labels to the slices' size by the nearest pixel.
        """
        seen = images if through is None else zoomed(zoomed(images, integer("through", through, 1)), self.size)
        with torch.no_grad():
            labels = self.enlarged(self.logits(seen, gate=gate), seen.shape[1:])
        return labels if seen.shape == images.shape else zoomed(labels, images.shape[1], images.shape[2], order=0)

    @staticmethod
    def enlarged(logits: Tensor, size: tuple[int, ...]) -> np.ndarray:
        """Return labels, uint8 (n, H, W) of this size: the largest of the logits, enlarged bilinearly."""
        large = F.interpolate(logits.detach().float(), size, mode="bilinear", align_corners=False)
        labels: np.ndarray = large.argmax(dim=1).to(torch.uint8).cpu().numpy()
        return labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that is not the SAM's own, with the configuration, as safetensors, all or nothing."""
        metadata = {"format": FORMAT, "ladder": self.config, "size": str(self.size)}
        adapter_file.write(path, self._own(), self.frozen(), metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str], sam: Sam) -> LadderSam:
        """Put a saved ladder on a SAM of the kind that it was trained on.

        Raises
        ------
        CheckpointError
            If the file is not one of ours, or of a SAM of other sizes.
        """
        values, metadata = adapter_file.read(path, FORMAT, "ladder")
        with adapter_file.making(path, "a ladder"):
            if (size := int(metadata["size"])) != sam.image_encoder.img_size:  # no tensor's shape would tell
                ours = sam.image_encoder.img_size
                raise CheckpointError(f"{path} is of a SAM of {size} pixels, this one has {ours}: see sam_of_size")
            ladder = cls(sam, Ladder(**adapter_file.settings(values, metadata, "ladder")))
            adapter_file.put(values, metadata, ladder._own(), ladder.frozen(), path, "SAM")
        return ladder

    def _own(self) -> dict[str, Tensor]:
        """What is trained or random."""
        parts = ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")
        random = tuple(f"mask_decoder.{part}." for part in parts)
        own = self.tensors().keys()
        return {
            name: t for name, t in self.state_dict(keep_vars=True).items() if name in own or name.startswith(random)
        }


def zoomed(slices: np.ndarray, height: int, width: int | None = None, order: int = 3) -> np.ndarray:
    """Return slices (n, H, W) as (n, height, width), each by scipy's ``zoom``, a spline of this order."""
    from scipy.ndimage import zoom

    size = height, width or height
    if slices.shape[1:] == size:
        return slices
    factors = [new / old for new, old in zip(size, slices.shape[1:], strict=True)]
    return np.stack([zoom(one, factors, order=order) for one in slices])


def _class_decoder(decoder: MaskDecoder, config: Ladder) -> Any:
    """SAM's mask decoder with a token and a hypernetwork per class; the rest is a copy of its own."""
    from segment_anything.modeling import MaskDecoder

    known = decoder.num_mask_tokens
    if config.tokens == "sam" and config.classes > known:
        raise ValueError(f"classes must be at most {known}, SAM's mask tokens, with tokens='sam', got {config.classes}")
    head = decoder.iou_prediction_head
    kept = {"transformer_dim": decoder.transformer_dim, "transformer": copy.deepcopy(decoder.transformer)}
    iou_head = {"iou_head_depth": len(head.layers), "iou_head_hidden_dim": head.layers[0].out_features}
    made = MaskDecoder(num_multimask_outputs=config.classes - 1, **kept, **iou_head)
    made.iou_token = copy.deepcopy(decoder.iou_token)
    made.output_upscaling = copy.deepcopy(decoder.output_upscaling)
    if config.tokens == "sam":
        made.mask_tokens.weight = nn.Parameter(decoder.mask_tokens.weight[: config.classes].detach().clone())
        made.output_hypernetworks_mlps = copy.deepcopy(decoder.output_hypernetworks_mlps[: config.classes])
    return made


def sam_of_size(sam: Sam, size: int) -> Sam:
    """Return a copy of a SAM for another image size, its position embedding interpolated bilinearly.

    The ladder's published configuration is ViT-B at 512 pixels. Relative positions are interpolated by SAM itself.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
    size : int
        Height and width in pixels, a multiple of the patch size.
    """
    if not hasattr(sam.image_encoder, "pos_embed"):
        raise ValueError(f"sam must have SAM's own ViT for another size, got a {type(sam.image_encoder).__name__}")
    old = sam.image_encoder.img_size
    patch = old // sam.prompt_encoder.image_embedding_size[0]
    if integer("size", size, patch) % patch:
        raise ValueError(f"size must be a multiple of {patch}, this SAM's patch size, got {size}")
    copied, side = copy.deepcopy(sam), size // patch
    encoder, prompts = copied.image_encoder, copied.prompt_encoder
    encoder.img_size = size
    if encoder.pos_embed is not None:
        grid = encoder.pos_embed.detach().permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (side, side), mode="bilinear", align_corners=False, antialias=False)
        encoder.pos_embed = nn.Parameter(grid.permute(0, 2, 3, 1).contiguous())
    prompts.image_embedding_size, prompts.input_image_size = (side, side), (size, size)
    prompts.mask_input_size = (4 * side, 4 * side)
    return copied

"""A Segment Anything model for images of 96 pixels, built from the classes of ``segment_anything.modeling``.

It is trained by ``benchmarks/pretrain_sam.py`` on the source scenes and stored as float16 in ``sam.safetensors``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.embedded.weights import stored

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WEIGHTS = Path(__file__).with_name("sam.safetensors")


PATCH, CHANNELS = 8, 64  # pixels per side of an embedding, and its length


def build_tiny_sam() -> Sam:
    """The tiny SAM with random weights, drawn from torch's global generator; in training mode.

    Returns
    -------
    segment_anything.modeling.Sam
        Images of 96 x 96, patches of 8, encoder of width 96 and depth 4, embeddings (64, 12, 12), 0.64 M parameters.
    """
    from segment_anything.modeling import ImageEncoderViT

    return sam_around(
        ImageEncoderViT(
            img_size=TINY_SIZE, patch_size=PATCH, embed_dim=96, depth=4, num_heads=4, mlp_ratio=3.0, out_chans=CHANNELS
        )
    )


def sam_around(image_encoder: Any) -> Sam:
    """A SAM with this image encoder, which makes embeddings (64, size / 8, size / 8) of images of its ``img_size``."""
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    size = int(image_encoder.img_size)
    prompt_encoder = PromptEncoder(
        embed_dim=CHANNELS,
        image_embedding_size=(size // PATCH, size // PATCH),
        input_image_size=(size, size),
        mask_in_chans=8,
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=4, mlp_dim=128)
    mask_decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=transformer,
        transformer_dim=CHANNELS,
        iou_head_depth=3,
        iou_head_hidden_dim=64,
    )
    return Sam(image_encoder=image_encoder, prompt_encoder=prompt_encoder, mask_decoder=mask_decoder)


def tiny_sam() -> Sam:
    """The trained tiny SAM, in evaluation mode and float32.

    Returns
    -------
    segment_anything.modeling.Sam
        A new module, whose parameters the caller may freeze or train.

    Raises
    ------
    FileNotFoundError, ValueError
        If the weights are missing or of another model.
    """
    return stored(build_tiny_sam, WEIGHTS)


def decode_batch(sam: Any, embeddings: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """Decode prompt i on image i: ``MaskDecoder.predict_masks``, which knows one image, for a batch of images.

    Parameters
    ----------
    sam : Sam
        Or anything with its ``mask_decoder`` and ``prompt_encoder``.
    embeddings : Tensor (n, c, h, w)
        Of the image encoder.
    sparse : Tensor (n, tokens, c)
        Of the prompt encoder.
    dense : Tensor (n or 1, c, h, w)
        Of the prompt encoder.

    Returns
    -------
    logits : Tensor (n, 4, 4 h, 4 w)
        The single mask and the three of "multimask_output".
    iou : Tensor (n, 4)
        Their predicted IoU.
    """
    image_pe = sam.prompt_encoder.get_dense_pe()
    nothing = embeddings.new_zeros(1, *embeddings.shape[1:])  # the decoder repeats it for every prompt and adds dense
    decoded: tuple[Tensor, Tensor] = sam.mask_decoder.predict_masks(nothing, image_pe, sparse, embeddings + dense)
    return decoded

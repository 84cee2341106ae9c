"""A Segment Anything model for images of 96 pixels that has seen real pictures: it plays a vendor's model.

It is trained by ``benchmarks/pretrain_small_sam.py`` on medical pictures, photographs and source scenes and stored as
float16 in ``small.safetensors``; docs/seg-small-sam.md is its model card.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo_opt_seg.embedded.hybrid import HybridEncoder
from zoo_opt_seg.embedded.sam import sam_around
from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.embedded.weights import stored

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WEIGHTS = Path(__file__).with_name("small.safetensors")


def build_small_sam() -> Sam:
    """The small SAM with random weights, drawn from torch's global generator; in training mode.

    Returns
    -------
    segment_anything.modeling.Sam
        Images of 96 x 96, a `HybridEncoder`, embeddings (64, 12, 12); prompt encoder and decoder as of the tiny SAM.
    """
    return sam_around(HybridEncoder(TINY_SIZE))


def small_sam() -> Sam:
    """The trained small SAM, in evaluation mode and float32.

    Returns
    -------
    segment_anything.modeling.Sam
        A new module, whose parameters the caller may freeze or train.

    Raises
    ------
    FileNotFoundError, ValueError
        If the weights are missing or of another model.
    """
    return stored(build_small_sam, WEIGHTS)

"""Models that come with the package: a tiny SAM, CLIPSeg and image encoder, trained on the source scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import importer
from zoo_opt_seg.embedded.size import TINY_SIZE

if TYPE_CHECKING:
    from zoo_opt_seg.embedded.clipseg import TinyTokenizer as TinyTokenizer
    from zoo_opt_seg.embedded.clipseg import build_tiny_clipseg as build_tiny_clipseg
    from zoo_opt_seg.embedded.clipseg import tiny_clipseg as tiny_clipseg
    from zoo_opt_seg.embedded.clipseg import tiny_tokenizer as tiny_tokenizer
    from zoo_opt_seg.embedded.encoder import TinyEncoder as TinyEncoder
    from zoo_opt_seg.embedded.encoder import tiny_encoder as tiny_encoder
    from zoo_opt_seg.embedded.sam import build_tiny_sam as build_tiny_sam
    from zoo_opt_seg.embedded.sam import decode_batch as decode_batch
    from zoo_opt_seg.embedded.sam import tiny_sam as tiny_sam

_HOME = {
    "clipseg": ("TinyTokenizer", "build_tiny_clipseg", "tiny_clipseg", "tiny_tokenizer"),
    "encoder": ("TinyEncoder", "tiny_encoder"),
    "sam": ("build_tiny_sam", "decode_batch", "tiny_sam"),
}

__all__ = ["TINY_SIZE", *(name for names in _HOME.values() for name in names)]
__getattr__ = importer(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)

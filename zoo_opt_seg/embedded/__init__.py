"""Models that come with the package: a tiny SAM, CLIPSeg and encoder of drawn scenes, a small SAM of real pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports
from zoo_opt_seg.embedded.size import TINY_SIZE as TINY_SIZE

if TYPE_CHECKING:
    from zoo_opt_seg.embedded.clipseg import TinyTokenizer as TinyTokenizer
    from zoo_opt_seg.embedded.clipseg import build_tiny_clipseg as build_tiny_clipseg
    from zoo_opt_seg.embedded.clipseg import tiny_clipseg as tiny_clipseg
    from zoo_opt_seg.embedded.clipseg import tiny_tokenizer as tiny_tokenizer
    from zoo_opt_seg.embedded.encoder import TinyEncoder as TinyEncoder
    from zoo_opt_seg.embedded.encoder import tiny_encoder as tiny_encoder
    from zoo_opt_seg.embedded.hybrid import HybridEncoder as HybridEncoder
    from zoo_opt_seg.embedded.sam import build_tiny_sam as build_tiny_sam
    from zoo_opt_seg.embedded.sam import decode_batch as decode_batch
    from zoo_opt_seg.embedded.sam import tiny_sam as tiny_sam
    from zoo_opt_seg.embedded.small import build_small_sam as build_small_sam
    from zoo_opt_seg.embedded.small import small_sam as small_sam

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

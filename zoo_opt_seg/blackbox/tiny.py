"""The embedded models as black boxes.

``python -m zoo_opt_seg.blackbox.tiny`` serves the tiny SAM to another process, with the argument ``small`` the small
SAM, with ``clipseg`` the embedded CLIPSeg.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.blackbox.registry import SMALL, TINY, TINY_CLIPSEG, BlackBoxEntry
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.digests import weights_digest

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox


def TinySam(**options: Any) -> SamBlackBox:
    """Return the tiny SAM that comes with this package: 96 px, trained on drawn scenes, no download.

    Parameters
    ----------
    **options
        Those of `SamBlackBox`, but for the model and the checkpoint.

    Returns
    -------
    SamBlackBox
        Its name is its entry's and the first digits of its weights' SHA-256.
    """
    from zoo_opt_seg.embedded import tiny_sam

    return _sam("TinySam", TINY, tiny_sam, options)


def SmallSam(**options: Any) -> SamBlackBox:
    """Return the small SAM that comes with this package: 96 px, trained on real pictures too, no download.

    It stands for a vendor's model: it was trained on medical pictures and photographs that the user has never seen.

    Parameters
    ----------
    **options
        Those of `SamBlackBox`, but for the model and the checkpoint.

    Returns
    -------
    SamBlackBox
        Its name is its entry's and the first digits of its weights' SHA-256.
    """
    from zoo_opt_seg.embedded import small_sam

    return _sam("SmallSam", SMALL, small_sam, options)


def _sam(called: str, entry: BlackBoxEntry, load: Callable[[], Sam], options: dict[str, Any]) -> SamBlackBox:
    if taken := {"model_type", "checkpoint", "sam"} & options.keys():
        raise TypeError(f"{called} has its own model, got {', '.join(sorted(taken))}")
    sam = load()
    return SamBlackBox(sam=sam, **{"name": f"{entry.name}-{weights_digest(sam)[:8]}", **options})


def TinyClipSeg(**options: Any) -> ClipSegBlackBox:
    """Return the small CLIPSeg that comes with this package: 96 px, trained on drawn scenes with text, no download.

    Parameters
    ----------
    **options
        Those of `ClipSegBlackBox`, but for the model and its tokenizer.

    Returns
    -------
    ClipSegBlackBox
        Its name is its entry's and the first digits of its weights' SHA-256; its text encoder is "tiny".
    """
    if taken := {"name_or_path", "model", "tokenizer"} & options.keys():
        raise TypeError(f"TinyClipSeg has its own model, got {', '.join(sorted(taken))}")
    from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox
    from zoo_opt_seg.embedded import tiny_clipseg, tiny_tokenizer
    from zoo_opt_seg.features.text_encoders import make_text_encoder

    model = tiny_clipseg()
    name = f"{TINY_CLIPSEG.name}-{weights_digest(model)[:8]}"
    box = ClipSegBlackBox(model=model, tokenizer=tiny_tokenizer(), **{"name": name, **options})
    box.text_encoder = make_text_encoder("tiny")  # a copy that a saved prompt can make again, whatever becomes of this
    return box


if __name__ == "__main__":
    import torch

    from zoo_opt_seg.blackbox.process import serve

    torch.set_num_threads(1)
    served: dict[str, Callable[[], Any]] = {"tiny": TinySam, "small": SmallSam, "clipseg": TinyClipSeg}
    if (name := " ".join(sys.argv[1:]) or "tiny") not in served:
        raise SystemExit(f"the argument must be one of {', '.join(served)}, got {name!r}")
    serve(served[name]())

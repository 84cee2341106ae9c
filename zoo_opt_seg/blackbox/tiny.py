"""The embedded SAM as a black box. ``python -m zoo_opt_seg.blackbox.tiny`` serves it to another process."""

from __future__ import annotations

from typing import Any

from zoo_opt_seg.blackbox.sam import SamBlackBox, weights_digest


def TinySam(**options: Any) -> SamBlackBox:
    """Return the small SAM that comes with this package: 96 px, trained on drawn scenes, no download.

    Parameters
    ----------
    **options
        Those of `SamBlackBox`, but for the model and the checkpoint.

    Returns
    -------
    SamBlackBox
        Its name is "tiny-" and the first digits of its weights' SHA-256.
    """
    if taken := {"model_type", "checkpoint", "sam"} & options.keys():
        raise TypeError(f"TinySam has its own model, got {', '.join(sorted(taken))}")
    from zoo_opt_seg.embedded import tiny_sam

    sam = tiny_sam()
    return SamBlackBox(sam=sam, **{"name": f"tiny-{weights_digest(sam)[:8]}", **options})


if __name__ == "__main__":
    import torch

    from zoo_opt_seg.blackbox.process import serve

    torch.set_num_threads(1)
    serve(TinySam())

"""The ladder SAM-LST on volumes."""

from zoo_opt_seg.whitebox.core.comparator import ON_SAM, declared

LADDER = declared(
    "ladder",
    "SAM-LST: a CNN beside SAM's frozen encoder, gate, upscaling; on volumes",
    *("ladder.training:row", "ladder.training:EMBEDDED"),
    ON_SAM,
    volumes=True,
    files=("weights",),
    needs=("torchvision",),
)

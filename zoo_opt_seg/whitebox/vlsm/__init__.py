"""Trained inside CLIPSeg: VLSM adapters, its decoder, all of it."""

from zoo_opt_seg.whitebox.core.comparator import ON_CLIPSEG, declared

VLSM = declared(
    "vlsm",
    "adapters around a frozen CLIPSeg, shallow or dense, V, VL or VLC",
    *("vlsm.training:adapters_row", "vlsm.training:recipe_of"),
    ON_CLIPSEG,
)
CLIPSEG = declared(
    "clipseg", "CLIPSeg end to end, or its decoder", "vlsm.training:clipseg_row", "core.recipes:CLIPSEG", ON_CLIPSEG
)

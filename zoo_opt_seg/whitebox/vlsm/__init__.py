"""Trained inside CLIPSeg: VLSM adapters, its decoder, all of it."""

from zoo_opt_seg.whitebox.core.comparator import ON_CLIPSEG, declared

VLSM = declared(
    "vlsm",
    "adapters around a frozen CLIPSeg, shallow or dense, V, VL or VLC",
    *("vlsm.rows:adapters", "vlsm.rows:recipe_of"),
    ON_CLIPSEG,
)
CLIPSEG = declared(
    "clipseg", "CLIPSeg end to end, or its decoder", "vlsm.rows:whole", "core.recipes:CLIPSEG", ON_CLIPSEG
)

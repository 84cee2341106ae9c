"""Trained inside CLIPSeg: VLSM adapters, its decoder, all of it."""

from zoo_opt_seg.whitebox.core.comparator import Comparator

VLSM = Comparator(
    name="vlsm",
    about="adapters around a frozen CLIPSeg, shallow or dense, V, VL or VLC",
    factory="zoo_opt_seg.whitebox.vlsm.rows:adapters",
    recipe="zoo_opt_seg.whitebox.vlsm.rows:recipe_of",
    part="around",
    model="a CLIPSeg",
    needs=("torch", "transformers"),
)
CLIPSEG = Comparator(
    name="clipseg",
    about="CLIPSeg end to end, or its decoder",
    factory="zoo_opt_seg.whitebox.vlsm.rows:whole",
    recipe="zoo_opt_seg.whitebox.core.recipes:CLIPSEG",
    part="around",
    model="a CLIPSeg",
    needs=("torch", "transformers"),
)

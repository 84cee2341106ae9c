"""The comparators by name: the rows of tables that are trained with the gradient."""

from __future__ import annotations

from zoo_opt.support.registry import Registry
from zoo_opt_seg.whitebox.clip import CRIS, SAN
from zoo_opt_seg.whitebox.core.comparator import Comparator
from zoo_opt_seg.whitebox.ladder import LADDER
from zoo_opt_seg.whitebox.prompt import BACKPROP
from zoo_opt_seg.whitebox.sam import LORA, SAM_FULL
from zoo_opt_seg.whitebox.vlsm import CLIPSEG, VLSM

REFINER = Comparator(  # of a later room, which is looked up when it is used
    name="refiner",
    about="a small network that corrects the black box's answers; box = false: without the box",
    factory="zoo_opt_seg.refine.training:row",
    recipe="zoo_opt_seg.refine.training:RECIPE",
    needs=("torch", "monai"),
    extra="seg",
)
COMPARATORS = Registry(
    *("comparator", "zoo_opt_seg.comparators", Comparator),
    *(LORA, SAM_FULL, BACKPROP, VLSM, CLIPSEG, CRIS, SAN, LADDER, REFINER),
)
"""Other packages declare theirs by entry points of the group ``zoo_opt_seg.comparators``."""

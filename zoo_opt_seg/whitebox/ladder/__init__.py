"""The ladder SAM-LST on volumes."""

from zoo_opt_seg.whitebox.core.comparator import Comparator

LADDER = Comparator(
    name="ladder",
    about="SAM-LST: a CNN beside SAM's frozen encoder, gate, upscaling; on volumes",
    factory="zoo_opt_seg.whitebox.ladder.rows:ladder",
    recipe="zoo_opt_seg.whitebox.ladder.training:EMBEDDED",
    part="sam",
    model="a SAM",
    volumes=True,
    files=("weights",),
    needs=("torch", "segment_anything", "torchvision"),
)

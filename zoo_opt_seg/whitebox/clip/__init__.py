"""CRIS and SAN on a CLIP of open_clip's."""

from zoo_opt_seg.whitebox.core.comparator import Comparator

CRIS = Comparator(
    name="cris",
    about="CRIS end to end, CLIP included",
    factory="zoo_opt_seg.whitebox.clip.rows:cris",
    recipe="zoo_opt_seg.whitebox.core.recipes:CRIS",
    part="around",
    model="a CLIPSeg",
    files=("weights",),
    needs=("torch", "open_clip", "transformers"),
)
SAN = Comparator(
    name="san",
    about="SAN's side adapter beside a frozen CLIP",
    factory="zoo_opt_seg.whitebox.clip.rows:san",
    recipe="zoo_opt_seg.whitebox.core.recipes:SAN",
    part="around",
    model="a CLIPSeg",
    files=("weights",),
    needs=("torch", "open_clip", "transformers"),
)

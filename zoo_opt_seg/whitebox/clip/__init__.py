"""CRIS and SAN on a CLIP of open_clip's."""

from zoo_opt_seg.whitebox.core.comparator import ON_CLIPSEG, declared

_CLIP = {"files": ("weights",), "needs": ("open_clip",)}
CRIS = declared(
    "cris", "CRIS end to end, CLIP included", "clip.training:cris_row", "core.recipes:CRIS", ON_CLIPSEG, **_CLIP
)
SAN = declared(
    "san", "SAN's side adapter beside a frozen CLIP", "clip.training:san_row", "core.recipes:SAN", ON_CLIPSEG, **_CLIP
)

"""The parametrisations by name."""

from __future__ import annotations

from typing import Any

from zoo_opt_seg.visual_prompts.bar import BAR
from zoo_opt_seg.visual_prompts.base import VisualPrompt
from zoo_opt_seg.visual_prompts.blackvip import BlackVIP
from zoo_opt_seg.visual_prompts.filter import FilterPrompt
from zoo_opt_seg.visual_prompts.ip_decoder import IPDecoder
from zoo_opt_seg.visual_prompts.lowrank import LowRank
from zoo_opt_seg.visual_prompts.vpt import VPT

PROMPTS: dict[str, type[VisualPrompt]] = {
    cls.name: cls for cls in (VPT, BlackVIP, IPDecoder, BAR, FilterPrompt, LowRank)
}


def make_prompt(name: str, size: int, **options: Any) -> VisualPrompt:
    """Return the parametrisation of a name.

    Parameters
    ----------
    name : {"vpt", "blackvip", "baps", "bar", "filter", "lowrank"}
    size : int
        Side in pixels of the images.
    **options
        Of the class.

    Raises
    ------
    ValueError
        For an unknown name or a wrong option.
    """
    if name not in PROMPTS:
        raise ValueError(f"name must be one of {', '.join(PROMPTS)}, got {name!r}")
    try:
        return PROMPTS[name](size, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options of {name} must be those of {PROMPTS[name].__name__}: {error}") from None

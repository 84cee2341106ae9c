"""Visual prompts: parametrisations of what is done to an image before the black box sees it.

Names are imported when they are first used, so that their registry can be read without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt_seg.visual_prompts.averaged import Averaged as Averaged
    from zoo_opt_seg.visual_prompts.bar import BAR as BAR
    from zoo_opt_seg.visual_prompts.base import Context as Context
    from zoo_opt_seg.visual_prompts.base import VisualPrompt as VisualPrompt
    from zoo_opt_seg.visual_prompts.blackvip import BlackVIP as BlackVIP
    from zoo_opt_seg.visual_prompts.filter import FilterPrompt as FilterPrompt
    from zoo_opt_seg.visual_prompts.ip_decoder import IPDecoder as IPDecoder
    from zoo_opt_seg.visual_prompts.lowrank import LowRank as LowRank
    from zoo_opt_seg.visual_prompts.registry import PROMPTS as PROMPTS
    from zoo_opt_seg.visual_prompts.registry import make_prompt as make_prompt
    from zoo_opt_seg.visual_prompts.registry import prompt_for as prompt_for
    from zoo_opt_seg.visual_prompts.registry import register_prompt as register_prompt
    from zoo_opt_seg.visual_prompts.saved import PromptFileError as PromptFileError
    from zoo_opt_seg.visual_prompts.saved import TrainedPrompt as TrainedPrompt
    from zoo_opt_seg.visual_prompts.saved import load_prompt as load_prompt
    from zoo_opt_seg.visual_prompts.saved import save_prompt as save_prompt
    from zoo_opt_seg.visual_prompts.views import Views as Views
    from zoo_opt_seg.visual_prompts.vpt import VPT as VPT

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

"""Visual prompts: parametrisations of what is done to an image before the black box sees it."""

from zoo_opt_seg.visual_prompts.bar import BAR
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.visual_prompts.blackvip import BlackVIP
from zoo_opt_seg.visual_prompts.filter import FilterPrompt
from zoo_opt_seg.visual_prompts.ip_decoder import IPDecoder
from zoo_opt_seg.visual_prompts.lowrank import LowRank
from zoo_opt_seg.visual_prompts.registry import PROMPTS, make_prompt, prompt_for, register_prompt
from zoo_opt_seg.visual_prompts.saved import PromptFileError, TrainedPrompt, load_prompt, save_prompt
from zoo_opt_seg.visual_prompts.views import Views
from zoo_opt_seg.visual_prompts.vpt import VPT

__all__ = [
    "BAR",
    "PROMPTS",
    "VPT",
    "BlackVIP",
    "Context",
    "FilterPrompt",
    "IPDecoder",
    "LowRank",
    "PromptFileError",
    "TrainedPrompt",
    "Views",
    "VisualPrompt",
    "load_prompt",
    "make_prompt",
    "prompt_for",
    "register_prompt",
    "save_prompt",
]

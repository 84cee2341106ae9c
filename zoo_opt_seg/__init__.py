"""zoo_opt_seg: black-box segmentation models adapted through visual prompts that zoo_opt trains by function values.

Names are imported when they are first used, so that ``import zoo_opt_seg`` brings in no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.objective import Objective as Objective
    from zoo_opt_seg.adaptation.run import Adaptation as Adaptation
    from zoo_opt_seg.adaptation.run import adapt as adapt
    from zoo_opt_seg.blackbox import SamBlackBox as SamBlackBox
    from zoo_opt_seg.blackbox import TinySam as TinySam
    from zoo_opt_seg.blackbox import as_black_box as as_black_box
    from zoo_opt_seg.data import Samples as Samples
    from zoo_opt_seg.data import Splits as Splits
    from zoo_opt_seg.data import load_data as load_data
    from zoo_opt_seg.measures.evaluation import evaluate as evaluate
    from zoo_opt_seg.prompts import Prompts as Prompts
    from zoo_opt_seg.visual_prompts import load_prompt as load_prompt
    from zoo_opt_seg.visual_prompts import make_prompt as make_prompt
    from zoo_opt_seg.visual_prompts import save_prompt as save_prompt

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

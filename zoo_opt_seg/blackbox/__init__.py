"""Segmentation models seen from outside: images and prompts in, masks out; counted, limited, cached, anywhere.

Names are imported when they are first used: a black box that is no torch model needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt_seg.blackbox.cache import Cached as Cached
    from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox as ClipSegBlackBox
    from zoo_opt_seg.blackbox.hub.sam import HubSamBlackBox as HubSamBlackBox
    from zoo_opt_seg.blackbox.process import ProcessBlackBox as ProcessBlackBox
    from zoo_opt_seg.blackbox.process import serve as serve
    from zoo_opt_seg.blackbox.protocol import BlackBox as BlackBox
    from zoo_opt_seg.blackbox.protocol import BlackBoxError as BlackBoxError
    from zoo_opt_seg.blackbox.protocol import BlackBoxGone as BlackBoxGone
    from zoo_opt_seg.blackbox.protocol import PartlyAnswered as PartlyAnswered
    from zoo_opt_seg.blackbox.protocol import SegmentationModel as SegmentationModel
    from zoo_opt_seg.blackbox.protocol import Unanswerable as Unanswerable
    from zoo_opt_seg.blackbox.protocol import as_black_box as as_black_box
    from zoo_opt_seg.blackbox.registry import BLACK_BOXES as BLACK_BOXES
    from zoo_opt_seg.blackbox.registry import BlackBoxEntry as BlackBoxEntry
    from zoo_opt_seg.blackbox.sam import SamBlackBox as SamBlackBox
    from zoo_opt_seg.blackbox.serving import Served as Served
    from zoo_opt_seg.blackbox.several import ExecutorBlackBox as ExecutorBlackBox
    from zoo_opt_seg.blackbox.several import SeveralBoxes as SeveralBoxes
    from zoo_opt_seg.blackbox.tiny import SmallSam as SmallSam
    from zoo_opt_seg.blackbox.tiny import TinyClipSeg as TinyClipSeg
    from zoo_opt_seg.blackbox.tiny import TinySam as TinySam
    from zoo_opt_seg.blackbox.wrappers import Budgeted as Budgeted
    from zoo_opt_seg.blackbox.wrappers import BudgetExhausted as BudgetExhausted
    from zoo_opt_seg.blackbox.wrappers import Counted as Counted
    from zoo_opt_seg.blackbox.wrappers import Hardened as Hardened
    from zoo_opt_seg.blackbox.wrappers import Quantized as Quantized

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

"""White-box comparators: what the gradient that the black box hides would give.

The names here are what a comparator of another package needs: it declares a `Comparator` and trains by `fit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt_seg.whitebox.comparators import COMPARATORS as COMPARATORS
    from zoo_opt_seg.whitebox.core.comparator import Comparator as Comparator
    from zoo_opt_seg.whitebox.core.comparator import RowRequest as RowRequest
    from zoo_opt_seg.whitebox.core.comparator import Trained as Trained
    from zoo_opt_seg.whitebox.core.recipe import Recipe as Recipe
    from zoo_opt_seg.whitebox.core.recipe import Validation as Validation
    from zoo_opt_seg.whitebox.core.segmentation import Segmentation as Segmentation
    from zoo_opt_seg.whitebox.core.trainer import Fitted as Fitted
    from zoo_opt_seg.whitebox.core.trainer import Trainable as Trainable
    from zoo_opt_seg.whitebox.core.trainer import fit as fit
    from zoo_opt_seg.whitebox.core.training import TrainingSettings as TrainingSettings
    from zoo_opt_seg.whitebox.core.training import WeightsTraining as WeightsTraining

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

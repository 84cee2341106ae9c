"""Labelled images: data sets on disk, synthetic domains, point prompts.

Conventions: images are uint8 RGB (n, H, W, 3), masks bool (n, H, W), points (x, y) in pixels. Names are imported when
they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt_seg.data.errors import DataError as DataError
    from zoo_opt_seg.data.files import Record as Record
    from zoo_opt_seg.data.files import load as load
    from zoo_opt_seg.data.points import centre_points as centre_points
    from zoo_opt_seg.data.points import random_points as random_points
    from zoo_opt_seg.data.registry import DATA_SETS as DATA_SETS
    from zoo_opt_seg.data.registry import DataEntry as DataEntry
    from zoo_opt_seg.data.samples import Samples as Samples
    from zoo_opt_seg.data.samples import Splits as Splits
    from zoo_opt_seg.data.sets import load_data as load_data

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

"""Rows of tables: VLSM adapters, and CLIPSeg itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_opt_seg.whitebox.core.comparator import Request, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.vlsm.layers import VLSM
from zoo_opt_seg.whitebox.vlsm.training import recipe_for, train_clipseg, train_vlsm


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """The recipe of a row with these options."""
    return recipe_for(VLSM(**options))


def adapters(request: Request) -> Trained:
    """Train adapters; the options are those of `VLSM`."""
    adapted, fitted = train_vlsm(request.model, request.splits, VLSM(**request.options), **request.training)
    return Trained(request.model.around(adapted.clipseg), fitted)


def whole(request: Request) -> Trained:
    """Train CLIPSeg; the option is ``parts``."""
    return Trained(*train_clipseg(request.model, request.splits, **request.options, **request.training))

"""Rows of tables: CRIS and SAN, the published network around ``weights``, or without them the small one."""

from __future__ import annotations

from functools import partial

from zoo_opt_seg.whitebox.clip.cris import CRIS
from zoo_opt_seg.whitebox.clip.san import SAN
from zoo_opt_seg.whitebox.clip.text_net import TextNet
from zoo_opt_seg.whitebox.clip.training import train_text_net
from zoo_opt_seg.whitebox.core.comparator import Request, Trained


def _trained(kind: type[TextNet], request: Request) -> Trained:
    if request.options:
        raise ValueError(f"options of {request.label!r} must be weights, got {min(request.options)!r}")
    seed = request.recipe.seed
    file = request.files.get("weights")
    net = kind.tiny(request.model.model, seed=seed) if file is None else kind.published(file, seed=seed)
    return Trained(*train_text_net(net, request.splits, box=request.model.settings, **request.training))


cris, san = partial(_trained, CRIS), partial(_trained, SAN)

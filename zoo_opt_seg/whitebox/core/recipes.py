"""Recipes of the VLSM-Adapter paper (arXiv 2405.06196), by name.

`TO_PLATEAU` (LoRA), `BACKPROP`, `FULL` (SAM) and the ladder's stand beside what they train. The paper says AdamW,
weight decay 1e-3, the rate x0.3 after 5 epochs without a lower validation loss, the end after 20 without a better Dice,
batches of 32, gradients clipped at 0.5, float16 mixed; the learning rates of the end-to-end rows and of SAN are the
released ones. All train on eq. 2, the loss ``"bce+1.5dice"``, without augmentation.
"""

from __future__ import annotations

from dataclasses import replace

from zoo_opt_seg.whitebox.core.recipe import Recipe

VLSM_LOSS = "bce+1.5dice"

VLSM_DENSE = Recipe(batch=32, clip=0.5, precision="float16")
"""Dense adapters; all else is as in `Recipe`, whose defaults are the paper's."""

VLSM_SHALLOW = replace(VLSM_DENSE, lr=3e-4)
"""Shallow adapters."""

CLIPSEG = VLSM_DENSE
"""CLIPSeg end to end, as released: there, of the decoder alone; see `zoo_opt_seg.whitebox.vlsm.training`."""

CRIS = replace(VLSM_DENSE, lr=1e-4)
"""CRIS end to end."""

SAN = replace(VLSM_DENSE, lr=3e-4)
"""SAN's side adapter."""

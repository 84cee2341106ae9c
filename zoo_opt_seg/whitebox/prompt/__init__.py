"""A visual prompt trained with the gradient."""

from zoo_opt_seg.whitebox.core.comparator import declared

BACKPROP = declared(
    "backprop",
    "a visual prompt, by the gradient through SAM or CLIPSeg: the bound of each parametrisation",
    *("prompt.gradient:row", "prompt.gradient:BACKPROP"),
    {"part": "logits", "model": "a model with a gradient", "needs": ("torch",)},
    prompt=True,
)

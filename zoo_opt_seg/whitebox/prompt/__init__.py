"""A visual prompt trained with the gradient."""

from zoo_opt_seg.whitebox.core.comparator import Comparator

BACKPROP = Comparator(
    name="backprop",
    about="a visual prompt, by the gradient through SAM or CLIPSeg: the bound of each parametrisation",
    factory="zoo_opt_seg.whitebox.prompt.gradient:row",
    recipe="zoo_opt_seg.whitebox.prompt.gradient:BACKPROP",
    part="logits",
    model="a model with a gradient",
    prompt=True,
    needs=("torch",),
)

"""Trained inside SAM: LoRA, and all of it."""

from zoo_opt_seg.whitebox.core.comparator import Comparator

LORA = Comparator(
    name="lora",
    about="LoRA by peft on the qkv of SAM's image encoder, the mask decoder with it or not",
    factory="zoo_opt_seg.whitebox.sam.rows:lora",
    recipe="zoo_opt_seg.whitebox.sam.lora_training:TO_PLATEAU",
    part="sam",
    model="a SAM",
    needs=("torch", "segment_anything", "peft"),
)
SAM_FULL = Comparator(
    name="sam-full",
    about="all of SAM, or its parts",
    factory="zoo_opt_seg.whitebox.sam.rows:full",
    recipe="zoo_opt_seg.whitebox.sam.full:FULL",
    part="sam",
    model="a SAM",
    needs=("torch", "segment_anything"),
)

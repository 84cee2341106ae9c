"""Trained inside SAM: LoRA, and all of it."""

from zoo_opt_seg.whitebox.core.comparator import ON_SAM, declared

LORA = declared(
    "lora",
    "LoRA by peft on the qkv of SAM's image encoder, the mask decoder with it or not",
    *("sam.lora:row", "sam.lora:TO_PLATEAU"),
    ON_SAM,
    needs=("peft",),
)
SAM_FULL = declared("sam-full", "all of SAM, or its parts", "sam.full:row", "sam.full:FULL", ON_SAM)

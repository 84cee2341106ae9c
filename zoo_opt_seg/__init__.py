"""zoo_opt_seg: black-box segmentation models adapted through visual prompts that zoo_opt trains by function values."""

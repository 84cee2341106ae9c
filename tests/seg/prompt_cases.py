"""One visual prompt of each kind, small, for the tests that all must pass."""

import numpy as np
from seg.prompt_fakes import LinearEncoder, points_of

from zoo_opt_seg.visual_prompts import BAR, VPT, BlackVIP, FilterPrompt, IPDecoder, LowRank

ENCODER = LinearEncoder()
CASES = {
    "vpt": lambda: VPT(32),
    "vpt-frame": lambda: VPT(32, kind="frame", frame=5),
    "blackvip": lambda: BlackVIP(64, encoder=ENCODER),
    "baps": lambda: IPDecoder(64, encoder=ENCODER, prompt_in=16, prompt_out=12),
    "baps-last": lambda: IPDecoder(64, encoder=ENCODER, prompt_in=16, trained="last"),
    "bar": lambda: BAR(32),
    "filter": lambda: FilterPrompt(32),
    "filter-all": lambda: FilterPrompt(32, groups="all"),
    "lowrank": lambda: LowRank(32, encoder=ENCODER, inputs=("constant", "point", "colour", "encoder")),
}
ZERO_SHOT = set(CASES) - {"blackvip", "bar"}


def vector(prompt, seed=0, spread=0.1):
    """The start and a random step."""
    step = np.random.default_rng(seed).standard_normal(prompt.dim).astype(np.float32)
    return prompt.x0(0) + np.float32(spread) * step


def shown(prompt, x, samples, points=None):
    """The images as the prompt of the vector makes them, around these points or some of its own."""
    return prompt(x, prompt.context(samples.images, points or points_of(samples)))

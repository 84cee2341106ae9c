"""CPU time of each visual prompt: what a candidate costs, and what a step costs once (one thread, 96 pixels).

python benchmarks/prompt_speed.py
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import make_prompt


class Projection:
    """An encoder that costs next to nothing, so that the prompts are what is timed."""

    name, dim = "projection", 96

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return 96 numbers of each image."""
        return np.resize(images[:, ::12, ::12].reshape(len(images), -1), (len(images), self.dim)).astype(np.float32)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("vpt", {}),
    ("vpt", {"kind": "frame"}),
    ("blackvip", {"encoder": Projection()}),
    ("baps", {"encoder": Projection()}),
    ("baps", {"encoder": Projection(), "trained": "last"}),
    ("bar", {}),
    ("filter", {}),
    ("filter", {"groups": "all"}),
    ("lowrank", {}),
    ("views", {}),
]


def median_us(call: Callable[[], object], images: int, repeats: int = 15) -> float:
    """CPU microseconds per image: the median of some calls, after one to warm up."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return 1e6 * float(np.median(taken)) / images


def main() -> None:
    """Print a line for each prompt."""
    torch.set_num_threads(1)
    n, size = 16, 96
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    prompts = Prompts(points=rng.uniform(0, size - 1, (n, 1, 2)))
    print(f"{'prompt':24}{'dim':>9}{'candidate':>12}{'step':>9}   microseconds per image, batch {n}")
    for name, options in CASES:
        prompt = make_prompt(name, size, **options)
        context = prompt.context(images, prompts)
        x = prompt.x0(0) + 0.01 * rng.standard_normal(prompt.dim).astype(np.float32)
        label = " ".join([name, *(str(v) for k, v in options.items() if k != "encoder")])
        candidate = median_us(functools.partial(prompt, x, context), n)
        step = median_us(functools.partial(prompt.context, images, prompts), n)
        print(f"{label:24}{prompt.dim:>9,}{candidate:>12.0f}{step:>9.0f}")


if __name__ == "__main__":
    main()

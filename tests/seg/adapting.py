"""What the tests of `adapt` share: a quick run on pale discs, and a black box that fails."""

from pathlib import Path

import numpy as np
from seg.tiny_box import SIZE, Bright, splits

import zoo_opt as zo
from zoo_opt_seg import adapt, make_prompt

FILTER = make_prompt("filter", SIZE)
CMA = zo.CMAES(sigma0=0.1, popsize=6)
TESTS = str(Path(__file__).parents[1])
SERVE = f"import sys; sys.path.insert(0, {TESTS!r}); from seg.tiny_box import Bright; "  # Python: the box as a process
SERVE += "from zoo_opt_seg.blackbox import serve; serve(Bright())"
QUICK = {"method": CMA, "calls": 220, "batch": 4, "validate": 3, "test": False, "panel": False}


def quick(model=None, prompt=FILTER, data=None, **changes):
    """Adapt the bright box (or another) to the pale discs (or other data) as QUICK says, but for the changes."""
    return adapt(model or Bright(), prompt, data or splits(), **(QUICK | changes))


class Faulty(Bright):
    """Counts questions and images; a question of which ``fails(box, images)`` raises, or has NaN for an answer."""

    def __init__(self, fails=lambda box, images: False, error=RuntimeError):
        super().__init__()
        self.fails, self.error, self.questions, self.sent = fails, error, 0, 0

    def __call__(self, images, prompts):
        self.questions += 1
        self.sent += len(images)
        answer = super().__call__(images, prompts)
        if self.fails(self, images):
            if self.error:
                raise self.error("quota")
            answer[:] = np.nan
        return answer

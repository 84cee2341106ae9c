"""Whether a loss shakes: noise, deterministic or not, that finite differences do not stand, and how much of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.keys import RESTART, generator
from zoo_opt.methods.local.loss_units import loss_unit

if TYPE_CHECKING:
    from zoo_opt.methods.auto.state import AutoState
    from zoo_opt.typing import Array

CLOSE = (
    2.0**-44
)  # distance of neighbours on the line, over the coordinate or one unit: a loss with a slope hardly changes
STEEP = 1e-10  # change of the loss over that distance, as a part of it, that a slope explains; measured on bbob
SURE = 1e-8  # the same, that no slope explains; chosen, not tuned
# second differences, and third, as a part of the losses' spread, that no line and no parabola explains; chosen
SHAKY, CURVED = 0.05, 0.02
ROUNDING = 1e-15  # noise that is none, as a part of the loss; chosen
SINGLE = 24  # binary digits of a float32


def line(s: AutoState, box: Any, n: int) -> Array:
    """Return ``n`` points next to the best on a line (n, d), at equal distances, behind those of ``s.line``."""
    h = CLOSE * np.maximum(np.abs(s.base), 1.0)
    up = generator(s.key, 0, RESTART).random(h.size) >= 0.5
    if box is not None:
        below, above = s.base - box[0], box[1] - s.base
        up = np.where(np.where(up, above, below) < 4 * h, above > below, up)
    k = len(s.line) + np.arange(n)
    X: Array = s.base + k[:, None] * np.where(up, h, -h)
    return X if box is None else np.clip(X, *box)


def change(s: AutoState) -> float:
    """Return by how much the two losses on the line differ, as a part of the first, 0 if one has failed."""
    change = abs(s.line[-1] - s.line[0])
    return change / (abs(s.line[0]) or change or 1.0) if math.isfinite(change) else 0.0


def level(losses: tuple[float, ...]) -> float:
    """Return the standard deviation of the noise of four losses at equal distances on a line, 0 if a slope is enough.

    The second differences of a straight line are 0 and the third of a parabola; of independent noise they have sqrt(6)
    and sqrt(20) times its deviation: the difference table of Hamming, as in Moré and Wild 2011 (Estimating
    computational noise, SIAM J. Sci. Comput. 33).
    """
    unit = loss_unit(losses)
    if unit == 0.0 or not all(map(math.isfinite, losses)):
        return 0.0
    values = np.array(losses) / unit
    spread = float(values.std(ddof=1))
    second = math.sqrt(float(np.mean(np.diff(values, 2) ** 2)) / 6)
    third = abs(float(np.diff(values, 3)[0])) / math.sqrt(20)
    return spread * unit if second > SHAKY * spread and third > CURVED * spread else 0.0


def digits(losses: Iterable[float]) -> int:
    """Return the binary digits that the finite losses have at most: no more than 24 if they come from float32."""
    return max((_digits(loss) for loss in losses if math.isfinite(loss)), default=0)


def rounding(s: AutoState) -> float:
    """Return the deviation that rounding to so few digits leaves, 0 if they are those of double precision."""
    return 2.0**-SINGLE * abs(s.line[0]) / math.sqrt(12) if s.digits <= SINGLE else 0.0


def _digits(loss: float) -> int:
    mantissa = int(math.frexp(loss)[0] * 2**53)
    return 53 - ((mantissa & -mantissa).bit_length() - 1) if mantissa else 0

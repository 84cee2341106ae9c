"""Feature maps of an image and its point that a filter prompt mixes: each a group by name, about within [-.5, .5].

Lengths are in units of size / 96: a map means the same at every resolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_opt.core.errors import positive
from zoo_opt_seg.features.point_embedding import spots
from zoo_opt_seg.prompts import Prompts

NEAR, MIDDLE, FAR = 6.0, 12.0, 24.0  # standard deviations around the point, 1/16, 1/8 and 1/4 of 96 px; ours
GREY = (0.299, 0.587, 0.114)  # luminance of R, G, B (ITU-R BT.601)


class MapInputs:
    """What the groups are computed from, each once.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 3, size, size)
        In [0, 1].
    prompts : Prompts
        Of the n images.
    blurs : tuple of float
        Standard deviations of the blurs, in units of size / 96.
    """

    def __init__(self, images: Tensor, prompts: Prompts, blurs: tuple[float, ...]) -> None:
        self.images, self.blurs = images, blurs
        self.size = images.shape[-1]
        self.unit = self.size / 96
        self._prompts = prompts

    def blurred(self, sigma: float, images: Tensor | None = None) -> Tensor:
        """Return images, by default these, convolved with a Gaussian; weights are renormalised at the border."""
        B = _blur_matrix(self.size, sigma * self.unit)
        return B @ (self.images if images is None else images) @ B.T

    @functools.cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """Points (n, k, 2) and which of them there are (n, k); in each row at least one."""
        points, present = spots(self._prompts)
        if not present.any(dim=1).all():
            row = int((~present.any(dim=1)).nonzero()[0, 0])
            raise ValueError(
                "prompts must hold a point on the object or a box for what lies around the point (groups, inputs and "
                f"bumps that follow it), not in row {row}"
            )
        return points, present

    def around(self, sigma: float) -> Tensor:
        """Return exp(-r^2 / (2 sigma^2)), r the distance to the nearest point: (n, 1, size, size)."""
        points, present = self.points
        steps = torch.arange(self.size, dtype=torch.float32)
        dx = (steps - points[..., :1]) ** 2  # (n, k, size)
        dy = (steps - points[..., 1:]) ** 2
        squares = dy[..., :, None] + dx[..., None, :]
        squares = squares.masked_fill(~present[..., None, None], torch.inf).amin(dim=1, keepdim=True)
        return torch.exp(-squares / (2 * (sigma * self.unit) ** 2))

    @functools.cached_property
    def colour(self) -> Tensor:
        """Colour at the point, (n, 3, 1, 1): the mean over its surroundings, of standard deviation 2."""
        weight = self.around(2.0)
        total = (self.images * weight).sum(dim=(2, 3), keepdim=True)
        return total / weight.sum(dim=(2, 3), keepdim=True).clamp_min(1e-12)

    @functools.cached_property
    def similar(self) -> Tensor:
        """exp(-|x - c|^2 / (2 s^2)) - .5, c the colour at the point, s = .1 and .25: (n, 2, size, size)."""
        squares = ((self.blurred(1.0) - self.colour) ** 2).sum(dim=1, keepdim=True)
        return torch.cat([torch.exp(squares / (-2 * s**2)) - 0.5 for s in (0.1, 0.25)], dim=1)

    @functools.cached_property
    def grey(self) -> Tensor:
        """Luminance, (n, 1, size, size)."""
        return (self.images * torch.tensor(GREY).view(3, 1, 1)).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class MapGroup:
    """A group of maps.

    Parameters
    ----------
    count : int or None
        How many; None: 3 for each blur.
    make : callable
        Maps `MapInputs` to a Tensor (n, count, size, size).
    """

    count: int | None
    make: Callable[[MapInputs], Tensor]


def _constant(v: MapInputs) -> Tensor:
    return torch.full_like(v.images[:, :1], 0.5)


def _blur(v: MapInputs) -> Tensor:
    return torch.cat([v.blurred(sigma) - 0.5 for sigma in v.blurs], dim=1)


def _edge(v: MapInputs) -> Tensor:
    smooth = v.blurred(1.0, v.grey)
    dy, dx = torch.gradient(smooth, dim=(2, 3))
    return 4.0 * v.unit * torch.sqrt(dy**2 + dx**2 + 1e-12)


def _contrast(v: MapInputs) -> Tensor:
    mean = v.blurred(6.0)
    spread = (v.blurred(6.0, v.images**2) - mean**2).clamp_min(0.0).sqrt()
    return 0.25 * (v.images - mean) / (spread + 0.05)


def _texture(v: MapInputs) -> Tensor:
    mean = v.blurred(3.0, v.grey)
    return 2.0 * (v.blurred(3.0, v.grey**2) - mean**2).clamp_min(1e-12).sqrt()


def _position(v: MapInputs) -> Tensor:
    u = (torch.arange(v.size, dtype=torch.float32) + 0.5) / v.size - 0.5
    x, y = u.expand(v.size, v.size), u[:, None].expand(v.size, v.size)
    return torch.stack([x, y, x**2 + y**2]).expand(len(v.images), -1, -1, -1)


def _square(v: MapInputs) -> Tensor:
    x = v.images - 0.5
    r, g, b = x.unbind(dim=1)
    return 2.0 * torch.stack([r * r, g * g, b * b, r * g, g * b, b * r], dim=1)


GROUPS: dict[str, MapGroup] = {
    "image": MapGroup(3, lambda v: v.images - 0.5),
    "blur": MapGroup(None, _blur),
    "constant": MapGroup(1, _constant),
    "mean": MapGroup(3, lambda v: (v.images.mean(dim=(2, 3), keepdim=True) - 0.5).expand_as(v.images)),
    "square": MapGroup(6, _square),
    "position": MapGroup(3, _position),
    "edge": MapGroup(1, _edge),
    "texture": MapGroup(1, _texture),
    "contrast": MapGroup(3, _contrast),
    "point": MapGroup(3, lambda v: 0.5 * torch.cat([v.around(s) for s in (NEAR, MIDDLE, FAR)], dim=1)),
    "colour": MapGroup(3, lambda v: v.images - v.colour),
    "similar": MapGroup(2, lambda v: v.similar),
    "image*point": MapGroup(
        9, lambda v: torch.cat([(v.images - 0.5) * v.around(s) for s in (NEAR, MIDDLE, FAR)], dim=1)
    ),
    "colour*point": MapGroup(3, lambda v: (v.images - v.colour) * v.around(MIDDLE)),
    "similar*point": MapGroup(2, lambda v: v.similar * v.around(FAR)),
}


def count(groups: tuple[str, ...], blurs: tuple[float, ...]) -> int:
    """Return the number of maps of ``groups``."""
    return sum(3 * len(blurs) if (n := GROUPS[name].count) is None else n for name in groups)


def feature_maps(groups: tuple[str, ...], images: Tensor, prompts: Prompts, blurs: tuple[float, ...]) -> Tensor:
    """Return the maps of ``groups`` in order, (n, count, size, size).

    Parameters
    ----------
    groups : tuple of str
        Keys of `GROUPS`.
    images : Tensor of float32, shape (n, 3, size, size)
        In [0, 1].
    prompts : Prompts
        Of the n images.
    blurs : tuple of float
        Standard deviations of group ``"blur"``, in units of size / 96.

    Raises
    ------
    ValueError
        If a group needs a point that a row does not have.
    """
    views = MapInputs(images, prompts, blurs)
    return torch.cat([GROUPS[name].make(views) for name in groups], dim=1)


def checked_groups(groups: tuple[str, ...] | list[str] | str) -> tuple[str, ...]:
    """Return the names of groups, each known and once, or raise."""
    names = tuple(GROUPS) if groups == "all" else (groups,) if isinstance(groups, str) else tuple(groups)
    unknown = [name for name in names if name not in GROUPS]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"groups must be different names out of {', '.join(GROUPS)}, or 'all', got {groups!r}")
    return names


def checked_blurs(blurs: tuple[float, ...] | list[float]) -> tuple[float, ...]:
    """Return standard deviations, each > 0, or raise."""
    values = tuple(positive("blurs", value) for value in blurs)
    if not values:
        raise ValueError(f"blurs must hold at least one standard deviation, got {blurs!r}")
    return values


@functools.lru_cache(maxsize=32)
def _blur_matrix(size: int, sigma: float) -> Tensor:
    """Return B (size, size): B x is x smoothed along its first axis, rows summing to one."""
    steps = torch.arange(size, dtype=torch.float64)
    weight = torch.exp(-((steps[:, None] - steps) ** 2) / (2 * sigma**2))
    return (weight / weight.sum(dim=1, keepdim=True)).float()

"""Test-time augmentation: the answers about several views of an image are averaged, and nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import integer, positive
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, Masks, VisualPrompt
from zoo_opt_seg.visual_prompts.windows import into, put_back, seen, window_features, windows_about, windows_in


class Averaged(VisualPrompt):
    """Test-time augmentation around a black box: a visual prompt without parameters, whose vector is empty.

    The black box is shown each image at every zoom, as it is and mirrored, and asked at the point and at others around
    it: so many calls are one answer. Each mask is put back to its place, and of every pixel the answer is the mean over
    the views that show it. It is what an ensemble gains without training: a prompt that shows a black box several
    views, such as `Views`, has to be above it for its training to be worth the calls.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    zooms : sequence of float
        Magnifications, > 0, the first of them 1, as in `Views`.
    mirror : bool
        Whether each view is shown mirrored (left is right) as well.
    points : int
        How often each view is asked about: with the prompts as they are, and with all points and boxes moved by
        ``spread`` in directions that are evenly spaced, as far as the image goes.
    spread : float
        Distance of these moves, in pixels of an image of side 96; at other sizes it is the same share of the side.

    Examples
    --------
    >>> import numpy as np
    >>> from zoo_opt_seg.measures.trivial import Disk
    >>> tta = Averaged(32, zooms=(1.0, 2.0), points=3)
    >>> points = Prompts(points=np.full((1, 1, 2), 15.0))
    >>> context = tta.context(np.zeros((1, 32, 32, 3), np.uint8), points)
    >>> tta.views, tta.answer(Disk(6.0), tta.x0(), context).shape
    (12, (1, 32, 32))
    """

    name = "averaged"

    def __init__(
        self,
        size: int,
        *,
        zooms: Sequence[float] = (1.0,),
        mirror: bool = True,
        points: int = 1,
        spread: float = 3.0,
    ) -> None:
        super().__init__(size)
        self.zooms = tuple(positive("zooms", z) for z in zooms)
        if not self.zooms or self.zooms[0] != 1.0:
            raise ValueError(f"zooms must begin with 1, got {zooms!r}")
        self.mirror, self.points = bool(mirror), integer("points", points, 1)
        self.spread = positive("spread", spread)

    @property
    def dim(self) -> int:
        """Nothing is trained."""
        return 0

    @property
    def views(self) -> int:
        """Zooms, twice where they are mirrored, times the points."""
        return len(self.zooms) * (1 + self.mirror) * self.points

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return all views: zoom by zoom, each as it is and mirrored, once for each point."""
        zoomed = [context.images, *(seen(context.images, *window) for window in windows_in(context.features))]
        sides = [side for view in zoomed for side in ((view, view.flip(3)) if self.mirror else (view,))]
        return torch.cat([side for side in sides for _ in range(self.points)])

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return the prompts of all views.

        Raises
        ------
        ValueError
            For mask prompts.
        """
        points = [prompts, *(self._moved(prompts, partial(np.add, offset)) for offset in self._offsets())]
        further = zip(*windows_about(prompts, self.size, self.zooms[1:]), strict=True)
        zoomed = [points, *([self._moved(one, into(*window)) for one in points] for window in further)]
        asked: list[Prompts] = []
        for view in zoomed:
            asked += [*view, *(one.moved(self._mirrored) for one in view)] if self.mirror else view
        return Prompts.concatenate(asked)

    def restore(self, probabilities: Masks, x: Array | Tensor, context: Context) -> Masks:
        """Return the mean of the views' masks at the image's own place; of bool masks the majority."""
        if isinstance(probabilities, np.ndarray):
            given = torch.from_numpy(np.ascontiguousarray(probabilities))
            return self.restore(given, torch.empty(0), context).numpy()
        hard = probabilities.dtype == torch.bool
        shape = (len(self.zooms), 1 + self.mirror, self.points, len(context), self.size, self.size)
        p = probabilities.float().view(shape)
        if self.mirror:
            p = torch.stack([p[:, 0], p[:, 1].flip(-1)], dim=1)
        p = p.mean(dim=(1, 2))  # of each zoom, all of whose views show the same part
        total, shown = p[0].clone(), torch.ones_like(p[0])
        for view, window in zip(p[1:], windows_in(context.features), strict=True):
            total += put_back(view, *window)
            shown += put_back(torch.ones_like(view), *window)
        mean = total / shown
        return mean >= 0.5 if hard else mean.clamp(0.0, 1.0)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        return Context(pixels, window_features(prompts, self.size, self.zooms[1:]))

    def _offsets(self) -> list[Array]:
        """Return by how many pixels the points are moved, for all but the first."""
        n, radius = self.points - 1, self.spread * self.size / 96
        angles = [2 * math.pi * k / n for k in range(n)]
        return [radius * np.array([math.cos(a), math.sin(a)]) for a in angles]

    def _moved(self, prompts: Prompts, to: Callable[[Array], Array]) -> Prompts:
        """Return the prompts at other places, as far as the image goes."""
        return prompts.moved(lambda xy: np.clip(to(xy), 0.0, self.size - 1.0))

    def _mirrored(self, xy: Array) -> Array:
        return np.stack([self.size - 1.0 - xy[..., 0], xy[..., 1]], axis=-1)

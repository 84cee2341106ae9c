"""Views: the black box is shown each image at several magnifications, and a trained score weighs its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import fraction, positive
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, Masks, VisualPrompt
from zoo_opt_seg.visual_prompts.windows import into, put_back, seen, window_features, windows_about, windows_in

_TYPICAL = 2.0  # - log of the share of a view that an object of middling size, an eighth, covers; ours
_GAIN = 10.0  # of the score's coefficients, so that steps that suit the inner prompt suit them; ours
_SCORES = 3  # a, b, c


class Views(VisualPrompt):
    """One prompt under several magnifications; p = sum_k w_k p_k, w = softmax(s), a weighted mean of the masks.

    A black box segments objects best at a certain apparent size. View k shows the prompted image enlarged by zoom z_k
    about the point (for z_k < 1 the whole image, shrunk, its border pixels repeated around it). Its mask p_k is put
    back to its place. The score of a view is a quadratic in the size of what was found there, and linear in its
    certainty,

        s_k = 10 (a l_k + b l_k^2 + c q_k) + log(prior_k),  l_k = log(mean(p_k)) + 2,

    with mean(p_k) the share of the view that the mask covers and q_k the mean probability within the mask, less .8. So
    three numbers, a, b, c, trained with the inner prompt's, say which size to trust. An answer costs a call per view.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    zooms : sequence of float
        Magnifications, > 0, the first of them 1: where the prompts do not fit into the part that a zoom shows, it is
        less for that image. Images without a point or box are enlarged about their middle.
    prior : float
        Weight of the first view at the start, in (0, 1); the others share the rest.
    inner : VisualPrompt, or dict
        What is done to the image first; or its ``name`` and options, those of `make_prompt`. Not one that moves the
        image.
    """

    name = "views"

    def __init__(
        self,
        size: int,
        *,
        zooms: Sequence[float] = (1.0, 2.0),
        prior: float = 0.5,
        inner: VisualPrompt | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(size)
        self.zooms = tuple(positive("zooms", z) for z in zooms)
        if len(self.zooms) < 2 or self.zooms[0] != 1.0:
            raise ValueError(f"zooms must be two or more, the first of them 1, got {zooms!r}")
        if not fraction("prior", prior) > 0.0:
            raise ValueError(f"prior must be in (0, 1), got {prior!r}")
        self.prior = float(prior)
        self.inner = _made(inner, size)
        if self.inner.views > 1 or type(self.inner).restore is not VisualPrompt.restore:
            raise ValueError(f"inner must be a prompt that leaves the image in its place, got {self.inner!r}")

    @property
    def dim(self) -> int:
        """Of the inner prompt, and 3."""
        return self.inner.dim + _SCORES

    @property
    def views(self) -> int:
        """One for each zoom."""
        return len(self.zooms)

    def x0(self, seed: int = 0) -> Array:
        """Return the inner prompt's start, and zeros: weights are the prior's."""
        return np.concatenate([self.inner.x0(seed), np.zeros(_SCORES, np.float32)])

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return the prompted images as they are, then enlarged by each further zoom."""
        images = self.inner.forward(x[:-_SCORES], context)
        enlarged = [seen(images, *window) for window in windows_in(context.features)]
        return torch.cat([images, *enlarged])

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return the prompts of all views.

        Raises
        ------
        ValueError
            For mask prompts.
        """
        seen_by = zip(*windows_about(prompts, self.size, self.zooms[1:]), strict=True)
        return Prompts.concatenate([prompts, *(prompts.moved(into(*window)) for window in seen_by)])

    def restore(self, probabilities: Masks, x: Array | Tensor, context: Context) -> Masks:
        """Return the views' masks at the image's own place, weighed; bool masks stay bool."""
        if isinstance(probabilities, np.ndarray):
            given = torch.from_numpy(np.ascontiguousarray(probabilities))
            return self.restore(given, torch.from_numpy(np.asarray(x, np.float32)), context).numpy()
        hard = probabilities.dtype == torch.bool
        p = probabilities.float().view(self.views, len(context), self.size, self.size)
        w = self._weights(p, torch.as_tensor(x))[..., None, None]
        mixed = w[0] * p[0]
        for k, (origin, zoom) in enumerate(windows_in(context.features), 1):
            mixed = mixed + w[k] * put_back(p[k], origin, zoom)
        return mixed >= 0.5 if hard else mixed.clamp(0.0, 1.0)

    def arrays(self) -> dict[str, Array]:
        """Return those of the inner prompt."""
        return self.inner.arrays()

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Give them to the inner prompt."""
        self.inner.set_arrays(arrays)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        inner = self.inner.context(images, prompts)
        return Context(inner.images, {**inner.features, **window_features(prompts, self.size, self.zooms[1:])})

    def _weights(self, p: Tensor, x: Tensor) -> Tensor:
        """Return w, shape (views, n), of masks p (views, n, size, size)."""
        a, b, c = _GAIN * x[-_SCORES:].to(p)
        total = p.sum(dim=(2, 3))
        found = torch.log(p.mean(dim=(2, 3)).clamp_min(1e-4)) + _TYPICAL
        certain = (p * p).sum(dim=(2, 3)) / total.clamp_min(1e-4) - 0.8
        rest = (1.0 - self.prior) / (self.views - 1)
        prior = torch.tensor([self.prior, *[rest] * (self.views - 1)]).to(p)
        return torch.softmax(a * found + b * found**2 + c * certain + prior.log()[:, None], dim=0)


def _made(inner: VisualPrompt | Mapping[str, Any] | None, size: int) -> VisualPrompt:
    if isinstance(inner, VisualPrompt):
        return inner
    from zoo_opt_seg.visual_prompts.registry import make_prompt  # which knows this class too

    options = {"name": "filter", **(inner or {})}
    name, side = options.pop("name"), options.pop("size", size)
    if side != size:
        raise ValueError(f"inner must be for images of {size} pixels, the size of the views, got {side}")
    return make_prompt(name, size, **options)

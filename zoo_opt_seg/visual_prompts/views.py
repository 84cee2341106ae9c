"""Views: the black box is shown each image at several magnifications, and a trained score weighs its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import fraction, positive
from zoo_opt_seg.prompts import ABSENT, Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, Masks, VisualPrompt

_TYPICAL = 2.0  # - log of the share of a view that an object of middling size, an eighth, covers; ours
_GAIN = 10.0  # of the score's coefficients, so that steps that suit the inner prompt suit them; ours
_SCORES = 3  # a, b, c
_MARGIN = 8  # of the image's side, left around points and boxes that a view must hold
_ORIGINS, _ZOOMS = "view origins", "view zooms"  # in the context


class Views(VisualPrompt):
    """One prompt under several magnifications; p = sum_k w_k p_k, w = softmax(s), a weighted mean of the masks.

    A black box segments objects of some apparent size best. View k shows the prompted image enlarged by zoom z_k about
    the point (for z_k < 1 the whole image, shrunk, its border pixels repeated around it), and its mask p_k is put back
    to its place. The score of a view is a quadratic in the size of what was found there, and linear in its certainty,

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
        enlarged = [_resampled(images, *window, "border") for window in _windows_of(context)]
        return torch.cat([images, *enlarged])

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return the prompts of all views.

        Raises
        ------
        ValueError
            For mask prompts.
        """
        windows = zip(*self._windows(prompts), strict=True)
        return Prompts.concatenate([prompts, *(prompts.moved(_into(*window)) for window in windows)])

    def restore(self, probabilities: Masks, x: Array | Tensor, context: Context) -> Masks:
        """Return the views' masks at the image's own place, weighed; bool masks stay bool."""
        if isinstance(probabilities, np.ndarray):
            given = torch.from_numpy(np.ascontiguousarray(probabilities))
            return self.restore(given, torch.from_numpy(np.asarray(x, np.float32)), context).numpy()
        hard = probabilities.dtype == torch.bool
        p = probabilities.float().view(self.views, len(context), self.size, self.size)
        w = self._weights(p, torch.as_tensor(x))[..., None, None]
        mixed = w[0] * p[0]
        for k, (origin, zoom) in enumerate(_windows_of(context), 1):
            mixed = mixed + w[k] * _resampled(p[k][:, None], -origin * zoom[:, None], 1 / zoom, "zeros")[:, 0]
        return mixed >= 0.5 if hard else mixed.clamp(0.0, 1.0)

    def arrays(self) -> dict[str, Array]:
        """Return those of the inner prompt."""
        return self.inner.arrays()

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Give them to the inner prompt."""
        self.inner.set_arrays(arrays)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        inner = self.inner.context(images, prompts)
        origins, zooms = self._windows(prompts)
        windows = {
            _ORIGINS: torch.from_numpy(np.stack(origins, 1).astype(np.float32)),
            _ZOOMS: torch.from_numpy(np.stack(zooms, 1).astype(np.float32)),
        }
        return Context(inner.images, {**inner.features, **windows})

    def _weights(self, p: Tensor, x: Tensor) -> Tensor:
        """Return w, shape (views, n), of masks p (views, n, size, size)."""
        a, b, c = _GAIN * x[-_SCORES:].to(p)
        total = p.sum(dim=(2, 3))
        found = torch.log(p.mean(dim=(2, 3)).clamp_min(1e-4)) + _TYPICAL
        certain = (p * p).sum(dim=(2, 3)) / total.clamp_min(1e-4) - 0.8
        rest = (1.0 - self.prior) / (self.views - 1)
        prior = torch.tensor([self.prior, *[rest] * (self.views - 1)]).to(p)
        return torch.softmax(a * found + b * found**2 + c * certain + prior.log()[:, None], dim=0)

    def _windows(self, prompts: Prompts) -> tuple[list[Array], list[Array]]:
        """Return, for each zoom but the first, the corner (n, 2) of what the view shows, and the zoom (n,).

        In pixels whose first begins at 0: place u of the image is place (u - corner) * zoom of the view.
        """
        low, high = _extent(prompts, self.size)
        fits = self.size / ((high - low).max(axis=1) + self.size / _MARGIN)
        origins, zooms = [], []
        for wanted in self.zooms[1:]:
            zoom = np.minimum(wanted, np.maximum(fits, 1.0)) if wanted > 1 else np.full(len(low), wanted)
            side = self.size / zoom[:, None]  # of what is seen
            about = (low + high) / 2 - side / 2
            origins.append(np.clip(about, 0.0, self.size - side) if wanted > 1 else (self.size - side) / 2 + 0 * about)
            zooms.append(zoom)
        return origins, zooms


def _into(origin: Array, zoom: Array) -> Callable[[Array], Array]:
    """Return the map of places (n, k, 2), pixel centres being whole numbers, from the image into its view."""
    return lambda xy: (xy + 0.5 - origin[:, None]) * zoom[:, None, None] - 0.5


def _extent(prompts: Prompts, size: int) -> tuple[Array, Array]:
    """Return the least and greatest x, y (n, 2) of points and boxes; the middle of the image where there are none."""
    places = [np.full((len(prompts), 1, 2), np.nan)]
    if prompts.points is not None and prompts.labels is not None:
        places.append(np.where((prompts.labels != ABSENT)[..., None], prompts.points, np.nan))
    if prompts.boxes is not None:
        places.append(prompts.boxes.reshape(-1, 2, 2))
    u = np.concatenate(places, axis=1).astype(np.float64) + 0.5
    none = np.isnan(u).all(axis=(1, 2))
    u[none] = size / 2
    return np.nanmin(u, axis=1), np.nanmax(u, axis=1)


def _windows_of(context: Context) -> list[tuple[Tensor, Tensor]]:
    """Return corner and zoom of each view but the first."""
    return list(zip(context.features[_ORIGINS].unbind(1), context.features[_ZOOMS].unbind(1), strict=True))


def _resampled(images: Tensor, origin: Tensor, zoom: Tensor, outside: str) -> Tensor:
    """Return what views show of square images (n, c, S, S): place v is the images' place origin + v / zoom."""
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = 2 * origin / images.shape[-1] + (1 / zoom - 1)[:, None]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def _made(inner: VisualPrompt | Mapping[str, Any] | None, size: int) -> VisualPrompt:
    if isinstance(inner, VisualPrompt):
        return inner
    from zoo_opt_seg.visual_prompts.registry import make_prompt  # which knows this class too

    options = {"name": "filter", **(inner or {})}
    name, side = options.pop("name"), options.pop("size", size)
    if side != size:
        raise ValueError(f"inner must be for images of {size} pixels, the size of the views, got {side}")
    return make_prompt(name, size, **options)

"""Windows: the parts of images that enlarged views show, what is seen in them, and the way back.

A window of an image is its corner (x, y) and its zoom, in pixels whose first begins at 0: place u of the image is place
(u - corner) * zoom of the view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt_seg.prompts import ABSENT, Array, Prompts

_MARGIN = 8  # of the image's side, left around points and boxes that a view must hold
_ORIGINS, _ZOOMS = "view origins", "view zooms"  # in a context


def windows_about(prompts: Prompts, size: int, zooms: Sequence[float]) -> tuple[list[Array], list[Array]]:
    """Return, for each zoom, the corner (n, 2) of what a view shows of each of n images, and the zoom (n,).

    An image is enlarged about its points and boxes, less where they would not fit, and about its middle where it has
    none; for a zoom below 1 the whole image is shown in the middle of the view.

    Parameters
    ----------
    prompts : Prompts
        Of n images.
    size : int
        Side of the images in pixels.
    zooms : sequence of float
    """
    low, high = _extent(prompts, size)
    fits = size / ((high - low).max(axis=1) + size / _MARGIN)
    origins, found = [], []
    for wanted in zooms:
        zoom = np.minimum(wanted, np.maximum(fits, 1.0)) if wanted > 1 else np.full(len(low), wanted)
        side = size / zoom[:, None]  # of what is seen
        about = (low + high) / 2 - side / 2
        origins.append(np.clip(about, 0.0, size - side) if wanted > 1 else (size - side) / 2 + 0 * about)
        found.append(zoom)
    return origins, found


def window_features(prompts: Prompts, size: int, zooms: Sequence[float]) -> dict[str, Tensor]:
    """Return the windows of all zooms as a context holds them; see `windows_about`."""
    if not zooms:
        return {}
    return {
        name: torch.from_numpy(np.stack(values, 1).astype(np.float32))
        for name, values in zip((_ORIGINS, _ZOOMS), windows_about(prompts, size, zooms), strict=True)
    }


def windows_in(features: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return corner and zoom for each zoom of `window_features`."""
    if _ZOOMS not in features:
        return []
    return list(zip(features[_ORIGINS].unbind(1), features[_ZOOMS].unbind(1), strict=True))


def into(origin: Array, zoom: Array) -> Callable[[Array], Array]:
    """Return the map of places (n, k, 2), pixel centres being whole numbers, from the image into its view."""
    return lambda xy: (xy + 0.5 - origin[:, None]) * zoom[:, None, None] - 0.5


def seen(images: Tensor, origin: Tensor, zoom: Tensor) -> Tensor:
    """Return what views show of square images (n, c, S, S); beside the image its border pixels are repeated."""
    return _resampled(images, origin, zoom, "border")


def put_back(masks: Tensor, origin: Tensor, zoom: Tensor) -> Tensor:
    """Return masks (n, S, S) of views at their place in the image; 0 where the view did not show it."""
    return _resampled(masks[:, None], -origin * zoom[:, None], 1 / zoom, "zeros")[:, 0]


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


def _resampled(images: Tensor, origin: Tensor, zoom: Tensor, outside: str) -> Tensor:
    """Return what views show of square images (n, c, S, S): place v is the images' place origin + v / zoom."""
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = 2 * origin / images.shape[-1] + (1 / zoom - 1)[:, None]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)

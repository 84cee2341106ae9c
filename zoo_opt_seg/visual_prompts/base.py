"""What every visual prompt is: a function from a flat vector and an image to the image that the black box is shown."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import integer
from zoo_opt_seg.blackbox.protocol import were_masks
from zoo_opt_seg.features.encoders import encoder_config
from zoo_opt_seg.prompts import Array, Prompts

Masks = TypeVar("Masks", Array, Tensor)
Model = Callable[[Array, Prompts], Array]


@dataclass(frozen=True, eq=False)
class Context:
    """All of a batch that does not depend on the vector; made once, used for every candidate.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 3, H, W)
        In [0, 1].
    features : mapping of str to Tensor
        What else the prompt needs, n along the first axis of each.
    asked : Prompts
        The black box's prompts, beside the prompted images, n * views rows; `VisualPrompt.context` fills it in.
    """

    images: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
    asked: Prompts = field(default_factory=lambda: Prompts.nothing(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Array | list[int]) -> Context:
        """Return the context of some rows: a slice, or indices."""
        index: Any = rows if isinstance(rows, slice) else torch.as_tensor(np.asarray(rows), device=self.images.device)
        views = np.arange(len(self.asked)).reshape(len(self.asked) // max(len(self), 1), len(self))
        asked = self.asked[views[:, rows].reshape(-1)]
        return Context(self.images[index], {name: value[index] for name, value in self.features.items()}, asked)

    def to(self, device: torch.device | str) -> Context:
        """Return the context on another device."""
        features = {name: value.to(device) for name, value in self.features.items()}
        return Context(self.images.to(device), features, self.asked)


class VisualPrompt(ABC):
    """A visual prompt: turns a vector of ``dim`` numbers into a change of the image.

    Subclasses define `name`, `dim` and `forward`, and override other methods as they need. They hold settings only. The
    vector is always an argument, so one object serves all candidates. The arguments of the constructor are kept as
    attributes of the same names; a subclass that does otherwise defines `config` too.

    Parameters
    ----------
    size : int
        Side in pixels of the square images.
    """

    name: ClassVar[str]
    optional: ClassVar[tuple[str, ...]] = ()  # settings that `config` leaves out while they are None

    def __init__(self, size: int) -> None:
        self.size = integer("size", size, 8)

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vector."""

    @abstractmethod
    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return the prompted images, differentiable in ``x``.

        Parameters
        ----------
        x : Tensor, shape (dim,)
        context : Context
            Of n images.

        Returns
        -------
        Tensor, shape (n * views, 3, size, size)
            In [0, 1]; all images of the first view come first.
        """

    def config(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON; the class called with them gives the same prompt.

        Unless overridden, they are the arguments of the class, read from the attributes of these names.
        """
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {k: _plain(value) for k, value in values.items() if value is not None or k not in self.optional}

    def x0(self, seed: int = 0) -> Array:
        """Return the start of a search, float32 of shape (dim,): zeros, which leave the image as it is."""
        return np.zeros(self.dim, np.float32)

    def starts(self, seed: int = 0) -> Array:
        """Return the points that a search may begin at, float32 of shape (k, dim): the first is `x0`."""
        return self.x0(seed)[None]

    def context(self, images: Array, prompts: Prompts) -> Context:
        """Return everything about a batch that does not depend on the vector.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, size, size, 3)
            RGB.
        prompts : Prompts
            Of the same n images, in their own pixels.

        Raises
        ------
        TypeError, ValueError
            For images of another type or size, another number of prompts, or prompts that lack what is needed.
        """
        images = checked_images(images, self.size)
        if len(prompts) != len(images):
            raise ValueError(f"prompts must be as many as images, got {len(prompts)} for {len(images)}")
        pixels = torch.from_numpy(np.array(np.moveaxis(images, 3, 1), np.float32, order="C")).div_(255)
        with torch.no_grad():
            return replace(self._context(pixels, images, prompts), asked=self.prompts(prompts))

    def __call__(self, x: Array, context: Context) -> Array:
        """Return the prompted images, float32 of shape (n * views, size, size, 3) in [0, 1].

        Parameters
        ----------
        x : ndarray, shape (dim,)
        context : Context
            Of n images.

        Raises
        ------
        ValueError
            If ``x`` has another length.
        """
        vector = np.array(x, np.float32)
        if vector.shape != (self.dim,):
            raise ValueError(f"x must have shape ({self.dim},) for {self.name}, got {vector.shape}")
        with torch.no_grad():
            images = self.forward(torch.from_numpy(vector).to(context.images.device), context)
        return np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy())

    def leaves_alone(self, x: Array, images: Array, prompts: Prompts) -> bool:
        """Return whether the black box is shown these images, in 8 bits, as they are, and its masks are left so too.

        Parameters
        ----------
        x : ndarray, shape (dim,)
        images : ndarray of uint8, shape (n, size, size, 3)
        prompts : Prompts
            Of the n images.
        """
        if self.views > 1 or type(self).restore is not VisualPrompt.restore:
            return False
        context = self.context(images, prompts)
        asked = all(context.asked.key(row) == prompts.key(row) for row in range(len(images)))
        return asked and np.array_equal(np.rint(self(x, context) * 255), images)

    @property
    def views(self) -> int:
        """How many images the black box is shown for each image: the calls of one answer."""
        return 1

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return the prompts as the black box must be given them, where the image's content was moved."""
        return prompts

    def restore(self, probabilities: Masks, x: Array | Tensor, context: Context) -> Masks:
        """Return the masks (n, size, size) of the images, at their own place, from the black box's.

        Parameters
        ----------
        probabilities : ndarray or Tensor, shape (n * views, size, size)
            What the black box makes of the prompted images; a Tensor gives a Tensor, differentiable.
        x : ndarray or Tensor, shape (dim,)
        context : Context
            Of the n images.
        """
        return probabilities

    def answer(self, model: Model, x: Array, context: Context) -> Array:
        """Return what a black box makes of images through this prompt: masks (n, size, size).

        Parameters
        ----------
        model : callable
            Maps images and prompts to probabilities or bool masks; n * views calls.
        x : ndarray, shape (dim,)
        context : Context
            Of the n images, as `context` made it.

        Returns
        -------
        ndarray
            As the model returns; where it gave NaN for a view of an image, float32 with NaN for the whole image.
        """
        answers = np.asarray(model(self(x, context), context.asked))
        failed = np.isnan(answers).any(axis=(1, 2))
        if not failed.any():
            return self.restore(answers, x, context)
        answers = np.where(failed[:, None, None], 0.0, answers).astype(answers.dtype)
        masks = self.restore(answers > 0.5 if were_masks(answers) else answers, x, context).astype(np.float32)
        masks[failed.reshape(self.views, -1).any(axis=0)] = np.nan
        return masks

    def arrays(self) -> dict[str, Array]:
        """Return fixed random arrays that a saved prompt must hold, by name."""
        return {}

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take the arrays of a saved prompt.

        Raises
        ------
        ValueError
            If they are not those of `arrays`.
        """
        own = {name: value.shape for name, value in self.arrays().items()}
        given = {name: value.shape for name, value in arrays.items()}
        if own != given:
            raise ValueError(f"arrays of {self.name} must have the shapes {own}, got {given}")

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        """Return the context of checked input; ``pixels`` are the images (n, 3, H, W) in [0, 1]."""
        return Context(pixels)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.config().items())
        return f"{type(self).__name__}({settings})"


def _plain(value: Any) -> Any:
    """A setting for JSON: sequences as lists, prompts and encoders as what makes them again."""
    if isinstance(value, VisualPrompt):
        return {"name": value.name, **value.config()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return encoder_config(value) if callable(value) else value


def checked_images(images: Array, size: int | None = None) -> Array:
    """Return ``images`` if they are uint8 (n, size, size, 3), or raise."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise TypeError(f"images must be an array of uint8, got {getattr(images, 'dtype', type(images).__name__)}")
    wanted = "H, W" if size is None else f"{size}, {size}"
    if images.ndim != 4 or images.shape[3] != 3 or (size is not None and images.shape[1:3] != (size, size)):
        raise ValueError(f"images must have shape (n, {wanted}, 3), got {images.shape}")
    return images

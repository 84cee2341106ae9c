"""A trained prompt in one file: its vector, its settings and its fixed random arrays; no pickle."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.storage.atomic import write_atomically
from zoo_opt.support.registry import path_of
from zoo_opt_seg.data.readers.arrays import npz_arrays
from zoo_opt_seg.features.encoders import Encoder
from zoo_opt_seg.features.text_encoders import TextEncoder
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Model, VisualPrompt
from zoo_opt_seg.visual_prompts.registry import PROMPTS, make_prompt, need_registered, parts_of, prompt_class

VERSION = 1
_FORMAT = "zoo-opt visual prompt"
_HEADER, _X, _ARRAY = "header", "x", "array "
_LARGEST = 8192  # of the whole numbers in the settings; chosen: 80 million pixels are the limit of an image
_OF_NO_SIZE = ("seed", "encoder", "text")  # settings that no array has the size of


class PromptFileError(ValueError):
    """A file that is no saved prompt, is corrupt or truncated, or of a newer version."""


@dataclass(frozen=True, eq=False)
class TrainedPrompt:
    """A parametrisation with a vector.

    Parameters
    ----------
    prompt : VisualPrompt
    x : ndarray, shape (prompt.dim,)
    meta : mapping
        What was saved beside it, such as where it comes from.
    """

    prompt: VisualPrompt
    x: Array
    meta: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, images: Array, prompts: Prompts) -> Array:
        """Return the prompted images, as the black box is to be shown them.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, size, size, 3) or (size, size, 3)
        prompts : Prompts
            Of the n images, or of the one.

        Returns
        -------
        ndarray of float32
            In [0, 1], of the shape of ``images``; a batch has n * views, all of the first view first, and of a single
            image only the first view is returned.
        """
        single = isinstance(images, np.ndarray) and images.ndim == 3
        prompted = self.prompt(self.x, self.prompt.context(images[None] if single else images, prompts))
        return prompted[0] if single else prompted

    def predict(self, model: Model, images: Array, prompts: Prompts, batch: int = 16) -> Array:
        """Return what a black box makes of the prompted images.

        Parameters
        ----------
        model : callable
            Maps images and prompts to masks or probabilities; one call for each image and view.
        images : ndarray of uint8, shape (n, size, size, 3) or (size, size, 3)
        prompts : Prompts
        batch : int
            Images at a time.

        Returns
        -------
        ndarray, shape (n, size, size) or (size, size)
            Probabilities or bool masks, as the model returns.
        """
        if isinstance(images, np.ndarray) and images.ndim == 3:
            return np.asarray(self.predict(model, images[None], prompts)[0])
        masks = []
        for start in range(0, len(images), batch):
            rows = slice(start, start + batch)
            context = self.prompt.context(images[rows], prompts[rows])
            masks.append(self.prompt.answer(model, self.x, context))
        if not masks:
            raise ValueError("images must hold at least one image, got none")
        return np.concatenate(masks)


def save_prompt(
    path: str | os.PathLike[str], prompt: VisualPrompt, x: Array, meta: Mapping[str, Any] | None = None
) -> None:
    """Write a prompt to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
    prompt : VisualPrompt
    x : ndarray of float32 or float64, shape (prompt.dim,)
    meta : mapping, optional
        Anything that JSON can hold.

    Raises
    ------
    ValueError
        If ``x`` has another length or is not finite.
    TypeError
        If ``meta`` is nothing for JSON, or the prompt is of none of `PROMPTS`.
    """
    x = np.asarray(x)
    if x.shape != (prompt.dim,) or x.dtype not in (np.float32, np.float64) or not np.isfinite(x).all():
        raise ValueError(f"x must be a finite float array of shape ({prompt.dim},), got {x.dtype} of shape {x.shape}")
    need_registered(prompt)
    header = {
        "format": _FORMAT,
        "version": VERSION,
        "prompt": prompt.name,
        "classes": {part.name: path_of(type(part)) for part in parts_of(prompt)},
        "config": prompt.config(),
        "meta": dict(meta or {}),
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    arrays = {_ARRAY + name: value for name, value in prompt.arrays().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **{_HEADER: text, _X: x, **arrays})  # type: ignore[arg-type]
    with buffer.getbuffer() as payload:
        write_atomically(path, payload)


def load_prompt(
    path: str | os.PathLike[str], encoder: Encoder | None = None, text: TextEncoder | None = None
) -> TrainedPrompt:
    """Return the prompt in a file.

    Parameters
    ----------
    path : path-like
    encoder : Encoder, optional
        Instead of making the one that the file names; needed where that was the caller's own.
    text : TextEncoder, optional
        Likewise, such as a black box's ``text_encoder``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PromptFileError
        If it is not a saved prompt, corrupt or truncated, of a newer version, or of another class than the one that
        has its name here.
    ValueError
        If ``encoder`` or ``text`` is needed, or is another than the prompt was trained with.
    """
    name = os.fspath(path)
    header, values = _read(path)
    kind, config = str(header["prompt"]), header["config"]
    if kind not in PROMPTS:
        raise PromptFileError(f"{name} holds a prompt {kind!r}, which is none of {', '.join(PROMPTS)}")
    for part_name, saved in header["classes"].items():
        if part_name not in PROMPTS or not _same(saved, path_of(prompt_class(part_name))):
            known = path_of(prompt_class(part_name)) if part_name in PROMPTS else "none"
            raise PromptFileError(
                f"{name} holds a prompt {part_name!r} of the class {saved}, here this name is {known}"
            )
    for settings in _parts(config):
        for what, given in (("encoder", encoder), ("text", text)):
            if settings.get(what) is not None:
                settings[what] = _encoder(name, what, settings[what], given)
    try:
        prompt = make_prompt(kind, **config)
        prompt.set_arrays({key.removeprefix(_ARRAY): value for key, value in values.items() if key.startswith(_ARRAY)})
        x = values[_X]
        if x.shape != (prompt.dim,):
            raise ValueError(f"x has the shape {x.shape}, expected ({prompt.dim},)")
        if x.dtype not in (np.float32, np.float64) or not np.isfinite(x).all():
            raise ValueError(f"x must hold finite floats, got {x.dtype}")
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # whatever comes of values that save_prompt never wrote
        raise PromptFileError(f"{name} does not hold what a prompt {kind!r} needs ({error})") from error
    return TrainedPrompt(prompt, x, header["meta"])


def needs_text(path: str | os.PathLike[str]) -> bool:
    """Return whether the prompt in a file was trained with a text encoder that `load_prompt` must be given.

    Raises
    ------
    FileNotFoundError, PromptFileError
        As `load_prompt`.
    """
    return any("own" in (part.get("text") or {}) for part in _parts(_read(path)[0]["config"]))


def _same(saved: str, known: str) -> bool:
    """Return whether two classes are one by module and name; those of zoo_opt_seg may move within it."""
    own = all(path.startswith("zoo_opt_seg.") for path in (saved, known))
    return saved == known or (own and saved.rpartition(":")[2] == known.rpartition(":")[2])


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of a prompt, and of the one within it if there is one."""
    inner = config.get("inner")
    return [config, inner] if isinstance(inner, dict) else [config]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header of a saved prompt, and its arrays by name."""
    name = os.fspath(path)
    Path(path).open("rb").close()  # an OSError stays one
    try:
        values = npz_arrays(Path(path), None, "prompt")
        header = json.loads(values.pop(_HEADER).tobytes())
        known, version = header["format"] == _FORMAT, int(header["version"])
        header = {"classes": {}, "meta": {}, **header, "prompt": header["prompt"]}  # earlier releases have no classes
        _check(header)
    except Exception as error:  # whatever numpy, zip and JSON make of bytes that save_prompt never wrote
        raise PromptFileError(f"{name} is not a saved prompt, or is corrupt or truncated ({error})") from error
    if not known:
        raise PromptFileError(f"{name} is not a saved prompt")
    if version > VERSION:
        raise PromptFileError(f"{name} is a saved prompt of version {version}, this zoo_opt_seg reads up to {VERSION}")
    return header, values


def _check(header: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for a header that `save_prompt` never wrote, before memory is taken for it."""
    if not all(isinstance(header[name], dict) for name in ("classes", "meta", "config")):
        raise ValueError("expected objects of classes, meta and config")
    if not all(isinstance(path, str) for path in header["classes"].values()):
        raise ValueError("expected classes by name")
    for settings in _parts(header["config"]):
        for what in ("encoder", "text"):
            saved = settings.get(what)
            named = isinstance(saved, dict) and isinstance(saved.get("own", saved.get(what)), str)
            if saved is not None and not (named and isinstance(saved.get("dim", 0), int)):
                raise ValueError(f"expected the name of the {what}")
        if (largest := max(_numbers(settings), default=0)) > _LARGEST:
            raise ValueError(f"a setting of {largest:g} is larger than {_LARGEST}")


def _numbers(value: Any) -> Iterator[int]:
    """All whole numbers in a setting that may be a size."""
    if isinstance(value, dict):
        value = [part for name, part in value.items() if name not in _OF_NO_SIZE]
    if isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int):
        yield value


def _encoder(path: str, what: str, saved: Mapping[str, Any], given: Encoder | TextEncoder | None) -> Any:
    """Return the encoder to use: the one given, if it is by name and length the one saved, or what makes it."""
    own = "own" in saved
    if given is None:
        if own:
            raise ValueError(
                f"{what} must be given for {path}, which was trained with one of the caller's own, {saved['own']!r}"
            )
        return saved
    wanted = saved["own"] if own else saved[what]
    if given.name != wanted or (own and given.dim != saved.get("dim")):
        raise ValueError(
            f"{what} must be {wanted!r} as at the training of {path}, got {given.name!r} of dim {given.dim}"
        )
    return given

"""Answers kept on disk by what was asked: the same image and prompts reach a black box once.

``<folder>/ab/cdef....mask`` holds one image's mask; the name is the SHA-256 of the model's name, the image and its
prompts. The file is a line ``zoo-opt-seg mask 1 <dtype> <H> <W> <sha256 of the rest>``, then the mask: float32, or
bits, or a compressed byte per pixel. It is written beside and renamed, so that processes may share a folder, and a kill
leaves nothing half-written. What cannot be read, whatever the reason, or is no probability, counts as not being there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.storage.place import ENDING, Place
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBoxGone,
    PartlyAnswered,
    SegmentationModel,
    check_images,
    check_prompts,
)
from zoo_opt_seg.blackbox.wrappers import Wrapped
from zoo_opt_seg.prompts import Prompts

_MAGIC = b"zoo-opt-seg mask 1"
_HEADER = 256  # bytes, more than the first line has
_STALE = 3600.0  # seconds after which a temporary file is no longer being written


class MaskFolder:
    """Masks in a folder by hexadecimal keys, for any number of processes.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    what : str
        What the masks are, for the warning where the folder takes none.
    coarse : bool
        Keep probabilities in 256 levels, compressed: a fifth of the space or less.
    needed : bool
        Whether a run that goes on needs the masks, so that it must end rather than make more that cannot be kept.
    """

    def __init__(self, folder: str | os.PathLike[str], what: str, coarse: bool = False, needed: bool = False) -> None:
        self.folder, self._what, self._full, self._coarse = Path(folder), what, False, coarse
        self._needed = needed
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"*/*{ENDING}"):  # what killed processes left
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()

    def read(self, key: str, size: tuple[int, ...]) -> Array | None:
        """Return the mask of a key, or None where there is none of this size that is whole."""
        return read_mask(self._path(key), size)

    def write(self, key: str, mask: Array) -> None:
        """Keep a mask; a full disk is a warning, once, or raises BlackBoxGone where the masks are ``needed``."""
        try:
            write_mask(self._path(key), mask, self._coarse)
        except OSError as error:
            self._complain(error)

    @contextlib.contextmanager
    def place(self, key: str, size: tuple[int, ...]) -> Iterator[Callable[[Array], None]]:
        """Yield what keeps a mask that is asked for now: its room is taken already, or it is as of `write`."""
        place = None
        try:
            place = Place(self._path(key), 4 * size[0] * size[1] + _HEADER)
        except OSError as error:
            self._complain(error)
        with place or contextlib.nullcontext():
            yield lambda mask: None if place is None else place.write(*_parts(mask, self._coarse))

    def _complain(self, error: OSError) -> None:
        message = f"{self._what} cannot be kept in {self.folder}: {error}"
        if self._needed:
            raise BlackBoxGone(message) from error
        if not self._full:
            warnings.warn(message, RuntimeWarning, stacklevel=5)
        self._full = True

    def clear(self) -> None:
        """Take all masks away."""
        for path in self.folder.glob("*/*.mask"):
            path.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of all masks, in order."""
        return iter(sorted(path.parent.name + path.stem for path in self.folder.glob("*/*.mask")))

    def __bool__(self) -> bool:
        """Whether there is any mask."""
        return next(self.folder.glob("*/*.mask"), None) is not None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.mask"


class MaskMemory:
    """As `MaskFolder`, in this process's memory.

    Parameters
    ----------
    coarse : bool
        See `MaskFolder`.
    """

    def __init__(self, coarse: bool = False) -> None:
        self._masks: dict[str, Array] = {}
        self._coarse = coarse

    def read(self, key: str, size: tuple[int, ...]) -> Array | None:
        """Return the mask of a key, or None."""
        mask = self._masks.get(key)
        return mask if mask is None or mask.dtype != np.uint8 else _fine(mask)

    def write(self, key: str, mask: Array) -> None:
        """Keep a mask."""
        self._masks[key] = _levels(mask) if self._coarse and mask.dtype != np.bool_ else np.array(mask)

    @contextlib.contextmanager
    def place(self, key: str, _: tuple[int, ...]) -> Iterator[Callable[[Array], None]]:
        """Yield what keeps the mask of a key."""
        yield lambda mask: self.write(key, mask)

    def clear(self) -> None:
        """Take all masks away."""
        self._masks.clear()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of all masks, in order."""
        return iter(sorted(self._masks))

    def __bool__(self) -> bool:
        """Whether there is any mask."""
        return bool(self._masks)


Masks = MaskFolder | MaskMemory


class Cached(Wrapped):
    """A black box that answers from a folder what it was asked before.

    Parameters
    ----------
    model : callable
        A black box with a name, which must change whenever its answers could (`as_black_box` gives one).
    folder : path, MaskFolder or MaskMemory
        Made where it does not exist. Any number of processes, and black boxes of other names, may share it.

    Attributes
    ----------
    hits, misses : int
        Images answered from the folder, and images that reached the model. An image that comes twice in one call
        reaches the model once.

    Raises
    ------
    ValueError
        If the model has no name.

    Notes
    -----
    Of a question that is partly answered (`PartlyAnswered`), what came is kept. An image in float32 whose values are
    all whole bytes over 255 is the same question as these bytes.

    ``Cached(Budgeted(model, n), folder)`` pays for misses alone; ``Budgeted(Cached(model, folder), n)`` counts every
    question, whether it was asked before or not, and is what compares optimisers. Misses are evaluated in one smaller
    batch, which in floating point may move the last bit of a probability.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any], folder: str | os.PathLike[str] | Masks) -> None:
        super().__init__(model)
        self._masks = folder if isinstance(folder, Masks) else MaskFolder(folder, "masks")
        if not (self.name or self._masks is folder):  # a store of one's own may hold one black box alone
            raise ValueError("model must have a name to be cached under: as_black_box(model, name=...)")
        self.hits = self.misses = 0
        self._asked: set[str] = set()
        self._names: dict[str, str] = {}  # keys of what the model is asked now, by `mask_key`
        self._streams = self.model.keep_in(self)
        self._prefix = hashlib.sha256(b"zoo-opt-seg 1 %s\0" % (self.name or "").encode())

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks, those asked for before from the folder."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        keys = [self._key(image, prompts, row) for row, image in enumerate(images)]
        self._asked.update(keys)
        size = images.shape[1:3]
        known: dict[str, Any] = {key: self._known(key, size) for key in dict.fromkeys(keys)}
        rows = [keys.index(key) for key, mask in known.items() if mask is None]
        errors: dict[str, Exception] = {}
        if rows or not len(images):
            names = {mask_key(images[row], prompts, row): keys[row] for row in rows if self._streams}
            self._names |= names
            try:
                answers = self.model(images[rows], prompts[rows])
            except PartlyAnswered as part:
                answers, errors = part.masks, {keys[rows[place]]: error for place, error in part.errors.items()}
            finally:
                for name in names:
                    self._names.pop(name, None)
            if not len(images):
                return answers
            for row, mask in zip(rows, answers, strict=True):
                known[keys[row]] = mask
                if keys[row] not in errors:
                    self._masks.write(keys[row], mask)
        self.misses += len(rows)
        self.hits += len(images) - len(rows)
        masks = np.stack([known[key] for key in keys])
        if errors:
            raise PartlyAnswered(masks, {row: errors[key] for row, key in enumerate(keys) if key in errors})
        return masks

    def keep_in(self, kept: Any) -> bool:
        """As of the model, whose masks these are, unless they come into the folder as they come."""
        return not self._streams and self.model.keep_in(kept)

    def place(self, key: str, size: tuple[int, ...]) -> contextlib.AbstractContextManager[Callable[[Array], None]]:
        """As of its folder, for `BlackBox.keep_in`, so that a kill loses none of a question's masks that came."""
        name = self._names.get(key)  # None: somebody else asks the model
        return contextlib.nullcontext(lambda mask: None) if name is None else self._masks.place(name, size)

    @property
    def distinct(self) -> int:
        """Different questions so far, which are the calls that they cost where none had been answered before."""
        return len(self._asked)

    def _known(self, key: str, size: tuple[int, ...]) -> Array | None:
        mask = self._masks.read(key, size)
        return mask if mask is not None and mask.size and mask.min() >= 0 and mask.max() <= 1 else None  # no NaN either

    def _key(self, image: Array, prompts: Prompts, row: int) -> str:
        return question_key(self._prefix, _as_bytes(image), prompts, row)


def _as_bytes(image: Array) -> Array:
    """Return a picture in float32 that is one of bytes as these bytes: it is the same question, and paid for once."""
    if image.dtype == np.uint8:
        return image
    levels = _levels(image)
    return levels if np.array_equal(_fine(levels), image) else image


def question_key(prefix: Any, image: Array, prompts: Prompts, row: int) -> str:
    """Return what tells an image and its prompts from others, in hexadecimal; ``prefix`` is a digest to go on from."""
    digest = prefix.copy()
    digest.update(f"{image.dtype} {image.shape} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    digest.update(prompts.key(row))
    return str(digest.hexdigest())


def mask_key(image: Array, prompts: Prompts, row: int) -> str:
    """Return the key of an image and its prompts where the answers of one black box alone are kept."""
    return question_key(hashlib.sha256(), image, prompts, row)


def write_mask(path: Path, mask: Array, coarse: bool = False) -> None:
    """Write a mask (H, W) of float32 or bool to ``path``, atomically; see `MaskFolder` for ``coarse``."""
    with Place(path) as place:
        place.write(*_parts(mask, coarse))


def _parts(mask: Array, coarse: bool) -> tuple[bytes, bytes]:
    """Return what a file of a mask holds: its first line, and the rest."""
    if mask.dtype == np.bool_:
        kind, payload = b"bits", np.packbits(mask).tobytes()
    elif coarse:
        kind, payload = b"levels", zlib.compress(_levels(mask).tobytes(), 1)
    else:
        kind, payload = b"float32", np.ascontiguousarray(mask, "<f4").tobytes()
    return _header(kind, mask.shape, hashlib.sha256(payload).hexdigest()) + b"\n", payload


def read_mask(path: Path, size: tuple[int, ...]) -> Array | None:
    """Return the mask at ``path``, or None where there is none of this size that is whole."""
    pixels = size[0] * size[1]
    try:
        with path.open("rb") as file:
            header, _, payload = file.read(4 * pixels + _HEADER).partition(b"\n")  # no more, whatever the file holds
    except OSError:
        return None
    digest = hashlib.sha256(payload).hexdigest()
    if header == _header(b"bits", size, digest) and len(payload) == (pixels + 7) // 8:
        return np.unpackbits(np.frombuffer(payload, np.uint8), count=pixels).view(bool).reshape(size)
    if header == _header(b"float32", size, digest) and len(payload) == 4 * pixels:
        return np.frombuffer(payload, "<f4").reshape(size)
    if header == _header(b"levels", size, digest):
        levels = zlib.decompressobj().decompress(payload, pixels)  # no more, whatever the file holds
        return _fine(np.frombuffer(levels, np.uint8).reshape(size)) if len(levels) == pixels else None
    return None


def _levels(mask: Array) -> Array:
    """Return probabilities in 256 levels, uint8."""
    return np.rint(mask * np.float32(255)).astype(np.uint8)


def _fine(levels: Array) -> Array:
    """Return the probabilities of `_levels`, float32."""
    return levels.astype(np.float32) / np.float32(255)


def _header(kind: bytes, size: tuple[int, ...], digest: str) -> bytes:
    return b"%s %s %d %d %s" % (_MAGIC, kind, size[0], size[1], digest.encode())

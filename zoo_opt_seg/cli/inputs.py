"""What the command line's words stand for: a black box, labelled images, a visual prompt, options."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import UsageError
from zoo_opt.cli.reading import read_options
from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.loading import load_object
from zoo_opt.support.secrets import hidden_command
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, BlackBoxEntry
from zoo_opt_seg.data.registry import DATA_SETS

if TYPE_CHECKING:
    from zoo_opt_seg.blackbox.protocol import BlackBox
    from zoo_opt_seg.data.draws import Kind
    from zoo_opt_seg.data.fitting import Crop
    from zoo_opt_seg.data.readers.windows import Window
    from zoo_opt_seg.data.samples import Splits
    from zoo_opt_seg.refine import RefinedPrompt
    from zoo_opt_seg.remote.terms import Terms
    from zoo_opt_seg.visual_prompts import TrainedPrompt


@contextlib.contextmanager
def blamed(option: str, *more: type[Exception]) -> Iterator[None]:
    """Raise what the words of an option lead to, OSError, ValueError, TypeError or ``more``, as a UsageError of it."""
    kinds: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, *more)
    try:
        yield
    except kinds as error:
        raise UsageError(f"{option} {error}") from error


@contextlib.contextmanager
def black_box(
    spec: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    cache: str | None = None,
    terms: Terms | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[BlackBox]:
    """Yield the black box that ``--model`` names, ended afterwards where it is a process.

    Parameters
    ----------
    spec : str
        A name of `BLACK_BOXES` with the words that it takes, as ``sam:TYPE:CHECKPOINT``, or ``module:factory``.
    device, dtype : str
        Of a black box that is one of ours.
    cache : str, optional
        Folder for answers.
    terms : Terms, optional
        By which a service is asked; for nothing else.
    options : mapping, optional
        Of a service, by name; for nothing else.

    Raises
    ------
    UsageError
        If it is none of these, or cannot be made.
    """
    from zoo_opt_seg.blackbox import Cached, as_black_box

    name, _, words = spec.partition(":")
    said = hidden_command(spec)
    with contextlib.ExitStack() as stack:
        with blamed(f"--model {said}:", RuntimeError):
            if name in BLACK_BOXES:
                model = BLACK_BOXES.find(name).make(words, device, dtype, terms, options)
            elif dtype != "float32":
                raise UsageError(f"--dtype is for the black boxes of `zoo-opt-seg list`, got {dtype} for {said!r}")
            elif name and words:
                model = _made(spec, {} if terms is None else {"terms": terms, **(options or {})})
            else:
                forms = ", ".join(entry.form for entry in BLACK_BOXES.entries())
                raise UsageError(f"--model must be {forms} or module:factory, got {said!r}")
            if hasattr(model, "__exit__"):  # a process, say
                stack.enter_context(model)
            box = as_black_box(model)
            if cache is not None:
                if not box.name:  # the words of --model stay the same when the code behind them is edited
                    raise UsageError(
                        "--cache needs a black box with a `name`, which must change whenever its answers could, "
                        f"{said} has none"
                    )
                box = Cached(box, cache)
        yield box


def _made(spec: str, options: Mapping[str, Any]) -> Any:
    """Return what the factory of ``module:factory`` makes; a function of two arguments is the black box itself."""
    factory = from_here(spec)
    if not callable(factory):
        raise UsageError(f"--model must name a function, got {spec!r}, which is {factory!r}")
    if options:
        return factory(**options)
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        return factory
    return factory()


def from_here(spec: str) -> Any:
    """Return the object of ``module:object`` as it was typed, of the current folder or of the Python path."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    return load_object(spec)


def size_for(model: str, size: int | None) -> int:
    """Return the side of the images for a model, in pixels."""
    name = model.partition(":")[0]
    entry = BLACK_BOXES.find(name) if name in BLACK_BOXES else BlackBoxEntry(name=name, factory=model)
    return entry.size if size is None else size


def prompted(model: BlackBox, texts: Sequence[str], points: str | None = None) -> Kind:
    """Return by what the black box is asked: what ``--points`` says, texts where ``--text`` was given, or its own.

    Raises
    ------
    UsageError
        If the black box cannot be asked so, or both were given.
    """
    from zoo_opt_seg.data.draws import kind_for

    if texts and model.prompted_by not in (None, "text"):
        raise UsageError(f"--text is for a black box that is asked by text, got {texts[0]!r} for {model.name}")
    if texts and points not in (None, "text"):
        raise UsageError(f"--text and --points exclude each other, got {texts[0]!r} and {points!r}")
    given = "text" if texts else int(points) if points is not None and points.isdecimal() else points
    try:
        return kind_for(model, given)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def kind_of_points(arguments: argparse.Namespace) -> str | None:
    """Return what ``--points`` says, else what the run of ``--prompt`` asked by; None if neither is known.

    Raises
    ------
    UsageError
        If the run's folder cannot be read.
    """
    if arguments.points is not None or arguments.text or not arguments.prompt:
        return arguments.points  # type: ignore[no-any-return]
    from zoo_opt_seg.serve.segmenting import points_in

    with blamed(f"--prompt {arguments.prompt}:", CheckpointError):
        had = points_in(arguments.prompt)
    return None if had is None else str(had)


def window(text: str | None) -> Window | None:
    """Return what ``--window`` names: full, percentile, or LOW,HIGH.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    from zoo_opt_seg.data.readers.windows import WINDOWS, check_window

    if text is None or text in WINDOWS:
        return text
    try:
        return check_window([float(word) for word in text.split(",")])
    except ValueError:
        raise UsageError(f"--window must be {', '.join(WINDOWS)} or LOW,HIGH, got {text!r}") from None


def crop(text: str | None) -> Crop | None:
    """Return what ``--crop`` names: TOP,BOTTOM,LEFT,RIGHT in pixels of the file.

    Raises
    ------
    UsageError
        If it is not that.
    """
    from zoo_opt_seg.data.fitting import check_crop

    if text is None:
        return None
    try:
        return check_crop([int(word) for word in text.split(",")])
    except ValueError:
        raise UsageError(f"--crop must be TOP,BOTTOM,LEFT,RIGHT in pixels, got {text!r}") from None


def prepared(arguments: argparse.Namespace, result: str | None = None) -> dict[str, Any]:
    """Return ``fit`` and ``crop`` of `load_data`: as given, else as the run in the folder ``result`` had them."""
    had: dict[str, Any] = {"fit": "stretch", "crop": None}
    if result:
        from zoo_opt_seg.serve.segmenting import prepared_in

        with blamed(f"--prompt {result}:", CheckpointError):
            had = prepared_in(result)
    return {
        "fit": arguments.fit or had["fit"],
        "crop": had["crop"] if arguments.crop is None else crop(arguments.crop),
    }


def splits(
    spec: str,
    *,
    size: int,
    seed: int = 0,
    options: Sequence[str] = (),
    texts: Sequence[str] = (),
    window: Window | None = None,
    fit: str = "stretch",
    crop: Crop | None = None,
    cache: str | None = None,
) -> Splits:
    """Return the labelled images that ``--data`` names.

    Parameters
    ----------
    spec : str
        A synthetic domain, NAME:PATH, or ``module:function`` that returns `Splits`.
    size, seed : int
        See `load_data`.
    options : sequence of str
        NAME=VALUE, for the loader.
    texts : sequence of str
        Of ``--text``: what each image is asked by, instead of its own.
    window : Window, optional
        Of ``--window``; see `load_data`.
    fit, crop
        Of `prepared`; see `load_data`.
    cache : str, optional
        Of ``--data-cache``; see `load_data`.

    Raises
    ------
    UsageError
        If there is no such data, or it cannot be read.
    """
    from zoo_opt_seg.data import Splits, load_data

    given, _, root = spec.partition(":")
    aliases = {entry.alias: entry.name for entry in DATA_SETS.entries() if entry.alias}
    name = aliases.get(given, given)
    if name not in DATA_SETS:
        if root and (options or seed or window is not None or fit != "stretch" or crop or cache):
            words = "--data-option, --data-seed, --window, --fit, --crop and --data-cache"
            raise UsageError(f"{words} are for data sets by name, {spec} knows nothing of them")
        if not root:
            raise UsageError(
                f'--data must be one of {", ".join([*DATA_SETS, *aliases])}, or "module:function", got {spec!r}'
            )
        with blamed(f"--data {spec}:"):
            own = from_here(spec)()
        if not isinstance(own, Splits):
            raise UsageError(f"--data {spec} must return Splits, got {type(own).__name__}")
        return own.with_texts(*texts) if texts else own
    with blamed(f"--data {spec}:"):
        how: dict[str, Any] = {"window": window, "fit": fit, "crop": crop, "cache": cache}
        data = load_data(name, root or None, size, seed, **how, **read_options(options))
        return data.with_texts(*texts) if texts else data


def trained(path: str, model: BlackBox | None = None) -> TrainedPrompt | RefinedPrompt:
    """Return the prompt of a file, or of a result folder with its refiner where there is one.

    One that needs a text encoder has it from ``model``.

    Raises
    ------
    UsageError
        If there is none.
    """
    from zoo_opt_seg.serve.segmenting import trained_in

    with blamed(f"--prompt {path}:", CheckpointError):
        return trained_in(path, model)


def prompt_and_size(arguments: argparse.Namespace, model: BlackBox) -> tuple[TrainedPrompt | RefinedPrompt | None, int]:
    """Return the trained prompt of ``--prompt``, or None, and the side of the images to ask about.

    Raises
    ------
    UsageError
        If there is none, or ``--size`` is another than its.
    """
    prompt = trained(arguments.prompt, model) if arguments.prompt else None
    size = prompt.prompt.size if prompt else size_for(arguments.model, arguments.size)
    if arguments.size not in (None, size):
        raise UsageError(f"--size must be {size}, that of the prompt, got {arguments.size}")
    return prompt, size


def box(text: str | None) -> tuple[float, ...] | None:
    """Return the box of ``--box x0,y0,x1,y1``, None without.

    Raises
    ------
    UsageError
        If the text is of another form.
    """
    if text is None:
        return None
    try:
        sides = tuple(float(word) for word in text.split(","))
    except ValueError:
        sides = ()
    if len(sides) != 4 or not all(map(math.isfinite, sides)):
        raise UsageError(f"--box must be x0,y0,x1,y1 in pixels of the image, got {text!r}")
    return sides


def points(texts: Sequence[str]) -> list[tuple[float, float, int]]:
    """Return the points of ``--point x,y``, or ``x,y,label``, as (x, y, label): 1 the object, 0 the background.

    Raises
    ------
    UsageError
        If a text is of another form.
    """
    found = []
    for text in texts:
        try:
            x, y, *label = (float(word) for word in text.split(","))
        except ValueError:
            raise UsageError(f"--point must be x,y or x,y,label in pixels of the image, got {text!r}") from None
        if len(label) > 1 or (label and label[0] not in (0.0, 1.0)):
            raise UsageError(f"--point must end with the label 1 (object) or 0 (background), got {text!r}")
        found.append((x, y, int(label[0]) if label else 1))
    return found

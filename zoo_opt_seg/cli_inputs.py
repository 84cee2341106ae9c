"""What the command line's words stand for: a black box, labelled images, a visual prompt, options."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli_run import UsageError, read_options

if TYPE_CHECKING:
    from zoo_opt_seg.blackbox.protocol import BlackBox
    from zoo_opt_seg.data.samples import Splits
    from zoo_opt_seg.visual_prompts import TrainedPrompt

SIZES = {"tiny": 96, "sam": 512}  # pixels, of the images that a model is given, unless --size says otherwise
OTHER_SIZE = 224
ALIASES = {"kvasir-seg": "kvasir"}


@contextlib.contextmanager
def black_box(spec: str, *, device: str = "cpu", cache: str | None = None) -> Iterator[BlackBox]:
    """Yield the black box that ``--model`` names, ended afterwards where it is a process.

    Parameters
    ----------
    spec : str
        ``tiny``, ``sam:TYPE:CHECKPOINT``, ``module:factory``, or ``process:COMMAND``.
    device : str
        Of a SAM.
    cache : str, optional
        Folder for answers.

    Raises
    ------
    UsageError
        If it is none of these, or cannot be made.
    """
    from zoo_opt_seg.blackbox import Cached, ProcessBlackBox, as_black_box

    kind, _, rest = spec.partition(":")
    with contextlib.ExitStack() as stack:
        try:
            model: Any
            if spec == "tiny":
                from zoo_opt_seg.blackbox import TinySam

                model = TinySam(device=device)
            elif kind == "sam" and rest:
                from zoo_opt_seg.blackbox import SamBlackBox

                model_type, _, checkpoint = rest.partition(":")
                if not checkpoint:
                    raise UsageError(f"--model sam:TYPE:CHECKPOINT needs a checkpoint file, got {spec!r}")
                model = SamBlackBox(model_type, checkpoint, device=device)
            elif kind == "process" and rest:
                model = stack.enter_context(ProcessBlackBox(shlex.split(rest)))
            elif kind and rest:
                model = _made(spec)
            else:
                raise UsageError(
                    f'--model must be tiny, sam:TYPE:CHECKPOINT, "module:factory" or process:"command", got {spec!r}'
                )
            box = as_black_box(model)
            if cache is not None:
                box = Cached(box if box.name else as_black_box(box, name=spec), cache)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UsageError(f"--model {spec}: {error}") from error
        yield box


def _made(spec: str) -> Any:
    """Return what the factory of ``module:factory`` makes; a function of two arguments is the black box itself."""
    import inspect

    from zoo_opt.bench.problems import load_object

    factory = load_object(spec)
    if not callable(factory):
        raise UsageError(f"--model must name a function, got {spec!r}, which is {factory!r}")
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        return factory
    return factory()


def size_for(model: str, size: int | None) -> int:
    """Return the side of the images for a model, in pixels."""
    return SIZES.get(model.partition(":")[0], OTHER_SIZE) if size is None else size


def splits(spec: str, *, size: int, seed: int = 0, options: Sequence[str] = ()) -> Splits:
    """Return the labelled images that ``--data`` names.

    Parameters
    ----------
    spec : str
        A synthetic domain, NAME:PATH, or ``module:function`` that returns `Splits`.
    size, seed : int
        See `load_data`.
    options : sequence of str
        NAME=VALUE, for the loader.

    Raises
    ------
    UsageError
        If there is no such data, or it cannot be read.
    """
    from zoo_opt.bench.problems import load_object
    from zoo_opt_seg.data import DATASETS, SYNTHETIC, Splits, load_data

    name, _, root = spec.partition(":")
    known = (*SYNTHETIC, *DATASETS, *ALIASES)
    if name not in known:
        if not root:
            raise UsageError(f'--data must be one of {", ".join(known)}, or "module:function", got {spec!r}')
        try:
            own = load_object(spec)()
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--data {spec}: {error}") from error
        if not isinstance(own, Splits):
            raise UsageError(f"--data {spec} must return Splits, got {type(own).__name__}")
        return own
    try:
        return load_data(ALIASES.get(name, name), root or None, size, seed, **read_options(options))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"--data {spec}: {error}") from error


def trained(path: str) -> TrainedPrompt:
    """Return the prompt of a file, or of a result folder.

    Raises
    ------
    UsageError
        If there is none.
    """
    from zoo_opt_seg.visual_prompts import load_prompt

    file = Path(path) / "prompt.npz" if Path(path).is_dir() else Path(path)
    try:
        return load_prompt(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"--prompt {path}: {error}") from error


def points(texts: Sequence[str]) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the points of ``--point x,y``, or ``x,y,label`` with 1 for the object and 0 for the background.

    Raises
    ------
    UsageError
        If a text is of another form.
    """
    found, kinds = [], []
    for text in texts:
        try:
            x, y, *label = (float(word) for word in text.split(","))
        except ValueError:
            raise UsageError(f"--point must be x,y or x,y,label in pixels of the image, got {text!r}") from None
        if len(label) > 1 or (label and label[0] not in (0.0, 1.0)):
            raise UsageError(f"--point must end with the label 1 (object) or 0 (background), got {text!r}")
        found.append((x, y))
        kinds.append(int(label[0]) if label else 1)
    return found, kinds

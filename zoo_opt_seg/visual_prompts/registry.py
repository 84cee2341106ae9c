"""The parametrisations by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from zoo_opt_seg.features.text_encoders import text_encoder_of
from zoo_opt_seg.visual_prompts.bar import BAR
from zoo_opt_seg.visual_prompts.base import VisualPrompt
from zoo_opt_seg.visual_prompts.blackvip import BlackVIP
from zoo_opt_seg.visual_prompts.filter import FilterPrompt
from zoo_opt_seg.visual_prompts.ip_decoder import IPDecoder
from zoo_opt_seg.visual_prompts.lowrank import LowRank
from zoo_opt_seg.visual_prompts.views import Views
from zoo_opt_seg.visual_prompts.vpt import VPT

PROMPTS: dict[str, type[VisualPrompt]] = {
    cls.name: cls for cls in (VPT, BlackVIP, IPDecoder, BAR, FilterPrompt, LowRank, Views)
}


def register_prompt(cls: type[VisualPrompt]) -> type[VisualPrompt]:
    """Make a parametrisation of one's own known by its ``name``: to `make_prompt`, and to files that are read.

    Parameters
    ----------
    cls : type
        A subclass of `VisualPrompt`, made as ``cls(size, **config)``; returned, so that this can decorate it.

    Raises
    ------
    TypeError, ValueError
        If it is none, or its name is another's.
    """
    if not (isinstance(cls, type) and issubclass(cls, VisualPrompt)):
        raise TypeError(f"cls must be a subclass of VisualPrompt, got {cls!r}")
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name):
        raise ValueError(f"cls must have a name, a non-empty str, got {name!r}")
    known = PROMPTS.setdefault(name, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"cls must have a name of its own, {name!r} is that of {known.__qualname__}")
    PROMPTS[name] = cls  # defined again, as in a notebook
    return cls


def need_registered(prompt: VisualPrompt) -> None:
    """Raise a TypeError unless the prompt's class is known by its name, so that a file of it can be read again."""
    if isinstance(prompt, Views):
        need_registered(prompt.inner)
    if PROMPTS.get(prompt.name) is not type(prompt):
        raise TypeError(
            f"prompt must be one of {', '.join(PROMPTS)} to be saved, got {type(prompt).__name__}: "
            "decorate its class with @register_prompt"
        )


def make_prompt(name: str, size: int, **options: Any) -> VisualPrompt:
    """Return the parametrisation of a name.

    Parameters
    ----------
    name : {"vpt", "blackvip", "baps", "bar", "filter", "lowrank", "views"}
    size : int
        Side in pixels of the images.
    **options
        Of the class.

    Raises
    ------
    ValueError
        For an unknown name or a wrong option.

    See Also
    --------
    prompt_for : For a certain black box.
    """
    if name not in PROMPTS:
        raise ValueError(f"name must be one of {', '.join(PROMPTS)}, got {name!r}")
    try:
        return PROMPTS[name](size, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options of {name} must be those of {PROMPTS[name].__name__}: {error}") from None


def prompt_for(model: Any, name: str, size: int, **options: Any) -> VisualPrompt:
    """Return the parametrisation of a name for a black box: `make_prompt`, told of the text as the black box is.

    Parameters
    ----------
    model : callable
        Where it, or what it is wrapped around, has a ``text_encoder``, this is the option ``text`` of a parametrisation
        that has one, unless another is given.
    name, size, **options
        See `make_prompt`.
    """
    inner = options.get("inner")
    if isinstance(inner, Mapping):  # of views
        options = {**options, "inner": prompt_for(model, **{"name": "filter", "size": size, **inner})}
    text = text_encoder_of(model)
    if text is not None and name in PROMPTS and "text" in inspect.signature(PROMPTS[name]).parameters:
        options = {"text": text, **options}
    return make_prompt(name, size, **options)

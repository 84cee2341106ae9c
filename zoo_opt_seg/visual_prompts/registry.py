"""The visual prompts that can be chosen by name, each declared once; importing this needs no torch.

Other packages declare theirs in the group ``zoo_opt_seg.visual_prompts`` of their entry points: a subclass of
`VisualPrompt` under its own ``name``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo_opt.support.registry import Entry, Registry, path_of

if TYPE_CHECKING:
    from zoo_opt_seg.visual_prompts.base import VisualPrompt


def _own(name: str, factory: str, about: str) -> Entry:
    factory = f"zoo_opt_seg.visual_prompts.{factory}"
    return Entry(name=name, factory=factory, about=about, needs=("torch",), extra="seg")


PROMPTS = Registry(
    "visual prompt",
    "zoo_opt_seg.visual_prompts",
    Entry,
    _own("vpt", "vpt:VPT", "one additive image for all"),
    _own("blackvip", "blackvip:BlackVIP", "the coordinator of BlackVIP"),
    _own("baps", "ip_decoder:IPDecoder", "the image-prompt decoder of BAPS"),
    _own("bar", "bar:BAR", "a frame of free colours"),
    _own("filter", "filter:FilterPrompt", "one filter for all images"),
    _own("lowrank", "lowrank:LowRank", "an additive image of low rank"),
    _own("views", "views:Views", "another prompt at several magnifications, whose masks are weighed"),
)
"""The visual prompts by name."""


def prompt_class(name: str) -> type[VisualPrompt]:
    """Return the class of a registered name.

    Raises
    ------
    ValueError
        If there is none, or what another package declares is no visual prompt of this name.
    """
    found: type[VisualPrompt] = PROMPTS.find(name).load()
    if getattr(found, "name", None) != name:
        raise ValueError(f"visual prompt {name!r} must be a VisualPrompt of this name, got {found!r}")
    return found


def register_prompt(cls: type[VisualPrompt]) -> type[VisualPrompt]:
    """Register a visual prompt of yours by its ``name``, for `make_prompt` and for saved prompts.

    Parameters
    ----------
    cls : type
        A subclass of `VisualPrompt`, made as ``cls(size, **config)``; returned, so that this can decorate it.

    Raises
    ------
    TypeError, ValueError
        If it is no subclass of `VisualPrompt`, or another class has its name.
    """
    from zoo_opt_seg.visual_prompts.base import VisualPrompt

    if not (isinstance(cls, type) and issubclass(cls, VisualPrompt)):
        raise TypeError(f"cls must be a subclass of VisualPrompt, got {cls!r}")
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name):
        raise ValueError(f"cls must have a name, a non-empty str, got {name!r}")
    if name in PROMPTS and PROMPTS.find(name).path != path_of(cls):
        raise ValueError(
            f"cls must have a name of its own, {name!r} is that of {PROMPTS.find(name).path.rpartition(':')[2]}"
        )
    PROMPTS.add(Entry(name=name, factory=cls, about=(inspect.getdoc(cls) or "").partition("\n")[0]))
    return cls


def parts_of(prompt: VisualPrompt) -> list[VisualPrompt]:
    """Return a prompt, and the one within it if there is one."""
    from zoo_opt_seg.visual_prompts.base import VisualPrompt

    inner = getattr(prompt, "inner", None)
    return [prompt, *parts_of(inner)] if isinstance(inner, VisualPrompt) else [prompt]


def need_registered(prompt: VisualPrompt) -> None:
    """Raise a TypeError unless the prompt's class is known by its name, so that a file of it can be read again."""
    for part in parts_of(prompt):
        if part.name not in PROMPTS or PROMPTS.find(part.name).load() is not type(part):
            raise TypeError(
                f"prompt must be one of {', '.join(PROMPTS)} to be saved, got {type(part).__name__}: "
                "decorate its class with @register_prompt"
            )


def make_prompt(name: str, size: int, **options: Any) -> VisualPrompt:
    """Return the parametrisation of a name.

    Parameters
    ----------
    name : str
        A name of `PROMPTS`; ``zoo-opt-seg list`` shows them.
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
    cls = prompt_class(name)
    try:
        return cls(size, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options of {name} must be those of {cls.__name__}: {error}") from None


def prompt_for(model: Any, name: str, size: int, **options: Any) -> VisualPrompt:
    """Return the parametrisation of a name for a black box: `make_prompt`, with its text encoder if it has one.

    Parameters
    ----------
    model : callable
        Where it, or what it is wrapped around, has a ``text_encoder``, this is the option ``text`` of a parametrisation
        that has one, unless another is given.
    name, size, **options
        See `make_prompt`.
    """
    from zoo_opt_seg.features.text_encoders import text_encoder_of

    inner = options.get("inner")
    if isinstance(inner, Mapping):  # of views
        options = {**options, "inner": prompt_for(model, **{"name": "filter", "size": size, **inner})}
    text = text_encoder_of(model)
    if text is not None and "text" in inspect.signature(prompt_class(name)).parameters:
        options = {"text": text, **options}
    return make_prompt(name, size, **options)

"""What a file may have done: what is registered, and in a file that is trusted what declares itself.

What a user types, on a command line or in Python, is asked for. What stands in a file, which may come from elsewhere,
is not: ``"module:object"`` there would import any module and call any function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zoo_opt.support.loading import load_object

KINDS = ("problem", "method", "black box", "data")
T = TypeVar("T", bound=Callable[..., Any])
_MARK = "__zoo_opt_factory__"


def factory(kind: str) -> Callable[[T], T]:
    """Declare that a function or class makes an object of a kind, so that a suite file may name it.

    A file names it as ``"module:object"``, and is read with ``--trust``, or ``trust=True``. A module that does not
    import zoo_opt sets the object's attribute ``__zoo_opt_factory__ = kind`` instead.

    Parameters
    ----------
    kind : {"problem", "method", "black box", "data"}
        What it makes: a `zoo_opt.bench.Problem`, a `zoo_opt.bench.Solver`, a `zoo_opt_seg.blackbox.SegmentationModel`,
        or `zoo_opt_seg.data.Splits`.

    Returns
    -------
    callable
        What decorates the function or class, and returns it as it is.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> from zoo_opt.bench import SphereProblem, factory
    >>> @factory("problem")
    ... def small(dimension=3):
    ...     return SphereProblem(dimension=dimension)
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")

    def declare(thing: T) -> T:
        setattr(thing, _MARK, kind)
        return thing

    return declare


def need_declared(name: str, kind: str, trust: bool) -> None:
    """Raise unless a file may name ``"module:object"``: it is trusted, and the object declares that it makes this.

    Raises
    ------
    ValueError
        If not. Of a file that is not trusted nothing is imported, and nothing that does not declare itself is called.
    """
    need_trust(f"the {kind} {name!r}", trust)
    if getattr(load_object(name), _MARK, None) != kind:
        raise ValueError(
            f"a file may name only what declares itself, got the {kind} {name!r}: "
            f'put @zoo_opt.bench.factory("{kind}") before it'
        )


def need_trust(what: str, trust: bool, why: str = "is code that the file has run") -> None:
    """Raise a ValueError unless a file is trusted: for ``what``, of which ``why`` says what the file does with it."""
    if not trust:
        raise ValueError(
            f"{what} {why}, and a file is not trusted by default: read what it names, then give --trust (in Python "
            "trust=True)"
        )

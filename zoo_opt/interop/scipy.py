"""Ours as theirs: a zoo_opt method as a ``method=`` of ``scipy.optimize.minimize``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from zoo_opt.methods import Method, make
from zoo_opt.run import minimize

_OWN = ("fun", "x0", "args", "method", "bounds", "callback")  # arguments of `minimize` that scipy has by itself
_OPTIONS = (*(name for name in inspect.signature(minimize).parameters if name not in _OWN), "maxfev", "disp")


def scipy_method(method: Method | str) -> Callable[..., Any]:
    """Return a callable for the ``method`` argument of ``scipy.optimize.minimize``.

    Parameters
    ----------
    method : Method or str
        What proposes the candidates, or its registered name.

    Returns
    -------
    callable
        Takes scipy's ``args``, ``bounds`` and ``callback``; ``options`` are the keyword
        arguments of `minimize` (scipy's ``maxfev`` and ``disp`` are other names of ``budget`` and ``progress``).
        Returns a ``scipy.optimize.OptimizeResult``.

    Raises
    ------
    ValueError
        From scipy's call, if it is given constraints.
    TypeError
        From scipy's call, for an unknown option; the message lists those there are.

    Examples
    --------
    >>> import scipy.optimize, zoo_opt as zo  # doctest: +SKIP
    >>> scipy.optimize.minimize(f, x0, method=zo.scipy_method("cma-es"), options={"budget": 500})  # doctest: +SKIP
    """
    chosen = make(method) if isinstance(method, str) else method

    def solve(
        fun: Callable[..., Any],
        x0: Any,
        args: tuple[Any, ...] = (),
        *,
        bounds: Any = None,
        constraints: Any = (),
        callback: Callable[..., Any] | None = None,
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        tol: Any = None,
        **options: Any,
    ) -> Any:
        from scipy.optimize import OptimizeResult

        if constraints:
            raise ValueError(f"constraints must be empty for {type(chosen).__name__}, got {constraints!r}")
        if tol is not None:
            raise ValueError(f"tol must be None: {type(chosen).__name__} has tolerances of its own, got {tol!r}")
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            raise TypeError(f"options must be of {', '.join(_OPTIONS)}, got {', '.join(unknown)}")
        for theirs, ours in (("maxfev", "budget"), ("disp", "progress")):
            if theirs in options:
                options.setdefault(ours, options[theirs])
                del options[theirs]
        return OptimizeResult(minimize(fun, x0, args=args, method=chosen, bounds=bounds, callback=callback, **options))

    return solve

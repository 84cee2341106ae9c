"""The methods that can be chosen by name, each declared once.

Other packages declare theirs in the group ``zoo_opt.methods`` of their entry points: the method's class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_opt.support.registry import Entry, Factories, Registry

if TYPE_CHECKING:
    from zoo_opt.core.method import Method


def _own(name: str, factory: str, about: str) -> Entry:
    return Entry(name=name, factory=f"zoo_opt.methods.{factory}", about=about)


METHODS = Factories(
    Registry(
        "method",
        "zoo_opt.methods",
        Entry,
        _own("auto", "auto.method:Auto", "chooses among the others; no settings"),
        _own("quasi-newton", "local.quasi_newton:QuasiNewton", "L-BFGS from finite differences, for smooth losses"),
        _own("trust-region", "trust_region.method:TrustRegion", "quadratic models, for losses whose last digits shake"),
        _own("bayesian-optimization", "bayesian.method:BayesianOptimization", "a Gaussian process, for small budgets"),
        _own("spsa", "spsa:SPSA", "simultaneous perturbation: two evaluations a step"),
        _own("spsa-gc", "spsa:SPSAGC", "with Nesterov's gradient correction"),
        _own("spsa-geass", "spsa_geass:SPSAGEASS", "that escapes flat places by larger steps"),
        _own("bar", "bar:BAR", "one-sided estimate along random directions"),
        _own("fzoo", "fzoo:FZOO", "one-sided, with steps divided by the spread of losses"),
        _own("cma-es", "cma.full:CMAES", "adapts a full covariance matrix, with restarts and bounds"),
        _own("dd-cma-es", "cma.dd:DDCMAES", "with a diagonal decoded from it, for many dimensions"),
        _own("sep-cma-es", "cma.sep:SepCMAES", "with a diagonal covariance, for very many dimensions"),
    )
)
"""The methods' classes by name, a mapping."""


def make(name: str, **hyper: Any) -> Method:
    """Return the method registered under ``name`` with the given hyper-parameters.

    Parameters
    ----------
    name : str
        A key of `METHODS`.
    **hyper
        Keyword arguments of the method's class.

    Raises
    ------
    ValueError
        If no method has this name; the message lists those there are.
    TypeError
        If the method has no such hyper-parameter.
    """
    method: Method = METHODS.registry.find(name, "method must be one of", ", or a Method").load()(**hyper)
    return method

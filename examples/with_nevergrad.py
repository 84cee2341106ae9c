"""Use a method of zoo-opt as a nevergrad optimizer.

`register` enters it in nevergrad's registry as "zoo-auto", beside nevergrad's own; what works with those, such as
parametrizations with logarithmic scales, works with it. The search is in nevergrad's standardised units, where a step
of 1 is typical.

Needs nevergrad, which the extra `bench` has. More: docs/interop.md.
"""

import math
import warnings

from zoo_opt.interop.nevergrad_optimizer import register

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nevergrad's own, at its import
    import nevergrad as ng


def loss(rate: float, offset: float) -> float:
    """Return Rosenbrock's valley in the logarithm of the rate and the offset; its minimum is 0 at (0.1, 4)."""
    u, v = math.log10(rate) + 2.0, offset - 3.0
    return 100.0 * (v - u**2) ** 2 + (1.0 - u) ** 2


def main() -> None:
    """Compare with two optimizers of nevergrad."""
    register("auto")
    for name in ("OnePlusOne", "TwoPointsDE", "zoo-auto"):
        parameters = ng.p.Instrumentation(rate=ng.p.Log(lower=1e-5, upper=1.0), offset=ng.p.Scalar(init=0.0))
        parameters.random_state.seed(0)
        best = ng.optimizers.registry[name](parametrization=parameters, budget=400).minimize(loss).kwargs
        print(f"{name:11} loss {loss(**best):.1e} at rate {best['rate']:.4f}, offset {best['offset']:.4f}")


if __name__ == "__main__":
    main()

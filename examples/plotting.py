"""Look at a run: how the loss fell, which values are good, and which are good together.

`zo.plot` draws results, optimizers and histories with matplotlib, into Axes of yours or new ones, which it returns.
With a `Space`, the panels have its names and scales. The columns of `res.history` are arrays for plots of your own.

Needs the extra `plot`. More: docs/plotting.md.
"""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import zoo_opt as zo

space = zo.Space(
    rate=zo.Float(1e-5, 1.0, log=True),
    momentum=zo.Float(0.0, 0.99),
    layers=zo.Int(1, 6),
    activation=zo.Choice("relu", "tanh"),
)


def validation_loss(params: dict[str, Any]) -> float:
    """Return the loss of an imagined training, which diverges where steps are too large."""
    step = params["rate"] / (1.0 - params["momentum"])
    if step > 2.0:
        raise ArithmeticError("training diverged")
    depth = (params["layers"] - (4 if params["activation"] == "relu" else 2)) ** 2
    return 0.05 + 0.1 * math.log10(step / 0.03) ** 2 + 0.02 * depth + 0.1 * (params["activation"] == "tanh")


def main() -> None:
    """Compare two methods, and look at the parameters of one run, in one picture."""
    runs = {
        name: [zo.minimize(validation_loss, space, method=name, budget=200, rng=seed) for seed in range(5)]
        for name in ("cma-es", "spsa")
    }
    res = runs["cma-es"][0]
    figure = Figure(figsize=(10, 12), layout="constrained")
    upper, middle, lower = figure.subplots(3)
    zo.plot.convergence(runs, ax=upper).set_ylabel("validation loss")
    zo.plot.slices(res, ax=middle)
    zo.plot.parallel_coordinates(res, ax=lower)
    figure.savefig("run.png")

    worked = ~np.isnan(res.history.loss)
    print(f"{len(res.history)} evaluations, of which {np.sum(~worked)} failed; median loss of the others")
    for quarter in np.array_split(res.history.loss[worked], 4):
        print(f"  {np.median(quarter):.3f}")
    print(f"best: {res.params}, loss {res.fun:.3f}")
    print("picture: run.png")


if __name__ == "__main__":
    main()

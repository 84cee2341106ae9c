"""Train a torch model from its losses alone.

The activations are signs, whose derivative is zero everywhere, so that backpropagation cannot train the first layer;
the same holds where part of a model is behind an API. `ParameterVector` makes the parameters one vector. FZOO estimates
a descent direction from a handful of losses; all losses of a step share a minibatch (`pass_step=True`), so that their
differences are due to the parameters.

Needs the extra `torch`. More: docs/interop.md.
"""

import numpy as np
import torch

import zoo_opt as zo
from zoo_opt.interop.torch import ParameterVector


class SignNet(torch.nn.Module):
    """Two layers with binary activations."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = torch.nn.Linear(2, 32), torch.nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, 2)."""
        logits: torch.Tensor = self.out(torch.sign(self.hidden(x)))
        return logits


def main() -> None:
    """Learn which points of a square lie inside a circle."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    points = torch.rand(2000, 2) * 2 - 1
    labels = (points.norm(dim=1) < 0.7).long()
    model = SignNet()

    def loss(model: torch.nn.Module, step: int) -> torch.Tensor:
        rows = np.random.default_rng(step).integers(1500, size=256)  # the last 500 points are for the test
        return torch.nn.functional.cross_entropy(model(points[rows]), labels[rows])

    def accuracy() -> float:
        return float((model(points[1500:]).argmax(1) == labels[1500:]).float().mean())

    vector = ParameterVector(model)
    print(f"{vector.dim} parameters, test accuracy before {accuracy():.3f}")
    steps = 400
    method = zo.FZOO(lr=zo.Cosine(1e-2, 1e-4, steps=steps), c=3e-2, directions=8)
    res = zo.minimize(
        vector.objective(loss),
        vector.get(),
        method=method,
        budget=9 * steps + 1,
        rng=0,
        pass_step=True,
        recommend="mean",
    )
    vector.set(res.x)
    print(f"after {res.nfev} losses: {accuracy():.3f}")


if __name__ == "__main__":
    main()

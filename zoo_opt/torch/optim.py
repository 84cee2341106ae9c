"""Training by loss values in the form of `torch.optim`: a closure, parameter groups, a state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo_opt.core.errors import CheckpointError
from zoo_opt.methods.base import GradientMethod
from zoo_opt.storage import checkpoint
from zoo_opt.torch.course import method_of, named_in
from zoo_opt.torch.trainer import Step, Trainer

if TYPE_CHECKING:
    from zoo_opt.typing import RNG


class ZerothOrder(torch.optim.Optimizer):
    """A `Trainer` as an optimizer of torch: ``step(closure)`` calls the closure for each probe, without gradients.

    Parameters
    ----------
    params : iterable of torch.nn.Parameter
        What to train; those that require no gradient are left alone. One group.
    method, budget, rng
        As in `Trainer`.
    lr_factor : float, default 1
        ``lr`` of the group: a factor on the method's own learning rate, which torch's schedulers work on.

    Notes
    -----
    The parameters are rounded to their grid at the first step, not when this is made, so that a state can be loaded
    before.

    Examples
    --------
    >>> optimizer = zo.torch.ZerothOrder(model.parameters(), "auto", budget=20_000)  # doctest: +SKIP
    >>> loss = optimizer.step(lambda: criterion(model(inputs), targets))  # doctest: +SKIP
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        method: GradientMethod | str = "auto",
        *,
        budget: int | None = None,
        rng: RNG = None,
        lr_factor: float = 1.0,
    ) -> None:
        parameters = list(params)
        named_in(parameters)
        super().__init__(parameters, {"lr": lr_factor})
        self._parameters, self._method, self._budget, self._rng = parameters, method_of(method), budget, rng
        self._trainer: Trainer | None = None
        self._loaded: Any = None
        self.last: Step | None = None

    @property
    def trainer(self) -> Trainer:
        """The trainer, which begins when it is first used."""
        if self._trainer is None:
            if self._loaded is None:
                self._trainer = Trainer(self._parameters, self._method, budget=self._budget, rng=self._rng)
            else:
                self._trainer = Trainer.restored(self._parameters, self._loaded)
            self._loaded = None
        return self._trainer

    def plan_for(self, steps: int) -> None:
        """Plan what is "auto" for so many steps; before the first one."""
        self._budget = steps * self._method.compose().estimator.n

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step.

        Parameters
        ----------
        closure : callable
            ``closure()`` -> the loss of one minibatch, which it must not differentiate; called for each probe.

        Returns
        -------
        float
            The mean loss of the probes.
        """
        if closure is None:
            raise TypeError("closure must be a function that returns the loss, got None")
        trainer = self.trainer
        trainer.lr_factor = float(self.param_groups[0]["lr"])
        self.last = trainer.step(closure)
        return self.last.loss

    def __getstate__(self) -> Any:
        """Refuse to be copied or pickled: a copy would not share the parameters' memory with a module."""
        raise TypeError("a ZerothOrder cannot be copied or pickled: use state_dict and load_state_dict")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the first group; ValueError for another."""
        if self.param_groups:
            raise ValueError("params must be one group, as one learning rate moves all of them, got another")
        super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return groups and the training's state as bytes, without the parameters (but masters and momentum)."""
        tree = super().state_dict()
        if self._trainer is not None or self._loaded is not None:
            state = self._loaded if self._trainer is None else self._trainer.state(values=False)
            content = bytearray(b"".join(checkpoint.packed(state)))
            tree["zoo_opt"] = torch.frombuffer(content, dtype=torch.uint8)
        return tree

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; the parameters must be those that it was saved with, when the next step is made.

        Raises
        ------
        CheckpointError
            If it is not a state of this class.
        """
        packed = state_dict.get("zoo_opt")
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        self._trainer, self._loaded = None, None
        if packed is not None:
            content = np.asarray(packed.cpu()).tobytes()
            self._loaded = checkpoint.unpacked(content, "the optimizer's state")
            if not isinstance(self._loaded, dict) or "torch_training" not in self._loaded:
                raise CheckpointError("the optimizer's state is not that of a ZerothOrder")

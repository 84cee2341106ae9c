"""`transformers.Trainer` whose steps are made from loss values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import transformers

from zoo_opt.gradient.auto import is_auto
from zoo_opt.torch.optim import ZerothOrder

if TYPE_CHECKING:
    from zoo_opt.methods.base import GradientMethod


class _Stepped(ZerothOrder):
    """Without a closure nothing is left to be done: the step was made when the losses were known."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step with a closure, none without."""
        return None if closure is None else super().step(closure)


class ZOTrainer(transformers.Trainer):
    """`transformers.Trainer` that trains by loss values alone: its callbacks, logs, evaluation and resuming work.

    A step takes the method's probes of one batch; no gradient is ever made. The model is in evaluation mode, without
    dropout. Of the arguments, ``learning_rate``, weight decay and clipping are not used; the schedule,
    ``lr_scheduler_type``, is a factor on the method's own learning rate, unless that is "auto", which has one.

    Parameters
    ----------
    *args, **kwargs
        As of `transformers.Trainer`; ``gradient_accumulation_steps`` must be 1.
    method : GradientMethod or str, default "auto"
        As in `zoo_opt.torch.Trainer`. "auto" is planned for the steps that the arguments lead to.

    Raises
    ------
    ValueError
        If the arguments ask for gradient accumulation, or for several devices in one process.

    Examples
    --------
    >>> trainer = zo.torch.ZOTrainer(model, args, train_dataset=data, method="auto")  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(self, *args: Any, method: GradientMethod | str = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args.gradient_accumulation_steps != 1:
            got = self.args.gradient_accumulation_steps
            raise ValueError(f"gradient_accumulation_steps must be 1, as no gradient is accumulated, got {got}")
        if self.args.n_gpu > 1:
            raise ValueError(f"a process must have one device, got {self.args.n_gpu}")
        self._method = method

    @property
    def zeroth_order(self) -> ZerothOrder:
        """The optimizer, without the wrapper of accelerate."""
        outer: Any = self.optimizer
        optimizer: ZerothOrder = getattr(outer, "optimizer", outer)
        return optimizer

    def create_optimizer(self, model: Any = None) -> Any:
        """Return the optimizer, made once."""
        if self.optimizer is None:
            whole: Any = model or self.model
            trained = [p for p in whole.parameters() if p.requires_grad]
            self.optimizer = _Stepped(trained, self._method, rng=self.args.seed)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule of the factor; what is "auto" is planned for so many steps."""
        self.zeroth_order.plan_for(num_training_steps)
        if self._method == "auto" or is_auto(getattr(self._method, "lr", None)):
            self.args.lr_scheduler_type = transformers.SchedulerType.CONSTANT
        return super().create_scheduler(num_training_steps, optimizer)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Return the mean loss of the probes of a batch, by which the parameters were moved."""
        model.eval()
        inputs = self._prepare_inputs(inputs)

        def loss() -> Any:
            with self.compute_loss_context_manager():
                value: Any = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            return value

        return torch.tensor(self.zeroth_order.step(loss), device=self.args.device)

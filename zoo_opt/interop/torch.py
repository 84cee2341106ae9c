"""The parameters of a torch module as one flat vector, to train by loss values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from zoo_opt.typing import Array


class ParameterVector:
    """Flat vector <-> parameters of a ``torch.nn.Module``.

    The parameters are moved into one flat tensor, of which they become views: a whole vector is then written to the
    model by a single copy, and read without any. The module works as before; a parameter that is used twice (tied
    weights) stays one and is counted once. What moves the parameters elsewhere later is noticed and refused.

    Any method can train it, and candidates are numpy arrays: right up to about a million parameters. For more, take
    `zoo_opt.torch.Trainer`, which trains the module's own tensors in place.

    Parameters
    ----------
    module : torch.nn.Module
        The model. All chosen parameters must have one floating dtype and be on one device.
    parameters : iterable of torch.nn.Parameter, optional
        Which parameters to take, in this order; by default all that require a gradient, in ``module.parameters()``
        order.

    Attributes
    ----------
    dim : int
        d, the length of the vector.
    names : list of str
        Names of the parameters in the module, in vector order.

    Raises
    ------
    TypeError
        If ``module`` is no Module.
    ValueError
        If there are no parameters, or of several dtypes or devices, or one that is not of the module.

    Examples
    --------
    >>> import torch, zoo_opt as zo  # doctest: +SKIP
    >>> from zoo_opt.interop.torch import ParameterVector  # doctest: +SKIP
    >>> vector = ParameterVector(model)  # doctest: +SKIP
    >>> loss = vector.objective(lambda model, step: criterion(model(inputs), targets))  # doctest: +SKIP
    >>> res = zo.minimize(loss, vector.get(), method="fzoo", budget=4000, pass_step=True)  # doctest: +SKIP
    >>> vector.set(res.x)  # doctest: +SKIP
    """

    def __init__(self, module: torch.nn.Module, parameters: Iterable[torch.nn.Parameter] | None = None) -> None:
        import torch

        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
        names = {parameter: name for name, parameter in module.named_parameters()}
        chosen = [p for p in names if p.requires_grad] if parameters is None else list(dict.fromkeys(parameters))
        if not chosen:
            raise ValueError("module must have parameters to take, got none that require a gradient")
        if any(parameter not in names for parameter in chosen):
            raise ValueError("parameters must be of the module, got one that is not")
        kinds = sorted({f"{parameter.dtype} on {parameter.device}" for parameter in chosen})
        if len(kinds) > 1 or not chosen[0].is_floating_point():
            raise ValueError(f"parameters must have one floating dtype and one device, got {', '.join(kinds)}")
        self.module = module
        self.names = [names[parameter] for parameter in chosen]
        self._parameters = chosen
        with torch.no_grad():
            self._flat = torch.cat([parameter.reshape(-1) for parameter in chosen])
            start = 0
            for parameter in chosen:
                stop = start + parameter.numel()
                parameter.data = self._flat[start:stop].view_as(parameter)
                start = stop
        self.dim = start

    def get(self) -> Array:
        """Return the parameters as a new (d,) array: float32 or float64, half precisions as float32.

        Raises
        ------
        RuntimeError
            If the module's parameters are not those of this vector any more.
        """
        import torch

        self._check()
        wide = self._flat.detach().to("cpu", torch.float64 if self._flat.dtype == torch.float64 else torch.float32)
        return np.array(wide.numpy(), copy=True)

    def set(self, x: Array) -> None:
        """Write the (d,) vector ``x`` to the parameters.

        Raises
        ------
        ValueError
            If ``x`` is not of shape (d,).
        RuntimeError
            If the module's parameters are not those of this vector any more.
        """
        import torch

        self._check()
        x = np.asarray(x)
        if x.shape != (self.dim,):
            raise ValueError(f"x must have shape ({self.dim},), got {x.shape}")
        source = x if x.flags.writeable else x.copy()  # torch warns of read-only memory, which it would not write to
        with torch.no_grad():
            self._flat.copy_(torch.from_numpy(np.ascontiguousarray(source)))

    def objective(self, loss: Callable[[torch.nn.Module, int], Any]) -> Callable[..., float]:
        """Return ``f(x, step=0) -> float``, which writes x to the model and returns ``loss(module, step)``.

        No gradient is recorded. All candidates of a step get the same ``step``: draw the minibatch from it, and their
        losses are comparable (`minimize` with ``pass_step=True``).

        Parameters
        ----------
        loss : callable
            ``loss(module, step)`` -> number or one-element tensor.
        """
        return _Objective(self, loss)

    def _check(self) -> None:
        """Raise if the module has its parameters elsewhere, so that writing to the vector would not reach it."""
        now = dict(self.module.named_parameters())
        address, size = self._flat.data_ptr(), self._flat.element_size()
        for name, parameter in zip(self.names, self._parameters, strict=True):
            if now.get(name) is not parameter or parameter.data_ptr() != address:
                raise RuntimeError(
                    f"the parameter {name} was moved or replaced (by .to, load_state_dict(assign=True) or another "
                    "ParameterVector): make a new ParameterVector of the module"
                )
            address += parameter.numel() * size

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.module, self.names)


def _rebuilt(module: torch.nn.Module, names: list[str]) -> ParameterVector:
    """Return the vector over a module that was copied or sent to another process."""
    parameters = dict(module.named_parameters())
    return ParameterVector(module, [parameters[name] for name in names])


@dataclass(frozen=True)
class _Objective:
    """A loss of the module as a loss of the vector; can be pickled if ``loss`` can."""

    vector: ParameterVector
    loss: Callable[[torch.nn.Module, int], Any]

    def __call__(self, x: Array, step: int = 0) -> float:
        import torch

        self.vector.set(x)
        with torch.inference_mode():
            return float(self.loss(self.vector.module, step))

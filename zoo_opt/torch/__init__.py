"""Training torch modules by loss values: in place, exactly repeatable, over many workers.

Torch is imported when a name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_opt.support.lazy import exports
from zoo_opt.support.loading import require

if TYPE_CHECKING:
    from zoo_opt.torch.cost import Cost as Cost
    from zoo_opt.torch.optim import ZerothOrder as ZerothOrder
    from zoo_opt.torch.parallel.workers import ReplicaError as ReplicaError
    from zoo_opt.torch.replaying import replay as replay
    from zoo_opt.torch.trainer import Step as Step
    from zoo_opt.torch.trainer import Trainer as Trainer
    from zoo_opt.torch.transformers_trainer import ZOTrainer as ZOTrainer

__all__, _import, __dir__ = exports(__name__)


if not TYPE_CHECKING:  # a type checker knows the names above and no others

    def __getattr__(name: str) -> Any:
        if name in __all__:
            require("torch", extra="torch")
        if name == "ZOTrainer":
            require("transformers", extra="seg")
        return _import(name)

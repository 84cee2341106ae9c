"""ResNet-18 up to its third layer, at any width: the complementary network of the ladder.

With ``width=64`` it is torchvision's, names included, so that its ImageNet weights fit.
"""

from __future__ import annotations

import os

from torch import Tensor, nn

from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.loading import require
from zoo_opt_seg.blackbox.checkpoints import misfit, read_state_dict


class ResNetToLayer3(nn.Module):
    """Thirteen 3x3 and 7x7 convolutions in basic blocks: images (n, 3, H, W) to features (n, 4 width, H/s, W/s).

    Parameters
    ----------
    width : int
        Channels of the first layer; the third has four times as many.
    stride : {16, 8}
        Of the output; 8 is without the max pooling after the first convolution.

    References
    ----------
    He et al., Deep residual learning for image recognition, arXiv 1512.03385, table 1, 18 layers.
    """

    def __init__(self, width: int = 64, stride: int = 16) -> None:
        super().__init__()
        if stride not in (16, 8):
            raise ValueError(f"stride must be 16 or 8, got {stride!r}")
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 16 else nn.Identity()
        self.layer1 = self._layer(width, width, 1)
        self.layer2 = self._layer(width, 2 * width, 2)
        self.layer3 = self._layer(2 * width, 4 * width, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _layer(narrow: int, wide: int, step: int) -> nn.Sequential:
        resnet = require("torchvision.models.resnet", "torchvision", extra="seg")
        shortcut = None
        if step > 1:
            shortcut = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride=step, bias=False), nn.BatchNorm2d(wide))
        return nn.Sequential(resnet.BasicBlock(narrow, wide, step, shortcut), resnet.BasicBlock(wide, wide))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of layer3."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer3(self.layer2(self.layer1(x)))  # type: ignore[no-any-return]


def load_imagenet(network: ResNetToLayer3, path: str | os.PathLike[str]) -> None:
    """Fill the network with weights of ResNet-18 from torchvision (``.pth``) or timm (``.safetensors``).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is truncated, or of another network.
    """
    wanted, state = network.state_dict(), read_state_dict(path)
    for key in wanted:  # files of torchvision before 0.3 lack these counters
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, wanted[key])
    beyond = ("layer4.", "fc.")
    state = {key: value for key, value in state.items() if not key.startswith(beyond)}
    if complaint := misfit(wanted, state):
        raise CheckpointError(f"checkpoint {os.fspath(path)} does not fit ResNet-18: {complaint}")
    network.load_state_dict(state)

"""The adapters of VLSM-Adapter and where they sit in a CLIPSeg: sizes and counts, from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer, one_of

KINDS = ("shallow", "dense")
PLACEMENTS = ("V", "VL", "VLC")


@dataclass(frozen=True)
class VLSM:
    """Which adapters a CLIPSeg gets.

    Parameters
    ----------
    kind : str
        ``"shallow"``: on the skip connections from the image encoder to the decoder, and from the text encoder to the
        conditional embedding. ``"dense"``: two in each of the encoders' layers 1 to 9 (up to the number of the last
        skip connection), before the two residual additions.
    placement : str
        ``"V"``: in the image encoder; ``"VL"``: in the text encoder too; ``"VLC"``: and on the conditional embedding.
    hidden : int or None
        d' of the adapters; None: the paper's, 512 shallow and 64 dense.
    conditional : int
        d' of the adapter on the conditional embedding.
    """

    kind: str = "dense"
    placement: str = "VL"
    hidden: int | None = None
    conditional: int = 256

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        one_of("placement", self.placement, PLACEMENTS)
        if self.hidden is not None:
            integer("hidden", self.hidden, 1)
        integer("conditional", self.conditional, 1)

    @property
    def width(self) -> int:
        """Size of the adapters' hidden layer, d'."""
        return self.hidden or {"shallow": 512, "dense": 64}[self.kind]


class AdapterLayer(nn.Module):
    """f' = f + sigma(psi(f W1) W2), eq. 1 of VLSM-Adapter, with biases and ReLU for both, as released.

    With ReLU for sigma an adapter never subtracts. With W2 = 0 its output would be zero everywhere, and so would its
    gradient. The weights therefore start as those of a linear layer, and a new adapter is not the identity.

    Parameters
    ----------
    width, hidden : int
        d and d'.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, f: Tensor) -> Tensor:
        """Return f' of the shape of f, (..., d)."""
        return f + F.relu(self.up(F.relu(self.down(f))))


class Adapters(nn.Module):
    """All adapters of a CLIPSeg: what `VLSMAdapter` trains and saves.

    Parameters
    ----------
    clipseg : transformers.CLIPSegConfig
    config : VLSM

    Attributes
    ----------
    vision, text : nn.ModuleList
        Shallow: an adapter for each skip connection. Dense: attention's and MLP's of each layer, in turn.
    conditional : AdapterLayer or None

    Raises
    ------
    ValueError
        If the text encoder has no layer where a skip connection starts, or another width than what it is added to.
    """

    def __init__(self, clipseg: Any, config: VLSM) -> None:
        super().__init__()
        skips, text, vision = clipseg.extract_layers, clipseg.text_config, clipseg.vision_config
        shallow, language = config.kind == "shallow", "L" in config.placement
        n = len(skips) if shallow else 2 * max(skips)
        needed = max(skips) + shallow
        if language and text.num_hidden_layers < needed:
            raise ValueError(
                f"placement must be V for this CLIPSeg: its text encoder has {text.num_hidden_layers} layers, and "
                f"{config.kind} adapters need {needed}"
            )
        if language and shallow and text.hidden_size != clipseg.projection_dim:
            raise ValueError(
                f"kind must be dense for this CLIPSeg: shallow ones add text features of {text.hidden_size} numbers to "
                f"the conditional embedding of {clipseg.projection_dim}"
            )
        self.vision = nn.ModuleList(AdapterLayer(vision.hidden_size, config.width) for _ in range(n))
        self.text = nn.ModuleList(AdapterLayer(text.hidden_size, config.width) for _ in range(n if language else 0))
        with_c = "C" in config.placement
        self.conditional = AdapterLayer(clipseg.projection_dim, config.conditional) if with_c else None

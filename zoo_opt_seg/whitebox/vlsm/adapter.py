"""VLSM adapters around a frozen CLIPSeg, by hooks: shallow and dense; of the image, of the text, of the condition.

`VLSMAdapter` is the adapted model and its file; `zoo_opt_seg.whitebox.vlsm.training` trains one on a domain.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import instance
from zoo_opt_seg.whitebox.core import adapter_file
from zoo_opt_seg.whitebox.core.trainer import seeded
from zoo_opt_seg.whitebox.vlsm.layers import VLSM, Adapters

FORMAT = "zoo-opt-seg vlsm 1"
PLACE = "vlsm_adapter"  # where the adapters are in the adapted CLIPSeg


class VLSMAdapter:
    """A CLIPSeg with adapters: a second set of modules over the same weights, the given one left as it is.

    Parameters
    ----------
    clipseg : transformers.CLIPSegForImageSegmentation
        Of any size. Its weights are shared, not copied: what changes them changes both.
    config : VLSM or None
        None: dense adapters in both encoders.
    seed : int
        Of the adapters' weights.

    Attributes
    ----------
    clipseg : transformers.CLIPSegForImageSegmentation
        The adapted model, in evaluation mode, everything but `tensors` frozen. It is called like any other; unlike in
        transformers' own, gradients pass through its encoders.
    adapters : Adapters

    Raises
    ------
    TypeError, ValueError
        If the model is no CLIPSeg, has adapters already, or cannot have these.

    Notes
    -----
    As released, not as drawn in the paper: a skip connection i is ``hidden_states[i + 1]``; the conditional adapter
    comes before the shallow text skips; these add h + relu(..), h the text features at the end-of-text token, and so
    are not the identity whatever the adapters' weights are. All others are, where the adapters' output layers are zero.

    References
    ----------
    M. Dhakal et al., VLSM-Adapter: finetuning vision-language segmentation efficiently with lightweight blocks,
    MICCAI 2024, arXiv 2405.06196.
    """

    def __init__(self, clipseg: Any, config: VLSM | None = None, *, seed: int = 0) -> None:
        if not all(hasattr(clipseg, part) for part in ("clip", "decoder", "extract_layers")):
            name = type(clipseg).__name__
            raise TypeError(f"clipseg must be a transformers CLIPSegForImageSegmentation, got {name}")
        if hasattr(clipseg, PLACE):
            raise ValueError("clipseg must be without adapters, got one that has some")
        self.config = config or VLSM()
        instance("config", self.config, VLSM)
        with seeded((seed, 0x715A)):
            self.adapters = Adapters(clipseg.config, self.config).to(clipseg.device)
        self.clipseg = _sharing_weights(clipseg).eval()
        setattr(self.clipseg, PLACE, self.adapters)  # moved and copied with it, and part of its name
        self._on = True
        self._grad: bool | None = None  # the caller's mode, while the model is called as a whole
        self._ends: Tensor | None = None  # of the texts that are being encoded
        self._skips: list[Tensor] = []  # their features there
        self._hook()

    def tensors(self) -> dict[str, Tensor]:
        """The parameters that are trained, by their names in `adapters`."""
        return dict(self.adapters.named_parameters())

    def frozen(self) -> dict[str, Tensor]:
        """Everything else: CLIPSeg's own weights and buffers."""
        return {k: t for k, t in self.clipseg.state_dict(keep_vars=True).items() if not k.startswith(PLACE + ".")}

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Make the adapted model the frozen one, bit for bit, until the ``with`` block ends.

        A black box's name does not tell: one in `Cached` would answer from what was kept of the adapted model.
        """
        before, self._on = self._on, False
        try:
            yield
        finally:
            self._on = before

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the adapters alone, with their configuration, as safetensors, all or nothing."""
        metadata = {"format": FORMAT, "vlsm": self.config, "clipseg": _facts(self.clipseg.config)}
        adapter_file.write(path, self.tensors(), self.frozen(), metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str], clipseg: Any) -> VLSMAdapter:
        """Put saved adapters on a CLIPSeg of the kind that they were trained on.

        Raises
        ------
        CheckpointError
            If the file is not one of ours, or of a CLIPSeg of another kind or size; the message says what differs.
        """
        values, metadata = adapter_file.read(path, FORMAT, "VLSM adapters")
        with adapter_file.making(path, "a CLIPSeg with adapters"):
            adapter_file.check_same(path, metadata["clipseg"], _facts(clipseg.config), "CLIPSeg")
            adapted = cls(clipseg, VLSM(**adapter_file.settings(values, metadata, "vlsm")))
            adapter_file.put(values, metadata, adapted.tensors(), adapted.frozen(), path, "CLIPSeg")
        return adapted

    # ------------------------------------------------------------------------------------------------ hooks

    def _hook(self) -> None:
        clip, decoder, ours = self.clipseg.clip, self.clipseg.decoder, self.adapters
        if self.config.kind == "dense":
            for encoder, adapters in ((clip.vision_model, ours.vision), (clip.text_model, ours.text)):
                for i, adapter in enumerate(adapters):
                    layer = encoder.encoder.layers[i // 2]
                    (layer.mlp if i % 2 else layer.self_attn).register_forward_hook(partial(self._adapt, adapter))
        else:
            decoder.register_forward_pre_hook(self._adapt_skips, with_kwargs=True)
            if ours.text:
                clip.text_model.register_forward_pre_hook(self._see_text, with_kwargs=True)
                for i in self.clipseg.extract_layers:
                    clip.text_model.encoder.layers[i].register_forward_hook(self._keep)
        clip.text_projection.register_forward_hook(self._adapt_condition)
        # transformers runs the encoders under no_grad: theirs is the caller's mode again.
        self.clipseg.register_forward_pre_hook(self._enter)
        self.clipseg.register_forward_hook(self._leave, always_call=True)
        for encoder in (clip.vision_model, clip.text_model):
            encoder.register_forward_pre_hook(self._resume)

    def _adapt(self, adapter: nn.Module, module: nn.Module, args: Any, output: Any) -> Any:
        """Dense: what attention or the MLP adds to the residual stream."""
        if not self._on:
            return None
        return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)

    def _adapt_skips(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        """Shallow: the image encoder's hidden states on their way into the decoder."""
        if not self._on:
            return None
        states = args[0] if args else kwargs["hidden_states"]
        adapted = [adapter(state) for adapter, state in zip(self.adapters.vision, states, strict=True)]
        return ((adapted, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": adapted})

    def _see_text(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Shallow: where the texts end, by the text model's own rule."""
        ids = args[0] if args else kwargs["input_ids"]
        ids, end = ids.reshape(-1, ids.shape[-1]), self.clipseg.config.text_config.eos_token_id
        self._ends = (ids if end == 2 else (ids == end).int()).argmax(dim=-1)  # 2: of configurations before 2023
        self._skips = []

    def _keep(self, module: nn.Module, args: Any, output: Any) -> None:
        """Shallow: the features of a layer of the text encoder at the texts' ends."""
        states = output[0] if isinstance(output, tuple) else output
        self._skips.append(states[torch.arange(len(states), device=states.device), self._ends])

    def _adapt_condition(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        """The conditional embedding: its own adapter, then the shallow text skips."""
        skips, self._skips = self._skips, []
        if not self._on:
            return output
        if self.adapters.conditional is not None:
            output = self.adapters.conditional(output)
        if self.config.kind == "shallow":
            for adapter, state in zip(self.adapters.text, skips, strict=True):
                output = output + adapter(state)
        return output

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._grad = torch.is_grad_enabled()

    def _resume(self, module: nn.Module, args: Any) -> None:
        if self._grad is not None:
            torch.set_grad_enabled(self._grad)  # until the end of transformers' no_grad block

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._grad = None


def _sharing_weights(module: Any) -> Any:
    """Return a copy of a module over the same weights, frozen in the copy alone."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in module.parameters()}
    memo.update((id(buffer), buffer) for buffer in module.buffers())
    return copy.deepcopy(module, memo)


def _facts(config: Any) -> dict[str, Any]:
    """What a CLIPSeg must have in common with the one that adapters were trained on."""
    vision, text = config.vision_config, config.text_config
    return {
        "patch size": vision.patch_size,
        "vision width": vision.hidden_size,
        "vision layers": vision.num_hidden_layers,
        "text width": text.hidden_size,
        "text layers": text.num_hidden_layers,
        "skip connections": list(config.extract_layers),
        "projection": config.projection_dim,
        "decoder width": config.reduce_dim,
        "refined decoder": bool(config.use_complex_transposed_convolution),
    }

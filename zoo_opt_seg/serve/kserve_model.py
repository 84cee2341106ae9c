"""A segmentation model, adapted or not, as a predictor of KServe; needs the package ``kserve``.

The container of an InferenceService runs a file such as::

    from kserve import ModelServer
    from zoo_opt_seg.blackbox import SamBlackBox
    from zoo_opt_seg.serve.kserve_model import SegmentationPredictor

    box = SamBlackBox("vit_b", "models/sam_vit_b_01ec64.pth")
    ModelServer().start([SegmentationPredictor("sam", box, adapted="models/scans")])
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import kserve
from fastapi import HTTPException

from zoo_opt_seg.blackbox.protocol import SegmentationModel, as_black_box
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.oip import tensors, wire
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.open_inference import MASK, OUTPUTS, TensorQuestion, input_types
from zoo_opt_seg.serve.problems import Problem
from zoo_opt_seg.serve.segmenting import Segmenter, segmenter_in
from zoo_opt_seg.serve.versions import Version, Versions


class SegmentationPredictor(kserve.Model):  # type: ignore[misc]
    """Answers by the Open Inference Protocol v2 as ``zoo-opt-seg serve`` does: see `zoo_opt_seg.serve.open_inference`.

    Parameters
    ----------
    name : str
        Of the model, in addresses.
    model : callable
        A black box, or anything that `as_black_box` takes.
    adapted : path, optional
        Result folder of `zoo_opt_seg.adapt`: its visual prompt, and its refiner if it has one, go around the model.
    size : int, optional
        Side in pixels of the squares that the model is asked about, where nothing is adapted; None: images as they are.
    limits : Limits, optional
    batch : int
        Questions that the model is asked at once, at most.
    """

    def __init__(
        self,
        name: str,
        model: SegmentationModel | Callable[..., Any],
        adapted: str | os.PathLike[str] | None = None,
        *,
        size: int | None = None,
        limits: Limits | None = None,
        batch: int = 8,
    ) -> None:
        super().__init__(name)
        box = as_black_box(model)
        segmenter = Segmenter(box, None, size) if adapted is None else segmenter_in(adapted, box)
        self.desk = Desk(name, Versions(segmenter), limits, batch=batch)
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Return the answer to one question."""
        if not isinstance(payload, kserve.InferRequest):
            raise HTTPException(400, "a question must be one of the Open Inference Protocol, version 2")
        try:
            question = TensorQuestion(_message(payload), self.desk.limits)
            return await self.desk.answer(question.read, _writer(payload, question), pixels=question.pixels)
        except Problem as problem:
            raise HTTPException(problem.status, problem.message, dict(problem.headers)) from problem

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs of the model's metadata."""
        return input_types(self.desk)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs of the model's metadata."""
        return OUTPUTS

    def stop(self) -> None:
        """Answer what was asked, and end."""
        super().stop()
        self.desk.close()


def _message(payload: Any) -> wire.Message:
    """Return a question of KServe as ours."""
    arrays = {tensor.name: _array(tensor) for tensor in payload.inputs}
    asked = {output.name: output.binary_data for output in payload.request_outputs or ()}
    return wire.Message(arrays, {"parameters": payload.parameters}, asked)


def _array(tensor: Any) -> Array:
    """Return a tensor as an array of its datatype; KServe has not held it against its shape."""
    try:
        array: Array = tensor.as_numpy()
        if list(array.shape) != list(tensor.shape):
            raise ValueError(f"shape must be {list(tensor.shape)}, got {list(array.shape)}")
        return array.astype(tensors.DTYPES[tensor.datatype], copy=False)
    except Exception as error:  # whatever numpy and kserve make of data that are none
        raise Problem(400, f"{tensor.name}: {error}"[:300]) from error


def _writer(payload: Any, question: TensorQuestion) -> Callable[[Version, Array], Any]:
    """Return what makes the answer of KServe."""

    def written(version: Version, mask: Array) -> Any:
        values = question.tensor(mask)
        output = kserve.InferOutput(MASK, list(values.shape), tensors.datatype_of(values))
        output.set_data_from_numpy(values, binary_data=bool(payload.use_binary_outputs))
        return kserve.InferResponse(
            response_id=payload.id or "",
            model_name=payload.model_name,
            infer_outputs=[output],
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )

    return written

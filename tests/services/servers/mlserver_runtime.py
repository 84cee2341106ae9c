"""A model of MLServer, for its ``model-settings.json``."""

from likeness import likeness
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Likeness(MLModel):
    """The default form, in JSON."""

    async def predict(self, payload):
        """Answer one question."""
        given = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        mask = likeness(given["image"], given.get("points"), given.get("labels"), given.get("box"))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("mask", mask)])

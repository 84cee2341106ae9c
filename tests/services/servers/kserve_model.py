"""A model of KServe, in a network of its own that has loopback alone. Argument: the port of HTTP."""

import sys

from kserve import InferOutput, InferResponse, Model, ModelServer
from likeness import likeness


class Likeness(Model):
    """The default form; answers are in bytes where they are asked for so."""

    def __init__(self):
        super().__init__("likeness")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        """Answer one question."""
        given = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        mask = likeness(given["image"], given.get("points"), given.get("labels"), given.get("box"))
        output = InferOutput(name="mask", shape=list(mask.shape), datatype="FP32")
        output.set_data_from_numpy(mask, binary_data=bool(payload.use_binary_outputs))
        return InferResponse(
            response_id=payload.id,
            model_name=self.name,
            infer_outputs=[output],
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start([Likeness()])

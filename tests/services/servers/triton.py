"""A real Triton, by pytriton: two models on loopback. Arguments: the ports of HTTP and gRPC."""

import signal
import sys

import numpy as np
from likeness import likeness
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

EXTRA = 8  # of the second model: how its masks are multiplied to be logits


def hwc(requests):
    """The default form: one image, its points and box."""
    answers = []
    for request in requests:
        given = {name: request[name] for name in ("points", "labels", "box") if name in request}
        if (given.get("points", np.zeros((0, 2))) < 0).any():
            raise RuntimeError("a point outside")
        answers.append({"mask": likeness(request["image"], **given)})
    return answers


def decoder(requests):
    """Another form, as of SAM's decoder: CHW in bytes, a batch's axis, a frame of 64 pixels, logits of three masks."""
    answers = []
    for request in requests:
        image = request["picture"][0].transpose(1, 2, 0).astype(np.float32) / np.float32(255)
        scale = np.array([image.shape[1] / 64, image.shape[0] / 64])
        mask = likeness(image, request["point_coords"][0] * scale, request["point_labels"][0])
        logits = EXTRA * (mask - np.float32(0.5))
        masks = np.stack([-logits, logits, 0 * logits])[None]
        answers.append({"masks": masks, "iou_predictions": np.array([[0.1, 0.9, 0.3]], np.float32)})
    return answers


def main():
    """Serve until SIGTERM."""
    loopback = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1", "allow_metrics": False}
    config = TritonConfig(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), **loopback)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with Triton(config=config) as triton:
        triton.bind(
            model_name="likeness",
            infer_func=hwc,
            inputs=[
                Tensor(name="image", dtype=np.float32, shape=(-1, -1, 3)),
                Tensor(name="points", dtype=np.float32, shape=(-1, 2), optional=True),
                Tensor(name="labels", dtype=np.int64, shape=(-1,), optional=True),
                Tensor(name="box", dtype=np.float32, shape=(4,), optional=True),
            ],
            outputs=[Tensor(name="mask", dtype=np.float32, shape=(-1, -1))],
            config=ModelConfig(batching=False),
        )
        triton.bind(
            model_name="decoder",
            infer_func=decoder,
            inputs=[
                Tensor(name="picture", dtype=np.uint8, shape=(-1, 3, -1, -1)),
                Tensor(name="point_coords", dtype=np.float32, shape=(-1, -1, 2)),
                Tensor(name="point_labels", dtype=np.float32, shape=(-1, -1)),
            ],
            outputs=[
                Tensor(name="masks", dtype=np.float32, shape=(-1, -1, -1, -1)),
                Tensor(name="iou_predictions", dtype=np.float32, shape=(-1, -1)),
            ],
            config=ModelConfig(batching=False),
        )
        triton.run()
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()

"""Our predictor in KServe. Arguments: the port of HTTP; folders where the packages are that KServe does not bring."""

import sys

sys.path += sys.argv[2:]  # behind those of this environment

import numpy as np
from kserve import ModelServer
from likeness import likeness

from zoo_opt_seg.serve.kserve_model import SegmentationPredictor


def box(images, prompts):
    """The model of the other servers, as a black box."""
    masks = []
    for image, one in zip(images, prompts, strict=True):
        ((_, only),) = one.groups()
        points = {"points": only.points[0], "labels": only.labels[0]} if only.points.size else {}
        masks.append(likeness(image, **points, box=None if only.boxes is None else only.boxes[0]))
    return np.stack(masks)


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start(
        [SegmentationPredictor("likeness", box)]
    )

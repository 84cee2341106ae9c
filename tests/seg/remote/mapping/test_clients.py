"""The stubs are true to the services as far as the services' own clients understand them."""

from pathlib import Path

import numpy as np
import pytest
from seg.remote.mapping import services
from seg.remote.mapping.scenes import black_and_white, disc, picture, png
from seg.remote.mapping.serving import serving


def test_the_hub_client_understands_the_stub_of_its_task(tmp_path: Path) -> None:
    """What it sends is read, the bytes of a file and parameters, and what is answered is a mask for it."""
    hub = pytest.importorskip("huggingface_hub")
    file = tmp_path / "picture.png"
    file.write_bytes(png(picture()))
    with serving(services.hugging_face) as (address, seen):
        client = hub.InferenceClient(token="hf-of-nobody")
        plain = client.image_segmentation(file, model=address)
        client.image_segmentation(file, model=address, subtask="semantic", threshold=0.5, mask_threshold=0.5)
    assert [one.label for one in plain] == ["red disc", "green disc"]
    for one in plain:
        assert (np.asarray(one.mask) == black_and_white(disc(one.label))).all()
    assert seen[0].body == png(picture()) and seen[1].headers["content-type"] == "application/json"

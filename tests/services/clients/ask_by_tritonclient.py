"""Ask a server by tritonclient: an image by points and by a box, in JSON and in bytes.

Arguments: host and port, the model's name, a file with the arrays that are asked about, a file for the answers.
"""

import sys

import numpy as np
import tritonclient.http as triton

TYPES = {"image": None, "points": "FP32", "labels": "INT64", "box": "FP32"}


def main():
    """Ask, and leave the answers."""
    place, model, asked, answers = sys.argv[1:]
    given = np.load(asked)
    client = triton.InferenceServerClient(place, network_timeout=60, connection_timeout=10)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    metadata = client.get_model_metadata(model)
    found = {"name": metadata["name"], "inputs": [entry["name"] for entry in metadata["inputs"]]}
    masks = {"inputs": np.array(found["inputs"])}
    for kind, names in (("points", ["points", "labels"]), ("box", ["box"])):
        for binary in (True, False):
            for pixels in ("image", "bytes"):
                inputs = []
                for name, key in [("image", pixels), *((name, name) for name in names)]:
                    array = given[key]
                    datatype = TYPES[name] or ("UINT8" if array.dtype == np.uint8 else "FP32")
                    tensor = triton.InferInput(name, array.shape, datatype)
                    tensor.set_data_from_numpy(array, binary_data=binary)
                    inputs.append(tensor)
                output = triton.InferRequestedOutput("mask", binary_data=binary)
                result = client.infer(model, inputs, outputs=[output], request_id="seven")
                assert result.get_response()["id"] == "seven"
                masks[f"{kind}-{pixels}-{binary}"] = result.as_numpy("mask")
    alone = triton.InferInput("image", given["image"].shape, "FP32").set_data_from_numpy(given["image"])
    other = triton.InferInput("picture", [1], "FP32").set_data_from_numpy(np.zeros(1, np.float32))
    for name, tensor in (("alone", alone), ("other", other)):
        try:
            client.infer(model, [tensor])
        except triton.InferenceServerException as error:
            masks[name] = np.array([error.status(), error.message()])
    np.savez(answers, **masks)


if __name__ == "__main__":
    main()

"""predict of a folder: what a file asks, one process, and nothing lost where an image fails."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg.checks import fails, raises, succeeds

from zoo_opt_seg.cli.questions import read_questions
from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.refine import Refiner
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet
from zoo_opt_seg.visual_prompts import make_prompt, save_prompt

SIZE = 24
BODY = """
import os
from pathlib import Path
import numpy as np


class Box:
    "Answers with the box, or a disk of 4 px around each point on the object; images with a red corner fail."

    name = "boxes-and-disks"

    def __call__(self, images, prompts):
        with open("asked", "a") as file:
            file.write("." * len(images))
        if Path("down").exists():
            raise RuntimeError("out of order")
        level = 255 if images.dtype == np.uint8 else 1
        if (images[:, 0, 0, 0] - images[:, 0, 0, 1] * 1.0 > 0.5 * level).any():
            raise RuntimeError("I do not like red")
        y, x = np.mgrid[:24, :24]
        masks = np.zeros(images.shape[:3], np.float32)
        for i in range(len(images)):
            if prompts.boxes is not None:
                x0, y0, x1, y1 = prompts.boxes[i]
                masks[i] = (x >= x0 - 0.5) & (x <= x1 + 0.5) & (y >= y0 - 0.5) & (y <= y1 + 0.5)
            if prompts.points is not None:
                for (px, py), label in zip(prompts.points[i], prompts.labels[i]):
                    masks[i][np.hypot(x - px, y - py) <= 4] = label
            if prompts.texts is not None:
                masks[i] = len(prompts.texts[i]) / 10
        return masks
"""


@pytest.fixture
def predict(run, monkeypatch):
    """A folder of four images of 48 x 36, a black box, and a call of predict with words after those of the model."""
    Path("edited.py").write_text(BODY)
    monkeypatch.delitem(sys.modules, "edited", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    for name in ("a.png", "b.jpg", "sub/c.png", "d.png"):
        Path("scans", name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 36), (90, 100, 90)).save(Path("scans", name))
    words = ["predict", "--model", "edited:Box", "--size", str(SIZE), "--images", "scans", "--out", "masks", "--quiet"]
    return lambda *more: run(*words, *more)


CSV = """image,name,x0,y0,x1,y1,x,y,label
a.png,,10,6,29,17,,,
b.jpg,left,,,,,10,10,
b.jpg,left,,,,,10,20,1
b.jpg,left,,,,,20,20,0
b.jpg,right,30,4,40,30,,,
sub/c.png,,0,0,47,35,20,20,0
"""


def lines():
    """What the folder's record says, without the keys of the questions."""
    text = Path("masks/predictions.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k != "asked"} for line in text.splitlines()]


def asked():
    return len(Path("asked").read_text())


def test_a_folder_is_segmented_as_a_csv_file_asks_and_asked_about_once(predict, run):
    Path("asked.csv").write_text(CSV)
    out, err = succeeds(predict("--ask", "asked.csv"))
    assert json.loads(out) == {"masks": "masks", "predicted": 4, "of_them_before": 0, "failed": 0} and err == ""
    masks = {
        path.relative_to("masks").as_posix(): np.asarray(Image.open(path)) for path in Path("masks").rglob("*.png")
    }
    assert set(masks) == {"a.png", "b-left.png", "b-right.png", "sub/c.png"}
    assert all(mask.shape == (36, 48) and set(np.unique(mask)) <= {0, 255} for mask in masks.values())
    found = np.argwhere(masks["a.png"])
    assert np.abs(found.min(axis=0) - (6, 10)).max() <= 1 and np.abs(found.max(axis=0) - (17, 29)).max() <= 1
    assert masks["b-left.png"][10, 10] and masks["b-left.png"][20, 8] and not masks["b-left.png"][20, 20]
    assert masks["b-right.png"][16, 36] and not masks["b-right.png"][16, 10]
    assert masks["sub/c.png"][2, 2] and not masks["sub/c.png"][20, 20]
    assert [line["mask"] for line in lines()] == ["a.png", "b-left.png", "b-right.png", "sub/c.png"]
    assert lines()[1]["name"] == "left" and abs(lines()[0]["object"] - (masks["a.png"] > 0).mean()) < 1e-3
    one = ["predict", "--model", "edited:Box", "--size", SIZE, "--image", "scans/a.png", "--box", "10,6,29,17"]
    succeeds(run(*one, "--out", "one.png"))
    np.testing.assert_array_equal(np.asarray(Image.open("one.png")), masks["a.png"])
    count = asked()
    out, _ = succeeds(predict("--ask", "asked.csv"))  # again: all masks are there
    assert json.loads(out)["of_them_before"] == 4 and asked() == count and len(lines()) == 4
    Path("masks/b-left.png").unlink()
    Path("asked.csv").write_text(CSV.replace("10,6,29,17", "11,6,29,17"))  # another box, and a mask that is gone
    out, _ = succeeds(predict("--ask", "asked.csv"))
    assert json.loads(out)["of_them_before"] == 2 and asked() == count + 2
    out, _ = succeeds(predict("--ask", "asked.csv", "--probabilities"))
    assert json.loads(out)["of_them_before"] == 0 and asked() == count + 6


def test_a_json_file_asks_the_same(predict):
    Path("asked.csv").write_text(CSV)
    entries = [
        {"image": "a.png", "box": [10, 6, 29, 17]},
        {"image": "b.jpg", "name": "left", "points": [[10, 10], [10, 20, 1], [20, 20, 0]]},
        {"image": "b.jpg", "name": "right", "box": [30, 4, 40, 30]},
        {"image": "sub/c.png", "box": [0, 0, 47, 35], "points": [[20, 20, 0]]},
    ]
    Path("asked.json").write_text(json.dumps(entries))
    kinds = [[(q.mask, q.prompts.key(0)) for q in read_questions(Path(name))] for name in ("asked.csv", "asked.json")]
    assert kinds[0] == kinds[1]
    succeeds(predict("--ask", "asked.json"))


@pytest.mark.parametrize("views", [False, True])
def test_an_image_that_fails_loses_no_other_and_is_asked_about_again(predict, views):
    Image.new("RGB", (48, 36), (250, 0, 0)).save("scans/a.png")
    Path("scans/d.png").write_bytes(b"no image")
    boxes = "".join(f"{name},4,4,20,20\n" for name in ("a.png", "b.jpg", "sub/c.png", "d.png"))
    Path("asked.csv").write_text("image,x0,y0,x1,y1\n" + boxes)
    words = ["--ask", "asked.csv"]
    if views:
        prompt = make_prompt("views", SIZE)
        save_prompt("prompt.npz", prompt, prompt.x0(0))
        words += ["--prompt", "prompt.npz"]
    status, out, err = predict(*words)
    assert status == 1 and json.loads(out) == {"masks": "masks", "predicted": 2, "of_them_before": 0, "failed": 2}
    assert "no mask of a.png: RuntimeError: I do not like red" in err and "Traceback" not in err
    assert "no mask of d.png: scans/d.png: the image cannot be read" in err
    assert {line["mask"] for line in lines()} == {"b.png", "sub/c.png"}
    count = asked()
    for name in ("a.png", "d.png"):
        Image.new("RGB", (48, 36), (90, 100, 90)).save(Path("scans", name))
    out, _ = succeeds(predict(*words))
    assert json.loads(out)["of_them_before"] == 2 and asked() == count + 2 * (1 + views)


def test_a_black_box_that_is_down_ends_it_and_the_same_command_goes_on(predict):
    text = "image,x,y\n" + "".join(f"{i}.png,5,5\n" for i in range(20))
    Path("asked.csv").write_text(text)
    for i in range(20):
        Image.new("RGB", (30, 30), (90, 90 + i, 90)).save(f"scans/{i}.png")
    succeeds(predict("--ask", "asked.csv", "--prompt", prompt_file()))
    for i in range(5, 20):
        Path(f"masks/{i}.png").unlink()
    Path("down").touch()
    count = asked()
    status, out, err = predict("--ask", "asked.csv", "--prompt", prompt_file())
    assert status == 1 and out == "" and asked() == count + 8
    assert "the black box failed 8 times in a row, the last time with RuntimeError: out of order" in err
    Path("down").unlink()
    out, _ = succeeds(predict("--ask", "asked.csv", "--prompt", prompt_file()))
    assert json.loads(out) == {"masks": "masks", "predicted": 20, "of_them_before": 5, "failed": 0}


def prompt_file():
    """A saved filter that changes nothing."""
    save_prompt("prompt.npz", make_prompt("filter", SIZE), np.zeros(30, np.float32))
    return "prompt.npz"


def test_a_result_folder_with_a_refiner_segments_a_folder(predict):
    Path("result").mkdir()
    save_prompt("result/prompt.npz", make_prompt("filter", SIZE), np.zeros(30, np.float32))
    Refiner([RefinerNet(RefinerConfig(channels=(4, 8)))]).save("result/refiner.safetensors")
    words = ["--ask", "asked.csv", "--prompt", "result"]
    Path("asked.csv").write_text(CSV)
    out, _ = succeeds(predict(*words))
    assert json.loads(out)["predicted"] == 4
    out, _ = succeeds(predict(*words))
    assert json.loads(out)["of_them_before"] == 4
    Refiner([RefinerNet(RefinerConfig(channels=(4, 8)))]).save("result/refiner.safetensors")  # another one
    out, _ = succeeds(predict(*words))
    assert json.loads(out)["of_them_before"] == 0


def test_a_text_for_all_images_of_a_folder(predict):
    out, _ = succeeds(predict("--text", "a polyp", "--probabilities"))
    assert json.loads(out)["predicted"] == 3  # those in the folder itself
    assert (np.asarray(Image.open("masks/d.png")) == round(255 * 0.7)).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a first line of columns, image and some of name, x, y, label"),
        ("file,x,y\na.png,1,2\n", "expected a first line of columns"),
        ("image,x,y,z\na.png,1,2,3\n", "expected a first line of columns"),
        ("image,x,y\n", "expected at least one image to ask about"),
        ("image,x,y\na.png,1\n", "asked.csv, line 2: a point must be x, y"),
        ("image,x,y\na.png,1,2,3\n", "asked.csv, line 2: expected 3 values, got more"),
        ("image,x,y\na.png,1,nan\n", "asked.csv, line 2: a point must be x, y"),
        ("image,x,y,label\n\na.png,1,2,7\n", "asked.csv, line 3: a point must be x, y and perhaps a label, 1 or 0"),
        ("image,x,y\na.png,,\n", "asked.csv, line 2: expected a point, a box or a text for a.png, got none"),
        ("image,x0,y0,x1,y1\na.png,1,2,3,\n", "asked.csv, line 2: box must be x0, y0, x1, y1"),
        ("image,x0,y0,x1,y1\na.png,9,2,3,4\n", "asked.csv, line 2: box must lie in the image of 48 x 36, got 9,2,3,4"),
        ("image,x,y\na.png,48,2\n", "asked.csv, line 2: point must lie in the image of 48 x 36, got 48,2"),
        ("image,x,y\nz.png,4,2\n", "asked.csv, line 2: image must be a file in scans, got z.png"),
        ("image,x,y\n../a.png,4,2\n", "asked.csv, line 2: image must be a file in the folder of images"),
        ("image,x,y\n/etc/a.png,4,2\n", "asked.csv, line 2: image must be a file in the folder of images"),
        ("image,name,x,y\na.png,a/b,4,2\n", "asked.csv, line 2: name must be of letters, digits"),
        (
            "image,x0,y0,x1,y1\na.png,1,2,3,4\na.png,1,2,3,5\n",
            "has a box already, from asked.csv, line 2; objects of one",
        ),
        (
            "image,x,y\na.png,4,2\na.jpg,4,2\n",
            "asked.csv, line 3: its mask would be a.png, as that of asked.csv, line 2",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line_before_anything_is_asked(predict, text, said):
    Path("asked.csv").write_text(text)
    fails(predict("--ask", "asked.csv"), said)
    assert not Path("asked").exists() and not Path("masks").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"image": "a.png"}, "expected a list of objects with image, name, points, box, text, got dict"),
        (["a.png"], "asked.json, entry 1: expected an object with image"),
        ([{"image": "a.png", "boxes": []}], "asked.json, entry 1: expected an object with image"),
        ([{"image": 3, "box": [1, 2, 3, 4]}], "asked.json, entry 1: image must be text, got 3"),
        ([{"image": "a.png", "points": [1, 2]}], "asked.json, entry 1: a point must be x, y"),
        ([{"image": "a.png", "points": "1,2"}], "asked.json, entry 1: points must be a list"),
        ([{"image": "a.png", "box": [1, 2, 3]}], "asked.json, entry 1: box must be x0, y0, x1, y1"),
    ],
)
def test_what_is_wrong_with_json(value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("asked.json").write_text(json.dumps(value))
    raises(DataError, said, read_questions, Path("asked.json"))
    Path("asked.json").write_text("[")
    raises(DataError, "asked.json: the questions cannot be read", read_questions, Path("asked.json"))


def test_what_does_not_go_together_is_said(predict, run):
    Path("asked.csv").write_text(CSV)
    fails(predict(), "--images needs either --ask FILE")
    fails(predict("--ask", "asked.csv", "--text", "a"), "--images needs either --ask FILE")
    fails(predict("--ask", "asked.csv", "--point", "1,2"), "--point and --box are for --image")
    fails(predict("--ask", "none.csv"), "none.csv: the questions file is missing")
    one = ["predict", "--model", "edited:Box", "--out", "masks"]
    fails(run(*one, "--image", "scans/a.png", "--ask", "asked.csv"), "--ask goes with --images, a folder")
    fails(run(*one, "--images", "nowhere", "--ask", "asked.csv"), "--images must be a folder, got nowhere")
    words = ["predict", "--model", "tiny", "--images", "scans", "--out", "m"]
    fails(run(*words, "--text", "a"), "--text is for a black box that is asked by text, got it for tiny")
    Path("words.csv").write_text("image,text\na.png,a polyp\n")
    words = ["predict", "--model", "tiny", "--images", "scans", "--ask", "words.csv", "--out", "m", "--quiet"]
    fails(run(*words), "words.csv, line 2: text is for a black box that is asked by text")

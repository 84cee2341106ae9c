"""The command line: what it does, what it says, how it ends."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg.adapting import SERVE
from seg.checks import fails, raises, succeeds
from seg.formats import dicom
from seg.layouts import write_folder
from seg.tiny_box import SIZE, samples

from zoo_opt_seg.visual_prompts import make_prompt, save_prompt

BOX = ["--model", "seg.tiny_box:factory", "--size", str(SIZE)]
DATA = ["--data", "seg.tiny_box:splits"]
QUICK = ["--calls", "200", "--batch", "4", "--validate", "2", "-o", "sigma0=0.1", "-o", "popsize=6", "--repeats", "1"]


def test_adapt_evaluate_predict(run, tmp_path):
    out, _ = succeeds(run("adapt", *BOX, *DATA, *QUICK, "--out", "result", "--quiet"))
    assert "adapted" in out and "disk" in out and str(Path("result") / "index.html") in out
    made = {"config.json", "log.jsonl", "prompt.npz", "metrics.json", "panel.png", "index.html", "state"}
    assert {path.name for path in (tmp_path / "result").iterdir()} == made
    config = json.loads(Path("result/config.json").read_text())
    assert config["command"][:4] == ["zoo-opt-seg", "adapt", "--model", "seg.tiny_box:factory"]
    before = Path("result/prompt.npz").read_bytes()

    _, err = succeeds(run("adapt", *BOX, *DATA, *QUICK, "--out", "result", "--quiet"))  # complete: nothing to do
    assert "going on in result" in err and Path("result/prompt.npz").read_bytes() == before

    words = ["--repeats", "1", "--save", "rows.json"]
    succeeds(run("evaluate", *BOX, *DATA, "--prompt", "result", *words))
    rows, metrics = (json.loads(Path(name).read_text()) for name in ("rows.json", "result/metrics.json"))
    assert rows["rows"] == metrics["test"]["rows"]
    succeeds(run("evaluate", *BOX, *DATA, "--split", "validation", "--cache", "kept"))

    data = samples(1, 9)
    Image.fromarray(data.images[0]).resize((60, 48)).save("image.png")
    y, x = np.argwhere(data.masks[0]).mean(axis=0) * (48 / SIZE, 60 / SIZE)
    words = ["--image", "image.png", "--point", f"{x:.1f},{y:.1f}", "--out", "mask.png"]
    out, _ = succeeds(run("predict", *BOX, "--prompt", "result/prompt.npz", *words))
    mask = np.asarray(Image.open("mask.png"))
    assert mask.shape == (48, 60) and set(np.unique(mask)) <= {0, 255}
    assert json.loads(out)["object"] == pytest.approx((mask == 255).mean(), abs=1e-4)
    succeeds(run("predict", *BOX, *words, "--probabilities"))


@pytest.mark.parametrize(("given", "asked"), [("box+point", "box+point"), ("2", 2)])
def test_evaluate_asks_as_the_run_did(run, given, asked):
    """What a prompt was trained by is what it is measured by, unless --points says otherwise."""
    short = [
        "--calls",
        "24",
        "--batch",
        "4",
        "--validate",
        "0",
        "-o",
        "sigma0=0.1",
        "-o",
        "popsize=6",
        "--repeats",
        "1",
    ]
    succeeds(run("adapt", *BOX, *DATA, *short, "--points", given, "--out", "result", "--quiet"))
    words = ["evaluate", *BOX, *DATA, "--prompt", "result", "--repeats", "1", "--save", "rows.json"]
    succeeds(run(*words))
    rows, metrics = (json.loads(Path(name).read_text()) for name in ("rows.json", "result/metrics.json"))
    assert rows["points"] == asked and rows["rows"] == metrics["test"]["rows"]
    succeeds(run(*words, "--points", "centre"))
    assert json.loads(Path("rows.json").read_text())["points"] == "centre"


def test_fit_and_crop(run, tmp_path):
    """Wide images, padded and cut: the result folder remembers it, and a mask comes back in its place."""
    for i in range(10):
        data, pixels = samples(1, i), np.full((36, 64, 3), 10, np.uint8)
        pixels[2:34, 16:48] = np.asarray(Image.fromarray(data.images[0]).resize((32, 32)))
        mask = np.zeros((36, 64), np.uint8)
        mask[2:34, 16:48] = 255 * np.asarray(Image.fromarray(data.masks[0]).resize((32, 32)))
        for folder, array in (("images", pixels), ("masks", mask)):
            (tmp_path / "wide" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "wide" / folder / f"{i}.png")
    wide = ["--data", "folder:wide", "--fit", "pad", "--crop", "2,2,0,0"]
    quick = [*QUICK, "--out", "result", "--quiet", "--smooth", "1", "--reduction", "batch", "--loss", "dice"]
    succeeds(run("adapt", *BOX, *wide, *quick))
    config = json.loads(Path("result/config.json").read_text())
    assert config["prepared"] == {"fit": "pad", "crop": [2, 2, 0, 0]}
    assert config["loss"] == "dice, smooth 1" and config["reduction"] == "batch"
    fails(run("adapt", *BOX, *wide, *quick, "--smooth", "2"), "holds another run: its loss is")
    fails(run("adapt", *BOX, *quick, "--data", "folder:wide"), "holds another run: its data is")  # not padded

    words = ["--repeats", "1", "--prompt", "result"]
    succeeds(run("evaluate", *BOX, "--data", "folder:wide", *words, "--save", "rows.json"))  # as the run had them
    metrics = json.loads(Path("result/metrics.json").read_text())
    assert json.loads(Path("rows.json").read_text())["rows"] == metrics["test"]["rows"]
    succeeds(run("evaluate", *BOX, *DATA, *words, "--fit", "stretch", "--crop", "0,0,0,0"))
    y, x = (int(c) for c in np.argwhere(mask).mean(axis=0))
    ask = ["--image", "wide/images/9.png", "--prompt", "result", "--out", "mask.png"]
    succeeds(run("predict", *BOX, *ask, "--point", f"{x},{y}"))
    found = np.asarray(Image.open("mask.png"))
    assert found.shape == (36, 64) and not found[:2].any() and not found[-2:].any()
    fails(run("predict", *BOX, *ask, "--point", "5,1"), "which is shown of the image, got [[5.0, 1.0]]")
    fails(run("adapt", *BOX, *quick, "--data", "folder:wide", "--crop", "2,2"), "--crop must be TOP,BOTTOM,LEFT,RIGHT")
    fails(run("evaluate", *BOX, *DATA, "--fit", "pad"), "--crop and --data-cache are for data sets by name")


def test_a_process_as_the_black_box(run):
    Path("serving.py").write_text(SERVE)
    model = ["--model", f"process:{sys.executable} serving.py", "--size", SIZE]
    succeeds(run("adapt", *model, *DATA, *QUICK, "--out", "result", "--quiet", "--test-images", 0))


def test_the_embedded_sam_and_a_drawn_domain(run):
    words = ["--calls", "60", "--batch", "4", "--validate", "2", "--validation-images", "2", "--test-images", "2"]
    words += ["--data-option", "sizes=[8,4,4]", "--out", "result", "--quiet"]
    out, _ = succeeds(run("adapt", "--model", "tiny", "--data", "disc", *words))
    assert "zero-shot" in out


def test_a_black_box_that_is_down(run, monkeypatch):
    monkeypatch.setattr("seg.tiny_box.Bright.__call__", lambda *_: 1 / 0)
    status, _, err = run("adapt", *BOX, *DATA, *QUICK, "--out", "result", "--quiet")
    assert status == 1 and err.count("\n") == 1
    assert "ZeroDivisionError" in err and "the same command goes on" in err
    monkeypatch.undo()


def test_ctrl_c(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("seg.tiny_box.Bright.__call__", interrupted)
    status, _, err = run("adapt", *BOX, *DATA, *QUICK, "--out", "result", "--quiet")
    assert status == 130 and "the same command goes on from here" in err


OUT = ["--out", "result", "--quiet"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapt", "--model", "huge", *DATA, *OUT], "--model must be tiny, small, sam:TYPE:CHECKPOINT"),
        (["adapt", "--model", "sam:vit_b", *DATA, *OUT], "needs a checkpoint file"),
        (["adapt", "--model", "sam:vit_b:none.pth", *DATA, *OUT], "none.pth"),
        (["adapt", "--model", "nowhere:factory", *DATA, *OUT], 'expected "module:name"'),
        (["adapt", "--model", "process:/no/such/program", *DATA, *OUT], "cannot be started"),
        (["adapt", *BOX, "--data", "cats", *OUT], "--data must be one of skin"),
        (["adapt", *BOX, "--data", "folder:nowhere", *OUT], "--data folder:nowhere: "),
        (["adapt", *BOX, "--data", "seg.tiny_box:samples", *OUT], "--data seg.tiny_box:samples: "),
        (["adapt", *BOX, *DATA, "--prompt", "poem", *OUT], "name must be one of"),
        (["adapt", *BOX, *DATA, "-p", "colour=1", *OUT], "filter"),
        (["adapt", *BOX, *DATA, "--method", "adam", *OUT], "method must be one of"),
        (["adapt", *BOX, *DATA, "--method", "spsa-geass:bold", *OUT], "a preset of spsa-geass (paper, released)"),
        (["adapt", "--model", "sam:vit_b:none.pth", "--data", "seg.tiny_box:unread", *OUT], "none.pth"),
        (["adapt", *BOX, "--data", "seg.tiny_box:unread", "--method", "adam", *OUT], "method must be one of"),
        (["adapt", *BOX, "--data", "seg.tiny_box:unread", "--calls", "0", *OUT], "calls must be >= 1, got 0"),
        (["adapt", *BOX, *DATA, "-o", "sigma0", *OUT], "an option must be NAME=VALUE"),
        (["adapt", *BOX, *DATA, "-o", "sigma=1", *OUT], "sigma"),
        (["adapt", *BOX, *DATA, "--calls", "3", *OUT], "calls must be at least"),
        (["evaluate", *BOX, *DATA, "--prompt", "none.npz"], "--prompt none.npz"),
        (["predict", *BOX, "--image", "a.png", "--out", "b.png"], "--point x,y, --box x0,y0,x1,y1, in pixels"),
        (["predict", *BOX, "--image", "a.png", "--point", "1;2", "--out", "b.png"], "--point must be x,y"),
        (["predict", *BOX, "--image", "a.png", "--point", "-1,x", "--out", "b.png"], "--point must be x,y"),
        (["predict", *BOX, "--image", "a.png", "--point", "1,2,7", "--out", "b.png"], "label 1"),
        (["predict", *BOX, "--image", "a.png", "--point", "1,2", "--out", "b.png"], "--image a.png"),
        (["predict", *BOX, "--image", "a.png", "--box", "1,2,3", "--out", "b.png"], "--box must be x0,y0,x1,y1"),
        (["adapt", *BOX, "--data", "seg.tiny_box:unread", "--points", "0", *OUT], "--points must be a number"),
        (["adapt", *BOX, "--data", "seg.tiny_box:unread", "--points", "boxes", *OUT], "'box', 'box+point', 'text' or"),
        (["evaluate", *BOX, "--data", "seg.tiny_box:unread", "--points", "two"], "--points must be a number of points"),
        (["adapt", *BOX, *DATA, "--points", "3", "--text", "disc", *OUT], "--text and --points exclude each other"),
    ],
)
def test_one_clear_sentence_and_status_two(run, words, message):
    status, out, err = run(*words)
    assert status == 2 and out == ""
    assert message in err and err.startswith("zoo-opt-seg: ") and "Traceback" not in err
    assert not Path("result").exists()


def test_a_point_outside_the_image(run):
    Image.new("RGB", (20, 10)).save("a.png")
    words = ["--image", "a.png", "--point", "5,10", "--out", "b.png"]
    fails(run("predict", *BOX, *words), "--point must lie in the image of 20 x 10, got 5,10")
    words = ["--image", "a.png", "--out", "b.png"]
    for box in ("2,3,20,5", "2,3,1,5", "-1,3,5,5"):
        fails(run("predict", *BOX, *words, "--box", box), f"--box must lie in the image of 20 x 10, got {box}")


def test_boxes_and_several_points(run):
    for kind, repeats, word in (("box", 1, "ellipse"), ("box+point", 2, "ellipse"), ("4", 2, "disk")):
        words = ["--points", kind, "--quiet", *QUICK[:-1], "2"]
        out, _ = succeeds(run("adapt", *BOX, *DATA, *words, "--out", kind))
        assert word in out
        assert f"--points {kind}" in Path(kind, "index.html").read_text()
        words = ["--repeats", "2", "--save", "rows.json", "--points", kind]
        succeeds(run("evaluate", *BOX, *DATA, "--prompt", kind, *words))
        rows, metrics = (json.loads(Path(name).read_text()) for name in ("rows.json", f"{kind}/metrics.json"))
        assert rows["rows"] == metrics["test"]["rows"] and rows["rows"]["adapted"]["repeats"] == repeats
        assert rows["points"] == (4 if kind == "4" else kind)


def test_predict_by_a_box(run):
    Image.new("RGB", (20, 10), "red").save("a.png")
    Path("asked.py").write_text(
        "import numpy as np\n\n\ndef box(images, prompts):\n    y, x = np.mgrid[:24, :24]\n"
        "    x0, y0, x1, y1 = prompts.boxes[0]\n    assert prompts.points is None\n"
        "    return ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))[None].astype(np.float32)\n\n\n"
        'box.prompted_by = "boxes"\n'
    )
    words = ["predict", "--model", "asked:box", "--size", "24", "--image", "a.png", "--out", "b.png"]
    succeeds(run(*words, "--box", "5,2,14,7"))
    found = np.argwhere(np.asarray(Image.open("b.png")) == 255)
    assert np.abs([found.min(axis=0) - (2, 5), found.max(axis=0) - (7, 14)]).max() <= 1  # but for the resizing
    fails(run(*words, "--point", "5,5"), "--box must be given, for asked:box is asked by boxes")


# ------------------------------------------------------------------------------------------------ black boxes that err


BOX_WITH = """
import numpy as np

class Box:
    NAME

    def __call__(self, images, prompts):
        BODY
"""


@pytest.fixture
def edited(run, monkeypatch):
    """Write the module, forget what was imported of it, and run."""
    Image.new("RGB", (30, 20), (200, 10, 10)).save("image.png")

    def call(body, *words, name=""):
        text = BOX_WITH.replace("NAME", f"name = {name!r}" if name else "").replace("BODY", body)
        Path("edited.py").write_text(text)
        monkeypatch.delitem(sys.modules, "edited", raising=False)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        importlib.invalidate_caches()
        return run(words[0], "--model", "edited:Box", "--size", SIZE, *words[1:])

    return call


PREDICT = ["predict", "--image", "image.png", "--point", "5,5", "--out", "mask.png"]


def test_a_cache_needs_a_name(edited):
    """The words of --model do not change with the code behind them."""
    body = "return np.full(images.shape[:3], {}, np.float32)"
    status, _, err = edited(body.format(0.9), *PREDICT, "--cache", "kept")
    assert status == 2 and "--cache needs a black box with a `name`" in err and "edited:Box has none" in err
    for value, name, shown in ((0.9, "first", 255), (0.1, "first", 255), (0.1, "second", 0)):
        assert edited(body.format(value), *PREDICT, "--cache", "kept", name=name)[0] == 0
        assert (np.asarray(Image.open("mask.png")) == shown).all()


@pytest.mark.parametrize(
    "body", ["return {}['mask']", "return [][1]", "return np.full(images.shape[:3], np.nan)", "1 / 0"]
)
@pytest.mark.parametrize("words", [PREDICT, ["evaluate", *DATA, "--repeats", "1"]])
def test_whatever_a_black_box_raises_is_one_sentence(edited, body, words):
    status, out, err = edited(body, *words)
    assert status == 1 and out == "" and "Traceback" not in err and err.count("\n") == 1
    assert err.startswith("zoo-opt-seg: the black box failed 3 times")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ConnectionRefusedError('down')", "the black box is out of service: ConnectionRefusedError: down"),
        ("import zoo_opt; raise zoo_opt.Refused('401: wrong token')", "401: wrong token"),
    ],
)
@pytest.mark.parametrize(
    "words", [PREDICT, ["evaluate", *DATA, "--repeats", "1"], ["adapt", *DATA, "--quiet", "--out", "run"]]
)
def test_out_of_service_and_refused_are_said_at_once(edited, body, said, words):
    counting = f"with open('asked', 'a') as file:\n{'':12}file.write('.')\n{'':8}"
    status, out, err = edited(counting + body, *words, "--wait", "0")
    assert status == 1 and out == "" and said in err and err.count("\n") == 1
    assert Path("asked").read_text() == "."


def test_that_it_waits_is_said(edited):
    body = f"if not Path('asked').exists():\n{'':12}Path('asked').touch()\n{'':12}raise TimeoutError('slow')\n{'':8}"
    body = f"from pathlib import Path\n{'':8}{body}return np.zeros(images.shape[:3], np.float32)"
    status, _, err = edited(body, *PREDICT)
    assert status == 0 and err == "zoo-opt-seg: not served: TimeoutError: slow; waiting for 60 s at most\n"


def test_images_are_read_as_those_of_data_sets(edited):
    good = "return np.zeros(images.shape[:3], np.float32)"
    Image.fromarray(np.full((20, 30), 4000, np.uint16)).save("image.png")
    fails(edited(good, *PREDICT), "--image image.png: expected 8 bits per channel, got uint16 with values 4000")
    Path("image.png").write_bytes(b"no image")
    fails(edited(good, *PREDICT), "--image image.png: the image cannot be read (")


def test_a_window_for_more_than_eight_bits(edited):
    grey = "return images.mean(axis=3, dtype=np.float32) / (255 if images.dtype == np.uint8 else 1)"
    Image.fromarray(np.full((20, 30), 2683, np.uint16)).save("image.png")
    dicom(Path("image.dcm"), np.full((20, 30), 2683, np.uint16), WindowCenter=2048, WindowWidth=4096)
    words = ["predict", "--point", "5,5", "--out", "mask.png", "--probabilities"]
    for image, window in (
        ("image.png", ["--window", "0,4095"]),
        ("image.dcm", []),
        ("image.dcm", ["--window=-1,4095"]),
    ):
        succeeds(edited(grey, *words, "--image", image, *window))
        mask = np.asarray(Image.open("mask.png"))
        assert mask.shape == (20, 30) and abs(mask.astype(int) - 167).max() <= 1
    for window in ("half", "1,0", "1", "a,b", "1,2,3"):
        message = f"--window must be full, percentile or LOW,HIGH, got '{window}'"
        fails(edited(grey, *words, "--image", "image.png", "--window", window), message)
    write_folder(Path("data"))
    for i in range(10):
        Image.fromarray(np.full((16, 24), 400 * i, np.uint16)).save(f"data/images/p{i // 2}_{i}.png")
    words = ["evaluate", "--data", "folder:data", "--repeats", "1"]
    fails(edited(grey, *words), "expected 8 bits per channel, got uint16")
    out, _ = succeeds(edited(grey, *words, "--window", "full"))
    assert "zero-shot" in out


def test_an_image_is_turned_and_so_is_its_mask(edited):
    """The mask is as large as the image is shown, and points are in its pixels."""
    bright = "return images.mean(axis=3) > (128 if images.dtype == np.uint8 else 0.5)"
    shown = np.zeros((40, 60, 3), np.uint8)
    shown[:20, :20] = 255
    exif = Image.Exif()
    exif[274] = 6  # the file has it turned a quarter to the left
    Image.fromarray(np.rot90(shown)).save("image.png", exif=exif)
    succeeds(edited(bright, "predict", "--image", "image.png", "--point", "50,30", "--out", "mask.png"))
    mask = np.asarray(Image.open("mask.png"))
    assert mask.shape == (40, 60) and (mask[:18, :18] == 255).all() and not mask[22:].any() and not mask[:, 22:].any()


def test_sizes_and_options_that_would_be_passed_over(edited, run):
    good = "return np.zeros(images.shape[:3], np.float32)"
    save_prompt("prompt.npz", make_prompt("filter", 32), np.zeros(30))
    fails(edited(good, *PREDICT, "--prompt", "prompt.npz"), f"--size must be 32, that of the prompt, got {SIZE}")
    words = f"--data must have images of 32 pixels square, as --size or the prompt, got {SIZE} x"
    fails(run("evaluate", "--model", "edited:Box", "--size", 32, *DATA), words)
    for words in (["--data-seed", "1"], ["--data-option", "sizes=3"], ["--window", "full"]):
        fails(
            edited(good, "evaluate", *DATA, *words),
            "--data-option, --data-seed, --window, --fit, --crop and --data-cache are for data sets",
        )
    words = "group must be a regular expression, got '('"
    fails(edited(good, "evaluate", "--data", "folder:.", "--data-option", 'group="("'), words)


def test_help(run, capsys):
    for words in ([], ["adapt"], ["evaluate"], ["predict"]):
        end = raises(SystemExit, None, run, *words, "--help")
        assert (end.code == 0 and "example" in capsys.readouterr().out) or words
    assert raises(SystemExit, None, run, "adapt", *BOX).code == 2


def test_a_table_ends_by_the_same_rule(run, monkeypatch):
    def raising(error):
        def load(*_, **__):
            raise error

        return load

    for error, expected in ((TypeError("no such row"), 2), (OSError("disk full"), 1), (KeyboardInterrupt(), 130)):
        monkeypatch.setattr("zoo_opt_seg.tables.run.load_table", raising(error))
        status, _, err = run("table", "suite.toml")
        assert status == expected and err.startswith("zoo-opt-seg table: ") and err.count("\n") == 1


def test_without_its_extra_the_command_says_what_to_install(monkeypatch, capsys):
    """As after `pip install zoo-opt`: the command is there, torch is not."""
    from zoo_opt_seg import cli

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else found(name, *rest)
    )
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it fails
    assert cli.main(["list"]) == 1
    assert capsys.readouterr().err == (
        'zoo-opt-seg: torch is not installed; it comes with the seg extra: pip install "zoo-opt[seg]"\n'
    )

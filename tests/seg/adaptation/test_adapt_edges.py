"""adapt where data or settings are odd: told before anything is paid for, or got along with; never after the run."""

import json
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from seg import adapting
from seg.checks import raises
from seg.prompt_fakes import Recorded
from seg.tiny_box import SIZE, Bright, samples, splits

import zoo_opt as zo
from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg import Prompts, Samples
from zoo_opt_seg.adaptation.folder import RunFolder, _fewer
from zoo_opt_seg.adaptation.retrying import BlackBoxDown
from zoo_opt_seg.blackbox import Counted
from zoo_opt_seg.cli import main
from zoo_opt_seg.measures.losses import LossError
from zoo_opt_seg.measures.trivial import best_disk

CALLS = 150
quick = partial(adapting.quick, calls=CALLS, test=True, panel=True)


def emptied(some: Samples, rows: slice) -> Samples:
    masks = some.masks.copy()
    masks[rows] = False
    return replace(some, masks=masks)


def larger(n: int) -> Samples:
    some = samples(n, 9)
    images, masks = (array.repeat(2, axis=1).repeat(2, axis=2) for array in (some.images, some.masks))
    return Samples(images, masks, some.names)


@pytest.mark.parametrize(
    "part, rows", [("train", slice(0, 2)), ("test", slice(0, 1)), ("test", slice(None)), ("validation", slice(0, 1))]
)
@pytest.mark.parametrize("test", [True, False])
def test_empty_masks_do_not_cost_the_run(part, rows, test, tmp_path):
    data = splits()
    data = replace(data, **{part: emptied(getattr(data, part), rows)})
    result = quick(data=data, test=test, out=tmp_path)
    assert (tmp_path / "index.html").exists() and result.nfev > 0
    assert ("test" in result.metrics) == (test and not (part == "test" and rows == slice(None)))


def test_the_disk_leaves_empty_masks_out():
    some = samples(12, 1)
    assert best_disk(emptied(some, slice(6, 12)), repeats=1) == best_disk(some[np.arange(6)], repeats=1)


def test_without_a_test_no_test_image_is_sent(tmp_path):
    data, model = splits(), Recorded(Bright())
    quick(model, data=data, test=False, out=tmp_path)
    shown = {image.tobytes() for images, _ in model.asked for image in (images if images.dtype == np.uint8 else ())}
    assert shown and not shown & {image.tobytes() for image in data.test.images}


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_another_size_is_told_before_a_call(part):
    data, model = replace(splits(), **{part: larger(4)}), Counted(Bright())
    message = f"splits must hold images of {SIZE} pixels square.*got {2 * SIZE} x {2 * SIZE}"
    raises(ValueError, message, quick, model, data=data)
    assert model.calls == 0


def test_a_budget_below_one_step_is_told_before_a_call(tmp_path):
    model = Counted(Bright())
    message = "calls must be at least 42, for validation and one step of CMAES"
    raises(ValueError, message, quick, model, calls=41, validation_images=6, out=tmp_path)
    assert model.calls == 0 and not list(tmp_path.iterdir())
    assert quick(model, calls=42, validation_images=6, test=False).nit == 1


def test_a_loss_that_hard_masks_have_not_is_told_at_the_first_answer():
    model = Counted(lambda images, prompts: Bright()(images, prompts) > 0.5)
    raises(LossError, "loss must be 'dice' or 'bce.dice' for a black box that returns hard", quick, model, loss="bce")
    assert model.calls == 4
    model.hard = True  # it says so, as services do
    raises(LossError, "loss must be 'dice' or 'bce.dice' for a black box that returns hard", quick, model, loss="bce")
    assert model.calls == 4


def test_a_second_process_waits_for_no_test_images_twice(tmp_path):
    """While the test images are measured, the folder is still in use."""
    inside, go_on, said = threading.Event(), threading.Event(), []
    data = splits()

    def model(images, prompts):
        if images.dtype == np.uint8 and any(image.tobytes() == data.test.images[0].tobytes() for image in images):
            inside.set()
            go_on.wait(30)
        return Bright()(images, prompts)

    model.name = Bright.name
    first = threading.Thread(target=quick, args=(model,), kwargs={"data": data, "out": tmp_path, "panel": False})
    first.start()
    assert inside.wait(60)
    try:
        quick(data=data, out=tmp_path, panel=False)
    except Exception as error:
        said.append(str(error))
    go_on.set()
    first.join()
    assert said and "in use" in said[0]


def test_a_figure_that_is_not_a_number_can_be_read_again(tmp_path, capsys):
    """One test image has no standard deviation."""
    command = f"adapt --model seg.tiny_box:Bright --data seg.tiny_box:splits --size {SIZE} --calls 150 --batch 4"
    command += f" --validate 3 -o popsize=6 --test-images 1 --quiet --out {tmp_path / 'one'}"
    for _ in range(2):
        assert main(command.split()) == 0, capsys.readouterr()
    assert json.loads((tmp_path / "one" / "metrics.json").read_text())["test"]


def square_on_the_point(images, prompts: Prompts):
    masks = np.zeros(images.shape[:3], np.float32)
    for mask, points in zip(masks, prompts.points, strict=True):
        x, y = np.rint(points[0]).astype(int)
        mask[y, x] = 1.0  # an IndexError beyond the image
    return masks


@pytest.mark.parametrize("point", [(320, 160), (639, 319), (0, 0)])
def test_predict_asks_at_the_point(point, tmp_path):
    Image.new("RGB", (640, 320)).save(tmp_path / "big.png")
    command = "predict --model seg.adaptation.test_adapt_edges:square_on_the_point --size 32"
    command += f" --image {tmp_path}/big.png --point {point[0]},{point[1]} --out {tmp_path}/m.png"
    assert main(command.split()) == 0
    y, x = np.nonzero(np.asarray(Image.open(tmp_path / "m.png")))
    assert abs(x.mean() - point[0]) <= 10.5 and abs(y.mean() - point[1]) <= 5.5  # half of a small pixel


# ------------------------------------------------------------------------------------------------ diverged, down, raced


def test_a_method_that_diverges_unvalidated_leaves_its_best_candidate(tmp_path):
    wild = {"method": zo.SPSA(lr=1e300, c=1.0), "validate": 0, "out": tmp_path, "test": False}
    with np.errstate(all="ignore"):
        result, again = quick(**wild), quick(**wild)
    assert np.isfinite(result.x).all() and not np.isfinite(result.last).all()
    assert result.metrics["chosen"]["by"] == "best loss" and result.metrics["chosen"]["mark"] is None
    np.testing.assert_array_equal(again.x, result.x)
    with np.load(tmp_path / "prompt.npz") as saved:
        assert any(np.array_equal(saved[name], result.x) for name in saved.files)


def test_calls_of_a_validation_in_vain_are_counted(tmp_path):
    """A mark that failed as a whole is judged again: what it cost is missing for steps, and the budget holds."""
    box = adapting.Faulty(lambda *_: True, OSError)
    settings = {"validation_images": 6, "test": False, "panel": False, "out": tmp_path}
    for _ in range(3):
        raises(BlackBoxDown, "failed on all 6 validation images", quick, box, **settings)
    box.fails = lambda *_: False
    result = quick(box, **settings)
    assert box.sent == result.calls <= CALLS
    assert result.marks[0]["calls"] == 4 * 6 and result.metrics["validation_calls"] == 6 * 6
    whole = quick(**settings | {"out": None})
    assert result.nit == whole.nit - 1 and "validations that failed" in result.metrics["ended"]["budget"]
    assert quick(box, **settings).metrics == json.loads(json.dumps(result.metrics))


def test_two_runs_do_not_claim_one_folder(tmp_path):
    """Not even before the first has paid for anything: the folder's config stays that of the first."""
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.claim({"calls": 1}, {"versions": {}}):
        with pytest.raises(CheckpointError, match="is in use by another run"), second.claim({"calls": 2}, {}):
            pass
        assert json.loads((tmp_path / "config.json").read_text())["calls"] == 1
    with second.claim({"calls": 2}, {}):  # nothing was paid for: the folder is free
        pass
    assert json.loads((tmp_path / "config.json").read_text())["calls"] == 2


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 200_000 + "1", "f(" * 3000, "a\0b"], ids=len)
def test_a_method_that_was_forged_is_another(text):
    assert not _fewer(text, "f(x=1, y=2)") and _fewer("f(x=1)", "f(x=1, y=2)")

"""Measures at the resolution of the files: the answer resized back, against the mask as it is on the disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seg.adapting import CMA, FILTER, Faulty
from seg.checks import fails, raises, succeeds
from seg.tiny_box import SIZE, samples, splits

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg import adapt, evaluate
from zoo_opt_seg.data import DataError, load_data
from zoo_opt_seg.data.row_files import StoredRows
from zoo_opt_seg.measures.metrics import dice, hd95, iou

WIDTH, HEIGHT = 70, 50


@pytest.fixture
def scans(tmp_path):
    """A folder of ten reddish ellipses on grey, 70 x 50."""
    root, rng = tmp_path / "scans", np.random.default_rng(5)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for i in range(10):
        a, b = rng.uniform(9, 20), rng.uniform(7, 14)
        mask = ((x - rng.uniform(25, 45)) / a) ** 2 + ((y - rng.uniform(20, 30)) / b) ** 2 <= 1
        image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8) + np.uint8([60, 0, 0]) * mask[..., None]
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{i}.png")
    return root


def soft(images, prompts):
    """What is reddish, less certain than a mask."""
    images = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return np.clip(4 * (images[..., 0] - images[..., 1]), 0, 1).astype(np.float32)


def on_disk(scans, name):
    return np.asarray(Image.open(scans / "masks" / f"{name}.png")) > 127


@pytest.mark.parametrize("model", [soft, lambda images, prompts: soft(images, prompts) > 0.5], ids=["soft", "hard"])
@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_measures_are_those_of_the_answer_resized_back(scans, fit, model):
    test = load_data("folder", scans, SIZE, fit=fit).test[1:]
    result = evaluate(model, test, repeats=2, measure="original")
    answers = model(test.images, None).astype(np.float32)
    rows = SIZE if fit == "stretch" else round(SIZE * HEIGHT / WIDTH)
    for i, name in enumerate(test.names):
        large = Image.fromarray(answers[i, :rows]).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        found, truth = (np.asarray(large) > 0.5)[None], on_disk(scans, name)[None]
        for measure, values in ((dice, result.dice), (iou, result.iou), (hd95, result.hd95)):
            assert (values[:, i] == measure(found, truth)[0]).all()
    asked = evaluate(model, test, repeats=2)
    assert (asked.dice != result.dice).all() and abs(asked.dice.mean() - result.dice.mean()) < 0.1


def test_what_did_not_answer_is_nan_and_distances_can_be_left_out(scans):
    test = load_data("folder", scans, SIZE).test

    def model(images, prompts):
        answer = soft(images, prompts)
        answer[1] = np.nan
        return answer

    result = evaluate(model, test, repeats=1, measure="original", distances=False)
    assert np.isnan(result.dice[0]).tolist() == [False, True, False] and np.isnan(result.hd95).all()


def test_a_mask_that_went_is_said(scans):
    test = load_data("folder", scans, SIZE).test
    (scans / "masks" / f"{test.names[0]}.png").unlink()
    raises(DataError, "the mask file is missing", evaluate, soft, test, measure="original")


def test_originals_go_with_their_samples(scans):
    test = load_data("folder", scans, SIZE).test
    for part in (test[[2, 0]], test[np.array([True, False, True])][::-1], test.with_texts("x")[[2, 0]]):
        for name, original in zip(part.names, part.originals, strict=True):
            np.testing.assert_array_equal(original.mask(), on_disk(scans, name))
    raises(ValueError, "originals must be 3, one per image, got 2", replace, test, originals=test.originals[:2])


@pytest.mark.parametrize("how", [{}, {"fit": "pad"}, {"crop": (3, 0, 1, 6)}], ids=["stretch", "pad", "crop"])
def test_they_are_the_same_of_samples_in_a_cache(scans, tmp_path, how, monkeypatch):
    expected = evaluate(soft, load_data("folder", scans, SIZE, **how).test, repeats=1, measure="original")
    for again in (False, True):
        if again:  # what is needed beside the masks is in the cache as well
            monkeypatch.setattr("zoo_opt_seg.data.files._Reader.read", lambda *_: pytest.fail("read anew"))
        test = load_data("folder", scans, SIZE, cache=tmp_path / "cache", **how).test
        assert isinstance(test.images, StoredRows)
        result = evaluate(soft, test, repeats=1, measure="original")
        np.testing.assert_array_equal(
            [result.dice, result.iou, result.hd95], [expected.dice, expected.iou, expected.hd95]
        )
        for part in (test.select([2, 0]), test[[2, 0]]):
            for name, original in zip(part.names, part.originals, strict=True):
                np.testing.assert_array_equal(original.mask(), on_disk(scans, name))


def test_those_of_a_cache_are_of_the_files_kept_each_of_its_size(scans, tmp_path):
    sizes = {}
    for i, path in enumerate(sorted((scans / "masks").iterdir())):
        size = (WIDTH + i, HEIGHT - i)
        for part in ("images", "masks"):
            Image.open(scans / part / path.name).resize(size).save(scans / part / path.name)
        if i in (0, 4, 7):
            Image.new("L", size).save(path)
        else:
            sizes[path.stem] = size
    for _ in range(2):
        data = load_data("folder", scans, SIZE, cache=tmp_path / "cache", empty="skip")
        found = {}
        for part in data.parts:
            found |= dict(zip(part.names, part.originals, strict=True))
        assert {name: original.mask().shape[::-1] for name, original in found.items()} == sizes
        for name, original in found.items():
            np.testing.assert_array_equal(original.mask(), on_disk(scans, name))
            assert original.back(np.ones((SIZE, SIZE), np.float32)).shape[::-1] == sizes[name]


def test_samples_without_files_have_none_and_nothing_is_asked():
    box = Faulty()
    raises(ValueError, "samples must be read from files", evaluate, box, samples(2, 1), measure="original")
    raises(ValueError, "measure must be", evaluate, box, samples(2, 1), measure="full")
    raises(ValueError, "samples must be read from files", adapt, box, FILTER, splits(), calls=90, measure="original")
    raises(ValueError, "measure must be", adapt, box, FILTER, splits(), measure="full")
    assert box.sent == 0


def test_an_adaptation_is_tested_so(scans, tmp_path):
    data = load_data("folder", scans, SIZE)
    how = {"method": CMA, "calls": 90, "batch": 3, "validate": 2, "repeats": 1, "out": tmp_path / "run"}
    result = adapt(soft, FILTER, data, measure="original", **how)
    rows = result.metrics["test"]["rows"]
    assert rows["zero-shot"] == evaluate(soft, data.test, repeats=1, measure="original").summary()
    assert rows["adapted"] == evaluate(soft, data.test, prompt=result.prompt, repeats=1, measure="original").summary()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["test"]["measure"] == "original"
    assert "at the resolution of the files" in (tmp_path / "run" / "index.html").read_text()
    raises(CheckpointError, "its test is", adapt, soft, FILTER, data, **how)


def test_on_the_command_line(scans, run):
    words = ["evaluate", "--model", "seg.tiny_box:factory", "--size", SIZE, "--repeats", "1", "--save", "rows.json"]
    rows = []
    for measure in ("asked", "original"):
        succeeds(run(*words, "--data", f"folder:{scans}", "--measure", measure))
        rows.append(json.loads(Path("rows.json").read_text()))
        assert rows[-1]["measure"] == measure
    assert rows[0]["rows"]["disk"]["hd95"] < rows[1]["rows"]["disk"]["hd95"]  # in pixels, of which there are more
    fails(run(*words, "--data", "seg.tiny_box:splits", "--measure", "original"), "samples must be read from files")

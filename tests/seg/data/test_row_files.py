"""Samples in files: the same as in memory, bit for bit, and not all in memory at once."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from seg.checks import raises
from seg.layouts import SPLITS, label, picture, write_folder
from seg.tiny_box import Bright

from zoo_opt_seg.adaptation.plan import fingerprint
from zoo_opt_seg.adaptation.run import adapt
from zoo_opt_seg.data import DataError, Samples, Splits, draws, load_data
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.data.row_files import StoredRows
from zoo_opt_seg.measures.trivial import baselines
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import make_prompt


def both(root: Path, **options: Any) -> tuple[Splits, Splits]:
    """The same data in memory and in files."""
    return load_data("folder", root, **options), load_data("folder", root, cache=root / "cache", **options)


def corner(masks: np.ndarray, seed: object) -> Prompts:
    """One's own drawing, which is given all masks."""
    return random_points(masks, 7)


def scenes(root: Path, n: int = 20, size: int = 24) -> Path:
    """A folder of reddish discs on grey."""
    y, x = np.mgrid[:size, :size]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(n):
        rng = np.random.default_rng(i)
        mask = (y - rng.integers(8, 16)) ** 2 + (x - rng.integers(8, 16)) ** 2 <= rng.integers(9, 40)
        image = rng.integers(90, 140, (size, size, 1), np.uint8).repeat(3, axis=2)
        image[mask, 0] += 40
        Image.fromarray(image).save(root / f"images/{i:02}.png")
        Image.fromarray(mask).save(root / f"masks/{i:02}.png")
    return root


def test_rows_of_a_file_are_those_of_the_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (7, 3, 2), np.uint8)
    array.tofile(tmp_path / "a")
    rows = StoredRows(tmp_path / "a", np.uint8, array.shape)
    assert (rows.shape, rows.ndim, rows.dtype, len(rows)) == (array.shape, 3, array.dtype, 7)
    bools = np.array([True, False] * 3 + [True])
    for index in (3, -1, slice(1, 6, 2), slice(None), [4, 1, 1], np.array([], int), bools):
        assert np.array_equal(rows[index], array[index]) and rows[index].dtype == np.uint8
    assert np.array_equal(np.asarray(rows), array) and np.array_equal(list(rows), array)
    some = rows.select([5, 2, 3])
    assert np.array_equal(some[1:], array[[2, 3]]) and np.array_equal(some.select(bools[:3]), array[[5, 3]])
    raises(IndexError, None, lambda: rows[7])
    os.truncate(tmp_path / "a", 40)
    raises(DataError, r"a: cut short, expected 7 rows of 6 bytes", lambda: rows[6])


def test_samples_in_files_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "PART", 2)
    memory, files = both(write_folder(tmp_path), size=16)
    assert fingerprint(memory) == fingerprint(files)
    for split in SPLITS:
        ours, theirs = getattr(memory, split), getattr(files, split)
        assert isinstance(theirs.images, StoredRows) and isinstance(theirs.masks, StoredRows)
        assert (ours.names, ours.groups, ours.size) == (theirs.names, theirs.groups, theirs.size)
        assert np.array_equal(ours.images, theirs.images) and np.array_equal(ours.masks, theirs.masks)
        assert np.array_equal(ours.with_object, theirs.with_object)
        for kind in ("random", 3, "centre", "box", "box+point", corner):
            one, other = (draw_prompts(kind, part, (4, 1), range(5, 5 + len(part))) for part in (ours, theirs))
            assert [one.key(i) for i in range(len(ours))] == [other.key(i) for i in range(len(ours))]
    part = files.train[[3, 1]]
    assert isinstance(part.images, np.ndarray) and np.array_equal(part.images, memory.train.images[[3, 1]])
    later = files.train.select([3, 1])
    assert isinstance(later.images, StoredRows) and later.names == part.names
    assert np.array_equal(later.masks, part.masks) and files.train.select(files.train.with_object) is files.train
    assert str(baselines(memory)) == str(baselines(files))


def test_files_are_written_once_and_anew_for_what_is_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path)
    folder = tmp_path / "cache"

    def load(**options: Any) -> Samples:
        return load_data("folder", tmp_path, size=16, cache=folder, **options).train

    first = load()
    assert isinstance(first.images, StoredRows)
    made = set(folder.iterdir())
    assert len(made) == 3  # one for each split
    with monkeypatch.context() as patch:
        patch.setattr("zoo_opt_seg.data.files._Reader.read", lambda *_: 1 / 0)
        assert np.array_equal(load().images, first.images)  # nothing is read from the pictures
    load(fit="pad"), load(crop=(1, 1, 1, 1))
    assert len(set(folder.iterdir())) == 9
    name = first.names[0]
    picture(tmp_path / f"images/{name}.png", 99)
    os.utime(tmp_path / f"images/{name}.png", ns=(1, 1))
    assert not np.array_equal(load().images[0], first.images[0]) and np.array_equal(load().images[1:], first.images[1:])
    assert not [path for path in folder.iterdir() if path.name.startswith("unfinished")]


def test_an_error_leaves_no_files_and_damaged_ones_are_found(tmp_path: Path) -> None:
    write_folder(tmp_path)
    good = load_data("folder", tmp_path, size=16, cache=tmp_path / "cache").test
    assert isinstance(good.masks, StoredRows)
    os.truncate(good.masks.path, 10)
    word = r"masks: expected 768 bytes; delete the folder, it is made anew"
    raises(DataError, word, load_data, "folder", tmp_path, size=16, cache=tmp_path / "cache")
    label(tmp_path / "masks/p4_9_mask.png", 0)
    raises(DataError, "the mask is empty", load_data, "folder", tmp_path, size=16, cache=tmp_path / "other", seed=1)
    assert not [path for path in (tmp_path / "other").glob("*") if path.name.startswith("unfinished")]
    raises(ValueError, "cache must be None for 'skin'", load_data, "skin", cache=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, "paper"])
def test_adapt_is_the_same_from_files(tmp_path: Path, augment: str | None) -> None:
    """Search, validation, refiner and test: the same calls, the same vector and figures."""
    runs = []
    for splits in both(scenes(tmp_path / "data"), size=24):
        about = {"calls": 120, "batch": 4, "validate": 2, "refine": True, "refine_steps": 4, "augment": augment}
        how = {"method": "cma-es", "options": {"sigma0": 0.1, "popsize": 4}, "repeats": 1, "out": None}
        runs.append(adapt(Bright(), make_prompt("filter", 24), splits, **about, **how))
    memory, files = runs
    assert np.array_equal(memory.x, files.x) and memory.calls == files.calls
    assert memory.metrics["marks"] == files.metrics["marks"] and memory.metrics["test"] == files.metrics["test"]


def test_what_is_prepared_is_not_all_in_memory(tmp_path: Path) -> None:
    """Loading, digest and the rows with an object take a few images' memory, not that of all."""
    write_folder(tmp_path)

    def peak(of: Callable[[], object]) -> int:
        tracemalloc.start()
        of()
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    size = 400
    load_data("folder", tmp_path, size=16, cache=tmp_path / "warm")  # imports
    memory = peak(lambda: load_data("folder", tmp_path, size=size))
    files = peak(lambda: load_data("folder", tmp_path, size=size, cache=tmp_path / "cache"))
    all_of_it = 10 * size * size * 4
    assert memory > all_of_it and files < all_of_it / 2

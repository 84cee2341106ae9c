"""Which samples belong together: said by the loaders once, kept by every selection, used by every interval."""

from dataclasses import replace

import numpy as np
import pytest
from seg import layouts, layouts_vlsm
from seg.adapting import quick
from seg.checks import GROUP, raises
from seg.tiny_box import splits

from zoo_opt_seg import evaluate, load_data
from zoo_opt_seg.data.loaders.polyps.polypgen import group
from zoo_opt_seg.data.samples import Samples, numbered
from zoo_opt_seg.measures.evaluation import gain
from zoo_opt_seg.tables.cells import run_cell
from zoo_opt_seg.tables.reader import read_table
from zoo_opt_seg.tables.suite import Place


def flat(n: int, groups: tuple[str, ...] = ()) -> Samples:
    images, masks = np.zeros((n, 8, 8, 3), np.uint8), np.ones((n, 8, 8), bool)
    return Samples(images, masks, tuple(f"s{i}" for i in range(n)), groups=groups)


def test_selections_keep_groups():
    samples = flat(4, ("a", "b", "a", "c"))
    assert samples[1:].groups == ("b", "a", "c") and samples[[2, 0]].groups == ("a", "a")
    assert samples[np.array([True, False, False, True])].groups == ("a", "c")
    assert samples.with_texts("x").groups == replace(samples, masks=~samples.masks).groups == samples.groups
    assert flat(2).groups == flat(2).names and flat(0).groups == ()
    assert numbered(("b", "a", "b", "c")).tolist() == [0, 1, 0, 2]
    raises(ValueError, "groups must be 4, one per image, got 1", flat, 4, ("a",))


LAYOUTS = {  # data set: how it is written, options, group of a name
    "dsb2018": (layouts.write_dsb2018, {}, lambda name: name.rpartition("-")[0]),
    "dsb2018-union": (layouts.write_dsb2018, {}, str),
    "endovis2017": (layouts.write_endovis2017, {}, lambda name: "-".join(name.split("-")[:2])),
    "refuge": (layouts.write_refuge, {}, lambda name: name.rpartition("-")[0]),
    "kvasir": (layouts.write_kvasir, {"fractions": (2, 1, 1)}, str),
    "chase_db1": (layouts.write_chase_db1, {}, lambda name: name[:8]),
    "camus": (layouts_vlsm.write_camus, {}, lambda name: name.partition("_")[0]),
    "chexlocalize": (layouts_vlsm.write_chexlocalize, {"fractions": (1, 1, 1)}, lambda name: name.partition("_")[0]),
    "polypgen": (layouts.write_polypgen, {}, group),
    "folder": (layouts.write_folder, {"group": r"p\d"}, lambda name: name[:2]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_loaders_say_which_samples_belong_together(name, tmp_path):
    write, options, group_of = LAYOUTS[name]
    data = load_data(name, write(tmp_path), size=32, **options)
    parts = data.train, data.validation, data.test
    for part in parts:
        assert part.groups == tuple(map(group_of, part.names))
    assert sum(len(set(part.groups)) for part in parts) == len({g for part in parts for g in part.groups})  # undivided


def test_a_folder_that_is_its_own_split_takes_the_pattern_too(tmp_path):
    for part in ("train", "val", "test"):
        layouts.pairs(tmp_path / part, ("case1-a", "case1-b", "case2-a"), "images/{}.png", "masks/{}.png")
    data = load_data("folder", tmp_path, size=32, group=r"case\d")
    assert data.test.names[0] == "test-case1-a" and data.test.groups == ("case1", "case1", "case2")


@pytest.mark.parametrize("split", ["poudel", "blocks"])
def test_frames_of_clinicdb_belong_to_their_block_however_it_is_divided(split, tmp_path):
    numbers = (*range(1, 11), *range(26, 36), *range(51, 61))
    layouts.pairs(tmp_path / "PNG", numbers, "Original/{}.png", "Ground Truth/{}.png")
    data = load_data("clinicdb", tmp_path, size=32, split=split, fractions=(1, 1, 1))
    for part in (data.train, data.validation, data.test):
        assert part.groups == tuple(f"block-{(int(name) - 1) // 25}" for name in part.names)
    blocks = [set(part.groups) for part in (data.train, data.validation, data.test)]
    assert bool(set.intersection(*blocks)) == (split == "poudel")  # only that one divides by images


# ------------------------------------------------------------------------------------------------------- intervals


class Half:
    """Right on the first half of the images of a question."""

    def __init__(self, right: int) -> None:
        self.right = right

    def __call__(self, images, prompts):
        return np.broadcast_to((np.arange(len(images)) < self.right)[:, None, None], images.shape[:3]).copy()


def test_the_interval_of_a_gain_resamples_groups():
    whole, pairs, one = flat(20), flat(20, tuple("aabbccddee" * 2)), flat(20, ("p",) * 20)
    found = []
    for samples in (whole, pairs, one):
        before, after = (evaluate(Half(right), samples, repeats=1) for right in (0, 10))
        assert after.groups == samples.groups
        found.append(gain(before, after))
    alone, five, single = found
    change = np.repeat([1.0, 0.0], 10)
    drawn = change[np.random.default_rng(0).integers(0, 20, (10_000, 20))].mean(axis=1)
    assert [alone["low"], alone["high"]] == np.quantile(drawn, (0.025, 0.975)).tolist() and "groups" not in alone
    assert five["groups"] == 5 and five["low"] == five["high"] == five["dice"] == 0.5  # each pair of tens is alike
    assert single["groups"] == 1 and np.isnan([single["low"], single["high"]]).all()


def test_a_group_of_another_size_weighs_by_its_images():
    samples = flat(12, ("big",) * 9 + ("x", "y", "z"))
    found = gain(*(evaluate(Half(right), samples, repeats=1) for right in (0, 9)))
    draws = np.random.default_rng(0).integers(0, 4, (10_000, 4))
    means = np.array([9.0, 0, 0, 0])[draws].sum(axis=1) / np.array([9, 1, 1, 1])[draws].sum(axis=1)
    assert [found["low"], found["high"]] == np.quantile(means, (0.025, 0.975)).tolist() and found["dice"] == 0.75


@pytest.mark.parametrize("groups, words", [(tuple("aabbc"), "over 3 groups of images"), (tuple("aaaaa"), "one group")])
def test_the_interval_that_adapt_reports_is_over_groups(groups, words, tmp_path):
    data = splits()
    data = replace(data, test=replace(data.test, groups=groups))
    result = quick(data=data, calls=120, validate=2, test=True, panel=True, out=tmp_path)
    assert result.metrics["test"]["gain"]["groups"] == len(set(groups))
    assert words in (tmp_path / "index.html").read_text()


SUITE = f"""{GROUP}size = 24
black_box = {{ use = "seg.tiny_box:factory" }}
domains = ["seg.data.test_groups:grouped"]
row = [{{ label = "disk", use = "disk" }}]
"""


def grouped():
    data = splits()
    return replace(data, test=replace(data.test, groups=("a", "b", "a", "b", "c")))


def test_a_table_takes_the_groups_of_the_samples(tmp_path):
    (cell,) = read_table(SUITE, "own").cells(Place(str(tmp_path)))
    entry = run_cell(cell)
    assert entry["error"] is None and entry["groups"] == [0, 1, 0, 1, 2]

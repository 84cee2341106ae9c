"""Labelled slices and volumes in memory, their augmentation, and reading by name."""

from dataclasses import replace

import numpy as np
import pytest
from seg.checks import raises, refused

from zoo_opt_seg.data import DataError
from zoo_opt_seg.data.slice_augmentation import augment_slices
from zoo_opt_seg.data.volumes import LabelledSlices, Volume, VolumeSplits, load_volumes, resized, slices_of


def some(n: int = 4, size: int = 8, seed: int = 0) -> LabelledSlices:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (n, size, size), np.uint8)
    return LabelledSlices(rng.random((n, size, size), np.float32), labels, tuple("abcdefgh"[:n]), ("liver", "spleen"))


def test_slices_are_indexed_as_samples_are() -> None:
    slices = some()
    assert len(slices) == 4 and slices[1:3].names == ("b", "c") and slices[np.array([3, 0])].names == ("d", "a")
    assert slices[slices.labels[:, 0, 0] < 9].names == slices.names
    assert (slices[[2]].images == slices.images[2:3]).all() and len(slices[[]]) == 0
    assert slices.present().shape == (4, 2) and slices.present().all()


test_what_is_wrong_with_slices = refused(
    lambda **change: replace(some(), **change),
    ({"images": np.zeros((4, 8, 8))}, TypeError, "images must be an array of float32, got float64"),
    ({"labels": np.zeros((4, 8, 8), bool)}, TypeError, "labels must be an array of uint8, got bool"),
    ({"labels": np.zeros((4, 8, 9), np.uint8)}, ValueError, r"labels must have the shape \(4, 8, 8\) of images"),
    ({"images": np.full((4, 8, 8), 40.0, np.float32)}, ValueError, r"images must have values in \[0, 1\], got 40"),
    ({"images": np.full((4, 8, 8), np.nan, np.float32)}, ValueError, r"images must have values in \[0, 1\]"),
    ({"labels": np.full((4, 8, 8), 3, np.uint8)}, ValueError, "labels must be at most 2, the number of classes"),
    ({"names": ("a",)}, ValueError, "names must be 4, one per image, got 1"),
    ({"classes": ("liver", "liver")}, ValueError, "classes must be 1 to 255 different names"),
    ({"classes": "liver"}, ValueError, "classes must be 1 to 255 different names"),
)


def test_volume_knows_its_spacing_or_says_so() -> None:
    image, label = some().images, some().labels
    assert Volume("v", image, label, (5, 1, 1)).millimetres() == (5.0, 1.0, 1.0)
    raises(DataError, r"a/v\.h5: the volume has no spacing", Volume("v", image, label, None, "a/v.h5").millimetres)
    raises(DataError, r"^v: the volume has no spacing", Volume("v", image, label).millimetres)
    for spacing in ((1, 1), (1, 0, 1), (1, float("nan"), 1), 3.0):
        raises(ValueError, "spacing must be three numbers > 0", Volume, "v", image, label, spacing)


def test_splits_hold_one_set_of_classes() -> None:
    volume = Volume("v", some().images, some().labels)
    assert VolumeSplits("set", ("liver", "spleen"), some(), some(2), [volume]).test == (volume,)
    raises(ValueError, "train must have the classes", VolumeSplits, "set", ("liver", "kidney"), some(), some(2), ())
    with pytest.raises(TypeError, match="validation must be LabelledSlices, got tuple"):
        VolumeSplits("set", ("liver", "spleen"), some(), (), ())
    wrong = Volume("w", some().images, np.full((4, 8, 8), 7, np.uint8))
    with pytest.raises(ValueError, match="test must have labels up to 2, got 7 in w"):
        VolumeSplits("set", ("liver", "spleen"), some(), some(2), (wrong,))


def test_slices_of_volumes_are_numbered() -> None:
    volumes = [Volume(name, some(n).images, some(n).labels) for name, n in (("x", 2), ("y", 3))]
    slices = slices_of(volumes, ("liver", "spleen"))
    assert slices.names == ("x_slice000", "x_slice001", "y_slice000", "y_slice001", "y_slice002")
    assert (slices.images[2:] == volumes[1].image).all()


def test_resizing_keeps_labels_whole() -> None:
    slices = some(2, 8)
    images, labels = resized(slices.images, slices.labels, 12)
    assert images.shape == labels.shape == (2, 12, 12) and set(np.unique(labels)) == {0, 1, 2}
    same, _ = resized(slices.images, slices.labels, 8)
    assert same is slices.images
    half = resized(np.ones((1, 8, 8), np.float32), np.full((1, 8, 8), 2, np.uint8), 4)
    assert (half[0] == 1).all() and (half[1] == 2).all()


@pytest.mark.parametrize("kind", ["released", "turns"])
def test_augmentation_is_a_function_of_seed_and_row(kind: str) -> None:
    slices = some(8, 16)
    first = augment_slices(slices.images, slices.labels, (3, 1), kind)
    again = augment_slices(slices.images, slices.labels, (3, 1), kind)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    alone = augment_slices(slices.images[:2], slices.labels[:2], (3, 1), kind)
    assert (alone[0] == first[0][:2]).all()
    assert (augment_slices(slices.images, slices.labels, (3, 2), kind)[0] != first[0]).any()


def test_label_moves_with_its_image() -> None:
    label = np.zeros((200, 16, 16), np.uint8)
    label[:, 3:7, 2:9] = 2
    image = (label / 2).astype(np.float32)
    for kind in ("released", "turns"):
        images, labels = augment_slices(image, label, 0, kind)
        assert ((images == 1) == (labels == 2)).all()
        different = {found.tobytes() for found in labels}
        assert (len(different) == 8) if kind == "turns" else (5 < len(different) <= 44)
    turned = sum((found == label[0]).all() for found in augment_slices(image, label, 0)[1])
    assert 25 < turned < 85  # a quarter of 200 is left as it is


def test_augmentation_errors() -> None:
    with pytest.raises(ValueError, match="kind must be one of released, turns, got 'paper'"):
        augment_slices(some().images, some().labels, 0, "paper")
    with pytest.raises(ValueError, match="images must be square to be turned, got 8 x 6"):
        augment_slices(some().images[:, :, :6], some().labels[:, :, :6], 0)


test_loading_by_name_says_what_is_wrong = refused(
    load_volumes,
    ("lits", "name must be one of ct, synapse, got 'lits'"),
    ("synapse", "root must be the folder of 'synapse', which is read from disk, got None"),
    (("ct", "."), "root must be None for 'ct', which is drawn, got '.'"),
    ({"name": "ct", "patients": 3}, r"options must be those of 'ct': .*'patients'"),
)

"""Dice and HD95 per class of volumes: against medpy, against scipy alone, and where something is empty."""

import math

import numpy as np
import pytest
from scipy import ndimage
from seg.checks import raises
from seg.measures.test_metrics import directed

from zoo_opt_seg.data import DataError
from zoo_opt_seg.data.volumes import Volume
from zoo_opt_seg.measures.evaluation_volumes import evaluate_volumes, predict_volume
from zoo_opt_seg.measures.metrics_volumes import volume_dice, volume_hd95

SPACING = (5.0, 0.7, 0.9)


def labels(seed: int, shape: tuple[int, int, int] = (8, 20, 24), classes: int = 3) -> np.ndarray:
    """Smooth random regions."""
    fields = np.random.default_rng(seed).standard_normal((classes + 1, *shape))
    return np.stack([ndimage.gaussian_filter(field, (1, 3, 3)) for field in fields]).argmax(axis=0).astype(np.uint8)


@pytest.mark.parametrize("spacing", [None, SPACING])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_scipy(seed: int, spacing: tuple[float, float, float] | None) -> None:
    p, t = labels(seed), labels(seed + 10)
    dice, hd95 = volume_dice(p, t, 3), volume_hd95(p, t, 3, spacing=spacing)
    for k in (1, 2, 3):
        a, b = p == k, t == k
        assert dice[k - 1] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        both = [np.percentile(directed(x, y, spacing or (1.0, 1.0, 1.0)), 95) for x, y in ((a, b), (b, a))]
        assert hd95[k - 1] == pytest.approx(max(both), abs=1e-5)


def test_against_medpy() -> None:
    """The same Dice; its HD95 is the percentile over both directions together, which lies below ours."""
    binary = pytest.importorskip("medpy.metric.binary")
    p, t = labels(0), labels(10)
    dice, hd95 = volume_dice(p, t, 3), volume_hd95(p, t, 3, spacing=SPACING)
    one_way = getattr(binary, "__surface_distances")
    for k in (1, 2, 3):
        a, b = p == k, t == k
        assert dice[k - 1] == pytest.approx(binary.dc(a, b))
        ours = max(np.percentile(one_way(x, y, SPACING), 95) for x, y in ((a, b), (b, a)))
        assert hd95[k - 1] == pytest.approx(ours, abs=1e-5)
        assert binary.hd95(a, b, voxelspacing=SPACING) <= hd95[k - 1] + 1e-5


def test_shift_along_each_axis_in_mm() -> None:
    cube = np.zeros((9, 20, 20), np.uint8)
    cube[3:6, 4:12, 4:12] = 1
    for axis, step in enumerate(SPACING):
        assert volume_hd95(np.roll(cube, 2, axis), cube, 1, spacing=SPACING)[0] == pytest.approx(2 * step)
        assert volume_hd95(np.roll(cube, 2, axis), cube, 1)[0] == pytest.approx(2.0)


def test_object_at_the_border_of_the_volume() -> None:
    """Cutting to the box of both masks changes nothing: outside the volume counts as background."""
    p, t = np.zeros((2, 4, 10, 10), np.uint8)
    p[:, :5, :5], t[:, :4, :6] = 1, 1
    both = [np.percentile(directed(a == 1, b == 1, SPACING), 95) for a, b in ((p, t), (t, p))]
    assert volume_hd95(p, t, 1, spacing=SPACING)[0] == pytest.approx(max(both), abs=1e-5)


def test_conventions_for_absent_classes() -> None:
    """Class 1 in both, 2 in the prediction alone, 3 in the truth alone, 4 in neither."""
    p, t = np.zeros((2, 4, 6, 8), np.uint8)
    p[1, 1:3, 1:3] = t[1, 1:3, 1:3] = 1
    p[2, 4:, 4:], t[2, :2, 5:] = 2, 3
    diagonal = math.sqrt((4 * 5.0) ** 2 + (6 * 0.7) ** 2 + (8 * 0.9) ** 2)
    assert volume_dice(p, t, 4).tolist() == [1, 0, 0, 1]
    assert volume_hd95(p, t, 4, spacing=SPACING) == pytest.approx([0, diagonal, diagonal, 0])
    assert volume_hd95(p, t, 4)[1] == pytest.approx(math.sqrt(16 + 36 + 64))
    assert volume_dice(p, t, 4, empty="released").tolist() == [1, 1, 0, 0]
    assert volume_hd95(p, t, 4, spacing=SPACING, empty="released").tolist() == [0, 0, 0, 0]


def test_no_distance_exceeds_the_diagonal() -> None:
    p, t = np.zeros((2, 3, 5, 7), np.uint8)
    p[0, 0, 0], t[-1, -1, -1] = 1, 1
    assert volume_hd95(p, t, 1, spacing=SPACING)[0] < math.hypot(3 * 5.0, 5 * 0.7, 7 * 0.9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"predicted": np.zeros((2, 4, 4), np.int64)}, TypeError, "predicted must be an array of uint8, got int64"),
        ({"truth": np.zeros((2, 4, 5), np.uint8)}, ValueError, "predicted must have the shape"),
        ({"predicted": np.full((2, 4, 4), 3, np.uint8)}, ValueError, "predicted must have labels up to 2, got 3"),
        ({"classes": 0}, ValueError, "classes must be >= 1"),
        ({"empty": "medpy"}, ValueError, "empty must be one of stated, released, got 'medpy'"),
    ],
)
def test_errors(change: dict, error: type, message: str) -> None:
    given = {"predicted": np.zeros((2, 4, 4), np.uint8), "truth": np.zeros((2, 4, 4), np.uint8), "classes": 2}
    given |= change
    options = {"empty": given.pop("empty")} if "empty" in given else {}
    for measure in (volume_dice, volume_hd95):
        raises(error, message, measure, *given.values(), **options)
    with pytest.raises(ValueError, match="spacing must be three numbers > 0"):
        volume_hd95(given["truth"], given["truth"], 2, spacing=(1.0, 1.0))


# ------------------------------------------------------------------------------------------------ evaluation


def volumes(spacing: tuple[float, float, float] | None = SPACING) -> list[Volume]:
    return [Volume(f"v{i}", (labels(i) / 3).astype(np.float32), labels(i), spacing, f"v{i}.h5") for i in range(3)]


def perfect(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 3).astype(np.uint8)


def test_evaluation_goes_slice_by_slice() -> None:
    sizes: list[int] = []

    def predict(images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        found = perfect(images)
        found[found == 2] = 0
        return found

    result = evaluate_volumes(predict, volumes(), ("a", "b", "c"), batch=3)
    assert sizes == [3, 3, 2] * 3 and result.unit == "mm" and result.names == ("v0", "v1", "v2")
    assert result.dice.tolist() == [[1, 0, 1]] * 3
    diagonal = math.hypot(8 * 5.0, 20 * 0.7, 24 * 0.9)
    assert result.per_class()["b"] == (0.0, pytest.approx(diagonal)) and result.per_class()["a"] == (1.0, 0.0)
    summary = result.summary()
    assert summary["dice"] == pytest.approx(2 / 3) and summary["hd95"] == pytest.approx(diagonal / 3)
    assert summary["dice_sd"] == 0.0 and summary["images"] == 3
    assert result.per_image("hd95") == pytest.approx([diagonal / 3] * 3) and summary["iou"] == pytest.approx(2 / 3)
    assert result.iou.tolist() == [[1, 0, 1]] * 3
    raises(ValueError, "measure must be one of dice, iou, hd95, got 'volume'", result.per_image, "volume")


def test_volume_without_spacing_is_measured_in_voxels_only() -> None:
    calls: list[int] = []

    def predict(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return perfect(images)

    mixed = [*volumes()[:2], volumes(None)[2]]
    with pytest.raises(DataError, match=r"^v2.h5: the volume has no spacing, so nothing in it is measured in mm$"):
        evaluate_volumes(predict, mixed, ("a", "b", "c"))
    assert not calls
    assert evaluate_volumes(predict, mixed, ("a", "b", "c"), unit="voxel").hd95.max() == 0


def test_evaluation_errors() -> None:
    with pytest.raises(ValueError, match="unit must be 'mm' or 'voxel'"):
        evaluate_volumes(perfect, volumes(), ("a", "b", "c"), unit="pixel")
    raises(ValueError, "volumes must be at least one", evaluate_volumes, perfect, [], ("a",))
    with pytest.raises(TypeError, match=r"predict must return labels, uint8 \(8, 20, 24\), got float32"):
        predict_volume(lambda images: images, volumes()[0])

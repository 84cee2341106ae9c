"""Synapse in TransUNet's form: a written folder in its layout, and every error with the file's name."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from seg.checks import raises

from zoo_opt_seg.data import DataError
from zoo_opt_seg.data.loaders.synapse import CLASSES, splits
from zoo_opt_seg.data.volumes import VolumeSplits, load_volumes
from zoo_opt_seg.measures.evaluation_volumes import evaluate_volumes

TRAIN = ("case0005", "case0006", "case0007", "case0009")
TEST = ("case0001", "case0008")
SIZE, DEPTH = 16, 5


def pair(seed: int, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Image and label, both float32 as in the files."""
    rng = np.random.default_rng(seed)
    return {"image": rng.random(shape, np.float32), "label": rng.integers(0, 9, shape).astype(np.float32)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    slices, volumes, lists = (tmp_path / name for name in ("train_npz", "test_vol_h5", "lists/lists_Synapse"))
    for folder in (slices, volumes, lists):
        folder.mkdir(parents=True)
    names = [f"{case}_slice{i:03d}" for case in TRAIN for i in range(3)]
    for seed, name in enumerate(names):
        np.savez(slices / f"{name}.npz", **pair(seed, (SIZE, SIZE)))
    for seed, name in enumerate(TEST):
        write_volume(volumes / f"{name}.npy.h5", pair(100 + seed, (DEPTH, SIZE, SIZE)))
    (lists / "train.txt").write_text("\n".join(reversed(names)) + "\n")
    (lists / "test_vol.txt").write_text("\n".join(TEST) + "\n")
    return tmp_path


def write_volume(path: Path, arrays: dict[str, np.ndarray], spacing: tuple[float, ...] | None = None) -> None:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key] = array
        if spacing:
            file.attrs["spacing"] = spacing


def cases(found: VolumeSplits) -> list[set[str]]:
    return [{name[:8] for name in part.names} for part in (found.train, found.validation)]


def test_layout(root: Path) -> None:
    found = load_volumes("synapse", root, validation=1)
    assert found.classes == CLASSES and len(found.train) == 9 and len(found.validation) == 3
    train, validation = cases(found)
    assert train | validation == set(TRAIN) and not train & validation
    assert [volume.name for volume in found.test] == list(TEST)
    volume = found.test[0]
    assert volume.image.shape == (DEPTH, SIZE, SIZE) and volume.spacing is None
    assert volume.file.endswith("case0001.npy.h5")
    expected = pair(100, (DEPTH, SIZE, SIZE))
    assert (volume.image == expected["image"]).all() and (volume.label == expected["label"]).all()
    row = found.train.names.index(sorted(found.train.names)[0])
    with np.load(root / "train_npz" / f"{found.train.names[row]}.npz") as file:
        assert (found.train.images[row] == file["image"]).all() and (found.train.labels[row] == file["label"]).all()


def test_cases_held_out_are_the_seeds(root: Path) -> None:
    assert cases(splits(root, seed=0)) == cases(splits(root, seed=0))
    assert len({frozenset(cases(splits(root, seed=seed, validation=1))[1]) for seed in range(30)}) == len(TRAIN)
    nothing = splits(root, validation=0)
    assert len(nothing.train) == 12 and len(nothing.validation) == 0
    raises(DataError, "4 of 4 cases cannot be held out", splits, root, validation=4)


def test_slices_are_resized_and_volumes_are_not(root: Path) -> None:
    found = load_volumes("synapse", root, size=8)
    assert found.train.images.shape[1:] == (8, 8) and found.test[0].image.shape[1:] == (SIZE, SIZE)


def test_without_lists_all_files_are_taken(root: Path) -> None:
    for name in ("train.txt", "test_vol.txt"):
        (root / "lists/lists_Synapse" / name).unlink()
    (root / "lists/lists_Synapse").rmdir()
    assert len(splits(root, validation=0).train) == 12
    np.savez(root / "train_npz/case0001_slice000.npz", **pair(0, (SIZE, SIZE)))
    raises(DataError, "case0001 is a test case too", splits, root)


def test_lists_may_lie_elsewhere_and_name_a_part(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.txt").write_text("case0005_slice001\ncase0006_slice000\n")
    (other / "test_vol.txt").write_text("case0008\n")
    found = splits(root, lists=other, validation=0)
    assert found.train.names == ("case0005_slice001", "case0006_slice000") and len(found.test) == 1


# ------------------------------------------------------------------------------------------------ spacing


def nifti(path: Path, size: tuple[int, ...], zooms: tuple[float, ...]) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros(size, np.int16), np.diag([*zooms, 1.0])), path)


def test_spacing_of_each_kind(root: Path, tmp_path: Path) -> None:
    wanted = {"case0001": (3.0, 0.8, 0.7), "case0008": (5.0, 0.6, 0.6)}
    table = tmp_path / "spacing.json"
    table.write_text(json.dumps(wanted))
    originals = tmp_path / "img"
    originals.mkdir()
    for name, (thick, down, across) in wanted.items():
        nifti(originals / f"img{name[4:]}.nii.gz", (SIZE, SIZE, DEPTH), (across, down, thick))
    for given in (wanted, table, str(table), originals):
        found = splits(root, spacing=given)
        assert {volume.name: volume.spacing for volume in found.test} == {
            name: pytest.approx(spacing) for name, spacing in wanted.items()
        }
    for name, spacing in wanted.items():
        write_volume(root / f"test_vol_h5/{name}.npy.h5", pair(1, (DEPTH, SIZE, SIZE)), spacing)
    assert splits(root).test[1].spacing == (5.0, 0.6, 0.6)


def test_mm_without_spacing_names_the_file(root: Path) -> None:
    found = splits(root)
    with pytest.raises(DataError, match=r"case0001\.npy\.h5: the volume has no spacing, so nothing in it is measured"):
        evaluate_volumes(lambda images: np.zeros(images.shape, np.uint8), found.test, found.classes)


def test_spacing_errors(root: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "list.json").write_text("[]")
    for given, message in (
        ({"case0001": (3, 1, 1)}, r"case0008\.npy\.h5: the volume has no spacing, there is one for case0001"),
        ({"case0001": (3, 1), "case0008": (3, 1, 1)}, r"case0001\.npy\.h5: spacing must be three numbers > 0"),
        (tmp_path / "none.json", r"none\.json: the file or folder of spacings is missing"),
        (bad, r"bad\.json: the spacings cannot be read"),
        (tmp_path / "list.json", r"list\.json: expected spacings by case"),
        (empty, r"img0001\.nii\.gz: the file is missing, so case0001 has no spacing"),
    ):
        raises(DataError, message, splits, root, spacing=given)
    with pytest.raises(TypeError, match="spacing must be a mapping of cases, or a path, got"):
        splits(root, spacing=[3.0, 1.0, 1.0])  # type: ignore[arg-type]
    raises(ValueError, "size must be >= 1, got -3", splits, root, size=-3)
    nifti(empty / "img0001.nii.gz", (SIZE, SIZE, 7), (1.0, 1.0, 3.0))
    with pytest.raises(DataError, match=r"img0001\.nii\.gz: expected 5 slices, those of case0001, got the size"):
        splits(root, spacing=empty)
    (empty / "img0001.nii.gz").write_bytes(b"no nifti")
    raises(DataError, r"img0001\.nii\.gz: the volume cannot be read", splits, root, spacing=empty)


# ------------------------------------------------------------------------------------------------ errors


SLICE, VOLUME = "train_npz/case0006_slice001.npz", "test_vol_h5/case0008.npy.h5"


def remake(shape: tuple[int, ...], **arrays: np.ndarray | None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        given = {key: array for key, array in {**pair(0, shape), **arrays}.items() if array is not None}
        np.savez(path, **given) if path.suffix == ".npz" else write_volume(path, given)

    return write


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def pickled(path: Path) -> None:
    np.savez(path, image=np.array([{}]), label=np.array([{}]))


def both(what: str, message: str, **changes: Callable[[tuple[int, ...]], np.ndarray | None]) -> list:
    """The same damage of a slice and of a volume."""
    found = []
    for file, shape in ((SLICE, (SIZE, SIZE)), (VOLUME, (DEPTH, SIZE, SIZE))):
        arrays = {key: make(shape) for key, make in changes.items()}
        found.append(pytest.param(file, remake(shape, **arrays), message, id=f"{Path(file).suffix[1:]} {what}"))
    return found


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        *both("label missing", "expected the arrays image and label in it, label is missing", label=lambda s: None),
        *both("image missing", "expected the arrays image and label in it, image is missing", image=lambda s: None),
        *both("other size", "the label has the shape", label=lambda s: np.zeros((*s[:-1], s[-1] + 1))),
        *both("dimensions", "dimensions, got the shape", image=lambda s: np.zeros((1, *s), np.float32)),
        *both("nothing", "dimensions, got the shape", image=lambda s: np.zeros((0,) * len(s), np.float32)),
        *both("HU", "expected an image clipped to", image=lambda s: np.full(s, -125, np.float32)),
        *both("NaN", "expected finite numbers in its image", image=lambda s: np.full(s, np.nan, np.float32)),
        *both("labels", "expected labels 0 to 8, got 13 to 13", label=lambda s: np.full(s, 13.0)),
        *both("half labels", "expected labels 0 to 8, got 0.5 to 0.5", label=lambda s: np.full(s, 0.5)),
        pytest.param(SLICE, Path.unlink, "the file is missing, which .*train.txt lists", id="no slice"),
        pytest.param(VOLUME, Path.unlink, "the file is missing, which .*test_vol.txt", id="no volume"),
        pytest.param(SLICE, lambda path: path.write_bytes(b"x" * 50), "the slice cannot be read", id="no zip"),
        pytest.param(SLICE, lambda path: path.write_bytes(b""), "the slice cannot be read", id="empty npz"),
        pytest.param(VOLUME, lambda path: path.write_bytes(b"x" * 50), "the volume cannot be read", id="no HDF5"),
        pytest.param(SLICE, lambda path: cut(path, 700), "the slice cannot be read", id="cut npz"),
        pytest.param(VOLUME, lambda path: cut(path, 900), "the volume cannot be read", id="cut HDF5"),
        pytest.param(SLICE, pickled, "the slice cannot be read", id="pickle"),
        pytest.param(SLICE, remake((SIZE, 8)), "the slice has 8 x 16 pixels, those before it 16 x 16", id="odd slice"),
    ],
)
def test_a_damaged_file_is_named(root: Path, file: str, damage: Callable[[Path], None], message: str) -> None:
    damage(root / file)
    text = str(raises(DataError, message, splits, root, validation=0))
    assert text.startswith(str(root / file)) and "\n" not in text and text.count(str(root / file)) == 1


def test_missing_folders_and_lists(root: Path) -> None:
    raises(DataError, "the root folder is missing", splits, root / "none")
    raises(DataError, "the folder of lists is missing", splits, root, lists=root / "none")
    (root / "lists/lists_Synapse/train.txt").write_text("")
    raises(DataError, r"train\.txt: expected names of", splits, root)
    (root / "lists/lists_Synapse/train.txt").unlink()
    raises(DataError, r"train\.txt: the list is missing", splits, root)
    (root / "test_vol_h5").rename(root / "volumes")
    raises(DataError, f"^{re.escape(str(root))}: expected a folder 'test_vol_h5' in it", splits, root)


def test_without_h5py_one_sentence_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    raises(ImportError, "h5py is not installed; it comes with the seg extra", splits, root)

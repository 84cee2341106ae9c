"""Writers of the layouts of the sets that text prompts exist for, in a few tiny files."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from seg.layouts import H, W, pairs, picture, saved

SPLITS = {"train": "train.json", "validation": "val.json", "test": "test.json"}


def object_array(value: int = 1, where: int = 1) -> np.ndarray:
    array = np.zeros((H, W), np.uint8)
    array[:, where * W // 4 : (where + 2) * W // 4] = value
    return array


def tif(path: Path, array: np.ndarray) -> Path:
    """A TIF of separate planes that Pillow cannot read."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    planes = np.moveaxis(array, 2, 0) if array.ndim == 3 else np.repeat(array[None], 3, axis=0)
    tifffile.imwrite(path, planes.copy(), photometric="minisblack", planarconfig="separate")
    return path


def write_clinicdb(root: Path) -> Path:
    pairs(root, range(1, 11), "PNG/Original/{}.png", "PNG/Ground Truth/{}.png")
    (root / "metadata.csv").write_text("frame_id,sequence_id\n")
    return root


def write_clinicdb_tif(root: Path) -> Path:
    for i in range(1, 11):
        tif(root / f"CVC-ClinicDB/Original/{i}.tif", np.random.default_rng(i).integers(0, 256, (H, W, 3), np.uint8))
        tif(root / f"CVC-ClinicDB/Ground Truth/{i}.tif", object_array(255))
    return root


def write_bkai(root: Path) -> Path:
    for i in range(10):
        picture(root / f"train/train/{i:032x}.jpeg", i)
        colours = np.zeros((H, W, 3), np.uint8)
        colours[:, : W // 2, i % 2] = 255  # red: neoplastic, green: not
        if i == 0:
            colours[:, W // 2 :, 1] = 255
        colours[..., 2] = 100  # noise below the threshold
        saved(root / f"train_gt/train_gt/{i:032x}.jpeg", colours, quality=95)
    picture(root / f"test/test/{99:032x}.jpeg")
    return root


def write_isic2016(root: Path) -> Path:
    for split, numbers in (("Training", range(10)), ("Test", range(20, 24))):
        part = root / f"ISBI2016_ISIC_Part1_{split}"
        pairs(root, numbers, f"{part}_Data/ISIC_{{:07}}.jpg", f"{part}_GroundTruth/ISIC_{{:07}}_Segmentation.png")
    return root


def write_dfuc2022(root: Path) -> Path:
    pairs(root, range(100001, 100011), "DFUC2022_train_images/{}.jpg", "DFUC2022_train_masks/{}.png")
    picture(root / "DFUC2022_test_images/300001.jpg")
    return root


def write_busi(root: Path) -> Path:
    modes = itertools.cycle(("1", "L", "RGB", "RGBA"))
    for kind, n in (("benign", 10), ("malignant", 6), ("normal", 4)):
        for i in range(1, n + 1):
            base = root / f"Dataset_BUSI_with_GT/{kind}/{kind} ({i})"
            picture(base.with_name(f"{base.name}.png"), i)
            mask = object_array(0 if kind == "normal" else 255)
            if i == 2 and kind == "benign":
                mask[:, W // 2 :] = 0
                second = object_array(255)
                second[:, : W // 2] = 0
                Image.fromarray(second).save(base.with_name(f"{base.name}_mask_1.png"))
            Image.fromarray(mask).convert(next(modes)).save(base.with_name(f"{base.name}_mask.png"))
    return root


def nifti(path: Path, array: np.ndarray, spacing: tuple[float, float] = (0.5, 0.25)) -> Path:
    """A NIfTI file of an array (H, W); ``spacing`` down and across."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    down, across = spacing
    image = nibabel.Nifti1Image(array.T, np.diag([across or 1, down or 1, 1, 1]))
    image.header["pixdim"][1:3] = across, down
    image.to_filename(path)
    return path


def metaimage(path: Path, array: np.ndarray, spacing: str = "ElementSpacing = 0.25 0.5 1\n") -> Path:
    """A header and its raw file, (1, H, W) as CAMUS has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n{spacing}"
        f"DimSize = {W} {H} 1\nElementType = MET_UCHAR\nElementDataFile = {path.stem}.raw\n"
    )
    path.with_suffix(".raw").write_bytes(array.astype(np.uint8).tobytes())
    return path


def heart() -> np.ndarray:
    labels = np.zeros((H, W), np.uint8)
    labels[2:8, 4:12], labels[8:12, 4:16], labels[12:16, 2:8] = 1, 2, 3
    return labels


def write_camus_frames(folder: Path, save: Callable[[Path, np.ndarray], Path], ending: str) -> None:
    for k, (view, instant) in enumerate(itertools.product(("2CH", "4CH"), ("ED", "ES"))):
        image = np.random.default_rng(k).integers(0, 256, (H, W), np.uint8)
        save(folder / f"{folder.name}_{view}_{instant}{ending}", image)
        save(folder / f"{folder.name}_{view}_{instant}_gt{ending}", heart())
    (folder / "Info_2CH.cfg").write_text("Sex: F\nAge: 64\n")


def write_camus(root: Path) -> Path:
    for i in range(1, 6):
        write_camus_frames(root / f"database_nifti/patient{i:04}", nifti, ".nii.gz")
    (root / "database_split").mkdir()
    for name, numbers in (("training", (1, 4, 5)), ("validation", (3,)), ("testing", (2,))):
        text = "\n".join(f"patient{i:04}" for i in numbers) + "\n"
        (root / f"database_split/subgroup_{name}.txt").write_text(text)
    return root


def write_camus_mhd(root: Path) -> Path:
    for i in range(1, 11):
        write_camus_frames(root / f"training/patient{i:04}", metaimage, ".mhd")
    (root / "testing/patient0001").mkdir(parents=True)  # without masks, numbered anew
    metaimage(root / "testing/patient0001/patient0001_2CH_ED.mhd", object_array())
    return root


PATHOLOGIES = ["Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Airspace Opacity", "Edema"]
PATHOLOGIES += ["Consolidation", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Support Devices"]


def rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length encoding, written from its description."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    letters = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters += chr(48 + (bits | 32 * more))
    return {"size": list(mask.shape), "counts": letters}


def write_chexlocalize(root: Path) -> Path:
    for part, numbers in (("val", range(64541, 64546)), ("test", range(64741, 64746))):
        entries = {}
        for i in numbers:
            for view in ("view1_frontal", "view2_lateral")[: 1 + i % 2]:
                picture(root / f"CheXpert/{part}/patient{i}/study1/{view}.jpg", i, mode="L")
                present = {PATHOLOGIES[i % 10], "Pleural Effusion"}
                entries[f"patient{i}_study1_{view}"] = {
                    p: rle(object_array(int(p in present), k % 3)) for k, p in enumerate(PATHOLOGIES)
                }
        file = root / f"CheXlocalize/gt_segmentations_{part}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(entries))
    return root


VLSM: dict[str, tuple[Callable[[Path], Path], tuple[int, int, int]]] = {
    "clinicdb": (write_clinicdb, (8, 1, 1)),
    "bkai": (write_bkai, (8, 1, 1)),
    "isic2016": (write_isic2016, (9, 1, 4)),
    "dfuc2022": (write_dfuc2022, (8, 1, 1)),
    "busi": (write_busi, (16, 2, 2)),
    "camus": (write_camus, (36, 12, 12)),
    "chexlocalize": (write_chexlocalize, (20, 4, 8)),
}


def write_texts(folder: Path, splits: Mapping[str, list[tuple[str, str]]]) -> Path:
    """Annotation files of (image, mask) names."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, file in SPLITS.items():
        entries = [
            {"bbox": [0, 0, 1, 1], "cat": 0, "segment_id": Path(image).stem, "img_name": image, "mask_name": mask}
            | {"sentences": [{"idx": 0, "sent_id": k, "sent": ""}], "sentences_num": 1}
            | {"prompts": {"p0": "", "p1": "polyp", "p2": [f"round {image}", f"small {image}"]}}
            for k, (image, mask) in enumerate(splits[split])
        ]
        (folder / file).write_text(json.dumps(entries))
    return folder

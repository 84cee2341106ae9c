"""Text prompts from annotation files: reading, the split that they give, and what is wrong with a file."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from seg.checks import raises
from seg.layouts import LAYOUTS, W, label, picture
from seg.layouts_vlsm import VLSM, metaimage, write_camus_frames, write_clinicdb, write_isic2016, write_texts

from zoo_opt_seg.cli import inputs as cli_inputs
from zoo_opt_seg.data import DataError, Splits, load_data
from zoo_opt_seg.data.texts import FILES, read_texts

FRAMES = ("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")


def parts(splits: Splits) -> dict[str, tuple[str, ...]]:
    return {split: getattr(splits, split).names for split in FILES}


def sizes(splits: Splits) -> list[int]:
    return [len(names) for names in parts(splits).values()]


def named(pattern: str, masks: str | None = None) -> Callable[[object], tuple[str, str]]:
    return lambda i: (pattern.format(i), (masks or pattern).format(i))


def annotations(name: Callable[[object], tuple[str, str]], *numbers: list[object]) -> dict[str, list[tuple[str, str]]]:
    return {split: [name(i) for i in some] for split, some in zip(FILES, numbers, strict=True)}


def test_texts_and_split(tmp_path: Path) -> None:
    root = write_clinicdb(tmp_path / "data")
    write_texts(tmp_path / "prompts/clinicdb_polyp/anns", annotations(named("{}.png"), [9, 2, 4], [7], [3, 10]))
    splits = load_data("clinicdb", root, size=16, texts=tmp_path / "prompts/clinicdb_polyp")
    assert parts(splits) == {"train": ("9", "2", "4"), "validation": ("7",), "test": ("3", "10")}
    assert splits.train.texts is not None
    assert splits.train.texts[0] == (("polyp",), ("round 9.png", "small 9.png"))  # p0 is not there
    assert splits.train[1:].texts == splits.train.texts[1:]
    for place in ("prompts", "prompts/clinicdb_polyp/anns"):  # of several sets, or of the files themselves
        again = load_data("clinicdb", root, size=16, texts=str(tmp_path / place))
        assert parts(again) == parts(splits) and again.test.texts == splits.test.texts
    assert load_data("clinicdb", root, size=16).train.texts is None
    for option in ({"split": "blocks"}, {"fractions": (1, 0, 0)}):
        message = "^(split|fractions) must be left out with texts, whose files hold the split, got "
        raises(ValueError, message, load_data, "clinicdb", root, size=16, texts=tmp_path / "prompts", **option)
    raises(ValueError, "texts must be None for 'skin', which has its own", load_data, "skin", texts=tmp_path)


def test_on_the_command_line(tmp_path: Path) -> None:
    root = write_clinicdb(tmp_path / "data")
    folder = write_texts(tmp_path / "anns", annotations(named("{}.png"), [9, 2, 4], [7], [3, 10]))
    splits = cli_inputs.splits(f"clinicdb:{root}", size=16, options=[f"texts={folder}"])
    assert parts(splits)["train"] == ("9", "2", "4") and splits.test.texts is not None


IDS = [f"{i:032x}" for i in range(4)]
ISIC = named("ISIC_{:07}.jpg", "ISIC_{:07}_Segmentation.png")
CHEST, EFFUSION = "patient{}_study1_view1_frontal", "patient{}_study1_view1_frontal_pleural_effusion"
BY_NUMBER, LESIONS = ("100003", "100001", "100002"), ("benign (2)", "normal (3)", "malignant (1)")
CHESTS = (64541, 64741, 64543)
EFFUSIONS = tuple(map(EFFUSION.format, CHESTS))
CASES = {  # data set: how its files are named, numbers in train, validation and test, samples
    "kvasir": (named("{}.jpg"), [["cju01"], ["cju02"], ["cju03"]], ("cju01", "cju02", "cju03")),
    "bkai": (named("{}.jpeg"), [IDS[:2], IDS[2:3], IDS[3:]], tuple(IDS)),
    "isic2016": (ISIC, [[3], [5], [21]], ("ISIC_0000003", "ISIC_0000005", "ISIC_0000021")),
    "dfuc2022": (named("{}.jpg", "{}.png"), [[100003], [100001], [100002]], BY_NUMBER),
    "busi": (named("{}.png"), [["2_benign"], ["3_normal"], ["1_malignant"]], LESIONS),
    "chexlocalize": (named(f"{CHEST}.jpg", f"{EFFUSION}.png"), [[i] for i in CHESTS], EFFUSIONS),
}


@pytest.mark.parametrize("name", CASES)
def test_names_of_every_set(name: str, tmp_path: Path) -> None:
    naming, numbers, expected = CASES[name]
    folder = write_texts(tmp_path / "anns", annotations(naming, *numbers))
    splits = load_data(name, (LAYOUTS | VLSM)[name][0](tmp_path / "data"), size=16, texts=folder)
    assert tuple(n for names in parts(splits).values() for n in names) == expected
    for part in (splits.train, splits.validation, splits.test):
        assert part.texts is not None and all(len(kinds) == 2 for kinds in part.texts)


@pytest.mark.parametrize("form", ["{}_gt_{}.png", "mask_{1}/{0}_gt.png"])
def test_camus_numbers_its_test_patients_anew(form: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for i in (1, 2, 3):
        write_camus_frames(root / f"training/patient{i:04}", metaimage, ".mhd")
    write_camus_frames(root / "testing/patient0001", metaimage, ".mhd")

    def entries(*numbers: int) -> list[tuple[str, str]]:
        frames = [f"patient{i:04}_{frame}" for i in numbers for frame in FRAMES]
        return [(f"{frame}.png", form.format(frame, k)) for frame in frames for k in (1, 2, 3)]

    files = {"train": entries(2, 3), "validation": entries(1), "test": entries(1)}
    folder = write_texts(tmp_path / "anns", files)
    splits = load_data("camus", root, size=16, texts=folder)
    assert sizes(splits) == [24, 12, 12]
    assert splits.validation.names[0] == "patient0001_2CH_ED-left-ventricle"
    assert splits.test.names[-1] == "testing-patient0001_4CH_ES-left-atrium"
    # The newer release has another numbering: the files cannot be meant for it.
    VLSM["camus"][0](tmp_path / "newer")
    with pytest.raises(DataError, match=r"val\.json: later files have all its samples, are they for another release\?"):
        load_data("camus", tmp_path / "newer", size=16, texts=folder)


def test_samples_that_are_listed_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_texts(tmp_path / "anns", annotations(ISIC, [1, 2, 20, 2], [3, 4], [20, 21]))
    with caplog.at_level(logging.INFO, "zoo_opt_seg.data"):
        splits = load_data("isic2016", write_isic2016(tmp_path / "data"), size=16, texts=folder)
    assert [names[0][-1] for names in parts(splits).values()] == ["1", "3", "0"]
    assert sizes(splits) == [2, 2, 2]
    assert "2 samples are there twice" in caplog.text and "left out: 8 samples without an annotation" in caplog.text


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "anns", annotations(named("{}.png"), [1], [2], [77]))
    with pytest.raises(DataError, match=r"anns, test\.json: 77\.png has no sample '77' in the data$"):
        load_data("clinicdb", write_clinicdb(tmp_path / "data"), size=16, texts=folder)


def test_a_mask_that_is_empty_is_told_first(tmp_path: Path) -> None:
    root = write_clinicdb(tmp_path / "data")
    label(root / "PNG/Ground Truth/2.png", 0)
    folder = write_texts(tmp_path / "anns", annotations(named("{}.png"), [1], [2, 3], [4]))
    raises(DataError, r"2\.png: the mask is empty", load_data, "clinicdb", root, size=16, texts=folder)
    splits = load_data("clinicdb", root, size=16, texts=folder, empty="skip")
    assert splits.validation.names == ("3",) and splits.validation.texts is not None
    assert splits.validation.texts[0][1][0] == "round 3.png"  # texts stay with their image


GOOD = {"img_name": "1.png", "mask_name": "1.png", "prompts": {"p0": "", "p1": "polyp"}}
FIRST = ", entry 0 (1.png): expected"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ": the text prompts cannot be read ("),
        ("{}", ": expected a list of annotations, got {}"),
        ("[]", ": expected a list of annotations, got []"),
        ([GOOD, 7], ", entry 1: expected an object, got 7"),
        ([{**GOOD, "img_name": None}], ", entry 0: expected img_name as a string, got None"),
        ([{**GOOD, "prompts": ["polyp"]}], f"{FIRST} prompts as an object"),
        ([{**GOOD, "prompts": {"p0": ""}}], f"{FIRST} a prompt beside p0, found none"),
        ([{**GOOD, "prompts": {"p1": ""}}], f"{FIRST} p1 as a text or a list of texts, got ''"),
        ([{**GOOD, "prompts": {"p1": ["a", 3]}}], f"{FIRST} p1 as a text or a list of texts"),
        ([{**GOOD, "prompts": {"p2": []}}], f"{FIRST} p2 as a text or a list of texts, got []"),
    ],
)
def test_errors_name_the_file_and_the_entry(content: object, message: str, tmp_path: Path) -> None:
    write_texts(tmp_path / "anns", annotations(named("{}.png"), [1], [2], [3]))
    file = tmp_path / "anns/val.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    said = str(raises(DataError, None, read_texts, tmp_path))
    assert said.startswith(f"{file}{message}") and "\n" not in said


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"anns/train\.json: the file of text prompts is missing"):
        read_texts(tmp_path / "nowhere", "busi")
    write_texts(tmp_path / "anns", annotations(named("{}.png"), [1], [2], [3]))
    (tmp_path / "anns/test.json").unlink()
    raises(DataError, r"anns/test\.json: the file of text prompts is missing", read_texts, tmp_path)


# ------------------------------------------------------------------------------------------------ the published files


@pytest.mark.parametrize(
    ("name", "sizes", "keys"),
    [("clinicdb_polyp", (490, 61, 61), 9), ("busi", (624, 78, 78), 6), ("isic", (810, 90, 379), 9)],
)
def test_published_files(name: str, sizes: tuple[int, ...], keys: int, shared_data: Path) -> None:
    found = read_texts(shared_data / "prompts", name)
    assert tuple(map(len, found.values())) == sizes
    assert {len(annotation.texts) for part in found.values() for annotation in part} == {keys}


def test_published_clinicdb_on_images_of_that_form(tmp_path: Path, shared_data: Path) -> None:
    mask = label(tmp_path / "m.png", size=(W, 4))
    for folder in ("Original", "Ground Truth"):
        (tmp_path / f"PNG/{folder}").mkdir(parents=True)
    for i in range(1, 613):
        Image.new("L", (W, 4), i % 256).save(tmp_path / f"PNG/Original/{i}.png")
        (tmp_path / f"PNG/Ground Truth/{i}.png").hardlink_to(mask)
    assert sizes(load_data("clinicdb", tmp_path, size=4, texts=shared_data / "prompts")) == [490, 61, 61]


def test_published_busi_and_isic_on_images_of_that_form(tmp_path: Path, shared_data: Path) -> None:
    """Every published name has its record; the ISIC files have one image twice, and three of the test in train."""
    one, mask = picture(tmp_path / "one.png", size=(4, 4)), label(tmp_path / "mask.png", size=(4, 4))
    for kind, n in (("benign", 437), ("malignant", 210), ("normal", 133)):
        place = tmp_path / f"busi/Dataset_BUSI_with_GT/{kind}"
        place.mkdir(parents=True)
        for i in range(1, n + 1):
            (place / f"{kind} ({i}).png").hardlink_to(one)
            (place / f"{kind} ({i})_mask.png").hardlink_to(mask)
    splits = load_data("busi", tmp_path / "busi", size=2, texts=shared_data / "prompts")
    assert sizes(splits) == [624, 78, 78]

    found = read_texts(shared_data / "prompts", "isic")
    test = {annotation.image for annotation in found["test"]}
    for split, annotated in found.items():
        official = "Test" if split == "test" else "Training"
        for annotation in annotated:
            if split != "test" and annotation.image in test:
                continue
            for kind, name, file in (("Data", annotation.image, one), ("GroundTruth", annotation.mask, mask)):
                path = tmp_path / f"isic/ISBI2016_ISIC_Part1_{official}_{kind}/{name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.hardlink_to(file)
    splits = load_data("isic2016", tmp_path / "isic", size=2, texts=shared_data / "prompts")
    assert sizes(splits) == [806, 90, 379]

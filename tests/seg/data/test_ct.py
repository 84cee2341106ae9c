"""The drawn CT: a function of its seed, with stable anatomy, random shape, spacing and a window."""

import numpy as np
import pytest
from seg.checks import raises

from zoo_opt_seg.data.synthetic import ct
from zoo_opt_seg.data.volumes import Volume, load_volumes

LIVER, SPLEEN, STOMACH, AORTA, LEFT, RIGHT, BLADDER = (
    ct.CLASSES.index(name) + 1
    for name in ("liver", "spleen", "stomach", "aorta", "left kidney", "right kidney", "gallbladder")
)


@pytest.fixture(scope="module")
def cases() -> list[Volume]:
    return [ct.volume(0, number, 64) for number in range(8)]


def test_a_case_is_a_function_of_seed_and_number(cases: list[Volume]) -> None:
    again = ct.volume(0, 3, 64)
    assert (again.image == cases[3].image).all() and (again.label == cases[3].label).all()
    assert again.spacing == cases[3].spacing and again.name == "ct0_case0003"
    assert ct.volume(1, 3, 64).image.shape != again.image.shape or (ct.volume(1, 3, 64).image != again.image).any()


def test_window_and_spacing(cases: list[Volume]) -> None:
    for case in cases:
        assert case.image.dtype == np.float32 and case.image.min() == 0 and case.image.max() <= 1
        thick, down, across = case.millimetres()
        assert 6 <= thick <= 8.5 and down == across and 270 < down * 64 < 500  # mm
        assert 18 <= len(case.image) <= 40
        assert (case.image[:, :3] < 0.05).mean() > 0.99  # air around the body
    assert len({case.spacing for case in cases}) == len(cases)


def volume_ml(case: Volume, label: int) -> float:
    return float((case.label == label).sum() * np.prod(case.millimetres()) / 1000)


def centre(case: Volume, label: int) -> np.ndarray:
    """(z, y, x) as shares of the volume."""
    return np.argwhere(case.label == label).mean(axis=0) / case.label.shape


def test_organs_have_the_sizes_and_places_of_anatomy(cases: list[Volume]) -> None:
    """In millilitres, generously; the patient's right is the image's left, slices go from the feet to the head."""
    for case in cases:
        assert 500 < volume_ml(case, LIVER) < 3500 and 20 < volume_ml(case, SPLEEN) < 1000
        assert 20 < volume_ml(case, AORTA) < 250 and 40 < volume_ml(case, LEFT) < 500
        assert centre(case, LIVER)[2] < 0.5 < centre(case, SPLEEN)[2] and centre(case, STOMACH)[2] > 0.5
        assert centre(case, RIGHT)[2] < centre(case, AORTA)[2] < centre(case, LEFT)[2]
        assert centre(case, STOMACH)[1] < centre(case, SPLEEN)[1] and centre(case, LIVER)[0] > centre(case, RIGHT)[0]
    volumes = [volume_ml(case, LIVER) for case in cases]
    assert max(volumes) > 1.2 * min(volumes)


def test_all_organs_are_there_but_for_some_gallbladders() -> None:
    absent = 0
    for number in range(30):
        present = set(np.unique(ct.volume(2, number, 32).label)) - {0}
        assert present >= set(range(1, 9)) - {BLADDER}
        absent += BLADDER not in present
    assert 0 < absent < 10


def test_organs_are_brighter_than_fat_and_noisy(cases: list[Volume]) -> None:
    for case in cases:
        liver = case.image[case.label == LIVER]
        assert 0.4 < np.median(liver) < 0.7 and 0.02 < liver.std() < 0.15


def test_splits_are_by_case() -> None:
    splits = load_volumes("ct", size=32, seed=4, cases=(2, 1, 2))
    assert splits.classes == ct.CLASSES and len(splits.test) == 2
    of = [{name.split("_slice")[0] for name in part.names} for part in (splits.train, splits.validation)]
    of.append({volume.name for volume in splits.test})
    numbers = [sorted(int(name.removeprefix("ct4_case")) for name in names) for names in of]
    assert numbers == [[0, 1], [2], [3, 4]]
    assert splits.train.images.shape[1:] == (32, 32) and splits.test[0].spacing is not None


def test_too_small_a_size_is_refused() -> None:
    raises(ValueError, "size must be >= 32", ct.volume, 0, 0, 16)


@pytest.mark.parametrize(("cases", "said"), [((1, 1), "must be three numbers"), ((1, 0, 1), "must be >= 1, got 0")])
def test_cases_are_three_numbers(cases: tuple[int, ...], said: str) -> None:
    raises(ValueError, f"cases {said}", load_volumes, "ct", size=32, cases=cases)

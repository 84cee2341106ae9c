"""The protocol and its wrappers: what is checked, what is counted, what the budget stops, what is cached."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import raises, refused
from seg.prompt_fakes import Recorded

from zoo_opt_seg.blackbox import BlackBox, Budgeted, BudgetExhausted, Cached, Counted, Hardened, Quantized, as_black_box
from zoo_opt_seg.blackbox.cache import read_mask, write_mask
from zoo_opt_seg.prompts import Prompts

ROOT = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(1)
IMAGES = RNG.random((6, 8, 10, 3), dtype=np.float32)
POINTS = Prompts(points=RNG.random((6, 1, 2)) * 8)


def grey(images: np.ndarray, prompts: Prompts) -> np.ndarray:
    """A model whose answers depend on the image and the prompt, and are exact in float32."""
    scaled = images / np.float32(255) if images.dtype == np.uint8 else images
    return scaled.mean(axis=3, dtype=np.float32) * (np.float32(0.5) + prompts.points[:, :1, :1] % np.float32(0.5))


def watched(hard: bool = False) -> Recorded:
    """A model with a name that keeps what it was asked."""
    return Recorded(lambda *asked: grey(*asked) > 0.3 if hard else grey(*asked), name="watched")


# ------------------------------------------------------------------------------------------------- protocol


def test_any_callable_is_a_black_box() -> None:
    box = as_black_box(grey)
    assert isinstance(box, BlackBox)
    assert box.name is None
    assert np.array_equal(box(IMAGES, POINTS), grey(IMAGES, POINTS))
    assert as_black_box(box) is box
    assert as_black_box(box, name="grey").name == "grey"
    assert as_black_box(watched()).name == "watched"


test_wrong_answers = refused(
    lambda answer: as_black_box(lambda *asked: answer(grey(*asked)))(IMAGES, POINTS),
    (lambda p: p[:, :-1], ValueError, r"must return masks of shape \(6, 8, 10\), got \(6, 7, 10\)"),
    (lambda p: p[:3], ValueError, "must return masks of shape"),
    (lambda p: p[..., None], ValueError, "must return masks of shape"),
    (lambda p: p * np.nan, ValueError, "got NaN"),
    (lambda p: np.where(np.arange(10) == 3, np.nan, p), ValueError, "got NaN"),
    (lambda p: p * 40 - 20, ValueError, r"probabilities in \[0, 1\], got values from"),
    (lambda p: p + np.inf, ValueError, "got values from inf"),
    (lambda p: (p * 255).astype(np.uint8), TypeError, "for bytes return masks > 127"),
    (lambda p: None, TypeError, "must return float probabilities"),
    (lambda p: [p[0], p[1, :2]], TypeError, "must return an array of masks"),
)


@pytest.mark.parametrize(
    "answer",
    [
        lambda p: p.astype(np.float64),
        lambda p: p.astype(np.float16),
        lambda p: list(p),
        lambda p: np.minimum(p, 1 - 1e-7) + 2e-7,
        torch.tensor,
    ],
)
def test_answers_that_are_put_right(answer: object) -> None:
    found = as_black_box(lambda images, prompts: answer(grey(images, prompts)))(IMAGES, POINTS)
    assert found.dtype == np.float32
    assert found.max() <= 1.0
    assert np.allclose(found, grey(IMAGES, POINTS), atol=1e-3)


def test_a_tensor_with_a_gradient_is_no_answer() -> None:
    with pytest.raises(TypeError, match="must return an array of masks, got Tensor: Can't call numpy"):
        as_black_box(lambda images, prompts: torch.ones(images.shape[:3], requires_grad=True))(IMAGES, POINTS)


test_wrong_images = refused(
    lambda images: as_black_box(grey)(images, POINTS),
    (IMAGES * 255, ValueError, r"float images must be in \[0, 1\], got values from"),
    (IMAGES - 0.5, ValueError, "float images must be in"),
    (IMAGES * np.nan, ValueError, "float images must be in"),
    (IMAGES[0], ValueError, r"images must have shape \(n, H, W, 3\), got \(8, 10, 3\)"),
    (IMAGES.transpose(0, 3, 1, 2), ValueError, "images must have shape"),
    (IMAGES.astype(np.int64), TypeError, "images must be a numpy array of uint8"),
    (list(IMAGES), TypeError, "got list"),
)


def test_wrong_prompts() -> None:
    raises(ValueError, "one per image, got 2 for 6 images", as_black_box(grey), IMAGES, POINTS[:2])
    raises(TypeError, "prompts must be a Prompts", as_black_box(grey), IMAGES, POINTS.points)
    raises(TypeError, "fn must be callable", as_black_box, "sam")
    raises(TypeError, "name must be", as_black_box, grey, name="")


# ------------------------------------------------------------------------------------------------- wrappers


def test_counted_counts_images() -> None:
    box = Counted(grey)
    box(IMAGES, POINTS)
    box(IMAGES[:2], POINTS[:2])
    assert box.calls == 8


def test_counted_from_many_threads() -> None:
    box = Counted(lambda images, prompts: np.zeros(images.shape[:3], bool))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: box(IMAGES, POINTS), range(8 * 50)))
    assert box.calls == 8 * 50 * 6


def test_the_budget_stops_before_the_call_that_would_exceed_it() -> None:
    model = watched()
    box = Budgeted(model, 8)
    box(IMAGES, POINTS)
    raises(BudgetExhausted, "6 calls asked for, 2 left of a budget of 8", box, IMAGES, POINTS)
    assert (len(model.asked), box.calls, box.left) == (1, 6, 2)
    box(IMAGES[:2], POINTS[:2])
    assert box.left == 0
    raises(BudgetExhausted, None, box, IMAGES[:1], POINTS[:1])
    assert len(box(IMAGES[:0], POINTS[:0])) == 0


@pytest.mark.parametrize(("calls", "error"), [(-1, ValueError), (2.5, TypeError), (None, TypeError), (True, TypeError)])
def test_a_wrong_budget(calls: object, error: type[Exception]) -> None:
    raises(error, "calls must be", Budgeted, grey, calls)


def test_quantized_gives_bytes() -> None:
    model = watched()
    exact = RNG.integers(0, 256, IMAGES.shape, dtype=np.uint8)
    box = Quantized(model)
    box(IMAGES, POINTS)
    assert model.asked[-1][0].dtype == np.uint8
    assert np.abs(model.asked[-1][0] / 255 - IMAGES).max() <= 0.5 / 255 + 1e-7
    box((exact / 255).astype(np.float32), POINTS)
    assert np.array_equal(model.asked[-1][0], exact)
    box(exact, POINTS)
    assert np.array_equal(model.asked[-1][0], exact)
    assert box.name == "watched+8bit"
    assert Quantized(grey).name is None


def test_hardened_answers_with_bool() -> None:
    assert np.array_equal(Hardened(grey)(IMAGES, POINTS), grey(IMAGES, POINTS) > 0.5)
    assert np.array_equal(Hardened(watched(), 0.3)(IMAGES, POINTS), watched(hard=True)(IMAGES, POINTS))
    assert np.array_equal(Hardened(watched(hard=True), 0.9)(IMAGES, POINTS), watched(hard=True)(IMAGES, POINTS))
    raises(ValueError, "threshold must be in", Hardened, grey, 1.5)


# ---------------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_only_misses_reach_the_model(tmp_path: Path, hard: bool, dtype: type) -> None:
    images = IMAGES if dtype == np.float32 else (IMAGES * 255).astype(np.uint8)
    model = watched(hard)
    box = Cached(model, tmp_path)
    first = box(images[:4], POINTS[:4])
    assert (box.hits, box.misses) == (0, 4)
    second = box(images, POINTS)
    assert model.sizes == [4, 2]
    assert (box.hits, box.misses) == (4, 6)
    assert second.dtype == (np.bool_ if hard else np.float32)
    assert np.array_equal(second, watched(hard)(images, POINTS))
    assert np.array_equal(second[:4], first)
    again = Cached(watched(hard), tmp_path)
    assert np.array_equal(again(images[::-1], POINTS[::-1]), second[::-1])
    assert (again.hits, again.model.fn.asked) == (6, [])


def test_the_key_is_name_image_and_prompt(tmp_path: Path) -> None:
    box = Cached(as_black_box(grey, name="grey"), tmp_path)
    box(IMAGES, POINTS)
    box(IMAGES, POINTS.scaled(0.5, 1))
    assert box.hits == 0
    other = Cached(as_black_box(grey, name="other"), tmp_path)
    other(IMAGES, POINTS)
    assert other.hits == 0
    wide = Cached(as_black_box(grey, name="grey"), tmp_path)
    wide(IMAGES.reshape(6, 10, 8, 3), POINTS)  # the same bytes in another shape
    assert wide.hits == 0
    raises(ValueError, "model must have a name", Cached, grey, tmp_path)


def test_an_image_twice_in_a_call_is_asked_once(tmp_path: Path) -> None:
    model = watched()
    twice = np.concatenate([IMAGES, IMAGES])
    answer = Cached(model, tmp_path)(twice, POINTS.repeat(2))
    assert model.sizes == [6]
    assert np.array_equal(answer, watched()(twice, POINTS.repeat(2)))


def test_an_empty_call(tmp_path: Path) -> None:
    assert Cached(watched(), tmp_path)(IMAGES[:0], POINTS[:0]).shape == (0, 8, 10)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        lambda data: data.replace(b" 8 10 ", b" 10 8 ", 1),
        lambda data: data.replace(b"float32", b"bits", 1),
        lambda data: data.partition(b"\n")[0] + b"\n",
        lambda data: b"\x00" * len(data),
        lambda data: data[40:],
    ],
)
def test_a_corrupt_entry_is_a_miss_and_is_mended(tmp_path: Path, harm: object) -> None:
    box = Cached(watched(), tmp_path)
    answer = box(IMAGES, POINTS)
    for path in tmp_path.glob("*/*.mask"):
        path.write_bytes(harm(path.read_bytes()))
    assert np.array_equal(box(IMAGES, POINTS), answer)
    assert (box.hits, box.misses) == (0, 12)
    assert np.array_equal(box(IMAGES, POINTS), answer)
    assert box.hits == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1, 1e30])
def test_a_kept_mask_that_is_no_probability_is_asked_for_again(tmp_path: Path, value: float) -> None:
    """Such a file has its checksum, so it was written by another program, or on purpose."""
    box = Cached(watched(), tmp_path)
    answer = box(IMAGES, POINTS)
    wrong = answer[0].astype(np.float32)
    wrong[0, 0] = value
    (path, *_) = sorted(tmp_path.glob("*/*.mask"))
    write_mask(path, wrong)
    assert np.array_equal(box(IMAGES, POINTS), answer)
    assert (box.hits, box.misses) == (5, 7)
    assert np.array_equal(box(IMAGES, POINTS), answer)
    assert (box.hits, box.misses) == (11, 7)


def test_a_large_file_in_the_cache_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mask"
    write_mask(path, np.ones((4, 4), np.float32))
    assert read_mask(path, (4, 4)) is not None
    with path.open("ab") as file:
        file.truncate(10**11)
    tracemalloc.start()
    assert read_mask(path, (4, 4)) is None
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_what_a_kill_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    Cached(watched(), tmp_path)(IMAGES, POINTS)
    folder = next(tmp_path.glob("*/"))
    old, new = folder / "1-0-0.tmp", folder / "2-0-0.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    Cached(watched(), tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_full_disk_warns_once_and_the_answers_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Cached(watched(), tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo_opt_seg.blackbox.cache.write_mask", full)
    with pytest.warns(RuntimeWarning, match="masks cannot be kept in .*No space left"):
        answer = box(IMAGES, POINTS)
    assert np.array_equal(box(IMAGES, POINTS), answer)  # a second warning would be an error here


WRITER = """
import sys, numpy as np
from zoo_opt_seg.blackbox import Cached, as_black_box
from zoo_opt_seg.prompts import Prompts
box = Cached(as_black_box(lambda images, prompts: images.mean(axis=3), name="mean"), sys.argv[1])
images = np.random.default_rng(0).random((200, 16, 16, 3), dtype=np.float32)
for _ in range(int(sys.argv[2])):
    assert np.array_equal(box(images, Prompts.nothing(200)), images.mean(axis=3))
print(box.hits, box.misses)
"""


def writer(folder: Path, rounds: int) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(folder), str(rounds)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_processes_share_a_folder(tmp_path: Path) -> None:
    for process in [writer(tmp_path, 3) for _ in range(3)]:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert sum(map(int, out.split())) == 600
    assert len(list(tmp_path.glob("*/*.mask"))) == 200
    assert list(tmp_path.glob("*/*.tmp")) == []


def test_a_kill_leaves_only_whole_entries(tmp_path: Path) -> None:
    for attempt in range(1, 4):
        process = writer(tmp_path, 1)
        while len(list(tmp_path.glob("*/*.mask"))) < 20 * attempt and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kept = len(list(tmp_path.glob("*/*.mask")))
    assert kept >= 60
    out, _ = (process := writer(tmp_path, 1)).communicate(timeout=60)
    assert process.returncode == 0
    assert out.split() == [str(kept), str(200 - kept)]


# ------------------------------------------------------------------------------------------------- together


def test_cached_outside_or_inside_the_budget(tmp_path: Path) -> None:
    paid = Cached(Budgeted(watched(), 6), tmp_path / "a")
    for _ in range(3):
        paid(IMAGES, POINTS)
    assert paid.model.left == 0
    counted = Budgeted(Cached(watched(), tmp_path / "b"), 6)
    counted(IMAGES, POINTS)
    raises(BudgetExhausted, None, counted, IMAGES, POINTS)


def test_a_picture_in_bytes_and_in_floats_is_one_question(tmp_path: Path) -> None:
    box = Cached(watched(), tmp_path)
    levels = np.rint(IMAGES * 255).astype(np.uint8)
    answers = box(levels, POINTS)
    same = levels.astype(np.float32) / np.float32(255)
    assert np.array_equal(box(same, POINTS), answers) and (box.hits, box.misses) == (6, 6)
    same[2, 0, 0, 0] += np.float32(1e-6)
    box(same, POINTS)
    assert (box.hits, box.misses) == (11, 7)


def test_names_pass_through(tmp_path: Path) -> None:
    box = Hardened(Quantized(Budgeted(Cached(Counted(watched()), tmp_path), 9)), 0.25)
    assert box.name == "watched+8bit>0.25"


def test_a_black_box_that_is_no_torch_model_needs_no_torch(run_python: object) -> None:
    run_python("-c", "import sys, zoo_opt_seg.blackbox as b; b.Cached, b.serve; assert 'torch' not in sys.modules")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        __import__("zoo_opt_seg.blackbox").blackbox.nothing  # noqa: B018

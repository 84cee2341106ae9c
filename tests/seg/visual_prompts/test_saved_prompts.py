"""Prompts in files: exact, no damage goes unnoticed, clear errors."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from seg.checks import raises
from seg.prompt_cases import ENCODER, shown, vector
from seg.prompt_fakes import LinearEncoder, Recorded, brightness, points_of, scenes

from zoo_opt_seg import visual_prompts as vp
from zoo_opt_seg.visual_prompts import PROMPTS, FilterPrompt, IPDecoder, PromptFileError, load_prompt, save_prompt


def test_saved_and_loaded(case, tmp_path: Path):
    _, prompt, samples, points = case
    path, x = tmp_path / "prompt.npz", vector(prompt)
    save_prompt(path, prompt, x, {"from": "a test", "dice": 0.5})
    own = ENCODER if prompt.config().get("encoder") else None
    trained = load_prompt(path, encoder=own)
    assert np.array_equal(trained.x, x) and trained.x.dtype == np.float32
    assert trained.prompt.config() == prompt.config() and trained.meta == {"from": "a test", "dice": 0.5}
    images = shown(prompt, x, samples, points)
    assert np.array_equal(trained.apply(samples.images, points), images)
    one = trained.apply(samples.images[1], points[1])
    assert one.shape == images.shape[1:]
    np.testing.assert_allclose(one, images[1], atol=2e-6)
    save_prompt(tmp_path / "again.npz", prompt, x, {"from": "a test", "dice": 0.5})
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert path.stat().st_size < x.nbytes + 4000


def test_predict_sees_the_moved_points(tmp_path: Path):
    prompt, samples = vp.BAR(32), scenes(5)
    points = points_of(samples)
    model = Recorded()
    trained = vp.TrainedPrompt(prompt, prompt.x0(0))
    got = trained.predict(model, samples.images, points, batch=2)
    assert [len(p) for _, p in model.asked] == [2, 2, 1]
    images = trained.apply(samples.images, points)
    np.testing.assert_allclose(got, prompt.restore(brightness(images, prompt.prompts(points)), None, None), atol=1e-6)
    np.testing.assert_allclose(trained.predict(model, samples.images[3], points[3]), got[3], atol=1e-6)
    raises(ValueError, r"^images must hold at least one", trained.predict, model, samples.images[:0], points[:0])


def test_double_precision_is_kept(tmp_path: Path):
    x = np.random.default_rng(0).standard_normal(30)
    save_prompt(tmp_path / "p", FilterPrompt(32), x)
    loaded = load_prompt(tmp_path / "p")
    assert loaded.x.dtype == np.float64 and np.array_equal(loaded.x, x)


def test_no_damage_goes_unnoticed(tmp_path: Path):
    prompt, path = FilterPrompt(32), tmp_path / "p.npz"
    save_prompt(path, prompt, vector(prompt), {"n": 1})
    whole = path.read_bytes()
    original = load_prompt(path)
    noticed = 0
    for i in range(0, len(whole), 3):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            loaded = load_prompt(path)
        except PromptFileError as error:
            assert str(error).startswith(str(path))
            noticed += 1
        else:  # a byte of zip that says nothing, such as a date
            assert np.array_equal(loaded.x, original.x) and loaded.prompt.config() == original.prompt.config()
    assert noticed > 0.2 * len(whole)
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        raises(PromptFileError, "corrupt or truncated", load_prompt, path)


def test_a_prompt_that_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "p.npz"
    np.savez_compressed(path, header=np.zeros(10, np.uint8), x=np.zeros(60 * 10**6, np.uint8))
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", "50000000")
    tracemalloc.start()
    raises(PromptFileError, "p.npz is not a saved prompt.*more than the limit of 50000000", load_prompt, path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def rewritten(path: Path, **changes) -> None:
    """Write the file's header with changes."""
    with np.load(path) as archive:
        values = {key: archive[key] for key in archive.files}
    header = json.loads(values["header"].tobytes()) | changes
    values["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "is a saved prompt of version 2, this zoo_opt_seg reads up to 1"),
        ({"format": "something else"}, "is not a saved prompt$"),
        ({"prompt": "telepathy"}, "holds a prompt 'telepathy', which is none of"),
        ({"config": {"size": 32, "groups": ["image"]}}, r"x has the shape \(30,\), expected \(9,\)"),
        ({"config": {"sizes": 32}}, "does not hold what a prompt 'filter' needs"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, changes, message):
    path = tmp_path / "p.npz"
    save_prompt(path, FilterPrompt(32), np.zeros(30))
    rewritten(path, **changes)
    raises(PromptFileError, message, load_prompt, path)


class Shift(vp.VisualPrompt):
    """One number for all pixels."""

    name, dim = "own-shift", 1

    def forward(self, x, context):
        return context.images + x

    def config(self):
        return {"size": self.size}


OtherShift = type("OtherShift", (Shift,), {"forward": lambda self, x, context: context.images - x})


@pytest.mark.parametrize("within", [False, True])
def test_a_name_that_means_another_class_here(tmp_path: Path, within):
    path = tmp_path / "p.npz"
    try:
        vp.register_prompt(Shift)
        prompt = vp.Views(32, inner=Shift(32)) if within else Shift(32)
        save_prompt(path, prompt, prompt.x0())
        assert type(load_prompt(path).prompt) is type(prompt)
        PROMPTS.remove("own-shift")
        vp.register_prompt(OtherShift)
        message = "'own-shift' of the class .*:Shift, here this name is .*:OtherShift"
        raises(PromptFileError, message, load_prompt, path)
        rewritten(path, classes={})  # as files of earlier releases
        assert np.array_equal(load_prompt(path).x, prompt.x0())
    finally:
        PROMPTS.remove("own-shift")


def test_own_classes_may_move_to_another_module(tmp_path: Path):
    path = tmp_path / "p.npz"
    save_prompt(path, FilterPrompt(32), np.zeros(30))
    rewritten(path, classes={"filter": "zoo_opt_seg.prompts_of_old:FilterPrompt"})
    assert type(load_prompt(path).prompt) is FilterPrompt
    rewritten(path, classes={"filter": "elsewhere:FilterPrompt"})
    raises(PromptFileError, "of the class elsewhere:FilterPrompt", load_prompt, path)


def test_files_that_are_no_prompts(tmp_path: Path):
    path = tmp_path / "p.npz"
    raises(FileNotFoundError, None, load_prompt, path)
    for arrays in ({"x": np.zeros(3)}, {"header": np.array([{"a": 1}], object)}):
        np.savez(path, **arrays)
        raises(PromptFileError, "is not a saved prompt", load_prompt, path)
    path.write_text("hello")
    raises(PromptFileError, "is not a saved prompt", load_prompt, path)


@pytest.mark.parametrize("x", [np.zeros(29), np.full(30, np.nan), np.zeros(30, int)])
def test_vectors_that_are_not_saved(tmp_path: Path, x):
    with pytest.raises(ValueError, match=r"^x must be a finite float array of shape \(30,\)"):
        save_prompt(tmp_path / "p", FilterPrompt(32), x)
    assert not list(tmp_path.iterdir())


def test_encoders_of_ones_own(tmp_path: Path):
    prompt, path = IPDecoder(64, encoder=ENCODER, prompt_in=16), tmp_path / "p"
    save_prompt(path, prompt, prompt.x0(0))
    raises(ValueError, r"^encoder must be given for .* one of the caller's own, 'linear'", load_prompt, path)
    with pytest.raises(ValueError, match=r"^encoder must be 'linear' as at the training .*, got 'linear' of dim 24"):
        load_prompt(path, encoder=LinearEncoder(24))
    raises(ValueError, r"got 'other' of dim 20", load_prompt, path, encoder=LinearEncoder(20, "other"))


def test_point_matrix_comes_from_the_file(tmp_path: Path):
    """Another numpy might draw other normal numbers of the same seed."""
    prompt, path = IPDecoder(64, encoder=ENCODER, prompt_in=16), tmp_path / "p"
    prompt.embedding.matrix = prompt.embedding.matrix + 1
    save_prompt(path, prompt, prompt.x0(0))
    assert np.array_equal(load_prompt(path, encoder=ENCODER).prompt.embedding.matrix, prompt.embedding.matrix)

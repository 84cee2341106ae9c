"""CLIPSeg as a black box: what transformers' processor and model answer, from a folder or a model, and its errors."""

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from seg.checks import raises
from seg.small_clipseg import LETTERS, box, letters, pictures, save_folder, small_clipseg
from torch.nn import functional as F
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import Budgeted, Cached, ClipSegBlackBox, ProcessBlackBox, TinyClipSeg
from zoo_opt_seg.prompts import Prompts

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ("a bright disc", "the polyp", "a bright disc", "something red, on the left!", "the polyp")
TOLD = Prompts(texts=TEXTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("clipseg"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be spoilt; its large vocabulary is a link."""
    made = tmp_path / "copy"
    made.mkdir()
    for file in folder.iterdir():
        (made / file.name).symlink_to(file) if file.name == "tokenizer.json" else shutil.copy(file, made)
    return made


@pytest.mark.parametrize("shape", [(40, 40), (70, 51), (24, 96)])
def test_answers_are_those_of_processor_and_model(folder: Path, shape: tuple[int, int]) -> None:
    images, model = pictures(5, *shape), CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    processor = CLIPSegProcessor.from_pretrained(folder)
    ours = ClipSegBlackBox(folder, batch_size=2)
    for texts, atol in ((TEXTS[:2] + TEXTS[3:4], 0.0), (TEXTS, 5e-6)):  # BLAS rounds as the batch of texts is long
        n = len(texts)
        shown = [Image.fromarray(image) for image in images[:n]]
        inputs = processor(text=list(texts), images=shown, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs).logits[:, None]
            wanted = F.interpolate(logits, shape, mode="bilinear", align_corners=False)[:, 0].sigmoid().numpy()
        assert torch.equal(ours._preparation.inputs(images[:n], True, ours.device), inputs["pixel_values"])
        found = ClipSegBlackBox(folder)(images[:n], Prompts(texts=texts))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)
        np.testing.assert_allclose(ours(images[:n], Prompts(texts=texts)), wanted, rtol=0, atol=5e-6)
    assert found.dtype == np.float32 and found.std() > 0.05 and np.abs(found[0] - found[2]).max() > 0.05


def test_a_model_and_a_tokenizer_instead_of_a_folder(folder: Path) -> None:
    ours = ClipSegBlackBox(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    same = ClipSegBlackBox(model=ours.model, tokenizer=tokenizer, size=40)
    images = pictures(5, 33, 44)
    np.testing.assert_array_equal(same(images, TOLD), ours(images, TOLD))
    assert ours.size == same.size == (40, 40)
    assert ClipSegBlackBox(model=ours.model, tokenizer=tokenizer).size == (32, 32)
    assert ours.name.startswith("small-clipseg-")
    assert same.name == ours.name.replace("small-clipseg", "clipseg") + "+40px"
    long = ("word " * 100, "word " * 200)
    np.testing.assert_array_equal(*same(images[[0, 0]], Prompts(texts=long)))  # cut where the model's places end


def test_the_image_decides_and_the_text_decides() -> None:
    ours, images = box(), pictures(3, 32, 32)
    one = ours(images, Prompts(texts=("disc",) * 3))
    assert np.abs(one[0] - one[1]).max() > 0.05
    other = ours(images, Prompts(texts=("disc", "spot", "disc")))
    np.testing.assert_allclose(other[[0, 2]], one[[0, 2]], atol=1e-6)
    assert np.abs(other[1] - one[1]).max() > 0.05
    with_points = Prompts(points=np.ones((3, 1, 2)), texts=("disc",) * 3)
    np.testing.assert_array_equal(ours(images, with_points), one)  # points are for other models


def test_each_text_is_encoded_once_in_a_call() -> None:
    ours = box(batch_size=2)
    seen = []
    handle = ours.model.clip.text_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    ours(pictures(5, 32, 32), TOLD)
    assert seen == [(3, 2 + 20)]  # three texts of at most 20 letters, before the images' batches
    handle.remove()
    embedded = ours.embed(TEXTS)
    assert embedded.shape == (5, 16) and torch.equal(embedded[0], embedded[2]) and torch.equal(embedded[1], embedded[4])
    encoder = ours.text_encoder
    assert (encoder.name, encoder.dim) == (ours.name, 16)
    np.testing.assert_array_equal(encoder(TEXTS), embedded.detach().numpy())


def test_options() -> None:
    images = pictures(4, 32, 32)
    told = Prompts(texts=("a", "b", "c", "d"))
    plain = box()
    p = plain(images, told)
    floats = images / np.float32(255)
    np.testing.assert_array_equal(plain(floats, told), p)
    faint = (images * np.float32(0.3 / 255)).astype(np.float32)
    np.testing.assert_array_equal(plain(faint, told), plain(np.rint(faint * np.float32(255)).astype(np.uint8), told))
    np.testing.assert_allclose(box(quantize=False)(floats, told), p, atol=1e-5)
    np.testing.assert_array_equal(box(hard=True)(images, told), p > 0.5)
    np.testing.assert_allclose(box(batch_size=3)(images, told), p, atol=1e-5)
    assert np.abs(box(size=48)(images, told) - p).max() > 1e-3  # more patches, their places interpolated
    options = {}, {"quantize": False}, {"hard": True}, {"size": 48}, {"size": 32}, {"name": "x"}
    names = [box(**some).name for some in options]
    assert names[4] == names[0] and len(set(names)) == 5 and names[5] == "x"
    other = plain.around(small_clipseg(seed=1))
    assert other.name != plain.name and plain.text_encoder.name == plain.name != other.text_encoder.name
    assert np.abs(other(images, told) - p).max() > 0.05
    np.testing.assert_array_equal(plain.around(plain.model)(images, told), p)
    assert plain(images[:0], Prompts(texts=())).shape == (0, 32, 32)


def test_logits_have_a_gradient_in_image_text_and_all_weights() -> None:
    ours = box(quantize=False)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    told = Prompts(texts=("disc", "spot", "disc"))
    logits = ours.logits(images, told)
    answer = ours(images.detach().permute(0, 2, 3, 1).numpy(), told)
    np.testing.assert_array_equal(logits.sigmoid().detach().numpy(), answer)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits * weights).sum().backward()
    assert images.grad is not None and (images.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    idle = {name for name, p in ours.model.named_parameters() if p.grad is None or not p.grad.any()}
    unused = ("logit_scale", "visual_projection", "post_layernorm", "k_proj.bias")  # of softmax, a bias of keys is none
    assert {name for name in idle if not any(word in name for word in unused)} == set()

    step = 1e-3 * images.grad / images.grad.norm()
    with torch.no_grad():
        up, down = (float((ours.logits(images + s * step, told) * weights).sum()) for s in (1, -1))
    assert (up - down) / 2e-3 == pytest.approx(float(images.grad.norm()), rel=0.01)


def test_wrappers_and_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, images = box(), pictures(5, 32, 32)
    wanted = ours(images, TOLD)
    cached = Cached(Budgeted(ours, 8), tmp_path)
    np.testing.assert_array_equal(cached(images, TOLD), wanted)
    told = Prompts(texts=(*TEXTS[:3], "new", "words"))
    np.testing.assert_allclose(cached(images, told)[:3], wanted[:3])
    assert (cached.hits, cached.misses, cached.prompted_by) == (3, 7, "text")

    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    code = "from seg.small_clipseg import box; from zoo_opt_seg.blackbox import serve; import torch; "
    code += "torch.set_num_threads(1); serve(box())"
    with ProcessBlackBox([sys.executable, "-W", "ignore", "-c", code], timeout=120) as other:
        assert (other.name, other.prompted_by) == (ours.name, "text")
        np.testing.assert_array_equal(other(images, TOLD), wanted)


def test_the_embedded_clipseg() -> None:
    ours, images = TinyClipSeg(), pictures(2, 96, 96)
    told = Prompts(texts=("a polyp", "the bright disc"))
    ids, attention = ours.tokenizer(told.texts)
    with torch.inference_mode():
        inputs = {
            "pixel_values": ours._preparation.inputs(images, True, ours.device),
            "input_ids": ids,
            "attention_mask": attention,
        }
        logits = ours.model(**inputs).logits[:, None]
        wanted = F.interpolate(logits, (96, 96), mode="bilinear", align_corners=False)[:, 0].sigmoid().numpy()
    np.testing.assert_allclose(ours(images, told), wanted, atol=1e-5)
    assert ours.name.startswith("tiny-clipseg-") and ours.size == (96, 96) and ours.prompted_by == "text"
    assert TinyClipSeg(hard=True).name == ours.name + "+hard"
    assert ours.text_encoder.config() == {"text": "tiny"}
    np.testing.assert_array_equal(ours.text_encoder(told.texts), ours.embed(told.texts).detach().numpy())
    raises(TypeError, "TinyClipSeg has its own model, got tokenizer", TinyClipSeg, tokenizer=letters)


def test_loading_leaves_the_random_state_alone(folder: Path, generators: None) -> None:
    first, second = ClipSegBlackBox(folder), ClipSegBlackBox(str(folder))
    assert first.name == second.name


def test_older_forms_of_a_folder(copy: Path) -> None:
    images = pictures(2, 30, 30)
    told = Prompts(texts=TEXTS[:2])
    before = ClipSegBlackBox(copy)
    state = {**before.model.state_dict(), "clip.text_model.embeddings.position_ids": torch.arange(24)[None]}
    torch.save(state, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    shutil.copytree(copy.resolve().parent / "copy", copy.parent / "split", symlinks=True)
    told_images = json.loads((copy / "processor_config.json").read_text())["image_processor"] | {"size": 40}
    (copy / "processor_config.json").unlink()
    (copy / "preprocessor_config.json").write_text(json.dumps(told_images))
    np.testing.assert_array_equal(ClipSegBlackBox(copy)(images, told), before(images, told))
    (copy / "preprocessor_config.json").unlink()
    assert ClipSegBlackBox(copy).size == (352, 352)  # as the released processor


def edit(file: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_weights(copy: Path, change: Callable[[dict], object]) -> None:
    state = load_file(copy / "model.safetensors")
    change(state)
    save_file(state, copy / "model.safetensors")


def fewer_words(copy: Path) -> None:
    key = "clip.text_model.embeddings.token_embedding.weight"
    edit(copy / "config.json", lambda config: config["text_config"].update(vocab_size=LETTERS))
    edit_weights(copy, lambda state: state.update({key: state[key][:LETTERS].clone()}))


def cut(file: Path) -> None:
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[: len(data) - 60])


def edit_images(copy: Path, **changes: object) -> None:
    edit(copy / "processor_config.json", lambda told: told["image_processor"].update(changes))


SPOIL = {
    "another model": lambda copy: edit(copy / "config.json", lambda c: c["vision_config"].update(hidden_size=64)),
    "another kind": lambda copy: (copy / "config.json").write_text('{"model_type": "clip"}'),
    "a tensor": lambda copy: edit_weights(copy, lambda state: state.pop("decoder.film_mul.bias")),
    "words": fewer_words,
    "size": lambda copy: edit_images(copy, size={"shortest_edge": 40}),
    "bicubic": lambda copy: edit_images(copy, resample=3),
}


def spoil(copy: Path, what: str) -> None:
    """As above, or a file is cut, or absent."""
    if what in SPOIL:
        SPOIL[what](copy)
    elif what.startswith("cut "):
        cut(copy / what[4:])
    else:
        (copy / what).unlink()


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("config.json", FileNotFoundError, "copy has no config.json"),
        ("model.safetensors", FileNotFoundError, "has no weights, neither model.safetensors nor pytorch_model.bin"),
        ("tokenizer.json", FileNotFoundError, "has no tokenizer: tokenizer.json, or vocab.json and merges.txt"),
        ("cut config.json", CheckpointError, "config.json is not JSON, or truncated"),
        ("cut model.safetensors", CheckpointError, "model.safetensors cannot be read, it is truncated"),
        ("cut tokenizer.json", CheckpointError, "has a tokenizer that cannot be read"),
        ("cut processor_config.json", CheckpointError, "processor_config.json is not JSON, or truncated"),
        ("another kind", CheckpointError, "config.json is not of CLIPSeg, its model_type 'clip'"),
        ("another model", CheckpointError, "does not fit the CLIPSeg of its config.json: .* of another shape"),
        ("a tensor", CheckpointError, r"1 tensors missing \(decoder.film_mul.bias\)"),
        ("words", CheckpointError, "has a tokenizer of 49408 words, its model knows 64"),
        ("size", CheckpointError, "processor_config.json does not say how images are prepared"),
        ("bicubic", CheckpointError, "prepares images in another way: its resample is 3, expected 2"),
    ],
)
def test_a_folder_with_something_wrong_is_told_in_one_sentence(copy: Path, what: str, error, message: str) -> None:
    spoil(copy, what)
    assert "\n" not in str(raises(error, message, ClipSegBlackBox, copy))


@pytest.mark.parametrize("name", ["CIDAS/clipseg-rd64-refined", "no/such-model", "./nowhere", "a b"])
def test_a_name_that_is_not_on_this_machine_says_how_to_get_it(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = "is neither a folder nor in the Hugging Face cache .* .hf download CIDAS/"
    raises(FileNotFoundError, message, ClipSegBlackBox, name)


def test_wrong_arguments_and_prompts() -> None:
    raises(ValueError, "model and tokenizer go together", ClipSegBlackBox, model=small_clipseg())
    with pytest.raises(TypeError, match="model must be a CLIPSegForImageSegmentation, got Linear without clip"):
        ClipSegBlackBox(model=torch.nn.Linear(1, 1), tokenizer=letters)
    raises(ValueError, "size must be >= 8", box, size=3)
    ours, images = box(), pictures(2, 32, 32)
    raises(ValueError, "prompts must have texts for CLIPSeg, got none", ours, images, Prompts.nothing(2))
    with pytest.raises(ValueError, match="prompts must have a text in each row for CLIPSeg, got none in row 1"):
        ours(images, Prompts(texts=("a", "")))
    raises(ValueError, "prompts must be one per image, got 1 for 2", ours, images, Prompts(texts=("a",)))
    with pytest.raises(ValueError, match="images must be a float tensor"):
        ours.logits(torch.zeros(2, 32, 32, 3), Prompts(texts=("a", "b")))


def test_importing_it_takes_no_transformers(run_python) -> None:
    code = "import sys, zoo_opt_seg.blackbox.clipseg, zoo_opt_seg.visual_prompts; print('transformers' in sys.modules)"
    assert run_python("-c", code) == "False\n"
    assert "name_or_path" in inspect.signature(ClipSegBlackBox).parameters

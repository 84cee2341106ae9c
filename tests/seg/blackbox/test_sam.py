"""SamBlackBox against SamPredictor, on small random SAMs and on a random vit_b; checkpoints, right and wrong."""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seg.checks import raises, refused
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import Cached, SamBlackBox
from zoo_opt_seg.blackbox.checkpoints import misfit, read_state_dict
from zoo_opt_seg.digests import weights_digest
from zoo_opt_seg.prompts import Prompts

SIDE, PATCH, CHANNELS = 64, 8, 32


def small_sam(side: int = SIDE, seed: int = 0) -> Sam:
    """A random SAM of SAM's own classes, loud enough for masks of many sizes."""
    grid = side // PATCH
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"img_size": side, "patch_size": PATCH, "depth": 2, "embed_dim": 32, "num_heads": 2}
        windows = {"use_rel_pos": True, "window_size": 3, "global_attn_indexes": (1,)}
        norm = partial(torch.nn.LayerNorm, eps=1e-6)
        encoder = ImageEncoderViT(**sizes, **windows, norm_layer=norm, out_chans=CHANNELS)
        prompts = PromptEncoder(CHANNELS, (grid, grid), (side, side), 8)
        transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=2, mlp_dim=64)
        decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer, iou_head_hidden_dim=32)
        sam = Sam(encoder, prompts, decoder)
        for parameter in sam.parameters():
            if parameter.ndim > 1:
                parameter.data *= 1.5
    return sam.eval()


@pytest.fixture(scope="module")
def sam() -> Sam:
    return small_sam()


def pictures(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blocks of colour with noise on them."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (n, 6, 6, 3)).repeat(-(-height // 6), axis=1).repeat(-(-width // 6), axis=2)
    return np.clip(blocks[:, :height, :width] + rng.normal(0, 12, (n, height, width, 3)), 0, 255).astype(np.uint8)


def asked(kinds: str, n: int, height: int, width: int, seed: int = 0) -> Prompts:
    """Prompts of the kinds named: a number of points, "box", "mask"."""
    rng = np.random.default_rng([seed, 1])
    given: dict[str, Any] = {}
    for kind in kinds.split():
        if kind.isdigit():
            given["points"] = rng.random((n, int(kind), 2)) * [width - 1, height - 1]
            given["labels"] = rng.integers(0, 2, (n, int(kind)))
        elif kind == "box":
            a, b = rng.random((2, n, 2)) * [width - 1, height - 1]
            given["boxes"] = np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=1)
        elif kind == "mask":
            given["masks"] = rng.normal(0, 5, (n, 4 * SIDE // PATCH, 4 * SIDE // PATCH))
    return Prompts(**given) if given else Prompts.nothing(n)


def predicted(sam: Sam, images: np.ndarray, prompts: Prompts, masks: str = "single") -> np.ndarray:
    """Logits by SamPredictor, an image and its prompt at a time."""
    pairs = zip(images, prompts, strict=True)
    return np.concatenate([answers(sam, image, [prompt], masks) for image, prompt in pairs])


def answers(sam: Sam, image: np.ndarray, prompts: Iterable[Prompts], masks: str = "single") -> np.ndarray:
    """Logits by SamPredictor of one image, by several prompts."""
    predictor, found = SamPredictor(sam), []
    predictor.set_image(image)
    for one in prompts:
        there = np.zeros((1, 0), bool) if one.labels is None else one.labels >= 0
        logits, quality, _ = predictor.predict(
            point_coords=one.points[there] if there.any() else None,
            point_labels=one.labels[there] if there.any() else None,
            box=None if one.boxes is None or np.isnan(one.boxes).any() else one.boxes[0],
            mask_input=None if one.masks is None or np.isnan(one.masks).any() else one.masks,
            multimask_output=masks == "best",
            return_logits=True,
        )
        found.append(logits[quality.argmax()])
    return np.stack(found)


def check(sam: Sam, images: np.ndarray, prompts: Prompts, **options: Any) -> None:
    wanted = predicted(sam, images, prompts, options.get("masks", "single"))
    assert 0.02 < (wanted > 0).mean() < 0.98  # else the comparison says little
    assert np.array_equal(SamBlackBox(sam=sam, hard=True, batch_size=1, **options)(images, prompts), wanted > 0)
    answer = SamBlackBox(sam=sam, batch_size=4, **options)(images, prompts)
    assert answer.dtype == np.float32
    assert np.allclose(answer, 1 / (1 + np.exp(-wanted)), atol=2e-5)
    masks = SamBlackBox(sam=sam, hard=True, batch_size=4, **options)(images, prompts)
    assert masks.dtype == np.bool_
    sure = np.abs(wanted) > 1e-4  # a batch of another size may end in another last digit
    assert np.array_equal(masks[sure], wanted[sure] > 0)


@pytest.mark.parametrize("masks", ["single", "best"])
@pytest.mark.parametrize("kinds", ["1", "3", "box", "mask", "2 box", "1 mask", "box mask", "2 box mask", ""])
def test_the_same_masks_as_sam_predictor(sam: Sam, kinds: str, masks: str) -> None:
    check(sam, pictures(6, SIDE, SIDE), asked(kinds, 6, SIDE, SIDE), masks=masks)


@pytest.mark.parametrize(("height", "width"), [(64, 40), (33, 64), (200, 120), (97, 151), (20, 31), (64, 65), (1, 9)])
def test_images_of_any_size(sam: Sam, height: int, width: int) -> None:
    check(sam, pictures(3, height, width), asked("2 box", 3, height, width))


def test_a_model_of_another_size() -> None:
    check(small_sam(96, seed=1), pictures(3, 50, 96), asked("1 box", 3, 50, 96))
    check(small_sam(40, seed=2), pictures(3, 96, 96), asked("1", 3, 96, 96))


def test_prompts_that_some_images_lack(sam: Sam) -> None:
    kinds = ["1", "3", "box", "1 box", "mask", "", "2 mask", "box", "1"]
    prompts = Prompts.concatenate([asked(kind, 1, SIDE, SIDE, seed=i) for i, kind in enumerate(kinds)])
    check(sam, pictures(len(kinds), SIDE, SIDE), prompts)


def test_a_model_of_blue_green_red(sam: Sam) -> None:
    other = small_sam()
    other.image_format = "BGR"
    images, prompts = pictures(2, 40, SIDE), asked("1", 2, 40, SIDE)
    check(other, images, prompts)
    assert not np.allclose(SamBlackBox(sam=other)(images, prompts), SamBlackBox(sam=sam)(images, prompts), atol=1e-2)


def test_bytes_and_floats(sam: Sam) -> None:
    images, prompts = pictures(3, SIDE, SIDE), asked("1", 3, SIDE, SIDE)
    floats = (images / 255).astype(np.float32)
    rounded, exact = SamBlackBox(sam=sam), SamBlackBox(sam=sam, quantize=False)
    assert np.array_equal(rounded(floats, prompts), rounded(images, prompts))
    assert np.allclose(exact(floats, prompts), rounded(images, prompts), atol=1e-5)
    nudged = np.clip(floats + np.float32(0.3 / 255), 0, 1)
    assert np.array_equal(rounded(nudged, prompts), rounded(images, prompts))
    assert not np.array_equal(exact(nudged, prompts), exact(floats, prompts))
    big = pictures(2, 150, 100)
    prompts = asked("1", 2, 150, 100)
    assert np.array_equal(rounded((big / 255).astype(np.float32), prompts), rounded(big, prompts))
    assert np.allclose(exact((big / 255).astype(np.float32), prompts), rounded(big, prompts), atol=0.05)


def test_batches_do_not_matter(sam: Sam) -> None:
    images, prompts = pictures(7, SIDE, SIDE), asked("2", 7, SIDE, SIDE)
    one_by_one = np.concatenate([SamBlackBox(sam=sam)(images[i : i + 1], prompts[i]) for i in range(7)])
    for batch_size in (1, 2, 7, 100):
        assert np.allclose(SamBlackBox(sam=sam, batch_size=batch_size)(images, prompts), one_by_one, atol=1e-5)
    order = np.array([3, 1, 6, 0, 5, 2, 4])
    assert np.allclose(SamBlackBox(sam=sam)(images[order], prompts[order]), one_by_one[order], atol=1e-5)
    assert SamBlackBox(sam=sam)(images[:0], prompts[:0]).shape == (0, SIDE, SIDE)


def test_callers_arrays_and_random_state_are_left_alone(sam: Sam, generators: None) -> None:
    images = pictures(2, SIDE, SIDE) / np.float32(255)
    before = images.copy()
    SamBlackBox(sam=sam)(images, asked("1", 2, SIDE, SIDE))
    assert np.array_equal(images, before)


# --------------------------------------------------------------------------------------------------- logits


@pytest.mark.parametrize(("height", "width"), [(SIDE, SIDE), (SIDE, 40), (100, 80)])
@pytest.mark.parametrize("masks", ["single", "best"])
def test_logits_are_those_of_the_black_box(sam: Sam, height: int, width: int, masks: str) -> None:
    box = SamBlackBox(sam=sam, quantize=False, masks=masks)
    images = pictures(3, height, width) / np.float32(255)
    prompts = asked("1 box", 3, height, width)
    logits = box.logits(torch.tensor(images).permute(0, 3, 1, 2), prompts)
    assert logits.shape == (3, height, width)
    assert np.allclose(logits.detach().sigmoid().numpy(), box(images, prompts), atol=1e-5)


def test_the_gradient_of_logits(sam: Sam) -> None:
    box = SamBlackBox(sam=sam)
    prompts = asked("1", 2, 40, SIDE)
    start = torch.tensor(pictures(2, 40, SIDE)).permute(0, 3, 1, 2) / 255
    images = start.clone().requires_grad_()
    (grad,) = torch.autograd.grad(box.logits(images, prompts).sum(), images)
    assert grad.abs().min(dim=1).values.amax() > 0
    along = torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    step = 1e-3
    with torch.no_grad():
        up, down = (box.logits(start + s * step * along, prompts).double().sum() for s in (1, -1))
    assert torch.isclose((up - down) / (2 * step), (grad * along).sum().double(), rtol=0.02)
    for bad in (start[0], start.permute(0, 2, 3, 1), (start * 255).to(torch.uint8)):
        raises(ValueError, "images must be a float tensor", box.logits, bad, prompts)


# ---------------------------------------------------------------------------------------------------- names


def test_names_tell_weights_and_options(sam: Sam, tmp_path: Path) -> None:
    plain = SamBlackBox(sam=sam).name
    assert plain == SamBlackBox(sam=small_sam(), batch_size=3).name
    others = [{"sam": small_sam(seed=3)}, {"hard": True}, {"masks": "best"}, {"quantize": False}]
    assert len({plain, *(SamBlackBox(**{"sam": sam} | other).name for other in others)}) == 5
    assert SamBlackBox(sam=sam, name="mine", hard=True).name == "mine+hard"
    images, prompts = pictures(2, SIDE, SIDE), asked("1", 2, SIDE, SIDE)
    answer = Cached(SamBlackBox(sam=sam), tmp_path)(images, prompts)
    second = Cached(SamBlackBox(sam=small_sam()), tmp_path)
    assert np.array_equal(second(images, prompts), answer)
    assert (second.hits, second.misses) == (2, 0)


def test_the_digest_sees_any_bit() -> None:
    one, other = small_sam(), small_sam()
    assert weights_digest(one) == weights_digest(other)
    other.mask_decoder.iou_token.weight.data[0, 0] += 1e-6
    assert weights_digest(one) != weights_digest(other)


# --------------------------------------------------------------------------------------------------- errors


test_wrong_arguments = refused(
    SamBlackBox,
    ({"model_type": "vit_x", "checkpoint": "x"}, ValueError, "model_type must be one of vit_b, vit_l, vit_h"),
    ({}, ValueError, "checkpoint must be a file with SAM's vit_b weights, got None"),
    ({"checkpoint": "/no/such/file.pth"}, FileNotFoundError, r"checkpoint /no/such/file.pth is not a file"),
    ({"checkpoint": "/"}, FileNotFoundError, "checkpoint / is not a file"),
    ({"sam": small_sam(), "checkpoint": "x"}, ValueError, "exclude each other"),
    ({"sam": torch.nn.Linear(2, 2)}, TypeError, "must be a segment_anything Sam, got Linear without"),
    ({"sam": small_sam(), "masks": "all"}, ValueError, "masks must be 'single' or 'best'"),
    ({"sam": small_sam(), "batch_size": 0}, ValueError, "batch_size must be >= 1"),
)


def test_a_model_of_two_minds_about_its_size() -> None:
    wrong = small_sam()
    wrong.prompt_encoder.input_image_size = (1024, 1024)
    raises(ValueError, r"one image size, got 64 in its image encoder, \(1024, 1024\)", SamBlackBox, sam=wrong)


def test_prompts_that_this_model_cannot_take(sam: Sam) -> None:
    images = pictures(2, SIDE, SIDE)
    with pytest.raises(ValueError, match=r"masks must have this SAM's size \(32, 32\), got \(256, 256\)"):
        SamBlackBox(sam=sam)(images, Prompts(masks=np.zeros((2, 256, 256))))
    raises(ValueError, "got texts alone", SamBlackBox(sam=sam), images, Prompts(texts=("x", "y")))
    raises(ValueError, "one per image", SamBlackBox(sam=sam), images, asked("1", 3, SIDE, SIDE))
    with pytest.raises(ValueError, match="float images must be in"):
        SamBlackBox(sam=sam)(images.astype(np.float32), asked("1", 2, SIDE, SIDE))


# ---------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM's registry with small models in it: its real ones take seconds."""
    monkeypatch.setitem(sam_model_registry, "vit_b", small_sam)
    monkeypatch.setitem(sam_model_registry, "vit_l", partial(small_sam, 96))


def test_a_checkpoint_in_the_official_format(tmp_path: Path, registry: None) -> None:
    trained, path = small_sam(seed=5), tmp_path / "sam_vit_b.pth"
    torch.save(trained.state_dict(), path)
    images, prompts = pictures(2, SIDE, SIDE), asked("1", 2, SIDE, SIDE)
    state = torch.random.get_rng_state()
    box = SamBlackBox("vit_b", path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(box(images, prompts), SamBlackBox(sam=trained)(images, prompts))
    assert box.name == f"vit_b-{weights_digest(trained)[:8]}"
    assert not box.sam.training


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"module.sam.{name}": value for name, value in state.items()},
    ],
)
def test_a_checkpoint_as_training_code_saves_it(tmp_path: Path, registry: None, wrap: Callable[[Any], Any]) -> None:
    trained, path = small_sam(seed=5), tmp_path / "sam_vit_b.pth"
    torch.save(wrap(trained.state_dict()), path)
    assert SamBlackBox("vit_b", path).name == f"vit_b-{weights_digest(trained)[:8]}"


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path: Path, registry: None) -> None:
    state: dict[str, Any] = {"epoch": 3}
    state["model"] = state
    torch.save(state, tmp_path / "sam.pth")
    raises(CheckpointError, "must hold tensors by name", SamBlackBox, "vit_b", tmp_path / "sam.pth")


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: cut(p, 0.5), r"cannot be read, it is truncated or not saved by torch.save"),
        (lambda p: cut(p, 0.999), "cannot be read, it is truncated"),
        (lambda p: cut(p, 0.0), r"\(0 bytes\) cannot be read"),
        (lambda p: p.write_text("<html>404 Not Found</html>"), "cannot be read"),
        (lambda p: torch.save(small_sam(), p), "cannot be read.*UnpicklingError"),
        (lambda p: torch.save(torch.zeros(3), p), "must hold tensors by name, got a Tensor"),
        (lambda p: torch.save({"model": {}, "epoch": 3}, p), "got a dict with keys model, epoch"),
        (lambda p: torch.save({}, p), "must hold tensors by name"),
        (lambda p: torch.save({"a.b": torch.zeros(1)}, p), r"tensors missing \(.*, 1 tensors unknown \(a.b\)"),
        (lambda p: torch.save(small_sam(96).state_dict(), p), r"of another shape \(image_encoder.pos_embed, ...: "),
    ],
)
def test_a_wrong_checkpoint(tmp_path: Path, registry: None, spoil: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "sam.pth"
    torch.save(small_sam().state_dict(), path)
    spoil(path)
    said = str(raises(CheckpointError, message, SamBlackBox, "vit_b", path))
    assert str(path) in said
    assert "\n" not in said


def test_a_checkpoint_of_another_model_type_is_named(
    tmp_path: Path, registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_opt_seg.blackbox.checkpoints.WIDTHS", {"vit_b": 8, "vit_l": 32})
    path = tmp_path / "sam.pth"
    torch.save(small_sam(96).state_dict(), path)
    raises(CheckpointError, r"does not fit SAM vit_b: .*its image encoder is that of vit_l", SamBlackBox, "vit_b", path)


def test_misfit_says_what() -> None:
    state = small_sam().state_dict()
    assert misfit(state, state) == ""
    assert misfit(state, {**state, "x": torch.zeros(1)}) == "1 tensors unknown (x)"


# ------------------------------------------------------------------------------------------- the full vit_b


@pytest.fixture(scope="module")
def vit_b() -> Sam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return sam_model_registry["vit_b"]().eval()


@pytest.mark.slow
def test_vit_b_gives_the_masks_of_sam_predictor(vit_b: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2, 300, 420)
    rng = np.random.default_rng(3)
    ways = [
        Prompts(points=rng.random((2, 2, 2)) * 300, labels=[[1, 0], [1, 1]]),
        Prompts(boxes=[[10, 20, 200, 250], [100, 50, 400, 290]]),
        Prompts(points=rng.random((2, 1, 2)) * 300, masks=rng.normal(0, 5, (2, 256, 256))),
    ]
    asked_of = zip(images, *ways, strict=True)
    wanted = np.concatenate([answers(vit_b, image, prompts) > 0 for image, *prompts in asked_of])
    box, features = SamBlackBox(sam=vit_b, hard=True), []
    encode = box._encode

    def once(pixels: torch.Tensor) -> torch.Tensor:  # both images at once, for the first way; the others are the same
        features.append(encode(pixels) if not features else features[0])
        return features[-1]

    monkeypatch.setattr(box, "_encode", once)
    found = [box(images, prompts) for prompts in ways]
    assert np.array_equal(np.stack(found, axis=1).reshape(-1, 300, 420), wanted)
    assert 0.02 < np.mean(wanted) < 0.98


@pytest.mark.slow
def test_vit_b_from_a_checkpoint_file(vit_b: Sam, tmp_path: Path) -> None:
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(vit_b.state_dict(), path)
    ours, theirs = SamBlackBox("vit_b", path).sam.state_dict(), vit_b.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), theirs.values(), strict=True))
    assert read_state_dict(path).keys() == theirs.keys()
    cut(path, 0.9)
    raises(CheckpointError, "truncated", SamBlackBox, "vit_b", path)
    raises(CheckpointError, "truncated", read_state_dict, path)


# ------------------------------------------------------------------------------------------ the embedded SAM


def test_the_embedded_sam() -> None:
    from zoo_opt_seg.blackbox import TinySam

    box = TinySam(batch_size=4)
    assert box.name.startswith("tiny-")
    assert TinySam(masks="best").name == f"{box.name}+best"
    images, prompts = pictures(6, 96, 96), asked("2", 6, 96, 96)
    assert np.allclose(box(images, prompts), 1 / (1 + np.exp(-predicted(box.sam, images, prompts))), atol=2e-5)
    raises(TypeError, "TinySam has its own model, got checkpoint", TinySam, checkpoint="x")


@pytest.mark.parametrize(("words", "factory"), [([], "TinySam"), (["small"], "SmallSam")])
def test_an_embedded_sam_in_another_process(monkeypatch: pytest.MonkeyPatch, words: list[str], factory: str) -> None:
    from zoo_opt_seg import blackbox
    from zoo_opt_seg.blackbox import ProcessBlackBox

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    here = getattr(blackbox, factory)()
    images, prompts = pictures(3, 96, 96), asked("1", 3, 96, 96)
    with ProcessBlackBox([sys.executable, "-m", "zoo_opt_seg.blackbox.tiny", *words], timeout=120) as there:
        assert there.name == here.name
        assert np.allclose(there(images, prompts), here(images, prompts), atol=1e-6)

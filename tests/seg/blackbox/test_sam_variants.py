"""MobileSAM, MedSAM and half precision: what the official code gives, with weights in the form of its files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seg.blackbox.test_sam import SIDE, asked, pictures, predicted, registry, small_sam  # noqa: F401 (a fixture)
from seg.checks import raises, refused
from seg.official_weights import digest, filled, tiny_vit
from seg.small_clipseg import TEXTS, box
from torch.nn import functional as F

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import SamBlackBox, SmallSam, TinySam
from zoo_opt_seg.blackbox.checkpoints import load_sam
from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.blackbox.sam import medsam
from zoo_opt_seg.blackbox.sams.mobile import TinyVitEncoder, build_mobile_sam, from_official
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.ladder.model import sam_of_size
from zoo_opt_seg.whitebox.sam.lora import LoRASam

# ------------------------------------------------------------------------------------------------- MobileSAM

# Two images of 128 px through the official TinyViT with the weights of `official_weights`: every 85th channel, 3rd row
# and 4th column of its embeddings (mobilesam-mirror 1.0.0, torch 2.15.0; its layers in turn, for its own `forward`
# knows 1,024 px alone), and the mean square of all of them.
EMBEDDED = [
    [[0.7239, 2.2549], [0.0130, -0.6606], [-0.3299, 0.0585]],
    [[-0.4281, -0.4566], [-0.3492, -0.8832], [-0.9038, -0.5051]],
    [[1.5057, 2.1840], [1.5819, 1.1569], [2.4913, 1.2073]],
    [[-0.9029, -3.0152], [-1.3094, -2.5042], [-1.7672, -3.5756]],
]
MEAN_SQUARE = 1.0402756


def encoder_state() -> dict[str, torch.Tensor]:
    return {f"image_encoder.{name}": value for name, value in filled(tiny_vit()).items()}


def test_the_layout_is_that_of_the_official_code() -> None:
    """The digest is of the names and shapes of its image encoder's state dict, which its files are loaded into."""
    assert digest(tiny_vit()) == "3bae6e53e8e0674c"


def test_the_image_encoder_is_the_official_one() -> None:
    encoder = TinyVitEncoder(128)
    ours = {name.removeprefix("image_encoder."): value for name, value in from_official(encoder_state()).items()}
    encoder.load_state_dict(ours)  # all names, no other
    pixels = torch.tensor(np.random.default_rng(0).normal(size=(2, 3, 128, 128)), dtype=torch.float32)
    with torch.inference_mode():
        found = encoder.eval()(pixels)
    assert found.shape == (2, 256, 8, 8)
    np.testing.assert_allclose(found[0, ::85, ::3, ::4], EMBEDDED, atol=2e-4)
    assert found.double().square().mean().item() == pytest.approx(MEAN_SQUARE, rel=1e-5)


@pytest.fixture(scope="module")
def mobile() -> Any:
    """MobileSAM of 128 px with the weights of `official_weights` in its encoder, random ones in the rest."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = build_mobile_sam(128).eval()
    sam.load_state_dict(from_official(encoder_state()), strict=False)
    return sam


@pytest.mark.parametrize("kinds", ["1", "2 box"])
def test_mobile_sam_answers_as_its_predictor(mobile: Any, kinds: str) -> None:
    images, prompts = pictures(2, 100, 128), asked(kinds, 2, 100, 128)
    wanted = predicted(mobile, images, prompts)
    ours = SamBlackBox(sam=mobile)
    np.testing.assert_allclose(ours(images, prompts), 1 / (1 + np.exp(-wanted)), atol=2e-5)
    assert wanted.std() > 1e-3
    pixels = (torch.tensor(images).permute(0, 3, 1, 2) / 255).requires_grad_()  # after a question without gradients
    ours.logits(pixels, prompts).sum().backward()
    assert pixels.grad is not None and pixels.grad.any()
    biases = mobile.image_encoder.body.stages[1].blocks[0].attn.attention_biases
    assert biases.grad is not None and biases.grad.any()


def test_an_official_file_of_mobile_sam(tmp_path: Path, registry: None) -> None:  # noqa: F811
    whole = build_mobile_sam()
    rest = {name: value for name, value in whole.state_dict().items() if not name.startswith("image_encoder.")}
    torch.save({**encoder_state(), **rest}, tmp_path / "mobile_sam.pt")
    loaded = load_sam("vit_t", tmp_path / "mobile_sam.pt").state_dict()
    wanted = from_official({**encoder_state(), **rest})
    assert loaded.keys() == wanted.keys() and all(torch.equal(loaded[name], wanted[name]) for name in wanted)
    assert not any("head" in name for name in loaded if name.startswith("image_encoder."))
    raises(CheckpointError, "its image encoder is that of vit_t", load_sam, "vit_b", tmp_path / "mobile_sam.pt")
    torch.save(small_sam().state_dict(), tmp_path / "vit_b.pth")
    raises(CheckpointError, "does not fit SAM vit_t", load_sam, "vit_t", tmp_path / "vit_b.pth")


def test_what_needs_sams_own_vit_says_so(mobile: Any) -> None:
    raises(ValueError, "SAM's own ViT for LoRA, got a TinyVitEncoder", LoRASam, mobile)
    raises(ValueError, "SAM's own ViT for another size, got a TinyVitEncoder", sam_of_size, mobile, 64)


# ---------------------------------------------------------------------------------------------------- MedSAM


def medsam_inference(sam: Any, image: np.ndarray, box_of: np.ndarray) -> np.ndarray:
    """Probabilities as MedSAM's released inference computes them, of an image that has the model's size already."""
    height, width = image.shape[:2]
    scaled = (image - image.min()) / np.clip(image.max() - image.min(), 1e-8, None)
    pixels = torch.tensor(scaled).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        features = sam.image_encoder(pixels)
        sparse, dense = sam.prompt_encoder(points=None, boxes=torch.tensor(box_of).float()[None], masks=None)
        low, _ = sam.mask_decoder(features, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False)
        return F.interpolate(low.sigmoid(), (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


def test_medsam_answers_as_its_inference() -> None:
    sam, images = small_sam(), pictures(2, SIDE, SIDE)
    images[1] = images[1] // 3 + 40  # of another range
    boxes = np.array([[5.0, 9, 40, 50], [20, 3, 60, 33]])
    wanted = np.stack([medsam_inference(sam, *pair) for pair in zip(images, boxes, strict=True)])
    ours = SamBlackBox(sam=sam, prepared="medsam")
    np.testing.assert_allclose(ours(images, Prompts(boxes=boxes)), wanted, atol=1e-5)
    assert np.abs(SamBlackBox(sam=sam)(images, Prompts(boxes=boxes)) - wanted).max() > 0.05  # it matters
    assert ours.prompted_by == BLACK_BOXES.find("medsam").prompted_by == "boxes"
    assert ours.name.endswith("+medsam") and ours.settings["prepared"] == "medsam"


def test_medsam_stretches_images() -> None:
    sam = small_sam()
    wide = pictures(2, 20, 60)
    answer = SamBlackBox(sam=sam, prepared="medsam")(wide, asked("box", 2, 20, 60))
    assert answer.shape == (2, 20, 60)
    ours = SamBlackBox(sam=sam, prepared="medsam", quantize=False)
    pixels, prompts = torch.tensor(wide).permute(0, 3, 1, 2) / 255, asked("box", 2, 20, 60)
    exact = ours(wide / np.float32(255), prompts)
    np.testing.assert_allclose(ours.logits(pixels, prompts).sigmoid().detach(), exact, atol=1e-5)
    np.testing.assert_allclose(answer, exact, atol=0.05)  # floats are not cut off
    square = F.interpolate(pixels, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
    large = ours(square.permute(0, 2, 3, 1).numpy(), prompts.scaled(SIDE / 60, SIDE / 20))
    small = F.interpolate(torch.tensor(large)[:, None], (20, 60), mode="bilinear", antialias=False)[:, 0]
    assert np.abs(small.numpy() - answer).mean() < 0.05


def test_an_official_file_of_medsam(tmp_path: Path, registry: None) -> None:  # noqa: F811
    """A plain state dict of SAM's vit_b, as released; or in what its training saves."""
    trained = small_sam(seed=5)
    torch.save(trained.state_dict(), tmp_path / "medsam_vit_b.pth")
    torch.save({"model": trained.state_dict(), "optimizer": {}, "epoch": 3}, tmp_path / "medsam_model_best.pth")
    images, prompts = pictures(2, SIDE, SIDE), asked("box", 2, SIDE, SIDE)
    wanted = SamBlackBox(sam=trained, prepared="medsam")(images, prompts)
    for name in ("medsam_vit_b.pth", "medsam_model_best.pth"):
        np.testing.assert_array_equal(medsam(tmp_path / name)(images, prompts), wanted)
        np.testing.assert_array_equal(BLACK_BOXES.find("medsam").make(str(tmp_path / name))(images, prompts), wanted)


# ------------------------------------------------------------------------------------------------- precision

# Greatest difference of a probability; measured, on two kinds of processors: .021 and .040, and .003.
FAR = {"bfloat16": 0.06, "float16": 0.005}


@pytest.mark.parametrize("dtype", FAR)
def test_half_precision_is_close_to_float32(dtype: str) -> None:
    images, prompts = pictures(4, 96, 96), asked("2", 4, 96, 96)
    texts = Prompts(texts=(TEXTS * 2)[:4])
    for make, told in ((TinySam, prompts), (SmallSam, prompts), (box, texts)):
        plain, lowered = make(), make(dtype=dtype)
        wanted, found = plain(images, told), lowered(images, told)
        assert found.dtype == np.float32 and not np.array_equal(found, wanted)
        assert np.abs(found - wanted).max() < FAR[dtype]
        assert lowered.name.endswith(f"+{dtype}") and lowered.name != plain.name
        assert {p.dtype for p in lowered.network.parameters()} == {torch.float32, getattr(torch, dtype)}


def test_half_precision_of_the_others(mobile: Any) -> None:
    images, prompts = pictures(2, 128, 128), asked("1", 2, 128, 128)
    wanted = SamBlackBox(sam=mobile)(images, prompts)
    with torch.random.fork_rng(devices=[]):
        other = build_mobile_sam(128).eval()
    other.load_state_dict(mobile.state_dict())
    lowered = SamBlackBox(sam=other, dtype="bfloat16")
    assert 0 < np.abs(lowered(images, prompts) - wanted).max() < 0.05
    pixels = (torch.tensor(images).permute(0, 3, 1, 2) / 255).requires_grad_()
    lowered.logits(pixels, prompts).sum().backward()
    assert pixels.grad is not None and pixels.grad.dtype == torch.float32 and pixels.grad.any()


test_wrong_words = refused(
    SamBlackBox,
    ({"sam": small_sam(), "dtype": "float64"}, ValueError, "dtype must be one of float32, float16, bfloat16"),
    ({"sam": small_sam(), "prepared": "imagenet"}, ValueError, "prepared must be one of sam, medsam"),
)


def test_a_black_box_that_takes_no_precision() -> None:
    raises(
        ValueError, "a precision of its own, got 'bfloat16'", BLACK_BOXES.find("process").make, "x", "cpu", "bfloat16"
    )

"""SAM, SAM-HQ and SAM 2 of transformers as black boxes: what its processor and model, and the official codes, give."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from seg.blackbox.test_sam import SIDE, asked, cut, pictures, small_sam
from seg.checks import raises, refused
from seg.official_weights import digest, filled, sam_hq
from seg.small_hub_sam import config_of, save_folder, small
from transformers import AutoProcessor, Sam2Model, SamHQModel, SamModel

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox import HubSamBlackBox, SamBlackBox
from zoo_opt_seg.blackbox.checkpoints import load_sam, misfit
from zoo_opt_seg.blackbox.hub import sam_hq as official
from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.prompts import Prompts

MODELS = {"sam": SamModel, "sam_hq": SamHQModel, "sam2": Sam2Model}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save_folder(tmp_path_factory.mktemp("hub"), kind) for kind in MODELS}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of SAM's folder, to be spoilt."""
    return Path(shutil.copytree(folders["sam"], tmp_path / "copy"))


def processed(folder: Path, kind: str, images: np.ndarray, prompts: Prompts, masks: str) -> np.ndarray:
    """Probabilities by transformers' own processor and model, an image at a time."""
    model, processor, found = MODELS[kind].from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder), []
    for image, one in zip(images, prompts, strict=True):
        words: dict[str, Any] = {}
        if one.points is not None:
            words |= {"input_points": [one.points.tolist()], "input_labels": [one.labels.tolist()]}
        if one.boxes is not None:
            words["input_boxes"] = [one.boxes.tolist()]
        inputs = processor(images=Image.fromarray(image), return_tensors="pt", **words)
        kept = {name: value.float() if value.dtype == torch.float64 else value for name, value in inputs.items()}
        sizes = [kept.pop("original_sizes"), *([kept.pop("reshaped_input_sizes")] if kind != "sam2" else [])]
        with torch.inference_mode():
            out = model(**kept, multimask_output=masks == "best")
        large = processor.post_process_masks(out.pred_masks, *sizes, binarize=False)[0]
        found.append(large[0, out.iou_scores[0, 0].argmax()].sigmoid().numpy())
    return np.stack(found)


@pytest.mark.parametrize("masks", ["single", "best"])
@pytest.mark.parametrize("kind", ["sam", "sam2"])  # SAM-HQ of transformers 5.23 is mended, see below
def test_answers_are_those_of_processor_and_model(folders: dict[str, Path], kind: str, masks: str) -> None:
    ours = HubSamBlackBox(folders[kind], masks=masks, batch_size=2)
    for kinds, shape in (("1", (SIDE, SIDE)), ("2 box", (70, 51)), ("box", (24, 96))):
        images, prompts = pictures(3, *shape), asked(kinds, 3, *shape)
        wanted = processed(folders[kind], kind, images, prompts, masks)
        answer = ours(images, prompts)
        assert answer.dtype == np.float32 and wanted.std() > 0.01
        np.testing.assert_allclose(answer, wanted, atol=1e-4)
    assert ours.name.startswith(f"small-{kind}-") and ours.name.endswith("+best") == (masks == "best")


def test_prompts_that_some_images_lack(folders: dict[str, Path]) -> None:
    for kind in MODELS:
        ours, kinds = HubSamBlackBox(folders[kind]), ["1", "3", "box", "1 box", ""]
        prompts = Prompts.concatenate([asked(words, 1, SIDE, SIDE, seed=i) for i, words in enumerate(kinds)])
        images = pictures(len(kinds), SIDE, SIDE)
        one_by_one = [ours(images[i : i + 1], asked(words, 1, SIDE, SIDE, seed=i)) for i, words in enumerate(kinds)]
        np.testing.assert_allclose(ours(images, prompts), np.concatenate(one_by_one), atol=1e-4)


def twin() -> tuple[SamBlackBox, HubSamBlackBox]:
    """One SAM by segment-anything and by transformers, with the same random weights."""
    ours, theirs = small_sam(), small("sam")
    state = official.from_segment_anything(ours.state_dict())
    assert misfit(theirs.state_dict(), state) == ""
    theirs.load_state_dict(state)
    return SamBlackBox(sam=ours, quantize=False), HubSamBlackBox(model=theirs, quantize=False)


@pytest.mark.parametrize("masks", ["single", "best"])
def test_the_same_weights_give_the_same_masks_as_segment_anything(masks: str) -> None:
    ours, theirs = twin()
    ours.masks = theirs.masks = masks
    for kinds in ("1", "3", "box", "mask", "2 box mask", ""):
        for shape in ((SIDE, SIDE), (40, SIDE), (100, 80)):
            images = pictures(3, *shape) / np.float32(255)
            prompts = asked(kinds, 3, *shape)
            wanted = ours(images, prompts)
            np.testing.assert_allclose(theirs(images, prompts), wanted, atol=1e-5)
            assert wanted.std() > 0.005


def test_logits_and_their_gradient() -> None:
    ours, theirs = twin()
    images, prompts = torch.tensor(pictures(2, 40, SIDE)).permute(0, 3, 1, 2) / 255, asked("1", 2, 40, SIDE)
    grads = []
    for one in (ours, theirs):
        pixels = images.clone().requires_grad_()
        logits = one.logits(pixels, prompts)
        np.testing.assert_allclose(
            logits.sigmoid().detach(), one(images.permute(0, 2, 3, 1).numpy(), prompts), atol=1e-5
        )
        grads += torch.autograd.grad(logits.sum(), pixels)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-4)


def test_half_precision(folders: dict[str, Path]) -> None:
    """Weights of these models are loud, so only SAM's answers with weights as above are close; that all compute."""
    plain = twin()[1]
    images, prompts = pictures(2, SIDE, SIDE), asked("2 box", 2, SIDE, SIDE)
    lowered = HubSamBlackBox(model=twin()[1].network, dtype="bfloat16")
    assert 0 < np.abs(lowered(images, prompts) - plain(images, prompts)).max() < 0.01
    for kind in MODELS:
        for dtype in ("bfloat16", "float16"):
            ours = HubSamBlackBox(folders[kind], dtype=dtype)
            answer = ours(images, prompts)
            assert answer.dtype == np.float32 and answer.std() > 0.01 and ours.name.endswith(f"+{dtype}")
            encoder = ours.network.vision_encoder
            assert {value.dtype for value in encoder.parameters()} == {getattr(torch, dtype)}


# ---------------------------------------------------------------------------------------------------- SAM-HQ

# Every 13th row and column of a mask's logits by the official code (segment-anything-hq 0.3, torch 2.15.0), of a SAM-HQ
# of 64 px with the weights of `official_weights`, its point 20, 30 and its box 5, 8, 50, 60: of its single mask and of
# the best of three.
LOGITS = {
    "single": [
        [0.1667, -0.8972, 2.4614, 0.2580, -0.2340],
        [-1.6521, -1.2710, 0.4288, 0.7741, 0.2184],
        [-0.4008, -0.1497, -0.4632, -0.2364, -0.3220],
        [0.7454, 1.9216, 0.8290, 1.4839, 0.4762],
        [-0.5625, -1.4892, -0.5947, 0.4867, -0.3176],
    ],
    "best": [
        [0.2815, -0.7818, 2.5039, 0.1599, -0.1263],
        [-1.5205, -1.1524, 0.5170, 1.0218, 0.2524],
        [-0.1705, 0.1429, -0.3396, 0.1498, -0.1618],
        [0.7694, 1.9541, 0.8960, 1.3854, 0.6424],
        [-0.3644, -1.2954, -0.4639, 0.8810, -0.2266],
    ],
}


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the form of SAM-HQ's, of a small model that is configured as one of transformers."""
    layout = sam_hq(small_sam().state_dict())
    assert digest(layout) == "cb3ae937096837a2"  # of the official code's state dict
    torch.save(filled(layout), tmp_path / "sam_hq_vit_b.pth")
    monkeypatch.setattr(official, "config_of", lambda _: config_of("sam_hq"))
    return tmp_path / "sam_hq_vit_b.pth"


@pytest.mark.parametrize("masks", LOGITS)
def test_an_official_file_of_sam_hq_answers_as_its_code(released: Path, masks: str) -> None:
    ours = BLACK_BOXES.find("sam-hq").make(f"vit_b:{released}")
    ours.masks = masks
    answer = ours(pictures(1, SIDE, SIDE), Prompts(points=[[[20, 30]]], boxes=[[5, 8, 50, 60]]))
    np.testing.assert_allclose(answer[0, ::13, ::13], 1 / (1 + np.exp(-np.array(LOGITS[masks]))), atol=1e-4)


def test_a_file_of_sam_hq_is_known_from_one_of_sam(released: Path, tmp_path: Path) -> None:
    raises(CheckpointError, "it is of SAM-HQ, see sam-hq", load_sam, "vit_b", released)
    torch.save(small_sam().state_dict(), tmp_path / "sam.pth")
    message = r"does not fit SAM-HQ vit_b: \d+ tensors missing \(mask_decoder.hq_token.weight"
    raises(CheckpointError, message, official.load_sam_hq, "vit_b", tmp_path / "sam.pth")
    raises(ValueError, "model_type must be one of vit_b, vit_l, vit_h", official.load_sam_hq, "vit_tiny", released)


# ---------------------------------------------------------------------------------------------------- folders


def test_a_folder_of_sam_2_as_it_is_released(folders: dict[str, Path], tmp_path: Path) -> None:
    """The released folders are of model and memory for videos; what is of videos is passed over."""
    folder = Path(shutil.copytree(folders["sam2"], tmp_path / "video"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "sam2_video", "num_maskmem": 7}))
    images, prompts = pictures(2, SIDE, SIDE), asked("1", 2, SIDE, SIDE)
    np.testing.assert_array_equal(
        HubSamBlackBox(folder)(images, prompts), HubSamBlackBox(folders["sam2"])(images, prompts)
    )


def test_a_folder_without_a_processor(copy: Path) -> None:
    images, prompts = pictures(2, 40, SIDE), asked("1", 2, 40, SIDE)
    wanted = HubSamBlackBox(copy)(images, prompts)
    (copy / "processor_config.json").unlink()
    np.testing.assert_array_equal(HubSamBlackBox(copy)(images, prompts), wanted)


def other_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "vit"}))


def other_size(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["mask_decoder_config"]["mlp_dim"] = 48
    (folder / "config.json").write_text(json.dumps(config))


def other_resampling(folder: Path) -> None:
    text = (folder / "processor_config.json").read_text()
    (folder / "processor_config.json").write_text(text.replace('"resample": 2', '"resample": 3'))


def one_tensor_less(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["mask_decoder.iou_token.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lambda f: (f / "config.json").unlink(), FileNotFoundError, "has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), FileNotFoundError, "has no weights, none of model.safetensors"),
        (lambda f: cut(f / "model.safetensors", 0.5), CheckpointError, "cannot be read"),
        (other_kind, CheckpointError, "is of no Sam2Model, SamHQModel, SamModel, its model_type 'vit'"),
        (other_size, CheckpointError, "of another model|does not fit its config.json"),
        (one_tensor_less, CheckpointError, r"1 missing_keys \(mask_decoder.iou_token.weight"),
        (other_resampling, CheckpointError, "prepares images in another way: its resample is 3, expected 2"),
    ],
)
def test_a_spoilt_folder(copy: Path, spoil: Any, kind: type[Exception], message: str) -> None:
    spoil(copy)
    raises(kind, message, HubSamBlackBox, copy)


test_wrong_arguments = refused(
    HubSamBlackBox,
    ({"name_or_path": "no/such"}, FileNotFoundError, "neither a folder nor in the Hugging Face cache of this machine"),
    ({}, ValueError, "name_or_path or model must be given, got neither"),
    ({"name_or_path": "x", "model": small("sam")}, ValueError, "must be given, got both"),
    ({"model": torch.nn.Linear(2, 2)}, TypeError, "SamModel, SamHQModel or Sam2Model, got Linear without"),
    ({"model": small("sam"), "masks": "all"}, ValueError, "masks must be 'single' or 'best'"),
)


def test_prompts_that_this_model_cannot_take() -> None:
    images, ours = pictures(2, SIDE, SIDE), HubSamBlackBox(model=small("sam"))
    wrong = Prompts(masks=np.zeros((2, 256, 256)))
    raises(ValueError, r"masks must have this SAM's size \(32, 32\), got \(256, 256\)", ours, images, wrong)
    raises(ValueError, "got texts alone", ours, images, Prompts(texts=("x", "y")))

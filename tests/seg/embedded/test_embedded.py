"""The embedded models: shapes, weights, and that they are really trained."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import check_that_a_pretraining_goes_on, raises

from zoo_opt_seg import embedded
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.data.synthetic import DOMAINS, domain
from zoo_opt_seg.embedded import TINY_SIZE, TinyEncoder, build_tiny_sam, decode_batch, tiny_encoder, tiny_sam
from zoo_opt_seg.embedded.weights import load_weights, save_weights
from zoo_opt_seg.measures.metrics import dice

ROOT = Path(__file__).resolve().parents[3]
ROUNDING = 1e-3  # of a logit; float32 sums in another order differ by less, the logits' spread is about 10


@torch.inference_mode()
def logits_of(sam, images, prompts, batch=32):
    """The logits of the single masks at the images' size, (n, H, W)."""
    parts = []
    for start in range(0, len(images), batch):
        rows = slice(start, start + batch)
        pixels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float()
        points = torch.from_numpy(prompts.points[rows]), torch.from_numpy(prompts.labels[rows])
        sparse, dense = sam.prompt_encoder(points=points, boxes=None, masks=None)
        logits = decode_batch(sam, sam.image_encoder(sam.preprocess(pixels)), sparse, dense)[0][:, :1]
        parts.append(sam.postprocess_masks(logits, (TINY_SIZE,) * 2, images.shape[1:3])[:, 0])
    return torch.cat(parts).numpy()


def disks(prompts, radius, size):
    y, x = np.mgrid[:size, :size]
    return np.hypot(x - prompts.points[:, :1, :1], y - prompts.points[:, :1, 1:]) <= radius


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


def test_the_tiny_sam_loads_and_is_small(sam):
    folder = ROOT / "zoo_opt_seg" / "embedded"
    assert (folder / "sam.safetensors").stat().st_size <= 2e6
    assert (folder / "encoder.safetensors").stat().st_size < 0.7e6
    assert not sam.training and sam.image_encoder.img_size == TINY_SIZE == 96
    assert 0.55e6 < sum(p.numel() for p in sam.parameters()) < 0.7e6


@pytest.mark.parametrize("name", ["tiny_sam", "tiny_clipseg"])
def test_loading_leaves_the_global_generator_alone_and_gives_equal_models(name):
    load = getattr(embedded, name)
    first = load()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    other, encoder = load(), tiny_encoder()
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert other is not first and not any(p.requires_grad for p in encoder.parameters())


def test_a_batch_is_decoded_as_sam_decodes_each_image(sam):
    """Up to rounding, which depends on the batch and the processor: a pixel whose logit is about 0 has any mask."""
    part = domain("skin", sizes=(5, 0, 0)).train
    prompts = random_points(part.masks, 1, k=2)
    ours = logits_of(sam, part.images, prompts)
    for i in range(5):
        record = {
            "image": torch.from_numpy(part.images[i]).permute(2, 0, 1).float(),
            "original_size": (96, 96),
            "point_coords": torch.from_numpy(prompts.points[i : i + 1]),
            "point_labels": torch.from_numpy(prompts.labels[i : i + 1]),
        }
        theirs = sam([record], multimask_output=False)[0]
        logits = sam.postprocess_masks(theirs["low_res_logits"], (96, 96), (96, 96))[0, 0].numpy()
        np.testing.assert_allclose(ours[i], logits, rtol=1e-4, atol=ROUNDING)
        clear = np.abs(logits) > ROUNDING
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(theirs["masks"][0, 0].numpy()[clear], (ours[i] > 0)[clear])


def test_all_kinds_of_prompts_were_trained(sam):
    """A box, several points, and a rough mask each serve better than a point alone or as well."""
    pretrain = importlib.import_module("pretrain_sam")
    part = domain("source", seed=31, sizes=(96, 0, 0)).train
    pixels, masks = torch.from_numpy(part.images).permute(0, 3, 1, 2).float(), torch.from_numpy(part.masks)
    scores = {}
    for kind in pretrain.KINDS:
        prompts = pretrain.prompts_of(part.masks, kind, np.random.default_rng(0))
        with torch.inference_mode():
            sparse, dense = sam.prompt_encoder(**prompts)
            logits = decode_batch(sam, sam.image_encoder(sam.preprocess(pixels)), sparse, dense)[0][:, :1]
            hard = (sam.postprocess_masks(logits, (96, 96), (96, 96))[:, 0] > 0) & torch.ones_like(masks)
        scores[kind] = float(dice(hard.numpy(), part.masks).mean())
    print({kind: round(score, 3) for kind, score in scores.items()})
    assert min(scores.values()) > 0.8


def test_source_dice_of_the_shipped_weights(sam):
    single, best = importlib.import_module("pretrain_sam").held_out_dice(sam, 200)
    sam.eval()
    print(f"source Dice {single:.4f}, best of three by predicted IoU {best:.4f}")
    assert single >= 0.85 and best >= 0.83


@pytest.mark.parametrize("name", DOMAINS)
def test_zero_shot_is_worse_than_on_the_source_and_better_than_the_best_disk(sam, name):
    splits = domain(name, sizes=(60, 0, 60))
    drawn, shown = random_points(splits.train.masks, 1), random_points(splits.test.masks, 2)
    radius = max(range(4, 48, 2), key=lambda r: dice(disks(drawn, r, 96), splits.train.masks).mean())
    disk = dice(disks(shown, radius, 96), splits.test.masks).mean()
    zero_shot = dice(logits_of(sam, splits.test.images, shown) > 0, splits.test.masks).mean()
    print(f"{name}: zero-shot {zero_shot:.3f}, disk of {radius} pixels {disk:.3f}")
    assert disk + 0.05 < zero_shot < 0.82


def test_the_tiny_encoder_gives_one_vector_per_image():
    encoder = tiny_encoder()
    assert isinstance(encoder, TinyEncoder) and encoder.dim == 96 and not encoder.training
    images = torch.from_numpy(domain("disc", sizes=(4, 0, 0)).train.images).permute(0, 3, 1, 2).float() / 255
    vectors = encoder(images)
    assert vectors.shape == (4, 96) and vectors.dtype == torch.float32 and torch.isfinite(vectors).all()
    assert torch.pdist(vectors).min() > 0.1
    torch.testing.assert_close(encoder(images[2:3])[0], vectors[2], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_cls_vector_tells_more_than_an_untrained_ones():
    pretrain = importlib.import_module("pretrain_encoder")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random = TinyEncoder().eval()
    trained, untrained = pretrain.probes(tiny_encoder(), 1200), pretrain.probes(random, 1200)
    print("R^2 trained", trained, "untrained", untrained)
    assert trained["mean colour"] > 0.98
    assert trained["objects' centre"] > untrained["objects' centre"] + 0.2
    assert all(trained[target] > untrained[target] for target in trained)


def test_weights_that_are_missing_or_of_another_model_are_errors(tmp_path, sam):
    raises(FileNotFoundError, r"none\.safetensors are missing", load_weights, sam, tmp_path / "none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(ValueError, match=r"torn\.safetensors holds no weights of Sam"):
        load_weights(build_tiny_sam(), tmp_path / "torn.safetensors")
    save_weights(TinyEncoder(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors holds no weights of Sam"):
        load_weights(build_tiny_sam(), tmp_path / "other.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["other.safetensors", "torn.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretrain_sam", "pretrain_encoder"])
def test_training_goes_on_where_it_was_stopped(name, tmp_path, monkeypatch):
    pretrain = importlib.import_module(name)
    monkeypatch.setattr(pretrain, "held_out_dice", lambda *_: (0.0, 0.0), raising=False)
    check_that_a_pretraining_goes_on(pretrain, tmp_path, 24)

"""The embedded small SAM: its weights, its prompts, and that it is a SAM for all that takes one."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from seg.checks import check_that_a_pretraining_goes_on, raises

from zoo_opt_seg.blackbox import BLACK_BOXES, SmallSam, TinySam
from zoo_opt_seg.data import load_data
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.data.synthetic import domain
from zoo_opt_seg.embedded import TINY_SIZE, small_sam
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.whitebox.ladder.model import sam_of_size
from zoo_opt_seg.whitebox.sam.lora import LoRASam

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def sam():
    return small_sam()


@pytest.fixture(scope="module")
def source():
    return domain("source", seed=31, sizes=(96, 0, 0)).train


def test_it_loads_and_is_small(sam):
    assert (ROOT / "zoo_opt_seg" / "embedded" / "small.safetensors").stat().st_size <= 6e6
    assert not sam.training and sam.image_encoder.img_size == TINY_SIZE
    assert 2.5e6 < sum(p.numel() for p in sam.parameters()) < 3e6


def test_all_kinds_of_prompts_were_trained(sam, source):
    """Dice on drawn scenes, of the single mask and the best of three: every other kind serves better than a point."""
    sam_of, small = importlib.import_module("pretrain_sam"), importlib.import_module("pretrain_small_sam")
    scores = {}
    for kind in small.KINDS:
        prompts = sam_of.prompts_of(source.masks, kind, np.random.default_rng(0))
        scores[kind] = sam_of.dice_of(sam, source.images, source.masks, prompts).mean(dim=0).tolist()
    print({kind: [round(score, 3) for score in both] for kind, both in scores.items()})
    point = scores.pop("point")
    assert min(point) > 0.87
    assert all(single > point[0] and best > point[1] for single, best in scores.values())


def test_the_black_box_answers_points_boxes_and_by_its_best_mask(source):
    part = source[:8]
    points = random_points(part.masks, 1)
    box, best = SmallSam(), SmallSam(masks="best")
    assert box.name.startswith("small-") and best.name == f"{box.name}+best" != TinySam(masks="best").name
    assert box.name == BLACK_BOXES.find("small").make().name
    answers = box(part.images, points)
    assert answers.shape == part.masks.shape and answers.dtype == np.float32
    np.testing.assert_allclose(answers, box(part.images, points), rtol=0, atol=0)
    one = np.concatenate([box(part.images[i : i + 1], points[[i]]) for i in range(8)])
    np.testing.assert_allclose(one, answers, atol=1e-3)
    assert dice(best(part.images, points) > 0.5, part.masks).mean() > 0.75
    raises(TypeError, "SmallSam has its own model, got sam", SmallSam, sam=None)


def test_lora_and_the_ladder_take_it(sam):
    adapted = LoRASam(sam)
    names = [name for name in adapted.tensors() if ".lora_" in name]
    assert len(names) == 2 * len(sam.image_encoder.blocks)
    for size in (128, 72):  # of an even and an odd number of embeddings a side
        with torch.inference_mode():
            embeddings = sam_of_size(sam, size).image_encoder(torch.zeros(1, 3, size, size))
        assert embeddings.shape == (1, 64, size // 8, size // 8)


def test_it_is_worth_something_on_real_colonoscopy(shared_data):
    """Where a fixed disk has .42, and the tiny SAM .45."""
    test = load_data("polypgen", shared_data / "polypgen").test
    assert evaluate(SmallSam(), test, distances=False).dice.mean() > 0.6


def written(root: Path, count: int) -> Path:
    """Two collections of pictures with a bright square each, as ``shared/data`` has them."""
    rng = np.random.default_rng(0)
    for name, columns in (("medical", "file,set,group,source path"), ("photos", "file,set,source path")):
        for folder in ("images", "masks"):
            (root / name / folder).mkdir(parents=True)
        lines = [columns]
        for i in range(count):
            image, mask = rng.integers(0, 99, (40, 52, 3), np.uint8), np.zeros((40, 52), bool)
            mask[8:24, 10:30] = True
            image[mask] += 120
            Image.fromarray(image).save(root / name / "images" / f"blob_{i}.jpg")
            Image.fromarray(mask).save(root / name / "masks" / f"blob_{i}_0.png")
            lines.append(f"images/blob_{i}.jpg,blob,{'' if name == 'photos' else f'{i // 2},'}owner/repository:{i}.png")
        (root / name / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def test_pictures_are_divided_by_groups(tmp_path):
    real = importlib.import_module("real_pictures")
    parts = real.read_pictures(written(tmp_path, 40), 32)
    for train, design in parts.values():
        assert len(train.images) + len(design.images) == 40 and 0 < len(design.images) < 20
        assert not set(train.groups) & set(design.groups)
        assert train.images.shape[1:] == (32, 32, 3) and train.objects[0].shape == (1, 32, 32)
        assert abs(train.objects[0].mean() - 16 * 20 / (40 * 52)) < 0.03
    frame = {"set": "polypgen", "group": "C3-101"}
    assert real.group_of(frame) == "C3-4" and real.group_of(frame | {"group": "C1-102"}) == "C1-102"
    tile = {"set": "dubai", "source path": "owner/repository@1:Tile 1/images/part_1.jpg crop (0, 0, 256, 256)"}
    assert real.group_of(tile) == "owner/repository@1:Tile 1"


def test_absent_pictures_are_said(tmp_path):
    real = importlib.import_module("real_pictures")
    raises(SystemExit, "must hold the pictures to train on, with medical and photos", real.read_pictures, tmp_path, 96)


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    pretrain = importlib.import_module("pretrain_small_sam")
    pictures, train = written(tmp_path / "pictures", 140), pretrain.train
    monkeypatch.setattr(pretrain, "train", lambda out, **settings: train(pictures, out, **settings))
    check_that_a_pretraining_goes_on(pretrain, tmp_path, 12)


def test_a_step_is_a_function_of_its_seed_and_number(tmp_path):
    pretrain = importlib.import_module("pretrain_small_sam")
    parts = importlib.import_module("real_pictures").read_pictures(written(tmp_path, 24), TINY_SIZE)
    pools = {name: pretrain.Pool.of(part) for name, (part, _) in parts.items()}
    pools["drawn"] = pretrain.drawn_pool(8, 0)
    (pixels, masks, _), again, other = (pretrain.minibatch(pools, 3, step) for step in (5, 5, 6))
    assert pixels.shape == (16, 3, TINY_SIZE, TINY_SIZE) and masks.shape == (32, TINY_SIZE, TINY_SIZE)
    assert torch.equal(pixels, again[0]) and torch.equal(masks, again[1]) and not torch.equal(pixels, other[0])
    assert pixels.min() >= 0 and pixels.max() <= 255 and masks.flatten(1).sum(1).min() >= pretrain.LEAST

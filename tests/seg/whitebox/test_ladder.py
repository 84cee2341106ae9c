"""The ladder SAM-LST: its counts, its gate, what is frozen, its cache of embeddings, its loss, and that it learns."""

import copy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from seg.checks import checksum, raises, refused
from seg.small import small_sam
from segment_anything import sam_model_registry
from torchvision.models import resnet18

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.data.synthetic.ct import CLASSES
from zoo_opt_seg.data.volumes import LabelledSlices, Volume, VolumeSplits
from zoo_opt_seg.embedded.sam import decode_batch, tiny_sam
from zoo_opt_seg.tables.sources import Absent, absent
from zoo_opt_seg.tables.suite import Cell, Place, Row
from zoo_opt_seg.tables.whitebox import measured, train
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import fit, seeded
from zoo_opt_seg.whitebox.ladder import training
from zoo_opt_seg.whitebox.ladder.embeddings import CachedEmbeddings
from zoo_opt_seg.whitebox.ladder.model import Ladder, LadderSam, sam_of_size
from zoo_opt_seg.whitebox.ladder.resnet import ResNetToLayer3, load_imagenet
from zoo_opt_seg.whitebox.ladder.training import LadderTraining, ladder_loss, low_resolution, train_ladder

SIZE = 32
QUICK = Recipe(epochs=2, batch=4, lr=3e-3, weight_decay=0.1, warmup=2, schedule="polynomial", stop_after=None)


def squares(n: int, seed: int) -> LabelledSlices:
    """Two bright squares of different brightness on noise, 32 px."""
    rng = np.random.default_rng(seed)
    images, labels = (0.2 * rng.random((n, SIZE, SIZE))).astype(np.float32), np.zeros((n, SIZE, SIZE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        for k, (y, x) in enumerate(rng.integers(0, 18, (2, 2)), start=1):
            label[y : y + 12, x : x + 12], image[y : y + 12, x : x + 12] = k, 0.35 * k
    return LabelledSlices(images, labels, tuple(f"{seed}_slice{i:03d}" for i in range(n)), ("dim", "bright"))


def splits() -> VolumeSplits:
    """12 and 6 slices, one volume of 5."""
    test = squares(5, 3)
    volume = Volume("v", test.images, test.labels, (3.0, 1.0, 1.0))
    return VolumeSplits("squares", test.classes, squares(12, 1), squares(6, 2), (volume,))


def ladder(encoders: str = "both", classes: int = 3, seed: int = 0, **options: str) -> LadderSam:
    return LadderSam(small_sam(), Ladder(classes, encoders, **options), seed=seed)


# ------------------------------------------------------------------------------------------------ counts


def test_published_configuration_has_the_published_count() -> None:
    """ViT-B at 512 px, eight organs and background: no weights, on torch's meta device."""
    with torch.device("meta"):
        sam = sam_model_registry["vit_b"]()
    model = LadderSam(sam_of_size(sam, 512), Ladder(9, normalisation="none"))
    counts = {"cnn": 0, "mask_decoder": 0, "alpha": 0}
    for name, parameter in model.trained().items():
        counts[name.partition(".")[0]] += parameter.numel()
    assert counts == {"cnn": 2_782_784, "mask_decoder": 73_952, "alpha": 1}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2_856_737
    share = 2_856_737 / sum(p.numel() for p in sam.parameters())
    assert share == pytest.approx(0.0305, abs=5e-5)  # of 93,735,472
    assert model(torch.empty(2, 3, 512, 512, device="meta")).shape == (2, 9, 128, 128)
    with torch.device("meta"):
        assert LadderSam(sam, Ladder(9, "sam")).trained().keys() == {
            f"mask_decoder.output_upscaling.{i}.{kind}" for i in (0, 1, 3) for kind in ("weight", "bias")
        }


def test_tiny_ladder_fits_the_embedded_sam() -> None:
    model = LadderSam(tiny_sam(), Ladder(9))
    trained = {name: p.numel() for name, p in model.trained().items()}
    assert sum(trained.values()) == 181_193 and sum(n for k, n in trained.items() if k.startswith("cnn.")) == 176_528
    with torch.no_grad():
        e = model.cnn(torch.zeros(1, 3, 96, 96))
        assert e.shape == (1, 64, 12, 12) and model(torch.zeros(1, 3, 96, 96)).shape == (1, 9, 48, 48)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_cnn_is_resnet18_and_takes_its_weights(tmp_path: Path, suffix: str) -> None:
    with seeded((1,)):
        whole = resnet18(weights=None).eval()
    path = tmp_path / f"resnet18{suffix}"
    save_file(whole.state_dict(), path) if suffix == ".safetensors" else torch.save(whole.state_dict(), path)
    ours = ResNetToLayer3().eval()
    load_imagenet(ours, path)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    stem = torch.nn.Sequential(*list(whole.children())[:7])  # up to layer3
    with torch.no_grad():
        assert torch.equal(ours(x), stem(x)) and ours(x).shape == (1, 256, 4, 4)
    assert sum(p.numel() for p in ours.parameters()) == 2_782_784
    raises(CheckpointError, r"does not fit ResNet-18: .*of another shape", load_imagenet, ResNetToLayer3(16, 8), path)
    path.write_bytes(path.read_bytes()[:2000])
    raises(CheckpointError, "truncated", load_imagenet, ours, path)
    raises(FileNotFoundError, None, load_imagenet, ours, tmp_path / f"none{suffix}")


# ------------------------------------------------------------------------------------------------ gate


def pixels_of(model: LadderSam, n: int = 3) -> torch.Tensor:
    return model.pixels(squares(n, 7).images)


def test_gate_starts_at_a_half_and_mixes_the_two_embeddings() -> None:
    model = ladder()
    assert float(model.alpha.detach()) == 0.0 and model.gate == 0.5
    pixels = pixels_of(model)
    with torch.no_grad():
        assert torch.allclose(model.fused(pixels), 0.5 * model.embed(pixels) + 0.5 * model.cnn(pixels))
        model.alpha.fill_(2.0)
        s = model.gate
        assert s == pytest.approx(0.8808, abs=1e-4)
        assert torch.equal(model(pixels), model(pixels, gate=float(torch.tensor(2.0).sigmoid())))


def test_gate_forced_to_one_is_sam_and_to_zero_the_cnn() -> None:
    """To 0.0: SAM's own decoder on SAM's own embedding, here with its own mask tokens.

    Frozen as the ladder's are: on a CPU torch multiplies by another kernel where a weight asks for a gradient.
    """
    sam = small_sam().requires_grad_(False)
    model = LadderSam(sam, Ladder(4, tokens="sam"))
    pixels = pixels_of(model)
    with torch.no_grad():
        embeddings = torch.cat([sam.image_encoder(row[None]) for row in pixels])
        sparse, dense = sam.prompt_encoder(points=None, boxes=None, masks=None)
        none = {"sparse": sparse.expand(3, -1, -1), "dense": dense.expand(3, -1, -1, -1)}
        assert torch.equal(model(pixels, gate=1.0), decode_batch(sam, embeddings, **none)[0])
        assert torch.equal(model(pixels, gate=0.0), decode_batch(sam, model.cnn(pixels), **none)[0])
        one = sam.mask_decoder.predict_masks(  # as SAM calls it, image by image
            embeddings[:1], sam.prompt_encoder.get_dense_pe(), sparse, dense
        )[0]
        assert torch.equal(model(pixels[:1], gate=1.0), one)
        assert not torch.allclose(model(pixels), model(pixels, gate=1.0), atol=1e-4)


def test_gate_at_one_with_class_tokens_is_the_ablation_with_sam_alone() -> None:
    """The classes' tokens are of the seed, so both ladders have the same decoder."""
    for gate, alone in ((1.0, "sam"), (0.0, "cnn")):
        one, both = ladder(alone), ladder()
        with torch.no_grad():
            assert torch.equal(both(pixels_of(both), gate=gate), one(pixels_of(one)))
        assert one.gate == gate
        with pytest.raises(ValueError, match=f"gate is between two encoders, and this ladder has '{alone}' alone"):
            one(pixels_of(one), gate=0.5)


def test_gate_learns_and_the_encoder_has_no_gradient() -> None:
    model = ladder()
    data = squares(4, 1)
    logits = model.logits(data.images)
    ladder_loss(logits, low_resolution(data.labels, logits)).backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == set(model.trained()) and float(model.alpha.grad) != 0
    assert not any(p.requires_grad for p in model.image_encoder.parameters())


# ------------------------------------------------------------------------------------------------ frozen


@pytest.mark.parametrize("encoders", ["both", "cnn", "sam"])
def test_frozen_weights_are_unchanged_after_twenty_steps(encoders: str) -> None:
    sam = small_sam()
    original = checksum(sam.state_dict())
    model = LadderSam(sam, Ladder(3, encoders))
    frozen, trained = checksum(model.frozen()), checksum(model.tensors())
    assert not any(name.startswith("cnn.") for name in model.frozen()) or encoders == "sam"
    task = LadderTraining(model, splits())
    fitted = fit(task, replace(QUICK, epochs=7))  # of 3 steps
    optimizer = torch.optim.AdamW(model.trained().values(), lr=1e-3)
    task.train(True)
    for step in range(20):
        optimizer.zero_grad()
        task.loss(np.arange(4), (0, 1, step)).backward()
        optimizer.step()
    assert checksum(model.frozen()) == frozen and checksum(model.tensors()) != trained
    assert checksum(sam.state_dict()) == original and all(p.requires_grad for p in sam.parameters())
    assert fitted.trained == sum(p.numel() for p in model.trained().values())
    for part in (lambda some: some.image_encoder, lambda some: some.mask_decoder.transformer):
        assert checksum(dict(part(sam).named_parameters())) == checksum(dict(part(model).named_parameters()))


def test_training_mode_switches_the_cnn_alone() -> None:
    model = ladder()
    model.train(True)
    modes = {name.partition(".")[0]: module.training for name, module in model.named_modules() if "." in name}
    assert modes == {"image_encoder": False, "prompt_encoder": False, "cnn": True, "mask_decoder": False}
    assert not model.eval().cnn.training


# ------------------------------------------------------------------------------------------------ input


def test_both_encoders_see_what_the_normalisation_says() -> None:
    images = squares(2, 0).images
    model = ladder()
    grey = torch.from_numpy(np.repeat(images[:, None], 3, axis=1))
    assert torch.equal(model.pixels(images), (255 * grey - model.pixel_mean) / model.pixel_std)
    assert torch.equal(ladder(normalisation="none").pixels(images), grey)
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    assert ladder().pixels(large).shape == ladder().pixels(images[:, ::2, ::2]).shape == (2, 3, SIZE, SIZE)


def test_labels_have_the_size_of_the_slices() -> None:
    model = ladder()
    found = model.labels(np.zeros((2, 40, 40), np.float32))
    assert found.shape == (2, 40, 40) and found.dtype == np.uint8 and found.max() <= 2
    logits = torch.zeros(1, 3, 8, 8)
    logits[:, 2, :, 4:] = 1.0
    assert model.enlarged(logits, (32, 32))[0, :, 20:].min() == 2


def test_slices_go_through_a_smaller_size_by_cubic_splines() -> None:
    """As the released test: 512, 224, 512 pixels there, 40, 24 and the model's here, and the labels back by nearest."""
    from scipy.ndimage import zoom

    model, images = ladder(), np.random.default_rng(0).random((2, 40, 40), np.float32)
    by_hand = [zoom(zoom(one, 24 / 40, order=3), SIZE / 24, order=3) for one in images]
    labels = [zoom(one, 40 / SIZE, order=0) for one in model.labels(np.stack(by_hand))]
    assert (model.labels(images, through=24) == np.stack(labels)).all()
    square = images[:, :SIZE, :SIZE]
    assert (model.labels(square, through=SIZE) == model.labels(square)).all()
    raises(ValueError, "through must be >= 1, got 0", model.labels, images, through=0)


def test_another_image_size_interpolates_the_positions_alone() -> None:
    sam = small_sam()
    double = sam_of_size(sam, 64)
    assert double.image_encoder.pos_embed.shape == (1, 8, 8, 32) and sam.image_encoder.img_size == 32
    assert LadderSam(double, Ladder(3)).labels(np.zeros((1, 64, 64), np.float32)).shape == (1, 64, 64)
    with torch.no_grad():
        assert double.image_encoder(torch.rand(1, 3, 64, 64)).shape == (1, 16, 8, 8)
    assert checksum(sam_of_size(sam, 32).state_dict()) == checksum(sam.state_dict())
    raises(ValueError, "size must be a multiple of 8", sam_of_size, sam, 36)


# ------------------------------------------------------------------------------------------------ loss


def test_loss_is_that_of_the_released_code() -> None:
    """0.2 cross-entropy + 0.8 Dice with squared denominators, mean over all classes, by numpy."""
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((2, 4, 6, 5)), rng.integers(0, 4, (2, 6, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.moveaxis(np.eye(4)[labels], 3, 1)
    cross_entropy = -(y * np.log(p)).sum(axis=1).mean()
    dice = [1 - (2 * (p * y)[:, k].sum() + 1e-5) / ((p**2 + y**2)[:, k].sum() + 1e-5) for k in range(4)]
    found = ladder_loss(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(found) == pytest.approx(0.2 * cross_entropy + 0.8 * np.mean(dice))


def test_recipes_are_the_papers() -> None:
    paper, released = training.PAPER, training.RELEASED
    assert (paper.optimizer, paper.lr, paper.warmup, paper.batch, paper.epochs) == ("adam", 1e-3, 250, 24, 200)
    assert (released.optimizer, released.weight_decay, released.power) == ("adamw", 0.1, 0.9)
    assert released.rate(249, 1000, 0) == 1e-3 and released.rate(625, 1000, 0) == pytest.approx(1e-3 * 0.5**0.9)


def test_labels_are_brought_to_the_logits_by_the_nearest_pixel() -> None:
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[:, 4:] = 3
    assert low_resolution(labels, torch.zeros(1, 4, 4, 4))[0].tolist() == [[0] * 4] * 2 + [[3] * 4] * 2
    columns = np.tile(np.arange(9, dtype=np.uint8), (1, 9, 1))
    assert low_resolution(columns, torch.zeros(1, 2, 3, 3))[0].tolist() == [[1, 4, 7]] * 3  # their middles, not corners


# ------------------------------------------------------------------------------------------------ training


def test_it_learns_and_is_saved(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=20, lr=2e-2, seed=2)
    model, fitted = train_ladder(small_sam(), splits(), recipe=recipe, augment="turns", out=tmp_path / "a")
    assert fitted.history[-1].train_loss < 0.7 * fitted.history[1].train_loss
    assert fitted.best_dice > fitted.history[0].dice + 0.15
    assert model.gate != 0.5
    again, _ = train_ladder(small_sam(), splits(), recipe=recipe, augment="turns", out=tmp_path / "a")
    assert checksum(again.tensors()) == checksum(model.tensors())
    loaded = LadderSam.load(tmp_path / "a/ladder.safetensors", small_sam())
    images = splits().test[0].image
    assert (loaded.labels(images) == model.labels(images)).all() and loaded.config == model.config
    assert checksum(loaded.state_dict()) == checksum(model.state_dict())


def test_killed_training_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = train_ladder(small_sam(), splits(), recipe=QUICK, cache=tmp_path / "cache-a")
    loss = LadderTraining.loss

    def dies(self, rows, seed):
        if seed[1:] == (2, 1):
            raise KeyboardInterrupt
        return loss(self, rows, seed)

    monkeypatch.setattr(LadderTraining, "loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train_ladder(small_sam(), splits(), recipe=QUICK, cache=tmp_path / "cache-b", out=tmp_path / "out")
    monkeypatch.undo()
    resumed, _ = train_ladder(small_sam(), splits(), recipe=QUICK, cache=tmp_path / "cache-b", out=tmp_path / "out")
    assert checksum(resumed.tensors()) == checksum(whole.tensors())


@pytest.mark.parametrize("encoders", ["both", "sam"])
def test_cache_of_embeddings_changes_nothing(tmp_path: Path, encoders: str) -> None:
    config = Ladder(3, encoders)
    plain, _ = train_ladder(small_sam(), splits(), config, recipe=QUICK)
    for _ in range(2):  # cold, then warm
        cached, _ = train_ladder(small_sam(), splits(), config, recipe=QUICK, cache=tmp_path)
        assert checksum(cached.tensors()) == checksum(plain.tensors())


def test_cache_knows_pixels_and_weights(tmp_path: Path) -> None:
    model = ladder()
    cache = CachedEmbeddings(model, tmp_path)
    pixels = pixels_of(model, 4)
    assert torch.equal(cache(pixels), model.embed(pixels)) and (cache.hits, cache.misses) == (0, 4)
    assert torch.equal(cache(pixels), model.embed(pixels)) and (cache.hits, cache.misses) == (4, 4)
    assert len(list(tmp_path.glob("*/*"))) == 4
    cache(pixels.flip(3))
    assert cache.misses == 8
    for other in (ladder(normalisation="none"), LadderSam(small_sam(seed=1), Ladder(3))):
        different = CachedEmbeddings(other, tmp_path)
        different(pixels)
        assert different.hits == 0
    assert CachedEmbeddings(ladder(classes=5, seed=3), tmp_path)(pixels) is not None
    damaged = next(tmp_path.glob("*/*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    again = CachedEmbeddings(model, tmp_path)
    assert torch.equal(again(pixels), model.embed(pixels)) and again.hits + again.misses == 4


def test_without_a_disk_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, mask: np.ndarray, coarse: bool) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("zoo_opt_seg.blackbox.cache.write_mask", full)
    model = ladder()
    cache = CachedEmbeddings(model, tmp_path)
    with pytest.warns(RuntimeWarning, match="embeddings cannot be kept in .*no space left"):
        assert torch.equal(cache(pixels_of(model)), model.embed(pixels_of(model)))
    cache(pixels_of(model))  # says it once
    assert cache.misses == 6


def test_validation_is_pooled_dice_of_the_classes() -> None:
    model, data = ladder(), splits()
    found = LadderTraining(model, data, batch=4).validate()
    predicted = model.labels(data.validation.images)
    dice = []
    for k in (1, 2):
        p, y = predicted == k, data.validation.labels == k
        dice.append(2 * (p & y).sum() / (p.sum() + y.sum()))
    assert found.dice == pytest.approx(np.mean(dice)) and np.isfinite(found.loss)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    data = replace(splits(), validation=splits().validation[:0])
    with pytest.raises(ValueError, match="recipe must have keep='last' where squares has no validation, got 'best'"):
        train_ladder(small_sam(), data, recipe=QUICK)
    _, fitted = train_ladder(small_sam(), data, recipe=replace(QUICK, keep="last"), out=tmp_path)
    assert fitted.best_epoch == 2 and np.isnan(fitted.best_dice)
    assert (tmp_path / "ladder.safetensors").is_file()


# ------------------------------------------------------------------------------------------------ table


def cell(place: str, seed: int = 0, **options: object) -> Cell:
    """A ladder on drawn CT of 32 px, with a random SAM."""
    row = Row("ladder", "ladder", options={"data": {"cases": [1, 1, 2]}, **options})
    return Cell(row, "ct", seed, 1, 32, 1, {"use": "seg.small:box"}, Place(place))


def ladder_cell(cell: Cell, recipe: Recipe):
    """What a record holds of the cell, and how the training went."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "seed"}
    cell = replace(cell, row=replace(cell.row, settings=settings))
    done = train(cell)
    return measured(cell, done), done.fitted


def test_cells_of_a_table(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1, batch=8)
    figures, fitted = ladder_cell(cell(str(tmp_path)), recipe)
    assert fitted is not None and figures["unit"] == "mm" and set(figures["organs"]) == set(CLASSES)
    assert figures["evaluation"].per_image().shape == (2,) and 0 < figures["gate"] < 1
    kept = len(list((tmp_path / "embeddings").glob("*/*")))
    assert kept and (tmp_path / "cells").is_dir()
    other, _ = ladder_cell(cell(str(tmp_path), 1, encoders="sam", unit="voxel", empty="released"), recipe)
    assert other["unit"] == "voxel" and other["gate"] == 1.0
    assert len(list((tmp_path / "embeddings").glob("*/*"))) == kept  # the cells share them
    start, nothing = ladder_cell(cell(str(tmp_path), encoders="sam", trained=False), recipe)
    assert nothing is None and start["evaluation"].summary()["images"] == 2


def test_cells_without_data_are_left_out(tmp_path: Path) -> None:
    there = replace(cell(str(tmp_path)), domain="synapse")
    assert "give --data-root" in absent(there) and absent(cell(str(tmp_path))) == ""
    elsewhere = replace(there, place=Place(str(tmp_path), data_root=str(tmp_path)))
    assert absent(elsewhere).startswith("no folder")
    raises(Absent, "no folder", ladder_cell, elsewhere, QUICK)
    raises(Absent, "no weights", ladder_cell, cell(str(tmp_path), weights="resnet18.pth"), QUICK)


# ------------------------------------------------------------------------------------------------ errors


test_configuration_errors = refused(
    Ladder,
    ({"classes": 1}, "classes must be >= 2"),
    ({"encoders": "gate"}, "encoders must be one of both, cnn, sam, got 'gate'"),
    ({"normalisation": "imagenet"}, "normalisation must be one of sam, none"),
    ({"tokens": "zero"}, "tokens must be one of random, sam"),
    classes=3,
)


def test_errors(tmp_path: Path) -> None:
    raises(ValueError, "classes must be at most 4, SAM's mask tokens", ladder, classes=5, tokens="sam")
    raises(ValueError, "ladder must have 3 classes for squares, got 4", LadderTraining, ladder(classes=4), splits())
    with pytest.raises(ValueError, match="augment must be None or one of released, turns, got 'paper'"):
        LadderTraining(ladder(), splits(), augment="paper")
    odd = copy.deepcopy(small_sam())
    odd.prompt_encoder.image_embedding_size = (8, 8)
    with pytest.raises(ValueError, match="sam must have embeddings of stride 16 or 8, got 16 channels of stride 4"):
        LadderSam(odd, Ladder(3))
    raises(ValueError, "stride must be 16 or 8, got 4", ResNetToLayer3, 16, 4)
    ladder().save(tmp_path / "a")
    raises(CheckpointError, "of a SAM of 32 pixels, this one has 96", LadderSam.load, tmp_path / "a", tiny_sam())
    with pytest.raises(CheckpointError, match="of a SAM of 32 pixels, this one has 48"):  # all tensors would fit
        LadderSam.load(tmp_path / "a", sam_of_size(small_sam(), 48))
    raises(CheckpointError, "of another SAM", LadderSam.load, tmp_path / "a", sam_of_size(tiny_sam(), 32))
    (tmp_path / "a").write_bytes(b"nothing")
    raises(CheckpointError, "truncated", LadderSam.load, tmp_path / "a", small_sam())

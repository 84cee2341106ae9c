"""The embedded CLIPSeg: its size, its tokenizer, where the text is pooled, and that it is really trained."""

import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import check_that_a_pretraining_goes_on, raises

from zoo_opt_seg.data.synthetic import DOMAINS, domain
from zoo_opt_seg.data.synthetic.describing import vocabulary
from zoo_opt_seg.embedded import TINY_SIZE, build_tiny_clipseg, tiny_clipseg, tiny_tokenizer
from zoo_opt_seg.embedded import clipseg as module
from zoo_opt_seg.embedded.clipseg import FIRST, LENGTH, PADDING, TOKENS, UNKNOWN, WEIGHTS, kept_tokens, tokens_of
from zoo_opt_seg.measures.metrics import dice

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def pretrain():
    return importlib.import_module("pretrain_clipseg")


@pytest.fixture(scope="module")
def model():
    return tiny_clipseg()


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def test_it_loads_and_is_small(model):
    assert WEIGHTS.stat().st_size + TOKENS.stat().st_size < 2 * 1024**2
    assert not model.training and model.config.vision_config.image_size == TINY_SIZE
    assert 0.9e6 < sum(p.numel() for p in model.parameters()) < 1.1e6
    assert model.config.use_complex_transposed_convolution and model.config.extract_layers == [1, 3, 5]
    assert model.config.text_config.num_hidden_layers > max(model.config.extract_layers)  # for adapters on text skips


def test_tokens_are_open_clips(tokenizer):
    from open_clip import tokenize

    kept = kept_tokens()
    ids, present = tokenizer(["The small RED circle", "a polyp"])
    numbers = tokenize(["the small red circle", "a polyp"], context_length=LENGTH)
    assert ids.shape == present.shape == (2, LENGTH) and ids.dtype == present.dtype == torch.int64
    assert present.sum(dim=1).tolist() == [6, int((numbers[1] != 0).sum())]
    for row, mask, number in zip(ids, present.bool(), numbers, strict=True):
        assert [kept[i - FIRST] for i in row[mask].tolist()] == number[mask].tolist()
        assert (row[~mask] == PADDING).all()
    assert kept == tokens_of([*vocabulary(), "."]) == tuple(sorted(kept)) and UNKNOWN < FIRST


def test_words_that_were_not_learnt_share_a_row_and_long_texts_are_cut(model, tokenizer):
    ids, present = tokenizer(["the zebra", "", "Ünïcödé ☃ !", "circle " * 100])
    end = model.config.text_config.eos_token_id
    assert ids[0, 2] == UNKNOWN and present[1].sum() == 2 and present[3].sum() == LENGTH
    assert ((ids == end).sum(dim=1) == 1).all() and (ids[present.bool()].reshape(-1) != PADDING).all()
    assert tokenizer.unknown("the zebra in the middle") == ("zebra",) and tokenizer.unknown("a dark spot.") == ()
    with torch.inference_mode():
        logits = model(pixel_values=torch.zeros(4, 3, 96, 96), input_ids=ids, attention_mask=present).logits
    assert logits.shape == (4, 48, 48) and torch.isfinite(logits).all()
    np.testing.assert_array_equal(tokenizer("the zebra")[0], ids[:1])


def test_the_text_is_pooled_at_its_end_whatever_follows(model, tokenizer):
    ids, present = tokenizer(["the small red circle on the left", "a polyp"])
    config = model.config.text_config
    assert config.eos_token_id != 2  # with 2, transformers would pool at the largest number instead
    with torch.inference_mode():
        out = model.clip.text_model(ids, attention_mask=present)
        last = present.sum(dim=1) - 1
        assert (ids[[0, 1], last] == config.eos_token_id).all() and config.eos_token_id == int(ids.max())
        torch.testing.assert_close(out.pooler_output, out.last_hidden_state[[0, 1], last], rtol=0, atol=0)
        other = torch.where(present.bool(), ids, FIRST + 3)
        embed = model.clip.get_text_features
        torch.testing.assert_close(embed(other).pooler_output, embed(ids, present).pooler_output)
        cut = int(present.sum(dim=1).max())
        torch.testing.assert_close(embed(ids[:, :cut]).pooler_output, embed(ids, present).pooler_output)


def test_source_dice_of_the_shipped_weights(model, tokenizer, pretrain):
    found = pretrain.held_out_dice(model, tokenizer, 80)
    model.eval()
    print(f"source Dice {found:.4f}")
    assert found >= 0.82


def test_the_text_decides(model, tokenizer, pretrain):
    """In scenes with several objects, the masks of other objects' texts are other masks."""
    right, wrong = [], []
    rng = np.random.default_rng(0)
    for image, label, objects in zip(*pretrain.referring_scenes(40, 99), strict=True):
        texts = [pretrain.describe(rng, objects, k) for k in range(len(objects))]
        if len(texts) < 2 or None in texts:
            continue
        ids, present = tokenizer(texts)
        with torch.inference_mode():
            logits = pretrain.forward(model, torch.from_numpy(image[None]), ids, present)
        hard = torch.nn.functional.interpolate(logits[:, None], (96, 96), mode="bilinear")[:, 0].numpy() > 0
        for k, other in itertools.product(range(len(texts)), repeat=2):
            (right if k == other else wrong).append(dice(hard[[k]], label[None] == other + 1)[0])
    print(f"Dice with the object said {np.mean(right):.3f}, with the others {np.mean(wrong):.3f}")
    assert np.mean(right) > np.mean(wrong) + 0.4


@pytest.mark.parametrize("name", DOMAINS)
def test_zero_shot_is_above_the_trivial_lines_and_leaves_room(model, tokenizer, pretrain, name):
    splits = domain(name, sizes=(32, 32, 0))
    y, x = np.mgrid[:96, :96]

    def disk_dice(radius, masks):
        return dice(np.broadcast_to(np.hypot(x - 47.5, y - 47.5) <= radius, masks.shape), masks).mean()

    radius = max(range(6, 60, 3), key=lambda r: disk_dice(r, splits.train.masks))
    lines = [disk_dice(r, splits.validation.masks) for r in (radius, 99)]
    found = pretrain.text_dice(model, tokenizer, splits.validation)
    model.eval()
    print(f"{name}: zero-shot {found:.3f}, centred disk of {radius} px {lines[0]:.3f}, whole image {lines[1]:.3f}")
    assert max(lines) + 0.2 < found < 0.94


def test_a_missing_vocabulary_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "TOKENS", tmp_path / "none.json")
    kept_tokens.cache_clear()
    raises(FileNotFoundError, r"none\.json is missing", tiny_tokenizer)
    kept_tokens.cache_clear()


def test_a_minibatch_is_a_function_of_seed_and_step(pretrain):
    scenes = pretrain.referring_scenes(12, 1)
    images, masks, texts, rng = pretrain.minibatch(scenes, 5, 3)
    again = pretrain.minibatch(scenes, 5, 3)
    assert torch.equal(images, again[0]) and torch.equal(masks, again[1]) and texts == again[2]
    assert len(masks) == len(texts) == pretrain.TEXTS * len(images) and masks.any(dim=2).any(dim=1).all()
    assert pretrain.minibatch(scenes, 5, 4)[2] != texts
    ids, present = pretrain.tokenized(tiny_tokenizer(), texts * 9, rng)
    assert 0 < (ids == UNKNOWN).sum() < 0.03 * present.sum() and (ids == ids.max()).sum() == len(ids)


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(pretrain, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "held_out_dice", lambda *_: 0.0)
    monkeypatch.setattr(pretrain, "IMAGES", 2)
    check_that_a_pretraining_goes_on(pretrain, tmp_path, 12)
    assert json.loads((tmp_path / "parts" / TOKENS.name).read_text()) == {"tokens": list(kept_tokens())}


def test_random_weights_come_from_the_global_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        one = build_tiny_clipseg(10)
        torch.manual_seed(3)
        two = build_tiny_clipseg(10)
    assert one.training and one.clip.text_model.embeddings.token_embedding.num_embeddings == FIRST + 10
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))

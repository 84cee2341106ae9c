"""CLIPSeg trained on a domain: adapters around it, end to end, the decoder alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from seg.checks import checksum, die_after, raises
from seg.vlsm_cases import box, small, spot_splits

from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.whitebox import Recipe, fit
from zoo_opt_seg.whitebox.core import recipes
from zoo_opt_seg.whitebox.vlsm.adapter import VLSMAdapter
from zoo_opt_seg.whitebox.vlsm.layers import VLSM
from zoo_opt_seg.whitebox.vlsm.training import clipseg_training, train_clipseg, train_vlsm, vlsm_training

RECIPE = Recipe(epochs=4, batch=4, lr=1e-2, weight_decay=1e-3, clip=0.5, stop_after=None, seed=1)
KINDS = [("shallow", "VLC"), ("dense", "VLC"), ("shallow", "V"), ("dense", "V")]


# ---------------------------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize(("kind", "placement"), KINDS)
def test_adapters_learn_and_nothing_else_changes(tmp_path: Path, kind: str, placement: str) -> None:
    model, splits = box(), spot_splits()
    frozen, asked = checksum(model.model.state_dict()), draw_prompts("text", splits.test, 5)
    before = model(splits.test.images, asked)
    config = VLSM(kind, placement, hidden=8, conditional=8)
    adapted, fitted = train_vlsm(model, splits, config, recipe=replace(RECIPE, epochs=5), out=tmp_path)  # 20 steps
    assert checksum(adapted.frozen()) == frozen == checksum(model.model.state_dict())
    assert fitted.trained == sum(p.numel() for p in adapted.tensors().values())
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    after = model.around(adapted.clipseg)
    answers = after(splits.test.images, asked)
    assert not np.allclose(answers, before, atol=1e-4) and np.array_equal(model(splits.test.images, asked), before)
    assert after.name != model.name  # or a cache would answer for the other
    with adapted.disabled():
        assert np.array_equal(after(splits.test.images, asked), before)

    fresh = VLSMAdapter.load(tmp_path / "vlsm.safetensors", small())
    assert np.array_equal(model.around(fresh.clipseg)(splits.test.images, asked), answers)
    assert checksum(fresh.frozen()) == frozen


def test_training_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    config, splits = VLSM("dense", "VL", hidden=4), spot_splits()
    whole, expected = train_vlsm(box(), splits, config, recipe=RECIPE)

    raises(KeyboardInterrupt, None, train_vlsm, box(), splits, config, recipe=RECIPE, out=tmp_path, report=die_after(2))
    resumed, found = train_vlsm(box(), splits, config, recipe=RECIPE, out=tmp_path)
    assert checksum(whole.tensors()) == checksum(resumed.tensors())
    assert [(e.loss, e.dice) for e in found.history] == [(e.loss, e.dice) for e in expected.history]


def test_recipe_is_the_papers_for_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo_opt_seg.whitebox.core import training

    seen = []

    def note(task, recipe, **_: object):
        seen.append((recipe, task.name))

    monkeypatch.setattr(training, "fit", note)
    for kind in ("dense", "shallow"):
        train_vlsm(box(), spot_splits(), VLSM(kind, "V", hidden=4))
    assert [recipe for recipe, _ in seen] == [recipes.VLSM_DENSE, recipes.VLSM_SHALLOW]
    assert all("loss='bce+1.5dice', prompts='text'" in name and "augment=None" in name for _, name in seen)


def test_bfloat16_trains_adapters() -> None:
    _, fitted = train_vlsm(box(), spot_splits(), VLSM("dense", "V", 8), recipe=replace(RECIPE, precision="bfloat16"))
    _, whole = train_vlsm(box(), spot_splits(), VLSM("dense", "V", 8), recipe=RECIPE)
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    assert fitted.history[1].train_loss == pytest.approx(whole.history[1].train_loss, rel=0.05)


# ---------------------------------------------------------------------------------------------------- itself


@pytest.mark.parametrize("parts", ["all", "decoder"])
def test_clipseg_itself_is_trained_in_a_copy(tmp_path: Path, parts: str) -> None:
    model, splits = box(), spot_splits()
    original, asked = checksum(model.model.state_dict()), draw_prompts("text", splits.test, 5)
    recipe = replace(RECIPE, lr=3e-3, keep="last")
    trained, fitted = train_clipseg(model, splits, parts, recipe=recipe, out=tmp_path)
    assert checksum(model.model.state_dict()) == original and all(p.requires_grad for p in model.model.parameters())
    assert min(e.loss for e in fitted.history[1:]) < fitted.history[0].loss
    part = trained.model if parts == "all" else trained.model.decoder
    assert fitted.trained == sum(p.numel() for p in part.parameters())
    before, after = model.model.state_dict(), trained.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for start in ("clip.vision_model.encoder.layers.0.", "clip.text_model.encoder.layers.0.", "clip.text_projection."):
        assert any(name.startswith(start) for name in changed) == (parts == "all")
    assert any(name.startswith("decoder.") for name in changed)

    loaded = transformers.CLIPSegForImageSegmentation.from_pretrained(tmp_path / "clipseg", local_files_only=True)
    answers = trained(splits.test.images, asked)
    assert np.allclose(model.around(loaded)(splits.test.images, asked), answers, atol=1e-6)
    assert not np.allclose(model(splits.test.images, asked), answers, atol=1e-4)


def test_decoder_alone_is_what_transformers_own_forward_trains() -> None:
    """The authors' end-to-end row is trained by it: no weight of an encoder has a gradient there."""
    task = clipseg_training(clipseg := small(), box(), spot_splits())
    own = clipseg(pixel_values=torch.randn(2, 3, 24, 24), input_ids=torch.tensor([[28, 3, 29]] * 2)).logits
    own.sum().backward()
    reached = {name for name, p in clipseg.named_parameters() if p.grad is not None}
    assert reached == {name for name, _ in clipseg.named_parameters() if name.startswith("decoder.")}
    clipseg.zero_grad(set_to_none=True)
    task.loss(np.arange(3), (0, 1, 2)).backward()
    reached = {name for name, p in clipseg.named_parameters() if p.grad is not None}
    missed = {name for name, _ in clipseg.named_parameters()} - reached
    unused = ("clip.logit_scale", "clip.visual_projection.", "clip.vision_model.post_layernorm.")
    assert all(name.startswith((*unused, "clip.vision_model.encoder.layers.4.")) for name in missed)


def test_what_cannot_be_trained_is_said() -> None:
    with pytest.raises(ValueError, match="parts must be one of all, decoder, got 'encoder'"):
        clipseg_training(small(), box(), spot_splits(), parts="encoder")
    splits = spot_splits()
    untold = replace(splits, train=replace(splits.train, texts=None), validation=replace(splits.validation, texts=None))
    raises(ValueError, "samples must have texts", train_clipseg, box(), untold)
    adapted = VLSMAdapter(small(), VLSM(hidden=4))
    assert vlsm_training(adapted, box(), splits).name.startswith("VLSM(kind='dense', placement='VL', hidden=4")
    with pytest.raises(ValueError, match="has no parameter to train"):
        adapted.clipseg.requires_grad_(False)
        fit(vlsm_training(adapted, box(), splits), RECIPE)


# ---------------------------------------------------------------------------------------------------- a visual prompt


def test_visual_prompt_is_trained_through_clipseg() -> None:
    from zoo_opt_seg.visual_prompts.vpt import VPT
    from zoo_opt_seg.whitebox.prompt.gradient import train_prompt

    model, splits = box(), spot_splits()
    weights = checksum(model.model.state_dict())
    recipe = Recipe(epochs=4, batch=4, lr=0.05, weight_decay=0.0, optimizer="adam")
    x, fitted = train_prompt(model, VPT(24), splits, recipe=recipe)
    assert min(e.loss for e in fitted.history) < fitted.history[0].loss
    assert checksum(model.model.state_dict()) == weights and fitted.trained == x.size

"""VLSM adapters: counts, the forward against one recomputed by hand, identity, gradients, files."""

import copy
import re
from pathlib import Path

import pytest
import torch
import transformers
from seg.checks import checksum, raises
from seg.vlsm_cases import EOS, inputs, small

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.whitebox.vlsm.adapter import VLSMAdapter
from zoo_opt_seg.whitebox.vlsm.layers import VLSM

KINDS = [(kind, placement) for kind in ("shallow", "dense") for placement in ("V", "VL", "VLC")]
COUNTS = [2_363_136, 3_939_072, 4_201_984, 1_784_448, 2_974_464, 3_237_376]  # trained parameters of each


@pytest.fixture(params=KINDS, ids="-".join)
def case(request: pytest.FixtureRequest):
    """A CLIPSeg, inputs, and adapters around it."""
    model = small()
    return model, inputs(), VLSMAdapter(model, VLSM(*request.param, 5, 6))


def by_parts(model, given):
    """The forward as it is put together where gradients are wanted."""
    states = model.clip.vision_model(given["pixel_values"], output_hidden_states=True).hidden_states
    texts = {name: given[name] for name in ("input_ids", "attention_mask")}
    condition = model.clip.get_text_features(**texts).pooler_output
    return model.decoder([states[i + 1] for i in model.extract_layers], condition).logits


# ---------------------------------------------------------------------------------------------------- counts


@pytest.fixture(scope="module")
def refined():
    """CLIPSeg rd64-refined, without memory for its weights."""
    config = transformers.CLIPSegConfig(vision_config={"patch_size": 16}, use_complex_transposed_convolution=True)
    with torch.device("meta"):
        return transformers.CLIPSegForImageSegmentation(config)


def test_refined_clipseg_has_the_published_number_of_parameters(refined) -> None:
    assert sum(p.numel() for p in refined.parameters()) == 150_747_746
    assert sum(p.numel() for p in refined.decoder.parameters()) == 1_127_009
    vision = refined.clip.vision_model  # what the output does not depend on
    unused = [*vision.encoder.layers[10:], vision.post_layernorm, refined.clip.visual_projection]
    assert 1 + sum(p.numel() for part in unused for p in part.parameters()) == 14_570_497


@pytest.mark.parametrize(("config", "expected"), list(zip(map(VLSM, *zip(*KINDS, strict=True)), COUNTS, strict=True)))
def test_adapters_have_the_released_number_of_parameters(refined, config: VLSM, expected: int) -> None:
    adapted = VLSMAdapter(refined, config)
    assert sum(p.numel() for p in adapted.tensors().values()) == expected
    trained = [p for p in adapted.clipseg.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == expected
    assert sum(t.numel() for t in adapted.clipseg.parameters()) == 150_747_746 + expected


# ---------------------------------------------------------------------------------------------------- oracle


def by_hand(model, weights: dict, given: dict, kind: str) -> torch.Tensor:
    """The paper's forward with plain matrix products, from the frozen model's weights; nothing of ours, no hooks."""
    own = {k: v.detach() for k, v in model.state_dict().items()}
    w = {k: v.detach() for k, v in weights.items()}

    def linear(x, name, of=own):
        return x @ of[name + ".weight"].T + of[name + ".bias"]

    def change(x, name):
        return torch.relu(linear(torch.relu(linear(x, name + ".down", w)), name + ".up", w))

    def adapter(x, name):
        return x + change(x, name) if name + ".up.bias" in w else x

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)
        return x * own[name + ".weight"] + own[name + ".bias"]

    def encoder(x, which, layers, heads, hidden):
        states = []
        for i in range(layers):
            at = f"clip.{which}_model.encoder.layers.{i}."
            y = norm(x, at + "layer_norm1")
            q, k, v = (linear(y, f"{at}self_attn.{part}_proj") for part in "qkv")
            q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
            scores = q @ k.transpose(2, 3) / k.shape[-1] ** 0.5
            if hidden is not None:
                scores = scores.masked_fill(hidden, float("-inf"))
            y = linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), at + "self_attn.out_proj")
            x = x + (adapter(y, f"{which}.{2 * i}") if kind == "dense" else y)
            y = linear(norm(x, at + "layer_norm2"), at + "mlp.fc1")
            y = linear(y * torch.sigmoid(1.702 * y), at + "mlp.fc2")
            x = x + (adapter(y, f"{which}.{2 * i + 1}") if kind == "dense" else y)
            states.append(x)
        return states

    config, ids = model.config, given["input_ids"]
    x = model.clip.vision_model.embeddings(given["pixel_values"])
    x = norm(x, "clip.vision_model.pre_layrnorm")
    states = encoder(x, "vision", config.vision_config.num_hidden_layers, 2, None)
    n, length = ids.shape
    hidden = torch.ones(length, length).triu(1).bool() | (given["attention_mask"] == 0)[:, None, None, :]
    x = model.clip.text_model.embeddings(input_ids=ids)
    texts = encoder(x, "text", config.text_config.num_hidden_layers, 2, hidden)
    rows, ends = torch.arange(n), torch.tensor([row.tolist().index(EOS) for row in ids])
    condition = norm(texts[-1], "clip.text_model.final_layer_norm")[rows, ends] @ own["clip.text_projection.weight"].T
    condition = adapter(condition, "conditional")
    skips = [states[i] for i in config.extract_layers]
    if kind == "shallow":
        skips = [adapter(f, f"vision.{j}") for j, f in enumerate(skips)]
        for j, i in enumerate(config.extract_layers):
            if f"text.{j}.up.bias" in w:
                condition = condition + texts[i][rows, ends] + change(texts[i][rows, ends], f"text.{j}")
    return model.decoder(skips, condition).logits


@pytest.mark.parametrize(("kind", "placement"), KINDS)
def test_forward_is_the_one_by_hand(kind: str, placement: str) -> None:
    model, given = small(), inputs()
    adapted = VLSMAdapter(model, VLSM(kind, placement, hidden=5, conditional=6), seed=3)
    with torch.no_grad():
        frozen, expected = model(**given).logits, by_hand(model, adapted.tensors(), given, kind)
        assert torch.allclose(by_hand(model, {}, given, kind), frozen, rtol=1e-4, atol=1e-5)
        assert torch.allclose(adapted.clipseg(**given).logits, expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(by_parts(adapted.clipseg, given), adapted.clipseg(**given).logits)
        assert (expected - frozen).abs().max() > 1e-2


def test_one_prompt_for_many_images_goes_through_the_text_encoder_once() -> None:
    """The conditional embedding is adapted where it is made, so that it can be made once and given to many images."""
    adapted, given = VLSMAdapter(small(), VLSM("shallow", "VLC", 5, 6)), inputs()
    texts = {name: given[name][[0]] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        many = adapted.clipseg.clip.get_text_features(**texts).pooler_output.expand(3, -1)
        found = adapted.clipseg(pixel_values=given["pixel_values"], conditional_embeddings=many).logits
        texts = {name: value.expand(3, -1) for name, value in texts.items()}
        assert torch.allclose(found, adapted.clipseg(pixel_values=given["pixel_values"], **texts).logits, atol=1e-5)


def test_old_configurations_end_texts_at_the_highest_token() -> None:
    """They say that the end-of-text token is 2, and transformers then takes the greatest."""
    model, given = small(text={"eos_token_id": 2}), inputs()
    new = small()
    new.load_state_dict(model.state_dict())
    with torch.no_grad():
        old, expected = (VLSMAdapter(m, VLSM("shallow", "VLC", 5, 6)).clipseg(**given).logits for m in (model, new))
    assert torch.allclose(old, expected, atol=1e-6)


# ---------------------------------------------------------------------------------------------------- identity


def test_zero_output_is_the_frozen_model_where_the_method_is_the_identity(case) -> None:
    model, given, adapted = case
    with torch.no_grad():
        for name, tensor in adapted.tensors().items():
            if ".up." in name:
                tensor.zero_()
        difference = (adapted.clipseg(**given).logits - model(**given).logits).abs().max()
    # Shallow text skips add the features themselves.
    assert (difference == 0.0) == (adapted.config.kind == "dense" or adapted.config.placement == "V")


def test_disabled_is_the_frozen_model_bit_for_bit(case) -> None:
    model, given, adapted = case
    frozen = model(**given).logits
    on = adapted.clipseg(**given).logits
    with adapted.disabled():
        assert torch.equal(adapted.clipseg(**given).logits, frozen)
        assert torch.equal(by_parts(adapted.clipseg, given), frozen)
        with adapted.disabled():
            pass
        assert torch.equal(adapted.clipseg(**given).logits, frozen)
    assert torch.equal(adapted.clipseg(**given).logits, on) and not torch.equal(on, frozen)
    with pytest.raises(KeyError), adapted.disabled():
        raise KeyError
    assert torch.equal(adapted.clipseg(**given).logits, on)
    assert torch.equal(model(**given).logits, frozen)  # the one given is left as it is
    assert all(p.requires_grad for p in model.parameters())


def test_weights_are_shared_and_adapters_apart() -> None:
    model, given = small(), inputs()
    first, second = (VLSMAdapter(model, VLSM("dense", "VL", 5), seed=seed) for seed in (1, 2))
    frozen = first.frozen()
    assert frozen.keys() == model.state_dict().keys()
    assert all(t.data_ptr() == frozen[k].data_ptr() for k, t in model.state_dict().items())
    assert checksum(first.tensors()) != checksum(second.tensors())
    assert checksum(first.tensors()) == checksum(VLSMAdapter(model, VLSM("dense", "VL", 5), seed=1).tensors())
    twin = copy.deepcopy(first.clipseg)
    before = first.clipseg(**given).logits
    assert torch.equal(twin(**given).logits, before)
    with torch.no_grad():
        for parameter in first.tensors().values():
            parameter.zero_()
    assert torch.equal(twin(**given).logits, before)
    assert torch.equal(first.clipseg(**given).logits, model(**given).logits)


# ---------------------------------------------------------------------------------------------------- gradients


def test_gradient_reaches_all_adapters_and_nothing_else(case) -> None:
    """Through the model's own call too, in which transformers keeps gradients out of both encoders."""
    _, given, adapted = case
    found = []
    for forward in (lambda: adapted.clipseg(**given).logits, lambda: by_parts(adapted.clipseg, given)):
        found.append(torch.autograd.grad(forward().pow(2).mean(), list(adapted.tensors().values())))
        assert torch.is_grad_enabled()
    assert all(g.abs().sum() > 0 for g in found[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert not any(t.requires_grad for t in adapted.frozen().values())
    with torch.no_grad():
        assert not adapted.clipseg(**given).logits.requires_grad
    raises(ValueError, "as many prompt texts", adapted.clipseg, given["input_ids"][:1], given["pixel_values"])
    assert torch.is_grad_enabled()


def test_twenty_steps_change_no_frozen_weight(case) -> None:
    model, given, adapted = case
    frozen, start = checksum(adapted.frozen()), {k: t.detach().clone() for k, t in adapted.tensors().items()}
    assert frozen == checksum(model.state_dict())
    optimizer = torch.optim.AdamW(adapted.clipseg.parameters(), lr=1e-2, weight_decay=0.1)  # all of them, carelessly
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (adapted.clipseg(**given).logits - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert checksum(adapted.frozen()) == frozen == checksum(model.state_dict())
    assert not any(torch.equal(t, start[k]) for k, t in adapted.tensors().items())


# ---------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(("kind", "placement"), KINDS)
def test_saved_alone_and_put_on_a_fresh_clipseg(tmp_path: Path, kind: str, placement: str) -> None:
    given, adapted = inputs(), VLSMAdapter(small(), VLSM(kind, placement, 5, 6), seed=4)
    adapted.save(tmp_path / "a")
    loaded = VLSMAdapter.load(tmp_path / "a", small())
    assert loaded.config == adapted.config and checksum(loaded.tensors()) == checksum(adapted.tensors())
    assert torch.equal(loaded.clipseg(**given).logits, adapted.clipseg(**given).logits)
    weights = 4 * sum(p.numel() for p in adapted.tensors().values())
    assert weights < (tmp_path / "a").stat().st_size < weights + 8000
    other = small()
    with torch.no_grad():
        other.clip.logit_scale.add_(1)
    with pytest.warns(UserWarning, match="a was trained on a CLIPSeg with other weights than this one's"):
        VLSMAdapter.load(tmp_path / "a", other)


def test_file_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    VLSMAdapter(small(), VLSM("dense", "VL", 5)).save(tmp_path / "a")
    for wrong, said in (
        (small(vision={"patch_size": 4}), "its patch size is 8, this one's 4"),
        (small(vision={"hidden_size": 32}), "its vision width is 16, this one's 32"),
        (small(text={"num_hidden_layers": 6}), "its text layers is 4, this one's 6"),
        (small(extract_layers=[1, 2, 3]), r"its skip connections is \[0, 2, 3\], this one's \[1, 2, 3\]"),
        (small(use_complex_transposed_convolution=False), "its refined decoder is True, this one's False"),
    ):
        raises(CheckpointError, f"another CLIPSeg: {said}", VLSMAdapter.load, tmp_path / "a", wrong)
    save_file({"x": torch.zeros(2)}, tmp_path / "b", {"format": "zoo-opt-seg lora 1"})
    with pytest.raises(CheckpointError, match="holds no VLSM adapters of ours: its format is 'zoo-opt-seg lora 1'"):
        VLSMAdapter.load(tmp_path / "b", small())
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes()[:-100])
    raises(CheckpointError, "truncated", VLSMAdapter.load, tmp_path / "c", small())
    from safetensors import safe_open

    with safe_open(tmp_path / "a", framework="pt") as file:
        metadata = file.metadata()
    values = load_file(tmp_path / "a")
    del values["text.3.up.bias"]
    save_file(values, tmp_path / "d", metadata)
    with pytest.raises(CheckpointError, match=re.escape("1 tensors differ, such as text.3.up.bias")):
        VLSMAdapter.load(tmp_path / "d", small())
    raises(FileNotFoundError, None, VLSMAdapter.load, tmp_path / "e", small())


# ---------------------------------------------------------------------------------------------------- errors


def test_what_cannot_be_adapted_is_said() -> None:
    for options, error in (
        ({"kind": "deep"}, "kind must be one of shallow, dense, got 'deep'"),
        ({"placement": "L"}, "placement must be one of V, VL, VLC, got 'L'"),
        ({"hidden": 0}, "hidden must be >= 1"),
        ({"conditional": 0}, "conditional must be >= 1"),
    ):
        raises(ValueError, error, VLSM, **options)
    with pytest.raises(TypeError, match="clipseg must be a transformers CLIPSegForImageSegmentation, got Linear"):
        VLSMAdapter(torch.nn.Linear(2, 2))
    raises(TypeError, "config must be a VLSM", VLSMAdapter, small(), "dense")
    raises(ValueError, "without adapters", VLSMAdapter, VLSMAdapter(small(), VLSM(hidden=4)).clipseg, VLSM(hidden=4))
    short = small(text={"num_hidden_layers": 3})
    VLSMAdapter(short, VLSM("dense", "VL", 4))
    message = "placement must be V for this CLIPSeg: its text encoder has 3 layers, and shallow"
    raises(ValueError, message, VLSMAdapter, short, VLSM("shallow", "VL", 4))
    narrow = small(projection_dim=10)
    VLSMAdapter(narrow, VLSM("dense", "VLC", 4))
    raises(ValueError, "kind must be dense for this CLIPSeg", VLSMAdapter, narrow, VLSM("shallow", "VL", 4))

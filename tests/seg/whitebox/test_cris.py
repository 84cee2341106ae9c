"""CRIS: counts, parts recomputed by hand, texts, training, resuming, files, errors; and the CLIPs under it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import checksum, die_after, raises, refused
from seg.text_cases import RESNET, VIT, clip_config, small_clip, two_discs, two_discs_splits, words
from torch.nn import functional as F

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.embedded.clipseg import build_tiny_clipseg
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.clip.backbone import encoded, grid_positions, open_clip_model, tokens
from zoo_opt_seg.whitebox.clip.cris import CRIS, CRISConfig, pooled_places
from zoo_opt_seg.whitebox.clip.cris_parts import Projector, VisionLanguageDecoder, coordinates
from zoo_opt_seg.whitebox.clip.san import SAN, SANConfig
from zoo_opt_seg.whitebox.clip.text_segmenter import TextSegmenter
from zoo_opt_seg.whitebox.clip.training import text_training, train_text_net
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import fit, seeded

SMALL = CRISConfig(size=64, fused=(8, 12, 16), width=16, layers=2, heads=2, hidden=32, dropout=0.1)
SMALL_SAN = SANConfig(64, 32, patch=8, width=16, layers=2, heads=2, queries=3, embed=8, fusion=((0, 0),), split=2)
RECIPE = Recipe(epochs=6, batch=4, lr=3e-3, seed=1, stop_after=None)


def small_cris(seed: int = 0) -> CRIS:
    return CRIS(small_clip(RESNET), words, SMALL, seed=seed)


def seeing_cris() -> CRIS:
    """One whose normalisations have seen images; at the start they let next to nothing through so many layers."""
    net = small_cris().train()
    with seeded((4,)), torch.no_grad():
        for _ in range(20):
            net(torch.randn(4, 3, 64, 64), *tokens(words, ("the red disc", "a blue disc", "a disc", "the black disc")))
    return net.eval()


def asked(n: int = 3) -> tuple[np.ndarray, Prompts]:
    return two_discs(n, 7).images, Prompts(texts=("the red disc", "a blue disc", "the red disc")[:n])


# ---------------------------------------------------------------------------------------------------- counts, shapes


def test_published_size() -> None:
    """147 M trained parameters, to 3 %; CLIP's ResNet-50 is 102,007,137 of them, one of which has no part."""
    net = CRIS.published(device="meta")
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained == 145_451_873 and abs(trained / 147e6 - 1) < 0.03
    assert sum(p.numel() for p in net.clip.parameters()) == 102_007_137
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert sum(t.numel() for t in net.trained().values() if t.requires_grad) == trained
    assert net.size == 416 and net.tokenizer(["a polyp"]).shape == (1, 77)


@pytest.mark.slow
def test_published_sizes_fit_together() -> None:
    net = CRIS.published(seed=1)
    with torch.no_grad():
        logits = TextSegmenter(net).logits(torch.rand(1, 3, 300, 420), Prompts(texts=("a polyp",)))
    assert logits.shape == (1, 300, 420) and torch.isfinite(logits).all()


def test_box_answers_at_the_images_own_size() -> None:
    images, prompts = asked()
    box = TextSegmenter(small_cris(), batch_size=2)
    answer = box(images, prompts)
    assert answer.shape == (3, 40, 48) and answer.dtype == np.float32 and box.prompted_by == "text"
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert np.allclose(box.logits(pixels, prompts).sigmoid().detach().numpy(), answer, atol=1e-5)
    as_floats = images.astype(np.float32) / 255
    assert np.array_equal(box(as_floats, prompts), answer)  # rounded to 8 bits first
    exact = TextSegmenter(box.net, quantize=False, hard=True)
    assert np.array_equal(exact(as_floats, prompts), answer > 0.5)
    assert exact.name == box.name + "+float+hard" and box.name.startswith("cris-")
    assert box(images[:0], Prompts(texts=())).shape == (0, 40, 48)


def test_texts_and_images_matter_and_padding_does_not() -> None:
    images, _ = asked(2)
    box = TextSegmenter(seeing_cris())
    red, blue = (box(images, Prompts(texts=(f"the {colour} disc",) * 2)) for colour in ("red", "blue"))
    assert np.abs(red - blue).max() > 1e-4 and np.abs(red[0] - red[1]).max() > 1e-4
    mixed = box(images, Prompts(texts=("the red disc", "the blue disc")))
    assert np.allclose(mixed, [red[0], blue[1]], atol=1e-6)
    ids, ends = tokens(words, ("the red disc",))
    pixels = torch.zeros(1, 3, 64, 64)
    padded = ids.clone()
    padded[0, int(ends) + 1 :] = 3
    with torch.no_grad():
        assert torch.allclose(box.net(pixels, ids, ends), box.net(pixels, padded, ends), atol=1e-6)


# ---------------------------------------------------------------------------------------------------- by hand


def test_words_and_sentence_are_clips_own() -> None:
    clip = small_clip(RESNET)
    ids, ends = tokens(words, ("the red disc", "a disc", "the red disc"))
    found, sentence = encoded(clip, ids, ends)
    assert found.shape == (3, 8, 16) and ends.tolist() == [4, 3, 4]
    assert torch.allclose(sentence, clip.encode_text(ids), atol=1e-6)
    masked = lambda texts: (words(texts), (torch.arange(8) <= words(texts).argmax(1, keepdim=True)).long())  # noqa: E731
    again = tokens(masked, ("the red disc", "a disc", "the red disc"))
    assert torch.equal(again[0], ids) and torch.equal(again[1], ends)
    with pytest.raises(ValueError, match="at most 8 tokens for this CLIP, got 9"):
        encoded(clip, torch.zeros(1, 9, dtype=torch.long), torch.tensor([1]))


def test_attention_pooling_is_clips_at_every_place() -> None:
    """At CLIP's own grid: multi-head attention with its weights, the answers of the places in place of the mean's."""
    pool = small_clip(RESNET).visual.attnpool
    with seeded((3,)):
        x = torch.randn(2, pool.k_proj.in_features, 2, 2)
    tokens_ = x.flatten(2).permute(2, 0, 1)
    tokens_ = torch.cat([tokens_.mean(0, keepdim=True), tokens_]) + pool.positional_embedding[:, None]
    biases = torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias])
    projected = {f"{part}_proj_weight": getattr(pool, f"{part}_proj").weight for part in "qkv"}
    sizes, out = (tokens_.shape[2], pool.num_heads), (pool.c_proj.weight, pool.c_proj.bias)
    inputs = (tokens_, tokens_, tokens_, *sizes, None, biases, None, None, False, 0.0, *out)
    whole, _ = F.multi_head_attention_forward(*inputs, use_separate_proj_weight=True, **projected)
    assert torch.allclose(whole[0], pool(x), atol=1e-5)  # it is CLIP's
    assert torch.allclose(pooled_places(pool, x), whole[1:].permute(1, 2, 0).reshape(2, 20, 2, 2), atol=1e-5)
    assert pooled_places(pool, x.repeat(1, 1, 2, 1)).shape == (2, 20, 4, 2)


def test_positions_for_another_grid() -> None:
    table = torch.arange(10.0)[:, None].repeat(1, 2)
    assert grid_positions(table, (3, 3)) is table
    larger = grid_positions(table, (6, 6))
    assert larger.shape == (37, 2) and torch.equal(larger[0], table[0])
    plane = larger[1:, 0].reshape(6, 6)
    assert (plane[:, 1:] > plane[:, :-1]).all() and (plane[1:] > plane[:-1]).all()  # still row after row


def test_projector_is_a_convolution_for_each_image() -> None:
    with seeded((1,)):
        projector = Projector(8, 5).eval()
        c, sentence = torch.randn(3, 8, 4, 6), torch.randn(3, 5)
    found = projector(c, sentence)
    assert found.shape == (3, 16, 24)
    for one, text, logits in zip(projector.pixels(c), sentence, found, strict=True):
        made = projector.kernel(text)
        expected = F.conv2d(one[None], made[:-1].reshape(1, 4, 3, 3), made[-1:], padding=1)
        assert torch.allclose(expected[0, 0], logits, atol=1e-5)


def test_decoder_is_its_equations() -> None:
    """One layer: F' = MHSA(LN(F)) + F, F'' = MHCA(LN(F'), T) + F', MLP(LN(F'')) + F''; words after the end unseen."""
    with seeded((2,)):
        decoder = VisionLanguageDecoder(width=8, words=6, layers=1, heads=2, hidden=12, dropout=0.0).eval()
        v, t, ends = torch.randn(2, 8, 3, 4), torch.randn(2, 5, 6), torch.tensor([2, 4])
    seen = {}
    decoder.layers[0].register_forward_pre_hook(lambda _, given: seen.update(f=given[0], t=given[1]))
    found = decoder(v, t, ends)
    (layer,), f, t = decoder.layers, seen["f"], seen["t"]
    assert not torch.equal(f, v.flatten(2).transpose(1, 2))  # positions are in it
    after = torch.arange(5) > ends[:, None]
    a = layer.norm1(f)
    f = f + layer.self_attn(a, a, a)[0]
    f = f + layer.multihead_attn(layer.norm2(f), t, t, key_padding_mask=after)[0]
    f = f + layer.linear2(layer.linear1(layer.norm3(f)).relu())
    assert torch.allclose(found, decoder.norm(f).transpose(1, 2).reshape(2, 8, 3, 4), atol=1e-5)


def test_coordinates_run_right_and_down() -> None:
    x, y = coordinates(torch.zeros(2, 5, 3, 4))[1]
    assert x[0].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1]) and y[:, 0].tolist() == [-1, 0, 1]
    assert (x == x[:1]).all() and (y == y[:, :1]).all()


# ---------------------------------------------------------------------------------------------------- training


def test_training_lowers_the_loss_and_repeats(tmp_path: Path) -> None:
    splits = two_discs_splits()
    net = small_cris()
    before, start = checksum(net.trained()), TextSegmenter(net).name
    model, fitted = train_text_net(net, splits, recipe=RECIPE, out=tmp_path)
    losses = [epoch.train_loss for epoch in fitted.history[1:]]
    assert losses[-1] < 0.8 * losses[0] and fitted.best_epoch > 0
    assert fitted.trained == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert checksum(net.trained()) != before and model.name != start
    again = small_cris()
    train_text_net(again, splits, recipe=RECIPE)
    assert checksum(again.trained()) == checksum(net.trained())
    other = TextSegmenter(small_cris(seed=5))
    other.load(tmp_path / "cris.safetensors")
    images, prompts = asked()
    assert np.array_equal(other(images, prompts), model(images, prompts)) and other.name == model.name


def test_every_weight_has_a_gradient() -> None:
    task = text_training(TextSegmenter(small_cris()), two_discs_splits())
    task.train(True)
    task.loss(np.arange(4), (0, 1, 2)).backward()
    assert [n for n, t in task.tensors().items() if t.requires_grad and t.grad is None] == []
    task.train(False)
    assert not task.model.net.training


def test_half_precision_trains() -> None:
    splits, recipe = two_discs_splits(), Recipe(epochs=1, batch=8, precision="bfloat16")
    for net in (small_cris(), SAN(small_clip(VIT), words, SMALL_SAN)):
        (_, epoch) = train_text_net(net, splits, recipe=recipe)[1].history
        assert np.isfinite([epoch.train_loss, epoch.loss]).all()


def test_killed_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    """The running statistics of the normalisations are in the checkpoint."""
    splits, recipe = two_discs_splits(), Recipe(epochs=2, batch=8, lr=3e-3)
    whole = small_cris()
    fit(text_training(TextSegmenter(whole), splits), recipe)

    with pytest.raises(KeyboardInterrupt):
        fit(text_training(TextSegmenter(small_cris()), splits), recipe, out=tmp_path, report=die_after(1))
    resumed = small_cris()
    fit(text_training(TextSegmenter(resumed), splits), recipe, out=tmp_path)
    assert checksum(resumed.trained()) == checksum(whole.trained())


def test_tiny_takes_the_embedded_tokenizer() -> None:
    with seeded((0,)):
        clipseg = build_tiny_clipseg().eval()
    net = CRIS.tiny(clipseg, seed=3)
    assert checksum(net.trained()) == checksum(CRIS.tiny(clipseg, seed=3).trained())
    text = clipseg.clip.text_model.embeddings.token_embedding.weight
    assert torch.equal(net.clip.token_embedding.weight, text)
    answer = TextSegmenter(net)(np.zeros((2, 96, 96, 3), np.uint8), Prompts(texts=("a polyp", "the red circle")))
    assert answer.shape == (2, 96, 96) and np.abs(answer[0] - answer[1]).max() > 0


# ---------------------------------------------------------------------------------------------------- errors


test_configuration_says_what_is_wrong = refused(
    CRISConfig,
    ({"size": 100}, "size must be a multiple of 32, got 100"),
    ({"width": 10, "heads": 4}, "width must be a multiple of heads, got 10 and 4"),
    ({"fused": (1, 2)}, "fused must be three numbers"),
    ({"dropout": 1.0}, "dropout must be"),
    ({"layers": 0}, "layers must be >= 1"),
)


def test_box_says_what_is_wrong() -> None:
    images, _ = asked(2)
    box = TextSegmenter(small_cris())
    with pytest.raises(ValueError, match="prompts must have texts for this model, got none"):
        box(images, Prompts(points=np.zeros((2, 1, 2), np.float32)))
    raises(ValueError, "a text for each image, got none in row 1", box, images, Prompts(texts=("a disc", "")))
    raises(ValueError, "one per image, got 1 for 2", box, images, Prompts(texts=("a disc",)))
    with pytest.raises(ValueError, match=r"float tensor \(n, 3, H, W\)"):
        box.logits(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), Prompts(texts=("a disc",)))
    raises(TypeError, "net must be a CRIS or a SAN, got Linear", TextSegmenter, torch.nn.Linear(1, 1))
    raises(TypeError, "ResNet as its image tower for CRIS, got VisionTransformer", CRIS, small_clip(VIT), words, SMALL)


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    TextSegmenter(small_cris()).save(tmp_path / "a")
    other = TextSegmenter(CRIS(small_clip(RESNET), words, CRISConfig(**{**vars(SMALL), "width": 32})))
    raises(CheckpointError, r"of another CRIS: its width is \d+, this one's 32", other.load, tmp_path / "a")
    heads = TextSegmenter(CRIS(small_clip(RESNET), words, CRISConfig(**{**vars(SMALL), "heads": 1})))
    with pytest.raises(CheckpointError, match=r"its heads is \d+, this one's 1$"):  # all tensors would fit
        heads.load(tmp_path / "a")
    wide = TextSegmenter(CRIS(small_clip({**RESNET, "width": 16}), words, SMALL))
    raises(CheckpointError, r"of another CRIS: \d+ tensors differ", wide.load, tmp_path / "a")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:200])
    raises(CheckpointError, "truncated", other.load, tmp_path / "b")


# ---------------------------------------------------------------------------------------------------- CLIP's weights


def test_weights_come_from_local_files(tmp_path: Path) -> None:
    config, clip = clip_config(RESNET), small_clip(RESNET)
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    assert checksum(open_clip_model(config, tmp_path / "clip.pt").state_dict()) == checksum(clip.state_dict())
    first, again = (checksum(open_clip_model(config, seed=4).state_dict()) for _ in range(2))
    assert first == again
    before = torch.get_rng_state()
    open_clip_model(config, seed=5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore")  # torch deprecates TorchScript, in which those weights are
def test_weights_come_from_a_torchscript_archive(tmp_path: Path) -> None:
    clip = small_clip(RESNET)
    inputs = (torch.zeros(1, 3, 64, 64), torch.zeros(1, 8, dtype=torch.long))
    torch.jit.trace(clip, inputs, strict=False, check_trace=False).save(str(tmp_path / "clip.pt"))
    loaded = open_clip_model(clip_config(RESNET), tmp_path / "clip.pt")
    assert checksum(loaded.state_dict()) == checksum(clip.state_dict())


def test_weights_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"RN50\.pt is not a file; weights are never downloaded"):
        open_clip_model("RN50", tmp_path / "RN50.pt", device="meta")
    raises(ValueError, "name must be a model of open_clip, got 'RN49'", CRIS.published, name="RN49")
    torch.save(small_clip(VIT).state_dict(), tmp_path / "vit.pt")
    raises(CheckpointError, "does not fit the model", open_clip_model, clip_config(RESNET), tmp_path / "vit.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "vit.pt").read_bytes()[:500])
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    for name in ("cut.pt", "no.safetensors"):
        raises(CheckpointError, "cannot be read", open_clip_model, clip_config(RESNET), tmp_path / name)

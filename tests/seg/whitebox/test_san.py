"""SAN: counts, the biased attention recomputed by hand, frozen CLIP, training, towers of a CLIPSeg, errors."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import checksum, refused
from seg.text_cases import RESNET, VIT, small_clip, two_discs, two_discs_splits, words
from torch.nn import functional as F

from zoo_opt_seg.embedded.clipseg import MEAN, STD, build_tiny_clipseg, tiny_tokenizer
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.clip.backbone import encoded, tokens
from zoo_opt_seg.whitebox.clip.convert import clip_of_clipseg
from zoo_opt_seg.whitebox.clip.san import SAN, SANConfig
from zoo_opt_seg.whitebox.clip.san_parts import Proposals, SideAdapter, recognised, through
from zoo_opt_seg.whitebox.clip.text_segmenter import TextSegmenter
from zoo_opt_seg.whitebox.clip.training import text_training, train_text_net
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import seeded

FUSION = ((0, 0), (1, 1), (2, 2))
SMALL = SANConfig(64, 32, patch=8, width=16, layers=3, heads=2, queries=5, embed=12, fusion=FUSION, split=2)
RECIPE = Recipe(epochs=6, batch=4, lr=3e-3, seed=1, stop_after=None)


def small_san(seed: int = 0, **changes) -> SAN:
    return SAN(small_clip(VIT), words, SANConfig(**{**vars(SMALL), **changes}), seed=seed)


def telling_san() -> SAN:
    """One whose proposals differ more than at the start, in shape and in class."""
    net = small_san()
    with seeded((6,)), torch.no_grad():
        for parameter in [*net.adapter.parameters(), *net.proposals.parameters()]:
            parameter += 0.3 * torch.randn_like(parameter)
    return net


# ---------------------------------------------------------------------------------------------------- counts, shapes


def test_published_size() -> None:
    """8.4 M trained parameters, to 3 %, CLIP's position table among them."""
    net = SAN.published(device="meta")
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained == 8_370_833 and abs(trained / 8.4e6 - 1) < 0.03
    assert trained == sum(t.numel() for t in net.trained().values())
    assert sum(p.numel() for p in net.clip.parameters()) == 149_620_737
    assert net.positions.numel() == 197 * 768 and net.heads == 12
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert len(net.trained()) + len(net.frozen()) == len(net.state_dict())


@pytest.mark.slow
def test_published_sizes_fit_together() -> None:
    box = TextSegmenter(SAN.published(seed=1))
    with torch.no_grad():
        logits = box.logits(torch.rand(1, 3, 300, 420), Prompts(texts=("a polyp",)))
        masks, classes = box.net.propose(torch.randn(1, 3, 640, 640))
    assert logits.shape == (1, 300, 420) and torch.isfinite(logits).all()
    assert masks.shape == (1, 100, 40, 40) and classes.shape == (1, 100, 512)


def test_box_answers_at_the_images_own_size() -> None:
    images, prompts = two_discs(3, 7).images, Prompts(texts=("the red disc", "a blue disc", "a disc"))
    box = TextSegmenter(telling_san(), batch_size=2)
    answer = box(images, prompts)
    assert answer.shape == (3, 40, 48) and answer.dtype == np.float32 and box.prompted_by == "text"
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert np.allclose(box.logits(pixels, prompts).sigmoid().detach().numpy(), answer, atol=1e-5)
    assert np.abs(answer - box(images, Prompts(texts=("a disc", "the red disc", "the blue disc")))).max() > 1e-5
    assert np.abs(answer[0] - answer[1]).max() > 1e-4
    assert box.name.startswith("san-") and box.name == TextSegmenter(telling_san()).name


# ---------------------------------------------------------------------------------------------------- by hand


def by_hand(block, sls, x, bias):
    """One layer for [SLS] tokens (N, c): each head's softmax over the visual tokens of x (1 + L, c), bias (K, N, L)."""
    c, heads = x.shape[1], block.attn.num_heads
    q, k, v = (
        linear.reshape(-1, heads, c // heads)
        for linear in (
            F.linear(block.ln_1(sls), block.attn.in_proj_weight[:c], block.attn.in_proj_bias[:c]),
            *F.linear(block.ln_1(x[1:]), block.attn.in_proj_weight[c:], block.attn.in_proj_bias[c:]).split(c, 1),
        )
    )
    found = []
    for head in range(heads):
        scores = q[:, head] @ k[:, head].T / (c // heads) ** 0.5 + bias[head]
        weight = (scores - scores.max(1, keepdim=True).values).exp()
        found.append(weight / weight.sum(1, keepdim=True) @ v[:, head])
    sls = sls + block.attn.out_proj(torch.cat(found, 1))
    return sls + block.mlp(block.ln_2(sls))


def test_sls_tokens_look_where_the_bias_lets_them() -> None:
    visual = small_clip(VIT).visual
    blocks = list(visual.transformer.resblocks[2:])
    with seeded((1,)):
        x, bias = torch.randn(2, 17, 24), torch.randn(2, 3, 4, 4, 4)
    inside = torch.zeros(4, 4, 4, dtype=torch.bool)
    inside[0, :2], inside[1, 3, 3], inside[2, :, 1:], inside[3] = True, True, True, True
    bias = bias.masked_fill(~inside, -torch.inf)  # the four proposals: half, one place, three columns, everything
    found = recognised(visual, x, bias, blocks)
    for i in range(2):
        sls, tokens_ = x[i, :1].repeat(4, 1), x[i]
        for block in blocks:
            sls = by_hand(block, sls, tokens_, bias[i].flatten(2))
            tokens_ = block(tokens_[None])[0]
        assert torch.allclose(found[i], visual.ln_post(sls) @ visual.proj, atol=1e-5)


def test_places_outside_a_proposal_have_no_part_in_it() -> None:
    """In one layer: tokens outside may be anything; with one place inside, the bias there may be anything."""
    visual = small_clip(VIT).visual
    blocks = visual.transformer.resblocks[3:]
    with seeded((2,)):
        x = torch.randn(1, 17, 24, requires_grad=True)
    bias = torch.full((1, 3, 2, 4, 4), -torch.inf)
    bias[:, :, 0, 1, 2], bias[:, :, 1, 2:] = 0.7, 0.0
    found = recognised(visual, x, bias, blocks)
    for proposal, places in ((0, [1 * 4 + 2]), (1, list(range(8, 16)))):
        (gradient,) = torch.autograd.grad(found[0, proposal].sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(1).nonzero()[:, 0].tolist()
        assert seen == [0, *(1 + place for place in places)]  # the copy of [CLS], and the places inside
    other = bias.clone()
    other[:, :, 0, 1, 2] = -3.0
    assert torch.allclose(recognised(visual, x, other, blocks)[0, 0], found[0, 0], atol=1e-6)


def test_clip_itself_is_not_disturbed() -> None:
    """The tokens that the [SLS] tokens look at are those of CLIP's own forward, and so is the last [CLS]."""
    net = small_san(clip_size=48)
    pixels = torch.randn(2, 3, 48, 48)
    x = net.image(pixels)[2]
    for block in net.clip.visual.transformer.resblocks[2:]:
        x = through(block, x)
    visual = net.clip.visual
    assert torch.allclose(visual.ln_post(x[:, 0]) @ visual.proj, visual(pixels), atol=1e-5)


def test_layers_whose_first_axis_is_the_sequence() -> None:
    """As in older releases of open_clip."""
    visual = small_clip(VIT).visual
    other = copy.deepcopy(visual)
    for block in other.transformer.resblocks:
        block.attn.batch_first = False
    with seeded((1,)):
        x, bias = torch.randn(2, 17, 24), torch.randn(2, 3, 4, 4, 4)
    expected = recognised(visual, x, bias, visual.transformer.resblocks)
    assert torch.allclose(recognised(other, x, bias, other.transformer.resblocks), expected, atol=1e-5)


def test_proposals_and_biases_are_products() -> None:
    with seeded((3,)):
        made = Proposals(width=6, embed=4, heads=3)
        queries, places = torch.randn(2, 5, 6), torch.randn(2, 9, 6)
        made.requires_grad_(False).scale.fill_(2.0)
    masks, bias = made(queries, places)
    assert masks.shape == (2, 5, 3, 3) and bias.shape == (2, 3, 5, 3, 3)
    q, v = made.query(queries[1, 4]), places[1, 2 * 3 + 1]
    assert float(masks[1, 4, 2, 1]) == pytest.approx(float(q @ made.mask(v)), abs=1e-5)
    for head in range(3):
        expected = 2 * float(q @ made.attention(v)[4 * head : 4 * (head + 1)])
        assert float(bias[1, head, 4, 2, 1]) == pytest.approx(expected, abs=1e-5)


def test_clips_features_are_added_where_they_lie() -> None:
    with seeded((4,)):
        sizes = SANConfig(size=32, patch=8, width=6, layers=1, heads=2, queries=3, fusion=((2, 0),))
        adapter = SideAdapter(sizes, 5).eval()
        features = torch.randn(1, 1 + 16, 5)
    seen = {}
    adapter.layers[0].register_forward_pre_hook(lambda _, given: seen.update(x=given[0]))
    adapter(torch.zeros(1, 3, 32, 32), {2: features})
    expected = adapter.patches.bias + adapter.fused["0"](features[0, 1:]) + adapter.places[3:]
    assert torch.allclose(seen["x"][0, 3:], expected, atol=1e-6)
    assert torch.allclose(seen["x"][0, :3], adapter.queries + adapter.places[:3], atol=1e-6)


def test_mask_is_the_proposals_weighted_by_their_class() -> None:
    net = small_san()
    pixels = torch.randn(2, 3, 64, 64)
    ids, ends = tokens(words, ("the red disc", "a disc"))
    masks, classes = net.propose(pixels)
    assert masks.shape == (2, 5, 8, 8) and classes.shape == (2, 5, 20)
    text = F.normalize(net.clip.encode_text(ids), dim=-1)
    for i in range(2):
        score = net.clip.logit_scale.exp() * F.normalize(classes[i], dim=-1) @ text[i]
        expected = sum(w * m for w, m in zip(score.softmax(0), masks[i], strict=True))
        assert torch.allclose(net(pixels, ids, ends)[i], expected, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- training


def test_training_lowers_the_loss_and_leaves_clip_alone(tmp_path: Path) -> None:
    splits = two_discs_splits()
    clip = small_clip(VIT)
    frozen = checksum(clip.state_dict())
    net = SAN(clip, words, SMALL)
    start = checksum(net.trained())
    model, fitted = train_text_net(net, splits, recipe=RECIPE, out=tmp_path)
    losses = [epoch.train_loss for epoch in fitted.history[1:]]
    assert losses[-1] < 0.9 * losses[0] and fitted.best_epoch > 0 and checksum(net.trained()) != start
    assert checksum(clip.state_dict()) == frozen == checksum({n[5:]: t for n, t in net.frozen().items()})
    assert fitted.trained == sum(t.numel() for t in net.trained().values())
    again = small_san()
    train_text_net(again, splits, recipe=RECIPE)
    assert checksum(again.trained()) == checksum(net.trained())
    other = TextSegmenter(small_san(seed=5))
    other.load(tmp_path / "san.safetensors")
    images, prompts = splits.test.images, Prompts(texts=("a red disc",) * 4)
    assert np.array_equal(other(images, prompts), model(images, prompts))
    assert (tmp_path / "san.safetensors").stat().st_size < 4 * fitted.trained + 20_000  # without the CLIP


def test_every_trained_weight_has_a_gradient_and_no_other() -> None:
    """Above all the biases: the text's score of a proposal goes through CLIP's last layers to them."""
    task = text_training(TextSegmenter(small_san()), two_discs_splits())
    task.loss(np.arange(4), (0, 1, 2)).backward()
    assert [name for name, t in task.tensors().items() if t.grad is None or not t.grad.any()] == []
    assert all(t.grad is None for t in task.model.net.frozen().values())


# ---------------------------------------------------------------------------------------------------- CLIPSeg's towers


def test_towers_of_a_clipseg_are_the_same_function() -> None:
    with seeded((0,)):
        clipseg = build_tiny_clipseg().eval()
        for parameter in clipseg.parameters():  # transformers' own start is so small that nothing would be seen
            parameter.data += 0.05 * torch.randn_like(parameter)
        pixels = torch.randn(2, 3, 96, 96)
    clip, towers = clip_of_clipseg(clipseg), clipseg.clip
    ids, mask = tiny_tokenizer()(["the small red circle", "a polyp"])
    with torch.no_grad():
        theirs = towers.get_text_features(input_ids=ids, attention_mask=mask)
        ours = TextSegmenter(SAN(clip, tiny_tokenizer(), SAN.tiny(clipseg).config)).net
        states = towers.vision_model(pixels, output_hidden_states=True).hidden_states
        assert torch.allclose(ours.image(pixels)[4], states[4], atol=1e-4)
        pooled = towers.visual_projection(towers.vision_model(pixels).pooler_output)
        assert torch.allclose(clip.visual(pixels), pooled, atol=1e-4)
        found = encoded(clip, *tokens(tiny_tokenizer(), ["the small red circle", "a polyp"]))[1]
        assert torch.allclose(found, getattr(theirs, "pooler_output", theirs), atol=1e-4)


def test_tiny_answers() -> None:
    with seeded((0,)):
        clipseg = build_tiny_clipseg().eval()
    net = SAN.tiny(clipseg, seed=3)
    assert checksum(net.trained()) == checksum(SAN.tiny(clipseg, seed=3).trained())
    assert checksum(net.trained()) != checksum(SAN.tiny(clipseg, seed=4).trained())
    assert net.pixels == (MEAN, STD) != small_san().pixels  # as the towers were trained
    assert all(p.requires_grad for p in clipseg.parameters())  # they are copies that were frozen
    answer = TextSegmenter(net)(np.zeros((2, 50, 60, 3), np.uint8), Prompts(texts=("a polyp", "the red circle")))
    assert answer.shape == (2, 50, 60)


# ---------------------------------------------------------------------------------------------------- errors


test_configuration_says_what_is_wrong = refused(
    small_san,
    ({"size": 63}, "size must be a multiple of patch, got 63 and 8"),
    ({"width": 15}, "width must be a multiple of heads, got 15 and 2"),
    ({"fusion": ((3, 1),)}, r"fusion must be of CLIP's layers 0 to 2 .* got \(3, 1\)"),
    ({"queries": 0}, "queries must be >= 1"),
    ({"split": 4, "fusion": ()}, "split must leave layers of CLIP's 4 for the proposals, got 4"),
    ({"clip_size": 36}, "clip_size must be a multiple of CLIP's patches of 8, got 36"),
)


def test_san_needs_a_vit() -> None:
    with pytest.raises(TypeError, match="clip must have a ViT as its image tower for SAN, got ModifiedResNet"):
        SAN(small_clip(RESNET), words, SMALL)

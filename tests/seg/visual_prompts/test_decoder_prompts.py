"""The decoder and the prompts made with it, BAPS and BlackVIP, against networks of torch's modules."""

import math

import numpy as np
import pytest
import torch
from seg.prompt_cases import ENCODER, shown, vector
from seg.prompt_fakes import LinearEncoder, points_of, scenes
from torch import nn

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import BlackVIP, IPDecoder
from zoo_opt_seg.visual_prompts.decoder import Decoder

# ------------------------------------------------------------------------------------------ the decoder


class Norm2d(nn.Module):
    """LayerNorm over the channels of an image."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.rand(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = ((x - mean) ** 2).mean(1, keepdim=True)
        return self.weight[:, None, None] * (x - mean) / torch.sqrt(variance + 1e-6) + self.bias[:, None, None]


def plain_decoder(channels, depthwise):
    """The decoder layer by layer, of torch's modules; the sizes written out, as they were published."""
    layers, width = nn.ModuleDict(), channels
    for i, (mid, out) in enumerate([(64, 64), (64, 32), (32, 32), (32, 16)], 1):
        groups = math.gcd(width, mid) if depthwise else 1
        layers[f"up{i}"] = nn.ConvTranspose2d(width, mid, 2, stride=2, groups=groups)
        layers[f"mix{i}"] = nn.ConvTranspose2d(mid, out, 1, bias=not depthwise)
        layers[f"norm{i}"] = Norm2d(out)
        width = out
    layers["last"] = nn.ConvTranspose2d(width, 3, 2, stride=2, bias=not depthwise)
    return layers


@pytest.mark.parametrize("depthwise", [False, True])
def test_decoder_is_the_plain_one(depthwise):
    torch.manual_seed(0)
    layers, ours = plain_decoder(32, depthwise), Decoder(32, depthwise=depthwise)
    p = dict(layers.named_parameters())
    assert {name: tuple(value.shape) for name, value in p.items()} == ours.shapes
    z = torch.randn(2, 32, 3, 3)
    with torch.no_grad():
        x = z
        for name, layer in layers.items():
            x = layer(x)
            if name.startswith("norm"):
                x = nn.functional.gelu(x)
        got = ours.last(ours.hidden(z, p), p)
    assert got.shape == (2, 3, 96, 96)
    torch.testing.assert_close(got, x, rtol=1e-4, atol=1e-5)


def test_decoder_starts_as_torch_does():
    """The bounds of the uniform numbers are those of torch's modules."""
    torch.manual_seed(0)
    for depthwise in (False, True):
        ours = Decoder(32, depthwise=depthwise).start(0)
        for name, theirs in plain_decoder(32, depthwise).named_parameters():
            if name.startswith("norm"):
                assert set(ours[name]) == {1.0 if name.endswith("weight") else 0.0}
            else:
                high = float(theirs.detach().abs().max())
                assert np.abs(ours[name]).max() == pytest.approx(high, rel=0.35 if theirs.numel() < 100 else 0.05)
                assert abs(ours[name].mean()) < 0.5 * high


# ------------------------------------------------------------------------------------------ BAPS and BlackVIP


def test_baps_has_the_released_number_of_parameters():
    prompt = IPDecoder(512, encoder=LinearEncoder(768), prompt_in=256, prompt_out=256)
    assert prompt.dim == 100_403 and prompt.grid == 16 and prompt.decoder.shapes["up1.weight"][0] == 4
    point = sum(math.prod(s) for name, s in prompt._layout.shapes.items() if name.startswith("point"))
    assert point == 66_304 and prompt.dim - point == 34_099
    assert IPDecoder(512, encoder=LinearEncoder(768)).dim == 100_403  # also by default
    assert prompt.x0(0).nbytes == 401_612  # 0.4 MB


@pytest.mark.parametrize("dim", [96, 128, 192])
def test_baps_at_96_pixels(dim):
    prompt = IPDecoder(96, encoder=LinearEncoder(dim))
    assert 10_000 < prompt.dim < 120_000
    assert (dim + prompt.prompt_out) % 9 == 0 and 247 < prompt.prompt_out <= 256
    assert IPDecoder(96, encoder=LinearEncoder(dim), prompt_in=64).dim < 70_000


def test_baps_at_the_papers_size_makes_images():
    prompt = IPDecoder(512, encoder=LinearEncoder(768))
    assert shown(prompt, vector(prompt), scenes(1, 512)).shape == (1, 512, 512, 3)


def test_baps_is_the_plain_network():
    torch.manual_seed(0)
    prompt = IPDecoder(64, encoder=ENCODER, prompt_in=16, prompt_out=12, scale=0.3)
    layers = plain_decoder(8, False)
    linear, norm = nn.Linear(16, 12), nn.LayerNorm(12)
    modules = {"point.": linear, "point_norm.": norm, "": layers}
    p = {start + name: value for start, module in modules.items() for name, value in module.named_parameters()}
    x = prompt._layout.join({name: value.detach().numpy() for name, value in p.items()})
    samples = scenes(3, 64)
    points = points_of(samples, k=2)
    labels = np.array([[1, 1], [1, -1], [1, 0]])
    points = Prompts(points=points.points, labels=labels)
    expected = np.empty((3, 64, 64, 3))
    with torch.no_grad():
        for i in range(3):
            residuals = []
            for xy, label in zip(points.points[i], labels[i], strict=True):
                if label != 1:
                    continue
                angle = 2 * np.pi * (2 * (xy + 0.5) / 64 - 1) @ prompt.embedding.matrix
                e = nn.functional.gelu(norm(linear(torch.tensor(np.concatenate([np.sin(angle), np.cos(angle)])[None]))))
                z = torch.cat([torch.from_numpy(ENCODER(samples.images[i : i + 1])), e], 1).reshape(1, 8, 2, 2)
                for name, layer in layers.items():
                    z = layer(z)
                    z = nn.functional.gelu(z) if name.startswith("norm") else z
                residuals.append(z[0].permute(1, 2, 0).numpy())
            expected[i] = np.clip(samples.images[i] / 255 + 0.3 * np.mean(residuals, 0), 0, 1)
    np.testing.assert_allclose(shown(prompt, x, samples, points), expected, atol=2e-5)


def test_last_layer_alone():
    """The frozen rest is that of the seed: the same as the whole network with these values."""
    options = {"encoder": ENCODER, "prompt_in": 16, "seed": 7}
    last, whole = IPDecoder(64, trained="last", **options), IPDecoder(64, **options)
    assert last.dim == 195 and whole.dim > 30_000
    samples, x, start = scenes(3, 64), vector(last), whole.x0(7)
    assert np.array_equal(start[-195:], np.zeros(195)) and start[:-195].any()
    start[-195:] = x
    np.testing.assert_allclose(shown(last, x, samples), shown(whole, start, samples), atol=1e-6)
    assert IPDecoder(64, trained="last", widths=((64, 64), (64, 32), (32, 32), (32, 96)), **options).dim == 1155


def test_boxes_and_no_points():
    prompt = IPDecoder(64, encoder=ENCODER, prompt_in=16)
    samples, x = scenes(2, 64), vector(prompt)
    box = np.array([[3, 4, 30, 40], [0, 0, 63, 63]], np.float32)
    asked = Prompts(boxes=box), Prompts(points=box.reshape(2, 2, 2)), Prompts(texts=("a", "b"))
    by_box, by_corners, by_text = (shown(prompt, x, samples, prompts) for prompts in asked)
    assert np.array_equal(by_box, by_corners) and not np.array_equal(by_box, by_text)


def test_random_output_without_zero_start():
    prompt = IPDecoder(64, encoder=ENCODER, prompt_in=16, zero_output=False)
    assert prompt.x0(0)[-195:].any() and not np.array_equal(prompt.x0(0), prompt.x0(1))


def test_blackvip_at_the_released_sizes():
    prompt = BlackVIP(224, encoder=LinearEncoder(768))
    assert prompt.channels == 32 and prompt._layout.shapes["trigger"] == (800,)
    assert prompt.dim == 9_920
    trigger = prompt.x0(0)[:800]
    assert 0 <= trigger.min() < 0.01 and 0.09 < trigger.max() <= 0.1


def test_blackvip_is_the_plain_network():
    torch.manual_seed(0)
    prompt = BlackVIP(64, encoder=ENCODER, p_eps=0.5)
    layers, trigger = plain_decoder(32, True), torch.rand(108)
    p = {"trigger": trigger} | {k: v.detach() for k, v in layers.named_parameters()}
    samples = scenes(2, 64)
    with torch.no_grad():
        z = torch.cat([torch.from_numpy(ENCODER(samples.images)), trigger.expand(2, -1)], 1).reshape(2, 32, 2, 2)
        for name, layer in layers.items():
            z = layer(z)
            z = nn.functional.gelu(z) if name.startswith("norm") else z
    expected = np.clip(samples.images / 255 + 0.5 * z.permute(0, 2, 3, 1).numpy(), 0, 1)
    x = prompt._layout.join({k: v.numpy() for k, v in p.items()})
    np.testing.assert_allclose(shown(prompt, x, samples), expected, atol=2e-5)


def test_blackvip_zero_output():
    prompt = BlackVIP(64, encoder=ENCODER, zero_output=True)
    samples = scenes(1, 64)
    assert np.array_equal(shown(prompt, prompt.x0(0), samples), samples.images.astype(np.float32) / np.float32(255))

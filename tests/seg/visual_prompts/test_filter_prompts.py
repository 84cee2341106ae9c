"""Filter prompts, their maps, and the low-rank decoder against their formulas."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from seg.prompt_cases import shown, vector
from seg.prompt_fakes import points_of, scenes

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import FilterPrompt, LowRank, lowrank
from zoo_opt_seg.visual_prompts.adjustments import ADJUSTMENTS
from zoo_opt_seg.visual_prompts.maps import GROUPS

# ------------------------------------------------------------------------------------------ filters, low rank


def test_filter_prompt_is_its_formula():
    prompt, samples = FilterPrompt(96), scenes(2, 96)
    assert prompt.dim == 30
    A = vector(prompt, spread=0.5).reshape(3, 10)
    image = samples.images / 255
    blurs = [ndimage.gaussian_filter(image, (0, s, s, 0), truncate=6) - 0.5 for s in (2, 6)]
    features = np.concatenate([image - 0.5, *blurs, np.full_like(image[..., :1], 0.5)], axis=3)
    expected = np.clip(image + features @ A.T, 0, 1)
    got = shown(prompt, A.reshape(-1), samples)
    inner = slice(20, 76)  # at the border the blur renormalises its weights, scipy reflects the image
    np.testing.assert_allclose(got[:, inner, inner], expected[:, inner, inner], atol=2e-3)


def test_the_starts_of_a_filter_are_common_adjustments():
    from PIL import Image, ImageEnhance

    prompt, samples = FilterPrompt(96), scenes(2, 96)
    context = prompt.context(samples.images, points_of(samples))
    got = {name: prompt(A.ravel(), context) for name, A in ADJUSTMENTS.items()}
    image, soft, very_soft = samples.images / 255, got["soft"], got["very soft"]
    np.testing.assert_array_equal(
        prompt.starts(), np.stack([A.ravel() for A in ADJUSTMENTS.values()], dtype=np.float32)
    )
    inner = np.s_[:, 30:66, 30:66]
    for sigma, blurred in ((2, soft), (6, very_soft)):
        expected = ndimage.gaussian_filter(image, (0, sigma, sigma, 0), truncate=6)
        np.testing.assert_allclose(blurred[inner], expected[inner], atol=2e-3)
    for name, factor in (("soft, twice the saturation", 2), ("soft, three times the saturation", 3)):
        for picture, adjusted in zip(soft, got[name], strict=True):
            theirs = ImageEnhance.Color(Image.fromarray((255 * picture).round().astype(np.uint8))).enhance(factor)
            np.testing.assert_allclose(adjusted, np.asarray(theirs) / 255, atol=0.02)
    expected = {
        "as it is": image,
        "soft, red and blue exchanged": soft[..., ::-1],
        "soft, negative": 1 - soft,
        "soft, the blue alone": soft[..., 2:].repeat(3, axis=3),
        "red less blue": (0.5 + image[..., :1] - image[..., 2:]).clip(0, 1).repeat(3, axis=3),
        "blue less red": (0.5 + image[..., 2:] - image[..., :1]).clip(0, 1).repeat(3, axis=3),
        "more local contrast": (image + 0.5 * (image - very_soft)).clip(0, 1),
        "brighter": (image + 0.1).clip(0, 1),
    }
    for name, pixels in expected.items():
        np.testing.assert_allclose(got[name], pixels, atol=1e-5, err_msg=name)


def test_filter_prompt_scales_with_the_image():
    """What it does to an image does not depend on the resolution."""
    y, x = np.mgrid[:192, :192] / 192
    big = (127 + 100 * np.sin(6 * x) * np.cos(5 * y)).astype(np.uint8)[None, :, :, None].repeat(3, 3)
    small = big.reshape(1, 96, 2, 96, 2, 3).mean((2, 4)).astype(np.uint8)
    v = vector(FilterPrompt(96, groups="all"), spread=0.2)
    images = []
    for size, image in ((96, small), (192, big)):
        prompt = FilterPrompt(size, groups="all")
        point = Prompts(points=np.array([[[0.3 * size, 0.6 * size]]]))
        images.append(prompt(v, prompt.context(image, point)))
    np.testing.assert_allclose(images[1].reshape(1, 96, 2, 96, 2, 3).mean((2, 4)), images[0], atol=0.05)


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_of_maps(group):
    prompt, samples = FilterPrompt(48, groups=(group,)), scenes(3, 48)
    maps = prompt.context(samples.images, points_of(samples)).features["maps"]
    assert maps.shape == (3, prompt.features, 48 * 48) and maps.dtype == torch.float32
    assert torch.isfinite(maps).all() and maps.abs().max() <= 1.5
    assert prompt.dim == 3 * maps.shape[1]


def test_number_of_parameters_by_groups():
    assert FilterPrompt(96, groups="all").dim == 147
    assert FilterPrompt(96, groups=("image", "blur", "constant", "point")).dim == 39
    assert FilterPrompt(96, blurs=(1, 2, 4, 8)).dim == 48


def test_maps_around_the_point():
    samples = scenes(2, 96)
    points = Prompts(points=np.array([[[30, 60], [70, 20]], [[5, 5], [0, 0]]]), labels=np.array([[1, 1], [1, 0]]))
    maps = FilterPrompt(96, groups=("point",)).context(samples.images, points).features["maps"].reshape(2, 3, 96, 96)
    y, x = np.mgrid[:96, :96]
    for i, spots in enumerate([[(30, 60), (70, 20)], [(5, 5)]]):
        r2 = np.min([(x - px) ** 2 + (y - py) ** 2 for px, py in spots], axis=0)
        for j, sigma in enumerate((6, 12, 24)):
            np.testing.assert_allclose(maps[i, j], 0.5 * np.exp(-r2 / (2 * sigma**2)), atol=1e-5)


def test_colour_at_the_point():
    image = np.zeros((1, 96, 96, 3), np.uint8)
    image[:, 20:60, 20:60] = (200, 100, 50)
    maps = FilterPrompt(96, groups=("colour", "similar")).context(image, Prompts(points=np.array([[[40, 40]]])))
    colour, similar = maps.features["maps"].reshape(5, 96, 96).split([3, 2])
    np.testing.assert_allclose(colour[:, 40, 40], 0, atol=1e-4)
    np.testing.assert_allclose(colour[:, 0, 0], -np.array([200, 100, 50]) / 255, atol=1e-3)
    assert similar[:, 40, 40].min() > 0.49 and similar[:, 0, 0].max() < -0.45


def test_filters_around_the_point_need_one():
    prompt, samples = FilterPrompt(32, groups=("image", "point")), scenes(2)
    with pytest.raises(ValueError, match=r"^prompts must hold a point on the object or a box .*, not in row 1$"):
        prompt.context(samples.images, Prompts(points=np.ones((2, 1, 2)), labels=np.array([[1], [0]])))
    box = prompt.context(samples.images, Prompts(boxes=np.array([[4, 6, 10, 20]] * 2)))
    middle = prompt.context(samples.images, Prompts(points=np.array([[[7, 13]]] * 2)))
    assert torch.equal(box.features["maps"], middle.features["maps"])
    FilterPrompt(32).context(samples.images, Prompts.nothing(2))  # the standard groups do not


def test_low_rank_is_its_formula():
    prompt, samples = LowRank(32, waves=2), scenes(2)
    assert prompt.dim == 3 * (4 + 3) * 3 and prompt.encoder is None
    x = vector(prompt)
    points = Prompts(points=np.array([[[10, 20]], [[3, 4]]]))
    u = (np.arange(32) + 0.5) / 32
    waves = [0.5 * np.outer(np.cos(np.pi * i * u), np.cos(np.pi * j * u)) for i in range(2) for j in range(2)]
    v, h = np.mgrid[:32, :32]
    expected = samples.images / 255
    for n, (px, py) in enumerate(points.points[:, 0]):
        bumps = [0.5 * np.exp(-((h - px) ** 2 + (v - py) ** 2) / (2 * (s / 3) ** 2)) for s in (6, 12, 24)]
        phi = [1, 2 * (px + 0.5) / 32 - 1, 2 * (py + 0.5) / 32 - 1]
        expected[n] += np.einsum("cbp,p,bhw->hwc", x.reshape(3, 7, 3), phi, np.array(waves + bumps))
    np.testing.assert_allclose(shown(prompt, x, samples, points), np.clip(expected, 0, 1), atol=1e-5)


def test_low_rank_takes_what_its_table_of_inputs_holds(monkeypatch):
    monkeypatch.setitem(lowrank.INPUTS, "seven", lowrank.Input(1, lambda *given: torch.full((2, 1), 7.0)))
    samples = scenes(2)
    prompt = LowRank(32, waves=1, bumps=False, inputs=("constant", "seven"))
    assert prompt.dim == 6
    np.testing.assert_array_equal(prompt.context(samples.images, points_of(samples)).features["phi"], [[1.0, 7.0]] * 2)

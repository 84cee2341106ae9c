"""Visual prompts: what all have in common, and VPT and BAR against plain implementations."""

import json
import operator

import numpy as np
import pytest
import torch
from scipy import ndimage
from seg.checks import raises, refused
from seg.prompt_cases import ENCODER, ZERO_SHOT, shown, vector
from seg.prompt_fakes import points_of, scenes

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts import BAR, PROMPTS, VPT, BlackVIP, FilterPrompt, IPDecoder, LowRank, Views, make_prompt

# ------------------------------------------------------------------------------------------ what all have in common


def test_images_have_shape_type_and_range(case):
    _, prompt, samples, points = case
    images = shown(prompt, vector(prompt), samples, points)
    assert images.shape == samples.images.shape and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1 and images.flags.c_contiguous


def test_start(case):
    name, prompt, samples, points = case
    x0 = prompt.x0(0)
    assert x0.shape == (prompt.dim,) and x0.dtype == np.float32
    assert np.array_equal(x0, prompt.x0(0))
    images = shown(prompt, x0, samples, points)
    if name in ZERO_SHOT:
        assert np.array_equal(images, samples.images.astype(np.float32) / np.float32(255))
        assert np.array_equal(np.rint(images * 255).astype(np.uint8), samples.images)  # nor does 8 bit change it
    else:
        assert not np.array_equal(prompt.x0(1), x0)


def test_what_leaves_the_question_alone(case):
    name, prompt, samples, points = case
    assert prompt.leaves_alone(prompt.x0(0), samples.images, points) is (name in ZERO_SHOT)
    assert not prompt.leaves_alone(vector(prompt), samples.images, points)
    views = Views(prompt.size)
    assert not views.leaves_alone(views.x0(0), samples.images, points)


def test_vector_makes_a_difference_and_nothing_else_does(case):
    _, prompt, samples, points = case
    context = prompt.context(samples.images, points)
    before = samples.images.copy()
    x = vector(prompt)
    kept = x.copy()
    images = prompt(x, context)
    assert not np.array_equal(images, prompt(prompt.x0(0), context))
    assert np.array_equal(images, prompt(x, context))
    assert np.array_equal(images, shown(prompt, x, samples, points))
    assert np.array_equal(x, kept) and np.array_equal(samples.images, before)


def test_context_by_rows(case):
    _, prompt, samples, points = case
    context = prompt.context(samples.images, points)
    x = vector(prompt)
    whole = prompt(x, context)
    assert len(context) == 5 and len(context[1:3]) == 2
    for rows in (slice(1, 4), np.array([4, 0, 2])):
        np.testing.assert_allclose(prompt(x, context[rows]), whole[rows], atol=2e-6)


def test_gradient_is_that_of_the_images(case):
    _, prompt, samples, points = case
    context = prompt.context(samples.images, points)
    weight = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 3, prompt.size, prompt.size)))
    x = torch.from_numpy(vector(prompt, spread=0.02)).requires_grad_()

    def value(x):
        return (prompt.forward(x, context).double() * weight).sum()

    value(x).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    direction = x.grad / x.grad.norm()
    h = 2e-3
    with torch.no_grad():
        slope = (value(x + h * direction) - value(x - h * direction)) / (2 * h)
    assert float(slope) == pytest.approx(float(x.grad @ direction), rel=0.05)  # the clip and float32 cost some


def test_config_rebuilds(case):
    _, prompt, samples, points = case
    config = json.loads(json.dumps(prompt.config()))
    if config.get("encoder"):
        config["encoder"] = ENCODER
    again = make_prompt(prompt.name, **config)
    assert again.config() == prompt.config() and again.dim == prompt.dim and type(prompt).__name__ in repr(prompt)
    x = vector(prompt)
    assert np.array_equal(shown(prompt, x, samples, points), shown(again, x, samples, points))


@pytest.mark.parametrize("wrong", [np.zeros(7), np.zeros((1, 30))])
def test_vector_of_another_shape(wrong):
    prompt, samples = FilterPrompt(32), scenes(1)
    with pytest.raises(ValueError, match=r"^x must have shape \(30,\) for filter, got"):
        prompt(wrong, prompt.context(samples.images, points_of(samples)))


def test_wrong_images_and_prompts():
    prompt, samples = FilterPrompt(32), scenes(3)
    points = points_of(samples)
    with pytest.raises(TypeError, match=r"^images must be an array of uint8, got float32"):
        prompt.context(samples.images.astype(np.float32), points)
    raises(ValueError, r"^images must have shape \(n, 32, 32, 3\), got", prompt.context, samples.images[:, :16], points)
    raises(ValueError, r"^prompts must be as many as images, got 2 for 3", prompt.context, samples.images, points[:2])


def test_unknown_names_and_options():
    message = "^name must be one of vpt, blackvip, baps, bar, filter, lowrank, views, got 'vtp'"
    raises(ValueError, message, make_prompt, "vtp", 96)
    with pytest.raises(ValueError, match=r"^options of filter must be those of FilterPrompt: .*bluurs"):
        make_prompt("filter", 96, bluurs=(1,))
    assert list(PROMPTS) == ["vpt", "blackvip", "baps", "bar", "filter", "lowrank", "views"]


test_wrong_settings = refused(
    operator.call,
    (lambda: VPT(4), "^size must be >= 8"),
    (lambda: VPT(32, kind="half"), "^kind must be 'full' or 'frame'"),
    (lambda: VPT(32, frame=3), "^frame needs kind='frame'"),
    (lambda: VPT(32, kind="frame", frame=16), "^frame must be less than half"),
    (lambda: BAR(32, inner=32), "^inner must be less than size 32"),
    (lambda: FilterPrompt(32, groups=()), "^groups must be different names"),
    (lambda: FilterPrompt(32, groups=("image", "imagine")), "^groups must be different names"),
    (lambda: FilterPrompt(32, blurs=(0,)), "^blurs must be > 0"),
    (lambda: FilterPrompt(32, blurs=()), "^blurs must hold at least one"),
    (lambda: IPDecoder(48, encoder=ENCODER), "^size must be a multiple of 32"),
    (lambda: IPDecoder(64, encoder=ENCODER, trained="first"), "^trained must be 'all' or 'last'"),
    (
        lambda: IPDecoder(64, encoder=ENCODER, prompt_out=11),
        r"^prompt_out \+ 20 of the encoder must be a multiple of 4",
    ),
    (lambda: IPDecoder(64, encoder=ENCODER, widths=((3, 3),)), "^widths must be 4 pairs"),
    (lambda: IPDecoder(64, encoder=ENCODER, scale=0), "^scale must be > 0"),
    (lambda: IPDecoder(64, encoder=ENCODER, points="square"), "^kind must be 'fourier' or 'sinusoidal'"),
    (lambda: BlackVIP(64, encoder=ENCODER, channels=5), r"^channels \* 4 at 64 px must be more than 20"),
    (lambda: LowRank(32, inputs=("colours",)), "^inputs must be some of"),
    (lambda: LowRank(32, inputs=("encoder",), encoder=None), "^encoder must be given"),
)


# ------------------------------------------------------------------------------------------ VPT, BAR


def test_vpt_adds_to_every_pixel():
    prompt, samples = VPT(32), scenes(2)
    assert prompt.dim == 3 * 32 * 32
    x = vector(prompt)
    expected = np.clip(samples.images / 255 + x.reshape(3, 32, 32).transpose(1, 2, 0), 0, 1)
    np.testing.assert_allclose(shown(prompt, x, samples), expected, atol=1e-6)


def test_vpt_frame_leaves_the_middle():
    prompt, samples = VPT(32, kind="frame", frame=5), scenes(2)
    assert prompt.dim == 3 * (32**2 - 22**2) and VPT(224, kind="frame").frame == 30
    context = prompt.context(samples.images, points_of(samples))
    moved = prompt(np.full(prompt.dim, 0.2, np.float32), context) != prompt(prompt.x0(), context)
    inside = np.zeros((32, 32), bool)
    inside[5:27, 5:27] = True
    assert not moved[:, inside].any() and moved[:, ~inside].all()


def test_bar_frame():
    prompt, samples = BAR(32, inner=16), scenes(2)
    assert prompt.dim == 3 * 32 * 32 and BAR(224).dim == 150_528
    assert abs(prompt.x0(0).mean()) < 0.05 and prompt.x0(0).std() == pytest.approx(1, abs=0.05)
    x = vector(prompt)
    images = prompt(x, prompt.context(samples.images, points_of(samples)))
    expected = 1 / (1 + np.exp(-x.reshape(3, 32, 32).transpose(1, 2, 0)))
    inside = np.zeros((32, 32), bool)
    inside[8:24, 8:24] = True
    np.testing.assert_allclose(images[0][~inside], expected[~inside], atol=1e-6)
    blocks = samples.images.reshape(2, 16, 2, 16, 2, 3).mean((2, 4)) / 255
    assert np.abs(images[:, 8:24, 8:24] - blocks).max() < 0.25  # the antialiasing filter is wider than 2 x 2
    assert images[:, 8:24, 8:24].mean() == pytest.approx(blocks.mean(), abs=0.01)


def test_bar_moves_points_with_the_image():
    prompt = BAR(96, inner=72)
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None], (1, 96, 96))
    images = np.stack([ramp.transpose(0, 2, 1), ramp, 0 * ramp], 3)  # red is x, green is y
    points = Prompts(points=np.array([[[20, 60], [47.5, 47.5]]]), boxes=np.array([[10, 20, 70, 80]]))
    framed = prompt(prompt.x0(0), prompt.context(images, points))[0] * 255
    moved = prompt.prompts(points)
    for (x, y), (u, v) in zip(points.points[0], moved.points[0], strict=True):
        at = [ndimage.map_coordinates(framed[..., c], [[v], [u]], order=1)[0] for c in (0, 1)]
        np.testing.assert_allclose(at, [x, y], atol=0.05)
    np.testing.assert_allclose(moved.points[0, 1], [47.5, 47.5])
    assert (moved.boxes[0] > points.boxes[0])[:2].all() and (moved.boxes[0] < points.boxes[0])[2:].all()
    raises(ValueError, r"masks cannot be moved", prompt.prompts, Prompts(masks=np.zeros((1, 256, 256))))


def test_bar_puts_masks_back():
    prompt = BAR(96, inner=72)
    y, x = np.mgrid[:96, :96]
    mask = (((x - 40) ** 2 + (y - 55) ** 2) < 20**2)[None]
    inside = np.zeros((1, 96, 96), np.float32)
    v, u = np.mgrid[:72, :72]
    inside[0, 12:84, 12:84] = mask[0][
        np.rint((v + 0.5) * 96 / 72 - 0.5).astype(int), np.rint((u + 0.5) * 96 / 72 - 0.5).astype(int)
    ]
    restored = prompt.restore(inside, None, None)
    assert restored.shape == (1, 96, 96) and restored.dtype == np.float32
    assert ((restored > 0.5) != mask).mean() < 0.01
    tensor = torch.from_numpy(inside).requires_grad_()
    by_tensor, hard = prompt.restore(tensor, None, None), prompt.restore(inside > 0.5, None, None)
    assert np.array_equal(by_tensor.detach(), restored) and by_tensor.requires_grad
    assert np.array_equal(hard, restored >= 0.5) and hard.dtype == bool

"""Several magnifications of an image: what the black box is shown, and where its masks go."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage
from seg.checks import raises, refused
from seg.prompt_cases import shown
from seg.prompt_fakes import Recorded, scenes

from zoo_opt_seg import Objective, Prompts
from zoo_opt_seg.visual_prompts import BAR, FilterPrompt, Views, load_prompt, make_prompt, save_prompt

SIZE = 32


def gradient(n: int = 2, size: int = SIZE) -> np.ndarray:
    """Images whose red is x and whose green is y."""
    y, x = np.mgrid[:size, :size]
    return np.repeat(np.stack([x, y, 0 * x], 2).astype(np.uint8)[None], n, 0)


def at(xy: tuple[float, float], n: int = 2) -> Prompts:
    return Prompts(points=np.tile(np.array(xy, np.float32), (n, 1, 1)))


@pytest.mark.parametrize("zoom", [0.5, 0.8, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("xy", [(16, 16), (3, 20), (31, 0), (10.5, 12.25)])
def test_the_point_stays_on_its_spot(zoom: float, xy: tuple[float, float]) -> None:
    prompt, images, points = Views(SIZE, zooms=(1.0, zoom)), gradient(), at(xy)
    shown = prompt(prompt.x0(), prompt.context(images, points)) * 255
    asked = prompt.prompts(points)
    assert shown.shape == (4, SIZE, SIZE, 3) and len(asked) == 4
    np.testing.assert_allclose(shown[:2], images, atol=1e-3)
    assert asked.points is not None
    u, v = asked.points[2, 0]
    inside = (xy[0] % 31 > 1) and (xy[1] % 31 > 1)  # at the border colours are extended
    seen = [ndimage.map_coordinates(shown[2, ..., c], [[v], [u]], order=1, mode="nearest")[0] for c in (0, 1)]
    np.testing.assert_allclose(seen, xy, atol=0.05 if inside else 0.6)
    assert 0 <= u + 0.5 <= SIZE and 0 <= v + 0.5 <= SIZE


def test_a_mask_comes_back_to_its_place() -> None:
    prompt, points = Views(96, zooms=(1.0, 2.0, 0.7)), at((60, 30), 1)
    y, x = np.mgrid[:96, :96]
    mask = (x - 60) ** 2 + (y - 30) ** 2 < 15**2
    context = prompt.context(np.repeat(255 * mask[None, ..., None].astype(np.uint8), 3, 3), points)
    answers = prompt(prompt.x0(), context)[..., 0]  # a box that segments what is white
    mixed = prompt.restore(answers, prompt.x0(), context)
    assert mixed.shape == (1, 96, 96) and mixed.dtype == np.float32
    assert ((mixed[0] > 0.5) != mask).mean() < 0.01
    hard = prompt.restore(answers > 0.5, prompt.x0(), context)
    assert hard.dtype == bool and (hard[0] != mask).mean() < 0.01


def test_weights_are_the_formula() -> None:
    prompt, points = Views(SIZE, zooms=(1.0, 2.0), prior=0.7), at((16, 16), 3)
    context = prompt.context(gradient(3), points)
    rng = np.random.default_rng(0)
    p = rng.random((6, SIZE, SIZE)).astype(np.float32) * np.linspace(0.2, 1, 6, dtype=np.float32)[:, None, None]
    p[3:, :, :] = p[3:].mean(axis=(1, 2), keepdims=True)  # constant: enlarging and putting back changes nothing inside
    x = np.append(np.zeros(prompt.dim - 3), [0.03, -0.02, 0.05]).astype(np.float32)
    mixed = prompt.restore(p, x, context)
    inside = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    for i in range(3):
        score = []
        for k, prior in enumerate((0.7, 0.3)):
            q = p[3 * k + i].astype(float)
            length, certain = np.log(q.mean()) + 2, (q * q).sum() / q.sum() - 0.8
            score.append(10 * (0.03 * length - 0.02 * length**2 + 0.05 * certain) + np.log(prior))
        w = np.exp(score) / np.exp(score).sum()
        wanted = w[0] * p[i] + w[1] * p[3 + i, 0, 0]
        np.testing.assert_allclose(mixed[i][inside, inside], wanted[inside, inside], rtol=1e-5)


def test_a_zoom_holds_all_points_and_boxes() -> None:
    prompt = Views(SIZE, zooms=(1.0, 4.0))
    near = Prompts(points=np.array([[[10, 10], [14, 12]]], np.float32), labels=np.array([[1, 0]]))
    wide = Prompts(points=np.array([[[1, 2], [30, 28]]], np.float32), labels=np.array([[1, 0]]))
    box = Prompts(boxes=np.array([[8, 8, 20, 24]], np.float32))
    for prompts in (near, wide, box):
        asked = prompt.prompts(prompts)[1:]
        places = asked.points if asked.points is not None else asked.boxes
        assert places is not None and (places >= -0.5).all() and (places <= SIZE - 0.5).all()
    asked = prompt.prompts(wide)
    assert asked.points is not None and np.allclose(asked.points[0], asked.points[1])  # not enlarged at all
    texts = Prompts(texts=("a polyp",))
    assert prompt.prompts(texts).texts == ("a polyp", "a polyp")
    prompt.context(gradient(1), texts)


def test_every_view_is_a_call() -> None:
    model = Recorded(lambda images, prompts: images.mean(axis=3))
    objective = Objective(model, Views(SIZE, zooms=(1.0, 2.0, 0.5)), scenes(6), batch=4)
    assert np.isfinite(objective(objective.prompt.x0(), 0))
    assert objective.calls == 12 and model.sizes == [12]


def test_the_gradient_reaches_everything() -> None:
    prompt, points = Views(SIZE), at((12, 18))
    context = prompt.context(scenes(2).images, points)
    x = torch.full((prompt.dim,), 0.01, requires_grad=True)
    prompt.restore(prompt.forward(x, context).mean(dim=1), x, context).sum().backward()
    assert (x.grad != 0).all()


def test_saved_and_loaded(tmp_path) -> None:
    prompt = Views(SIZE, zooms=(1.0, 1.5), prior=0.8, inner=make_prompt("baps", SIZE))
    x = prompt.x0(1) + 0.01
    save_prompt(tmp_path / "prompt.npz", prompt, x)
    trained = load_prompt(tmp_path / "prompt.npz")
    samples, points = scenes(3), at((10, 10), 3)
    np.testing.assert_array_equal(trained.apply(samples.images, points), shown(prompt, x, samples, points))
    assert trained.prompt.config() == prompt.config()
    assert Views(SIZE, inner={"groups": ["image"]}).inner.dim == FilterPrompt(SIZE, groups=["image"]).dim


test_refused = refused(
    partial(Views, SIZE),
    ({"zooms": (2.0, 1.0)}, "zooms must be two or more, the first of them 1"),
    ({"zooms": (1.0,)}, "zooms must be two or more"),
    ({"zooms": (1.0, 0.0)}, "zooms must be"),
    ({"prior": 0.0}, "prior must be in"),
    ({"prior": 1.0}, "prior must be in"),
    ({"inner": BAR(SIZE)}, "inner must be a prompt that leaves the image in its place"),
    ({"inner": {"name": "views"}}, "inner must be a prompt that leaves"),
    ({"inner": {"size": 64}}, "inner must be for images of 32 pixels"),
)


def test_masks_cannot_be_enlarged() -> None:
    raises(ValueError, "masks cannot be moved", Views(SIZE).prompts, Prompts(masks=np.zeros((1, 8, 8))))

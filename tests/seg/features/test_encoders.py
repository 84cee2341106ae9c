"""Encoders: the tiny one, and published architectures with weights from a file; no network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from seg.checks import raises
from seg.prompt_fakes import LinearEncoder, scenes
from torch import nn

from zoo_opt_seg import Prompts, embedded
from zoo_opt_seg.features import encoders
from zoo_opt_seg.features.encoders import SOURCES, WeightsError, encoder_config, make_encoder
from zoo_opt_seg.features.point_embedding import PointEmbedding, spots

IMAGES = scenes(5, 48).images


class Mean(nn.Module):
    """The mean colour, weighted."""

    dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3))
        self.bias = nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.seen = x
        return x.mean((2, 3)) @ self.weight + self.bias


# ------------------------------------------------------------------------------------------ the wrapper


def test_resizes_normalises_and_freezes():
    module = Mean().train()
    encoder = encoders.TorchEncoder("mean", module, 3, 24, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), batch=2)
    vectors = encoder(IMAGES)
    assert vectors.shape == (5, 3) and vectors.dtype == np.float32 and isinstance(encoder, encoders.Encoder)
    assert module.seen.shape == (1, 3, 24, 24) and not module.training
    assert not any(p.requires_grad for p in module.parameters())
    mean = (IMAGES.mean((1, 2)) / 255 - [0.5, 0.4, 0.3]) / [0.1, 0.2, 0.3]
    np.testing.assert_allclose(vectors, mean.sum(1, keepdims=True).repeat(3, 1) + 1, rtol=2e-2)
    assert encoder(IMAGES[:0]).shape == (0, 3)
    assert np.array_equal(encoder(IMAGES), vectors)


def test_a_vector_of_another_length():
    with pytest.raises(ValueError, match=r"^encoder mean must return vectors of shape \(5, 4\), got \(5, 3\)"):
        encoders.TorchEncoder("mean", Mean(), 4, 48)(IMAGES)


def test_encoders_of_ones_own():
    own = LinearEncoder()
    assert make_encoder(own) is own and encoder_config(own) == {"own": "linear", "dim": 20}
    raises(TypeError, r"^encoder must be a name or have name, dim and __call__, got 3", make_encoder, 3)
    raises(ValueError, r"^encoder must be one of tiny, .*, got 'resnet'", make_encoder, "resnet")


# ------------------------------------------------------------------------------------------ tiny


def test_tiny_by_a_fake(monkeypatch):
    monkeypatch.setitem(vars(embedded), "tiny_encoder", Mean)
    encoder = make_encoder("tiny")
    assert (encoder.name, encoder.dim, encoder.size) == ("tiny", 3, 96)
    assert encoder_config(encoder) == {"encoder": "tiny"}
    assert make_encoder(encoder_config(encoder)).name == "tiny"
    random = make_encoder("tiny-random")
    assert random.name == "tiny-random" and not np.array_equal(random(IMAGES), encoder(IMAGES))
    assert np.array_equal(random(IMAGES), make_encoder({"encoder": "tiny-random"})(IMAGES))
    assert torch.equal(random.module.bias, torch.zeros(3))


def test_tiny():
    encoder = make_encoder("tiny")
    vectors = encoder(scenes(4, 96).images)
    assert vectors.shape == (4, encoder.dim) and np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_allclose(encoder(scenes(4, 96).images[2:3]), vectors[2:3], atol=1e-4)


# ------------------------------------------------------------------------------------------ timm, open_clip

timm_cases = pytest.mark.parametrize(
    ("name", "arch", "size"), [("vit-mae", "vit_tiny_patch16_224", 32), ("dino-resnet50", "resnet10t", 64)]
)


def small_model(arch, size):
    import timm

    options = {"img_size": size, "global_pool": "token"} if arch.startswith("vit") else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(arch, pretrained=False, **options).eval()


@timm_cases
@pytest.mark.parametrize("form", ["safetensors", "pth", "wrapped"])
def test_timm_weights_from_a_file(name, arch, size, form, tmp_path):
    model = small_model(arch, size)  # with its classifier, which is left out
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save({"model": model.state_dict()} if form == "wrapped" else model.state_dict(), path)
    encoder = make_encoder(name, path, arch=arch, size=size)
    images = scenes(3, size).images
    cfg = model.pretrained_cfg
    x = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()
    x = (x - torch.tensor(cfg["mean"])[:, None, None]) / torch.tensor(cfg["std"])[:, None, None]
    with torch.no_grad():
        features = model.forward_features(x)
        expected = features[:, 0] if arch.startswith("vit") else features.mean((2, 3))
    assert encoder.dim == expected.shape[1] and encoder.size == size
    np.testing.assert_allclose(encoder(images), expected.numpy(), rtol=1e-4, atol=1e-5)
    assert np.array_equal(make_encoder(encoder_config(encoder))(images), encoder(images))


def test_position_embeddings_are_resized(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(small_model("vit_tiny_patch16_224", 64).state_dict(), path)
    encoder = make_encoder("vit", path, arch="vit_tiny_patch16_224", size=32)
    assert encoder.size == 32 and np.isfinite(encoder(IMAGES)).all()


@pytest.mark.slow
def test_vit_mae_of_the_paper(tmp_path):
    path = tmp_path / "mae.pth"
    torch.save(small_model("vit_base_patch16_224.mae", 224).state_dict(), path)
    encoder = make_encoder("vit-mae", path)
    assert (encoder.dim, encoder.size) == (768, 224) == (SOURCES["vit-mae"].dim, 224)
    assert sum(p.numel() for p in encoder.module.parameters()) == 85_798_656  # ViT-B/16 without a classifier
    assert encoder(IMAGES[:1]).shape == (1, 768)


def test_clip_is_built_as_it_was_trained():
    """OpenAI's weights were trained with the quick GELU; with another the vectors are wrong, and nothing fails."""
    import open_clip

    recipe = SOURCES["clip"]
    config = open_clip.get_model_config(recipe.arch)
    assert recipe.tag == "openai" and config["quick_gelu"] and config["embed_dim"] == recipe.dim


@pytest.mark.slow
def test_clip_from_a_file(tmp_path):
    import open_clip

    model = open_clip.create_model("ViT-S-32", pretrained=None).eval()
    torch.save(model.state_dict(), tmp_path / "clip.pth")
    encoder = make_encoder("clip", tmp_path / "clip.pth", arch="ViT-S-32")
    assert encoder.size == 224 and encoder.dim == 384
    images = scenes(1, 224).images
    x = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()
    mean, std = (torch.tensor(v)[:, None, None] for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    with torch.no_grad():
        expected = model.encode_image((x - mean) / std).numpy()
    np.testing.assert_allclose(encoder(images), expected, rtol=1e-3, atol=1e-4)


def test_no_file_and_wrong_files(tmp_path):
    message = r"^weights of encoder 'vit' must be a file, there is none at .*nothing\.pth$"
    raises(WeightsError, message, make_encoder, "vit", tmp_path / "nothing.pth")
    path = tmp_path / "w.pth"
    whole = small_model("vit_tiny_patch16_224", 32).state_dict()
    arguments = {"weights": path, "arch": "vit_tiny_patch16_224", "size": 32}
    torch.save(whole, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    start = rf"^cannot load encoder 'vit-mae' from {path} \("
    raises(WeightsError, start, make_encoder, "vit-mae", **arguments)
    for state in ({k: v for k, v in whole.items() if "blocks.3" not in k}, [1, 2], {"a": 1}):
        torch.save(state, path)
        said = str(raises(WeightsError, start, make_encoder, "vit-mae", **arguments))
        assert "\n" not in said and len(said) < 500
    with pytest.raises(ValueError, match=r"^arch needs weights, as 'vit_tiny_patch16_224' has none"):
        make_encoder("vit-mae", arch="vit_tiny_patch16_224")


def test_no_pickle(tmp_path):
    """A file that would run code is refused."""
    torch.save({"weight": Path("x")}, tmp_path / "w.pth")
    raises(Exception, r"weights_only|Weights only", encoders.read_state, tmp_path / "w.pth")


def test_no_network(monkeypatch):
    """By name, timm is asked for the published weights; that it cannot be reached is said in one sentence."""
    import timm

    asked = {}

    def unreachable(arch, **options):
        asked.update(options, arch=arch)
        raise OSError("Name or service not known\nwhile asking the hub")

    monkeypatch.setattr(timm, "create_model", unreachable)
    for name in ("vit-mae", "vit", "dino-resnet50"):
        message = rf"^cannot load encoder '{name}' over the network; give weights=, a local file, without one \(OSError"
        assert "\n" not in str(raises(WeightsError, message, make_encoder, name))
        assert asked["pretrained"] is True and asked["arch"] == SOURCES[name].arch
    assert asked["pretrained_cfg_overlay"]["url"].endswith("dino_resnet50_pretrain.pth")


# ------------------------------------------------------------------------------------------ points


def test_fourier_embedding():
    embedding = PointEmbedding(256, seed=4)
    e = embedding(torch.tensor([[[3.0, 40.0]]]), (96, 48))
    u = np.array([2 * 3.5 / 96 - 1, 2 * 40.5 / 48 - 1])
    angle = 2 * np.pi * u @ embedding.matrix
    assert e.shape == (1, 1, 256)
    np.testing.assert_allclose(e[0, 0], np.concatenate([np.sin(angle), np.cos(angle)]), atol=1e-4)
    assert np.array_equal(PointEmbedding(256, seed=4).matrix, embedding.matrix)
    assert not np.array_equal(PointEmbedding(256, seed=5).matrix, embedding.matrix)


def test_sinusoidal_embedding():
    embedding = PointEmbedding(64, "sinusoidal")
    assert embedding.matrix.shape == (2, 32)
    assert (embedding.matrix[0, 16:] == 0).all() and (embedding.matrix[1, :16] == 0).all()
    points = torch.arange(96.0)
    e = embedding(torch.stack([points, 0 * points], 1), (96, 96))
    assert torch.cdist(e, e).fill_diagonal_(9).min() > 0.1  # tells pixels apart


WRONG = [((255,), "dim must be even"), ((254, "sinusoidal"), "dim must be a multiple of 4")]


@pytest.mark.parametrize(("arguments", "message"), [*WRONG, ((256, "polar"), "kind must be")])
def test_wrong_embeddings(arguments, message):
    raises(ValueError, f"^{message}", PointEmbedding, *arguments)


def test_spots():
    points = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    prompts = Prompts(points=points, labels=np.array([[1, 0], [-1, 1]]), boxes=np.array([[0, 0, 8, 4], [np.nan] * 4]))
    where, there = spots(prompts)
    assert there.tolist() == [[True, False, True], [False, True, False]]
    assert where.tolist() == [[[1, 2], [0, 0], [4, 2]], [[0, 0], [7, 8], [0, 0]]]
    where, there = spots(prompts, corners=True)
    assert there.tolist() == [[True, False, True, True], [False, True, False, False]]
    assert where[0, 2:].tolist() == [[0, 0], [8, 4]]
    where, there = spots(Prompts(texts=("a", "b")))
    assert where.shape == (2, 1, 2) and not there.any()

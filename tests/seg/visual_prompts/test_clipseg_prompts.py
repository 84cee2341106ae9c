"""Visual prompts for a black box that is asked by text: trained, told the text, saved, shown, on the command line."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from seg.checks import fails, raises, succeeds
from seg.prompt_cases import ENCODER, vector
from seg.small import discs
from seg.small_clipseg import TEXTS, box, letters, save_folder, small_clipseg, told_splits

import zoo_opt as zo
from zoo_opt_seg import Prompts, adapt, evaluate, targets
from zoo_opt_seg import visual_prompts as vp
from zoo_opt_seg.adaptation.panel.pictures import CELL, GAP, HEAD, panel
from zoo_opt_seg.blackbox import Budgeted, Counted, Quantized, as_black_box
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.features import encoders, text_encoders
from zoo_opt_seg.features.text_encoders import EncodedTexts, TextEncoder, make_text_encoder, text_encoder_of
from zoo_opt_seg.visual_prompts import FilterPrompt, IPDecoder, LowRank, load_prompt, prompt_for, save_prompt

TOLD = Prompts(texts=("disc", "spot", "disc"))


class Lengths:
    """A text encoder of one's own: its length, and its letters counted."""

    name, dim = "lengths", 6

    def __call__(self, texts):
        return np.array([[len(t), *(t.count(c) for c in "adeis")] for t in texts], np.float32)


def some(name: str, model, size: int = 32):
    options = {"encoder": ENCODER} if name in ("baps", "blackvip") else {}
    return prompt_for(model, name, size, **options)


@pytest.mark.parametrize("name", vp.PROMPTS)
def test_every_prompt_trains_is_saved_and_goes_on(name: str, tmp_path: Path) -> None:
    model, splits = Counted(box()), told_splits()
    prompt = some(name, model)
    words = {"calls": 60, "batch": 4, "validate": 2, "validation_images": 3, "test_images": 3, "repeats": 2, "seed": 1}
    words |= {"method": zo.SPSA(lr=0.01), "out": tmp_path / "run", "panel": name == "baps"}
    found = adapt(model, prompt, splits, **words)
    assert found.calls <= 60 and found.nfev == 12 // prompt.views and not np.array_equal(found.last, prompt.x0(1))
    rows = found.metrics["test"]["rows"]
    start = {"start"} if name in ("bar", "blackvip", "views") else set()  # that is not the image as it is
    assert set(rows) == {"zero-shot", "adapted", "disk", "whole image", "region growing", *start}
    again = evaluate(box(), splits.test[:3], prompt=found.prompt, repeats=2, seed=0, batch=4).summary()
    assert again == pytest.approx(rows["adapted"], nan_ok=True)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["points"] == "text" and config["model"] == model.name

    before = model.calls
    assert np.array_equal(adapt(model, prompt, splits, **words).x, found.x) and model.calls == before
    raises(Exception, "its data is", adapt, model, prompt, splits.with_texts("another"), **words)

    own = {"text": box().text_encoder} if name in ("baps", "lowrank") else {}
    own |= {"encoder": ENCODER} if name in ("baps", "blackvip") else {}
    saved = load_prompt(tmp_path / "run" / "prompt.npz", **own)
    images = splits.test.images[:3]
    np.testing.assert_array_equal(saved.predict(box(), images, TOLD), found.prompt.predict(box(), images, TOLD))


def test_a_decoder_is_told_the_text() -> None:
    prompt = IPDecoder(32, encoder=ENCODER, text=Lengths(), prompt_out=24)
    points = IPDecoder(32, encoder=ENCODER, prompt_in=6, prompt_out=24)
    assert prompt.dim == points.dim  # the embedding of the text in the place of the point's
    x = vector(prompt)
    images = discs(3, 1).images[[0, 0, 0]]
    shown = prompt(x, prompt.context(images, TOLD))
    np.testing.assert_array_equal(shown[0], shown[2])
    assert np.abs(shown[0] - shown[1]).max() > 1e-3
    alone = prompt(x, prompt.context(images[1:2], TOLD[1]))
    np.testing.assert_allclose(alone[0], shown[1], atol=1e-6)
    with_points = Prompts(points=np.full((3, 2, 2), 5), texts=TOLD.texts)
    np.testing.assert_array_equal(prompt(x, prompt.context(images, with_points)), shown)
    last = IPDecoder(32, encoder=ENCODER, text=Lengths(), trained="last")
    hidden = last.context(images, TOLD).features["hidden"]
    assert torch.equal(hidden[0], hidden[2]) and not torch.equal(hidden[0], hidden[1])
    assert not prompt.arrays()
    for lacking, row in ((Prompts.nothing(3), 0), (Prompts(texts=("a", "", "c")), 1)):
        message = f"prompts must hold texts for a visual prompt with a text encoder.* row {row}"
        raises(ValueError, message, prompt.context, images, lacking)


def test_low_rank_is_told_the_text() -> None:
    prompt = LowRank(32, text=Lengths(), rank=3)
    assert (prompt.inputs, prompt.bumps, prompt.dim) == (("constant", "text"), False, 3 * 9 * 4)
    shown = prompt(vector(prompt), prompt.context(discs(3, 1).images[[0, 0, 0]], TOLD))
    np.testing.assert_array_equal(shown[0], shown[2])
    assert np.abs(shown[0] - shown[1]).max() > 1e-3
    assert "text" not in LowRank(32).config() and LowRank(32).inputs == ("constant", "point") and LowRank(32).bumps
    raises(ValueError, "text must be given for the input 'text', got None", LowRank, 32, inputs=("text",))


def test_what_follows_the_point_says_that_there_is_none() -> None:
    images = discs(3, 1).images
    for prompt in (FilterPrompt(32, groups=("image", "point")), FilterPrompt(32, groups="all"), LowRank(32)):
        with pytest.raises(ValueError, match=r"^prompts must hold a point on the object or a box for what lies around"):
            prompt.context(images, TOLD)
    for prompt in (FilterPrompt(32, groups=("image", "edge", "position")), IPDecoder(32, encoder=ENCODER)):
        assert len(prompt.context(images, TOLD)) == 3


def test_a_prompt_is_told_as_the_black_box_is() -> None:
    model = box()
    wrapped = Budgeted(Quantized(model), 9)
    assert text_encoder_of(wrapped) is model.text_encoder and text_encoder_of(lambda images, prompts: images) is None
    assert isinstance(model.text_encoder, TextEncoder)

    def called(images, prompts):
        return model(images, prompts)

    called.text_encoder = model.text_encoder
    assert text_encoder_of(Budgeted(as_black_box(called), 9)) is model.text_encoder
    assert prompt_for(wrapped, "lowrank", 32).text is model.text_encoder
    own = Lengths()
    assert prompt_for(wrapped, "lowrank", 32, text=own).text is own
    assert prompt_for(wrapped, "filter", 32).config() == vp.make_prompt("filter", 32).config()
    assert prompt_for(None, "lowrank", 32).text is None
    assert prompt_for(wrapped, "views", 32, inner={"name": "lowrank"}).inner.text is model.text_encoder
    raises(ValueError, "name must be one of", prompt_for, wrapped, "poem", 32)


def test_saved_with_a_text_encoder_of_ones_own(tmp_path: Path) -> None:
    prompt, file = IPDecoder(32, encoder=ENCODER, text=Lengths()), tmp_path / "p.npz"
    save_prompt(file, prompt, vector(prompt))
    images = discs(3, 1).images
    loaded = load_prompt(file, encoder=ENCODER, text=Lengths())
    trained = vp.TrainedPrompt(prompt, vector(prompt))
    np.testing.assert_array_equal(loaded.apply(images, TOLD), trained.apply(images, TOLD))
    views = vp.make_prompt("views", 32, inner=prompt)
    save_prompt(tmp_path / "v.npz", views, views.x0())
    inner = load_prompt(tmp_path / "v.npz", encoder=ENCODER, text=Lengths()).prompt.inner
    assert inner.text.name == "lengths" and inner.encoder is ENCODER
    message = r"text must be given for .*p\.npz, which was trained with one of the caller's own"
    raises(ValueError, message, load_prompt, file, encoder=ENCODER)
    with pytest.raises(ValueError, match="text must be 'lengths' as at the training of"):
        load_prompt(file, encoder=ENCODER, text=box().text_encoder)


def test_text_encoders_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_opt_seg.embedded.tiny_clipseg", small_clipseg)
    monkeypatch.setattr("zoo_opt_seg.embedded.tiny_tokenizer", lambda: letters)
    tiny = make_text_encoder("tiny")
    np.testing.assert_array_equal(tiny(TEXTS), box().text_encoder(TEXTS))
    assert tiny.config() == {"text": "tiny"} and make_text_encoder(tiny) is tiny
    prompt = LowRank(32, text="tiny")
    save_prompt(tmp_path / "p.npz", prompt, prompt.x0())
    assert load_prompt(tmp_path / "p.npz").prompt.config() == prompt.config()
    assert make_text_encoder({"text": "tiny"})(TEXTS[:1]).shape == (1, 16)
    raises(ValueError, "text must be one of tiny, clip, got 'poem'", make_text_encoder, "poem")
    raises(TypeError, "text must be a name or have name, dim and __call__, got 3", make_text_encoder, 3)
    raises(ValueError, "weights must not be given for 'tiny'", make_text_encoder, "tiny", "file")
    message = r"cannot load text encoder 'clip' from nowhere\.safetensors"
    raises(encoders.WeightsError, message, make_text_encoder, "clip", "nowhere.safetensors")


def test_the_text_tower_of_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    with torch.random.fork_rng(devices=[]):
        model = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).eval()
        other = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: other)
    monkeypatch.setitem(text_encoders.SOURCES, "clip", text_encoders.SOURCES["clip"]._replace(dim=16))
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    encoder = make_text_encoder("clip", tmp_path / "clip.pt")
    with torch.no_grad():
        wanted = model.encode_text(open_clip.tokenize(["a polyp", "a disc"])).numpy()
    np.testing.assert_allclose(encoder(("a polyp", "a disc")), wanted, atol=1e-5)
    assert isinstance(encoder, EncodedTexts) and encoder.dim == 16
    assert encoder.config() == {"text": "clip", "weights": str(tmp_path / "clip.pt")}
    assert encoders.encoder_config(Lengths()) == {"own": "lengths", "dim": 6}


def test_the_panel_shows_the_text() -> None:
    model, samples = box(), told_splits().test[:2]
    prompt = FilterPrompt(32)
    trained = vp.TrainedPrompt(prompt, prompt.x0())
    one = np.asarray(panel(model, trained, samples, points="text"))
    long = samples.with_texts("one very long text that takes several lines")
    other = np.asarray(panel(model, trained, long, points="text"))
    cell = (slice(HEAD, HEAD + CELL), slice(2 * GAP + CELL, 2 * GAP + 2 * CELL))
    assert (one[cell] != other[cell]).any()
    # A white strip, a line or more.
    strip = [(picture[cell][:, 2] == 255).all(axis=1).sum() for picture in (one, other)]
    assert 20 <= strip[0] <= 50 and strip[1] >= strip[0] + 20
    for j in (0, 2):  # the image, and the prompted image
        same = (slice(HEAD, HEAD + CELL), slice(GAP + j * (CELL + GAP), (j + 1) * (CELL + GAP)))
        np.testing.assert_array_equal(one[same], other[same])


# ---------------------------------------------------------------------------------------------------- command line


SIZE32 = ["--size", "32"]
QUICK = ["--calls", "60", "--batch", "4", "--validate", "2", "--quiet"]
QUICK += ["--validation-images", "2", "--test-images", "2"]


def test_a_folder_from_adapt_to_predict(run, tmp_path_factory) -> None:
    model = ["--model", f"clipseg:{save_folder(tmp_path_factory.mktemp('saved'))}"]
    data = ["--data", "seg.small:disc_splits"]
    texts = ["--text", "a bright disc", "--text", "the spot"]
    words = [*QUICK, "--repeats", "1", "--method", "spsa", "-o", "lr=0.01", "--out", "result"]
    succeeds(run("adapt", *model, *data, *SIZE32, "--prompt", "lowrank", *texts, *words))
    page = Path("result/index.html").read_text()
    assert "1 random text each" in page and "random point" not in page and "--text" in page
    out, _ = succeeds(run("evaluate", *model, *data, *texts, "--prompt", "result", "--repeats", "1", "--cache", "kept"))
    assert "adapted" in out and "disk" in out

    Image.fromarray(discs(1, 5).images[0]).resize((50, 40)).save("image.png")
    words = ["--image", "image.png", "--out", "mask.png", "--probabilities"]
    masks = []
    for text in ("a bright disc", "something else"):
        succeeds(run("predict", *model, "--prompt", "result", "--text", text, *words))
        masks.append(np.asarray(Image.open("mask.png")).astype(int))
    assert masks[0].shape == (40, 50) and np.abs(masks[0] - masks[1]).max() > 2
    fails(run("predict", *model, *SIZE32, *words), "must be given")
    fails(run("predict", *model, *SIZE32, *words, "--point", "3,4"), "--text must say what to find")
    twice = ["--text", "a", "--text", "b"]
    fails(run("predict", *model, *SIZE32, *words, *twice), "--text must be given once for an image, got 2")
    fails(run("adapt", *model, *data, *SIZE32, *QUICK, "--out", "other"), "samples must have texts")
    assert not Path("other").exists()
    nowhere = ["--model", "clipseg:nowhere"]
    fails(run("adapt", *nowhere, *data, *SIZE32, "--out", "other"), "is neither a folder nor in the Hugging Face cache")


def test_the_embedded_clipseg_and_its_own_texts(run, monkeypatch) -> None:
    monkeypatch.setattr("zoo_opt_seg.embedded.tiny_clipseg", lambda: small_clipseg(size=96))
    monkeypatch.setattr("zoo_opt_seg.embedded.tiny_tokenizer", lambda: letters)
    sizes = ["--data-option", "sizes=[4,2,2]"]
    words = ["--model", "tiny-clipseg", "--data", "disc", *sizes]
    succeeds(run("adapt", *words, "--prompt", "baps", *QUICK, "--method", "spsa", "--out", "result"))
    config = json.loads(Path("result/config.json").read_text())
    assert config["prompt"]["text"] == {"text": "tiny"} and config["model"].startswith("tiny-clipseg-")
    succeeds(run("evaluate", *words, "--prompt", "result", "--repeats", "1"))
    words = ["--model", "tiny", "--data", "disc", *sizes, "--text", "a disc", "--out", "other"]
    fails(run("adapt", *words, *QUICK), "--text is for a black box that is asked by text, got 'a disc' for tiny-")


def test_a_target_of_the_bench(monkeypatch) -> None:
    monkeypatch.setattr("zoo_opt_seg.blackbox.tiny.TinyClipSeg", box)
    monkeypatch.setattr("zoo_opt_seg.data.load_data", lambda *_, **__: told_splits())
    assert "tiny-clipseg/DOMAIN/baps" in targets.targets()
    target = targets.make("tiny-clipseg/disc/lowrank", size=32, batch=4, texts=("a disc", "a spot"))
    assert target.name == f"seg-tiny-clipseg-disc-lowrank-d{target.dim}"
    x = np.stack([target.x0(0), target.x0(0) + np.float32(0.2)])
    losses = target.losses(x, 1, 0)
    assert np.isfinite(losses).all() and losses[0] != losses[1]
    assert 0 <= target.metrics(x[1])["test_dice"] <= 1
    assert set(draw_prompts("text", target._splits.train, 0).texts) <= {"a disc", "a spot"}

"""The one trainer beyond resuming: memory, time, precision, what is kept, progress and TensorBoard, recipes, losses."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from seg.checks import raises
from seg.small import disc_splits

from zoo_opt_seg import Prompts, Samples, Splits
from zoo_opt_seg.whitebox.core import memory, recipes
from zoo_opt_seg.whitebox.core.memory import PeakMemory
from zoo_opt_seg.whitebox.core.recipe import SCHEDULES, Epoch, Recipe, Validation
from zoo_opt_seg.whitebox.core.reports import TensorBoard, epochs_bar, together
from zoo_opt_seg.whitebox.core.segmentation import LOSSES, Segmentation, bce_dice, vlsm_loss, vlsm_loss_released
from zoo_opt_seg.whitebox.core.trainer import Trainable, fit


class Net(Trainable):
    """A layer that learns a constant."""

    name, size = "net", 8

    def __init__(self, device: str = "cpu", ballast: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(4, 4).to(device)
        self.ballast, self.dtypes, self.device = ballast, set(), device

    def tensors(self):
        return dict(self.layer.named_parameters())

    def loss(self, rows, seed):
        held = torch.ones(self.ballast)  # so many floats are there during each step
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((len(rows), 4)).astype(np.float32))
        y = self.layer(x.to(self.device))
        self.dtypes.add(y.dtype)
        return (y.float() - 1).pow(2).mean() + held.sum() * 0

    def validate(self):
        loss = float(sum(t.detach().float().sub(0.5).pow(2).sum() for t in self.tensors().values()))
        return Validation(loss, 1 / (1 + loss))


FAST = Recipe(epochs=3, batch=4, lr=0.01, stop_after=None)


# ---------------------------------------------------------------------------------------------------- time and memory


def test_memory_is_what_the_steps_held(run_python: Callable[..., str]) -> None:
    """In a process of its own: what other tests have left in the allocator would count too."""
    code = f"import runpy, sys; sys.path += {sys.path!r}; runpy.run_path({__file__!r})['memory_of_steps']()"
    kind, most, next_most = run_python("-c", code).split()
    if kind == "GREATEST":
        pytest.skip("this system does not let the mark of the greatest resident set be set back")
    assert kind == "RESIDENT"
    assert 90e6 < int(most) < 160e6
    assert int(next_most) < 50e6  # the first run's peak is not this one's


def memory_of_steps() -> None:
    fit(Net(), FAST)  # the libraries that a first training loads would count too
    fitted = fit(Net(ballast=25_000_000), FAST)
    kinds = {memory.RESIDENT: "RESIDENT", memory.GREATEST: "GREATEST"}
    print(kinds[fitted.memory_kind], fitted.memory, fit(Net(), FAST).memory)


def test_memory_where_the_mark_cannot_be_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    peak = PeakMemory(torch.device("cpu"))
    assert peak.kind == memory.GREATEST and peak.bytes() >= 0


def test_memory_and_time_are_those_of_all_processes(tmp_path: Path) -> None:
    one = fit(Net(ballast=10_000_000), FAST, out=tmp_path)
    again = fit(Net(), FAST, out=tmp_path)  # nothing is left to do
    assert again.memory == one.memory and again.seconds == one.seconds
    assert one.seconds_per_epoch == pytest.approx(np.mean([e.seconds for e in one.history[1:]]))
    assert math.isnan(replace(one, history=one.history[:1]).seconds_per_epoch)


def test_checkpoint_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """Without a memory, and with a recipe that lacks the newest settings."""
    fit(Net(), FAST, out=tmp_path)
    state = torch.load(tmp_path / "train.ckpt", weights_only=True)
    del state["memory"], state["identity"]["recipe"]["keep"]
    torch.save(state, tmp_path / "train.ckpt")
    assert fit(Net(), FAST, out=tmp_path).best_epoch >= 0


# ---------------------------------------------------------------------------------------------------- precision


def test_bfloat16_trains_in_mixed_precision_on_a_cpu() -> None:
    mixed, whole = Net(), Net()
    fitted = fit(mixed, replace(FAST, precision="bfloat16"))
    expected = fit(whole, FAST)
    assert mixed.dtypes == {torch.bfloat16} and whole.dtypes == {torch.float32}
    assert all(t.dtype == torch.float32 for t in mixed.tensors().values())
    assert fitted.history[-1].train_loss == pytest.approx(expected.history[-1].train_loss, rel=0.02)
    assert not all(torch.equal(a, b) for a, b in zip(mixed.layer.parameters(), whole.layer.parameters(), strict=True))


def test_float16_is_float32_without_a_gpu() -> None:
    half, whole = Net(), Net()
    fit(half, replace(FAST, precision="float16"))
    fit(whole, FAST)
    assert half.dtypes == {torch.float32} and torch.equal(half.layer.weight, whole.layer.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_on_a_gpu(tmp_path: Path, precision: str) -> None:
    recipe = replace(FAST, precision=precision, clip=0.5, epochs=20)
    net = Net("cuda")
    fitted = fit(net, recipe, out=tmp_path)
    assert fitted.memory_kind == memory.ALLOCATED and 0 < fitted.memory < 2**30
    assert net.dtypes == {getattr(torch, precision)}
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    again = Net("cuda")
    fit(again, recipe, out=tmp_path)
    assert torch.equal(net.layer.weight, again.layer.weight)


# ---------------------------------------------------------------------------------------------------- what is kept


class Unvalidated(Net):
    """One whose validation says nothing."""

    def validate(self):
        return Validation(math.nan, math.nan)


def test_last_epoch_is_kept_where_nothing_is_validated(tmp_path: Path) -> None:
    recipe = replace(FAST, keep="last", schedule="constant")
    net = Unvalidated()
    fitted = fit(net, recipe, out=tmp_path)
    assert fitted.best_epoch == 3 and fitted.stopped == "epochs" and math.isnan(fitted.best_dice)
    same = Net()
    fit(same, recipe)
    assert torch.equal(net.layer.weight, same.layer.weight)
    resumed = Unvalidated()
    fit(resumed, recipe, out=tmp_path)
    assert torch.equal(net.layer.weight, resumed.layer.weight)
    raises(ValueError, "stop_after must be None to keep the last epoch, got 20", Recipe, keep="last")
    raises(ValueError, "keep must be one of best, last, got 'first'", Recipe, keep="first")


# ---------------------------------------------------------------------------------------------------- watching


def test_reports_are_called_in_turn(tmp_path: Path) -> None:
    seen = []
    report = together(lambda e, r: seen.append((1, e.epoch)), None, lambda e, r: seen.append((2, r.epochs)))
    fit(Net(), replace(FAST, epochs=1), report=report)
    assert seen == [(1, 0), (2, 1), (1, 1), (2, 1)]


def test_progress_bar_says_epochs_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with epochs_bar("adapters") as report:
        fit(Net(), FAST, report=report)
    said = capsys.readouterr().err
    assert "adapters" in said and "3 of 3 epochs" in said and "Dice" in said
    with epochs_bar(show=False) as report:
        fit(Net(), FAST, report=report)
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_all_epochs_once(tmp_path: Path) -> None:
    """Also where a process was killed after it had written an epoch that its checkpoint does not have."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path / "board")
    fitted = fit(Net(), replace(FAST, epochs=2), out=tmp_path / "a", report=board)
    board(Epoch(3, 0.0, 99.0, 99.0, 0.0, 0.0), FAST)
    board.close()
    board = TensorBoard(tmp_path / "board")
    board(Epoch(3, 0.1, 0.5, 0.25, 0.75, 2.0), FAST)
    board.close()
    board.close()
    found = EventAccumulator(str(tmp_path / "board")).Reload()
    names = {"training/loss", "training/learning rate", "training/seconds", "validation/loss", "validation/Dice"}
    assert set(found.Tags()["scalars"]) == names
    dice = [(event.step, event.value) for event in found.Scalars("validation/Dice")]
    assert dice == [(e.epoch, pytest.approx(e.dice, rel=1e-6)) for e in fitted.history] + [(3, 0.75)]
    assert [event.step for event in found.Scalars("training/loss")] == [1, 2, 3]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    raises(ImportError, "tensorboard is not installed; it comes with the seg extra", TensorBoard, "x")
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match="rich is not installed; it comes with the progress extra"), epochs_bar():
        pass


# ---------------------------------------------------------------------------------------------------- recipes, losses


def test_schedules_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULES, "straight", lambda recipe, done, drops: 1 - done)
    assert [Recipe(lr=2.0, schedule="straight").rate(step, 4, 0) for step in range(4)] == [2.0, 1.5, 1.0, 0.5]


def test_recipes_are_the_papers() -> None:
    papers = (recipes.VLSM_DENSE, recipes.VLSM_SHALLOW, recipes.CLIPSEG, recipes.CRIS, recipes.SAN)
    for recipe, lr in zip(papers, (1e-3, 3e-4, 1e-3, 1e-4, 3e-4), strict=True):
        assert recipe.lr == lr and recipe.optimizer == "adamw" and recipe.weight_decay == 1e-3
        assert (recipe.schedule, recipe.factor, recipe.patience, recipe.stop_after) == ("plateau", 0.3, 5, 20)
        assert (recipe.batch, recipe.clip, recipe.precision) == (32, 0.5, "float16")
        assert recipe.warmup == 0 and recipe.min_delta == 1e-4


def test_losses_are_their_equations() -> None:
    rng = np.random.default_rng(0)
    logits, masks = rng.normal(size=(3, 5, 4)), rng.random((3, 5, 4)) < 0.4
    p = 1 / (1 + np.exp(-logits))
    bce = -np.where(masks, np.log(p), np.log(1 - p)).mean(axis=(1, 2))
    dice = 1 - 2 * (p * masks).sum(axis=(1, 2)) / (p.sum(axis=(1, 2)) + masks.sum(axis=(1, 2)))
    given = torch.from_numpy(logits), torch.from_numpy(masks)
    assert bce_dice(*given).numpy() == pytest.approx(bce + dice)
    assert vlsm_loss(*given).numpy() == pytest.approx(1.5 * dice + bce)
    assert list(LOSSES.values()) == [bce_dice, vlsm_loss, vlsm_loss_released]


def test_released_vlsm_loss_is_monais_given_probabilities() -> None:
    from monai.losses import DiceCELoss

    logits, masks = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(1)), torch.zeros(3, 9, 9).bool()
    masks[0, 2:5], masks[1, :, 3] = True, True  # the third is empty
    theirs = DiceCELoss(lambda_dice=1.5, lambda_ce=1.0)(logits.sigmoid()[:, None], masks[:, None].float())
    torch.testing.assert_close(vlsm_loss_released(logits, masks).mean(), theirs)


class Spot:
    """A model prompted by text: brightness times a weight, plus the length of the text."""

    name, prompted_by, device = "spot", "text", torch.device("cpu")

    def __init__(self) -> None:
        self.w, self.seen = torch.nn.Parameter(torch.tensor([1.0])), []

    def logits(self, images, prompts: Prompts):
        self.seen.append(prompts.texts)
        return images.mean(1) * self.w + torch.tensor([len(text) / 10 for text in prompts.texts])[:, None, None]

    def __call__(self, images, prompts: Prompts):
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        return torch.sigmoid(self.logits(pixels, prompts)).detach().numpy()


class SpotTraining(Segmentation):
    def _what(self) -> str:
        return "a spot"

    def tensors(self):
        return {"w": self.model.w}


def test_model_prompted_by_text_is_trained_with_texts() -> None:
    splits = disc_splits().with_texts("a disc", "the bright disc")
    model = Spot()
    task = SpotTraining(model, splits, loss="bce+1.5dice", augmentation="released")
    assert "loss='bce+1.5dice', prompts='text'" in task.name
    assert task.name != SpotTraining(Spot(), disc_splits().with_texts("a disk"), loss="bce+1.5dice").name
    recipe = replace(FAST, lr=0.1)
    fitted = fit(task, recipe)
    assert fitted.history[-1].train_loss < fitted.history[1].train_loss
    assert {len(texts) for texts in model.seen} == {4, 6}
    validated = {texts for texts in model.seen if len(texts) == 6}
    assert len(validated) == 1 and {text for texts in model.seen for text in texts} == {"a disc", "the bright disc"}
    again = Spot()
    fit(SpotTraining(again, splits, loss="bce+1.5dice", augmentation="released"), recipe)
    assert torch.equal(model.w, again.w) and model.seen == again.seen
    raises(ValueError, "samples must have texts", SpotTraining, Spot(), disc_splits())
    with pytest.raises(
        ValueError, match=r"loss must be one of bce\+dice, bce\+1.5dice, bce\+1.5dice:released, got 'dice'"
    ):
        SpotTraining(Spot(), splits, loss="dice")


def test_half_logits_are_summed_in_full() -> None:
    """All of a large image is object: 16 bits have no room for the sum of its pixels."""
    samples = Samples(np.full((1, 300, 300, 3), 255, np.uint8), np.ones((1, 300, 300), bool), ("a",)).with_texts("x")

    class Half(Spot):
        def logits(self, images, prompts):
            return (images.mean(1) * self.w * 5).half()

    found = SpotTraining(Half(), Splits("one", samples, samples, samples)).loss(np.arange(1), (0,))
    assert found.dtype == torch.float32 and 0 < found.item() < 0.02

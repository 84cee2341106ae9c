"""torch.distributed: processes that exchange losses alone and stay the same bit for bit."""

from pathlib import Path

import pytest

import zoo_opt as zo

torch = pytest.importorskip("torch")
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, loss, net, train_in_a_group  # noqa: E402

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch has no gloo", allow_module_level=True)


def ended(
    folder: Path, name: str, size: int = 2, seed: str = "same", breaks=None, ends=None
) -> tuple[list[bytes], list[str]]:
    """The bits of each process of a group, and what it told."""
    arguments = (size, str(folder), name, seed, breaks, ends)
    torch.multiprocessing.spawn(train_in_a_group, arguments, nprocs=size)
    there = [rank for rank in range(size) if (folder / f"{rank}.told").exists()]
    return (
        [(folder / f"{rank}.bits").read_bytes() for rank in there],
        [(folder / f"{rank}.told").read_text() for rank in there],
    )


def alone(name: str, steps: int = 25) -> tuple[bytes, int]:
    module = net()
    trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3).fit(loss, steps=steps)
    return bits(module), trainer.cost.forwards


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("fzoo", 2), ("spsa-gc", 2), ("untuned-trial", 2), ("fzoo", 3)])
def test_the_processes_end_in_the_bits_of_one(name: str, size: int, tmp_path: Path) -> None:
    expected, forwards = alone(name)
    all_bits, told = ended(tmp_path, name, size)
    assert all_bits == [expected] * size
    calls = [int(each.split(" of ")[0]) for each in told]
    assert sum(calls) == forwards and max(calls) - min(calls) <= 25
    assert all(each.endswith(f" of {forwards}") for each in told)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["others", "other probes"])
def test_another_start_or_method_is_found_by_all(seed: str, tmp_path: Path) -> None:
    _, told = ended(tmp_path, "fzoo", seed=seed)
    assert told == ["ReplicaError: the processes must have the same trainings, got others in some"] * 2


@pytest.mark.slow
def test_a_loss_that_raises_in_one_ends_all_at_the_same_step(tmp_path: Path) -> None:
    all_bits, told = ended(tmp_path, "fzoo", breaks=(1, 7))
    told_others = "RuntimeError: an error was raised in process 1 at step 7, which ends the training"
    assert told == [told_others, "ZeroDivisionError: "]
    assert all_bits == [alone("fzoo")[0]] * 2


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_one_that_ends_the_training_ends_it_for_all(size: int, tmp_path: Path) -> None:
    all_bits, told = ended(tmp_path, "fzoo", size, ends=(1, 6))
    expected, forwards = alone("fzoo", 7)
    assert all_bits == [expected] * size
    assert [each.split(" of ")[1] for each in told] == [str(forwards)] * size


@pytest.mark.slow
def test_an_error_beside_the_loss_ends_all_too(tmp_path: Path) -> None:
    all_bits, told = ended(tmp_path, "fzoo", seed="raises", ends=(0, 6))
    told_others = "RuntimeError: an error was raised in process 0 at step 7, which ends the training"
    assert told == ["ZeroDivisionError: ", told_others]
    assert all_bits == [alone("fzoo", 7)[0]] * 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["dies", "waits"])
def test_one_that_is_gone_is_found_within_the_timeout(seed: str, tmp_path: Path) -> None:
    all_bits, told = ended(tmp_path, "fzoo", seed=seed, ends=(1, 6))
    assert told[0].startswith("RuntimeError: another process of the group has gone, or was later than the group's")
    assert all_bits[0] == alone("fzoo", 7)[0]


def test_a_group_is_no_executor() -> None:
    trainer = zo.torch.Trainer(net(), METHODS["fzoo"], rng=3)
    raises(TypeError, "group must be None with an", trainer.fit, loss, 1, executor=object(), make=net, group=object())

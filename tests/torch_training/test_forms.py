"""The forms of torch.optim and of transformers."""

import copy
import io
import re
from pathlib import Path

import pytest

import zoo_opt as zo

torch = pytest.importorskip("torch")
from refusals import raises  # noqa: E402
from torch_cases import METHODS, bits, loss, net  # noqa: E402


@pytest.mark.parametrize("name", ["spsa-gc", "fzoo", "untuned"])
def test_an_optimizer_is_a_trainer(name: str) -> None:
    module, other = net(), net()
    optimizer = zo.torch.ZerothOrder(module.parameters(), METHODS[name], budget=5000, rng=3)
    means = []
    for step in range(12):
        optimizer.zero_grad()
        means.append(optimizer.step(lambda step=step: loss(module, step)))
    expected: list[float] = []
    zo.torch.Trainer(other, METHODS[name], budget=5000, rng=3).fit(
        loss, steps=12, callback=lambda step: expected.append(step.loss)
    )
    assert bits(module) == bits(other)
    assert means == expected


@pytest.mark.parametrize("name", ["spsa-gc", "untuned"])
def test_its_state_goes_through_torch_save(name: str) -> None:
    module = net()
    optimizer = zo.torch.ZerothOrder(module.parameters(), METHODS[name], budget=5000, rng=3)
    for step in range(5):
        optimizer.step(lambda step=step: loss(module, step))
    file = io.BytesIO()
    torch.save({"model": module.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = net(1)
    resumed = zo.torch.ZerothOrder(other.parameters(), METHODS[name], budget=5000, rng=77)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert set(resumed.state_dict()) == {"state", "param_groups", "zoo_opt"}
    for step in range(5, 9):
        optimizer.step(lambda step=step: loss(module, step))
        resumed.step(lambda step=step: loss(other, step))
    assert bits(other) == bits(module)
    third = zo.torch.ZerothOrder(net(1).parameters(), METHODS[name])
    third.load_state_dict(saved["optimizer"])
    raises(zo.CheckpointError, "are not those that were trained", third.step, lambda: 1.0)


def test_a_schedule_of_torch_moves_the_factor() -> None:
    module, other = net(), net()
    optimizer = zo.torch.ZerothOrder(module.parameters(), METHODS["spsa"], rng=3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    trainer = zo.torch.Trainer(other, METHODS["spsa"], rng=3)
    for step in range(4):
        optimizer.step(lambda step=step: loss(module, step))
        schedule.step()
        trainer.lr_factor = 0.5**step
        trainer.step(lambda step=step: loss(other, step))
    assert bits(module) == bits(other)


def test_what_an_optimizer_refuses() -> None:
    module = net()
    optimizer = zo.torch.ZerothOrder(module.parameters())
    raises(TypeError, "closure must be a function", optimizer.step)
    raises(
        ValueError,
        "params must be one group",
        optimizer.add_param_group,
        {"params": [torch.nn.Parameter(torch.ones(1))]},
    )
    raises(TypeError, "method must be", zo.torch.ZerothOrder, module.parameters(), 3)
    raises(TypeError, "parameters of one", zo.torch.ZerothOrder, [])


@pytest.mark.parametrize(("absent", "extra"), [("torch", "torch"), ("transformers", "seg")])
def test_without_a_library_the_extra_is_named(absent: str, extra: str, run_python) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None; import zoo_opt as zo; names = dir(zo.torch)"
    code += "\ntry: zo.torch.ZOTrainer\nexcept ImportError as error: print(names[0], error)"
    assert run_python("-c", code).startswith(f"Cost {absent} is not installed; it comes with the {extra} extra")


# ------------------------------------------------------------------------------------------------ transformers
def language_model():
    transformers = pytest.importorskip("transformers")
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2, **tokens)
        return transformers.GPT2LMHeadModel(config)


def rows(n: int) -> list:
    starts = torch.arange(n) * 7
    return [{"input_ids": row, "labels": row} for row in (starts[:, None] + torch.arange(12)) % 32]


def trainer_of(model, folder, **options):
    transformers = pytest.importorskip("transformers")
    settings = {"per_device_train_batch_size": 16, "max_steps": 30, "save_steps": 10, "logging_steps": 10}
    settings |= {"eval_strategy": "steps", "eval_steps": 10, "report_to": [], "use_cpu": True, "disable_tqdm": True}
    settings |= options.pop("settings", {})
    args = transformers.TrainingArguments(str(folder), **settings)
    return zo.torch.ZOTrainer(model, args, train_dataset=rows(64), eval_dataset=rows(16), **options)


@pytest.fixture
def quiet():
    import warnings

    with warnings.catch_warnings():  # of transformers' own
        warnings.simplefilter("ignore")
        yield


def test_a_transformers_trainer_logs_evaluates_and_resumes(tmp_path, quiet) -> None:
    transformers = pytest.importorskip("transformers")
    steps: list[int] = []

    class Counts(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            steps.append(state.global_step)

    model, other = language_model(), language_model()
    trainer = trainer_of(model, tmp_path, callbacks=[Counts()])
    trainer.train()
    assert steps == list(range(1, 31))
    logs = trainer.state.log_history
    assert [log["step"] for log in logs if "loss" in log] == [10, 20, 30]
    losses = [log["eval_loss"] for log in logs if "eval_loss" in log]
    assert len(losses) == 3 and losses[2] < losses[0]
    assert trainer.zeroth_order.trainer.cost.forwards == 30 * 12
    resumed = trainer_of(other, tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-20"))
    assert bits(other) == bits(model)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_schedule_of_transformers_moves_a_rate_that_is_a_number(tmp_path, quiet) -> None:
    trainer = trainer_of(language_model(), tmp_path, method=zo.SPSA(lr=0.1, c=1e-3), settings={"max_steps": 4})
    trainer.train()
    assert trainer.zeroth_order.param_groups[0]["lr"] == 0.0  # linear, to its end
    raises(
        ValueError,
        "gradient_accumulation_steps must be 1",
        trainer_of,
        language_model(),
        tmp_path,
        settings={"gradient_accumulation_steps": 2},
    )


@pytest.mark.slow
def test_the_example_of_the_guide(run_python) -> None:
    pytest.importorskip("peft")
    printed = run_python("-W", "error", str(Path(zo.__file__).parents[1] / "benchmarks" / "torch_lora.py"))
    before, after = (
        float(re.search(rf"{words} (\S+)", printed).group(1)) for words in ("loss before", "2400 forwards")
    )
    assert before > 5 and after < 1.6
    assert "4096 numbers trained, gradients: 0" in printed


def test_a_peft_adapter_is_trained_alone(tmp_path, quiet) -> None:
    peft = pytest.importorskip("peft")
    base = language_model()
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    before = copy.deepcopy({name: p.detach() for name, p in model.named_parameters()})
    trainer = trainer_of(model, tmp_path, method=zo.FZOO.untuned(scale=0.2), settings={"max_steps": 60})
    start = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < start
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora_" in name for name in changed)

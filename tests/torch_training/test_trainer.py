"""Trainer: the core's methods on a module's own tensors."""

import copy
import math
import operator
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo_opt as zo

torch = pytest.importorskip("torch")
from refusals import raises, refused  # noqa: E402
from torch_cases import METHODS, bits, flat, loss, net  # noqa: E402

from zoo_opt.interop.torch import ParameterVector  # noqa: E402


def by_the_core(method, steps: int, fun=loss) -> tuple[np.ndarray, list[float]]:
    """The same steps on a flat float32 vector, by Optimizer: the iterate, and all losses."""
    vector = ParameterVector(net())
    f = vector.objective(fun)
    opt = zo.Optimizer(method, vector.get(), rng=3, budget=5000)
    losses = []
    for step in range(steps):
        batch = opt.ask()
        told = [f(x, step) for x in batch]
        losses += told
        opt.tell(batch, told)
    return opt.mean, losses


@pytest.mark.parametrize("name", METHODS)
def test_the_iterates_are_the_cores(name: str) -> None:
    """To the rounding: of parameters and steps to the grid, 2^-22 of the largest, and of c to its multiples.

    A loss in single precision is known to 1e-7, so that a slope is to 1e-7 / c = 1e-4: steps differ by that much.
    """
    module = net()
    trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3)
    losses = []
    trainer.fit(loss, steps=20, callback=lambda step: losses.extend(step.losses))
    x, expected = by_the_core(METHODS[name], 20)
    start = flat(net())
    assert np.linalg.norm(flat(module) - x) < 5e-3 * np.linalg.norm(x - start)
    assert np.allclose(losses, expected, rtol=2e-3)


@pytest.mark.parametrize("name", ["spsa-signs", "bar", "fzoo", "untuned", "spsa-geass"])
def test_failed_probes_are_dropped_as_in_the_core(name: str) -> None:
    """Losses that fail at fixed places: a probe, a pair, a base, a whole step."""
    method = METHODS[name]
    n = method.kit.estimator.n
    fails = {0: {0}, 2: {1, n - 1}, 3: set(range(n)), 5: {n - 1}}
    calls = [0]

    def fun(module, step):
        place = calls[0] % n
        calls[0] += 1
        return math.nan if place in fails.get(step, ()) else loss(module, step)

    module = net()
    trainer = zo.torch.Trainer(module, method, budget=5000, rng=3)
    skipped = []
    trainer.fit(fun, steps=10, callback=lambda step: skipped.append(step.skipped))
    calls[0] = 0
    x, _ = by_the_core(method, 10, fun)
    assert np.linalg.norm(flat(module) - x) < 5e-3 * np.linalg.norm(x - flat(net()))
    assert skipped[3] and not skipped[1]
    assert trainer.cost.failures == sum(map(len, fails.values()))
    assert trainer.cost.forwards == 10 * n


def test_training_by_loss_values() -> None:
    module = net()
    trainer = zo.torch.Trainer(module, zo.FZOO(lr=zo.Cosine(1e-4, 1e-6, steps=300), c=1e-3), budget=2700, rng=0)
    first = trainer.step(lambda: loss(module, 0)).loss
    while not trainer.stop():
        last = trainer.step(lambda: loss(module, 0)).loss
    assert last < 0.5 * first
    assert trainer.cost.forwards == 2700
    assert "2700 forwards (0 failed)" in str(trainer.cost)


def test_auto_is_planned_as_in_the_core() -> None:
    planned = zo.torch.Trainer(net(), "auto", budget=3000, rng=0).method
    expected = zo.FZOO.untuned().plan(flat(net()), 3000)
    assert planned.directions == expected.directions == 12
    for gain in ("lr", "c"):
        ours, theirs = getattr(planned, gain), getattr(expected, gain)
        assert type(ours) is type(theirs)
        assert math.isclose(ours(0), theirs(0), rel_tol=1e-6)
    assert planned.base is False


def test_all_probes_of_a_step_draw_the_same_and_the_global_state_stays() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 50), torch.nn.Dropout(0.5))
    seen: dict[int, list] = {}

    def fun(module, step):
        seen.setdefault(step, []).append(torch.rand(3).tolist())
        return module(torch.ones(4)).sum()

    before = torch.random.get_rng_state()
    zo.torch.Trainer(module, METHODS["fzoo"], rng=0).fit(fun, steps=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(len(draws) == 5 and draws == draws[:1] * 5 for draws in seen.values())
    assert seen[0] != seen[1]


def test_a_loss_that_raises_leaves_the_parameters() -> None:
    for name in ("fzoo", "spsa-gc"):
        module = net()
        trainer = zo.torch.Trainer(module, METHODS[name], rng=0)
        trainer.fit(loss, steps=3)
        before, calls = bits(module), iter([lambda: 1.0, lambda: 2.0 / 0.0])
        raises(ZeroDivisionError, None, trainer.step, lambda calls=calls: next(calls)())
        assert bits(module) == before and trainer.steps == 3
        other = net()
        zo.torch.Trainer(other, METHODS[name], rng=0).fit(loss, steps=6)
        trainer.fit(loss, steps=3)
        assert bits(module) == bits(other)


def test_a_step_beyond_all_numbers_is_skipped() -> None:
    module = net()
    trainer = zo.torch.Trainer(module, zo.SPSA(lr=1e30, c=1e-3), rng=0)
    before, losses = bits(module), iter([1e12, -1e12])
    assert trainer.step(lambda: next(losses)).skipped
    assert bits(module) == before


def test_no_gradient_is_recorded() -> None:
    module = net()

    def fun():
        assert torch.is_inference_mode_enabled()
        return loss(module, 0)

    zo.torch.Trainer(module, METHODS["spsa"], rng=0).step(fun)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
    loss(module, 0).backward()  # and it can be trained by gradients afterwards
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_the_factor_is_on_the_learning_rate() -> None:
    ends = []
    for method, factor in ((zo.SPSA(lr=0.02, c=2**-10), 1.0), (zo.SPSA(lr=0.04, c=2**-10), 0.5)):
        module = net()
        trainer = zo.torch.Trainer(module, method, rng=0)
        trainer.lr_factor = factor
        trainer.fit(loss, steps=5)
        ends.append(bits(module))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=5)
@given(at=st.integers(0, 12))
def test_saved_and_loaded_it_goes_on_exactly(name: str, at: int, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / f"{name}.zoo"
    whole, cut, other = net(), net(), net(seed=9)
    one = zo.torch.Trainer(whole, METHODS[name], budget=5000, rng=3).fit(loss, steps=12)
    trainer = zo.torch.Trainer(cut, METHODS[name], budget=5000, rng=3).fit(loss, steps=at)
    trainer.save(path)
    two = zo.torch.Trainer.load(other, path).fit(loss, steps=12 - at)
    assert bits(other) == bits(whole)
    assert one.checksum() == two.checksum()
    assert one.cost.forwards == two.cost.forwards
    assert repr(one) == repr(two)


def test_half_precision_and_masters_are_saved(tmp_path) -> None:
    def half():
        return net().to(torch.bfloat16)

    def fun(module, step):
        return loss(lambda x: module(x.to(torch.bfloat16)).float(), step)

    whole, cut, other = half(), half(), half()
    zo.torch.Trainer(whole, "auto", budget=600, rng=0).fit(fun)
    trainer = zo.torch.Trainer(cut, "auto", budget=600, rng=0).fit(fun, steps=20)
    assert trainer.cost.memory >= 4 * 67
    trainer.save(tmp_path / "run.zoo")
    zo.torch.Trainer.load(other, tmp_path / "run.zoo").fit(fun)
    assert bits(other) == bits(whole)
    assert fun(whole, 0) < 0.8 * fun(half(), 0)


def test_a_checkpoint_of_another_module_is_refused(tmp_path) -> None:
    path = tmp_path / "run.zoo"
    zo.torch.Trainer(net(), METHODS["spsa"], rng=0).save(path)
    small = torch.nn.Linear(2, 2)
    raises(zo.CheckpointError, "another module, of which 0.bias, 0.weight", zo.torch.Trainer.load, small, path)
    wide = torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.Tanh(), torch.nn.Linear(9, 3))
    raises(zo.CheckpointError, "0.weight has 32 numbers there", zo.torch.Trainer.load, wide, path)
    last = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    before = bits(last)
    raises(zo.CheckpointError, "2.weight has 24 numbers there", zo.torch.Trainer.load, last, path)
    assert bits(last) == before
    opt = zo.Optimizer("spsa", np.zeros(3), rng=0)
    opt.save(path)
    raises(zo.CheckpointError, "not a checkpoint of a Trainer", zo.torch.Trainer.load, net(), path)


def test_a_set_of_parameters_is_trained_alone() -> None:
    module = net()
    frozen = module[0].weight.detach().clone()
    trainer = zo.torch.Trainer([module[2].weight, module[2].bias], METHODS["fzoo"], rng=0)
    trainer.step(lambda: loss(module, 0))
    assert torch.equal(module[0].weight, frozen)
    raises(TypeError, "module must be a torch.nn.Module for fit", trainer.fit, loss, steps=1)


def test_parameters_that_were_replaced_are_refused() -> None:
    """The trainer has the old ones, whose memory is as it was."""
    module = net()
    trainer = zo.torch.Trainer(module, METHODS["spsa"], rng=0).fit(loss, steps=1)
    module.load_state_dict(net(1).state_dict(), assign=True)
    raises(RuntimeError, "the parameter 0.weight was moved or replaced", trainer.fit, loss, 1)
    assert trainer.steps == 1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copy_is_made_that_has_lost_its_module(copied) -> None:
    module = net()
    raises(TypeError, "a Trainer cannot be copied", copied, zo.torch.Trainer(module, METHODS["spsa"], rng=0))
    raises(TypeError, "a ZerothOrder cannot be", copied, zo.torch.ZerothOrder(module.parameters(), METHODS["spsa"]))


def test_a_trial_is_of_the_full_rate_while_a_factor_warms_up() -> None:
    wanted = []
    for factor in (1.0, 0.01):
        trainer = zo.torch.Trainer(net(), METHODS["untuned-trial"], budget=5000, rng=3)
        trainer.lr_factor = factor
        step = trainer.step(lambda trainer=trainer: loss(trainer.module, 0))
        assert step.skipped
        wanted.append(step.gain.c)
    assert wanted[0] == wanted[1] > 0.0


def spsa(**options):
    return zo.torch.Trainer(net(), replace(METHODS["spsa"], **options))


test_errors = refused(
    operator.call,
    (lambda: zo.torch.Trainer(3), TypeError, "module must be a torch.nn.Module or parameters of one, got int"),
    (lambda: zo.torch.Trainer(net(), zo.CMAES(sigma0=1.0)), TypeError, "method must be FZOO, SPSA, .*got CMAES"),
    (lambda: zo.torch.Trainer(net(), "cma-es"), TypeError, "sigma0|method must be"),
    (lambda: zo.torch.Trainer(net(), zo.SPSA), TypeError, "method must be FZOO, SPSA"),
    (lambda: spsa(bounds=(-1, 1)), ValueError, "bounds must be None where a module is trained in place"),
    (lambda: zo.torch.Trainer(net(), zo.BAR()), ValueError, "draws must be Rademacher"),
    (lambda: zo.torch.Trainer(net(), budget=0), ValueError, "budget must be >= 1, got 0"),
    (lambda: spsa().fit(loss), ValueError, "steps must be given where the trainer has no budget"),
    (lambda: spsa().fit(loss, 1, executor=object()), TypeError, "make must be given with an executor"),
    (lambda: spsa().fit(loss, 1, wait=1.0), ValueError, "wait must be None without an executor, got 1.0"),
    (lambda: spsa().fit(loss, 1, executor=object(), make=net, wait=0.0), ValueError, "wait must be > 0|wait"),
    (lambda: spsa().step(lambda: "x"), TypeError, "losses must be real numbers, got 'x'"),
)

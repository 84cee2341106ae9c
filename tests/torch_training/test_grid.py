"""The dyadic grid: there and back leaves every bit, and each memory is trained once."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo_opt as zo
from zoo_opt.core.keys import make_key
from zoo_opt.gradient.gains import Gain

torch = pytest.importorskip("torch")
from refusals import raises, refused  # noqa: E402
from torch_cases import METHODS, bits, net  # noqa: E402

from zoo_opt.torch.replica import Decided, Frame, Replica, placed  # noqa: E402
from zoo_opt.torch.slots import APART, Slots  # noqa: E402


def replica_of(module, method) -> Replica:
    return Replica(Slots(module.named_parameters()), Frame.of(method.kit), make_key(0))


class Mixed(torch.nn.Module):
    """Several types, a transposed memory, tied and frozen parameters, zeros, an outlier."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.single = torch.nn.Parameter(0.02 * torch.randn(40, 7))
        self.wide = torch.nn.Parameter(torch.randn(11, dtype=torch.float64))
        self.halved = torch.nn.Parameter(0.5 * torch.randn(33).to(torch.bfloat16))
        self.narrow = torch.nn.Parameter(0.5 * torch.randn(5).to(torch.float16))
        self.turned = torch.nn.Parameter(torch.randn(6, 5).t())
        self.zeros = torch.nn.Parameter(torch.zeros(300))
        self.outlier = torch.nn.Parameter(torch.tensor([1000.0]))
        self.tied = self.single
        self.frozen = torch.nn.Parameter(torch.randn(9), requires_grad=False)
        self.register_parameter("again", torch.nn.Parameter(self.single.data))  # the same memory, another object


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=20)
@given(radius=st.floats(1e-3, 0.5), seed=st.integers(0, 99))
def test_there_and_back_leaves_every_bit(name: str, radius: float, seed: int) -> None:
    module, method = Mixed(), METHODS[name]
    replica = replica_of(module, method)
    replica.step = seed
    wanted = float(np.float32(radius))
    c = replica.begin(wanted)
    before, frozen = bits(module), module.frozen.detach().clone()
    gain, probes = Gain(0.1, c, 0.9 if replica.frame.has_momentum else 0.0), placed(method.kit)
    for slot in replica.slots.all:
        if slot.m is not None:
            slot.m[:] = 0.001
            slot.ahead = 0.001
    for probe in (*probes, *probes[::-1]):
        replica.go(probe, c, gain)
        if probe:
            assert bits(module) != before
    replica.home()
    assert bits(module) == before
    assert torch.equal(module.frozen, frozen)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sizes", [(4, 1), (1, 1, 1), (5, 2, 300, 3)])
def test_tensors_of_few_numbers_come_home_from_a_probe_next_to_another(name: str, sizes: tuple[int, ...]) -> None:
    """Two grids within one byte of signs: from one probe to the next two directions are summed, for each grid."""
    parts = [torch.full((size,), 0.4 * 4.0**-k) for k, size in enumerate(sizes)]
    module, method = torch.nn.ParameterList(parts), METHODS[name]
    replica = replica_of(module, method)
    c = replica.begin(float(np.float32(1e-3)))
    before, gain = bits(module), Gain(0.1, c)
    assert len({slot.e for slot in replica.slots.all}) == len(sizes)
    for probe in placed(method.kit):
        replica.go(probe, c, gain)
    replica.home()
    assert bits(module) == before


def test_ten_thousand_rounds_leave_every_bit() -> None:
    method = zo.SPSA(lr=0.01, c=1e-3, draws=zo.Rademacher())
    module = net()
    replica = replica_of(module, method)
    c = replica.begin(float(np.float32(1e-3)))
    before, gain, probes = bits(module), Gain(0.0, c), placed(method.kit)
    for step in range(10_000):
        replica.step = step
        for probe in probes:
            replica.go(probe, c, gain)
        replica.home()
    assert bits(module) == before


def test_a_probe_is_the_radius_away_and_signs_differ() -> None:
    module = net()
    replica = replica_of(module, zo.SPSA(draws=zo.Rademacher()))
    c = replica.begin(float(np.float32(1e-3)))
    x = np.concatenate([p.detach().numpy().reshape(-1).copy() for p in module.parameters()])
    replica.go({0: 1.0}, c, Gain(0.1, c))
    plus = np.concatenate([p.detach().numpy().reshape(-1).copy() for p in module.parameters()])
    delta = zo.Rademacher().draw(replica.key, 0, (1, 67), np.float32)[0]
    assert np.array_equal(plus - x, np.float32(c) * delta)
    assert abs(c - 1e-3) < 2**-22


def test_each_memory_is_trained_once_and_frozen_parts_not_at_all() -> None:
    slots = Slots(Mixed().named_parameters())
    assert [slot.name for slot in slots.all] == ["single", "wide", "halved", "narrow", "turned", "zeros", "outlier"]
    assert slots.size == 280 + 11 + 33 + 5 + 30 + 300 + 1
    assert [slot.name for slot in slots.all if slot.is_master] == ["halved", "narrow", "turned"]


def test_snapping_moves_by_less_than_the_last_digits() -> None:
    module = Mixed()
    before = {name: p.detach().clone().double() for name, p in module.named_parameters()}
    slots = Slots(module.named_parameters())
    for slot in slots.all:
        now = slot.parameter.detach().double()
        digits = {torch.float64: 51, torch.float32: 22, torch.float16: 9, torch.bfloat16: 6}[slot.parameter.dtype]
        largest = float(before[slot.name].abs().max())
        least = 0.0 if slot.name in ("wide", "outlier") else 1000.0 * 2.0 ** -(22 + APART)
        assert float((now - before[slot.name]).abs().max()) <= largest * 2.0**-digits + least


def test_numbers_that_grow_get_a_coarser_grid() -> None:
    """A walk far beyond the first grid: moves stay exact, and the same steps elsewhere end at the same bits."""
    method = zo.SPSA(draws=zo.Rademacher())
    modules = [net(), net()]
    replicas = [replica_of(module, method) for module in modules]
    grids = [slot.e for slot in replicas[0].slots.all]
    for step in range(300):
        weight = float(np.float32(0.05 * 1.02**step))
        for i, replica in enumerate(replicas):
            c = replica.begin(2.0**-10)
            if i == 0:  # the other one only takes in what was decided
                before = bits(modules[0])
                replica.go({0: 1.0}, c, Gain(0.1, c))
                replica.home()
                assert bits(modules[0]) == before
                replica.go({0: -1.0}, c, Gain(0.1, c))
            replica.apply(Decided(2.0**-10, [weight]))
    assert bits(modules[0]) == bits(modules[1])
    assert all(slot.e > e + 3 for slot, e in zip(replicas[0].slots.all, grids, strict=True))
    for slot in replicas[0].slots.all:
        assert np.array_equal(np.rint(slot.flat / slot.q) * slot.q, slot.flat)
        assert slot.largest() <= slot.bound


@settings(max_examples=30)
@given(st.permutations(range(12)))
def test_steps_in_any_order_are_the_same(order: list[int]) -> None:
    """Steps without momentum on one grid add up exactly: their order does not matter."""
    weights = [[float(w)] for w in np.random.default_rng(0).normal(0, 0.003, 12).astype(np.float32)]
    ends = []
    for steps in (range(12), order):
        module = net()
        replica = replica_of(module, zo.SPSA(draws=zo.Rademacher()))
        for step in steps:
            replica.step = step
            replica.begin(2.0**-10)
            replica.apply(Decided(2.0**-10, weights[step]))
        ends.append(bits(module))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("weight", [-0.9, -0.8999, -0.77777])
def test_the_way_home_and_a_large_step_fit_on_the_grid_together(weight: float) -> None:
    """-c and the step are added as one: 0.4 + 0.9 is beyond a grid up to 1, whose last digit it would lose."""
    modules = [torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(50))]) for _ in range(2)]
    replicas = [replica_of(module, METHODS["spsa-signs"]) for module in modules]
    for replica in replicas:
        replica.slots.all[0].e = 0
        c = replica.begin(float(np.float32(0.4)))
        assert replica.slots.all[0].e == 0
        if replica is replicas[0]:
            replica.go({0: 1.0}, c, Gain(0.1, c))
        replica.apply(Decided(float(np.float32(0.4)), [float(np.float32(weight))]))
    assert bits(modules[0]) == bits(modules[1])


@pytest.mark.parametrize("name", ["spsa-signs", "spsa-normals", "spsa"])
def test_a_radius_below_all_spacings_is_one_of_them(name: str) -> None:
    """A tensor filled to the brim of its grid, and one that is far larger: probes are exact all the same."""
    module = torch.nn.ParameterList(
        [torch.nn.Parameter(torch.full((50,), 2.0**-12)), torch.nn.Parameter(torch.ones(5))]
    )
    replica = replica_of(module, METHODS[name])
    small = replica.slots.all[0]
    small.flat[:] = 2.0**small.e
    small.bound = 2.0**small.e
    c = replica.begin(float(np.float32(1e-30)))
    before = bits(module)
    assert c == max(slot.q for slot in replica.slots.all)
    replica.go({0: 1.0}, c, Gain(0.1, c))
    assert bits(module) != before
    replica.go({0: -1.0}, c, Gain(0.1, c))
    replica.home()
    assert bits(module) == before


def test_half_precision_follows_its_master() -> None:
    module = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16))])
    replica = replica_of(module, zo.SPSA(draws=zo.Rademacher()))
    (slot,) = replica.slots.all
    for step in range(50):  # each step is below what bfloat16 can tell from 1
        replica.step = step
        replica.begin(2.0**-10)
        replica.apply(Decided(2.0**-10, [2.0**-12]))
    assert np.ptp(slot.flat) > 2.0**-9
    assert torch.equal(module[0], torch.from_numpy(slot.flat).to(torch.bfloat16))


@pytest.mark.parametrize("name", METHODS)
def test_a_zero_has_no_sign(name: str) -> None:
    """-0.0 + c - c is 0.0: a number that was at a probe and one that was not would differ in a bit."""
    module = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor([-0.0, 0.0, -1e-12, 1e-12, 1.0]))])
    replica = replica_of(module, METHODS[name])
    c = replica.begin(float(np.float32(1e-3)))
    before = bits(module)
    replica.go({0: 1.0}, c, Gain(0.1, c, 0.5))
    replica.home()
    assert bits(module) == before
    replica.apply(Decided(float(np.float32(1e-3)), [1e-20] * 4, 0.1, 0.5))
    assert not np.signbit(replica.slots.all[0].flat).any()


def test_a_parameter_that_was_moved_is_refused() -> None:
    module = net()
    replica = replica_of(module, zo.SPSA())
    module.double()
    raises(RuntimeError, "the parameter 0.weight was moved or replaced", replica.begin, 1e-3)


def overlapping() -> list:
    memory = torch.zeros(10)
    return [("a", torch.nn.Parameter(memory[:6])), ("b", torch.nn.Parameter(memory[4:]))]


def one(tensor: torch.Tensor) -> list:
    return [("a", torch.nn.Parameter(tensor))]


def of_two_types() -> list:
    memory = torch.zeros(4)
    return [("a", torch.nn.Parameter(memory)), ("b", torch.nn.Parameter(memory.view(torch.float16)))]


def row_and_column() -> list:
    memory = torch.zeros(4, 4)
    return [("b", torch.nn.Parameter(memory[:, 0])), ("a", torch.nn.Parameter(memory[0]))]


test_errors = refused(
    operator.call,
    (lambda: Slots(torch.nn.ReLU().named_parameters()), "module must have parameters to train"),
    (lambda: Slots(overlapping()), "parameters must not overlap in part, got b and a"),
    (lambda: Slots(one(torch.full((2,), np.nan))), "parameters must be finite in single precision, got nan in a"),
    (lambda: Slots(one(torch.ones(70_000).index_fill(0, torch.tensor(69_999), np.nan))), "must be finite.* nan in a"),
    (lambda: Slots(one(torch.full((2,), 1e300, dtype=torch.float64))), "finite in single precision, got 1e.300"),
    (lambda: Slots(one(torch.ones(1).expand(5))), "a place for each number, got a, expanded from fewer"),
    (lambda: Slots(one(torch.ones(6).unfold(0, 3, 1))), "a place for each number"),
    (lambda: Slots(of_two_types()), "parameters must not overlap in part, got b and a"),
    (lambda: Slots(row_and_column()), "parameters must not overlap in part, got a and b"),
    (lambda: Slots(torch.nn.Linear(2, 2, device="meta").named_parameters()), "dense floating tensors in memory"),
)

"""Random directions in blocks: those of the core, whatever the split and the kind of memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo_opt as zo
from zoo_opt.core.keys import Key, generator, make_key, words

torch = pytest.importorskip("torch")
from refusals import refused  # noqa: E402
from torch_cases import METHODS, bits, loss, net  # noqa: E402

from zoo_opt.torch import slots as slots_module  # noqa: E402
from zoo_opt.torch.arrays import DeviceArrays, HostArrays  # noqa: E402
from zoo_opt.torch.directions import Term, kind_of  # noqa: E402
from zoo_opt.torch.moves import Moves  # noqa: E402
from zoo_opt.torch.slots import Slots  # noqa: E402

DRAWS = [zo.Rademacher(), zo.QuantileGaussian(), zo.SegmentedUniform()]
KEY = make_key(5)


@given(st.integers(0, 2**62), st.integers(0, 5000), st.integers(0, 300))
def test_words_are_those_of_the_stream(seed: int, first: int, count: int) -> None:
    key = Key(seed, 7)
    whole = generator(key, 11).bit_generator.random_raw(first + count)
    assert np.array_equal(words(key, 11, first, count), whole[first:])
    assert np.array_equal(generator(key, 11).bit_generator.random_raw(3), words(key, 11, 0, 3))


def module_of(sizes: list[int], dtype: torch.dtype = torch.float32) -> torch.nn.ParameterList:
    return torch.nn.ParameterList([torch.nn.Parameter(torch.ones(n, dtype=dtype)) for n in sizes])


def moved(sizes: list[int], draws: zo.Draws, block: int | None, terms: dict[int, list[Term]]) -> np.ndarray:
    slots = Slots(module_of(sizes).named_parameters())
    Moves(slots, kind_of(draws), KEY, block).by({(3, k): term for k, term in terms.items()})
    return np.concatenate([np.asarray(slot.flat) for slot in slots.all])


@pytest.mark.parametrize("draws", DRAWS, ids=lambda draws: type(draws).__name__)
def test_directions_are_those_of_the_core(draws: zo.Draws) -> None:
    """A radius that is a power of two leaves nothing to round but the grid's own digits."""
    sizes, c = [700, 1, 263, 40], 2.0**-6
    delta = draws.draw(KEY, 3, (4, sum(sizes)), np.float32)
    q = 2.0 ** (2 - 24)
    for k in range(4):
        x = moved(sizes, draws, None, {k: [Term(c)]})
        assert np.array_equal(x, 1.0 + np.rint(c * delta[k] / q) * q)


@pytest.mark.parametrize("draws", DRAWS, ids=lambda draws: type(draws).__name__)
@given(
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    block=st.integers(1, 1500),
    a=st.floats(-0.015625, 0.015625, width=32),
)
def test_any_split_is_the_same(draws: zo.Draws, sizes: list[int], block: int, a: float) -> None:
    terms = {0: [Term(0.01), Term(a, dual=True)], 2: [Term(a, dual=True)]}
    assert moved(sizes, draws, block, terms).tobytes() == moved([sum(sizes)], draws, None, terms).tobytes()


@pytest.mark.parametrize("draws", DRAWS, ids=lambda draws: type(draws).__name__)
def test_a_device_is_the_same_as_numpy(draws: zo.Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code for devices, on the CPU: moves, norms and snapping, bit for bit."""
    terms = {0: [Term(0.01), Term(-0.003, dual=True)], 1: [Term(0.002, dual=True)]}
    sizes = [3000, 17, 1]
    x0 = np.random.default_rng(0).normal(size=sum(sizes)).astype(np.float32)
    results = []
    for arrays in (HostArrays(), DeviceArrays(torch.device("cpu"))):
        monkeypatch.setattr(slots_module, "arrays_on", lambda device, arrays=arrays: arrays)
        module = module_of(sizes)
        torch.nn.utils.vector_to_parameters(torch.from_numpy(x0.copy()), module.parameters())
        slots = Slots(module.named_parameters())
        moves = Moves(slots, kind_of(draws), KEY)
        moves.by({(3, k): term for k, term in terms.items()})
        norm = moves.norm(3, [0.5, -1.5])
        results.append((slots.checksum(), norm, [(slot.e, slot.bound) for slot in slots.all]))
        assert isinstance(slots.all[0].flat, np.ndarray if isinstance(arrays, HostArrays) else torch.Tensor)
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["spsa-gc", "spsa-geass-released", "untuned"])
def test_training_on_a_device_is_the_same_as_by_numpy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for arrays in (HostArrays(), DeviceArrays(torch.device("cpu"))):
        monkeypatch.setattr(slots_module, "arrays_on", lambda device, arrays=arrays: arrays)
        module = net()
        trainer = zo.torch.Trainer(module, METHODS[name], budget=5000, rng=3).fit(loss, steps=15)
        ends.append((bits(module), trainer.checksum(), trainer.state()["gains"]))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("draws", DRAWS, ids=lambda draws: type(draws).__name__)
def test_the_norm_is_that_of_the_estimate(draws: zo.Draws) -> None:
    slots = Slots(module_of([5000, 3]).named_parameters())
    delta = draws.draw(KEY, 3, (2, 5003), np.float32)
    psi = draws.dual(delta)
    ghat = 0.5 * psi[0].astype(np.float64) - 1.5 * psi[1]
    for block in (256, 1024, None):
        norm = Moves(slots, kind_of(draws), KEY, block).norm(3, [0.5, -1.5])
        assert norm == pytest.approx(np.linalg.norm(ghat), rel=1e-6)
        assert norm == Moves(slots, kind_of(draws), KEY).norm(3, [0.5, -1.5])


def test_a_table_of_normals_holds_what_the_formula_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = {0: [Term(0.01), Term(-0.0031, dual=True)]}
    by_formula = moved([3000], zo.QuantileGaussian(), None, terms)
    monkeypatch.setattr("zoo_opt.torch.moves._WORTH", 1)
    assert moved([3000], zo.QuantileGaussian(), None, terms).tobytes() == by_formula.tobytes()


test_errors = refused(kind_of, (zo.Sphere(), "draws must be Rademacher.., Gaussian.. or SegmentedUniform"))

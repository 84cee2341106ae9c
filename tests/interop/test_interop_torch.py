"""ParameterVector: a torch module trained by loss values."""

import copy
import operator
import pickle

import numpy as np
import pytest
from refusals import raises, refused

import zoo_opt as zo

torch = pytest.importorskip("torch")
from zoo_opt.interop.torch import ParameterVector  # noqa: E402


def mlp(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip_and_order(dtype):
    model = mlp(dtype)
    expected = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
    inputs = torch.randn(5, 4, dtype=dtype)
    before = model(inputs)
    vector = ParameterVector(model)
    assert vector.dim == expected.size == 4 * 8 + 8 + 8 * 3 + 3
    assert vector.names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    np.testing.assert_array_equal(vector.get(), expected)
    assert vector.get().dtype == expected.dtype
    torch.testing.assert_close(model(inputs), before, rtol=0, atol=0)

    x = np.arange(vector.dim, dtype=expected.dtype)
    vector.set(x)
    np.testing.assert_array_equal(vector.get(), x)
    np.testing.assert_array_equal(model[0].bias.detach().numpy(), x[32:40])


def test_set_writes_into_the_same_memory():
    model = mlp()
    vector = ParameterVector(model)
    addresses = [parameter.data_ptr() for parameter in model.parameters()]
    vector.set(np.zeros(vector.dim, np.float32))
    assert [parameter.data_ptr() for parameter in model.parameters()] == addresses
    assert addresses[1] - addresses[0] == 32 * 4  # one flat tensor


def test_get_is_a_copy_and_x_is_not_kept():
    vector = ParameterVector(mlp())
    x = vector.get()
    x += 1
    assert not np.array_equal(vector.get(), x)
    vector.set(x)
    x[:] = 0
    assert np.any(vector.get() != 0)


def test_chosen_and_frozen_parameters():
    model = mlp()
    model[0].requires_grad_(False)
    frozen = model[0].weight.detach().clone()
    vector = ParameterVector(model)
    assert vector.names == ["2.weight", "2.bias"]
    vector.set(np.ones(vector.dim, np.float32))
    torch.testing.assert_close(model[0].weight, frozen, rtol=0, atol=0)
    assert ParameterVector(model, [model[0].bias]).dim == 8


def test_tied_weights_stay_tied():
    model = mlp()
    model.append(torch.nn.Linear(3, 8, bias=False))
    model.append(torch.nn.Linear(8, 3, bias=False))
    model[3].weight = torch.nn.Parameter(torch.zeros(8, 3))
    model[4].weight = model[2].weight
    vector = ParameterVector(model)
    vector.set(np.full(vector.dim, 2.0, np.float32))
    assert model[4].weight is model[2].weight
    assert vector.dim == 32 + 8 + 24 + 3 + 24


def test_half_precision_is_searched_in_single():
    vector = ParameterVector(mlp(torch.bfloat16))
    assert vector.get().dtype == np.float32
    vector.set(vector.get())


def test_training_by_loss_values_alone():
    inputs = torch.tensor(np.random.default_rng(0).normal(size=(256, 4)), dtype=torch.float32)
    labels = (inputs @ torch.tensor([[1.0, 0, -1], [0, 1, 0], [-1, 0, 1], [0, -1, 0]])).argmax(1)
    vector = ParameterVector(mlp())
    criterion = torch.nn.CrossEntropyLoss()

    def loss(model, step):
        rows = np.random.default_rng(step).integers(256, size=64)
        return criterion(model(inputs[rows]), labels[rows])

    f = vector.objective(loss)
    start = criterion(vector.module(inputs), labels).item()
    method = zo.FZOO(lr=zo.Cosine(1e-4, 1e-6, steps=300), c=0.001)
    result = zo.minimize(f, vector.get(), method=method, budget=2700, rng=0, pass_step=True, recommend="mean")
    vector.set(result.x)
    assert result.x.dtype == np.float32
    assert criterion(vector.module(inputs), labels).item() < 0.5 * start


def module_loss(model, step):
    return sum(parameter.square().sum() for parameter in model.parameters())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda vector: pickle.loads(pickle.dumps(vector))])
def test_copies_are_vectors_of_their_own_module(duplicate):
    vector = ParameterVector(mlp())
    x = vector.get()
    f = duplicate(vector.objective(module_loss))
    assert f(np.zeros(vector.dim, np.float32)) == 0
    assert f(np.ones(vector.dim, np.float32)) == vector.dim
    np.testing.assert_array_equal(vector.get(), x)


@pytest.mark.parametrize(
    "move",
    [
        lambda model: model.double(),
        lambda model: model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True),
        lambda model: ParameterVector(model),
        lambda model: setattr(model[0], "weight", torch.nn.Parameter(torch.zeros(8, 4))),
    ],
)
def test_a_module_whose_parameters_were_moved_is_refused(move):
    model = mlp()
    vector = ParameterVector(model)
    move(model)
    raises(RuntimeError, r"the parameter 0.weight was moved or replaced", vector.set, np.zeros(vector.dim))


MIXED = torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Linear(1, 1).double()])


test_errors = refused(
    operator.call,
    (lambda: ParameterVector([1]), TypeError, "module must be a torch.nn.Module, got list"),
    (lambda: ParameterVector(torch.nn.ReLU()), ValueError, "module must have parameters to take"),
    (
        lambda: ParameterVector(MIXED),
        ValueError,
        "one floating dtype and one device, got torch.float32 on cpu, torch.float64",
    ),
    (lambda: ParameterVector(mlp(), mlp().parameters()), ValueError, "parameters must be of the module"),
    (lambda: ParameterVector(mlp()).set(np.zeros(3)), ValueError, r"x must have shape \(67,\), got \(3,\)"),
)

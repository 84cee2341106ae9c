"""Every mistake a user of the core can make: the call, the exception, and a message that names what came."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
from doubting import Doubting
from refusals import raises

import zoo_opt as zo


def start(**options):
    opt = zo.Optimizer(zo.SPSA(pairs=2), [1.0, 2.0], rng=0, **options)
    opt.ask()
    return opt


def tell(*args):
    return lambda: start().tell(*args)


def told(*ids):
    opt = start()
    opt.tell(ids, [1.0] * len(ids))
    opt.ask()
    return opt


def asked(method):
    return lambda: zo.Optimizer(method, [1.0]).ask()


def make(*args, **options):
    return lambda: zo.Optimizer(*args, **options)


def cma(**settings):
    return lambda: zo.CMAES(**settings)


NUMBER = r"must be a real number, got {!r} of type"
ERRORS = [
    # the optimizer
    (make("adam", [1.0]), ValueError, "method must be one of .*spsa, .*got 'adam'"),
    (make(zo.SPSA, [1.0]), TypeError, "method must be a Method or a registered name, got <class"),
    (make(None, [1.0]), TypeError, "method must be .*got None"),
    (make("spsa", []), ValueError, r"x0 must be a non-empty 1-D array, got shape \(0,\)"),
    (make("spsa", 1.0), ValueError, r"x0 must be a non-empty 1-D array, got shape \(\)"),
    (make("spsa", [[[1.0, 2.0]]]), ValueError, r"x0 must be a non-empty 1-D array, got shape \(1, 1, 2\)"),
    (make("spsa", [1.0, math.nan]), ValueError, "x0 must be finite, got .*nan"),
    (make("spsa", [1.0, math.inf]), ValueError, "x0 must be finite, got .*inf"),
    (make("spsa", [1e400, 1]), ValueError, "x0 must be finite"),
    (make("spsa", "abc"), TypeError, "x0 must be a 1-D array of real numbers, got 'abc'"),
    (make("spsa", [1.0, "b"]), TypeError, "x0 must be a 1-D array of real numbers, got .*'b'"),
    (make("spsa", None), TypeError, "x0 must be a 1-D array of real numbers, got None"),
    (make("spsa", [1 + 2j]), TypeError, "x0 must be a 1-D array of real numbers, got .*2j"),
    (make("spsa", [[1.0], [1.0, 2.0]]), TypeError, "x0 must be a 1-D array of real numbers"),
    (make("spsa", list("x" * 1000)), TypeError, r"x0 must be .{,120}\.\.\.$"),
    (make("spsa", [1.0], budget=0), ValueError, "budget must be >= 1, got 0"),
    (make("spsa", [1.0], budget=10.0), TypeError, "budget must be an integer, got 10.0 of type float"),
    (make("spsa", [1.0], budget=True), TypeError, "budget must be an integer, got True of type bool"),
    (make("spsa", [1.0], budget="9"), TypeError, "budget must be an integer, got '9' of type str"),
    (make("spsa", [1.0], lookahead=-1), ValueError, "lookahead must be >= 0, got -1"),
    (make("spsa", [1.0], lookahead=1.5), TypeError, "lookahead must be an integer, got 1.5"),
    (make("cma-es", [1.0], lookahead=2), ValueError, "lookahead must be 0 for CMAES, .*got 2"),
    (make("spsa", [1.0], rng=-1), ValueError, "rng must be .*got -1"),
    (make("spsa", [1.0], rng=[3, -1]), ValueError, "rng must be .*got "),
    (make("spsa", [1.0], rng=0.5), TypeError, "rng must be .*got 0.5"),
    (make("spsa", [1.0], rng="seed"), TypeError, "rng must be .*got 'seed'"),
    (make("spsa", [1.0], rng=True), TypeError, "rng must be .*got True"),
    (make("spsa", [1.0], rng=np.random.RandomState(0)), TypeError, "rng must be .*legacy RandomState"),
    (make("spsa", [1.0], rng=object()), TypeError, "rng must be .*got <object"),
    (make("spsa", [1.0], rng={}), TypeError, r"rng must be .*got \{\}"),
    (lambda: zo.make("sgd"), ValueError, "method must be one of .*spsa, .*sep-cma-es.* got 'sgd'"),
    (lambda: zo.make("spsa", beta=1), TypeError, "beta"),
    # ask
    (lambda: start().ask(0), ValueError, "n must be >= 1, got 0"),
    (lambda: start().ask(1.0), TypeError, "n must be an integer, got 1.0"),
    (lambda: start().ask("all"), TypeError, "n must be an integer, got 'all'"),
    # tell: which
    (tell([0, 99], [1.0, 2.0]), KeyError, "unknown candidate id 99: ids so far are 0 to 3"),
    (tell([-1], [1.0]), KeyError, "unknown candidate id -1"),
    (lambda: zo.Optimizer("spsa", [1.0]).tell(0, 1.0), KeyError, "unknown candidate id 0: nothing was asked for yet"),
    (tell([2, 2], [1.0, 2.0]), ValueError, r"each candidate can be told once, got ids \[2, 2\]"),
    (lambda: told(0, 1, 2, 3).tell([1], [1.0]), ValueError, "candidate 1 was told before"),
    (lambda: told(1).tell([0, 1], [1.0, 1.0]), ValueError, "candidate 1 was told before"),
    (tell("0", [1.0]), TypeError, "candidates must be a Batch, a Candidate or ids, got '0'"),
    (tell(None, [1.0]), TypeError, "candidates must be a Batch, a Candidate or ids, got None"),
    (tell(True, [1.0]), TypeError, "candidates must be .*got True"),
    (tell(0.0, 1.0), TypeError, "candidates must be .*got 0.0"),
    (tell([0.0], [1.0]), TypeError, "candidates must be .*got an element 0.0"),
    (tell([True], [1.0]), TypeError, "candidates must be .*got an element True"),
    (tell(start().ask().X, [1.0] * 4), TypeError, "candidates must be .*got an element array"),
    # tell: what
    (tell([0, 1], [1.0]), ValueError, "losses must be 2 numbers, one for each candidate, got 1"),
    (tell([0], [1.0, 2.0]), ValueError, "losses must be 1 numbers?, one for each candidate, got 2"),
    (tell([0, 1], 1.0), TypeError, "losses must be a sequence of 2 numbers, got 1.0"),
    (tell([0, 1], None), TypeError, "losses must be a sequence of 2 numbers, got None"),
    (tell([0, 1], np.array(1.0)), (TypeError, ValueError), "losses must be .*2 numbers.* got "),
    (tell([0, 1], [1.0, "2"]), TypeError, "losses must be real numbers, got '2' of type str"),
    (tell([0], ["nan"]), TypeError, "losses must be real numbers, got 'nan'"),
    (tell([0], [1 + 0j]), TypeError, r"losses must be real numbers, got \(1\+0j\) of type complex"),
    (tell([0], [np.complex64(1)]), TypeError, "losses must be real numbers, got .* of type complex64"),
    (tell([0], [[1.0]]), TypeError, r"losses must be real numbers, got \[1.0\] of type list"),
    (tell([0, 1], np.ones((2, 1))), TypeError, r"losses must be real numbers, got \[1.0\]"),
    (tell([0], [10**400]), (TypeError, ValueError), "losses must be "),
    (tell([0], [-math.inf]), ValueError, "losses must not be -inf"),
    (tell(0, -math.inf), ValueError, "losses must not be -inf"),
    (lambda: start().tell_failed([7]), KeyError, "unknown candidate id 7"),
    (lambda: start().tell_failed([1, 1]), ValueError, "told once"),
    # schedules
    (lambda: zo.Constant(math.nan), ValueError, "value must be finite, got nan"),
    (lambda: zo.PowerLaw(0.0), ValueError, "a must be > 0, got 0.0"),
    (lambda: zo.PowerLaw(1.0, A=-1), ValueError, "A must be >= 0, got -1"),
    (lambda: zo.PowerLaw(1.0, alpha=-0.1), ValueError, "alpha must be >= 0, got -0.1"),
    (lambda: zo.PolyDecay(0, 0, 9), ValueError, "start must be > 0, got 0"),
    (lambda: zo.PolyDecay(1, -1, 9), ValueError, "end must be >= 0, got -1"),
    (lambda: zo.PolyDecay(1, 0, 0), ValueError, "steps must be > 0, got 0"),
    (lambda: zo.PolyDecay(1, 0, 9, power=0), ValueError, "power must be > 0, got 0"),
    (lambda: zo.StepDecay(1, rate=0), ValueError, "rate must be > 0, got 0"),
    (lambda: zo.StepDecay(1, every=1.5), TypeError, "every must be an integer, got 1.5"),
    (lambda: zo.Cosine(1, 0, 0), ValueError, "steps must be >= 1, got 0"),
    (lambda: zo.Cosine("1", 0, 5), TypeError, "start " + NUMBER.format("1")),
    # gradient methods
    (lambda: zo.SPSA(lr=0), ValueError, "lr must be > 0, got 0"),
    (lambda: zo.SPSA(lr="0.1"), TypeError, "lr " + NUMBER.format("0.1")),
    (lambda: zo.SPSA(lr=True), TypeError, "lr " + NUMBER.format(True)),
    (lambda: zo.SPSA(lr=None), TypeError, "lr " + NUMBER.format(None)),
    (lambda: zo.SPSA(c=-1.0), ValueError, "c must be > 0, got -1.0"),
    (lambda: zo.SPSA(c=math.inf), ValueError, "c must be finite, got inf"),
    (lambda: zo.SPSA(pairs=0), ValueError, "pairs must be >= 1, got 0"),
    (lambda: zo.SPSA(pairs=2.0), TypeError, "pairs must be an integer, got 2.0"),
    (lambda: zo.SPSA(0.1), TypeError, "positional"),
    (lambda: zo.SPSA(draws="gaussian"), TypeError, "draws must be a Draws, got 'gaussian'"),
    (lambda: zo.SPSA(draws=zo.Gaussian), TypeError, "draws must be .*got <class"),
    (lambda: zo.SPSAGC(momentum=1.0), ValueError, r"momentum must be in \[0, 1\), got 1.0"),
    (lambda: zo.SPSAGC(momentum=-0.1), ValueError, r"momentum must be in \[0, 1\), got -0.1"),
    (lambda: zo.SPSAGEASS(threshold=-1), ValueError, "threshold must be >= 0, got -1"),
    (lambda: zo.SPSAGEASS(strikes=0), ValueError, "strikes must be >= 1, got 0"),
    (lambda: zo.SPSAGEASS(cooldown=0.5), TypeError, "cooldown must be an integer, got 0.5"),
    (lambda: zo.SPSAGEASS(lr_boost=0), ValueError, "lr_boost must be > 0, got 0"),
    (lambda: zo.SPSAGEASS(c_boost=-2), ValueError, "c_boost must be > 0, got -2"),
    (lambda: zo.SPSAGEASS(zero_gradient_boost=0), ValueError, "zero_gradient_boost must be > 0, got 0"),
    (lambda: zo.SPSAGEASS(cooldown_momentum=2), ValueError, r"cooldown_momentum must be in \[0, 1\), got 2"),
    (lambda: zo.SPSAGEASS(rule="nesterov"), TypeError, "rule must be .*got 'nesterov'"),
    (lambda: zo.SPSAGEASS.paper(), TypeError, "threshold"),
    (lambda: zo.SPSAGEASS.released(dim=0), ValueError, "dim must be >= 1, got 0"),
    (lambda: zo.BAR(directions=0), ValueError, "directions must be >= 1, got 0"),
    (lambda: zo.BAR(lr_min=-1), ValueError, "lr_min must be >= 0, got -1"),
    (lambda: zo.BAR(steps=0), ValueError, "steps must be >= 1, got 0"),
    (lambda: zo.BAR(lr=zo.Constant(1), steps=9), ValueError, "lr must be a number where steps is .*got .*Constant"),
    (lambda: zo.FZOO(directions=2), ValueError, "directions must be >= 3, got 2"),
    # a schedule that leaves its range is noticed at the step where it does
    (asked(zo.SPSA(c=lambda t: 0.0)), ValueError, "c must be > 0 .*got 0.0 at step 0"),
    (asked(zo.SPSA(lr=lambda t: math.nan)), ValueError, "lr must be .*got nan at step 0"),
    (asked(zo.SPSAGC(momentum=lambda t: 2)), ValueError, "momentum must be .*got 2 at step 0"),
    # evolution strategies
    (cma(sigma0=0), ValueError, "sigma0 must be > 0, got 0"),
    (cma(popsize=1), ValueError, "popsize must be >= 2, got 1"),
    (cma(popsize=8.0), TypeError, "popsize must be an integer, got 8.0"),
    (cma(restarts="jade"), ValueError, "restarts must be None, 'ipop' or 'bipop', got 'jade'"),
    (cma(restarts=3), ValueError, "restarts must be .*got 3"),
    (cma(lazy=0), ValueError, "lazy must be > 0, got 0"),
    (cma(tolerances=1e-9), TypeError, "tolerances must be a Tolerances, got 1e-09"),
    (cma(bounds=5), TypeError, r"bounds must be a pair \(low, high\) .*got 5"),
    (cma(bounds=(2, 1)), ValueError, r"bounds must have low <= high in every coordinate, .*got \(2, 1\)"),
    (cma(restart_from=(0, math.inf)), ValueError, "restart_from must be finite on both sides, got"),
    (cma(bounds=([0, 0], [1, 1, 1])), ValueError, r"bounds must have sides of one length, got \(2,\) and \(3,\)"),
    (cma(restart_from=(2, -2)), ValueError, "restart_from must have low <= high"),
    (make(zo.CMAES(bounds=(0, 1)), [0.5, 2.0]), ValueError, r"x0 must lie inside bounds, got x0\[1\] = 2.0 outside"),
    (
        make(zo.CMAES(bounds=([0, 0], 1)), [0.5]),
        ValueError,
        "bounds must be numbers or arrays of length 1, got length 2",
    ),
    (make(zo.CMAES(restart_from=([0, 0], 1)), [0.5]), ValueError, "restart_from must be .*length 1, got length 2"),
    (lambda: zo.SepCMAES(sigma0=-1), ValueError, "sigma0 must be > 0, got -1"),
    (lambda: zo.SepCMAES(popsize=1), ValueError, "popsize must be >= 2, got 1"),
    (lambda: zo.Tolerances(tolfun=-1), ValueError, "tolfun must be >= 0, got -1"),
    (lambda: zo.Tolerances(tolx="small"), TypeError, "tolx " + NUMBER.format("small")),
    # subspace
    (lambda: zo.RandomSubspace("cma-es", dim=2), TypeError, "method must be a Method, got 'cma-es'"),
    (lambda: zo.RandomSubspace(zo.FZOO(), dim=0), ValueError, "dim must be >= 1, got 0"),
    (lambda: zo.RandomSubspace(zo.FZOO(), dim=1.0), TypeError, "dim must be an integer, got 1.0"),
    (lambda: zo.RandomSubspace(zo.CMAES(bounds=(-1, 1)), dim=2), ValueError, "method must have no bounds .*got CMAES"),
    (
        make(zo.RandomSubspace(zo.FZOO(), dim=3), [1.0, 2.0]),
        ValueError,
        "dim must be at most the length of x0, 2, got 3",
    ),
    (make(zo.RandomSubspace(zo.CMAES(), dim=1), [1.0, 2.0], lookahead=1), ValueError, "lookahead must be 0"),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), ERRORS, ids=[f"{i}: {m[:50]}" for i, (_, _, m) in enumerate(ERRORS)]
)
def test_error(call, kind, message):
    caught = raises(kind, None, call)
    text = caught.args[0]
    assert re.search(message, text, re.S), text
    assert type(caught) in (KeyError, ValueError, TypeError)
    assert caught.__cause__ is None or "Traceback" not in text


def test_a_schedule_out_of_range_leaves_the_run_as_it_was():
    """The third step cannot be placed; what is there stays readable, and the checkpoint can be written."""
    opt = zo.Optimizer(zo.SPSA(c=lambda t: 0.1 - 0.05 * t), [1.0, 2.0], rng=0)
    for _ in range(2):
        opt.tell(opt.ask(), [1.0, 2.0])
    for _ in range(2):
        raises(ValueError, "c must be > 0", opt.ask)
    assert (opt.nit, opt.nfev, opt.pending) == (2, 4, [])


# ------------------------------------------------------------------------------------- tells that would pair wrongly
class Labelled:
    """As pandas' Series and DataFrame are seen from here: iterating gives labels or what belongs to them."""

    iloc = None

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)


N = 40  # from 32 on, a set of ids is no longer in their order
MISPAIRED = {
    "a set of ids": lambda batch, losses: {"candidates": set(batch.ids)},
    "a frozen set": lambda batch, losses: {"candidates": frozenset(batch.ids)},
    "a dict of ids": lambda batch, losses: {"candidates": dict(zip(batch.ids, losses, strict=True))},
    "bytes as ids": lambda batch, losses: {"candidates": bytes(batch.ids)},
    "a table as ids": lambda batch, losses: {"candidates": Labelled(batch.ids)},
    "a table as losses": lambda batch, losses: {"losses": Labelled(losses)},
    "a dict of losses": lambda batch, losses: {"losses": dict(zip(batch.ids, losses, strict=True))},
    "the batch as losses": lambda batch, losses: {"losses": batch},
    "a table as sem": lambda batch, losses: {"sem": Labelled(losses)},
}


def many():
    """An optimizer with N candidates out, from id 32 on in two steps, and their losses."""
    opt = zo.Optimizer(zo.BAR(directions=N - 1), [1.0], rng=0)
    opt.tell(opt.ask(), [1.0] * N)
    return opt, opt.ask(), [float(i) for i in range(N)]


def seen(opt):
    return [opt.nit, opt.nfev, opt.failures, opt.pending, opt.told, opt.best.id, opt.best.loss, opt.mean.tobytes()]


@pytest.mark.parametrize("wrong", MISPAIRED)
def test_what_would_be_paired_wrongly_is_refused(wrong):
    opt, batch, losses = many()
    before = seen(opt)
    given = MISPAIRED[wrong](batch, losses)
    with pytest.raises(TypeError, match=rf"^{next(iter(given))} must be .*, got "):
        opt.tell(**({"candidates": batch, "losses": losses} | given))
    assert seen(opt) == before
    if "candidates" in given:
        raises(TypeError, r"^candidates must be ", opt.tell_failed, given["candidates"])
        assert seen(opt) == before


def test_pandas_is_refused_and_its_values_are_taken():
    pandas = pytest.importorskip("pandas")
    opt, batch, losses = many()
    before = seen(opt)
    column = pandas.Series(losses, index=batch.ids[::-1])
    for wrong in (column, pandas.DataFrame({"loss": losses}), pandas.DataFrame([losses], columns=range(N))):
        raises(TypeError, r"^losses must be .*, got ", opt.tell, batch, wrong)
    assert seen(opt) == before
    opt.tell(batch, column.to_numpy())
    assert opt.nfev == 2 * N


def test_views_of_a_dict_are_in_order():
    opt, batch, losses = many()
    results = dict(zip(batch.ids[::-1], losses, strict=True))
    opt.tell(results.keys(), results.values())
    assert opt.best.id == batch.ids[-1] and opt.best.loss == 0.0


def other(what):
    """An optimizer that differs from `many`'s in one thing."""
    method = zo.BAR(directions=N - 1, lr=0.02) if what == "method" else zo.BAR(directions=N - 1)
    x0 = [2.0] if what == "x0" else [1.0]
    return zo.Optimizer(method, x0, rng=int(what == "rng"), lookahead=int(what == "lookahead"))


@pytest.mark.parametrize("what", ["method", "x0", "rng", "lookahead"])
@pytest.mark.parametrize(
    "form",
    [
        lambda batch: batch,
        lambda batch: batch[1:],
        lambda batch: batch[::-2],
        lambda batch: [batch[i] for i in range(len(batch))],
        lambda batch: pickle.loads(pickle.dumps(batch)),
        lambda batch: [0, pickle.loads(pickle.dumps(batch[1]))],
        lambda batch: copy.deepcopy(batch)[:5],
    ],
)
def test_candidates_of_another_optimizer_are_refused(what, form):
    opt = zo.Optimizer(zo.BAR(directions=N - 1), [1.0], rng=0)
    opt.ask()
    before, wrong = seen(opt), form(other(what).ask())
    with pytest.raises(ValueError, match=r"^candidates must be what this optimizer has asked for, got a .* of another"):
        opt.tell(wrong, [1.0] * len(wrong))
    raises(ValueError, r"^candidates must be ", opt.tell_failed, wrong)
    raises(ValueError, "got a Candidate of another optimizer", opt.tell, other(what).ask()[0], 1.0)
    assert seen(opt) == before


def test_candidates_of_the_same_run_are_taken(tmp_path):
    """Pickled, sliced, from before a save or a copy, or from an optimizer of the same method, seed and start."""
    opt = zo.Optimizer(zo.BAR(directions=N - 1), [1.0], rng=0)
    batch = opt.ask()
    opt.save(tmp_path / "run.zoo")
    twin = zo.Optimizer(zo.BAR(directions=N - 1), [1.0], rng=0, budget=10**6)
    for same in (zo.Optimizer.load(tmp_path / "run.zoo"), pickle.loads(pickle.dumps(opt)), copy.deepcopy(opt), twin):
        same.ask()
        same.tell(pickle.loads(pickle.dumps(batch[:3])), [1.0] * 3)
        same.tell([pickle.loads(pickle.dumps(batch[3])), batch[4], 5], [1.0] * 3)
        same.tell(zo.Batch(batch.X[6:8], [6, 7], 0), [1.0] * 2)  # of one's own making: it is of no optimizer
        assert same.nfev == 8


# ---------------------------------------------------------------------------------------------- one run, and no other
def test_a_loaded_optimizer_takes_its_batch_whatever_the_repr(tmp_path):
    """A checkpoint keeps a numpy float as a float, which is written in another way."""
    opt = zo.Optimizer(zo.CMAES(sigma0=np.float64(0.5)), [1.0, 2.0], rng=0)
    batch = opt.ask()
    opt.save(tmp_path / "run.zoo")
    loaded = zo.Optimizer.load(tmp_path / "run.zoo")
    loaded.tell(batch, [float(x @ x) for x in batch])
    assert loaded.nit == 1


def test_runs_that_have_parted_do_not_take_each_others_points():
    one, other = (zo.Optimizer("spsa", np.ones(3), rng=0) for _ in range(2))
    one.tell(one.ask(), [0.0, 1.0])
    other.tell(other.ask(), [1.0, 0.0])
    theirs, ours = one.ask(), other.ask()
    again = pickle.loads(pickle.dumps(theirs))
    for candidates, losses in ((theirs, [1.0, 2.0]), (theirs[:1], [1.0]), (theirs[1], 1.0), (again, [1.0, 2.0])):
        raises(ValueError, "of another optimizer", other.tell, candidates, losses)
        raises(ValueError, "of another optimizer", other.tell_failed, candidates)
    assert (other.nfev, other.pending) == (2, [2, 3])
    other.tell(pickle.loads(pickle.dumps(ours)), [1.0, 2.0])
    assert other.nit == 2


def test_a_step_without_candidates_is_refused():
    """It would close by itself, and a run with a budget go on for ever."""

    class Silent(Doubting):
        def size(self, state):
            return 0

        def ask(self, state, step, out=None):
            return zo.Asked(np.zeros((0, state.x.size)))

    with pytest.raises(ValueError, match="must give candidates, got none for step 0"):
        zo.minimize(lambda x: 0.0, [1.0, 2.0], method=Silent(), budget=10)

"""Every method goes where it went when its trajectory was written down: a change that moves it is noticed.

`trajectories.json` has what `seen` returns for each case and loss, and how much of it is the same for losses that are
changed in their last digits: that holds on any machine. All of it holds where it was written down, or seen since: the
builds of numpy, with the kinds of processors, in ``built``. A new case is written down by
``python tests/methods/test_trajectories.py``, which leaves those that are there as they are; where all of them go as
written to their ends, it adds what it runs on to ``built``.
"""

import dataclasses
import json
import math
import platform
import zlib
from pathlib import Path

import numpy as np
import pytest
from cases import BY_NAME, CASES

import zoo_opt as zo
from zoo_opt.methods.fzoo import LossSpread
from zoo_opt.testing import Case, hazy, rugged

FILE = Path(__file__).with_name("trajectories.json")
AT = (1, 2, 4, 8, 16, 32, 48)  # steps after which it is looked at
LATER = (*AT, 70, 100)


def valley(candidate):
    """A Rosenbrock valley with a slope: smooth, and nothing fails."""
    x = np.asarray(candidate.x, dtype=np.float64)
    return float(np.sum((1 - x) ** 2) + 2 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(x * np.arange(1, x.size + 1)))


def kinks(candidate):
    """Each variable has a kink and a scale of its own."""
    x = np.asarray(candidate.x, dtype=np.float64)
    return float(np.sum(np.abs(x - 0.3) * 10.0 ** np.linspace(-1, 2, x.size)) - 5.0)


def basins(candidate):
    """A basin in each unit, and a bowl over all."""
    z = np.asarray(candidate.x, dtype=np.float64) - 0.7
    return float(np.sum(z * z) + 3.0 * np.sum(1 - np.cos(2 * np.pi * z)) + 1e3)


def cliff(candidate):
    """A slope that ends: beyond a plane all fails, beyond another all is infinite."""
    x = np.asarray(candidate.x, dtype=np.float64)
    if x[0] < 0.6:
        return math.nan
    return math.inf if x.sum() < 3.0 else float(x @ np.arange(1, x.size + 1) + 0.1 * x @ x)


def noisy(candidate):
    """A bowl whose values are noisy and rounded."""
    x = np.asarray(candidate.x, dtype=np.float64)
    return round(float(np.sum(x * x * np.arange(1, x.size + 1))) + 0.5 * math.sin(7e3 * candidate.id), 3)


LOSSES = {"valley": (valley, None), "rugged": (rugged, hazy)}  # the loss and the standard error told
MORE = {"kinks": (kinks, None), "basins": (basins, None), "cliff": (cliff, None), "noisy": (noisy, None)}
AUTO = [
    *(case for case in CASES if case.name.startswith("auto")),
    Case("auto in 45 dimensions", zo.Auto(), d=45),
    Case("auto in 45 dimensions with bounds", zo.Auto(bounds=(-1.5, 2.5)), d=45),
    Case("auto in 1 dimension", zo.Auto(), d=1),
    *(Case(f"auto with budget {n}", zo.Auto(), evaluations=n, d=4) for n in (6, 9, 13, 18, 24, 31, 45, 60, 150, 700)),
    *(Case(f"auto bounds with budget {n}", zo.Auto(bounds=(-1.5, 2.5)), evaluations=n) for n in (17, 29, 41, 83, 600)),
    *(dataclasses.replace(BY_NAME["auto mixed"], name=f"auto mixed with budget {n}", evaluations=n) for n in (60, 200)),
]
LOCAL = [case for case in CASES if case.name.split()[0] in ("quasi-newton", "coordinate-search")]
EVOLUTION = [case for case in CASES if "cma-es" in case.name and "sub" not in case.name]
GUESSED = [case for case in CASES if case.name.endswith((" auto", "untuned", "geass escapes", "rms"))]


def seen(case, what, at=AT, shaken=0.0):
    """A weighted sum of the mean and one of the candidates after each of the steps, the best, and why it would stop."""
    (loss, sem), sums = {**LOSSES, **MORE}[what], []
    opt = case.start(budget=case.evaluations if "budget" in case.name else None)
    for step in range(1, (at[-1] if case.d < 40 else 32) + 1):
        batch = opt.ask()
        if opt.stop():
            break
        assert opt.method.size(opt.state) == len(batch) or opt.budget
        candidates = [batch[i] for i in range(len(batch))]
        losses = [loss(c) * (1 + shaken * math.cos(c.id)) for c in candidates]
        opt.tell(batch, losses, sem and [sem(c) for c in candidates])
        if step in at:
            sums += [float(np.cos(np.arange(a.size)) @ a.ravel().astype(float)) for a in (opt.mean, batch.X)]
            sums += [float(opt.nfev)]
    return [*sums, float(np.sum(opt.mean)), opt.best.loss, float(opt.nfev), " ".join(opt.stop())]


def lasting(case, what, at):
    """How many of the values that `seen` returns do not feel the last digits of the losses."""
    plain, *others = (seen(case, what, at, shaken) for shaken in (0.0, 3e-16, -3e-16))
    for i, values in enumerate(zip(plain, *others, strict=False)):
        same = len(set(values)) == 1 if isinstance(values[0], str) else np.allclose(values, values[0], 1e-7, 1e-7)
        if not same:
            return i
    return len(plain)


def built():
    """What decides how numpy rounds."""
    enabled = sorted(name for name, here in np._core._multiarray_umath.__cpu_features__.items() if here)
    return f"numpy {np.__version__} {platform.machine()} {zlib.crc32(' '.join(enabled).encode()):08x}"


def assert_as_written_down(case, what, at=AT):
    written = json.loads(FILE.read_text())
    count, *expected = written[case.name][what]
    compare(seen(case, what, at), expected if built() in written["built"] else expected[:count])


def compare(got, expected):
    assert len(got) >= len(expected)
    got = got[: len(expected)]
    assert [v for v in got if isinstance(v, str)] == [v for v in expected if isinstance(v, str)]
    numbers = ([v for v in values if not isinstance(v, str)] for values in (got, expected))
    np.testing.assert_allclose(*numbers, rtol=1e-6, atol=1e-6)


def facts(value):
    """The numbers and words that a state is made of, in order; of an array its shape and sum."""
    if dataclasses.is_dataclass(value) and not isinstance(value, zo.Method):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [fact for part in value for fact in facts(part)]
    if isinstance(value, np.ndarray):
        return [f"{value.shape} {float(np.sum(value)):.5g}"]
    return [f"{value:.5g}" if isinstance(value, float) else repr(value)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_state_at_the_start(case):
    assert facts(case.start().state) == json.loads(FILE.read_text())["starts"][case.name]


@pytest.mark.parametrize("what", LOSSES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_trajectory(case, what):
    assert_as_written_down(case, what)


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("case", AUTO, ids=str)
def test_auto(case, what):
    assert_as_written_down(case, what, LATER)


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("case", LOCAL, ids=str)
def test_local(case, what):
    assert_as_written_down(case, what, LATER)


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("case", EVOLUTION, ids=str)
def test_evolution(case, what):
    assert_as_written_down(case, what, LATER)


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("case", GUESSED, ids=str)
def test_guessed_gains(case, what):
    assert_as_written_down(case, what, LATER)


SETTINGS = {
    **{name: zo.make(name) for name in zo.METHODS},
    "spsa-geass paper": zo.SPSAGEASS.paper(threshold=0.1),
    "spsa-geass released": zo.SPSAGEASS.released(dim=5),
    "spsa-geass nesterov": zo.SPSAGEASS(rule=zo.Nesterov()),
    "fzoo untuned": zo.FZOO.untuned(),
    "dd-cma-es paper": zo.DDCMAES.paper(),
    **{part.__name__: part() for part in (zo.Tolerances, zo.UncertaintyHandling, zo.QuadraticModel)},
    **{part.__name__: part() for part in (zo.LearningRateAdaptation, zo.SlopeRMS)},
    "CoordinateSearch": zo.CoordinateSearch(bounds=(-1.0, 1.0)),
    "LossSpread": LossSpread(),
    "PowerLaw": zo.PowerLaw(1.0),
    "Cosine": zo.Cosine(1.0, 0.1, steps=10),
    "PolyDecay": zo.PolyDecay(1.0, 0.1, steps=10),
}
"""What is taken where nothing is said, by what it is called."""


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_taken_where_nothing_is_said(name):
    """The repr of a method shows every hyper-parameter; other defaults would be another method."""
    assert repr(SETTINGS[name]) == json.loads(FILE.read_text())["settings"][name]


def main():
    known = json.loads(FILE.read_text()) if FILE.exists() else {"built": [built()]}
    rows = [(case, what, AT) for case in CASES for what in LOSSES]
    rows += [(case, what, LATER) for case in (*AUTO, *LOCAL, *EVOLUTION, *GUESSED) for what in MORE]
    for case, what, at in rows:
        if what not in known.setdefault(case.name, {}):
            row = [v if isinstance(v, str) else float(f"{v:.9g}") for v in seen(case, what, at)]
            known[case.name][what] = [lasting(case, what, at), *row]
            if known[case.name][what][0] < len(row):  # how it ends elsewhere has not been seen
                known["built"] = [build for build in known["built"] if build == built()]
    if built() not in known["built"]:
        for case, what, at in rows:
            compare(seen(case, what, at), known[case.name][what][1:])
        known["built"].append(built())
    known.setdefault("settings", {})
    for name, value in SETTINGS.items():
        known["settings"].setdefault(name, repr(value))
    starts = known.setdefault("starts", {})
    starts |= {case.name: facts(case.start().state) for case in CASES if case.name not in starts}
    FILE.write_text("{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(row)}" for n, row in known.items()) + "\n}\n")


if __name__ == "__main__":
    main()

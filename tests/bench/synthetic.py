"""A made-up record of the shape and size that the full suite has, seeded: what a report must bear."""

import itertools
import json
from typing import Any

import numpy as np
from bench import runs

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.problems.coco import BBOB_TARGETS
from zoo_opt.bench.problems.counting import curve_marks

OURS = ("auto", "CMA-ES, BIPOP", "SepCMA-ES", "FZOO", "SPSA", "quasi-Newton, finite differences")
PEERS = {
    "pycma, BIPOP": "pycma",
    "cmaes, BIPOP": "cmaes:CMA",
    "cmaes, lr_adapt": "cmaes:CMA",
    "nevergrad OnePlusOne": "nevergrad:OnePlusOne",
    "nevergrad TBPSA": "nevergrad:TBPSA",
    "scipy Nelder-Mead": "scipy:Nelder-Mead",
    "scipy differential evolution": "scipy:differential_evolution",
    "scipy L-BFGS-B": "scipy:L-BFGS-B",
}
METHODS = {name: name.lower() for name in OURS} | PEERS
DIMS = (2, 3, 5, 10, 20, 40)
LOG_TARGETS = np.log10(BBOB_TARGETS)


def bbob_names(functions=range(1, 25), dims=DIMS, instances=(1, 2, 3), suite="bbob") -> list[tuple[str, int]]:
    """Names and dimensions of problems, as `zoo_opt.bench.problems.registry` calls them."""
    return [(f"{suite}-f{f:02d}-i{i}-d{d}", d) for d in dims for f in functions for i in instances]


def record_of(groups, methods=METHODS, *, seeds=(1,), shift=0.0, seed=0, title="Full suite") -> Record:
    """A record: `groups` maps a name to (problems, evaluations per dimension); `shift` makes every run better."""
    rng = np.random.default_rng(seed)
    entries = {}
    for group, (problems, per_dim) in groups.items():
        for (name, dim), (method, use), s in itertools.product(problems, methods.items(), seeds):
            # How hard the problem and how good the method is: drawn once for each name.
            hard = np.random.default_rng(abs(hash_of(name.rpartition("-i")[0])) % 2**32).uniform(0.5, 2.5)
            good = np.random.default_rng(abs(hash_of(method)) % 2**32).uniform(0.2, 1.2) + shift
            run = bbob_run(rng, per_dim * dim, dim, good / hard)
            run |= {"group": group, "problem": name, "method": method, "use": use, "seed": s, "dim": dim}
            key = f"{group}|{name}|{method}|{s}"
            entries[key] = {"kind": "run", "key": key, "options": {"sigma0": 2.0}, "note": "as usual", **run}
    session = {
        "kind": "session", "format": 1, "suite": "full", "title": title, "description": "Made up for the tests.",
        "notes": {name: f"About {name}." for name in groups}, "toml": 'title = "Full suite"\n',
        "started": "2026-11-21T10:00:00+00:00", "command": "zoo-opt bench full",
        "versions": {"python": "3.11.2", "zoo-opt": "0.1.0", "numpy": "2.4.0"},
        "machine": {"system": "Linux", "processor": "a processor", "cores": 2},
    }  # fmt: skip
    return Record(sessions=[session], runs=entries)


def hash_of(text: str) -> int:
    """The same number for a text in every process."""
    return int.from_bytes(text.encode()[-8:], "little") * 2654435761 % 2**61


def bbob_run(rng: np.random.Generator, budget: int, dim: int, rate: float) -> dict[str, Any]:
    """A run whose precision falls step by step, faster with a larger `rate`, and may end in a plateau."""
    marks = curve_marks(budget)
    falls = rng.exponential(rate, marks.size) * rng.binomial(1, 0.6, marks.size) * np.log10(marks + 1) / 2
    y = np.maximum(rng.uniform(1, 5) - np.cumsum(falls), rng.choice([-9.0, -9.0, rng.uniform(-6, 2)]))
    first = np.searchsorted(-y, -LOG_TARGETS)
    hits = [int(marks[i]) if i < marks.size else None for i in first]
    end = budget if hits[-1] is None else hits[-1]
    curve = [[int(n), 10.0**v] for n, v in zip(marks, y.tolist(), strict=True) if n <= end]
    return {
        "version": "1", "budget": budget, "curve_of": "precision", "targets": list(BBOB_TARGETS), "error": None,
        "nfev": end, "best": curve[-1][1], "hits": hits, "curve": curve, "figures": {"precision": curve[-1][1]},
        "stop": {"budget": budget}, "seconds": round(float(end * rng.uniform(5e-6, 2e-5)), 3),
    }  # fmt: skip


def full_record(**options: Any) -> Record:
    """More than 12,000 bbob runs and those of bbob-noisy and bbob-largescale."""
    noisy = bbob_names(range(101, 131), (5, 20), (1,), "bbob-noisy")
    large = bbob_names(range(1, 25), (160, 320), (1,), "bbob-largescale")
    suites = (("bbob", bbob_names()), ("bbob-noisy", noisy))
    groups = {f"{suite}, {per_dim} d": (names, per_dim) for suite, names in suites for per_dim in (100, 1000)}
    return record_of(groups | {"bbob-largescale, 1000 d": (large, 1000)}, **options)


def small_record(**options: Any) -> Record:
    """Two groups of bbob, a few methods, two seeds: for looking at what the page does."""
    names = bbob_names((1, 8, 15), (2, 5), (1, 2))
    methods = {name: METHODS[name] for name in ("auto", "CMA-ES, BIPOP", "pycma, BIPOP", "scipy Nelder-Mead")}
    return record_of({"bbob, 100 d": (names, 100), "bbob, 300 d": (names, 300)}, methods, seeds=(1, 2), **options)


def task_runs(group: str, problem: str, figure: str, *, targets=(), seeds=(1, 2, 3), seed=0) -> dict[str, Any]:
    """Runs on one stochastic task: "train_loss" is positive and falls, any other figure is negative and falls."""
    rng = np.random.default_rng(seed)
    entries = {}
    methods = {"FZOO": "fzoo", "SPSA": "spsa", "pycma, diagonal": "pycma"}
    for (method, use), s in itertools.product(methods.items(), seeds):
        marks = curve_marks(10_000)[12:]
        values = 2.5 * np.exp(-np.cumsum(rng.uniform(0, 0.2, marks.size)))
        values = values if figure == "train_loss" else -500 + 200 * values
        hits = [next((int(n) for n, v in zip(marks, values, strict=True) if v <= t), None) for t in targets]
        key = f"{group}|{problem}|{method}|{s}"
        entries[key] = runs.run(
            *(method, problem, s, hits, list(zip(marks.tolist(), values.tolist(), strict=True)), 9610, 10_000),
            **{"final": float(values[-1]), "key": key, "group": group, "use": use, "version": "1", "note": ""},
            **{"curve_of": figure, "targets": list(targets), "stop": {}, "seconds": 4.2},
            figures={figure: float(values[-1]), "test_accuracy": float(rng.uniform(0.8, 0.95))},
        )
    return entries


def mixed_record(**options: Any) -> Record:
    """`small_record` with a task that has targets, one that has none, a run that failed and one that diverged."""
    record = small_record(**options)
    digits = task_runs("digits MLP", "digits-mlp-d9610", "train_loss", targets=(2.0, 1.0, 0.5, 0.2))
    record.runs |= digits | task_runs("policy search", "cartpole-d9610", "cost")
    failed = record.runs["bbob, 300 d|bbob-f08-i1-d5|scipy Nelder-Mead|1"]
    failed |= {"error": "Traceback\nValueError: it broke <here>", "figures": {}, "nfev": 40, "hits": [None] * 51}
    diverged = record.runs["digits MLP|digits-mlp-d9610|SPSA|2"]
    diverged |= {"figures": {"train_loss": None, "test_accuracy": 0.1}, "curve": [*diverged["curve"][:5], [9000, None]]}
    diverged["hits"] = [None] * 4
    return record


def lines(record: Record) -> str:
    """The record as the text of a runs.jsonl."""
    return "".join(json.dumps(entry) + "\n" for entry in [*record.sessions, *record.runs.values()])

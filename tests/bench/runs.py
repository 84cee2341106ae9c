"""Entries of a record made up for tests of the statistics."""

from typing import Any

from hypothesis import strategies as st

from zoo_opt.bench.engine.record import Record


def run(method="m", problem="p", seed=1, hits=(), curve=((1, 1.0),), dim=2, budget=100, final=1.0, **more) -> Any:
    """A run with as many targets as `hits`, of values 1, 0.1, 0.01, ..."""
    return {
        "kind": "run", "group": "g", "problem": problem, "method": method, "seed": seed, "use": "spsa", "options": {},
        "hits": list(hits), "targets": [10.0**-i for i in range(len(hits))], "dim": dim, "budget": budget,
        "nfev": budget, "best": final, "curve": [list(c) for c in curve], "curve_of": "precision",
        "figures": {"precision": final}, "seconds": 0.001, "error": None,
    } | more  # fmt: skip


def record(runs) -> Record:
    """A record of these runs."""
    return Record(runs={str(i): {"key": str(i), **entry} for i, entry in enumerate(runs)})


@st.composite
def tables(draw, methods=("a", "b"), most=6):
    """Runs of some methods on some of up to `most` problems, three targets each and a seed or two."""
    problems = [f"p{i}" for i in range(draw(st.integers(1, most)))]
    hit = st.one_of(st.none(), st.integers(1, 100))
    runs = []
    for method in methods:
        for problem in draw(st.lists(st.sampled_from(problems), min_size=1, unique=True)):
            for seed in range(draw(st.integers(1, 2))):
                hits = draw(st.lists(hit, min_size=3, max_size=3))
                reached = sorted(h for h in hits if h is not None)
                hits = reached + [None] * (3 - len(reached))
                runs.append(run(method, problem, seed, hits=hits, final=draw(st.floats(0, 1e3))))
    return runs

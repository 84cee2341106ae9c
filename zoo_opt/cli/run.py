"""``zoo-opt run``: minimize one function from the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class UsageError(Exception):
    """Something that the user can put right; printed without a traceback."""


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["a=1", "b=text"]`` as a dict; values are JSON where they can be."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"an option must be NAME=VALUE, got {pair!r}")
        options[name] = _value(value)
    return options


def _value(text: str) -> Any:
    """JSON, else a number as Python writes it (.5), else the text itself."""
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def read_start(text: str) -> Any:
    """``"1,2"``, ``"zeros:3"`` or a .npy file as a vector."""
    import numpy as np

    try:
        if text.endswith(".npy"):
            return np.load(text, allow_pickle=False)
        if text.startswith("zeros:"):
            return np.zeros(int(text.removeprefix("zeros:")))
        return np.array([float(v) for v in text.split(",")])
    except ValueError as error:
        raise UsageError(
            f'--x0 must be numbers such as "1,2.5", "zeros:N" or a .npy file, got {text!r}: {error}'
        ) from None


def same_target(checkpoint: Path, about: dict[str, Any]) -> None:
    """Refuse to go on from a checkpoint of another function, whose losses mean nothing here.

    A checkpoint knows its method, start and seed but not the function: that is noted in ``<checkpoint>.target``.

    Raises
    ------
    CheckpointError
        If the checkpoint is there and its note says something else than `about`.
    """
    from zoo_opt.core.errors import CheckpointError
    from zoo_opt.storage.checkpoint import write_atomically
    from zoo_opt.support.json_files import read_json

    note = checkpoint.with_name(checkpoint.name + ".target")
    if not checkpoint.exists():
        write_atomically(note, json.dumps(about).encode())
    elif note.exists() and (before := read_json(note, CheckpointError)) != about:
        what = next(name for name in about if before.get(name) != about[name])
        raise CheckpointError(
            f"{checkpoint} is of another run: its {what} is {before.get(what)!r}, this call's is {about[what]!r}"
        )


def do_run(arguments: argparse.Namespace) -> int:
    """Minimize one function and say what it came to."""
    import numpy as np

    import zoo_opt as zo
    from zoo_opt.bench.problems.protocol import Problem
    from zoo_opt.bench.problems.registry import PROBLEMS, make_problem
    from zoo_opt.bench.problems.targets import is_target
    from zoo_opt.bench.solvers import make_method
    from zoo_opt.bench.suite import with_problem
    from zoo_opt.run import INTERRUPTED
    from zoo_opt.support.loading import load_object

    sys.path.insert(0, os.getcwd())
    problem: Problem | None = None
    objective: Callable[..., Any]
    settings: dict[str, Any] = {}
    options, about = read_options(arguments.option), read_options(arguments.problem_option)
    if arguments.target in PROBLEMS or is_target(arguments.target):
        chosen = problem = make_problem(arguments.target, about)
        if arguments.method == "auto" and getattr(problem, "bounds", None) is not None:
            options.setdefault("bounds", "problem")
        options = with_problem(options, problem)

        def objective(X: Any, step: int) -> Any:
            return chosen.losses(np.asarray(X), step, arguments.seed)

        settings = {"pass_step": True, "vectorized": True}
    elif ":" in arguments.target:
        if arguments.problem_option:
            raise UsageError("--problem-option goes with a named problem, not with a function")
        objective = load_object(arguments.target)
        if not callable(objective):
            raise UsageError(f"TARGET must name a function, got {arguments.target!r}, which is {objective!r}")
    else:
        raise UsageError(f'TARGET must be "module:function" or one of {", ".join(PROBLEMS)}; got {arguments.target!r}')
    if arguments.x0 is not None:
        x0 = read_start(arguments.x0)
    elif problem is not None:
        x0 = problem.x0(arguments.seed)
    else:
        raise UsageError("a function of yours needs --x0")
    method = make_method(arguments.method, options, budget=arguments.budget)
    if arguments.checkpoint:
        checkpoint = Path(arguments.checkpoint)
        same_target(checkpoint, {"TARGET": arguments.target, "problem options": about})
        if checkpoint.exists():
            print(f"going on from {checkpoint}; delete it to start anew", file=sys.stderr)
    noisy = problem is not None and problem.curve != "precision"
    result = zo.minimize(
        objective,
        x0,
        method=method,
        budget=arguments.budget,
        rng=arguments.seed,
        progress=not arguments.quiet,
        checkpoint=arguments.checkpoint,
        recommend=arguments.recommend or ("mean" if noisy else "best"),
        **settings,
    )
    figures = problem.metrics(np.asarray(result.x)) if problem is not None else {}
    if problem is not None and problem.curve == "precision" and problem.optimum is not None:
        figures["precision"] = float(result.fun) - problem.optimum
    report = {
        "method": repr(method),
        "fun": float(result.fun),
        "nfev": int(result.nfev),
        "nit": int(result.nit),
        "success": bool(result.success),
        "message": str(result.message),
        "seed": arguments.seed,
        **figures,
        "x": np.asarray(result.x).tolist(),
    }
    for name, value in report.items():
        shown = np.array2string(np.asarray(result.x), threshold=12, precision=6) if name == "x" else value
        print(f"{name:>14}  {shown}")
    if arguments.save:
        Path(arguments.save).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if result.status == INTERRUPTED:
        again = "the same command goes on from here" if arguments.checkpoint else "with --checkpoint it could go on"
        print(f"zoo-opt: interrupted; {again}", file=sys.stderr)
        return 130
    return 0 if result.success else 1

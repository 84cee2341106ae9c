"""``zoo-opt run``: minimize one function from the command line."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import DONE, FAILED, INTERRUPTED, UsageError
from zoo_opt.cli.listing import short
from zoo_opt.cli.objective import PLACE, Losses, last_lines, objective_of
from zoo_opt.cli.reading import read_bounds, read_options, read_space, read_start
from zoo_opt.support.secrets import hidden_in

if TYPE_CHECKING:
    from zoo_opt.bench.problems.protocol import Problem
    from zoo_opt.result import Result


def do_run(arguments: argparse.Namespace) -> int:
    """Minimize one function and print the result."""
    import zoo_opt as zo
    from zoo_opt.bench.solvers import make_method
    from zoo_opt.bench.suite import with_problem
    from zoo_opt.run import INTERRUPTED as BROKEN_OFF

    options, about = read_options(arguments.option), read_options(arguments.problem_option)
    objective = objective_of(arguments.function, about, arguments.seed)
    problem = objective.problem if isinstance(objective, Losses) else None
    if problem is not None:
        if arguments.method == "auto" and not arguments.bounds and getattr(problem, "bounds", None) is not None:
            options.setdefault("bounds", "problem")
        options = with_problem(options, problem)
    x0 = _start(arguments, problem)
    method = make_method(arguments.method, options, budget=arguments.budget)
    noisy = problem is not None and problem.curve != "precision"
    noted = {"FUNCTION": arguments.function, "problem options": hidden_in(about, values=False)}
    with (
        _warnings_shown(),
        _failures_shown(),
        _kept(arguments.checkpoint, noted),
        _processes(arguments.workers) as pool,
    ):
        result = zo.minimize(
            objective,
            x0,
            method=method,
            unpack=arguments.unpack,
            bounds=read_bounds(arguments.bounds) if arguments.bounds else None,
            budget=arguments.budget,
            target=arguments.target,
            timeout=arguments.timeout,
            patience=arguments.patience,
            wait=arguments.wait,
            rng=arguments.seed,
            executor=pool,
            vectorized=problem is not None and pool is None,
            pass_step=problem is not None,
            progress=not (arguments.quiet or arguments.json) and find_spec("rich") is not None,
            checkpoint=arguments.checkpoint,
            recommend=arguments.recommend or ("mean" if noisy else "best"),
        )
    report = _report(result, method, arguments.seed, problem)
    text = json.dumps(report, indent=1, allow_nan=False, default=str)
    print(text if arguments.json else _table(report, method))
    if arguments.save:
        Path(arguments.save).write_text(text + "\n", encoding="utf-8")
    for reason, text in result.first_failures.items():
        print(f"zoo-opt: the first evaluation that failed with {reason}:\n{last_lines(text)}", file=sys.stderr)
    if result.status == BROKEN_OFF:
        again = "the same command goes on from here" if arguments.checkpoint else "with --checkpoint it could go on"
        print(f"zoo-opt: interrupted; {again}", file=sys.stderr)
        return INTERRUPTED
    return DONE if result.success else FAILED


def _start(arguments: argparse.Namespace, problem: Problem | None) -> Any:
    """Where the run begins: a point, a space, or a point of a space."""
    if arguments.space is None:
        if arguments.x0 is not None:
            return read_start(arguments.x0)
        if problem is None:
            raise UsageError("a function of yours needs --x0 or --space")
        return problem.x0(arguments.seed)
    if problem is not None or arguments.bounds:
        other = "--bounds: it has its own" if arguments.bounds else "a named problem"
        raise UsageError(f"--space goes with a function of yours, not with {other}")
    return read_space(arguments.space, arguments.x0)


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Show our own warnings as sentences, without the line of our code that they come from."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *place: Any, **more: Any) -> None:
        if category is UserWarning and filename.startswith(PLACE):
            print(f"zoo-opt: {message}", file=sys.stderr)
        else:
            shown(message, category, filename, *place, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _failures_shown() -> Iterator[None]:
    """Raise what ends a run in which nothing works with the last lines of the first traceback."""
    from zoo_opt.core.errors import ObjectiveError

    try:
        yield
    except ObjectiveError as error:
        lines = "" if error.__cause__ is None else f"\n{last_lines(error.__cause__)}"
        raise ObjectiveError(f"{error}{lines}") from error.__cause__


@contextlib.contextmanager
def _processes(workers: int | None) -> Iterator[Any]:
    """Yield a pool of so many processes, or None for this one."""
    if workers is None:
        yield None
        return
    if workers < 1:
        raise UsageError(f"--workers must be 1 or more, got {workers}")
    from concurrent.futures import ProcessPoolExecutor

    from zoo_opt.support.children import ChildContext

    # New processes, not forks: the progress bar has a thread.
    with ProcessPoolExecutor(workers, ChildContext(), initializer=_begin) as pool:
        yield pool


def _begin() -> None:
    """In a process of the pool: an interrupt is for its parent, which ends it."""
    from zoo_opt.support.children import end_with_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


@contextlib.contextmanager
def _kept(file: str | None, about: dict[str, Any]) -> Iterator[None]:
    """Refuse to go on from a checkpoint of another function, whose losses mean nothing here.

    A checkpoint knows its method, start and seed but not the function: that is noted in ``<checkpoint>.target``.

    Raises
    ------
    CheckpointError
        If the checkpoint is there and its note says something else than `about`.
    """
    from zoo_opt.core.errors import CheckpointError
    from zoo_opt.reporting import going_on
    from zoo_opt.storage.atomic import write_atomically
    from zoo_opt.support.json_files import read_json

    if file is None:
        yield
        return
    checkpoint = Path(os.path.realpath(file))
    note = checkpoint.with_name(checkpoint.name + ".target")
    with _lock_of(note, checkpoint):
        if checkpoint.exists():
            before = read_json(note, CheckpointError) if note.exists() else dict(about)
            before.setdefault("FUNCTION", before.get("TARGET"))  # as it was called
            before = hidden_in(before, values=False)  # an earlier release wrote it as it was
            for what, value in about.items():
                if before.get(what) != value:
                    raise CheckpointError(
                        f"{checkpoint} is of another run: its {what} is {before.get(what)!r}, this call's is {value!r}"
                    )
            print(going_on(checkpoint), file=sys.stderr)
        else:
            write_atomically(note, json.dumps(about).encode())
        try:
            yield
        finally:
            if not checkpoint.exists():  # a run that was refused leaves nothing behind
                note.unlink(missing_ok=True)


def _lock_of(note: Path, checkpoint: Path) -> contextlib.AbstractContextManager[object]:
    """The lock of the note, none where a run is only to be read."""
    from zoo_opt.core.errors import CheckpointError
    from zoo_opt.storage.lock import Lock, is_read_only

    try:
        return Lock(
            note.with_name(note.name + ".lock"),
            lambda holder: CheckpointError(f"{checkpoint} is in use by another run{holder}"),
        )
    except OSError as error:
        if is_read_only(error) and checkpoint.exists():
            return contextlib.nullcontext()
        raise


def _report(result: Result, method: Any, seed: int, problem: Problem | None) -> dict[str, Any]:
    """What a run came to, as JSON has it: null for what is no finite number."""
    import numpy as np

    x = np.asarray(result.x)
    figures = {} if problem is None else {name: float(value) for name, value in problem.metrics(x).items()}
    if problem is not None and problem.curve == "precision" and problem.optimum is not None:
        figures["precision"] = float(result.fun) - problem.optimum
    report = {
        "method": repr(method),
        "seed": seed,
        "success": bool(result.success),
        "message": str(result.message),
        "believed": str(result.believed),
        "nfev": int(result.nfev),
        "nit": int(result.nit),
        "nfail": int(result.nfail),
        "failures": dict(result.failures),
        "first_failures": dict(result.first_failures),
        **figures,
        "fun": float(result.fun),
        "x": x.tolist(),
    }
    if "params" in result:
        report["params"] = result.params
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in report.items()}


def _table(report: dict[str, Any], method: Any) -> str:
    """A report for people."""
    import numpy as np

    shown = {name: "none" if value is None else str(value) for name, value in report.items()}
    shown["method"] = short(method)
    shown["nfail"] = ", ".join(f"{count} with {reason}" for reason, count in report["failures"].items())
    shown["x"] = np.array2string(np.asarray(report["x"]), threshold=12, precision=6, prefix=" " * 10)
    if "params" in report:
        each = [f"{n} = {v:.6g}" if isinstance(v, float) else f"{n} = {v}" for n, v in report["params"].items()]
        shown["params"] = f"\n{'':>12}".join(each)
        del shown["x"]
    del shown["failures"], shown["first_failures"]
    width = max(map(len, shown))
    return "\n".join(f"{name:>{width}}  {text}" for name, text in shown.items() if text)

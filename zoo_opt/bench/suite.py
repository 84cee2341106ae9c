"""Suite files: which methods run on which problems, with what settings, seeds and budgets.

A suite is TOML::

    title = "Quick look"

    [[group]]
    name = "bbob, 10-D"
    seeds = [1, 2, 3]
    budget_per_dim = 1000            # or: budget = 10000, simplex_gradients = 100 (of d + 1 evaluations each)
    problem = "bbob"                 # a short name, or "module:function" in a file that is trusted
    problem_options = { functions = [1, 8], dimensions = [10], instances = [1] }

    [[group.method]]
    label = "CMA-ES, BIPOP"
    use = "cma-es"                   # ours, "pycma", "cmaes:SepCMA", "nevergrad:CMA", or likewise "module:function"
    options = { sigma0 = 2.0, restarts = "bipop" }       # a value "problem" stands for the problem's own: its bounds

``[[method]]`` outside of a group is run by every group, before its own.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from zoo_opt.bench.problems.registry import check_problem_in_file, expand, make_problem
from zoo_opt.bench.solvers import check_method, check_method_in_file
from zoo_opt.bench.suite_reader import REQUIRED, Reader, SuiteError
from zoo_opt.bench.task import BUDGETS, Competitor, Task, evaluations, with_problem

__all__ = ["Competitor", "Group", "Suite", "SuiteError", "Task", "load_suite", "load_title", "shipped", "with_problem"]


@dataclass(frozen=True)
class Group:
    """Problems with the methods, seeds and budget that belong to them."""

    name: str
    seeds: tuple[int, ...]
    problem: str
    methods: tuple[Competitor, ...]
    problem_options: dict[str, Any] = field(default_factory=dict)
    budget: int | None = None
    budget_per_dim: int | None = None
    simplex_gradients: int | None = None
    note: str = ""

    def budget_in(self, dim: int) -> int:
        """Evaluations of a run in this dimension."""
        return evaluations({key: getattr(self, key) for key in BUDGETS}, dim)

    def tasks(self) -> list[Task]:
        """Every run of the group, seed by seed, so that an interrupted bench has all methods at the seeds done."""
        made = [(options, *_name_and_dim(self.problem, json.dumps(options))) for options in self.problems()]
        on = {method.label: self.problems(method) for method in self.methods if method.problem_options}
        return [
            Task(self.name, self.problem, options, name, dim, method, seed, self.budget_in(dim))
            for seed in self.seeds
            for options, name, dim in made
            for method in self.methods
            if method.label not in on or options in on[method.label]
        ]

    def problems(self, method: Competitor | None = None) -> list[dict[str, Any]]:
        """Arguments of the group's problems, or of those that one of its methods runs on."""
        fewer = {} if method is None else method.problem_options
        return [arguments for _, arguments in expand(self.problem, self.problem_options | fewer)]


@cache
def _name_and_dim(kind: str, options: str) -> tuple[str, int]:
    """Of the problem with these options (JSON), which is made once: hundreds of tasks have it, in several groups."""
    problem = make_problem(kind, json.loads(options))
    return problem.name, problem.dim


@dataclass(frozen=True)
class Suite:
    """A benchmark, as read from a file.

    Attributes
    ----------
    name : str
        The file's name without its ending.
    title, description : str
    groups : tuple of Group
    text : str
        The file as it was, for the report.
    """

    name: str
    title: str
    groups: tuple[Group, ...]
    text: str
    description: str = ""

    @property
    def labels(self) -> list[str]:
        """The methods' labels, each once."""
        return list(dict.fromkeys(method.label for group in self.groups for method in group.methods))

    @property
    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "suite": self.name,
            "title": self.title,
            "description": self.description,
            "notes": {group.name: group.note for group in self.groups},
            "toml": self.text,
        }

    def tasks(self) -> list[Task]:
        """Every run of the suite."""
        tasks = [task for group in self.groups for task in group.tasks()]
        seen: dict[str, Task] = {}
        for task in tasks:
            if task.key in seen:
                raise SuiteError(
                    f"{self.name}: {task.method.label!r} on {task.problem_name} with seed {task.seed} occurs twice "
                    f"(also as {seen[task.key].method.label!r})"
                )
            seen[task.key] = task
        return tasks


def shipped() -> dict[str, Path]:
    """The suites inside the package, by name."""
    folder = Path(str(resources.files("zoo_opt.bench") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_title(path: Path) -> str:
    """A suite's title alone, for listings."""
    return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", path.stem))


def load_suite(name_or_path: str | Path, *, trust: bool = False) -> Suite:
    """Read a suite: a shipped one by name (``"quick"``), or a TOML file.

    Parameters
    ----------
    name_or_path : str or Path
    trust : bool
        Whether the file may have code run that is not of a registry: problems and methods by ``"module:function"``
        that declare themselves (`zoo_opt.bench.factory`), and options that a library evaluates as Python.

    Raises
    ------
    SuiteError
        If there is no such suite, or it is not valid; the message says where and what was expected.
    """
    text_name = str(name_or_path)
    path = Path(text_name)
    if not path.is_file():
        if text_name not in shipped():
            raise SuiteError(f"no suite file {text_name!r}, and no shipped suite of that name: {', '.join(shipped())}")
        path = shipped()[text_name]
    reader = Reader.of_file(path.name, path.read_bytes())
    shared = tuple(map(_method, reader.readers("method", "method", [])))
    groups = tuple(_group(part, shared, trust) for part in reader.readers("group", "group"))
    if not groups:
        raise reader.error("'group' must hold at least one [[group]], got none")
    if len({group.name for group in groups}) != len(groups):
        raise reader.error(f"the groups' names must differ, got {[group.name for group in groups]}")
    title = reader.take("title", str, path.stem)
    return reader.fill(Suite, name=path.stem, title=title, groups=groups, text=path.read_text(encoding="utf-8"))


def _group(reader: Reader, shared: tuple[Competitor, ...], trust: bool) -> Group:
    name = reader.take("name", str, REQUIRED)
    reader.where += f" ({name})"
    seeds = tuple(reader.take("seeds", list, REQUIRED))
    if not seeds or len(set(seeds)) != len(seeds) or not all(type(s) is int and s >= 0 for s in seeds):
        raise reader.error(f"'seeds' must be different integers of 0 or more, got {list(seeds)}")
    own = reader.readers("method", "method", [] if shared else REQUIRED)
    methods = (*shared, *map(_method, own))
    if not methods or len({m.label for m in methods}) != len(methods):
        raise reader.error(f"'method' must hold tables with different labels, got {[m.label for m in methods]}")
    group = reader.fill(Group, name=name, seeds=seeds, methods=methods)
    given = {key: value for key in BUDGETS if (value := getattr(group, key)) is not None}
    if len(given) != 1 or min(given.values()) < 1:
        raise reader.error(f"a group must have one positive {' or '.join(map(repr, BUDGETS))}, got {given or 'none'}")
    try:
        check_problem_in_file(group.problem, trust)
        problems = group.problems()
        first = make_problem(group.problem, problems[0])
    except (ValueError, TypeError) as error:
        raise reader.error(str(error)) from error
    for method in methods:
        try:
            if any(arguments not in problems for arguments in group.problems(method)):
                raise ValueError("its 'problem_options' must choose among the group's problems")
            check_method_in_file(method.use, method.options, trust)
            check_method(method.use, with_problem(method.options, first), budget=group.budget_in(first.dim))
        except (ValueError, TypeError) as error:
            raise SuiteError(f"{reader.where}, method {method.label!r}: {error}") from error
    return group


def _method(reader: Reader) -> Competitor:
    use = reader.take("use", str, REQUIRED)
    return reader.fill(Competitor, use=use, label=reader.take("label", str, use))

"""Suite files: which methods run on which problems, with what settings, seeds and budgets.

A suite is TOML::

    title = "Quick look"

    [[group]]
    name = "bbob, 10-D"
    seeds = [1, 2, 3]
    budget_per_dim = 1000            # or: budget = 10000
    problem = "bbob"                 # a short name or "module:function"
    problem_options = { functions = [1, 8], dimensions = [10], instances = [1] }

    [[group.method]]
    label = "CMA-ES, BIPOP"
    use = "cma-es"                   # ours, "pycma", "cmaes:SepCMA", "nevergrad:CMA", or "module:function"
    options = { sigma0 = 2.0, restarts = "bipop" }
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from .problems import expand, make_problem
from .solvers import check_method, version_of

FORMAT = 1  # of the records; a record of another format is refused


class SuiteError(ValueError):
    """A suite file that cannot be used; the message names the file, the place and what was expected."""


@dataclass(frozen=True)
class Method:
    """One competitor: `use` says whose, `options` its hyper-parameters, `note` how they were chosen."""

    label: str
    use: str
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Task:
    """One run: everything that it depends on."""

    group: str
    problem: str
    problem_options: dict[str, Any]
    problem_name: str
    method: Method
    seed: int
    budget: int

    @property
    def key(self) -> str:
        """Hash of what the result depends on: a finished run with the same key is not repeated."""
        parts = asdict(self)
        del parts["group"], parts["method"]["label"], parts["method"]["note"]
        text = json.dumps([FORMAT, version_of(self.method.use), parts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Group:
    """Problems with the methods, seeds and budget that belong to them."""

    name: str
    seeds: tuple[int, ...]
    problem: str
    problems: tuple[dict[str, Any], ...]
    methods: tuple[Method, ...]
    budget: int | None
    budget_per_dim: int | None
    note: str = ""

    def tasks(self) -> list[Task]:
        """Every run of the group, seed by seed, so that an interrupted bench has all methods at the seeds done."""
        made = [(options, make_problem(self.problem, options)) for options in self.problems]
        return [
            Task(
                self.name,
                self.problem,
                options,
                problem.name,
                method,
                seed,
                self.budget or self.budget_per_dim * problem.dim,  # type: ignore[operator]
            )
            for seed in self.seeds
            for options, problem in made
            for method in self.methods
        ]


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
    description: str
    groups: tuple[Group, ...]
    text: str

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


def load_suite(name_or_path: str | Path) -> Suite:
    """Read a suite: a shipped one by name (``"quick"``), or a TOML file.

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
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path.name}: not valid TOML: {error}") from error
    reader = _Reader(path.name, table)
    groups = tuple(
        _group(_Reader(f"{path.name}, group {i}", g)) for i, g in enumerate(reader.take("group", list, _REQUIRED), 1)
    )
    if not groups:
        raise SuiteError(f"{path.name}: expected at least one [[group]]")
    if len({group.name for group in groups}) != len(groups):
        raise SuiteError(f"{path.name}: the groups' names must differ, got {[group.name for group in groups]}")
    title = reader.take("title", str, path.stem)
    description = reader.take("description", str, "")
    reader.done()
    return Suite(path.stem, title, description, groups, text)


_REQUIRED: Any = object()


class _Reader:
    """Takes typed keys from a table and objects to what is missing, of the wrong type or unknown."""

    def __init__(self, where: str, table: Any) -> None:
        if not isinstance(table, Mapping):
            raise SuiteError(f"{where}: expected a table, got {table!r}")
        self.where, self.table = where, dict(table)
        self.known: list[str] = []

    def take(self, key: str, kind: type, default: Any) -> Any:
        self.known.append(key)
        if key not in self.table:
            if default is _REQUIRED:
                raise SuiteError(f"{self.where}: {key!r} is missing (expected a {kind.__name__})")
            return default
        value = self.table.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SuiteError(f"{self.where}: {key!r} must be a {kind.__name__}, got {value!r}")
        return value

    def done(self) -> None:
        if self.table:
            raise SuiteError(f"{self.where}: unknown key {sorted(self.table)[0]!r}; expected {', '.join(self.known)}")


def _group(reader: _Reader) -> Group:
    name = reader.take("name", str, _REQUIRED)
    reader.where += f" ({name})"
    seeds = tuple(reader.take("seeds", list, _REQUIRED))
    if not seeds or len(set(seeds)) != len(seeds) or not all(type(s) is int and s >= 0 for s in seeds):
        raise SuiteError(f"{reader.where}: 'seeds' must be different integers of 0 or more, got {list(seeds)}")
    budget = reader.take("budget", int, None)
    per_dim = reader.take("budget_per_dim", int, None)
    if (budget is None) == (per_dim is None) or (budget or per_dim or 0) < 1:
        raise SuiteError(f"{reader.where}: expected one positive 'budget' or 'budget_per_dim'")
    kind = reader.take("problem", str, _REQUIRED)
    options = reader.take("problem_options", dict, {})
    methods = tuple(
        _method(_Reader(f"{reader.where}, method {i}", m))
        for i, m in enumerate(reader.take("method", list, _REQUIRED), 1)
    )
    if not methods or len({m.label for m in methods}) != len(methods):
        raise SuiteError(f"{reader.where}: expected [[group.method]] tables with different labels")
    note = reader.take("note", str, "")
    reader.done()
    try:
        problems = tuple(arguments for _, arguments in expand(kind, options))
        dim = make_problem(kind, problems[0]).dim
    except (ValueError, TypeError) as error:
        raise SuiteError(f"{reader.where}: {error}") from error
    for method in methods:
        try:
            check_method(method.use, method.options, budget=budget or per_dim * dim)
        except ValueError as error:
            raise SuiteError(f"{reader.where}, method {method.label!r}: {error}") from error
    return Group(name, seeds, kind, problems, methods, budget, per_dim, note)


def _method(reader: _Reader) -> Method:
    use = reader.take("use", str, _REQUIRED)
    label = reader.take("label", str, use)
    method = Method(label, use, reader.take("options", dict, {}), reader.take("note", str, ""))
    reader.done()
    return method

"""Every example runs by itself, without a warning, and prints what a working optimizer would."""

import ast
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

# Of each: patterns of what it must print; the number that a pattern catches must lie in the range. A range is out of
# reach where the search does not learn: with losses replaced by noise, each example fails.
PRINTED: dict[str, list[tuple[str, float, float]]] = {
    "dask_cluster": [(r"loss +(\S+) after", 0, 1e-3), (r"evaluations on a cluster of (\d+) threads", 4, 4)],
    "failing_simulator": [
        (r"of which (\d+) failed", 50, 200),
        (r"(\d+) ArithmeticError", 10, 100),
        (r"misfit +(\S+)", 0, 1e-8),
    ],
    "noisy_measurements": [
        (r"CMA-ES, best measured +(\S+)", -4, -2),  # the best is a lucky one
        (r"CMA-ES, mean +\S+ +(\S+)", 0, 0.6),
        (r"with a model, mean +\S+ +(\S+)", 0, 0.35),
    ],
    "plotting": [(r"of which (\d+) failed", 1, 20), (r"loss (\S+)\n", 0.05, 0.0505)],
    "process_pool": [(r"loss +(\S+) after", 0, 1e-4), (r"after (\d+) evaluations", 300, 400)],
    "resume_after_kill": [
        (r"exit status (\d+) in call 250", 9, 9),
        (r"resumed: loss +(\S+),", 0, 1e-4),
        (r"600 evaluations, paid for (\d+)", 600, 601),
    ],
    "torch_model": [(r"accuracy before (\S+)", 0.3, 0.7), (r"losses: (\S+)", 0.93, 1)],
    "tune_sklearn": [
        (r"untuned: error (\S+),", 3, 4),
        (r"\ntuned: +error (\S+), on", 0.5, 0.75),
        (r"\ntuned: .* on new points (\S+)", 0.5, 0.8),
    ],
    "warm_start": [
        (r"start far away +(\S+)", 600, 900),
        (r"five guesses +(\S+)", 350, 550),
        (r"the table +(\S+)", 200, 400),
    ],
    "web_service": [
        (r"(\d+) evaluations by 3 workers, 1 failed", 550, 600),
        (r"loss +(\S+)", 0, 1e-6),
    ],
    "with_nevergrad": [(r"zoo-auto +loss +(\S+)", 0, 1e-6)],
    "with_optuna": [(r"TPE +loss +(\S+)", 0.1, 0.3), (r"auto +loss +(\S+)", 0.1, 0.1005)],
    "with_scipy": [(r"L-BFGS-B +loss +(\S+)", 1, 100), (r"CMA-ES +loss +(\S+)", 0, 1e-6)],
}
SAME = ("dask_cluster", "process_pool", "resume_after_kill")  # these compare with a plain run, bit for bit
SLOW = ("dask_cluster", "torch_model", "tune_sklearn", "with_nevergrad")  # the imports alone take seconds


def required(path: Path) -> set[str]:
    """The packages that an example imports, by their first name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            found |= {module.rpartition("zoo_opt.interop.")[2].partition(".")[0].removesuffix("_optimizer")}
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in PRINTED]
)
def test_example_runs(name: str, run_python: Callable[..., str]) -> None:
    path = EXAMPLES / f"{name}.py"
    if absent := sorted(module for module in required(path) if importlib.util.find_spec(module) is None):
        pytest.skip(f"needs {', '.join(absent)}")
    printed = run_python("-W", "error", str(path))
    for pattern, low, high in PRINTED[name]:
        match = re.search(pattern, printed)
        assert match, f"{pattern} not in\n{printed}"
        assert low <= float(match.group(1)) <= high, f"{pattern} not from {low} to {high}:\n{printed}"
    assert re.findall(r"same answer.*: (\w+)", printed) == ["True"] * (name in SAME)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short_and_listed(path: Path) -> None:
    assert path.stem in PRINTED
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 85
    assert ast.get_docstring(ast.parse(source))
    assert 'if __name__ == "__main__":\n    main()\n' in source
    private = [
        name for name in re.findall(r"(?:from|import) zoo_opt\.(\S+)", source) if not name.startswith("interop.")
    ]
    assert private == []


def test_the_table_has_each_example_and_the_gallery_its_run() -> None:
    """The pages of the gallery are made of the table, and of what `python docs/pictures.py examples` drew."""
    table = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\.py\]", table, re.MULTILINE)) == sorted(PRINTED)
    assert "<!-- cards -->" in (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for name, patterns in PRINTED.items():
        drawn = ROOT / "docs" / "plots" / "examples"
        printed = (drawn / f"{name}.txt").read_text(encoding="utf-8")
        assert all(re.search(pattern, printed) for pattern, _, _ in patterns), name
        assert (drawn / f"{name}.png").stat().st_size > 1000

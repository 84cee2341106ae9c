"""How many faults the tests notice: small changes (mutants) of the package's code, and whether a test fails with each.

The changes are those of cosmic-ray. Its own runner writes each mutant into the working tree and starts a new
interpreter for it, with one command for all modules; mutmut changes functions alone, neither constants nor what is
decorated. So the runs are our own: a process that has imported numpy and pytest forks for each mutant, and the fork
imports the mutant in the place of the module and runs the tests that pyproject.toml names for it (mutants_run.py).

What is tried is a seeded sample: places in the code are drawn, and for each place one of its changes. Never tried, as
no test could or need notice them, are changes

- in ``raise`` statements, in calls that warn or log, and in f-strings or the choice of one: texts and what they say;
- in annotations, type aliases, the ``*`` and ``/`` of signatures, and under ``if TYPE_CHECKING``;
- of a comparison by value to one by identity or back, which for None, True, False and small numbers are one;
- of ``==`` or ``!=`` to an order, beside a text, a named value (in capitals) or the same again: they have none;
- of a number by less than one in a hundred, and of how much `lru_cache` and `cache` keep;
- of guards that a right program never meets: ``strict=`` of zip; ``frozen``, ``slots``, ``kw_only`` of a dataclass, and
  ``repr`` and ``compare`` of its fields; the decorators ``abstractmethod`` and ``overload``;
- to an operator on bits (``& | ^ << >> ~``), which floats have not: the mutant dies whatever the tests are; of ``&`` to
  ``*`` or ``//`` and of ``|`` to ``+``, which do the same to truth values.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from mutants_places import ROOT, drawn, modules
from mutants_run import Host, with_tests


def main() -> int:
    """Try the mutants; print the table, and write the survivors into a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help="groups of pyproject.toml; all if none is given")
    parser.add_argument("--sample", type=int, help="places of each group, in the place of those of pyproject.toml")
    parser.add_argument("--seed", type=int, help="another sample")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--survivors", default="results/mutants.txt", help="file for them")
    given = parser.parse_args()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
    seed = config["seed"] if given.seed is None else given.seed
    os.chdir(ROOT)
    os.environ["CI"] = "1"  # hypothesis: the same examples in each run, none kept
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path[:0] = [str(ROOT)]
    groups = {name: config["groups"][name] for name in given.groups or config["groups"]}
    began = time.monotonic()
    paths = {name: modules(settings) for name, settings in groups.items()}
    rows: dict[str, dict[str, int]] = {}

    def try_all(host: Host) -> None:
        queue: list[tuple[float, Any]] = []
        for group, settings in groups.items():
            places, chosen = drawn(group, paths[group], seed, given.sample or settings["sample"])
            tests = host.noted(settings["tests"], paths[group])
            if tests is None:
                raise RuntimeError(f"{group}: the tests fail without any change")
            print(f"{group}: {places} places, {len(chosen)} tried with {len(tests.cpu)} tests", flush=True)
            rows[group] = {"places": places, "tried": 0, "caught": 0, "timeout": 0, "survived": 0}
            queue += [((i + 0.5) / len(chosen), (mutant, tests)) for i, mutant in enumerate(chosen)]
        queue.sort(key=lambda entry: entry[0])  # all groups are at the same part when the time is over
        end, done = began + 60.0 * config["minutes"], 0
        with survivors.open("w") as file:
            for mutant, outcome in host.run([entry for _, entry in queue], given.workers or config["workers"], end):
                done += 1
                if not done % 20:
                    print(f"{done} of {len(queue)} after {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
                rows[mutant.group]["tried"] += 1
                rows[mutant.group][outcome] += 1
                if outcome == "survived":
                    file.write(mutant.difference() + "\n")
                    file.flush()

    survivors = Path(given.survivors)
    survivors.parent.mkdir(parents=True, exist_ok=True)
    arguments = sorted({test for settings in groups.values() for test in settings["tests"]})
    status = with_tests(arguments, config["slow"], sorted(set().union(*paths.values())), try_all)
    if status not in (0, 5):  # 5: no test was run, in this process
        return status
    print_table(rows)
    print(f"\nSurvivors: {survivors}; {(time.monotonic() - began) / 60:.0f} minutes, seed {seed}")
    return 0


def print_table(rows: dict[str, dict[str, int]]) -> None:
    """Print what became of the mutants, by group."""
    print("\n| modules | places | tried | caught | by timeout | survived | share |")
    print("|---|---|---|---|---|---|---|")
    for group, row in rows.items():
        caught = row["caught"] + row["timeout"]
        counts = f"{row['places']} | {row['tried']} | {caught} | {row['timeout']} | {row['survived']}"
        print(f"| {group} | {counts} | {100 * caught / max(row['tried'], 1):.0f} % |")


if __name__ == "__main__":
    sys.exit(main())

"""What makes a release agrees with the package: conda recipe, Dockerfile, and the commands of the workflows."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def yaml():
    return pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def recipe(yaml):
    return yaml.safe_load((ROOT / ".ci" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))


def plain(lines):
    return {line.replace(" ", "") for line in lines}


def steps(yaml, workflow):
    """The steps of a workflow that run a command, each with those of its matrix."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


# ---------------------------------------------------------------------------------------------------- conda


def test_the_recipe_asks_for_what_the_package_needs(recipe):
    run = plain(recipe["requirements"]["run"])
    assert run == plain([f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]])


def test_the_recipe_builds_with_the_backend_of_the_package(recipe):
    host = plain(recipe["requirements"]["host"])
    assert plain(PYPROJECT["build-system"]["requires"]) <= host
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"python{lowest}.*" in host and "pip" in host


def test_the_recipe_has_the_commands_of_the_package(recipe):
    points = dict(line.split(" = ") for line in recipe["build"]["python"]["entry_points"])
    assert points == PROJECT["scripts"]
    assert recipe["build"]["noarch"] == "python"
    assert recipe["about"]["license"] == PROJECT["license"] and (ROOT / recipe["about"]["license_file"]).is_file()


def test_the_tests_of_the_recipe_pass(recipe, run_python):
    imports, scripts = ([test[kind] for test in recipe["tests"] if kind in test] for kind in ("python", "script"))
    for name in imports[0]["imports"]:
        run_python("-c", f"import {name}")
    for line in scripts[0]:
        program, *arguments = line.split()
        module = PROJECT["scripts"][program].partition(":")[0]
        run_python("-m", module, *arguments)


# ---------------------------------------------------------------------------------------------------- Docker


def test_the_dockerfile_copies_what_is_there_and_installs_extras_that_are():
    text = (ROOT / ".ci" / "Dockerfile").read_text(encoding="utf-8")
    copied = [path for line in re.findall(r"^COPY (.+)$", text, re.M) for path in line.split()[:-1]]
    assert {"pyproject.toml", "zoo_opt", "zoo_opt_seg"} <= set(copied)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    needed = {PROJECT["readme"], *PROJECT.get("license-files", ["LICENSE"])}
    assert needed <= set(copied)  # the build of the package reads them
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', text)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_image_starts_with_arguments_that_the_program_takes():
    pytest.importorskip("torch")
    from zoo_opt_seg.cli.arguments import parser

    text = (ROOT / ".ci" / "Dockerfile").read_text(encoding="utf-8")
    program, *arguments = (
        word for name in ("ENTRYPOINT", "CMD") for word in json.loads(re.findall(rf"^{name} (\[.*\])$", text, re.M)[0])
    )
    assert program in PROJECT["scripts"]
    asked = parser().parse_args(arguments)
    assert (asked.host, asked.port, asked.model, asked.token) == ("0.0.0.0", 8000, "tiny", "$TOKEN")
    assert f"EXPOSE {asked.port}" in text and f"127.0.0.1:{asked.port}/v2/health/ready" in text


# ---------------------------------------------------------------------------------------------------- workflows


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_the_commands_of_a_workflow_exist(yaml, workflow):
    found = steps(yaml, workflow)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert found
    for command in found:
        for target in re.findall(r"^make ([\w-]+)", command, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), command
        for file in re.findall(r"(?:bash|python) (\.ci/[\w.-]+)", command):
            assert (ROOT / file).is_file(), command
        for extras in re.findall(r'"\.\[([\w,]+)\]"', command):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), command


def test_the_workflow_tests_every_python_that_the_package_names(yaml):
    tests = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    matrix = tests["jobs"]["core"]["strategy"]["matrix"]
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)}
    assert named <= set(matrix["python"]) and PROJECT["requires-python"].removeprefix(">=") in matrix["python"]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}


def test_the_workflow_refuses_a_tag_that_is_not_the_version(yaml, run_python):
    """The step's own Python, run here: what the tag is compared with."""
    import zoo_opt

    command = steps(yaml, ROOT / ".github" / "workflows" / "release.yml")[0]
    (code,) = re.findall(r"python -c '(.+?)'", command)
    code = code.replace('"zoo_opt/_version.py"', repr(str(ROOT / "zoo_opt" / "_version.py")))
    assert run_python("-c", code).strip() == zoo_opt.__version__ and '"$GITHUB_REF_NAME" = "v$(' in command

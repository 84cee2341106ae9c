"""Logs for cocopp: by hand, beside COCO's own observer, and through cocopp itself."""

import importlib.util
import itertools
import json
import math

import numpy as np
import pytest
from bench.runs import record, run
from refusals import raises

from zoo_opt.bench.problems.coco import BBOB_TARGETS
from zoo_opt.bench.report.coco_log import export_coco


def bbob(method="m", name="bbob-f01-i1-d2", **more):
    return run(method, name, **{"hits": [3, 5, None], "nfev": 8, "curve": CURVE, "optimum": 79.48} | more)


CURVE = [(1, 4.0), (3, 0.5), (4, 0.5), (8, 0.05)]


def lines(path):
    return [line.split() for line in path.read_text().splitlines() if not line.startswith("%")]


def test_files_of_a_run_by_hand(tmp_path):
    (folder,) = export_coco(record([bbob()]), tmp_path)
    assert folder == tmp_path / "g" / "m"
    header, comment, data = (folder / "bbobexp_f1.info").read_text().splitlines()
    assert "suite = 'bbob', funcId = 1, DIM = 2, Precision = 1.000e-08, algId = 'm'" in header
    assert header.endswith("data_format = 'bbob-new2'")
    assert comment.startswith("% Written by zoo-opt")
    assert data == "data_f1/bbobexp_f1_DIM2.dat, 1:8|5.0e-02"
    dat, tdat = (lines(folder / f"data_f1/bbobexp_f1_DIM2.{ending}") for ending in ("dat", "tdat"))
    assert [(int(row[0]), row[1]) for row in dat] == [(1, "0"), (3, "0"), (5, "0"), (8, "0")]
    assert [float(row[2]) for row in dat] == pytest.approx([4.0, 0.5, 0.1, 0.05])
    assert float(dat[2][2]) < 0.1  # a reader that rounds must still see the target reached
    assert [int(row[0]) for row in tdat] == [1, 3, 4, 8]
    assert [float(row[2]) for row in tdat] == pytest.approx([4.0, 0.5, 0.5, 0.05])
    assert float(dat[0][3]) == pytest.approx(83.48)
    assert "Fopt (7.948000000000e+01)" in (folder / "data_f1/bbobexp_f1_DIM2.dat").read_text()


def test_runs_are_sorted_into_files_by_function_dimension_and_method(tmp_path):
    runs = [bbob(name="bbob-f01-i2-d2"), bbob(seed=2), bbob(seed=1), bbob(name="bbob-f01-i1-d3")]
    runs += [bbob(name="bbob-f10-i1-d2"), bbob("n, it's"), bbob("n- it's"), run("m", "sphere-d2")]
    folders = export_coco(record(runs), tmp_path)
    assert [folder.name for folder in folders] == ["m", "n-it-s", "n--it-s"]
    info = (folders[0] / "bbobexp_f1.info").read_text().splitlines()
    assert info[2].startswith("data_f1/bbobexp_f1_DIM2.dat, 1:8|")
    assert [part.split(":")[0] for part in info[2].split(", ")[1:]] == ["1", "1", "2"]
    assert "DIM = 3" in info[3]
    names = ["bbobexp_f1.info", "bbobexp_f10.info", "data_f1", "data_f10"]
    assert sorted(path.name for path in folders[0].iterdir()) == names
    assert "algId = 'n its'" in (folders[1] / "bbobexp_f1.info").read_text()


def test_methods_whose_names_differ_by_signs_alone_get_folders_of_their_own(tmp_path):
    folders = export_coco(record([bbob("a/b"), bbob("a b"), bbob("a_b")]), tmp_path)
    assert [folder.name for folder in folders] == ["a-b", "a-b_2", "a_b"]


def test_a_run_that_failed_is_charged_its_budget(tmp_path):
    broken = bbob(error="it broke", hits=[3, None, None], nfev=4, curve=CURVE[:3], figures={}, best=80.0, budget=50)
    never = bbob(error="it broke", hits=[None] * 3, nfev=0, curve=[], figures={}, best=None, budget=50, seed=2)
    (folder,) = export_coco(record([broken, never]), tmp_path)
    assert (folder / "bbobexp_f1.info").read_text().splitlines()[2].endswith("1:50|5.0e-01, 1:50|1.0e+99")
    ends = [(int(row[0]), float(row[2])) for row in lines(folder / "data_f1/bbobexp_f1_DIM2.dat")]
    assert ends == [(1, 4.0), (3, 0.5), (50, 0.5), (1, 1e99), (50, 1e99)]


def test_measured_values_of_noisy_problems_are_not_made_up(tmp_path):
    (folder,) = export_coco(record([bbob(name="bbob-noisy-f101-i1-d2")]), tmp_path)
    first, *_ = lines(folder / "data_f101/bbobexp_f101_DIM2.dat")
    assert float(first[2]) == 4.0 and math.isnan(float(first[3]))


def test_an_optimum_that_was_not_recorded_is_worked_out_or_unknown(tmp_path):
    known = bbob(optimum=None, best=79.53, figures={"precision": 0.05})
    noisy = bbob(name="bbob-noisy-f101-i1-d2", optimum=None, best=79.53, figures={"precision": 0.05})
    (folder,) = export_coco(record([known, noisy]), tmp_path)
    assert "Fopt (7.948000000000e+01)" in (folder / "data_f1/bbobexp_f1_DIM2.dat").read_text()
    assert "Fopt (nan)" in (folder / "data_f101/bbobexp_f101_DIM2.dat").read_text()


def test_what_cannot_be_exported_is_refused(tmp_path):
    raises(ValueError, "no run of COCO's", export_coco, record([run("a", "sphere-d2")]), tmp_path)
    export_coco(record([bbob()]), tmp_path)
    raises(ValueError, "out must not hold an earlier export", export_coco, record([bbob()]), tmp_path)


# ------------------------------------------------------------------------------------------------ COCO itself


def need(*modules):
    """Skip where COCO is not installed, without importing it here: it changes warnings and matplotlib."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")


OBSERVED = """
import json, sys
import cocoex
import numpy as np

# Random search on two functions, logged by COCO's own observer; its values go to the caller.
observer = cocoex.Observer("bbob", "result_folder: theirs algorithm_name: theirs")
found = {}
for f in cocoex.Suite("bbob", "instances: 1-3", "dimensions: 2,3 function_indices: 1,8"):
    rng = np.random.default_rng([f.id_function, f.id_instance, f.dimension])
    f.observe_with(observer)
    found[f"bbob-f{f.id_function:02d}-i{f.id_instance}-d{f.dimension}"] = [
        f(x) for x in rng.uniform(-5, 5, (int(sys.argv[1]), f.dimension))
    ]
    f.free()
json.dump(found, open("values.json", "w"))
"""

LOADED = """
import json, warnings
warnings.simplefilter("ignore")
import cocopp, numpy as np
targets = 10.0 ** np.linspace(2, -8, 51) * (1 + 1e-9)  # exact ones differ by rounding from cocopp's own
found = {}
for name in ("theirs", "ours"):
    data = cocopp.load("exdata/theirs" if name == "theirs" else "ours/g/m")
    found[name] = {
        f"bbob-f{d.funcId:02d}-d{d.dim}": {
            "ert": [float(v) for v in d.detERT(targets)],
            "evals": [[float(v) for v in row] for row in d.detEvals(targets)],
            "end": [float(v) for v in d.maxevals],
        }
        for d in data
    }
json.dump(found, open("found.json", "w"))
"""


@pytest.mark.slow
def test_cocopp_sees_in_our_log_what_it_sees_in_cocos_own(tmp_path, run_python):
    """Every evaluation count at every target, and so the expected running times, which are also ours."""
    need("cocopp", "cocoex")
    from zoo_opt.bench.problems.coco import Bbob
    from zoo_opt.bench.problems.counting import Counted
    from zoo_opt.bench.statistics.ert import running_times

    budget = 300
    run_python("-c", OBSERVED, str(budget))
    runs = []
    for name, values in json.loads((tmp_path / "values.json").read_text()).items():
        function, instance, dim = (int(part[1:]) for part in name.split("-")[1:])
        problem = Bbob(function, dim, instance)
        counted = Counted(problem, budget, 1)
        points = np.random.default_rng([function, instance, dim]).uniform(-5, 5, (budget, dim))
        np.testing.assert_allclose(counted(points), values)
        entry = {"dim": dim, "budget": budget, "nfev": counted.nfev, "targets": list(problem.targets)}
        entry |= {"hits": counted.hits, "curve": counted.curve, "best": counted.best}
        runs.append(run("m", name, optimum=problem.optimum) | entry)
    export_coco(record(runs), tmp_path / "ours")
    run_python("-c", LOADED)
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["ours"]) == 4
    for case, theirs in found["theirs"].items():
        for what, values in theirs.items():
            np.testing.assert_array_equal(found["ours"][case][what], values, err_msg=f"{what} of {case}")
    times = running_times(runs, pool=True)
    assert times.targets.tolist() == list(BBOB_TARGETS)
    for case, ert in zip(times.cases, times.ert[0], strict=True):
        np.testing.assert_allclose(found["ours"][case]["ert"], ert)
        assert np.isfinite(ert).any()


@pytest.mark.slow
def test_cocopp_processes_the_export(tmp_path, run_python):
    """Its whole post-processing: figures, tables, pages."""
    need("cocopp")
    rng = np.random.default_rng(0)
    runs = []
    more = {"targets": list(BBOB_TARGETS), "budget": 200, "nfev": 200, "optimum": 0.0}
    more["curve"] = [[1, 500.0], [200, 10.0 ** (2 - 29 / 5) * 0.9]]
    for method, function, instance in itertools.product("ab", (1, 8), (1, 2, 3)):
        hits = np.sort(rng.choice(np.arange(2, 150), size=30, replace=False)).tolist() + [None] * 21
        runs.append(run(method, f"bbob-f{function:02d}-i{instance}-d2") | {"hits": hits, **more})
    export_coco(record(runs), tmp_path / "log")
    options = ["--no-svg", "--in-a-hurry", "1000", "--no-rld-single-fcts", "-o", "out"]
    run_python("-m", "cocopp", *options, "log/g/a", "log/g/b", timeout=300)
    made = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    for start in ("index.html", "pprldmany", "pptable"):
        assert any(name.startswith(start) for name in made), made

"""What is in the Axes: lines, labels, scales and marks, for easy data and for hard."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.core.history import History

pytest.importorskip("matplotlib")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

NAN, INF = np.nan, np.inf
PLOTS = [zo.plot.convergence, zo.plot.slices, zo.plot.parallel_coordinates]
SPACE = zo.Space(
    C=zo.Float(1e-3, 1e3, log=True), layers=zo.Int(1, 8), kernel=zo.Choice("rbf", 1, True), shrink=zo.Bool()
)


def history(losses: Any, X: Any = None, first: int = 0, space: zo.Space | None = None) -> History:
    """The table of a run with these losses, by default at the points of two variables i and -i."""
    loss = np.asarray(losses, float)
    n = len(loss)
    x = np.arange(n)[:, None] * [1.0, -1.0] if X is None else np.asarray(X, float)
    columns = [np.arange(first, first + n), loss, np.arange(n), np.arange(n), np.isnan(loss), x]
    return History(columns, ["", "lost"], space)


def drawn(ax: Axes, label: str) -> list[list[float]]:
    """Coordinates of the line whose label begins so."""
    (line,) = [line for line in ax.lines if str(line.get_label()).startswith(label)]
    return [np.asarray(data).tolist() for data in line.get_data()]


def render(ax: Any) -> None:
    np.atleast_1d(ax)[0].figure.savefig(io.BytesIO(), dpi=30)


# ---------------------------------------------------------------------------------------------------- convergence


def test_one_run_is_a_line_dots_and_marks() -> None:
    ax = zo.plot.convergence(history([3, NAN, 2, 5, INF, 1, 4]))
    assert drawn(ax, "lowest so far") == [[1, 3, 6, 7], [3, 2, 1, 1]]
    np.testing.assert_equal(drawn(ax, "evaluations"), [[1, 2, 3, 4, 5, 6, 7], [3, NAN, 2, 5, NAN, 1, 4]])
    assert drawn(ax, "failed (1)")[0] == [2]
    assert drawn(ax, "higher, or infinite (1)")[0] == [5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("evaluations", "loss")


def test_runs_of_a_label_are_a_median_in_a_band_of_quartiles() -> None:
    runs = [history([8, 4]), history([6, 6, 1]), history([INF, 2, 2, 0.5]), history([NAN] * 4), history([9])]
    ax = zo.plot.convergence({"cma": runs, "spsa": history([7, 5])})
    np.testing.assert_equal(drawn(ax, "cma (5 runs, 4 failed)"), [[1, 2, 3, 4], [9, 6, 4, 4]])
    (band,) = ax.collections
    vertices = {tuple(vertex) for vertex in band.get_paths()[0].vertices.tolist()}
    assert {(2, 4), (3, 2), (4, 1)} <= vertices  # lower quartile
    assert {(2, 9), (3, 9), (4, 9)} <= vertices  # upper; at 1 it is infinite, and no band is drawn
    assert all(at >= 2 for at, _ in vertices)
    assert drawn(ax, "spsa") == [[1, 2], [7, 5]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cma (5 runs, 4 failed)", "spsa"]


def test_a_table_that_lost_its_beginning_starts_later() -> None:
    assert drawn(zo.plot.convergence(history([3, 2], first=1000)), "lowest")[0] == [1001, 1002]


GEOMETRIC = 10.0 ** -np.arange(40)


@pytest.mark.parametrize(
    ("losses", "options", "x", "y"),
    [
        (GEOMETRIC, {}, "linear", "log"),
        (GEOMETRIC * 1e-200, {}, "linear", "log"),
        (1 + GEOMETRIC, {}, "linear", "linear"),  # does not span two decades
        (GEOMETRIC - 5, {}, "linear", "linear"),
        (GEOMETRIC - 5, {"optimum": -5}, "linear", "symlog"),  # reaches 0 by rounding
        (np.append(GEOMETRIC, 0), {}, "linear", "symlog"),
        ([3, 2, 1, 0], {}, "linear", "linear"),
        (np.repeat(GEOMETRIC[:4], [1, 9, 90, 900]), {}, "log", "log"),  # falls early
        ([2.0], {}, "linear", "linear"),
        ([NAN] * 5, {}, "linear", "linear"),
        ([], {}, "linear", "linear"),
    ],
)
def test_scales(losses: Any, options: dict[str, Any], x: str, y: str) -> None:
    ax = zo.plot.convergence(history(losses), **options)
    assert (ax.get_xscale(), ax.get_yscale()) == (x, y)
    assert ax.get_ylabel() == ("loss - -5" if options else "loss")
    render(ax)


@pytest.mark.parametrize("offset", [0.0, -5.0])
def test_losses_far_above_the_others_are_marks(offset: float) -> None:
    losses = np.linspace(2, 1, 40) + offset
    losses[[0, 7]] = 1e300
    ax = zo.plot.convergence(history(losses))
    assert ax.get_ylim()[1] < 3
    assert drawn(ax, "higher, or infinite (2)")[0] == [1, 8]


def test_all_losses_are_in_view() -> None:
    for losses in ([1e300, -1e300], [5, 5, 5], [0, 0], [1e-300, 1], np.geomspace(1e6, 1, 30) - 5):
        low, high = zo.plot.convergence(history(losses)).get_ylim()
        assert low < min(losses) <= max(losses) < high


# ---------------------------------------------------------------------------------------------------- forms


RUN = history([2, 1])


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ([RUN], ["lowest so far", "evaluations"]),
        ([SimpleNamespace(history=RUN)], ["lowest so far", "evaluations"]),
        ([[RUN]], ["lowest so far", "evaluations"]),
        ([RUN, RUN], ["run 1", "run 2"]),
        ([[RUN, zo.Result(history=RUN)]], ["run 1", "run 2"]),
        ([(run for run in (RUN, RUN))], ["run 1", "run 2"]),
        ([{"a": RUN, "b": [RUN, RUN]}], ["a", "b (2 runs)"]),
        ([{"a": RUN}, {3: RUN, "a": RUN}, RUN], ["a (2 runs)", "3", "run 3"]),
        ([zo.Result(history=RUN)], ["lowest so far", "evaluations"]),
    ],
)
def test_forms_of_results(given: list[Any], labels: list[str]) -> None:
    ax = zo.plot.convergence(*given)
    assert ax.get_legend_handles_labels()[1] == labels


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        ([], {}, ValueError, r"results must hold a run at least, got \(\)"),
        ([{"a": []}], {}, ValueError, "results must hold a run at least, got"),
        ([1.5], {}, TypeError, "results must be Result, Optimizer or History, or lists or dicts of them, got 1.5"),
        (["run"], {}, TypeError, "got 'run'"),
        ([RUN], {"ax": 3}, (TypeError, ValueError), "ax must be .*Axes"),
    ],
)
def test_other_forms_are_refused(plot: Any, given: list[Any], options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        plot(*given, **options)


@pytest.mark.parametrize("plot", PLOTS[1:])
@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([history([1, 2], np.empty((0, 0)))], {}, "results must have evaluations whose points are kept, got none"),
        ([history([])], {}, "whose points are kept"),
        ([RUN, history([1], [[1, 2, 3]])], {}, r"of one space, got points of \[2, 3\] coordinates"),
        ([history([1], np.ones((1, SPACE.d)), space=SPACE), history([1], np.ones((1, SPACE.d)))], {}, "of one space"),
        ([RUN], {"parameters": ["C"]}, r"parameters must be of x0, x1, or their numbers, got \['C'\]"),
        ([RUN], {"parameters": []}, "parameters must be of x0, x1"),
        ([history([1], np.ones((1, 65)))], {}, "parameters must name at most 64 to be drawn, got 65"),
    ],
)
def test_points_that_cannot_be_drawn_are_refused(plot: Any, given: list[Any], options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot(*given, **options)


# ---------------------------------------------------------------------------------------------------- parameters


PARAMS = [
    {"C": 0.001, "layers": 1, "kernel": "rbf", "shrink": False},
    {"C": 1.0, "layers": 8, "kernel": 1, "shrink": True},
    {"C": 10.0, "layers": 3, "kernel": True, "shrink": True},
    {"C": 1000.0, "layers": 8, "kernel": True, "shrink": False},
]
TUNED = history([3, 1, 2, NAN], [SPACE.encode(params) for params in PARAMS], space=SPACE)


def test_slices_of_a_space() -> None:
    panels = zo.plot.slices(TUNED)
    assert [panel.get_xlabel() for panel in panels] == ["C", "layers", "kernel", "shrink"]
    assert [panel.get_xscale() for panel in panels] == ["log", "linear", "linear", "linear"]
    assert [[text.get_text() for text in panel.get_xticklabels()] for panel in panels[2:]] == [
        ["rbf", "1", "True"],
        ["False", "True"],
    ]
    x, y = np.stack([panel.collections[0].get_offsets() for panel in panels]).transpose(2, 0, 1)
    np.testing.assert_allclose(x[:2], [[1e-3, 1, 10], [1, 8, 3]])
    assert np.rint(x[2:]).tolist() == [[0, 1, 2], [0, 1, 1]]
    assert y.tolist() == [[3, 1, 2]] * 4
    assert drawn(panels[0], "lowest") == [[1], [1]]
    assert drawn(panels[0], "failed (1)")[0] == [1000]


def test_parallel_coordinates_of_a_space() -> None:
    ax = zo.plot.parallel_coordinates(TUNED)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["C", "layers", "kernel", "shrink"]
    failed, ranked = ax.collections
    lines = np.array(ranked.get_segments())
    assert lines[:, :, 0].tolist() == [[0, 1, 2, 3]] * 3
    np.testing.assert_allclose(lines[:, 0, 1], [0, 4 / 6, 3 / 6])  # losses 3, 2, 1: the best on top
    np.testing.assert_allclose(lines[:, 1, 1], [0, 2 / 7, 1])
    assert (lines[:, 2, 1] * 3).astype(int).tolist() == [0, 2, 1]
    assert len(set(map(tuple, ranked.get_colors()))) == 3
    assert np.array(failed.get_segments())[0, :2].tolist() == [[0, 1], [1, 1]]
    assert str(failed.get_label()) == "failed, or infinite (1)"
    bar = ax.figure.axes[1]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["1", "2", "3"]
    texts = {text.get_text() for text in ax.texts}
    assert {"rbf", "True", "False", "8", "1000", "0.001"} <= texts


def test_results_and_optimizers_of_a_space() -> None:
    opt = zo.Optimizer("cma-es", SPACE, rng=0)
    opt.tell(opt.ask(), [params["C"] for params in opt.ask().params])
    result = zo.minimize(lambda params: params["C"], SPACE, method="cma-es", budget=opt.nfev, rng=0)
    for given in (opt, result):
        panels = zo.plot.slices(given)
        assert [panel.get_xlabel() for panel in panels] == list(SPACE.parameters)
        x, y = panels[0].collections[0].get_offsets().T
        np.testing.assert_allclose(x, y)


@pytest.mark.parametrize(("parameters", "names"), [(["x1"], ["x1"]), ([1, "x0"], ["x1", "x0"]), ("x0", ["x0"])])
def test_chosen_parameters(parameters: Any, names: list[str]) -> None:
    assert [panel.get_xlabel() for panel in zo.plot.slices(RUN, parameters=parameters)] == names
    ax = zo.plot.parallel_coordinates(RUN, parameters=parameters)
    assert [text.get_text() for text in ax.get_xticklabels()] == names


def test_the_points_of_the_last_evaluations_are_drawn() -> None:
    """A long history keeps fewer points than losses."""
    panels = zo.plot.slices(history([9, 8, 1, 2], [[5], [6]]))
    assert panels[0].collections[0].get_offsets().tolist() == [[5, 1], [6, 2]]
    assert panels[0].collections[0].get_array().tolist() == [3, 4]


def test_of_many_evaluations_some_are_drawn_and_the_best() -> None:
    loss = np.random.default_rng(0).random(100_000)
    loss[777] = -1
    many = history(loss)
    (dots,) = zo.plot.slices(many, parameters=[0])[0].collections
    assert 5000 <= len(dots.get_offsets()) <= 5001 and [777, -1] in dots.get_offsets().tolist()
    ax = zo.plot.parallel_coordinates(many, lines=50)
    assert len(ax.collections[1].get_segments()) == 50
    assert ax.figure.axes[1].get_yticklabels()[0].get_text() == "-1"
    assert len(drawn(zo.plot.convergence(many), "evaluations")[0]) <= 20_000
    with pytest.raises(ValueError, match="points must be >= 1, got 0"):
        zo.plot.slices(many, points=0)


HARD = {
    "one evaluation": history([3.0]),
    "all failed": history([NAN] * 3),
    "all infinite": history([INF] * 3),
    "one finite": history([INF, NAN, 2]),
    "equal losses": history([2, 2, 2]),
    "equal points": history([2, 1], np.zeros((2, 3))),
    "negative": history([-1, -5, -3]),
    "tiny": history([1e-320, 1, 2]),
    "wide": history([1e308, -1e308], [[1e308], [-1e308]]),
    "many variables": history([3, 2, 1], np.random.default_rng(0).normal(size=(3, 16))),
    "choices": TUNED,
}


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("name", HARD)
def test_hard_data_is_drawn(plot: Callable[..., Any], name: str) -> None:
    render(plot(HARD[name]))


def test_fifty_variables_are_panels_and_axes() -> None:
    wide = history([3, 2, 1], np.random.default_rng(0).normal(size=(3, 50)))
    assert len(zo.plot.slices(wide)) == 50
    assert len(zo.plot.parallel_coordinates(wide).get_xticks()) == 50


def test_pictures_of_the_guide_are_small() -> None:
    pictures = list((Path(__file__).parents[2] / "docs" / "plots").glob("*.png"))
    assert pictures and all(picture.stat().st_size < 100_000 for picture in pictures)


# ---------------------------------------------------------------------------------------------------- figures


def test_what_is_given_is_drawn_into() -> None:
    axes = Figure().subplots(2, 2)
    assert zo.plot.convergence(RUN, ax=axes[0, 0]) is axes[0, 0]
    assert zo.plot.parallel_coordinates(RUN, ax=axes[0, 1]) is axes[0, 1]
    assert zo.plot.slices(RUN, ax=axes[1]).tolist() == axes[1].tolist()


def test_panels_take_the_place_of_one_of_a_grid() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    panels = zo.plot.slices(TUNED, ax=right)
    render(panels)
    assert len(panels) == 4 and right not in figure.axes and left in figure.axes
    assert min(panel.get_position().x0 for panel in panels) >= 0.5
    with pytest.raises(ValueError, match="ax must be 4 Axes, one for each parameter, or one of a grid"):
        zo.plot.slices(TUNED, ax=[left, left])


def test_no_global_state_is_touched(run_python: Callable[..., str]) -> None:
    code = """
import sys, matplotlib, zoo_opt as zo
from zoo_opt.core.history import History
import numpy as np
before = matplotlib.rcParams.copy()
one = np.ones(3)
run = History([np.arange(3), one, one, one, np.zeros(3, int), np.ones((3, 2))], [""])
axes = zo.plot.convergence(run), zo.plot.slices(run)[0], zo.plot.parallel_coordinates(run)
assert matplotlib.rcParams.copy() == before and "matplotlib.pyplot" not in sys.modules
import matplotlib.pyplot as plt
assert plt.get_fignums() == []
assert zo.plot.convergence(run).figure is plt.gcf()  # plt.show() shows it
figure, ax = plt.subplots()
zo.plot.slices(run, ax=ax), zo.plot.parallel_coordinates(run, ax=figure.add_subplot())
assert len(plt.get_fignums()) == 2
"""
    run_python("-W", "error", "-c", code)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for plot in PLOTS:
        with pytest.raises(ImportError, match=r'matplotlib is not installed.*pip install "zoo-opt\[plot\]"'):
            plot(RUN)

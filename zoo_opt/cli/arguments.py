"""The commands' arguments and help."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from zoo_opt.cli import completion
from zoo_opt.cli.bench import do_bench, do_compare, do_export, do_plot, do_report
from zoo_opt.cli.listing import do_list
from zoo_opt.cli.run import do_run

MAIN = """\
Zeroth-order optimization: minimize a function from its values alone.

examples:
  zoo-opt list                                      methods, problems, suites and peers
  zoo-opt run mymodule:loss --x0 0,0,0 --bounds -5:5 --budget 2000
  zoo-opt run sphere --method fzoo -o lr=1e-4       a named problem, one hyper-parameter set
  zoo-opt bench quick                               compare optimizers: COCO bbob, a network (about 2 minutes)
  zoo-opt bench compare before after                what a change made better or worse
  zoo-opt report results/quick                      write the HTML report again
  zoo-opt plot results/quick -o ecdf.pdf            a figure for a paper
"""

LIST = """\
Show methods, problems, suites and peers, with the defaults of their settings.

examples:
  zoo-opt list
  zoo-opt list --json | jq '.methods | keys'
"""

RUN = """\
Minimize a function of yours, or a named problem.

FUNCTION is "module:function" or "file.py:function": a function of one vector that returns a number. It is looked for
in the current folder and on the Python path. FUNCTION may also be a problem that `zoo-opt list` names.

A function needs a start, --x0: numbers separated by commas, "zeros:N", or a .npy file. Instead it may have named
parameters, --space FILE. The file is TOML, with a line for each parameter:
  C = { float = [1e-3, 1e3], log = true }
  layers = { int = [1, 8] }
  kernel = { choice = ["rbf", "poly"] }
  shrink = { bool = true }
The function then gets a dict, and --x0 may name some parameters to start from: C=1,kernel=poly.

examples:
  zoo-opt run mymodule:loss --x0 zeros:50 --bounds -5:5 --budget 2000
  zoo-opt run loss.py:loss --x0 -1.5,2,0 --bounds -5:5,0:,: --workers 8 --json
  zoo-opt run svm.py:loss --space svm.toml --budget 200
  zoo-opt run mymodule:loss --x0 1.5,-2 --method cma-es -o sigma0=0.5 --budget 1000
  zoo-opt run mymodule:loss --x0 zeros:50 --method spsa -o lr=0.05 -o c=0.01 --budget 20000 --save best.json
  zoo-opt run bbob -p function=8 -p dimension=10 --method cma-es -o sigma0=2 -o restarts=bipop --budget 10000
  zoo-opt run digits --method fzoo -o lr=3e-5 --budget 5000
  zoo-opt run mymodule:loss --x0 zeros:50 --checkpoint run.zoo     interrupted? repeat the command to go on

An option's value is read as JSON where it is JSON (0.5, true, [-4, 4]) and as text otherwise (bipop). For schedules
and draws give an object with a type: -o 'lr={"type": "Cosine", "start": 0.1, "end": 0.001}' (its steps, if not given,
are those that the budget allows).

A run ends with the budget, before it by --target, --timeout or --patience, or where the method itself has ended.

exit status: 0 a result; 1 none, as no evaluation gave a finite loss; 2 wrong usage; 130 interrupted
"""

BENCH = """\
Run a benchmark suite, print its tables and write one self-contained HTML report.

SUITE is a suite shipped with the package (`zoo-opt list`) or a TOML file; the shipped ones are good examples.
Evaluations are counted by a wrapper, all methods start from the same points and see the same minibatches, and each
run has one thread. Finished runs are kept in DIR/runs.jsonl: after an interruption the same command resumes. The
results do not depend on the number of workers.

A suite names registered problems and methods (`zoo-opt list`). A suite that names functions, "module:function", runs
their code: read it, then give --trust. The functions must declare themselves, by @zoo_opt.bench.factory("problem") or
"method".

examples:
  zoo-opt bench quick
  zoo-opt bench benchmarks/quick.toml --out results/today --workers 4
  zoo-opt bench quick --only FZOO SPSA              these methods now; the command without --only does the rest
  zoo-opt bench quick --again FZOO                  its code has changed: repeat its runs, keep the others
  zoo-opt bench quick --executor dask --workers 2   a dask cluster on this machine
  zoo-opt bench quick --executor dask://node1:8786  more machines: a scheduler that runs already, with its workers
  zoo-opt bench mysuite.toml --restart              put earlier results aside and start over
  zoo-opt bench compare results/before results/after       see zoo-opt bench compare --help
"""

COMPARE = """\
Compare two results of a suite, method by method over the runs that both hold: B's advantage over A, with a confidence
interval and a paired rank test, and the problems that changed most.

A and B are a bench's folder, or a record: runs.jsonl, or what `zoo-opt export` wrote.

examples:
  zoo-opt bench compare benchmarks/results/quick.jsonl.xz results/quick
  zoo-opt bench compare results/before results/after --html change.html
"""

REPORT = """\
Print the tables of a finished or interrupted bench, and write its HTML report.

examples:
  zoo-opt report results/quick                      reads results/quick/runs.jsonl, writes results/quick/report.html
  zoo-opt report benchmarks/results/quick.jsonl.xz         writes benchmarks/results/quick.html
  zoo-opt report results/quick --earlier results/before    with a view of what changed
  zoo-opt report results/quick --markdown table.md         the tables for a README too
"""

PLOT = """\
Draw a figure of a recorded bench with matplotlib (pip install "zoo-opt[plot]"), for a paper or a page.

Each method has a colour of its own; ours are solid lines, other libraries dashed. Methods that ran on fewer problems
than the others are left out and named below the figure.

examples:
  zoo-opt plot results/quick -o ecdf.pdf            fraction of the targets reached, over evaluations
  zoo-opt plot benchmarks/results/bbob.jsonl.xz --group "bbob, 1000 d" --only auto "pycma, BIPOP" -o ecdf.svg
  zoo-opt plot benchmarks/results/digits.jsonl.xz --kind convergence -o digits.png
"""

EXPORT = """\
Write the results of a bench in another form: a small record to keep or send, or COCO's log files.

--record keeps what tables, statistics, reports and comparisons need: the last of repeated runs, numbers to 6 digits,
and about a dozen points of each convergence curve. It is compressed if the name ends in .xz or .gz. The same results
give the same bytes. --coco writes a folder for each method, for `python -m cocopp`.

examples:
  zoo-opt export results/quick --record benchmarks/results/quick.jsonl.xz
  zoo-opt export results/quick --coco results/quick/coco
"""


COMPLETION = """\
Print a script by which a shell completes the words of zoo-opt and zoo-opt-seg (pip install "zoo-opt[completion]").

examples:
  eval "$(zoo-opt completion bash)"                 in ~/.bashrc
  eval "$(zoo-opt completion zsh)"                  in ~/.zshrc, after compinit
  zoo-opt completion fish | source                  in ~/.config/fish/config.fish
"""


def parser() -> argparse.ArgumentParser:
    """The argument parser, for the program and for the documentation."""
    from zoo_opt._version import __version__

    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("zoo-opt", description=MAIN, formatter_class=raw)
    top.add_argument("--version", action="version", version=f"zoo-opt {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, do: Callable[[argparse.Namespace], int], help: str, about: str
    ) -> Callable[..., argparse.Action]:
        made = commands.add_parser(name, help=help, description=about, formatter_class=raw)
        made.set_defaults(do=do)
        return made.add_argument

    add = command("list", do_list, "methods, problems, suites and peers", LIST)
    add("--json", action="store_true", help="print it as JSON")

    add = command("run", do_run, "minimize a function or a named problem", RUN)
    word = add("function", metavar="FUNCTION", help='"module:function", "file.py:function" or a problem\'s name')
    completion.completed_by(word, completion.problems)
    word = add("--method", default="auto", help="registered name (default: auto, which needs no settings)")
    completion.completed_by(word, completion.methods)
    add("--budget", type=int, default=1000, metavar="N", help="evaluations (default: 1000)")
    add("--target", type=float, metavar="LOSS", help="stop at this loss")
    add("--timeout", type=float, metavar="SECONDS", help="stop after this time")
    add("--wait", type=float, default=60.0, metavar="SECONDS", help="how long to wait in an outage (default: 60)")
    add("--patience", type=int, metavar="N", help="stop after N evaluations in a row that do not lower the best loss")
    add("--x0", metavar="START", help='start: "1,2,3", "zeros:N" or a .npy file')
    add(
        "--bounds",
        metavar="BOX",
        help="LOW:HIGH for all variables, or one for each with commas between; a side left empty is open",
    )
    add("--space", metavar="FILE", help="TOML file with named parameters; the function gets a dict of them")
    add("--unpack", action="store_true", help="with --space: pass the parameters as keywords, not as a dict")
    add("--workers", type=int, metavar="N", help="evaluate in N processes (default: in this one)")
    add("--seed", type=int, default=0, help="seed of the method, and of a problem's start (default: 0)")
    word = add("-o", "--option", action="append", default=[], metavar="NAME=VALUE", help="setting of the method")
    completion.completed_by(word, completion.settings)
    add("-p", "--problem-option", action="append", default=[], metavar="NAME=VALUE", help="argument of the problem")
    add("--checkpoint", metavar="FILE", help="journal every loss here, and resume from it if it exists")
    add(
        "--recommend",
        choices=["best", "mean"],
        help="point to return: that of the lowest loss, or the method's mean (default: mean if the problem is noisy)",
    )
    add("--save", metavar="FILE", help="write the result as JSON")
    add("--json", action="store_true", help="print the result as JSON and nothing else")
    add("--quiet", action="store_true", help="no progress bar")

    add = command("bench", do_bench, "run a benchmark suite and report", BENCH)
    word = add("suite", metavar="SUITE", help="a shipped suite's name, or a TOML file")
    completion.completed_by(word, completion.suites)
    add("--out", metavar="DIR", help="where results go (default: results/<suite>)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes, or workers of a local dask cluster (default: the number of cores, at most 8)",
    )
    add(
        "--executor",
        default="processes",
        metavar="WHERE",
        help="processes (default), serial (in this one), dask (a cluster on this machine), or dask://HOST:PORT",
    )
    for option, what in (("--only", "run these methods only, now"), ("--again", "repeat the runs of these methods")):
        add(option, nargs="+", action="extend", default=[], metavar="LABEL", help=what)
    add(
        "--trust",
        action="store_true",
        help='let the file run functions that it names as "module:function", also from this folder',
    )
    add("--restart", action="store_true", help="start over, keeping earlier results as runs.jsonl.old")

    add = command("bench compare", do_compare, "compare two results of a suite", COMPARE)
    add("earlier", metavar="A", help="the earlier result: a bench's folder or a record")
    add("later", metavar="B", help="the later result")
    add("--html", metavar="FILE", help="write B's report with a view of what changed since A")

    add = command("report", do_report, "tables and HTML report from recorded runs", REPORT)
    add("record", metavar="RESULT", help="a bench's folder or a record (.jsonl, .jsonl.xz, .jsonl.gz)")
    add("--html", metavar="FILE", help="where to write (default: beside the record)")
    add("--earlier", metavar="RESULT", help="an earlier result to compare with in the report")
    add("--reference", action="store_true", help="add the portfolios of COCO's archive, which cocopp ships, as curves")
    add("--markdown", metavar="FILE", help="write the tables as Markdown too")

    add = command("plot", do_plot, "a figure of a record: PDF, SVG or PNG", PLOT)
    add("record", metavar="RESULT", help="a bench's folder or a record")
    add("--kind", choices=["ecdf", "convergence"], default="ecdf", help="what to draw (default: ecdf)")
    add("--group", default="", metavar="NAME", help="a group of the suite (default: its first)")
    add("--only", nargs="+", action="extend", default=[], metavar="LABEL", help="these methods, in this order")
    add("-o", "--output", required=True, metavar="FILE", help="where to write: .pdf, .svg, .png or .eps")

    add = command("export", do_export, "a small record to keep, or COCO's log files", EXPORT)
    add("results", metavar="RESULT", help="a bench's folder or a record")
    add("--record", metavar="FILE", help="write a small record (.jsonl, .jsonl.xz or .jsonl.gz)")
    add("--coco", metavar="DIR", help="write COCO's log files, a folder for each method")

    add = command("completion", completion.do_completion, "completion of command lines in a shell", COMPLETION)
    add("shell", choices=completion.SHELLS)
    return top

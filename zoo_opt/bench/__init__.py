"""Benchmarks: problems, suites, a runner that resumes, statistics and a report. Never imported by the core."""

from __future__ import annotations

from zoo_opt.bench.engine.record import Record, canonical, read_record
from zoo_opt.bench.engine.runner import run_suite, run_task
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted
from zoo_opt.bench.problems.protocol import NoisyProblem
from zoo_opt.bench.problems.registry import Bbob, BbobLargescale, BbobNoisy, Problem, Sphere, make_problem
from zoo_opt.bench.problems.wrappers import Wrapped
from zoo_opt.bench.report.html import write_report
from zoo_opt.bench.report.table import print_summary
from zoo_opt.bench.solvers import Solver, make_solver
from zoo_opt.bench.suite import Suite, SuiteError, load_suite

__all__ = [
    "Bbob",
    "BbobLargescale",
    "BbobNoisy",
    "BudgetExceeded",
    "Counted",
    "NoisyProblem",
    "Problem",
    "Record",
    "Solver",
    "Sphere",
    "Suite",
    "SuiteError",
    "Wrapped",
    "canonical",
    "load_suite",
    "make_problem",
    "make_solver",
    "print_summary",
    "read_record",
    "run_suite",
    "run_task",
    "write_report",
]

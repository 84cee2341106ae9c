"""Benchmarks: problems, suites, a runner that resumes, statistics and a report. Never imported by the core."""

from __future__ import annotations

from .counting import BudgetExceeded, Counted
from .problems import Bbob, BbobLargescale, BbobNoisy, Problem, Sphere, make_problem
from .protocol import NoisyProblem
from .record import Record, canonical, read_record
from .report import write_report
from .runner import run_suite, run_task
from .solvers import Solver, make_solver
from .suite import Suite, SuiteError, load_suite
from .table import print_summary
from .wrappers import Wrapped

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

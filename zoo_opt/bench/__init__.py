"""Benchmarks: problems, suites, a runner that resumes, statistics and a report. Never imported by the core."""

from __future__ import annotations

from zoo_opt.bench.engine.job import ExecutorError, Job, run_job
from zoo_opt.bench.engine.record import Record, read_record
from zoo_opt.bench.engine.runner import run_jobs
from zoo_opt.bench.engine.session import Experiment
from zoo_opt.bench.problems.coco import Bbob, BbobLargescale, BbobNoisy
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted
from zoo_opt.bench.problems.protocol import NoisyProblem, Problem
from zoo_opt.bench.problems.registry import make_problem
from zoo_opt.bench.problems.sphere import SphereProblem
from zoo_opt.bench.problems.wrappers import Wrapped
from zoo_opt.bench.report.html import write_report
from zoo_opt.bench.report.terminal import print_summary
from zoo_opt.bench.solvers import Solver, make_solver
from zoo_opt.bench.suite import Suite, SuiteError, load_suite
from zoo_opt.bench.suite_record import canonical
from zoo_opt.bench.suite_runner import run_suite
from zoo_opt.bench.task import run_task

__all__ = [
    "Bbob",
    "BbobLargescale",
    "BbobNoisy",
    "BudgetExceeded",
    "Counted",
    "ExecutorError",
    "Experiment",
    "Job",
    "NoisyProblem",
    "Problem",
    "Record",
    "Solver",
    "SphereProblem",
    "Suite",
    "SuiteError",
    "Wrapped",
    "canonical",
    "load_suite",
    "make_problem",
    "make_solver",
    "print_summary",
    "read_record",
    "run_job",
    "run_jobs",
    "run_suite",
    "run_task",
    "write_report",
]

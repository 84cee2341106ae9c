"""Benchmarks: problems, suites, a runner that resumes, statistics and a report. Never imported by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt.bench.engine.job import ExecutorError as ExecutorError
    from zoo_opt.bench.engine.job import Job as Job
    from zoo_opt.bench.engine.job import run_job as run_job
    from zoo_opt.bench.engine.record import Record as Record
    from zoo_opt.bench.engine.record import read_record as read_record
    from zoo_opt.bench.engine.runner import run_jobs as run_jobs
    from zoo_opt.bench.engine.session import Experiment as Experiment
    from zoo_opt.bench.problems.coco import Bbob as Bbob
    from zoo_opt.bench.problems.coco import BbobLargescale as BbobLargescale
    from zoo_opt.bench.problems.coco import BbobNoisy as BbobNoisy
    from zoo_opt.bench.problems.counting import BudgetExceeded as BudgetExceeded
    from zoo_opt.bench.problems.counting import Counted as Counted
    from zoo_opt.bench.problems.protocol import NoisyProblem as NoisyProblem
    from zoo_opt.bench.problems.protocol import Problem as Problem
    from zoo_opt.bench.problems.registry import make_problem as make_problem
    from zoo_opt.bench.problems.sphere import SphereProblem as SphereProblem
    from zoo_opt.bench.problems.wrappers import Wrapped as Wrapped
    from zoo_opt.bench.report.html import write_report as write_report
    from zoo_opt.bench.report.terminal import print_summary as print_summary
    from zoo_opt.bench.solvers import Solver as Solver
    from zoo_opt.bench.solvers import make_solver as make_solver
    from zoo_opt.bench.suite import Suite as Suite
    from zoo_opt.bench.suite import SuiteError as SuiteError
    from zoo_opt.bench.suite import load_suite as load_suite
    from zoo_opt.bench.suite_record import canonical as canonical
    from zoo_opt.bench.suite_runner import run_suite as run_suite
    from zoo_opt.bench.task import run_task as run_task
    from zoo_opt.support.declaring import factory as factory

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)

"""A job: work that is done once and recorded. Its entry is the same wherever and in whatever company it was done."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support.json_files import plain
from zoo_opt.support.secrets import hidden

Entry = dict[str, Any]


class ExecutorError(OSError):
    """The jobs cannot be done where they should; what has finished is in the record."""


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Parameters
    ----------
    key : str
        Tells it from all other jobs: say, a hash of all that its result depends on. A job whose key is in the record
        with a result is not done again.
    label : str
        What messages call it.
    run : callable
        ``run()`` does it and returns what goes into its entry of the record: plain values, numpy's included, by name.
        An exception becomes the entry's ``error``, but for an `ExecutorError`, and `zoo_opt.NotServed` and `Refused`
        of a service that it asks: these end the experiment, and the job is not recorded. To be done in other processes
        it must be picklable: a function of a module, or ``functools.partial`` of one.
    head : mapping
        What the entry says of the job besides, its settings for example; if empty, its label.
    lost : callable
        ``lost()`` returns what goes into the entry in place of what ``run`` returns where that came to no end.
    pace : (str, int)
        Name and size of its kind of work, to estimate the time left: jobs of the same pace take seconds in proportion
        to their `work`, and those of the same name and another size resemble it more than the rest do.
    work : float
    """

    key: str
    label: str
    run: Callable[[], Mapping[str, Any]]
    head: Mapping[str, Any] = field(default_factory=dict)
    lost: Callable[[], Mapping[str, Any]] = dict
    pace: tuple[str, int] = ("", 0)
    work: float = 1.0


def run_job(job: Job) -> Entry:
    """Do a job and return its entry for the record; an exception becomes the entry's ``error``.

    Raises
    ------
    ExecutorError
        If the job says that it cannot be done here, or what it asks does not serve it.
    """
    start = time.process_time()
    try:
        return _entry(job, checked(job.run()), time.process_time() - start)
    except ExecutorError as error:
        raise ExecutorError(f"{job.label}: {error}") from error
    except (NotServed, Refused) as error:
        raise ExecutorError(f"{job.label}: {hidden(str(error))}; the same command goes on from here") from error
    except Exception:
        failed = {**job.lost(), "error": hidden(traceback.format_exc(limit=-4))}
        return _entry(job, failed, time.process_time() - start)


def checked(result: Any) -> Mapping[str, Any]:
    """Return what a job gave, or raise if it cannot be a line of the record."""
    if not isinstance(result, Mapping):
        raise TypeError(f"run must return a mapping of what is to be recorded, got {result!r}")
    if taken := {"kind", "key"} & set(result):
        raise ValueError(f"run must leave the record's own keys alone, got {', '.join(sorted(taken))}")
    if not isinstance(result.get("error"), str | None):
        raise TypeError(f"run must say an error in words or not at all, got {result['error']!r}")
    return result


def lost_job(job: Job, error: str) -> Entry:
    """The entry of a job that took its process with it."""
    return _entry(job, {**job.lost(), "error": error}, 0.0)


def _entry(job: Job, result: Mapping[str, Any], seconds: float) -> Entry:
    """The line of the record; seconds of CPU time, unless the job measured them itself."""
    entry = {"kind": "run", "key": job.key, **(job.head or {"label": job.label}), **result}
    return dict(plain({**entry, "error": entry.get("error"), "seconds": entry.get("seconds", round(seconds, 3))}))

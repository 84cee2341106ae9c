"""Results that are waited for: what is kept of a job, where its state is asked for, and what that says."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any
from urllib.parse import quote

from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import BlackBoxError, Unanswerable
from zoo_opt_seg.remote.codecs.reading import json_value, shown
from zoo_opt_seg.remote.exchange import Reply, Request, presentable
from zoo_opt_seg.remote.mapping.forms import JobForm
from zoo_opt_seg.remote.mapping.templates import as_json, filled_in

_LETTERS = 2000  # of what is kept of a job; chosen
_SAID = 200  # letters of what it says


def named(form: JobForm, reply: Reply) -> dict[str, Any]:
    """Return what is kept of the first reply, by name.

    Raises
    ------
    Unanswerable
        If it is not there, or nothing that names a job.
    """
    told = json_value(reply.content, "the reply")
    names = {name: path.one(told, "the reply") for name, path in form.names.items()}
    for name, value in names.items():
        if type(value) not in (str, int) or not 0 < len(str(value)) <= _LETTERS or str(value) in (".", ".."):
            raise Unanswerable(f"the reply must name its job, got {shown(value)} as {name}")
    return names


def kept(names: Mapping[str, Any]) -> str:
    """Return a job as a text, for the ledger."""
    return as_json(dict(names))


def recalled(form: JobForm, text: str) -> dict[str, Any]:
    """Return the job that a text stands for.

    Raises
    ------
    ValueError
        If it is none of this mapping.
    """
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, dict) or set(names) != set(form.names) or {type(v) for v in names.values()} - {str, int}:
        raise ValueError(f"job must be one of this service, got {hidden(text)!r:.80}")
    return names


def waited(
    form: JobForm, names: Mapping[str, Any], first: Reply | None, allowed: Callable[[Any], str]
) -> Generator[Request, Reply, Reply]:
    """Wait for a job, and return the reply that has its result.

    Parameters
    ----------
    form : JobForm
    names : mapping
        What is kept of it.
    first : Reply or None
        To the request that began it, which may have the result already.
    allowed : callable
        Returns an address that may be asked, or raises.
    """
    job, url, reply, every = kept(names), address(form.url, names, allowed), first, 0.0
    done = first is not None and _has_begun_done(form, first)
    while not done:
        reply = yield Request(url, method="GET", paid=False, after=every if first is None else form.every, job=job)
        done, every = _is_done(form, reply), form.every
    if form.result:
        reply = yield Request(address(form.result, names, allowed), method="GET", paid=False, job=job)
    assert reply is not None
    return reply


def address(template: str, names: Mapping[str, Any], allowed: Callable[[Any], str]) -> str:
    """Return an address with what is kept of a job in it: at its begin as it is, else with ``/`` and the like quoted.

    Raises
    ------
    Unanswerable
        If it may not be asked.
    """
    begins = template.startswith("{job.")
    values = {f"job.{name}": str(value) if begins else quote(str(value), safe="") for name, value in names.items()}
    return allowed(filled_in(template, values))


def _has_begun_done(form: JobForm, first: Reply) -> bool:
    """Whether the reply that began a job has its result already, as where the service waits for it itself."""
    if form.state is None or form.state.find(json_value(first.content, "the reply")) is None:
        return False
    return _is_done(form, first)


def _is_done(form: JobForm, reply: Reply) -> bool:
    """Whether a job is done.

    Raises
    ------
    BlackBoxError
        If it failed.
    """
    if form.state is None:
        return reply.status not in form.waiting
    told = json_value(reply.content, "the reply")
    state = form.state.one(told, "the reply")
    if state in form.failed:
        said = None if form.error is None else form.error.find(told)
        words = "" if said in (None, "") else f": {presentable(said, _SAID)}"
        raise BlackBoxError(f"the job has {state}{words}")
    return state in form.done

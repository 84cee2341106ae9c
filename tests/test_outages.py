"""An outage is no failed evaluation: nothing is told and nothing charged, and the run ends as if it had never been."""

import errno
import io
import math
import pickle
import random
import socket
import threading
import time
import types
import urllib.error
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from email.message import Message
from email.utils import formatdate

import numpy as np
import pytest
from refusals import refused

import zoo_opt as zo
from zoo_opt import outage
from zoo_opt.cli.arguments import parser
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.run import INTERRUPTED, NOT_SERVED, REFUSED, TIMEOUT
from zoo_opt.testing import sphere

X0 = np.ones(4)
SETTINGS = {"method": "cma-es", "budget": 120, "rng": 0}


class Flaky:
    """The sphere by a service: every question for which ``down(k)`` is true, k = 1, 2, ..., raises ``error``."""

    def __init__(self, down, error=zo.NotServed):
        self.down, self.error, self.asked, self.served, self.lock = down, error, 0, 0, threading.Lock()

    def __call__(self, x):
        with self.lock:
            self.asked += 1
            if self.down(self.asked):
                raise self.error("nobody answers")
            self.served += 1
        return sphere(x) if x.ndim == 1 else np.array([sphere(row) for row in x])


@pytest.fixture
def slept(monkeypatch):
    """The pauses, on a clock of their own: nothing sleeps, and each is as long as it may be."""
    pauses = []
    monkeypatch.setattr(outage, "_share", lambda: 1.0)
    clock = types.SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses), time=outage.time.time)
    monkeypatch.setattr(outage, "time", clock)
    return pauses


def same(result, whole):
    """Whether a run is the other one, bit for bit, in what it found and in what it counted."""
    told = [(r.nfev, r.nit, r.nfail, r.status, r.message, r.fun, r.failures) for r in (result, whole)]
    return told[0] == told[1] and all(
        np.array_equal(a, b) for a, b in ((result.x, whole.x), (result.history.loss, whole.history.loss))
    )


HOW = {
    "alone": {},
    "whole steps": {"vectorized": True},
    "threads": {"executor": 4},
    "final": {"recommend": "mean"},
    "a final by threads": {"recommend": "mean", "executor": 2},
}


def run(f, executor=None, **settings):
    """A run; with a number for the executor, on so many threads."""
    if executor is None:
        return zo.minimize(f, X0, **(SETTINGS | settings))
    with ThreadPoolExecutor(executor) as pool:
        return zo.minimize(f, X0, executor=pool, **(SETTINGS | settings))


@pytest.mark.parametrize("how", HOW)
def test_a_run_waits_for_the_end_of_an_outage(how, slept):
    settings = HOW[how]
    whole, f = run(sphere if "vectorized" not in settings else Flaky(lambda k: False), **settings), None
    f = Flaky(lambda k: k % 3 == 1 or 30 < k < 40)
    assert same(run(f, **settings), whole)
    assert f.asked > f.served and f.served == (whole.nit if "vectorized" in settings else whole.nfev)
    assert slept and max(slept) <= 30.0


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("first", [1, 40, None])  # None: the last one
def test_a_run_that_stops_goes_on_as_if_nothing_had_been(how, first, tmp_path):
    """Down at some question, and twice more when the same call is made again: nothing is told, nothing repeated."""
    settings, down = HOW[how] | {"checkpoint": tmp_path / "run.zoo", "wait": 0}, [True]
    whole = run(Flaky(lambda k: False), **HOW[how])
    questions = whole.nit if "vectorized" in settings else whole.nfev
    first = questions if first is None else min(first, questions // 2)
    f = Flaky(lambda k: down[0] and k >= first)
    for _ in range(3):
        try:
            result = run(f, **settings)
        except NotServed as error:  # nothing was paid for
            assert first == 1 and str(error) == "nobody answers"
        else:
            assert (result.status, result.success) == (NOT_SERVED, False) and f.served > 0
            assert result.message == "evaluations are not served any more: nobody answers"
    down[0] = False
    assert same(run(f, **settings), whole)
    assert f.served == questions


def test_what_workers_were_served_is_kept(tmp_path):
    """The service goes down for one of four calls in flight: the others are told before the run stops."""
    f = Flaky(lambda k: k == 11 or k > 14)
    result = run(f, executor=4, checkpoint=tmp_path / "run.zoo", wait=0)
    assert result.status == NOT_SERVED and result.nfev == f.served >= 10
    assert zo.Optimizer.load(tmp_path / "run.zoo").nfev == f.served


@pytest.mark.parametrize("executor", [None, 1, 4])
def test_a_wrong_key_costs_one_call(executor):
    f = Flaky(lambda k: True, zo.Refused)
    with pytest.raises(Refused, match="nobody answers"):
        run(f, executor=executor)
    assert f.served == 0 and f.asked <= (executor or 1)


@pytest.mark.parametrize("executor", [None, 1, 4])
def test_a_key_that_runs_out_ends_the_run_with_what_was_paid_for(executor):
    f = Flaky(lambda k: k > 50, zo.Refused)
    result = run(f, executor=executor)
    assert (result.status, result.nfev, f.served) == (REFUSED, 50, 50) and math.isfinite(result.fun)
    assert result.message == "evaluations are refused: nobody answers" and not result.success
    assert f.asked <= 50 + (executor or 1)


# ------------------------------------------------------------------------------------------------------- the waiting
def test_pauses_double_up_to_half_a_minute_and_end_with_the_wait(slept):
    result = run(Flaky(lambda k: k > 7), wait=100)
    assert result.status == NOT_SERVED and result.nfev == 7
    np.testing.assert_allclose(slept, [*(0.1 * 2**k for k in range(9)), 30.0, 18.9])


def test_pauses_are_drawn_and_no_random_numbers_of_a_run_are(slept, monkeypatch):
    shares = iter([0.5, 0.0, 1.0, *[0.25] * 99])
    monkeypatch.setattr(outage, "_share", lambda: next(shares))
    before = random.getstate()
    assert same(run(Flaky(lambda k: 7 < k < 12)), run(sphere))
    np.testing.assert_allclose(slept, [0.05, 0.0, 0.4, 0.2])
    assert random.getstate() == before


def test_shares_of_pauses_fill_their_range():
    shares = [outage._share() for _ in range(1000)]
    assert 0.0 <= min(shares) < 0.05 and 0.95 < max(shares) < 1.0


def test_an_outage_begins_anew_after_an_answer(slept):
    assert run(Flaky(lambda k: k % 5), wait=2).nfev == 120  # four in a row: 0.1 + 0.2 + 0.4 + 0.8 s
    assert sum(slept) > 100


@pytest.mark.parametrize(("after", "pauses"), [(7.0, [7.0, 7.0]), (0.0, 200), (20.0, [20.0]), (21.0, [])])
def test_the_service_says_when(after, pauses, slept):
    def f(x):
        raise NotServed("busy", retry_after=after)

    with pytest.raises(NotServed, match="busy"):
        run(f, wait=20)
    assert np.allclose(slept, pauses) if isinstance(pauses, list) else abs(len(slept) - pauses) <= 1, slept


@pytest.mark.parametrize("after", [math.inf, math.nan, -1.0, None])
def test_a_service_that_says_no_time(after, slept):
    assert NotServed("busy", retry_after=after).retry_after is None


@pytest.mark.parametrize("executor", [None, 2])
def test_the_time_of_a_run_ends_in_an_outage_too(executor):
    result = run(Flaky(lambda k: k > 7), executor=executor, wait=math.inf, timeout=0.3)
    assert (result.status, result.nfev) == (TIMEOUT, 7)


def test_the_command_line_waits_as_long():
    assert parser().parse_args(["run", "sphere"]).wait == outage.WAIT


def test_an_interrupt_ends_the_waiting(monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(outage.time, "sleep", interrupted)
    assert run(Flaky(lambda k: k > 7)).status == INTERRUPTED


test_waits_that_are_none = refused(
    lambda **given: run(sphere, **given),
    ({"wait": -1}, "wait must be >= 0, got -1"),
    ({"wait": math.nan}, "wait must not be NaN"),
    ({"wait": "long"}, TypeError, "wait must be a real number"),
)


# ----------------------------------------------------------------------------------------------- what counts as one
class OwnNotServed(NotServed):
    """An adapter's own, which cannot be made from its words."""

    def __init__(self, url, code):
        super().__init__(f"{url}: {code}", retry_after=3.0)


def hangs_up(x):
    raise OwnNotServed("https://example.org", 503)


def test_processes_send_it_as_it_is():
    again = pickle.loads(pickle.dumps(OwnNotServed("here", 429)))
    assert (type(again), str(again), again.retry_after) == (NotServed, "here: 429", 3.0)
    again = pickle.loads(pickle.dumps(Refused("no key")))
    assert (type(again), str(again)) == (Refused, "no key")
    with ProcessPoolExecutor(1) as pool, pytest.raises(NotServed, match=r"https://example\.org: 503"):
        zo.minimize(hangs_up, X0, executor=pool, wait=0, **SETTINGS)


def of_package(module, name, bases=(Exception,), **attributes):
    """An exception that a package would raise; it need not be installed."""
    error = type("Inherited", (type(name, bases, {"__module__": module}),), {"__module__": "mine"})("words")
    vars(error).update(attributes)
    return error


def status(code, headers=None, name="HTTPError"):
    """What ``raise_for_status`` raises."""
    return of_package("requests.exceptions", name, response=types.SimpleNamespace(status_code=code, headers=headers))


def of_urllib(code, **headers):
    """What ``urlopen`` raises."""
    message = Message()
    for key, value in headers.items():
        message[key.replace("_", "-")] = value
    return urllib.error.HTTPError("https://example.org", code, "words", message, io.BytesIO())


def of_aiohttp(code, headers=None):
    """What its ``raise_for_status`` raises: the response itself, without a ``code`` that is not deprecated."""
    return of_package("aiohttp.client_exceptions", "ClientResponseError", status=code, headers=headers)


OUTAGES = [
    ConnectionRefusedError("down"),
    ConnectionResetError("down"),
    BrokenPipeError("down"),
    TimeoutError("slow"),
    TimeoutError("slow"),
    socket.gaierror(-3, "no name"),
    OSError(errno.EHOSTUNREACH, "no route"),
    urllib.error.URLError(ConnectionRefusedError("down")),
    of_package("requests.exceptions", "ConnectionError"),
    of_package("requests.exceptions", "Timeout"),
    of_package("httpx", "TimeoutException"),
    of_package("httpx._exceptions", "NetworkError"),
    of_package("urllib3.exceptions", "ProtocolError"),
    of_package("aiohttp.client_exceptions", "ClientConnectionError"),
    of_package("aiohttp.client_exceptions", "ClientPayloadError"),
    of_aiohttp(503),
    *(status(code) for code in (408, 425, 429, 502, 503, 504)),
    status(503, name="HTTPStatusError"),
    of_urllib(503),
]
FAILURES = [
    ValueError("words"),
    FileNotFoundError(errno.ENOENT, "no file"),
    PermissionError(errno.EACCES, "no right"),
    of_package("mine", "Timeout"),
    of_package("httpx", "UnsupportedProtocol"),
    status(500),
    status(400),
    of_urllib(500),
    of_aiohttp(500),
    of_package("mine", "Failure", code=503),  # a code, but not of HTTP
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: f"{type(error).__mro__[1].__name__}-{error}")
def test_what_is_an_outage(error, slept):
    def ask(x):
        raise error

    with pytest.raises(NotServed, match=type(error).__name__) as caught:
        run(zo.as_service(ask), wait=0)
    assert caught.value.__cause__ is error
    with pytest.raises(zo.ObjectiveError):  # a plain objective: a failed evaluation, as of a solver out of time
        run(ask, wait=0)


def test_no_secret_is_said(caplog):
    f = Flaky(lambda k: k > 9, lambda words: NotServed("https://me:pass123word@example.org/x?api_key=abcdef123456"))
    said = run(f, wait=0.15).message + caplog.text
    assert "example.org" in said and "pass123word" not in said and "abcdef123456" not in said
    known = outage.service_error(ConnectionError("https://me:pass123word@example.org"))
    assert "pass123word" not in str(known)


@pytest.mark.parametrize("code", [401, 402, 403, 404, 405, 410])
def test_what_is_a_refusal(code):
    for error in (status(code), of_urllib(code), of_aiohttp(code)):
        assert type(outage.service_error(error)) is Refused


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: f"{type(error).__name__}-{error}")
def test_what_is_a_failed_evaluation(error):
    assert outage.service_error(error) is None

    def ask(x):
        raise error

    with pytest.raises(zo.ObjectiveError):
        run(zo.as_service(ask))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("2.5", 2.5), ("soon", None), ("", None), (None, None), ("date", 100.0)],
)
def test_retry_after_in_both_forms(header, seconds):
    header = formatdate(outage.time.time() + 100, usegmt=True) if header == "date" else header
    told = {"retry-after": header}
    for error in (
        status(429, told),
        of_aiohttp(429, told),
        of_urllib(429, **({"Retry_After": header} if header else {})),
    ):
        found = outage.service_error(error).retry_after
        assert found is seconds is None or math.isclose(found, seconds, abs_tol=2.0)


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Tokyo"])
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_a_date_to_ask_again_is_of_utc_and_counts_from_the_responses_own(zone, form, monkeypatch):
    """In all three forms of RFC 9110; whatever this machine takes for its zone, and whatever its clock says."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = time.time()
        then, there = (time.strftime(form, time.gmtime(at)) for at in (now + 100, now))
        assert math.isclose(outage.retry_after({"Retry-After": then}), 100.0, abs_tol=2.0)
        monkeypatch.setattr(outage.time, "time", lambda: now + 86_400.0)  # the clock is a day ahead
        for date in ("Date", "date"):
            assert outage.retry_after({"Retry-After": then, date: there}) == 100.0
        assert outage.retry_after({"Retry-After": then, "Date": "soon"}) == 0.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_service_is_asked_as_the_objective_would_be():
    service = zo.as_service(sphere)
    assert same(run(service), run(sphere)) and pickle.loads(pickle.dumps(service)) == service
    with pytest.raises(TypeError, match="fun must be callable, got 3"):
        zo.as_service(3)


def test_calibration_waits_too(slept):
    plain, f = (zo.calibrate(g, X0, "fzoo", rng=0) for g in (sphere, Flaky(lambda k: k % 4 == 2)))
    assert f == plain and slept


def test_a_service_that_wants_to_be_asked_in_a_million_years_is_waited_for(monkeypatch):
    asked = []

    def sleep(seconds):
        asked.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(outage.time, "sleep", sleep)
    f = Flaky(lambda k: k == 9, lambda words: NotServed(words, retry_after=3e13))
    assert run(f, wait=math.inf).status == INTERRUPTED
    assert asked == [threading.TIMEOUT_MAX]  # the longest that a system sleeps, else an OverflowError

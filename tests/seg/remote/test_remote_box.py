"""A service as a black box: rows, failures, what is asked again and what is not."""

import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from seg.remote.npz_service import NpzAdapter, Service, bright, packed

from zoo_opt import outage
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.blackbox import BlackBoxError, Cached, PartlyAnswered, Served, SeveralBoxes, Unanswerable
from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.blackbox.protocol import BlackBoxGone
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote import attempts
from zoo_opt_seg.remote import box as box_module
from zoo_opt_seg.remote.box import RemoteBlackBox
from zoo_opt_seg.remote.exchange import Request
from zoo_opt_seg.remote.ledger import CapReached, Ledger
from zoo_opt_seg.remote.ledger_file import read_ledger
from zoo_opt_seg.remote.rate import Rate
from zoo_opt_seg.remote.terms import Terms

N = 12
IMAGES = np.random.default_rng(0).random((N, 16, 20, 3), dtype=np.float32)
POINTS = Prompts(points=np.arange(2 * N, dtype=np.float32).reshape(N, 1, 2) % 16)
WHOLE = bright(IMAGES, POINTS)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Outages are waited for a little only."""
    monkeypatch.setattr(outage, "_share", lambda: 0.05)


def boxed(service, polls=None, **terms):
    return RemoteBlackBox(NpzAdapter(service.url, polls), Terms(**{"workers": 4, **terms}))


def told(status, numbers, **headers):
    """Answers the requests of these numbers with a status."""

    def upset(number, handler):
        if number in numbers:
            handler.answer(status, b"words", **headers)
        return number in numbers

    return upset


@pytest.mark.parametrize("images", [IMAGES, (IMAGES * 255).astype(np.uint8)], ids=["float32", "uint8"])
@pytest.mark.parametrize("polls", [None, 2])
def test_answers_are_those_of_the_model_bit_for_bit(images, polls):
    with Service() as service, boxed(service, polls) as box:
        assert np.array_equal(box(images, POINTS), bright(images, POINTS))
        assert box(images[:0], POINTS[:0]).shape == (0, 16, 20)
        assert (service.served, box.spent.calls, box.spent.images, box.spent.perhaps) == (N, N, N, 0)
        assert (box.name, box.label, box.prompted_by) == ("npz:test", "npz:test", "points")
        assert box.adapter.checks == 1


def test_hard_masks_stay_bool():
    with Service(lambda images, prompts: bright(images, prompts) > 0.3) as service, boxed(service) as box:
        answer = box(IMAGES, POINTS)
    assert answer.dtype == np.bool_ and np.array_equal(answer, WHOLE > 0.3)


def test_workers_are_in_flight_together_and_no_more():
    most = []

    def model(images, prompts):
        with lock:
            flying.append(1)
            most.append(len(flying))
        time.sleep(0.05)
        with lock:
            flying.pop()
        return bright(images, prompts)

    flying, lock = [], threading.Lock()
    with Service(model) as service, boxed(service, workers=3) as box:
        box(IMAGES, POINTS)
    assert max(most) == 3


def test_a_row_that_fails_is_part_of_an_answer_and_asked_again_alone():
    with Service(upset=told(500, {3, 15})) as service, boxed(service) as box:
        with pytest.raises(PartlyAnswered) as raised:
            box(IMAGES, POINTS)
        ((row, error),) = raised.value.errors.items()
        assert type(error) is BlackBoxError and "answered 500: words" in str(error)
        there = raised.value.answered
        assert row not in there and np.array_equal(raised.value.masks[there], WHOLE[there])
        assert np.array_equal(Served(box)(IMAGES, POINTS), WHOLE)
        assert len(service.asked) == 2 * N + 1 and box.spent.failed == 2 and box.spent.calls == 2 * N + 1


def test_what_is_never_taken_is_asked_once():
    with Service(upset=told(422, {2})) as service, boxed(service, workers=1) as box:
        answer = Served(box)(IMAGES, POINTS)
        assert np.isnan(answer[1]).all() and np.array_equal(answer[2:], WHOLE[2:])
        assert len(service.asked) == N
        with pytest.raises(Unanswerable, match="answered 422"):
            Served(box)(IMAGES[1:2], POINTS[1:2])
        assert len(service.asked) == N


def test_an_outage_ends_the_asking_and_is_waited_for():
    with Service(upset=told(503, {2, 3, 4}, Retry_After="0")) as service, boxed(service, workers=1) as box:
        with pytest.raises(PartlyAnswered) as raised:
            box(IMAGES, POINTS)
        assert raised.value.answered == [0] and len(service.asked) == 2  # no more once it has said so
        assert np.array_equal(Served(box)(IMAGES, POINTS), WHOLE)
        assert box.spent.unserved == 3 and box.spent.calls == service.served == N + 1


def test_a_refusal_ends_at_once():
    with Service(upset=told(401, range(99))) as service, boxed(service, workers=2) as box:
        with pytest.raises(Refused, match="answered 401: words"):
            Served(box)(IMAGES, POINTS)
        assert len(service.asked) <= 2 and box.spent.calls == 0 and box.spent.refused == len(service.asked)


def test_nobody_listens_and_nothing_is_paid():
    with Service() as service:
        pass
    with boxed(service) as box, pytest.raises(NotServed, match="did not answer"):
        box(IMAGES, POINTS)
    assert box.spent.calls == 0 and box.spent.unsent >= 1


def dropped(numbers):
    def upset(number, handler):
        if number in numbers:
            handler.server.served += 1
            handler.drop()
        return number in numbers

    return upset


def test_an_answer_that_was_lost_is_asked_for_again_once():
    with Service(upset=dropped({4})) as service, boxed(service) as box:
        assert np.array_equal(Served(box)(IMAGES, POINTS), WHOLE)
        assert service.served == N + 1 == box.spent.calls and box.spent.perhaps == 1


@pytest.mark.parametrize("repeats", [0, 1, 3])
def test_an_answer_that_is_always_lost_is_a_failed_image(repeats):
    with Service(upset=dropped(range(99))) as service, boxed(service, repeats=repeats, price=0.5) as box:
        times = "once" if repeats == 0 else f"{repeats + 1} times"
        for _ in range(2):  # in whatever way it is asked for again
            with pytest.raises(Unanswerable, match=f"never answered: it was perhaps paid {times}, and is not asked"):
                Served(box)(IMAGES[:1], POINTS[:1])
        assert service.served == repeats + 1 == box.spent.perhaps == box.spent.calls
        assert box.spent.money == 0.5 * (repeats + 1)


def test_one_image_that_is_always_lost_spoils_no_other():
    bad = packed(image=IMAGES[5])[-2000:-1000]

    def upset(number, handler):
        if bad in handler.body:
            handler.drop()
        return bad in handler.body

    with Service(upset=upset) as service, boxed(service) as box:
        answer = Served(box)(IMAGES, POINTS)
        assert np.isnan(answer[5]).all() and np.array_equal(np.delete(answer, 5, 0), np.delete(WHOLE, 5, 0))
        assert service.served == N - 1 and box.spent.perhaps == 2


def test_an_answer_that_cannot_be_read_is_paid_and_fails():
    def upset(number, handler):
        if number == 1:
            handler.answer(200, b"no npz")
        if number == 2:
            handler.answer(200, packed(mask=np.zeros((3, 3), np.float32)))
        return number in (1, 2)

    with Service(upset=upset) as service, boxed(service, workers=1) as box:
        with pytest.raises(PartlyAnswered) as raised:
            box(IMAGES, POINTS)
        assert [str(error)[:12] for error in raised.value.errors.values()] == ["unreadable: ", "the adapter "]
        assert box.spent.calls == N and box.spent.failed >= 1


def test_a_question_that_cannot_be_put_is_an_error_and_sends_nothing():
    class Adapter(NpzAdapter):
        def question(self, image, prompts, job=""):
            raise ValueError("points must be given")
            yield

    with Service() as service, RemoteBlackBox(Adapter(service.url), Terms()) as box:
        with pytest.raises(ValueError, match="points must be given"):
            box(IMAGES, POINTS)
        assert service.asked == []


def test_settings_that_do_not_fit_are_said_before_the_first_question():
    class Adapter(NpzAdapter):
        def check(self, ask):
            if ask(Request(f"{self.url}/meta", method="GET", paid=False)).content != b"v2":
                raise ValueError("the service has v1")

    def upset(number, handler):
        if handler.path == "/meta":
            handler.answer(*answers.pop(0))
        return handler.path == "/meta"

    answers = [(503, b""), (200, b"v1"), (200, b"v2")]
    with Service(upset=upset) as service, RemoteBlackBox(Adapter(service.url), Terms()) as box:
        for kind in (NotServed, ValueError):
            with pytest.raises(kind):
                box(IMAGES, POINTS)
        assert service.served == 0
        assert np.array_equal(box(IMAGES, POINTS), WHOLE)


# ------------------------------------------------------------------------------------------------------ caps


@pytest.mark.parametrize(
    ("cap", "done"),
    [({"most_calls": 5}, 5), ({"most_money": 2.5}, 5), ({"most_calls": 0}, 0), ({"most_seconds": 0}, 0)],
)
@pytest.mark.parametrize("ledger", [True, False])
def test_a_cap_is_raised_before_sending(cap, done, ledger, tmp_path):
    terms = {"price": 0.5, "workers": 1, **cap, **({"ledger": tmp_path / "ledger"} if ledger else {})}
    with Service() as service, boxed(service, **terms) as box:
        with pytest.raises(CapReached, match=r"are spent.*nothing more is sent"):
            Served(box)(IMAGES, POINTS)
        assert service.served == len(service.asked) == done
    with Service() as service, boxed(service, **terms) as box:  # another process
        if ledger:
            with pytest.raises(CapReached):
                box(IMAGES, POINTS)
            assert service.asked == []


def test_seconds_of_what_is_in_flight_count_for_their_cap(tmp_path):
    """By what a call took on average: eight of them at the limit would be over it."""
    terms = {"ledger": tmp_path / "ledger", "workers": 8}
    with Service(delay=0.1) as service:
        with boxed(service, **terms) as box:
            box(IMAGES[:2], POINTS[:2])
            each = box.spent.seconds / 2
        with boxed(service, **terms, most_seconds=each * 5.5) as box, pytest.raises(PartlyAnswered, match="CapReached"):
            box(IMAGES, POINTS)
        assert service.served <= 2 + 3


def test_what_is_not_served_is_not_paid_and_does_not_count_for_a_cap():
    upset = told(429, set(range(1, 30, 2)), Retry_After="0")
    with Service(upset=upset) as service, boxed(service, most_calls=N, workers=1) as box:
        assert np.array_equal(Served(box)(IMAGES, POINTS), WHOLE)
        assert (box.spent.calls, box.spent.unserved) == (N, N)


# ---------------------------------------------------------------------------------------------------- rates


@pytest.mark.parametrize("which", ["rate", "images_rate"])
def test_no_more_than_so_many_a_second(which):
    with Service() as service, boxed(service, **{which: 50.0}) as box:
        began = time.monotonic()
        box(IMAGES, POINTS)
        assert time.monotonic() - began >= (N - 1) / 50


def test_tokens_are_evenly_spaced():
    rate = Rate(10.0)
    assert [round(rate.reserve(), 1) for _ in range(4)] == [0.0, 0.1, 0.2, 0.3]
    assert [Rate(None).reserve() for _ in range(2)] == [0.0, 0.0]


def test_the_time_of_a_question_holds_for_its_waiting_too():
    with Service() as service, boxed(service, rate=2.0, total=0.3) as box:
        with pytest.raises(PartlyAnswered, match=r"not asked in time: 0.3 s are over"):
            box(IMAGES, POINTS)
        assert len(service.asked) == 1 == box.spent.calls


# --------------------------------------------------------------------------------------------- jobs, interrupts


def test_a_job_whose_answer_is_not_there_yet_goes_on(tmp_path):
    ledger = tmp_path / "ledger"
    with Service() as service:
        service.polls = 10**6
        with boxed(service, 1, ledger=ledger, total=0.3) as box, pytest.raises(NotServed):
            box(IMAGES[:1], POINTS[:1])
        (place,) = service.jobs
        service.jobs[place], service.polls = (0, service.jobs[place][1]), 0
        with boxed(service, 1, ledger=ledger) as box:  # another process
            assert np.array_equal(box(IMAGES[:1], POINTS[:1]), WHOLE[:1])
            assert service.served == 1 == box.spent.calls
            box(IMAGES[:1], POINTS[:1])  # answered: the next time it is asked anew
            assert service.served == 2


def test_the_address_of_a_job_is_in_the_ledger_before_its_request_counts_as_answered(tmp_path, monkeypatch):
    """A kill between the two lines must not lose a job that is paid for."""
    written, kept = [], Ledger._note
    monkeypatch.setattr(Ledger, "_note", lambda self, line: (written.append(next(iter(line))), kept(self, line)))
    with Service() as service, boxed(service, 1, ledger=tmp_path / "ledger") as box:
        box(IMAGES[:1], POINTS[:1])
    assert written == ["job", "end", "job"]


def test_a_job_that_the_service_has_forgotten_is_asked_for_anew(tmp_path):
    ledger, gone = tmp_path / "ledger", []

    def upset(number, handler):
        if gone and handler.path == "/jobs/0":
            handler.answer(404)
        return bool(gone) and handler.path == "/jobs/0"

    with Service(upset=upset) as service:
        service.polls = 10**6
        with boxed(service, 1, ledger=ledger, total=0.3) as box, pytest.raises(NotServed):
            box(IMAGES[:1], POINTS[:1])
        gone.append(True)
        service.polls = 0
        with boxed(service, 1, ledger=ledger) as box:
            assert np.array_equal(Served(box)(IMAGES[:1], POINTS[:1]), WHOLE[:1])
            assert service.served == 2 == box.spent.calls


def test_a_job_that_is_not_known_at_once_is_looked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "_AGAIN", 0.01)
    unknown = []

    def upset(number, handler):
        if handler.path == "/jobs/0" and len(unknown) < 3:
            unknown.append(handler.answer(404))
            return True
        return False

    with Service(upset=upset) as service:
        service.polls = 1
        with boxed(service, 1, ledger=tmp_path / "ledger") as box:
            assert np.array_equal(box(IMAGES[:1], POINTS[:1]), WHOLE[:1])
            assert len(unknown) == 3 and service.served == 1 == box.spent.calls
        monkeypatch.setattr(attempts, "_APPEARS", 0.0)
        unknown.clear()
        service.jobs.clear()
        with boxed(service, 1, ledger=tmp_path / "other") as box, pytest.raises(Refused, match="404"):
            box(IMAGES[:1], POINTS[:1])


def test_an_interrupt_ends_soon_and_the_answers_on_their_way_are_awaited(tmp_path):
    with Service(delay=0.3) as service:
        with boxed(service, ledger=tmp_path / "ledger") as box:
            threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                box(IMAGES, POINTS)
            assert time.monotonic() - began < 2.0
        total = read_ledger(tmp_path / "ledger").total()
        assert service.served == 4 == total.calls and total.perhaps == 0


def interrupted_when(there, box, *question):
    """Ask, and have an interrupt come once ``there()``."""

    def interrupt():
        while not there():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        box(*question)


def test_an_interrupt_while_images_are_handed_to_threads_is_one_too(tmp_path):
    with Service(delay=0.3) as service:
        with boxed(service, ledger=tmp_path / "ledger") as box:
            submit = box._threads.submit

            def interrupted(ask, call, image, prompts):
                if len(service.asked) >= 3:
                    raise KeyboardInterrupt
                time.sleep(0.1)
                return submit(ask, call, image, prompts)

            box._threads.submit = interrupted
            with pytest.raises(KeyboardInterrupt):
                box(IMAGES, POINTS)
        total = read_ledger(tmp_path / "ledger").total()
        assert 3 <= service.served == total.calls < N and total.perhaps == 0


def test_an_interrupt_does_not_wait_for_a_job(tmp_path):
    with Service() as service:
        service.polls = 10**6
        with boxed(service, 1, ledger=tmp_path / "ledger") as box:
            interrupted_when(lambda: len(service.asked) > 10, box, IMAGES[:2], POINTS[:2])
            assert len(service.asked) < 200  # some looks at the jobs, not five seconds of them
        service.jobs = {place: (0, answer) for place, (_, answer) in service.jobs.items()}
        with boxed(service, 1, ledger=tmp_path / "ledger") as box:
            assert np.array_equal(box(IMAGES[:2], POINTS[:2]), WHOLE[:2])
        assert service.served == 2 == read_ledger(tmp_path / "ledger").total().calls


def test_answers_that_came_before_an_interrupt_are_in_the_cache(tmp_path):
    with Service(delay=0.2) as service:
        with boxed(service, workers=2) as box:
            interrupted_when(lambda: service.served >= 2, Cached(box, tmp_path / "cache"), IMAGES, POINTS)
        came = service.served
        assert 2 <= came < N
        with boxed(service) as box:
            assert np.array_equal(Cached(box, tmp_path / "cache")(IMAGES, POINTS), WHOLE)
        assert service.served == N


def test_nothing_is_paid_whose_answer_cannot_be_kept(tmp_path, monkeypatch):
    """On a disk that becomes full while questions are in flight."""
    taken, allocate = [], os.posix_fallocate

    def full(fd, offset, size):
        taken.append(size)
        if len(taken) > 5:
            raise OSError(28, "No space left on device")
        allocate(fd, offset, size)

    kept = MaskFolder(tmp_path / "kept", "masks", needed=True)
    with Service(delay=0.05) as service:
        monkeypatch.setattr(os, "posix_fallocate", full)
        with boxed(service) as box, pytest.raises(BlackBoxGone, match=r"masks cannot be kept in .*No space left"):
            Served(box, kept=kept)(IMAGES, POINTS)
        assert 1 <= service.served == len(list(kept)) <= 5 and not list(tmp_path.rglob("*.tmp"))
        monkeypatch.undo()
        with boxed(service) as box:
            assert np.array_equal(Served(box, kept=kept)(IMAGES, POINTS), WHOLE)
        assert service.served == N


@pytest.mark.parametrize("polls", [None, 1])
def test_an_interrupt_of_several_services_is_one_of_each(polls, tmp_path):
    """Soon, with the answers that are on their way, and jobs left for later."""
    with Service(delay=1.0) as service:
        service.polls = 10**6
        boxes = [boxed(service, polls, ledger=tmp_path / "ledger", run=run) for run in "ab"]
        with SeveralBoxes(boxes, rows=4) as several:
            interrupted_when(lambda: len(service.asked) >= (8 if polls is None else 20), several, IMAGES, POINTS)
        assert len(service.asked) < 200
        total = read_ledger(tmp_path / "ledger").total()
        assert 4 <= service.served == total.calls <= 8 and total.perhaps == 0


def test_closing_ends_what_is_in_flight(monkeypatch):
    monkeypatch.setattr(box_module, "_GRACE", 0.2)
    with Service(delay=5.0) as service:
        box, failed = boxed(service), []

        def ask():
            try:
                box(IMAGES, POINTS)
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while len(service.asked) < 4:
            time.sleep(0.01)
        began = time.monotonic()
        box.close()
        thread.join(5.0)
        assert not thread.is_alive() and time.monotonic() - began < 3.0
        assert len(failed) == 1 and isinstance(failed[0], (NotServed, PartlyAnswered, BlackBoxGone))


def test_a_box_that_is_closed_says_so_and_nobody_waits_for_ever():
    with Service(delay=0.2) as service:
        box, failed = boxed(service, workers=2, rate=5.0), []

        def ask():
            try:
                box(np.repeat(IMAGES, 20, axis=0), POINTS[np.repeat(np.arange(N), 20)])
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while len(service.asked) < 2:
            time.sleep(0.01)
        box.close()
        thread.join(5.0)
        assert not thread.is_alive() and isinstance(failed[0], (BlackBoxGone, PartlyAnswered))
        with pytest.raises(BlackBoxGone, match="closed"):
            box(IMAGES, POINTS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_box_is_of_one_process():
    with Service() as service, boxed(service) as box:
        box(IMAGES, POINTS)
        with pytest.raises(TypeError, match="cannot be sent to another process"):
            pickle.dumps(box)
        child = os.fork()
        if not child:
            signal.alarm(10)  # instead of waiting for threads that are not there
            try:
                box(IMAGES, POINTS)
            except BlackBoxGone as error:
                os._exit(7 if "before this process was forked" in str(error) else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert np.array_equal(box(IMAGES, POINTS), WHOLE)


BAD_JOBS = [b"ftp://h/x", b"http://[", b"http://u:pass1234@h/", b"\xff\xfe", b""]


@pytest.mark.parametrize("place", BAD_JOBS, ids=range(len(BAD_JOBS)))
def test_a_reply_that_names_no_job_fails_its_image_alone(place, tmp_path):
    """It is paid for, so the others' answers count, and the ledger can be read."""

    def upset(number, handler):
        if number == 1:
            handler.answer(200, place)
        return number == 1

    with Service(upset=upset) as service, boxed(service, 1, workers=1, ledger=tmp_path / "ledger") as box:
        with pytest.raises(PartlyAnswered) as raised:
            box(IMAGES[:3], POINTS[:3])
        assert list(raised.value.errors) == [0] and isinstance(raised.value.errors[0], Unanswerable)
        assert np.array_equal(raised.value.masks[1:], WHOLE[1:3])
        assert read_ledger(tmp_path / "ledger").total().calls == 3


def test_what_is_no_line_of_a_ledger_does_not_come_into_its_file(tmp_path):
    ledger = Ledger(Terms(ledger=tmp_path / "ledger", price=1e14), "a model")
    ledger.begin("a question", 1)
    with pytest.raises(ValueError, match="price"):
        ledger.begin("another one", 100)
    ledger.close()
    assert read_ledger(tmp_path / "ledger").total().calls == 1


def test_what_a_service_says_can_be_shown():
    """Neither half of a character, which no file takes, nor what moves a terminal's cursor."""

    class Speaking(NpzAdapter):
        def read(self, reply):
            raise BlackBoxError("red \x1b[31m half \ud800 end\nnext")

    with Service() as service, RemoteBlackBox(Speaking(service.url)) as box:
        with pytest.raises(PartlyAnswered) as raised:
            box(IMAGES[:1], POINTS[:1])
        assert str(raised.value.errors[0]) == "red ?[31m half ? end next"
    with Service(upset=told(500, {1})) as service, boxed(service) as box:
        box.adapter.complaint = lambda reply: "\x07\ud800"
        with pytest.raises(PartlyAnswered, match=r"answered 500: \?\?$"):
            box(IMAGES[:1], POINTS[:1])


def test_an_image_given_up_says_why_there_was_no_answer():
    def upset(number, handler):
        handler.wfile.write(b"no HTTP at all\r\n\r\n")
        return True

    at_last = pytest.raises(PartlyAnswered, match=r"never answered.*at last .*RemoteProtocolError")
    with Service(upset=upset) as service, boxed(service, repeats=0) as box, at_last:
        box(IMAGES[:1], POINTS[:1])

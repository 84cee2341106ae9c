"""A black box in another process: bytes there and back, and every way in which it can fail."""

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from seg.checks import raises

import zoo_opt as zo
from zoo_opt_seg.blackbox import (
    BlackBoxError,
    BlackBoxGone,
    Budgeted,
    BudgetExhausted,
    Cached,
    PartlyAnswered,
    ProcessBlackBox,
)
from zoo_opt_seg.blackbox.messages import prompt_arrays, receive, send
from zoo_opt_seg.blackbox.process import serve
from zoo_opt_seg.prompts import Prompts

ROOT = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(2)
IMAGES = RNG.random((4, 12, 9, 3), dtype=np.float32)
PROMPTS = Prompts(
    points=RNG.random((4, 2, 2)) * 9,
    labels=[[1, 0], [1, -1], [-1, -1], [0, 1]],
    boxes=[[0, 1, 4, 5], [np.nan] * 4, [1, 1, 8, 9], [0, 0, 2, 2]],
    masks=RNG.normal(size=(4, 4, 4)),
    texts=("a", "Läsion 上", "", "d"),
)

HEAD = """
import os, sys, time
import numpy as np
from zoo_opt_seg.blackbox import as_black_box, serve
"""
SOUND = """
def model(images, prompts):
    print("noise on the output")
    os.system("echo more noise")
    prompts.texts and sys.stderr.write(prompts.texts[1] + "\\n")
    share = 1 if prompts.boxes is None else prompts.boxes[0, 3] / 10
    return images.mean(axis=3, dtype=np.float32) * np.float32(share)
serve(as_black_box(model, name="mean"))
"""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ProcessBlackBox]]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = []

    def start(body: str, **options: object) -> ProcessBlackBox:
        made.append(ProcessBlackBox([sys.executable, "-c", HEAD + body], **options))
        return made[-1]

    yield start
    for box in made:
        box.close()


NOTHING = Prompts.nothing(4)


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether the process ends within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_bytes_there_and_back(child: Callable[..., ProcessBlackBox]) -> None:
    box = child(SOUND)
    assert box.name == "mean"
    for _ in range(3):
        answer = box(IMAGES, PROMPTS)
        assert answer.dtype == np.float32
        assert np.array_equal(answer, IMAGES.mean(axis=3, dtype=np.float32) * np.float32(0.5))
    assert np.array_equal(box(IMAGES, NOTHING), IMAGES.mean(axis=3, dtype=np.float32))
    assert box(IMAGES[:0], NOTHING[:0]).shape == (0, 12, 9)


def test_prompts_and_images_arrive_as_they_were() -> None:
    seen = []

    def model(images: np.ndarray, prompts: Prompts) -> np.ndarray:
        seen.append((images, prompts))
        return images[..., 0] > 100

    source, sink = io.BytesIO(), io.BytesIO()
    images = RNG.integers(0, 256, (4, 12, 9, 3), dtype=np.uint8)
    send(source, {"images": images, **prompt_arrays(PROMPTS)})
    source.seek(0)
    serve(model, source, sink)
    sink.seek(0)
    assert bytes(receive(sink)["name"]) == b""
    answer = receive(sink)["answer"]
    assert answer.dtype == np.bool_
    assert np.array_equal(answer, images[..., 0] > 100)
    assert receive(sink) is None
    ((found, prompts),) = seen
    assert found.dtype == np.uint8
    assert np.array_equal(found, images)
    for kind in ("points", "labels", "boxes", "masks"):
        assert np.array_equal(getattr(prompts, kind), getattr(PROMPTS, kind), equal_nan=kind != "labels")
    assert prompts.texts == PROMPTS.texts


def test_large_questions(child: Callable[..., ProcessBlackBox]) -> None:
    images = np.zeros((3, 1024, 1024, 3), np.uint8)  # more than any pipe holds
    assert child(SOUND)(images, Prompts.nothing(3)).shape == (3, 1024, 1024)


def test_an_error_of_the_model_leaves_it_alive(child: Callable[..., ProcessBlackBox]) -> None:
    box = child("""
def model(images, prompts):
    if len(images) == 2:
        raise RuntimeError("two are too many")
    return images.mean(axis=3) * (40 if len(images) == 3 else 1)
serve(model)
""")
    assert box.name is None
    raises(BlackBoxError, "failed: RuntimeError: two are too many", box, IMAGES[:2], NOTHING[:2])
    with pytest.raises(BlackBoxError, match=r"failed: ValueError: model must return probabilities in \[0, 1\]"):
        box(IMAGES[:3], NOTHING[:3])
    assert box(IMAGES, NOTHING).shape == (4, 12, 9)


def test_a_wrong_answer_is_found_here_too(child: Callable[..., ProcessBlackBox]) -> None:
    box = child("""
from zoo_opt_seg.blackbox.messages import receive, send
send(sys.stdout.buffer, {"name": np.zeros(0, np.uint8)})
for answer in ({"answer": np.zeros((1, 2, 2))}, {"answer": np.full((4, 12, 9), np.nan)}, {"mask": np.zeros(1)}):
    send(sys.stdout.buffer, {**answer, "id": receive(sys.stdin.buffer)["id"]})
""")
    raises(ValueError, r"must return masks of shape \(4, 12, 9\), got \(1, 2, 2\)", box, IMAGES, NOTHING)
    raises(ValueError, "got NaN", box, IMAGES, NOTHING)
    raises(BlackBoxError, r"answered without 'answer', got \['mask'\]", box, IMAGES, NOTHING)


def test_a_process_that_dies(child: Callable[..., ProcessBlackBox]) -> None:
    box = child("""
def model(images, prompts):
    print("out of memory", file=sys.stderr, flush=True)
    os._exit(3)
serve(model)
""")
    raises(BlackBoxError, r"(?s)did not answer: it ended with status 3\nIt wrote:\nout of memory", box, IMAGES, NOTHING)
    raises(BlackBoxGone, "cannot be asked any more: it ended with status 3", box, IMAGES, NOTHING)
    box.close()


def test_a_process_that_is_killed(child: Callable[..., ProcessBlackBox]) -> None:
    box = child(SOUND)
    os.kill(box.pid, signal.SIGKILL)
    raises(BlackBoxError, "it ended with status -9", box, np.zeros((3, 512, 512, 3), np.uint8), Prompts.nothing(3))


def test_a_process_that_dies_within_an_answer(child: Callable[..., ProcessBlackBox]) -> None:
    box = child("""
from zoo_opt_seg.blackbox.messages import receive, send
send(sys.stdout.buffer, {"name": np.zeros(0, np.uint8)})
receive(sys.stdin.buffer)
sys.stdout.buffer.write(b"zoo1" + (1000).to_bytes(8, "little") + b"half")
""")
    raises(BlackBoxError, "it ended with status 0", box, IMAGES, NOTHING)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit('no GPU here')", r"(?s)ended with status 1\nIt wrote:\nno GPU here"),
        ("import a_package_that_is_not_there", "(?s)status 1.*ModuleNotFoundError"),
        ("print('Loading the model ...', flush=True); time.sleep(60)", "is not a message of serve.*Loading the"),
        ("sys.stdout.buffer.write(b'zoo1' + (4).to_bytes(8, 'little') + b'abcd')", "no npz archive"),
        ("sys.stdout.buffer.write(b'zoo1' + b'\\xff' * 8)", "must have at most 1048576 bytes, got one of 1844"),
    ],
)
def test_a_process_that_does_not_start_well(child: Callable[..., ProcessBlackBox], body: str, message: str) -> None:
    raises(BlackBoxError, message, child, body)


TWICE = """
from zoo_opt_seg.blackbox.messages import receive, send
send(sys.stdout.buffer, {"name": np.zeros(0, np.uint8)})
while (question := receive(sys.stdin.buffer)) is not None:
    for _ in range(2):
        send(sys.stdout.buffer, {"answer": question["images"].mean(axis=3), "id": question["id"] + %d})
"""


def test_a_process_that_answers_twice_shifts_no_later_answer(child: Callable[..., ProcessBlackBox]) -> None:
    box = child(TWICE % 0)
    for value in (0.0, 0.5, 1.0, 0.25):
        assert (box(np.full((4, 12, 9, 3), value, np.float32), NOTHING) == value).all()


@pytest.mark.parametrize(
    ("body", "got"), [(TWICE % 1, "got 2"), (TWICE.replace(', "id": question["id"] + %d', ""), "got no id beside")]
)
def test_an_answer_to_no_question_ends_it(child: Callable[..., ProcessBlackBox], body: str, got: str) -> None:
    box = child(body)
    raises(BlackBoxGone, f"must repeat the question's id, 1, in its answer, {got}", box, IMAGES, NOTHING)
    assert gone(box.pid)


def packed(**members: bytes) -> bytes:
    """A message, each member of whose archive is packed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return b"zoo1" + len(buffer.getvalue()).to_bytes(8, "little") + buffer.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", kind: str = "<f8") -> bytes:
    """An .npy file whose header says what it likes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"zoo1" + (1 << 39).to_bytes(8, "little"), "must have at most 100000 bytes, got one of 549755813888"),
        (packed(answer=bytes(200_000)), "at most 100000 bytes together"),
        (packed(answer=npy((10**6, 10**6))), r"of shape \(1000000, 1000000\) has not 0 bytes"),
        (packed(answer=npy((2,), bytes(8))), r"of shape \(2,\) has not 8 bytes"),
        (packed(answer=npy((-1, -1), bytes(8))), "only specify one"),
        (packed(answer=npy((1,), bytes(8), "|O")), "no npz archive"),
        (packed(answer=b"\x93NUMPY\x09\x00"), "no npz archive"),
        (b"zoo1" + (5).to_bytes(8, "little") + b"PK\5\6x", "no npz archive"),
    ],
    ids=["length", "bomb", "shape", "short", "negative", "object", "version", "zip"],
)
def test_lengths_are_held_against_what_is_there(message: bytes, words: str) -> None:
    tracemalloc.start()
    try:
        raises(ValueError, words, receive, io.BytesIO(message), 100_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_message_that_is_promised_takes_no_memory_until_it_comes() -> None:
    tracemalloc.start()
    try:
        promised = io.BytesIO(b"zoo1" + (1 << 32).to_bytes(8, "little") + b"half")
        raises(EOFError, "its output ended within a message", receive, promised)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("end", ["", "\\n"])
def test_standard_error_is_kept_to_its_last_64_kb(child: Callable[..., ProcessBlackBox], end: str) -> None:
    box = child(f"""
for k in range(3000):
    sys.stderr.write(f"{{k:05d}}" + "." * 995 + "{end}")
sys.stderr.write("the last")
sys.stderr.flush()
serve(lambda images, prompts: 1 / 0)
""")
    error = raises(BlackBoxError, "ZeroDivisionError", box, IMAGES, NOTHING)
    end_of_wait = time.monotonic() + 10
    while not box.stderr.endswith("the last") and time.monotonic() < end_of_wait:
        time.sleep(0.01)
    assert len(box.stderr) == 1 << 16 and "02999" in box.stderr and "02900" not in box.stderr
    assert len(str(error)) < 5000


def test_what_a_service_says_there_is_said_here(child: Callable[..., ProcessBlackBox]) -> None:
    box = child("""
import zoo_opt as zo
from zoo_opt_seg.blackbox import PartlyAnswered
asked = []
def model(images, prompts):
    asked.append(1)
    if len(asked) == 1:
        raise zo.NotServed("busy", retry_after=7)
    if len(asked) == 2:
        raise ConnectionRefusedError("down")
    if len(asked) == 3:
        raise zo.Refused("no such key")
    masks = images.mean(axis=3, dtype=np.float32)
    if len(asked) == 4:
        raise PartlyAnswered(masks, {1: zo.NotServed("later", retry_after=2), 2: ValueError("dark"), 3: zo.Refused()})
    return masks
serve(model)
""")
    assert raises(zo.NotServed, "failed: busy", box, IMAGES, NOTHING).retry_after == 7.0
    assert raises(zo.NotServed, "ConnectionRefusedError: down", box, IMAGES, NOTHING).retry_after is None
    raises(zo.Refused, "failed: no such key", box, IMAGES, NOTHING)
    part = raises(PartlyAnswered, "3 of 4 images have no answer", box, IMAGES, NOTHING)
    assert part.answered == [0] and np.array_equal(part.masks[0], IMAGES[0].mean(axis=2, dtype=np.float32))
    assert [type(error) for error in part.errors.values()] == [zo.NotServed, BlackBoxError, zo.Refused]
    assert part.errors[1].retry_after == 2.0 and "ValueError: dark" in str(part.errors[2])
    assert np.array_equal(box(IMAGES, NOTHING), IMAGES.mean(axis=3, dtype=np.float32))


@pytest.mark.parametrize("later", ["np.array('soon')", "np.array([1, 2])", "np.array(1j)", "np.array(np.nan)"])
def test_an_outage_is_one_whatever_is_said_of_its_end(child: Callable[..., ProcessBlackBox], later: str) -> None:
    box = child(f"""
from zoo_opt_seg.blackbox.messages import as_bytes, receive, send
send(sys.stdout.buffer, {{"name": as_bytes("mine")}})
said = {{"error": as_bytes("busy"), "kind": as_bytes("not served"), "retry_after": {later}}}
failed = {{"failed": as_bytes('{{"0": {{"error": "busy", "kind": "not served", "retry_after": ' + "9" * 400 + "}}}}")}}
while question := receive(sys.stdin.buffer):
    masks = np.zeros(question["images"].shape[:3], np.float32)
    answer = said if int(question["id"]) == 1 else dict(failed, answer=masks)
    send(sys.stdout.buffer, {{"id": question["id"], **answer}})
""")
    assert raises(zo.NotServed, "failed: busy", box, IMAGES, NOTHING).retry_after is None
    part = raises(PartlyAnswered, "1 of 4 images have no answer", box, IMAGES, NOTHING)
    assert type(part.errors[0]) is zo.NotServed and part.errors[0].retry_after is None


def test_an_older_process_asks_and_is_answered() -> None:
    """A question without an id, of an earlier release, has an answer without one."""
    source, sink = io.BytesIO(), io.BytesIO()
    send(source, {"images": IMAGES, **prompt_arrays(NOTHING)})
    source.seek(0)
    serve(lambda images, prompts: images.mean(axis=3), source, sink)
    sink.seek(0)
    receive(sink)
    assert list(receive(sink)) == ["answer"]


def test_pickles_are_not_read(child: Callable[..., ProcessBlackBox]) -> None:
    with pytest.raises(BlackBoxError, match="no npz archive of arrays"):
        child("""
import io
buffer = io.BytesIO()
np.savez(buffer, name=np.array([{}], object))
sys.stdout.buffer.write(b"zoo1" + len(buffer.getvalue()).to_bytes(8, "little") + buffer.getvalue())
""")


def test_a_command_that_is_none() -> None:
    raises(BlackBoxError, "'/no/such/program' cannot be started", ProcessBlackBox, ["/no/such/program"])
    for command in ("python x.py", [], [1]):
        raises(TypeError, "command must be a non-empty sequence", ProcessBlackBox, command)
    raises(ValueError, "timeout must be > 0", ProcessBlackBox, ["x"], timeout=0)


def test_a_process_that_takes_too_long(child: Callable[..., ProcessBlackBox]) -> None:
    raises(BlackBoxError, r"no answer in 0\.2 s", child, "time.sleep(60)", timeout=0.2)
    box = child("serve(lambda images, prompts: time.sleep(60))", timeout=30)
    box.timeout = 0.2
    raises(BlackBoxError, r"no answer in 0\.2 s", box, IMAGES, NOTHING)
    assert gone(box.pid)


def test_it_ends_with_us(child: Callable[..., ProcessBlackBox]) -> None:
    with child(SOUND) as box:
        pid = box.pid
    assert gone(pid)
    raises(BlackBoxError, "it was closed", box, IMAGES, NOTHING)
    forgotten = ProcessBlackBox([sys.executable, "-c", HEAD + SOUND])
    pid = forgotten.pid
    del forgotten
    gc.collect()
    assert gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_we_are_killed(how: signal.Signals) -> None:
    body = f"""
import sys
from zoo_opt_seg.blackbox import ProcessBlackBox
box = ProcessBlackBox([sys.executable, "-c", {HEAD + SOUND!r}])
print(box.pid, flush=True)
input()
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", body], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.send_signal(how)
        assert gone(pid)


def test_an_interrupted_question_does_not_give_the_next_one_its_answer(
    child: Callable[..., ProcessBlackBox], request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    box = child("""
def model(images, prompts):
    time.sleep(30)
    return images.mean(axis=3)
serve(model)
""")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    raises(KeyboardInterrupt, None, box, IMAGES, NOTHING)
    raises(BlackBoxError, "it was interrupted", box, IMAGES, NOTHING)
    assert gone(box.pid)


def test_threads_share_it(child: Callable[..., ProcessBlackBox]) -> None:
    box = child(SOUND)

    def right(seed: int) -> bool:
        many = np.random.default_rng(seed).random((10, 2, 5, 5, 3), dtype=np.float32)
        answers = [box(images, Prompts.nothing(2)) for images in many]
        return np.array_equal(answers, many.mean(axis=4, dtype=np.float32))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(4)))


def test_it_can_be_wrapped(child: Callable[..., ProcessBlackBox], tmp_path: Path) -> None:
    box = Cached(Budgeted(child(SOUND), 4), tmp_path)
    first = box(IMAGES, PROMPTS)
    assert np.array_equal(box(IMAGES, PROMPTS), first)
    raises(BudgetExhausted, None, box, IMAGES[:1] * np.float32(0.5), PROMPTS[:1])

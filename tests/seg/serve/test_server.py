"""The server: each form of question, what is wrong with one, limits, tokens, batches, versions and how it counts."""

import base64
import contextlib
import io
import json
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from seg.serving import in_thread

from zoo_opt import NotServed, Refused
from zoo_opt_seg.blackbox.protocol import PartlyAnswered
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.serve import guard, running
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.segmenting import Segmenter
from zoo_opt_seg.serve.versions import Versions

SMALL = Limits(body=200_000, json=100_000, pixels=100 * 100, points=5, text=10, queue=4, seconds=1.0)


class Red:
    """Answers with the red of the image, half of it around the point; does what it is told before."""

    name = "red"

    def __init__(self):
        self.asked, self.before = [], lambda images: None

    def __call__(self, images, prompts):
        self.asked.append(len(images))
        self.before(images)
        red = images[..., 0].astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
        if prompts.points is not None and prompts.points.shape[1]:
            for row in range(len(images)):
                (x, y), label = prompts.points[row, 0], prompts.labels[row, 0]
                red[row, int(y), int(x)] = label
        return red


@contextlib.contextmanager
def served(limits=SMALL, token="", batch=4, wait=0.0, box=None, **segmenter):
    box = box or Red()
    desk = Desk("red", Versions(Segmenter(box, **segmenter)), limits, batch=batch, wait=wait)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with in_thread(desk, token=token) as url, httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        client.box, client.desk = box, desk
        yield client


@pytest.fixture(scope="module")
def client():
    with served() as client:
        yield client


def picture(width=20, height=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(image=None, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture() if image is None else image).save(buffer, form, **options)
    return buffer.getvalue()


def tensors(binary=True, image=None, head=None, bool_=False, **given):
    arrays = {"image": (picture() if image is None else image), **given}
    if not given:
        arrays |= {"points": np.float32([[3, 4]]), "labels": np.int64([1])}
    head = {**(head or {}), **({"parameters": {"mask_datatype": "BOOL"}} if bool_ else {})}
    names = tuple(arrays) if binary else ()
    return wire.write("inputs", arrays, binary=names, ask={"mask": binary}, head=head)


def infer(client, path="/v2/models/red/infer", **question):
    content, headers = tensors(**question)
    answer = client.post(path, content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return wire.read("outputs", answer.content, answer.headers)


def expected(image=None):
    mask = np.float32((picture() if image is None else image)[..., 0]) / 255
    mask[4, 3] = 1
    return mask


# ------------------------------------------------------------------------------------------------- forms of questions
def test_all_forms_of_a_question_have_one_answer(client):
    mask = expected()
    hard = np.where(mask > 0.5, 255, 0)
    answer = client.post("/segment?point=3,4", content=png())
    assert answer.headers["content-type"] == "image/png" and answer.headers["x-model-version"] == "1"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), hard)
    answer = client.post("/segment?point=3,4,1&answer=probabilities", content=png(form="WEBP", lossless=True))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), np.rint(mask * 255))
    for prefix in ("", "data:image/png;base64,"):
        said = {"image": prefix + base64.b64encode(png()).decode(), "points": [[3, 4]], "answer": "rle"}
        answer = client.post("/segment", json=said).json()
        np.testing.assert_array_equal(of_rle(answer["rle"]), hard > 0)
        assert answer["object"] == pytest.approx((hard > 0).mean(), abs=1e-5) and answer["version"] == "1"
    for binary in (True, False):
        message = infer(client, binary=binary, head={"id": "seven"})
        assert message.head == {"model_name": "red", "model_version": "1", "id": "seven"}
        np.testing.assert_array_equal(message.tensors["mask"], mask)
        floats = np.float32(picture() / 255)
        np.testing.assert_array_equal(infer(client, binary=binary, image=floats).tensors["mask"], mask)
        found = infer(client, binary=binary, bool_=True).tensors["mask"]
        assert found.dtype == np.bool_ and np.array_equal(found, hard > 0)
        leading = {"points": np.float32([[[3, 4]]]), "labels": np.int64([[1]])}
        found = infer(client, binary=binary, image=picture()[None], **leading).tensors["mask"]
        np.testing.assert_array_equal(found, mask[None])


def of_rle(rle):
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(rle["size"], order="F")


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_run_lengths_are_those_of_coco(client):
    mask_of = pytest.importorskip("pycocotools.mask")
    answer = client.post("/segment?point=3,4&answer=rle", content=png()).json()["rle"]
    np.testing.assert_array_equal(mask_of.decode(mask_of.frPyObjects(answer, *answer["size"])), of_rle(answer))


def test_floats_go_to_the_model_as_they_are(client):
    image = np.random.default_rng(3).random((30, 40, 3), np.float32)
    mask = infer(client, image=image).tensors["mask"]
    want = image[..., 0].copy()
    want[4, 3] = 1
    np.testing.assert_array_equal(mask, want)


def test_a_box_a_text_and_nothing_at_all(client):
    plain = np.float32(picture()[..., 0]) / 255
    for given in ({"box": np.float32([2, 2, 9, 8])}, {"text": np.array([b"a polyp"], object)}):
        np.testing.assert_array_equal(infer(client, **given).tensors["mask"], plain)
    content, headers = wire.write("inputs", {"image": picture()}, binary=("image",))
    assert client.post("/v2/models/red/infer", content=content, headers=headers).status_code == 200
    answer = client.post("/segment?box=2,2,9,8&text=polyp&answer=rle", content=png())
    np.testing.assert_array_equal(of_rle(answer.json()["rle"]), plain > 0.5)


def test_a_picture_is_turned_as_its_exif_orientation_says(client):
    exif = Image.Exif()
    exif[274] = 6
    answer = client.post("/segment?box=1,1,8,15&answer=rle", content=png(exif=exif))
    assert answer.json()["rle"]["size"] == [20, 12]


def test_what_the_server_says_of_itself(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/red/ready").json() == {"name": "red", "ready": True}
    said = client.get("/v2/models/red").json()
    assert [entry["name"] for entry in said["inputs"]] == ["image", "points", "labels", "box", "text"]
    assert said["outputs"] == [{"name": "mask", "datatype": "FP32", "shape": [-1, -1]}] and said["versions"] == ["1"]
    assert client.get("/v2/models/red/versions/1").json() == said
    assert "/segment" in client.get("/openapi.json").json()["paths"]
    assert client.get("/docs").status_code == 200


# ------------------------------------------------------------------------------------------------------ what is wrong
def b64(content):
    return base64.b64encode(content).decode()


def wide(width, height):
    """The head of a PNG that says to have so many pixels."""
    content = bytearray(png(np.zeros((1, 1, 3), np.uint8)))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


DEEP = b"[" * 50_000 + b"]" * 50_000
SEGMENT = [
    ({"content": png()}, 400, "must have points, a box or a text"),
    ({"params": {"point": "3"}, "content": png()}, 400, "points.0: "),
    ({"params": {"point": "3,x"}, "content": png()}, 400, "point must be numbers"),
    ({"params": {"point": "nan,3"}, "content": png()}, 400, "finite number"),
    ({"params": {"point": "1e999,3"}, "content": png()}, 400, "finite number"),
    ({"params": {"point": "3,3,7"}, "content": png()}, 400, "points.0: "),
    ({"params": {"point": "300,3"}, "content": png()}, 400, "points must lie in (0, 0, 20, 12)"),
    ({"params": {"point": ["1,1"] * 6}, "content": png()}, 413, "6 points, more than the 5"),
    ({"params": {"box": "9,9,3,3"}, "content": png()}, 400, "boxes must be x0, y0, x1, y1"),
    ({"params": {"box": "1,2,3"}, "content": png()}, 400, "box"),
    ({"params": {"text": "x" * 11}, "content": png()}, 413, "11 characters, more than the 10"),
    ({"params": {"point": "3,3", "answer": "psd"}, "content": png()}, 400, "answer: Input should be"),
    ({"params": {"point": "3,3", "version": "9"}, "content": png()}, 404, "there is no version '9', only 1"),
    ({"params": {"point": "3,3"}, "content": b""}, 415, "must be a file of PNG, JPEG, WEBP, BMP"),
    ({"params": {"point": "3,3"}, "content": b"%PDF-1.4"}, 415, "must be a file of PNG"),
    (
        {"params": {"point": "3,3"}, "files": {"image": png()}},
        415,
        "the body itself (curl --data-binary @FILE)",
    ),
    ({"params": {"point": "3,3"}, "content": png(form="GIF")}, 415, "must be a file of PNG"),
    ({"params": {"point": "3,3"}, "content": png()[:200]}, 400, "cannot be decoded"),
    ({"params": {"point": "3,3"}, "content": png()[:400] + b"?" + png()[401:]}, 400, "cannot be decoded"),
    ({"params": {"point": "3,3"}, "content": wide(101, 100)}, 413, "101 x 100 pixels, more than the 10000"),
    ({"params": {"point": "3,3"}, "content": wide(1 << 30, 1 << 30)}, 413, "more than the 10000"),
    ({"params": {"point": "3,3"}, "content": wide(50_000, 50_000)}, 413, "more than the 10000"),
    ({"params": {"point": "3,3"}, "content": bytes(200_001)}, 413, "at most 200000 bytes"),
    ({"json": {}}, 400, "image: Field required"),
    ({"json": {"image": "?", "points": [[1, 2]]}}, 400, "image must be a file in base64"),
    ({"json": {"image": b64(png()), "points": [[1, 2]], "mode": 3}}, 400, "mode: Extra inputs"),
    ({"json": {"image": b64(png()), "points": {"x": 1}}}, 400, "points: Input should be"),
    ({"json": {"image": b64(png()), "points": [[1, 2, 0.5]]}}, 400, "points.0"),
    ({"json": {"image": 3, "points": [[1, 2]]}}, 400, "image: Input should be a valid string"),
    ({"json": ["image"]}, 400, "the question: Input should be"),
    ({"json": {"image": b64(png()), "points": [[1, 2]]}, "params": {"text": "a"}}, 400, "must have all in it"),
    ({"json": {"image": "A" * 100_001, "points": [[1, 2]]}}, 413, "in JSON must have at most 100000 bytes"),
    ({"content": DEEP, "headers": {"Content-Type": "application/json"}}, 400, "the question: Invalid JSON"),
    ({"content": b'{"image": "\\ud800"}', "headers": {"Content-Type": "application/json"}}, 400, ""),
    ({"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400, "Invalid JSON"),
]


def told(answer, status, words):
    """The answer has this status and one sentence of JSON, without a traceback."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    said = answer.json()
    assert set(said) == {"error"} and words in said["error"] and "\n" not in said["error"], said
    assert "Traceback" not in said["error"] and len(said["error"]) <= 303


@pytest.mark.parametrize(("request_", "status", "words"), SEGMENT)
def test_what_is_wrong_with_an_image_and_its_prompts(client, request_, status, words):
    asked = len(client.box.asked)
    told(client.post("/segment", **request_), status, words)
    assert len(client.box.asked) == asked
    assert client.post("/segment?point=3,4", content=png()).status_code == 200


POINTS = {"points": np.float32([[3, 4]])}
TENSORS = [
    ({"image": picture().astype(np.int32)}, 400, "image must be FP32 or UINT8 of shape ['any', 'any', 3], got int32"),
    ({"image": picture()[..., 0]}, 400, "image must be FP32"),
    ({"image": np.stack([picture()] * 2)}, 400, "got uint8 of shape [2, 12, 20, 3]"),
    ({"image": np.full((9, 9, 3), np.nan, np.float32)}, 400, "images must be"),
    ({"image": np.full((9, 9, 3), 1.5, np.float32)}, 400, "images must be"),
    ({"image": np.zeros((101, 100, 3), np.uint8)}, 413, "100 x 101 pixels, more than the 10000"),
    ({"image": np.zeros((0, 100, 3), np.uint8)}, 400, "must have pixels"),
    ({"points": np.float32([[np.nan, 1]])}, 400, "points must be finite"),
    ({"points": np.float32([[np.inf, 1]])}, 400, "points must be finite"),
    ({"points": np.float32([[1, 2, 3]])}, 400, "points must be FP32 or FP64 of shape ['any', 2]"),
    ({"points": np.int64([[1, 2]])}, 400, "points must be FP32"),
    ({"points": np.zeros((6, 2), np.float32)}, 413, "6 points, more than the 5"),
    ({"labels": np.int64([1])}, 400, "labels need points"),
    ({**POINTS, "labels": np.int64([1, 1])}, 400, "labels must have shape"),
    ({**POINTS, "labels": np.int64([3])}, 400, "labels must be 1 (object)"),
    ({**POINTS, "labels": np.float32([1])}, 400, "labels must be INT64 or INT32"),
    ({"box": np.float32([1, 2, 3])}, 400, "box must be FP32 or FP64 of shape [4]"),
    ({"box": np.float32([np.nan] * 4)}, 400, "box must be finite"),
    ({"box": np.float32([1, 2, 1e9, 3])}, 400, "boxes must lie in"),
    ({"text": np.array([b"a", b"b"], object)}, 400, "text must be BYTES of shape [1]"),
    ({"text": np.array([b"\xff"], object)}, 400, "text: a text must be UTF-8"),
    ({"text": np.array([b"x" * 11], object)}, 413, "more than the 10"),
    ({"colour": np.float32([1])}, 400, "inputs must be some of image, points, labels, box, text, got 'colour'"),
]


@pytest.mark.parametrize(("given", "status", "words"), TENSORS)
def test_what_is_wrong_with_tensors(client, given, status, words):
    asked = len(client.box.asked)
    content, headers = tensors(**given)
    told(client.post("/v2/models/red/infer", content=content, headers=headers), status, words)
    assert len(client.box.asked) == asked


GOOD, HEADERS = tensors()
LENGTH = wire.LENGTH


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (GOOD, {**HEADERS, LENGTH: "1"}, 400),
        (GOOD, {**HEADERS, LENGTH: "-1"}, 400),
        (GOOD, {**HEADERS, LENGTH: "9" * 30}, 400),
        (GOOD, {**HEADERS, LENGTH: "many"}, 400),
        (GOOD, {}, 400),
        (GOOD[:-3], HEADERS, 400),
        (GOOD + b"more", HEADERS, 400),
        (DEEP, {}, 400),
        (b"", {}, 400),
        (b"{}", {}, 400),
        (b'{"inputs": [{"name": "image", "shape": [1e99], "datatype": "FP32", "data": []}]}', {}, 400),
        (b'{"inputs": [{"name": "image", "shape": [99999, 99999, 3], "datatype": "UINT8", "data": [1]}]}', {}, 400),
        (b'{"inputs": [], "parameters": ' + b"9" * 50_000 + b"}", {}, 400),
        (b" " * 100_001, {}, 400),
    ],
)
def test_what_is_wrong_with_a_message(client, content, headers, status):
    told(client.post("/v2/models/red/infer", content=content, headers=headers), status, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/segment", 405),
        ("DELETE", "/v2", 405),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/red/versions/7", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/red/versions/7/infer", 404),
    ],
)
def test_paths(client, method, path, status):
    told(client.request(method, path), status, "")


def test_a_page_of_another_site_is_refused(client):
    told(
        client.post("/segment?point=3,4", content=png(), headers={"Origin": "https://evil.example"}), 403, "other sites"
    )
    told(client.post("/segment?point=3,4", content=png(), headers={"Origin": "http://["}), 403, "other sites")
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert client.post("/segment?point=3,4", content=png(), headers={"Origin": own}).status_code == 200


# ----------------------------------------------------------------------------------------------- who asks, and how fast
PART = b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: "


@pytest.mark.parametrize(("before", "sent"), [(False, b""), (False, PART), (True, PART)])
def test_a_connection_on_which_no_head_comes_is_closed(sent, before, monkeypatch):
    """Else some hundreds of them keep all others out."""
    monkeypatch.setattr(running, "_HEAD", 0.3)
    with served() as client, socket.create_connection((client.base_url.host, client.base_url.port), 10) as connection:
        if before:
            connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(9999).startswith(b"HTTP/1.1 200")
        connection.sendall(sent)
        while connection.recv(9999):  # the rest of the answer; a connection that stays open is a TimeoutError
            pass


def test_a_token_is_asked_for():
    with served(token="s3cret-token") as client:
        assert client.post("/segment?point=3,4", content=png()).status_code == 200
        basic = "Basic " + base64.b64encode(b"anybody:s3cret-token").decode()
        assert client.get("/v2", headers={"Authorization": basic}).status_code == 200
        for wrong in (
            "",
            "Bearer",
            "Bearer s3cret-toke",
            "Bearer s3cret-tokenn",
            "s3cret-token",
            "Basic ???",
            "Bearer ü",
        ):
            answer = client.get("/v2", headers={"Authorization": wrong.encode()})
            told(answer, 401, "the token in the header Authorization is not" if wrong else "the token must be given")
            assert answer.headers["www-authenticate"] == 'Basic realm="zoo-opt-seg"'
        told(client.get("/metrics", headers={"Authorization": ""}), 401, "token")
        assert client.get("/v2/health/live", headers={"Authorization": ""}).status_code == 200
    assert "s3cret" not in repr(vars(client.desk))


def test_a_full_queue_and_a_server_that_ends(monkeypatch):
    with served() as client, ThreadPoolExecutor(8) as pool:
        go = threading.Event()
        client.box.before = lambda images: go.wait(30)
        ask = lambda: client.post("/segment?point=3,4", content=png())  # noqa: E731
        waiting = [pool.submit(ask) for _ in range(SMALL.queue)]
        while client.desk._waiting < SMALL.queue:
            time.sleep(0.01)
        answer = ask()
        told(answer, 429, "the queue of 4 questions is full")
        assert int(answer.headers["retry-after"]) >= 1
        client.desk.ending = True
        answer = ask()
        told(answer, 503, "the server is ending")
        assert "retry-after" in answer.headers and answer.headers["connection"] == "close"
        told(client.get("/v2/health/ready"), 503, "ending")
        assert client.get("/v2/health/live").status_code == 200
        go.set()
        assert [one.result().status_code for one in waiting] == [200] * SMALL.queue
        assert "zoo_opt_queue 0.0" in client.desk.metrics.text().decode()


def raw(client, *parts, pause=0.0, half_closed=False):
    """What comes back for bytes that are sent with pauses between them."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as sock:
        for part in parts:
            sock.sendall(part)
            time.sleep(pause)
        if half_closed:
            sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


HEAD = b"POST /segment?point=3,4 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"


def test_a_slow_body_is_not_waited_for(client):
    begin = time.monotonic()
    answer = raw(client, HEAD % 1000 + b"\r\n", b"x", b"x", pause=0.3)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"must arrive within 1 s" in answer
    assert time.monotonic() - begin < 5


def test_a_body_that_is_too_large_is_refused_before_it_is_there(client):
    said = b"Connection: close\r\n\r\n"
    assert raw(client, HEAD % 10**12 + said).startswith(b"HTTP/1.1 413 ")
    assert raw(client, HEAD % 10**12 + b"Expect: 100-continue\r\n" + said).startswith(b"HTTP/1.1 413 ")
    chunks = [b"10000\r\n" + bytes(65536) + b"\r\n"] * 5
    head = b"POST /segment?point=3,4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + said
    assert raw(client, head, *chunks, b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert raw(client, head, b"zz\r\n").startswith(b"HTTP/1.1 400 ")
    assert client.post("/segment?point=3,4", content=png()).status_code == 200


def test_a_socket_that_is_half_closed_does_no_harm(client):
    raw(client, HEAD % 1000 + b"\r\nabc", half_closed=True)  # the connection is closed: nobody waits for the rest
    assert client.post("/segment?point=3,4", content=png()).status_code == 200


# --------------------------------------------------------------------------------------------------------- the model
@pytest.mark.parametrize(
    ("error", "status", "words", "after"),
    [
        (RuntimeError("out of memory"), 500, "the model failed on this image: RuntimeError: out of memory", None),
        (RuntimeError("https://host/?api_key=abcdefghijkl"), 500, "api_key=***", None),
        (NotServed("busy", retry_after=2.5), 503, "the model is out of service: busy", "3"),
        (ConnectionError("gone"), 503, "gone", "1"),
        (Refused("no money"), 403, "the model refuses: no money", None),
        (ValueError("x" * 1000), 500, "the model failed", None),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_fails(client, error, status, words, after):
    def fail(images):
        raise error

    client.box.before = fail
    try:
        for answer in (
            client.post("/segment?point=3,4", content=png()),
            client.post("/v2/models/red/infer", content=GOOD, headers=HEADERS),
        ):
            told(answer, status, words)
            assert answer.headers.get("retry-after") == after
            assert "abcdefghijkl" not in answer.text
    finally:
        client.box.before = lambda images: None
    assert client.post("/segment?point=3,4", content=png()).status_code == 200


def test_questions_that_arrive_together_are_one_batch():
    with served(batch=8, wait=5.0, limits=Limits(queue=32)) as client, ThreadPoolExecutor(8) as pool:
        images = [picture(20, 12, seed) for seed in range(6)] + [picture(9, 9, 7), picture(9, 9, 8)]
        begin = threading.Barrier(8)

        def hold(images):  # on a slow machine the first is asked about before the others are there
            until = time.monotonic() + 20
            while client.desk._coming < 8 and len(client.box.asked) == 1 and time.monotonic() < until:
                time.sleep(0.002)

        def ask(image):
            begin.wait()
            return infer(client, image=image).tensors["mask"]

        client.box.before = hold
        masks = list(pool.map(ask, images))
        for image, mask in zip(images, masks, strict=True):
            np.testing.assert_array_equal(mask, expected(image))
        assert sum(client.box.asked) == 8 and len(client.box.asked) < 8, client.box.asked
        begin = time.monotonic()
        infer(client)  # alone: nobody else is on the way, and nobody is waited for
        assert time.monotonic() - begin < 2.5


def test_the_model_is_not_asked_for_those_who_have_left():
    """It may be paid for, and one who asks again leaves its first question behind."""
    with served(batch=1) as client:
        host, go = ("127.0.0.1", client.base_url.port), threading.Event()
        client.box.before = lambda images: go.wait(20)
        binary, headers = tensors()
        for path, content, more in (("/segment?point=3,4", png(), {}), ("/v2/models/red/infer", binary, headers)):
            go.clear()
            client.box.asked.clear()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in more.items())
            with contextlib.ExitStack() as stack:
                for number in range(4):
                    sock = stack.enter_context(socket.create_connection(host))
                    sock.sendall(head.encode() + b"\r\n" + content)
                    wait_until(lambda number=number: client.desk._coming == number + 1)
                wait_until(lambda: client.box.asked == [1])
            wait_until(lambda: client.desk._waiting == 0)
            go.set()
            assert client.post("/segment?point=3,4", content=png()).status_code == 200
            assert client.box.asked == [1, 1]
        assert 'status="499"} 4.0' in client.get("/metrics").text


def wait_until(there):
    until = time.monotonic() + 20
    while not there():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_connections_on_which_nothing_comes_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(guard, "MOST", 8)
    with served() as client, contextlib.ExitStack() as stack:
        host = ("127.0.0.1", client.base_url.port)
        for begin in (b"", b"POST /segment HTTP/1.1\r\nHost: x\r\n"):
            for _ in range(20):
                stack.enter_context(socket.create_connection(host)).sendall(begin)
            with httpx.Client(base_url=client.base_url) as another:
                assert another.post("/segment?point=3,4", content=png()).status_code == 200
        slow = [stack.enter_context(socket.create_connection(host)) for _ in range(8)]
        for sock in slow:
            sock.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
        time.sleep(0.2)
        with httpx.Client(base_url=client.base_url) as another:  # all of them are asking
            answer = another.get("/versions")
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert answer.json() == {"error": "the server has 8 requests"}


def test_one_that_fails_in_a_batch_takes_no_other_with_it():
    with served(batch=4, wait=5.0) as client, ThreadPoolExecutor(4) as pool:
        bad = np.zeros_like(picture())

        def fail(images):
            dark = (images == 0).all(axis=(1, 2, 3))
            if dark.any():
                masks = np.zeros(images.shape[:3], np.float32)
                raise PartlyAnswered(masks, {int(row): RuntimeError("dark") for row in np.flatnonzero(dark)})

        client.box.before = fail
        begin = threading.Barrier(4)

        def ask(image):
            begin.wait()
            return client.post("/segment?point=3,4", content=png(image)).status_code

        assert list(pool.map(ask, [picture(), bad, picture(), bad])) == [200, 500, 200, 500]


def test_versions_are_swapped_and_taken_back_while_they_are_served():
    with served() as client:
        first = infer(client).tensors["mask"]
        dark = Segmenter(lambda images, prompts: np.zeros(images.shape[:3], np.float32))
        client.desk.versions.put(dark, about={"images": 7})
        message = infer(client)
        assert message.head["model_version"] == "2" and not message.tensors["mask"].any()
        old = infer(client, path="/v2/models/red/versions/1/infer")
        np.testing.assert_array_equal(old.tensors["mask"], first)
        assert client.post("/segment?point=3,4&version=1", content=png()).headers["x-model-version"] == "1"
        listed = client.get("/versions").json()
        assert listed["current"] == "2" and listed["versions"][1] == {"name": "2", "about": {"images": 7}}
        client.desk.versions.use("1")
        assert infer(client).head["model_version"] == "1"
        assert client.get("/v2/models/red").json()["versions"] == ["1", "2"]


def test_versions_that_are_kept():
    segmenter = Segmenter(Red())
    versions = Versions(segmenter, most=3)
    for _ in range(4):
        versions.put(segmenter)
    assert versions.names == ["1", "4", "5"] and versions.current.name == "5"
    versions.use("4")
    versions.put(segmenter, "mine", use=False)
    assert versions.names == ["1", "4", "mine"] and versions.current.name == "4"
    with pytest.raises(ValueError, match="name must be that of no version yet"):
        versions.put(segmenter, "mine")
    with pytest.raises(KeyError, match="there is no version '9', only 1, 4, mine"):
        versions.use("9")


def test_what_is_counted():
    with served() as client:
        for _ in range(3):
            client.post("/segment?point=3,4", content=png())
        client.post("/segment", content=png())
        client.get("/nothing")
        text = client.get("/metrics").text
        for line in (
            'zoo_opt_requests_total{route="/segment",status="200"} 3.0',
            'zoo_opt_requests_total{route="/segment",status="400"} 1.0',
            'zoo_opt_requests_total{route="other",status="404"} 1.0',
            "zoo_opt_images_total 3.0",
            "zoo_opt_batch_images_count 3.0",
            'zoo_opt_request_seconds_count{route="/segment"} 4.0',
            "zoo_opt_queue 0.0",
        ):
            assert line in text, text


@pytest.mark.parametrize("options", [{"queue": 0}, {"seconds": 0}, {"body": 1.5}])
def test_limits(options):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        Limits(**options)


def test_json_of_an_answer_is_json(client):
    json.loads(client.post("/segment?point=3,4&answer=rle", content=png()).text)

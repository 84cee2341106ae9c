"""The backend of Label Studio: its answers, what it keeps, learns and takes back, and whom it gives a token."""

import base64
import contextlib
import signal
import subprocess
import sys
import threading
import time

import httpx2 as httpx
import numpy as np
import pytest
from seg.serve.label_studio_cases import SIZE, TOKEN, Blurred, click, disc, label_studio, png, question, submitted
from seg.serving import in_thread

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.label_studio import host as host_module
from zoo_opt_seg.serve.label_studio import learning
from zoo_opt_seg.serve.label_studio.clicks import brush_masks, brush_results
from zoo_opt_seg.serve.label_studio.host import LabelStudioHost
from zoo_opt_seg.serve.label_studio.kept import Present, read_versions
from zoo_opt_seg.serve.label_studio.learner import Learner
from zoo_opt_seg.serve.label_studio.router import Backend, label_studio_router
from zoo_opt_seg.serve.label_studio.scheme import EXAMPLE

PASSWORD = "pass-word"


@contextlib.contextmanager
def learner_in(folder, box=None, **options):
    learner = Learner(box or Blurred(), folder, **{"project": 1, "size": SIZE, "every": 1000, **options})
    try:
        yield learner
    finally:
        learner.close()


@contextlib.contextmanager
def backend(folder, box=None, *, annotated=(), password="", **options):
    box = box or Blurred()
    with label_studio(*annotated) as (url, asked), learner_in(folder, box, **options) as learner:
        host = LabelStudioHost(url, TOKEN)
        made = Backend(learner, host, 1)
        with in_thread(Desk("labels", learner.served), [label_studio_router(made)], token=password) as own:
            auth = ("zoo-opt", password) if password else None
            with httpx.Client(base_url=own, timeout=60, auth=auth) as client:
                client.box, client.learner, client.backend, client.asked = box, learner, made, asked
                yield client
        host.close()


def masks_of(reply):
    assert reply.status_code == 200, reply.text
    (answer,) = reply.json()["results"]
    return brush_masks(brush_results(answer["result"]))


# ------------------------------------------------------------------------------------------------------------ answers


def test_a_click_is_answered_once_and_kept(tmp_path):
    with backend(tmp_path) as client:
        assert client.get("/health").json()["status"] == "UP"
        body = {"project": "1.17", "schema": EXAMPLE, "hostname": "", "access_token": "", "extra_params": None}
        assert client.post("/setup", json=body).json() == {"model_version": "version 0"}
        (mask,) = masks_of(client.post("/predict", json=question(1)))
        image, _, (x, y) = disc(1)
        assert mask.shape == image.shape[:2] and mask[int(y), int(x)] and 10 < mask.sum() < 100
        assert client.box.calls == 1 and client.asked == [f"/data/upload/1/1.png Token {TOKEN}"]
        (again,) = masks_of(client.post("/predict", json=question(1)))  # neither asked nor fetched again
        np.testing.assert_array_equal(mask, again)
        assert client.box.calls == client.learner.paid == 1 and len(client.asked) == 1


def test_corrections_move_the_border_and_cost_nothing(tmp_path):
    with backend(tmp_path) as client:
        (mask,) = masks_of(client.post("/predict", json=question(1)))
        _, right, (x, y) = disc(1)
        beside = round(x) + 6, round(y)  # on the disc, beyond what the box finds of it
        assert right[beside[::-1]] and not mask[beside[::-1]]
        (more,) = masks_of(client.post("/predict", json=question(1, click(1), click(1, at=beside))))
        assert (
            more[beside[::-1]]
            and mask.sum() < more.sum()
            and dice(more[None], right[None]) > dice(mask[None], right[None])
        )
        (less,) = masks_of(
            client.post("/predict", json=question(1, click(1), click(1, False, (round(x) + 2, round(y)))))
        )
        assert not less[round(y), round(x) + 2] and less.sum() < mask.sum()
        assert client.box.calls == client.learner.paid == 1
        assert len((tmp_path / "questions.jsonl").read_text().splitlines()) == 1  # what was asked, once


def test_a_model_may_be_asked_by_more_clicks(tmp_path):
    with backend(tmp_path, asked=2) as client:
        masks_of(client.post("/predict", json=question(1, click(1), click(1, False, (1, 1)))))
        masks_of(client.post("/predict", json=question(1, click(1), click(1, False, (1, 1)), click(1, False, (2, 2)))))
        assert client.box.calls == client.learner.paid == 1
        masks_of(client.post("/predict", json=question(1)))
        assert client.box.calls == client.learner.paid == 2


def test_to_open_a_task_costs_nothing(tmp_path):
    with backend(tmp_path) as client:
        body = {**question(1), "params": {"context": None, "login": None}}
        assert client.post("/predict", json=body).json() == {"results": []}
        assert client.box.calls == 0 and client.asked == []


def test_one_question_of_two_people_is_asked_once(tmp_path):
    class Slow(Blurred):
        def __call__(self, images, prompts):
            time.sleep(0.2)
            return super().__call__(images, prompts)

    with backend(tmp_path, Slow()) as client:
        people = [threading.Thread(target=client.post, args=("/predict",), kwargs={"json": question(1)}) for _ in "ab"]
        for person in people:
            person.start()
        for person in people:
            person.join()
        assert client.box.calls == 1


def test_calls_are_capped_over_restarts(tmp_path):
    with backend(tmp_path, most_questions=2) as client:
        masks_of(client.post("/predict", json=question(1)))
    with backend(tmp_path, most_questions=2) as client:
        masks_of(client.post("/predict", json=question(2)))
        masks_of(client.post("/predict", json=question(1)))  # known
        refused = client.post("/predict", json=question(3))
        assert refused.status_code == 403 and "0 left of a budget of 1" in refused.json()["error"]
        assert client.box.calls == 1


WRONG = [
    ({"project": "2.17"}, 400, "project must be 1"),
    ({"project": None}, 400, "project must be 1"),
    ({"tasks": None}, 400, "tasks must be a list"),
    ({"tasks": [1]}, 400, "tasks must be a list"),
    ({"tasks": []}, 400, "about one task, got 0"),
    ({"tasks": [{"id": "x", "data": {}}]}, 400, "whole one"),
    ({"tasks": [{"id": 1}]}, 400, "must have data"),
    ({"tasks": [{"id": 1, "data": {"other": 1}}]}, 400, "image's address"),
    ({"label_config": None}, 400, "label_config must be a text"),
    ({"label_config": "<View/>"}, 400, "labelling configuration"),
    ({"params": [1]}, 400, "params must be an object"),
    ({"params": {"context": {"result": 5}}}, 400, "context.result"),
    ({"tasks": [{"id": 1, "data": {"image": "/data/upload/1/none.png"}}]}, 502, "cannot be fetched"),
    ({"tasks": [{"id": 1, "data": {"image": "http://127.0.0.2:9/x.png"}}]}, 400, "images must be of"),
    ({"tasks": [{"id": 1, "data": {"image": "s3://bucket/x.png"}}]}, 400, "images must be of"),
]


def test_what_is_no_question_has_a_status_and_a_sentence(tmp_path):
    with backend(tmp_path) as client:
        for change, status, complaint in WRONG:
            reply = client.post("/predict", json={**question(1), **change})
            assert (reply.status_code, complaint in reply.json()["error"]) == (status, True), (change, reply.text)
        for content in (b"", b"[]", b"\xff", b"[" * 100_000):
            assert client.post("/predict", content=content).status_code == 400
            assert client.post("/webhook", content=content).status_code == 400
        assert client.post("/setup", json={"project": "1.1", "schema": "<View/>"}).status_code == 400
        assert client.box.calls == 0
        masks_of(client.post("/predict", json=question(1)))  # it lives


def test_a_password_is_asked_for(tmp_path):
    with backend(tmp_path, password=PASSWORD) as client:
        assert client.get("/versions").status_code == 200
        assert httpx.get(f"{client.base_url}/versions").status_code == 401
        assert httpx.post(f"{client.base_url}/predict", json=question(1), auth=("zoo-opt", "no")).status_code == 401


# ------------------------------------------------------------------------------------------------- labels and versions


def quick(monkeypatch):
    for name, value in {"STEPS": 3, "CHANNELS": (4, 4), "MEMBERS": 2}.items():
        monkeypatch.setattr(learning, name, value)
    monkeypatch.setattr(learning.learnt, "__defaults__", (0, 2, 3))


def answer_and_submit(client, numbers):
    for number in numbers:
        masks_of(client.post("/predict", json=question(number)))
        assert client.post("/webhook", json=submitted(number)).json() == {"status": "taken"}


def test_what_is_learnt_from(tmp_path, monkeypatch):
    quick(monkeypatch)
    with backend(tmp_path) as client:
        answer_and_submit(client, (1, 2, 3))
        client.post("/webhook", json=submitted(4))  # drawn by hand: there is no click to learn from
        far = np.zeros(disc(5)[1].shape, bool)
        far[:2, :2] = True
        masks_of(client.post("/predict", json=question(5)))
        client.post("/webhook", json=submitted(5, mask=far))  # another object than the one clicked on
        assert client.learner.records.labelled == {1, 2, 3, 4, 5} and client.learner.records.usable == {1, 2, 3, 5}
        answers = learning.training_answers(tmp_path)
        assert answers.about.tolist() == [1, 2, 3] and answers.images.shape == (3, SIZE, SIZE, 3)
        for row, number in enumerate((1, 2, 3)):
            _, mask, (x, y) = disc(number)
            np.testing.assert_allclose(answers.masks[row].mean(), mask.mean(), atol=0.02)
            place = (np.array([x, y]) + 0) * (SIZE / 48, 1) - 0.5
            np.testing.assert_allclose(answers.prompts.points[row, 0], place, atol=0.02)
        gone = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 101}], "project": {"id": 1}}
        client.post("/webhook", json=gone)
        client.post("/webhook", json=gone)
        assert learning.training_answers(tmp_path).about.tolist() == [2, 3]
        about = learning.learn(tmp_path, 1)
        assert about["images"] == 2 and about["questions"] == 2 and read_versions(tmp_path) == {1: about}
        assert client.box.calls == 4  # learning asks nobody


def test_webhooks_that_say_nothing(tmp_path):
    with backend(tmp_path) as client:
        assert client.post("/webhook", json={"action": "PROJECT_UPDATED"}).json() == {"status": "not for this backend"}
        other = {**submitted(1), "project": {"id": 7}}
        assert client.post("/webhook", json=other).status_code == 400
        for change in ({"annotation": None}, {"annotation": {"id": 1, "result": 5}}, {"task": {}}):
            assert client.post("/webhook", json={**submitted(1), **change}).status_code == 400
        assert client.learner.records.labelled == set()
        skipped = submitted(1)
        skipped["annotation"]["was_cancelled"] = True
        client.post("/webhook", json=skipped)
        assert client.learner.records.labelled == set()


def test_versions_are_seen_taken_back_and_let_go(tmp_path, monkeypatch):
    quick(monkeypatch)
    with backend(tmp_path) as client:
        answer_and_submit(client, (1, 2))
        for number in (1, 2):
            learning.learn(tmp_path, number, seed=number)
    with backend(tmp_path) as client:
        assert client.get("/versions").json()["current"] == "2"
        page = client.get("/")
        assert "2 images, 2 clicks" in page.text and page.text.count("Use this") == 2 and "script" not in page.text
        assert client.post("/rollback", data={"version": "1"}).status_code == 303
        assert client.learner.present == Present(1, True) and "Always use the newest" in client.get("/").text
        assert client.post("/predict", json=question(1)).json()["results"][0]["model_version"] == "version 1"
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/rollback", data={"version": "2"}, headers=foreign).status_code == 403
        for wrong in ("7", "", "x", "-1"):
            assert client.post("/rollback", data={"version": wrong}).status_code == 400
    with backend(tmp_path) as client:  # a person's choice outlives the server
        assert client.learner.present == Present(1, True)
        client.post("/rollback", data={"version": "newest"})
        assert client.learner.present == Present(2, False)
        client.post("/rollback", data={"version": "0"})
        masks_of(client.post("/predict", json=question(1)))
        assert client.box.calls == 0  # version 0 is the black box as it is, whose answer is kept


def test_a_folder_is_for_one_project_and_one_server(tmp_path):
    with learner_in(tmp_path), pytest.raises(CheckpointError, match="in use by another server"):
        Learner(Blurred(), tmp_path, project=1, size=SIZE)
    with pytest.raises(CheckpointError, match="its size is 32, not 64"):
        Learner(Blurred(), tmp_path, project=1, size=64)
    with pytest.raises(CheckpointError, match="its project is 1, not 2"):
        Learner(Blurred(), tmp_path, project=2, size=SIZE)


def test_what_was_submitted_while_it_was_away(tmp_path):
    with backend(tmp_path, annotated=(1, 2)) as client:
        assert client.backend.catch_up() == 2 and client.learner.records.labelled == {1, 2}
        lines = (tmp_path / "labels.jsonl").read_text()
        assert client.backend.catch_up() == 2 and (tmp_path / "labels.jsonl").read_text() == lines


@pytest.mark.slow
def test_it_learns_in_the_background_and_answers_meanwhile(tmp_path):
    with backend(tmp_path, every=4) as client:
        answer_and_submit(client, range(4))
        longest, until = 0.0, time.monotonic() + 300
        while client.learner.present.number == 0 and time.monotonic() < until:
            begin = time.perf_counter()
            assert client.get("/health").json()["status"] == "UP"
            longest = max(longest, time.perf_counter() - begin)
            time.sleep(0.05)
        assert client.learner.present == Present(1, False) and not client.learner.trouble, client.learner.trouble
        assert longest < 1.0 and client.box.calls == 4
        assert "-0.0" not in client.get("/").text
        fresh = range(10, 16)
        truth = [disc(number)[1] for number in fresh]
        after = [masks_of(client.post("/predict", json=question(number)))[0] for number in fresh]
        client.learner.use(0)
        before = [masks_of(client.post("/predict", json=question(number)))[0] for number in fresh]
        gained = [np.mean(dice(np.array(masks), np.array(truth))) for masks in (before, after)]
        assert gained[1] > gained[0] + 0.2, gained


def test_learning_that_fails_is_said(tmp_path, monkeypatch):
    with learner_in(tmp_path) as learner:
        monkeypatch.setattr(sys, "executable", sys.executable)
        (tmp_path / "questions.jsonl").write_text('{"task": "none"}\n')
        assert "learning failed" in learner._learn() and "must hold questions" in learner._learn()


SERVER = "seg.serve.label_studio_cases:Blurred"


def started(folder, url, *more):
    words = ["--model", SERVER, "--size", SIZE, "--project", 1, "--url", url, "--token", "$LS_TOKEN", "--no-connect"]
    command = [sys.executable, "-m", "zoo_opt_seg.cli", "label-studio", *words, "--port", 0, "--out", folder, *more]
    environment = {"LS_TOKEN": TOKEN, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment)
    line = server.stdout.readline()
    assert "answering project 1 at http" in line, line
    return server, line.partition(" at ")[2].partition("/;")[0]


@pytest.mark.slow
def test_nothing_is_lost_by_a_kill(tmp_path):
    with label_studio() as (url, _):
        server, own = started(tmp_path, url)
        try:
            first = masks_of(httpx.post(f"{own}/predict", json=question(1), timeout=60))
            assert httpx.post(f"{own}/webhook", json=submitted(1), timeout=60).status_code == 200
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        server, own = started(tmp_path, url, "--most-questions", 1)  # so that the same click must be known
        try:
            again = masks_of(httpx.post(f"{own}/predict", json=question(1), timeout=60))
            np.testing.assert_array_equal(first, again)
            assert "1 answers of the black box so far; 1 labelled" in httpx.get(f"{own}/", timeout=60).text
            assert httpx.post(f"{own}/predict", json=question(2), timeout=60).status_code == 403
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            if server.poll() is None:
                server.kill()
            server.stdout.close()
    assert TOKEN not in "".join(path.read_text("latin-1") for path in tmp_path.rglob("*.json*"))


# --------------------------------------------------------------------------------------------------------------- host


def test_images_are_fetched_from_this_host_alone():
    with label_studio() as (url, asked):
        host, size = LabelStudioHost(url, TOKEN), (48, 32)
        for address in ("/data/upload/1/3.png", f"{url}/data/upload/1/3.png", "/moved"):
            np.testing.assert_array_equal(np.asarray(host.image(address, size)), disc(3)[0])
        inline = "data:image/png;base64," + base64.b64encode(png(disc(3)[0])).decode()
        np.testing.assert_array_equal(np.asarray(host.image(inline, size)), disc(3)[0])
        assert host.image("/turned.jpg", (32, 48)).size == (32, 48)  # as a browser shows it
        asked.clear()
        for address, complaint in {
            "/turned.jpg": "must be of 48 x 32 pixels, as Label Studio says, got 32 x 48",
            "/elsewhere": "got one of http://127.0.0.2:9",
            "/circle": "4 redirections",
            "/long": "the image must be one of PNG",
            "//127.0.0.2/x.png": "got one of http://127.0.0.2:80",
            "ftp://127.0.0.1/x.png": "images must be of",
            "data:text/html,hello": "data:image/...;base64",
            "data:image/png;base64,!": "must be base64",
        }.items():
            with pytest.raises(ValueError, match=complaint):
                host.image(address, size)
        with pytest.raises(httpx.HTTPError, match="404"):
            host.image("/none", size)
        assert TOKEN not in repr(host)
        host.close()


def test_an_image_is_bounded_while_it_comes(monkeypatch):
    monkeypatch.setattr(host_module, "_MOST_BYTES", 1 << 18)
    with label_studio() as (url, _), pytest.raises(ValueError, match="within 60 s"):
        LabelStudioHost(url, TOKEN).image("/long", (48, 32))


def test_a_personal_token_fetches_short_ones():
    with label_studio() as (url, asked):
        host = LabelStudioHost(url, "eyJa.b.c")
        for _ in "ab":
            host.image("/data/upload/1/3.png", (48, 32))
        host.close()
    assert asked == ["/api/token/refresh {'refresh': 'eyJa.b.c'}", *["/data/upload/1/3.png Bearer short"] * 2]


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://me:word@host", "http://"])
def test_an_address_that_is_none(url):
    with pytest.raises(ValueError, match="url must be"):
        LabelStudioHost(url, TOKEN)

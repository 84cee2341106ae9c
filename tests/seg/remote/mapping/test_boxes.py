"""Mappings as black boxes, as --model names them: over real connections, with credentials, by the registry."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from seg.remote.mapping import services
from seg.remote.mapping.scenes import PLACES, disc, picture
from seg.remote.mapping.serving import serving

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.blackbox.protocol import PartlyAnswered, Unanswerable
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, check_black_box_in_file
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.terms import Terms

pytest.importorskip("httpcore2")
NAMES = ("red disc", "green disc")
BOTH = Prompts(np.array([[PLACES[name][:2]] for name in NAMES], np.float32))
IMAGES = np.stack([picture()] * 2)


def made(words: str, terms: Terms | None = None, **options: str):
    name, _, rest = words.partition(":")
    return BLACK_BOXES.find(name).make(rest, terms=terms, options=options)


@pytest.mark.parametrize(
    ("words", "stub", "soft"),
    [
        ("roboflow:sam@{}", services.roboflow, True),
        ("roboflow:sam2@{}", services.roboflow, True),
        ("roboflow:sam3@{}", services.roboflow, False),
        ("hf:points@{}", services.own_handler, True),
        ("service:cvat@{}", services.cvat, False),
        ("service:livepeer-sam2@{}", services.livepeer, True),
    ],
)
def test_several_images_are_asked_about(words, stub, soft):
    with serving(stub) as (address, seen), made(words.format(address)) as box:
        masks = box(IMAGES, BOTH)
        assert box.prompted_by == "points" and box.hard is not soft and box.spent.images == len(seen) == 2
    assert masks.dtype == (np.float32 if soft else np.bool_)
    for mask, name in zip(masks, NAMES, strict=True):
        assert ((mask > 0.5) == disc(name)).all()


def test_by_text():
    with serving(services.hugging_face) as (address, _), made(f"hf:{address}") as box:
        masks = box(IMAGES, Prompts(texts=NAMES))
        assert box.prompted_by == "text"
    assert (masks == np.stack([disc(name) for name in NAMES])).all()


def test_a_users_own_file_with_its_key(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setenv("OWN_SERVICE_KEY", "a-key-of-mine")
    file = tmp_path / "mine.toml"
    file.write_text(
        """
prompted_by = "points"
[options]
strict = true
[required]
url = "where it is"
[request]
url = "{url}/segment"
headers = { Authorization = "Bearer $OWN_SERVICE_KEY" }
[request.json]
image = "{image}"
pos_points = "{positive}"
neg_points = "{negative}"
obj_bbox = "{null}"
[point]
item = ["{x}", "{y}"]
[answer]
path = "mask"
codec = "list"
[errors]
complaint = ["message"]
retry = [423]
"""
    )
    said = {"status": 200}

    def stub(asked):
        if said["status"] != 200:
            return services.told({"message": "the key a-key-of-mine is not good"}, said["status"])
        return services.cvat(asked)

    caplog.set_level(logging.WARNING)
    with serving(stub) as (address, seen), made(f"json:{file}", Terms(workers=1), url=address) as box:
        assert (box(IMAGES, BOTH)[0] == disc("red disc")).all()
        assert {asked.headers["authorization"] for asked in seen} == {"Bearer a-key-of-mine"}
        for status, error in ((423, NotServed), (401, Refused)):
            said["status"] = status
            with pytest.raises(error) as caught:
                box(IMAGES[:1], BOTH[:1])
            assert "a-key-of-mine" not in str(caught.value) and "is not good" in str(caught.value)
        assert "a-key-of-mine" not in box.name + caplog.text and "$OWN_SERVICE_KEY is sent to 127.0.0.1" in caplog.text
    monkeypatch.delenv("OWN_SERVICE_KEY")
    with pytest.raises(ValueError, match="the environment variable OWN_SERVICE_KEY must be set"):
        made(f"json:{file}", url="http://127.0.0.1:7")


def test_a_reply_that_cannot_be_read_is_paid_for_once():
    """It would be the same again."""

    def stub(asked):
        green = asked.json()["pos_points"] == [list(map(float, PLACES["green disc"][:2]))]
        return services.told({"mask": [[0, 1]]}) if green else services.cvat(asked)

    with serving(stub) as (address, seen), made(f"service:cvat@{address}") as box:
        with pytest.raises(PartlyAnswered) as caught:
            box(IMAGES, BOTH)
        assert list(caught.value.errors) == [1] and isinstance(caught.value.errors[1], Unanswerable)
        assert "has 2 x 1 pixels, the image 100 x 60" in str(caught.value.errors[1])
        with pytest.raises(PartlyAnswered, match="has 2 x 1 pixels"):
            box(IMAGES[1:], BOTH[1:])
        assert len(seen) == 2


def test_a_job_that_was_paid_for_is_gone_on_with_by_another_process(tmp_path: Path):
    """By its ledger: the first box gives up after a second, another one fetches what it has paid for."""
    file = tmp_path / "queue.toml"
    file.write_text(
        """
prompted_by = "points"
[required]
url = "where it is"
[request]
url = "{url}/new"
[request.json]
image = "{image}"
pos_points = "{positive}"
neg_points = "{negative}"
obj_bbox = "{null}"
[point]
item = ["{x}", "{y}"]
[job]
names = { number = "number" }
url = "{url}/jobs/{job.number}"
every = 0.2
state = "state"
done = ["done"]
[answer]
path = "mask"
codec = "list"
"""
    )
    jobs: list[bytes] = []
    ready = []

    def stub(asked):
        if asked.method == "POST":
            jobs.append(services.cvat(asked)[2])
            return services.told({"number": len(jobs) - 1, "state": "new"})
        if not ready:
            return services.told({"state": "running"})
        mask = json.loads(jobs[int(asked.path.rpartition("/")[2])])
        return services.told({"state": "done", **mask})

    ledger = tmp_path / "ledger.jsonl"
    with serving(stub) as (address, seen):
        with made(f"json:{file}", Terms(total=1.0, ledger=ledger), url=address) as box, pytest.raises(NotServed):
            box(IMAGES[:1], BOTH[:1])
        assert len(jobs) == 1 and len(seen) > 2
        ready.append(True)
        with made(f"json:{file}", Terms(ledger=ledger), url=address) as box:
            assert (box(IMAGES, BOTH) == np.stack([disc(name) for name in NAMES])).all()
    assert len(jobs) == 2 and sum(asked.method == "POST" for asked in seen) == 2


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ("roboflow:http://user:pass@host/sam", {}, "there is no mapping 'roboflow-http'; there are azure-ml"),
        ("roboflow:sam9", {}, "there is no mapping 'roboflow-sam9'; there are azure-ml"),
        ("service:cvat", {}, "cvat needs url, the address of the function"),
        ("service:cvat@nowhere", {}, "must be an address that begins with http"),
        ("roboflow:sam2", {"size": "3"}, "roboflow-sam2 has no option 'size'; it has url, model"),
        ("json:nowhere.toml", {}, "there is no file 'nowhere.toml' with a mapping"),
        ("json", {}, "needs a file of a mapping"),
    ],
)
def test_words_that_name_no_service(words, options, message):
    with pytest.raises(ValueError, match=message):
        made(words, **options)


@pytest.mark.parametrize("name", ["json", "service", "roboflow", "hf", "oip"])
def test_a_suite_file_may_name_a_service_only_if_it_is_trusted(name):
    """Else a file from elsewhere could have images and keys sent to any address."""
    with pytest.raises(ValueError, match="is sent images and credentials by the file, and a file is not trusted"):
        check_black_box_in_file(name, trust=False)
    check_black_box_in_file(name, trust=True)

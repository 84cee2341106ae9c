"""What a mapping can say, and what it cannot: strict reading, all forms of prompts, hostile files."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seg.remote.mapping.driving import drive
from seg.remote.mapping.scenes import coco_rle, disc, picture, png
from seg.remote.mapping.services import Answer, Asked, form_fields, told

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.blackbox.protocol import BlackBoxError
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.exchange import Reply
from zoo_opt_seg.remote.mapping.factories import file_mapping
from zoo_opt_seg.remote.mapping.paths import JsonPath
from zoo_opt_seg.remote.mapping.reader import read_mapping
from zoo_opt_seg.remote.mapping.service import MappedService
from zoo_opt_seg.remote.mapping.templates import filled_in

BASE = """
prompted_by = "points"
[request]
url = "http://127.0.0.1:7/segment"
[request.json]
image = "{image}"
points = "{points}"
[point]
item = ["{x}", "{y}"]
[answer]
codec = "list"
"""
POINTS = Prompts(
    np.array([[[25, 15], [5, 45]]], np.float32), np.array([[1, 0]]), np.array([[20, 6, 70, 36]], np.float32)
)
ONE = Prompts(np.array([[[25, 15]]], np.float32))
BLANK = np.zeros((60, 100, 3), np.uint8)
MASK = disc("red disc")


def service(text: str, **options: Any) -> MappedService:
    return MappedService(read_mapping(text.encode(), "it", options))


def sent(text: str, prompts: Prompts = POINTS) -> Any:
    """What a mapping sends."""
    return json.loads(next(service(text).question(BLANK, prompts)).content)


def answered(text: str, content: Any, prompts: Prompts = ONE) -> Any:
    """What a mapping reads in a reply."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return drive(service(text), lambda _: (200, {}, body), BLANK, prompts).mask


def changed(**parts: str) -> str:
    """`BASE` with other lines for its keys, or more."""
    text = BASE
    for key, line in parts.items():
        text = re.sub(rf"(?m)^{key} = .*$", lambda _: line, text)  # noqa: B023
    return text


# ------------------------------------------------------------------------------------------------- forms of prompts
def prompted(json_lines: str, more: str) -> str:
    return f"""
prompted_by = "points"
[request]
url = "http://127.0.0.1:7/segment"
[request.json]
image = "{{image}}"
{json_lines}
{more}
[answer]
codec = "list"
"""


LISTS, ALL = 'at = "{points}"\nlabels = "{labels}"', 'at = "{points}"\nbox = "{box}"'
FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lists": (LISTS, '[point]\nitem = ["{x}", "{y}"]', {"at": [[25, 15], [5, 45]], "labels": [1, 0]}),
    "objects": (
        'at = "{points}"',
        '[point]\nitem = { x = "{x}", y = "{y}", positive = "{label}" }\nobject = true\nbackground = false',
        {"at": [{"x": 25, "y": 15, "positive": True}, {"x": 5, "y": 45, "positive": False}]},
    ),
    "a text": (
        LISTS,
        '[point]\nitem = "[{x},{y}]"\njoin = ","\nwhole = true',
        {"at": "[25,15],[5,45]", "labels": "1,0"},
    ),
    "JSON in a text": (
        'at = "{points|json}"',
        '[point]\nitem = ["{x}", "{y}", "{label}"]',
        {"at": "[[25.0,15.0,1],[5.0,45.0,0]]"},
    ),
    "two lists": (
        'yes = "{positive}"\nno = "{negative}"',
        '[point]\nitem = ["{x}", "{y}"]',
        {"yes": [[25, 15]], "no": [[5, 45]]},
    ),
    "rows before columns, shares": (
        LISTS,
        '[point]\nitem = ["{y}", "{x}"]\nunits = "fraction"\nbackground = -1',
        {"at": [[0.25, 0.25], [0.75, 0.05]], "labels": [1, -1]},
    ),
    "percent": (
        LISTS,
        '[point]\nitem = ["{x}", "{y}"]\nunits = "percent"',
        {"at": [[25, 25], [5, 75]], "labels": [1, 0]},
    ),
    "words": (
        'at = "{points}"',
        '[point]\nitem = "{label} {x} {y}"\nobject = "fg"\nbackground = "bg"',
        {"at": ["fg 25.0 15.0", "bg 5.0 45.0"]},
    ),
}
BOXES: dict[str, tuple[str, dict[str, Any]]] = {
    "corners": ('item = ["{x0}", "{y0}", "{x1}", "{y1}"]', {"box": [20, 6, 70, 36]}),
    "corner and size": ('item = ["{x0}", "{y0}", "{w}", "{h}"]', {"box": [20, 6, 50, 30]}),
    "centre": (
        'item = { x = "{cx}", y = "{cy}", width = "{w}", height = "{h}" }',
        {"box": {"x": 45, "y": 21, "width": 50, "height": 30}},
    ),
    "two points": ('item = [["{x0}", "{y0}"], ["{x1}", "{y1}"]]', {"box": [[20, 6], [70, 36]]}),
    "shares": (
        'item = ["{x0}", "{y0}", "{x1}", "{y1}"]\nunits = "fraction"',
        {"box": [0.2, 0.1, 0.7, 0.6]},
    ),
    "whole percent": (
        'item = ["{x0}", "{y0}", "{x1}", "{y1}"]\nunits = "percent"\nwhole = true',
        {"box": [20, 10, 70, 60]},
    ),
}


def near(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(near(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(near, got, wanted))
    return bool(got == pytest.approx(wanted)) and isinstance(got, bool) == isinstance(wanted, bool)


@pytest.mark.parametrize("name", FORMS)
def test_points_are_written_as_the_service_takes_them(name: str) -> None:
    lines, form, wanted = FORMS[name]
    prompts = Prompts(POINTS.points, POINTS.labels)
    got = sent(prompted(lines, form), prompts)
    del got["image"]
    assert near(got, wanted)


@pytest.mark.parametrize("name", BOXES)
def test_boxes_are_written_as_the_service_takes_them(name: str) -> None:
    form, wanted = BOXES[name]
    got = sent(
        prompted('at = "{points}"\nbox = "{box}"', f'[point]\nitem = ["{{x}}", "{{y}}", "{{label}}"]\n[box]\n{form}')
    )
    assert near({"box": got["box"]}, wanted)


def test_what_is_absent_is_left_out_or_null_or_empty() -> None:
    lines = 'at = "{points}"\nbox = "{box}"\nnone = "{box|null}"\nfew = "{boxes|empty}"\nrest = "{null}"'
    lines += '\nmany = [{ b = "{box}" }]'
    form = '[point]\nitem = ["{x}", "{y}"]\n[box]\nitem = ["{x0}", "{y0}", "{x1}", "{y1}"]'
    got = sent(prompted(lines, form), ONE)
    del got["image"]
    assert got == {"at": [[25, 15]], "none": None, "few": [], "rest": None, "many": [{}]}


def test_sizes_constants_and_options() -> None:
    lines = 'at = "{points}"\nsize = ["{width}", "{height}"]\nmode = "{mode}"\nlevel = "{level}"\nfull = "{{{mode}}}"'
    text = prompted(lines, '[point]\nitem = ["{x}", "{y}"]\n[options]\nmode = "a"\nlevel = 3\nexact = true')
    adapter = service(text, mode="{width}", level="4", exact="false")
    got = json.loads(next(adapter.question(BLANK, ONE)).content)
    assert got["size"] == [100, 60] and got["level"] == 4
    assert got["mode"] == "{width}" and got["full"] == "{{width}}"  # what the user says has no places
    assert adapter.name != service(text).name and adapter.name.startswith("it@127.0.0.1:7/segment#")


def test_the_image_as_numbers_and_by_its_address() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    text = BASE.replace("[point]", '[image]\nencoding = "list"\nlayout = "chw"\nrange = "0-1"\n[point]')
    got = json.loads(next(service(text).question(image, ONE)).content)["image"]
    assert np.allclose(got, np.moveaxis(image, 2, 0) / 255)
    uploading = (
        BASE.replace('image = "{image}"', 'image = "{image_url}"')
        + """
[image]
encoding = "png"
[upload]
url = "https://files.example/new"
method = "PUT"
raw = "{image}"
result = "urls.get"
"""
    )

    def stub(asked: Asked) -> Answer:
        if asked.method == "PUT":
            assert asked.body[:4] == b"\x89PNG" and asked.headers["content-type"] == "image/png"
            return told({"urls": {"get": "https://files.example/1.png"}})
        assert asked.json()["image"] == "https://files.example/1.png"
        return told(MASK.tolist())

    done = drive(service(uploading), stub, BLANK, ONE)
    assert (done.mask == MASK).all() and [request.paid for request in done.requests] == [False, True]


def test_a_form_is_the_same_bytes_each_time_and_is_read_by_others() -> None:
    text = BASE.replace("[request.json]", "[request.multipart]").replace(
        "[point]", '[image]\nencoding = "png"\n[point]'
    )
    first, again = (next(service(text).question(picture(), ONE)) for _ in range(2))
    assert first == again
    fields = form_fields(Asked("POST", "/", {"content-type": first.headers["Content-Type"]}, first.content))
    assert fields["image"][:4] == b"\x89PNG" and json.loads(fields["points"]) == [[25, 15]]


def test_the_address_may_have_what_is_asked_but_no_other_host() -> None:
    text = BASE.replace("segment", "{width}x{height}?q={width}")
    assert next(service(text).question(BLANK, ONE)).url == "http://127.0.0.1:7/100x60?q=100"
    by_text = BASE.replace('"points"', '"text"').replace('points = "{points}"', 'q = "{text}"')
    by_text = by_text.replace('[point]\nitem = ["{x}", "{y}"]\n', "").replace("/segment", "/{text}")
    url = next(service(by_text).question(BLANK, Prompts(texts=("../a b&c",)))).url
    assert url == "http://127.0.0.1:7/..%2Fa%20b%26c"


# ------------------------------------------------------------------------------------------------------ reading masks
RLE = changed(codec='codec = "rle"\npath = "found.*"\nmask = "m"\nscore = "s"\nmerge = "best"')


def test_instances_are_chosen_or_joined() -> None:
    other = disc("green disc")
    found = {"found": [{"m": coco_rle(other), "s": 0.3}, {"m": coco_rle(MASK), "s": 0.7}]}
    assert (answered(RLE, found) == MASK).all()
    assert (answered(RLE.replace('"best"', '"union"'), found) == (MASK | other)).all()
    assert (answered(RLE.replace('"best"', '"first"'), found) == other).all()
    assert not answered(RLE, {"found": []}).any()  # nothing was found
    with pytest.raises(BlackBoxError, match=r"the reply has 2 masks, and answer\.merge does not say which"):
        answered(RLE.replace('"best"', '"only"'), found)
    with pytest.raises(BlackBoxError, match="must have a number as its score, got the text 'high'"):
        answered(RLE, {"found": [{"m": coco_rle(MASK), "s": "high"}]})


def test_soft_instances_are_joined_by_their_largest_probability() -> None:
    text = changed(codec='codec = "list"\nvalues = "probability"\npath = "*"\nmerge = "union"')
    got = answered(text, [np.full(MASK.shape, p).tolist() for p in (0.2, 0.6)])
    assert got.dtype == np.float32 and np.allclose(got, 0.6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "the reply has no 'found', it has an empty object there"),
        ({"found": 5}, "the reply has no 'found.*', it has a int there"),
        ({"found": [{"m": 1}]}, "a mask of the reply has no 's', it has an object of m there"),
        ({"found": [{"m": 1, "s": 1}]}, "bad RLE"),
        (b"<html>", "the reply is not JSON, it begins with '<html>'"),
        (b"", "the reply is not JSON"),
        (b"\xff\xfe", "the reply is not JSON"),
        ({"found": [{"m": coco_rle(MASK.T), "s": 1}]}, "has 60 x 100 pixels, the image 100 x 60"),
        ({"found": [{"m": 1, "s": 1}] * 1001}, "1001 masks, more than 1000"),
    ],
)
def test_replies_that_cannot_be_read(content: Any, words: str) -> None:
    with pytest.raises(BlackBoxError) as caught:
        answered(RLE, content)
    assert words in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["found", "m", "s", "size"]), inner),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(value=values, codec=st.sampled_from(["rle", "png", "polygon", "list"]))
def test_any_reply_is_a_mask_or_a_black_box_error(value: Any, codec: str) -> None:
    text = RLE.replace('"rle"', f'"{codec}"')
    exchange = service(text).question(BLANK[:4, :6], Prompts(np.array([[[2, 2]]], np.float32)))
    next(exchange)
    try:
        exchange.send(Reply(200, {}, json.dumps(value).encode()))
    except StopIteration as end:
        assert end.value.shape == (4, 6) and end.value.dtype == np.bool_
    except BlackBoxError as error:
        assert len(str(error)) < 500 and "\n" not in str(error)


def test_a_mask_of_another_host_is_not_fetched() -> None:
    text = changed(codec='codec = "png"\npath = "url"\nby_url = true\nhosts = ["*.cdn.example"]')

    def stub(url: str) -> Any:
        def answer(asked: Asked) -> Answer:
            return (200, {}, png(MASK.astype(np.uint8) * 255)) if asked.method == "GET" else told({"url": url})

        return answer

    for url in ("http://127.0.0.1:7/1.png", "https://a.cdn.example/1.png"):
        done = drive(service(text), stub(url), BLANK, ONE)
        assert (done.mask == MASK).all() and not done.requests[1].paid and done.requests[1].url == url
    for url, words in (
        ("https://cdn.example/1.png", "from which nothing is fetched"),
        ("https://a.cdn.example.evil/1.png", "from which nothing is fetched"),
        ("http://127.0.0.1:8/1.png", "from which nothing is fetched"),
        ("http://169.254.169.254/latest", "from which nothing is fetched"),
        ("file" + ":///etc/passwd", "begins with http"),
        ("http://127.0.0.1:7@evil.example/", "no credentials"),
        ("http://127.0.0.1:7/a b", "begins with http"),
        ("http://[", "begins with http"),
        ("/relative", "begins with http"),
        (5, "must be an address, got a int"),
    ):
        with pytest.raises(BlackBoxError, match=words):
            drive(service(text), stub(url), BLANK, ONE)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------------- errors
def test_errors_in_answers_and_complaints() -> None:
    text = (
        BASE
        + '[errors]\nin_answer = "error.text"\ncomplaint = ["message", "detail.0.msg"]\nretry = [507]\nrefuse = [423]\n'
    )
    adapter = service(text)
    assert adapter.retry == {507} and adapter.refuse == {423}
    assert adapter.complaint(Reply(400, {}, b'{"detail": [{"msg": "no   image\\n"}]}')) == "no image"
    assert adapter.complaint(Reply(500, {}, b"<html>")) == "" == adapter.complaint(Reply(400, {}, b'{"message": null}'))
    for kind, error in (("failed", BlackBoxError), ("retry", NotServed), ("refuse", Refused)):
        with pytest.raises(error, match="the service 'it' says no more memory"):
            answered(f'{text}kind = "{kind}"\n', {"error": {"text": "no more memory"}})
    assert (answered(text, MASK.tolist()) == MASK).all()


def test_a_complaint_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "value-of-the-key")
    text = BASE + '[errors]\ncomplaint = ["message"]\n'
    said = service(text).complaint(Reply(401, {}, b'{"message": "wrong key value-of-the-key"}'))
    assert "value-of-the-key" not in said and said.startswith("wrong key")


JOB = (
    BASE
    + """
[job]
names = { id = "id" }
url = "http://127.0.0.1:7/jobs/{job.id}"
state = "state"
done = ["done"]
failed = ["failed"]
"""
)


def test_a_job_is_asked_for_at_the_service_alone() -> None:
    def stub(name: Any) -> Any:
        return lambda asked: (
            told({"id": name, "state": "new"}) if asked.method == "POST" else told({"state": asked.path})
        )

    done = drive(service(JOB), stub("a/../b?c"), BLANK, ONE, stop=2)
    assert done.requests[1].url == "http://127.0.0.1:7/jobs/a%2F..%2Fb%3Fc" and done.requests[1].after == 1.0
    for name in ("..", "", None, [1], "x" * 3000):
        with pytest.raises(BlackBoxError, match="must name its job"):
            drive(service(JOB), stub(name), BLANK, ONE, stop=2)
    by_address = JOB.replace('"http://127.0.0.1:7/jobs/{job.id}"', '"{job.id}"')
    with pytest.raises(BlackBoxError, match="from which nothing is fetched"):
        drive(service(by_address), stub("http://10.0.0.1/admin"), BLANK, ONE, stop=2)
    with pytest.raises(ValueError, match="it' has no jobs"):
        service(BASE).question(BLANK, ONE, "{}")


# -------------------------------------------------------------------------------------------------- what is refused
WRONG: dict[str, tuple[str, str]] = {
    "no TOML": ("a = ", "it: not valid TOML"),
    "nothing": ("", "'prompted_by' is missing"),
    "an unknown key": (BASE + "[answers]\n", "unknown key 'answers'; expected"),
    "an unknown key in a part": (BASE + "codecs = 1\n", "it, answer: unknown key 'codecs'"),
    "a wrong type": (BASE + "hard = 1\n", "it, answer: 'hard' must be a bool, got 1"),
    "another prompt": (
        changed(prompted_by='prompted_by = "clicks"'),
        "must be one of points, boxes, text, got 'clicks'",
    ),
    "no place for it": (changed(prompted_by='prompted_by = "text"'), "is 'text', but request has no place for that"),
    "no image": (changed(image='a = "b"'), "request must send the image"),
    "an unknown place": (changed(points='points = "{clicks}"'), "it, request: json.points: there is no {clicks} here"),
    "code": (changed(points='points = "{points.__class__}"'), "there is no {points.__class__} here"),
    "a call": (changed(points='points = "{open(1)}"'), "a brace must be of a {name}"),
    "a format": (changed(points='points = "{points!r}"'), "a brace must be of a {name}"),
    "another way": (changed(points='points = "{points|eval}"'), "a brace must be of a {name}"),
    "two bodies": (changed(url='url = "http://h"\nraw = "{image}"'), "expected one of json, multipart and raw"),
    "raw and more": (BASE.replace("[request.json]", 'raw = "{points}"\n[x]'), "the image alone, got '{points}'"),
    "no form of points": (BASE.replace('[point]\nitem = ["{x}", "{y}"]', ""), "[point] is missing"),
    "a form of boxes": (BASE + '[box]\nitem = ["{x0}", "{y0}"]\n', "[box] is of no use"),
    "no x": (changed(item='item = ["{y}"]'), "it, point: 'item' must have a place {x}"),
    "units": (changed(item='item = ["{x}", "{y}"]\nunits = "mm"'), "must be one of px, fraction, percent, got 'mm'"),
    "whole fractions": (changed(item='item = ["{x}", "{y}"]\nunits = "fraction"\nwhole = true'), "but 0 and 1"),
    "joined lists": (changed(item='item = ["{x}", "{y}"]\njoin = ","'), "'join' is for items that are texts"),
    "bytes in JSON": (BASE + '[image]\nencoding = "png"\n', "json cannot hold the bytes"),
    "a layout": (BASE + '[image]\nlayout = "chw"\n', "are for the encoding 'list'"),
    "best of what": (BASE + 'merge = "best"\n', "'merge' is 'best', which needs 'score'"),
    "two scores": (BASE + 'score = "a"\nscores = "b"\n', "expected one of 'score' and 'scores'"),
    "an array": (BASE + 'array = "a"\n', "are for the codec 'npz'"),
    "hosts": (BASE + 'hosts = ["a"]\n', "'by_url' must be true"),
    "a list by its address": (BASE + "by_url = true\n", "'by_url' is for the codecs png and npz"),
    "an empty step": (BASE + 'path = "a..b"\n', "'path': a path must be names, numbers and *"),
    "a codec": (changed(codec='codec = "jpeg"'), "it, answer: codec must be one of png, rle"),
    "a status": (BASE + "[errors]\nretry = [99]\n", "'retry' must be statuses of HTTP from 300 to 599, got 99"),
    "one status twice": (BASE + "[errors]\nretry = [500]\nrefuse = [500]\n", "got 500 in both"),
    "a job without end": (JOB.replace('done = ["done"]\n', ""), "expected 'state' with 'done', or 'waiting'"),
    "a job that is asked all the time": (JOB.replace("state =", "every = 0\nstate ="), "seconds from 0.05 to 3600"),
    "a job's place": (JOB.replace("{job.id}", "{job.name}"), "there is no {job.name} here; expected {job.id}"),
    "an option's name": (BASE + "[options]\nimage = 1\n", "options must have names of their own, got 'image'"),
    "an option's kind": (BASE + "[options]\na = [1]\n", "it, options: 'a' must be a text, a number or true or false"),
    "an option that is needed": (BASE + '[required]\nkey = "the key"\n', "it needs key, the key: -m key=VALUE"),
    "a secret": (changed(url='url = "http://h"\nheaders = { X-Api-Key = "abc123def456" }'), "must hold no secret"),
    "a file as a header": (changed(url='url = "http://h"\nheaders = { A = "@/etc/passwd" }'), "must not name a file"),
    "a header of two lines": (changed(url='url = "http://h"\nheaders = { A = "a\\nB: c" }'), "texts of one line"),
    "a header's name": (changed(url='url = "http://h"\nheaders = { "A:b" = "a" }'), "texts of one line by their names"),
    "a header without a variable": (
        changed(url='url = "http://h"\noptional_headers = { A = "a" }'),
        "must have a $NAME",
    ),
    "no host": (changed(url='url = "segment"'), "must be an address that begins with http"),
    "another scheme": (changed(url='url = "ftp' + '://h/"'), "must be an address that begins with http"),
    "a password": (changed(url='url = "http://$P@h/"'), "must have no credentials in it"),
    "a host by a place": (changed(url='url = "http://h{width}/"'), "must name its host itself"),
    "an upload that is not used": (
        BASE + '[upload]\nurl = "http://h"\njson = { a = "{image}" }\nresult = "a"\n',
        "must name the image that was uploaded",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mapping_that_cannot_be_used_says_where_and_why(name: str) -> None:
    text, words = WRONG[name]
    with pytest.raises(ValueError) as caught:
        service(text)
    message = str(caught.value)
    assert words in message and "\n" not in message, message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"b": "1"}, "it has no option 'b'; it has a, n, t"),
        ({"n": "x"}, "the option 'n' must be a whole number, got 'x'"),
        ({"t": "yes"}, "the option 't' must be true or false, got 'yes'"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        service(BASE + '[options]\na = "x"\nn = 1\nt = true\n', **options)


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(BASE)
    assert file_mapping(file).name == "mine"
    with pytest.raises(ValueError, match="there is no file"):
        file_mapping(tmp_path / "other.toml")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="mine: not valid TOML"):
        file_mapping(file)
    file.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ValueError, match="bytes at most"):
        file_mapping(file)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet='{}[]="ab.|\n#1', max_size=60), at=st.integers(0, len(BASE)))
def test_any_file_is_a_mapping_or_a_value_error(text: str, at: int) -> None:
    try:
        service(BASE[:at] + text + BASE[at:])
    except ValueError as error:
        assert str(error)


# ------------------------------------------------------------------------------------------------------- small parts
def test_paths() -> None:
    tree = {"a": [{"b": 1}, {"b": 2}], "c": '{"d": [3]}', "0": 4}
    assert JsonPath.of("a.*.b").all(tree, "it") == [1, 2] and JsonPath.of("a.-1.b").one(tree, "it") == 2
    assert JsonPath.of("c.d.0").one(tree, "it") == 3 and JsonPath.of("0").one(tree, "it") == 4
    assert JsonPath().one(tree, "it") is tree and JsonPath.of("a.5").find(tree) is None
    for path, words in (("a.2", "has no 'a.2'"), ("a.x", "has no 'a.x'"), ("a.*.c", "has no"), ("a.*", "got 2")):
        with pytest.raises(BlackBoxError, match=re.escape(words)):
            JsonPath.of(path).one(tree, "it")


def test_templates() -> None:
    assert filled_in("{a}", {"a": [1]}) == [1] and filled_in("x{a}y{{}}", {"a": [1]}) == "x[1]y{}"
    assert filled_in({"k": ["{a|json}", 5, True]}, {"a": {"b": None}}) == {"k": ['{"b":null}', 5, True]}

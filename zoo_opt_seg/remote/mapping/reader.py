"""Reads mappings from TOML, strictly: an unknown key, a wrong type or parts that do not fit are one clear sentence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_opt.bench.suite_reader import REQUIRED, Reader
from zoo_opt_seg.remote.codecs.images import ENCODINGS, LAYOUTS, RANGES
from zoo_opt_seg.remote.codecs.masks import MaskForm
from zoo_opt_seg.remote.mapping.forms import (
    BOX_NAMES,
    KINDS,
    MERGES,
    POINT_NAMES,
    PROMPT_NAMES,
    UNITS,
    AnswerForm,
    ErrorForm,
    ImageForm,
    JobForm,
    PlaceForm,
    SentBody,
    ServiceMapping,
)
from zoo_opt_seg.remote.mapping.keys import as_path, count, one_of, part, path_at, statuses, texts
from zoo_opt_seg.remote.mapping.options import chosen
from zoo_opt_seg.remote.mapping.paths import JsonPath
from zoo_opt_seg.remote.mapping.templates import check_names, with_options

_PROMPTED = ("points", "boxes", "text")
_METHODS = ("POST", "PUT", "GET")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_IMAGE_NAMES = ("image", "width", "height")


def read_mapping(content: bytes, name: str, options: Mapping[str, Any] | None = None) -> ServiceMapping:
    """Return the mapping that a TOML file holds.

    Parameters
    ----------
    content : bytes
    name : str
        What it is called, in messages too.
    options : mapping, optional
        Values of its ``[options]`` and ``[required]``, as texts or of their types.

    Raises
    ------
    SuiteError
        If it is not of the form that ``docs/remote-mapping.md`` describes; the message names the key.
    """
    reader = Reader.of_file(name, content)
    defaults, required = part(reader, "options", {}), part(reader, "required", {})
    values = chosen(name, defaults.table, required.table, options or {})
    # What an option is called cannot mean something else as well.
    if taken := sorted(set(values) & {*_IMAGE_NAMES, *PROMPT_NAMES, *POINT_NAMES, *BOX_NAMES, "image_url", "null"}):
        raise reader.error(f"options must have names of their own, got {taken[0]!r}")
    reader.table = with_options(reader.table, values)
    return _mapping(reader, name, {"options": values, "table": reader.table})


def _mapping(reader: Reader, name: str, told: Any) -> ServiceMapping:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    about = reader.take("about", str, "")
    prompted_by = one_of(reader, "prompted_by", _PROMPTED, REQUIRED)
    point = _place(reader, "point", POINT_NAMES)
    box = _place(reader, "box", BOX_NAMES)
    image = _image(part(reader, "image", {}))
    sent = part(reader, "request")
    credentials = {key: _headers(sent, key) for key in ("headers", "optional_headers")}
    sign = _sign(sent)
    upload, uploaded = _upload(reader, image)
    known = [*_IMAGE_NAMES, *(["image_url"] if upload else []), *PROMPT_NAMES]
    request, used = _sent(sent, known, image, {k: v for k, v in credentials["headers"].items() if "$" not in v})
    answer = _answer(part(reader, "answer"))
    job = _job(part(reader, "job")) if "job" in reader.table else None
    errors = _errors(part(reader, "errors", {}))
    reader.known += ["options", "required", "job", "upload"]
    reader.done()
    mapping = ServiceMapping(
        name=name,
        about=about,
        prompted_by=prompted_by,
        request=request,
        credentials={k: v for k, v in credentials["headers"].items() if "$" in v},
        optional=credentials["optional_headers"],
        sign=sign,
        image=image,
        point=point,
        box=box,
        upload=upload,
        uploaded=uploaded,
        job=job,
        answer=answer,
        errors=errors,
        used=frozenset(used),
        digest=digest,
    )
    _check(reader, mapping)
    return mapping


def _check(reader: Reader, mapping: ServiceMapping) -> None:
    """Raise where parts do not fit together."""
    used, answer = mapping.used, mapping.answer
    if not used & {"image", "image_url"}:
        raise reader.error("request must send the image, as {image} or, with an [upload], as {image_url}")
    if mapping.upload is not None and "image_url" not in used:
        raise reader.error("request must name the image that was uploaded, as {image_url}")
    points, boxes = bool(used & {"points", "positive", "negative"}), bool(used & {"box", "boxes"})
    for key, form, there in (("point", mapping.point, points or "labels" in used), ("box", mapping.box, boxes)):
        if there and form is None:
            raise reader.error(f"[{key}] is missing, which says how {{{key}}} is written")
        if form is not None and not there:
            raise reader.error(f"[{key}] is of no use, as request has no place for it")
    asked = {"points": points, "boxes": boxes, "text": "text" in used or answer.label is not None}
    if not asked[mapping.prompted_by]:
        raise reader.error(f"'prompted_by' is {mapping.prompted_by!r}, but request has no place for that")
    if answer.by_url and answer.form.codec not in ("png", "npz"):
        raise reader.error(f"answer: 'by_url' is for the codecs png and npz, got {answer.form.codec!r}")


# ------------------------------------------------------------------------------------------------------- the parts
def _sent(
    reader: Reader, known: Sequence[str], image: ImageForm, headers: Mapping[str, str]
) -> tuple[SentBody, set[str]]:
    url = reader.take("url", str, REQUIRED)
    check_names(url, f"{reader.where}: url", known)
    method = one_of(reader, "method", _METHODS, "POST")
    most = count(reader, "most_bytes", 0)
    bodies = {key: reader.take(key, object, None) for key in ("json", "multipart", "raw")}
    given = [key for key, body in bodies.items() if body is not None]
    if len(given) != 1:
        raise reader.error(f"expected one of json, multipart and raw, which say what is sent, got {given or 'none'}")
    (body,) = given
    template = bodies[body]
    if body == "multipart" and not isinstance(template, dict):
        raise reader.error(f"'multipart' must be a table of fields, got {template!r:.80}")
    if body == "raw" and template != "{image}":
        raise reader.error(f"'raw' must be \"{{image}}\", the image alone, got {template!r:.80}")
    used = check_names(template, f"{reader.where}: {body}", known)
    if image.encoding == "png" and body == "json" and "image" in used:
        raise reader.error("json cannot hold the bytes of a PNG file: [image] must have another encoding")
    if image.encoding != "png" and body == "raw":
        raise reader.error(f"raw needs [image] with encoding 'png', got {image.encoding!r}")
    reader.done()
    for name, value in headers.items():
        check_names(value, f"{reader.where}: headers.{name}", ())
    return SentBody(url=url, method=method, headers=headers, body=body, template=template, most_bytes=most), used


def _headers(reader: Reader, key: str) -> dict[str, str]:
    """Headers; a ``$NAME`` in them is the environment's, and that of a file is nobody's."""
    headers = reader.take(key, dict, {})
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not isinstance(value, str) or not value.isprintable():
            raise reader.error(f"{key} must be texts of one line by their names, got {name!r} = {value!r:.40}")
        if value.lstrip()[:1] == "@":
            raise reader.error(f"{key}: {name} must not name a file, got {value!r:.40}")
    if key == "optional_headers" and (plain := [name for name, value in headers.items() if "$" not in value]):
        raise reader.error(f"{key}: {plain[0]} must have a $NAME, without which it belongs to headers")
    return headers


def _sign(reader: Reader) -> str:
    """How requests are signed; "" and "none" are not at all."""
    sign: str = reader.take("sign", str, "")
    if not re.fullmatch(r"(none|aws:[a-z0-9-]+)?", sign):
        raise reader.error(f"'sign' must be aws:SERVICE, or none, got {sign!r:.40}")
    return "" if sign == "none" else sign


def _upload(reader: Reader, image: ImageForm) -> tuple[SentBody | None, JsonPath]:
    if "upload" not in reader.table:
        return None, JsonPath()
    own = part(reader, "upload")
    headers = _headers(own, "headers")
    if secret := [name for name, value in headers.items() if "$" in value]:
        raise own.error(f"headers: {secret[0]} belongs to request, whose secrets go along to the same host")
    path = path_at(own, "result", REQUIRED)
    sent, used = _sent(own, _IMAGE_NAMES, image, headers)
    if "image" not in used:
        raise own.error("an upload must send the image, as {image}")
    assert path is not None
    return sent, path


def _image(reader: Reader) -> ImageForm:
    form = ImageForm(
        encoding=one_of(reader, "encoding", ENCODINGS, "base64"),
        layout=one_of(reader, "layout", LAYOUTS, "hwc"),
        range=one_of(reader, "range", RANGES, "0-255"),
    )
    reader.done()
    if form.encoding != "list" and (form.layout, form.range) != ("hwc", "0-255"):
        raise reader.error(f"layout and range are for the encoding 'list', got {form.encoding!r}")
    return form


def _place(reader: Reader, key: str, names: Sequence[str]) -> PlaceForm | None:
    if key not in reader.table:
        reader.known.append(key)
        return None
    own = part(reader, key)
    item = own.take("item", object, REQUIRED)
    used = check_names(item, f"{own.where}: item", names)
    lacking = [n for n in names[:2] if n not in used]
    if lacking and not (key == "box" and {"cx", "cy"} <= used):
        raise own.error(f"'item' must have a place {{{lacking[0]}}}, got {item!r:.80}")
    form = PlaceForm(
        item=item,
        units=one_of(own, "units", UNITS, "px"),
        whole=own.take("whole", bool, False),
        join=own.take("join", str, None),
        **({n: own.take(n, object, d) for n, d in (("object", 1), ("background", 0))} if key == "point" else {}),
    )
    own.done()
    if form.join is not None and not isinstance(item, str):
        raise own.error(f"'join' is for items that are texts, got {item!r:.80}")
    if form.whole and form.units == "fraction":
        raise own.error("'whole' makes nothing of fractions but 0 and 1")
    return form


def _answer(reader: Reader) -> AnswerForm:
    codec = reader.take("codec", str, REQUIRED)
    values = reader.take("values", str, "mask")
    kept = {key: reader.take(key, bool, False) for key in ("hard", "resize", "by_url")}
    channel = reader.take("channel", str, "grey")
    try:
        form = MaskForm(codec=codec, values=values, channel=channel, hard=kept["hard"], resize=kept["resize"])
    except ValueError as error:
        raise reader.error(str(error)) from None
    npz = codec == "npz"
    answer = AnswerForm(
        form=form,
        path=path_at(reader, "path", None) or JsonPath(),
        mask=path_at(reader, "mask", None) or JsonPath(),
        label=path_at(reader, "label", None),
        score=path_at(reader, "score", None),
        scores=path_at(reader, "scores", None),
        array=reader.take("array", str, "masks" if npz else ""),
        score_array=reader.take("score_array", str, ""),
        by_url=kept["by_url"],
        hosts=tuple(texts(reader, "hosts")),
        merge=one_of(reader, "merge", MERGES, "only"),
    )
    reader.done()
    if not npz and (answer.array or answer.score_array):
        raise reader.error(f"'array' and 'score_array' are for the codec 'npz', got {codec!r}")
    if npz and (answer.label or answer.score or answer.scores):
        raise reader.error("an npz file has no labels, and its scores are 'score_array'")
    if sum(map(bool, (answer.score, answer.scores, answer.score_array))) > 1:
        raise reader.error("expected one of 'score' and 'scores'")
    if answer.merge == "best" and not (answer.score or answer.scores or answer.score_array):
        raise reader.error("'merge' is 'best', which needs 'score', 'scores' or, of an npz file, 'score_array'")
    if answer.hosts and not answer.by_url:
        raise reader.error("'hosts' is for masks that are fetched: 'by_url' must be true")
    return answer


def _job(reader: Reader) -> JobForm:
    names = {}
    for name, text in reader.take("names", dict, REQUIRED).items():
        if not isinstance(text, str):
            raise reader.error(f"'names' must be paths by their names, got {name!r} = {text!r:.40}")
        names[name] = as_path(reader, f"names.{name}", text)
    known = [f"job.{name}" for name in names]
    url, result = reader.take("url", str, REQUIRED), reader.take("result", str, "")
    for key, text in (("url", url), ("result", result)):
        check_names(text, f"{reader.where}: {key}", known)
    every = reader.take("every", object, 1.0)
    if isinstance(every, bool) or not isinstance(every, (int, float)) or not 0.05 <= every <= 3600:
        raise reader.error(f"'every' must be seconds from 0.05 to 3600, got {every!r}")
    job = JobForm(
        names=names,
        url=url,
        every=float(every),
        state=path_at(reader, "state", None),
        done=tuple(texts(reader, "done")),
        failed=tuple(texts(reader, "failed")),
        waiting=tuple(statuses(reader, "waiting", 200, 299)),
        error=path_at(reader, "error", None),
        result=result,
    )
    reader.done()
    if not names:
        raise reader.error("'names' must name what is kept of the first reply, such as { id = \"id\" }")
    if (job.state is None) == (not job.waiting) or (job.state is None) != (not job.done):
        raise reader.error("expected 'state' with 'done', or 'waiting', by which one sees that a job is done")
    return job


def _errors(reader: Reader) -> ErrorForm:
    form = ErrorForm(
        complaint=tuple(as_path(reader, "complaint", text) for text in texts(reader, "complaint")),
        in_answer=path_at(reader, "in_answer", None),
        kind=one_of(reader, "kind", KINDS, "failed"),
        retry=tuple(statuses(reader, "retry", 300, 599)),
        refuse=tuple(statuses(reader, "refuse", 300, 599)),
    )
    reader.done()
    if both := sorted(set(form.retry) & set(form.refuse)):
        raise reader.error(f"a status is one of 'retry' and 'refuse', got {both[0]} in both")
    return form

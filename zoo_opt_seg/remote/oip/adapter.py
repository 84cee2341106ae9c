"""The adapter ``oip:URL/MODEL``: a model of Triton, KServe, MLServer or ``zoo-opt-seg serve`` as a black box."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import Refused
from zoo_opt.support.secrets import hidden, hidden_in
from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.prompts import BACKGROUND, Array, Prompts
from zoo_opt_seg.remote.exchange import Adapter, Exchange, Reply, Request, presentable
from zoo_opt_seg.remote.oip import tensors, wire
from zoo_opt_seg.remote.oip.form import form_of, read_metadata, sends_binary
from zoo_opt_seg.remote.oip.options import OipOptions, read_options
from zoo_opt_seg.remote.oip.pictures import image_tensor, mask_of
from zoo_opt_seg.remote.terms import Terms

if TYPE_CHECKING:
    from zoo_opt_seg.remote.box import RemoteBlackBox

_PLACE = re.compile(r"(https?://[^?#@\s]+?)(/v2/models)?/([^/?#@\s]+)(?(2)(?:/versions/([^/?#@\s]+))?(?:/infer)?)/?")
_CORNERS = (2, 3)  # labels of a box's two points, as in SAM's decoder
_EXCEPTION = re.compile(r"^([\w.]*(?:Error|Exception)\b)(.*)", re.MULTILINE)  # the line of a traceback that says what


def oip(place: str, terms: Terms | None = None, **options: Any) -> RemoteBlackBox:
    """Return the black box of a model behind the Open Inference Protocol.

    Parameters
    ----------
    place : str
        ``URL/MODEL``, such as ``http://localhost:8000/sam``; ``URL/v2/models/MODEL/versions/2`` too.
    terms : Terms, optional
    **options
        Those of `OipOptions`, and ``config``, a TOML file of them.
    """
    from zoo_opt_seg.remote.box import RemoteBlackBox

    return RemoteBlackBox(OipAdapter(place, read_options(options)), terms)


class OipAdapter(Adapter):
    """The Open Inference Protocol, version 2.

    Parameters
    ----------
    place : str
        See `oip`.
    options : OipOptions, optional

    Raises
    ------
    ValueError
        If the place is no address and model.

    Notes
    -----
    `check` reads the server's and the model's metadata; without it the form is that of the options, and tensors are
    binary unless ``binary="no"``.
    """

    refuse = frozenset({501})  # what the server does not do

    def __init__(self, place: str, options: OipOptions | None = None) -> None:
        self.options = options = options or OipOptions()
        match = _PLACE.fullmatch(place)
        if match is None:
            raise ValueError(
                f"oip must be given as URL/MODEL, such as oip:http://localhost:8000/sam, got {hidden(place)!r}"
                + ("; credentials go into a header" if "@" in place else "")
            )
        base, model, version = match[1].rstrip("/"), urllib.parse.unquote(match[3]), options.version or match[4] or ""
        self._server = f"{base}/v2"
        self.url = f"{self._server}/models/{urllib.parse.quote(model, safe='')}"
        self.url += f"/versions/{urllib.parse.quote(version, safe='')}" if version else ""
        self.name = f"oip:{hidden(self.url)}{_digest(options)}"
        self._form, self._binary = form_of(options), options.binary != "no"
        self.prompted_by = self._form.prompted_by
        self.hard = True if options.answer == "bool" or options.cut is not None else None
        self._constants = options.constant_arrays()

    def check(self, ask: Any) -> None:
        """Read the metadata, and hold the options against it."""
        if self.options.binary == "auto":
            try:
                self._binary = sends_binary(ask(self._fetch(self._server)).content)
            except Refused:  # the server says nothing of itself
                self._binary = False
        metadata = read_metadata(ask(self._fetch(self.url)).content)
        self._form = form_of(self.options, metadata)
        mask = metadata.outputs.get(self.options.mask)
        if mask is not None and self.hard is None:
            self.hard = mask.datatype == "BOOL"

    def question(self, image: Array, prompts: Prompts, job: str = "") -> Exchange:
        """Return the exchange of one question: one request, paid for."""
        body, headers = self._written(image, prompts)
        return self._exchange(Request(f"{self.url}/infer", body, headers), (image.shape[0], image.shape[1]))

    def complaint(self, reply: Reply) -> str:
        """Return what the server says went wrong."""
        try:
            whole = json.loads(reply.content)
            said = whole.get("error") or whole.get("detail") or "" if isinstance(whole, dict) else ""
        except (ValueError, RecursionError):
            said = reply.content.decode(errors="replace")
        said = said.strip() if isinstance(said, str) else json.dumps(said)
        if "Traceback (most recent call last)" in said:  # of a model's exception
            said = ([*map("".join, _EXCEPTION.findall(said))] or said.splitlines())[-1]
        return presentable(said)

    def _fetch(self, url: str) -> Request:
        return Request(url, method="GET", paid=False)

    def _exchange(self, request: Request, shape: tuple[int, int]) -> Exchange:
        reply = yield request
        try:
            answer = wire.read("outputs", reply.content, reply.headers)
        except ValueError as error:
            raise Unanswerable(f"the answer of {self.name} cannot be read: {error}") from None
        options = self.options
        for name in filter(None, (options.mask, options.score)):
            if name not in answer.tensors:
                has = ", ".join(answer.tensors) or "none"
                raise Unanswerable(f"the answer of {self.name} must have the output {name}, got {has}")
        return mask_of(self._form, answer.tensors[options.mask], answer.tensors.get(options.score), shape)

    def _written(self, image: Array, prompts: Prompts) -> tuple[bytes, dict[str, str]]:
        """Return the body and headers of a question."""
        form, options = self._form, self.options
        arrays = {options.image: image_tensor(form, image)}
        for option, values in self._asked(prompts, image.shape[1], image.shape[0]).items():
            if option not in form.types:
                takes = ", ".join(form.types) or "an image alone"
                raise ValueError(f"the model takes no {option}, got prompts with {option}; it takes {takes}")
            values = values if option == "text" else values.astype(tensors.DTYPES[form.types[option]])
            arrays[getattr(options, option)] = values[None] if form.batch else values
        for name, side in ((options.height, image.shape[0]), (options.width, image.shape[1])):
            if name:
                arrays[name] = np.full((1, 1) if form.batch else (1,), side, np.int64)
        arrays |= self._constants
        ask = {name: self._binary for name in (options.mask, options.score) if name}
        binary = tuple(arrays) if self._binary else ()
        head: dict[str, Any] = {"id": uuid.uuid4().hex}  # models of KServe hand it on, and fail without
        if options.parameters:
            head["parameters"] = dict(options.parameters)
        return wire.write("inputs", arrays, binary=binary, ask=ask, head=head)

    def _asked(self, prompts: Prompts, width: int, height: int) -> dict[str, Array]:
        """Return what is asked, by the option that names its input; points and boxes in the model's frame."""
        ((_, one),) = prompts.groups()
        if one.masks is not None:
            raise ValueError("oip has no input for masks as prompts")
        if self.options.frame == "unit":
            one = one.scaled(1 / width, 1 / height)
        elif self.options.frame != "image":
            one = one.scaled(int(self.options.frame) / width, int(self.options.frame) / height)
        asked: dict[str, Array] = {}
        points, labels = one.points, one.labels
        if one.boxes is not None and self.options.boxes == "points":
            corners = one.boxes.reshape(1, 2, 2)
            points = corners if points is None else np.concatenate([points, corners], axis=1)
            more = np.array([_CORNERS], np.int64)
            labels = more if labels is None else np.concatenate([labels, more], axis=1)
        elif one.boxes is not None:
            asked["box"] = one.boxes[0]
        if points is not None and points.shape[1] and labels is not None:
            asked |= {"points": points[0], "labels": labels[0]}
            if "labels" not in self._form.types and not (labels == BACKGROUND).any() and (labels < 2).all():
                del asked["labels"]  # all of them are on the object, as is meant where nothing is said
        if one.texts is not None and one.texts[0]:
            asked["text"] = np.array([one.texts[0].encode()], object)
        return asked


def _digest(options: OipOptions) -> str:
    """Return what tells a model asked by these options from one asked by others, for its name."""
    said = options.said()
    if not said:
        return ""
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    shown = json.dumps(hidden_in(said), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return shown if shown == text and len(shown) <= 120 else f"{{{digest}}}"

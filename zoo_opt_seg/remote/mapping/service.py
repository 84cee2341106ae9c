"""The adapter of a service that a mapping describes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import BlackBoxError, Unanswerable
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.remote.addresses import allowed_address, checked_address
from zoo_opt_seg.remote.codecs.images import encoded
from zoo_opt_seg.remote.codecs.reading import json_value, shown
from zoo_opt_seg.remote.exchange import Adapter, Exchange, Reply, Request, presentable
from zoo_opt_seg.remote.mapping import jobs
from zoo_opt_seg.remote.mapping.answers import mask_of
from zoo_opt_seg.remote.mapping.bodies import request_of
from zoo_opt_seg.remote.mapping.forms import ServiceMapping
from zoo_opt_seg.remote.mapping.places import prompt_values
from zoo_opt_seg.remote.mapping.templates import filled_in, names_in

_SAID = 200  # letters of what a service says
_ERRORS = {"failed": BlackBoxError, "retry": NotServed, "refuse": Refused}


class MappedService(Adapter):
    """A service by its mapping.

    Parameters
    ----------
    mapping : ServiceMapping

    Attributes
    ----------
    name, url, prompted_by, hard, retry, refuse, sign
        See `Adapter`.

    Raises
    ------
    ValueError
        If the mapping's address is none.
    """

    def __init__(self, mapping: ServiceMapping) -> None:
        self.mapping = mapping
        self.prompted_by = mapping.prompted_by
        self.hard = not mapping.answer.form.soft
        self.sign = mapping.sign
        self.retry, self.refuse = frozenset(mapping.errors.retry), frozenset(mapping.errors.refuse)
        self.url, other = (
            filled_in(mapping.request.url, dict.fromkeys(names_in(mapping.request.url), text)) for text in "01"
        )
        self._own = checked_address(self.url, f"{mapping.name}, request: url")
        if urlsplit(other)[:2] != self._own[:2]:
            raise ValueError(
                f"{mapping.name}, request: url must name its host itself, got {mapping.request.url!r:.120}"
            )
        if mapping.upload is not None:
            checked_address(filled_in(mapping.upload.url, {}), f"{mapping.name}, upload: url")
        self.name = f"{mapping.name}@{self._own.netloc}{self._own.path}#{mapping.digest[:12]}"

    def question(self, image: Array, prompts: Prompts, job: str = "") -> Exchange:
        """Return the exchange that asks about one image, see `Adapter`."""
        mapping, size = self.mapping, (image.shape[0], image.shape[1])
        values = prompt_values(mapping, prompts, size)
        text = prompts.texts[0] if prompts.texts else ""
        if job and mapping.job is None:
            raise ValueError(f"the service {mapping.name!r} has no jobs, got {hidden(job)!r:.80}")
        if job and mapping.job is not None:
            return self._answered(None, jobs.recalled(mapping.job, job), size, text)
        form = mapping.image
        values["image"] = encoded(image, form.encoding, form.layout, form.range)
        who = f"the service {mapping.name!r}"
        if mapping.upload is not None:
            return self._uploaded(request_of(mapping.upload, values, who, paid=False), values, who, size, text)
        return self._asked(request_of(mapping.request, values, who), size, text)

    def complaint(self, reply: Reply) -> str:
        """Return what the service says in a reply with an error's status."""
        try:
            told = json_value(reply.content, "the reply")
        except Unanswerable:
            return ""
        found = (path.find(told) for path in self.mapping.errors.complaint)
        return next((presentable(said, _SAID) for said in found if said not in (None, "")), "")

    def _uploaded(
        self, upload: Request, values: dict[str, Any], who: str, size: tuple[int, int], text: str
    ) -> Exchange:
        reply = yield upload
        address = self.mapping.uploaded.one(json_value(reply.content, "the reply to the upload"), "the reply")
        if not isinstance(address, str):
            raise Unanswerable(f"the reply to the upload must have an address, got {shown(address)}")
        request = request_of(self.mapping.request, values | {"image_url": address}, who)
        return (yield from self._asked(request, size, text))

    def _asked(self, request: Request, size: tuple[int, int], text: str) -> Exchange:
        reply = yield request
        self._check(reply)
        names = None if self.mapping.job is None else jobs.named(self.mapping.job, reply)
        return (yield from self._answered(reply, names, size, text))

    def _answered(
        self, reply: Reply | None, names: dict[str, Any] | None, size: tuple[int, int], text: str
    ) -> Generator[Request, Reply, Array]:
        mapping = self.mapping
        if mapping.job is not None and names is not None:
            reply = yield from jobs.waited(mapping.job, names, reply, self._allowed)
            self._check(reply)
        assert reply is not None
        job = "" if names is None else jobs.kept(names)
        fetched = lambda url: Request(self._allowed(url), method="GET", paid=False, job=job)  # noqa: E731
        return (yield from mask_of(mapping.answer, reply.content, size, text, fetched))

    def may_fetch(self, url: str) -> bool:
        """Return whether a redirect to an address may be followed: as an address in a reply."""
        try:
            return bool(self._allowed(url))
        except Unanswerable:
            return False

    def _allowed(self, url: Any) -> str:
        return allowed_address(url, self._own, self.mapping.answer.hosts, "an address in the reply")

    def _check(self, reply: Reply) -> None:
        """Raise what stands in a reply as an error, whatever its status."""
        path = self.mapping.errors.in_answer
        if path is None or reply.content[:1] not in (b"{", b"["):
            return
        said = path.find(json_value(reply.content, "the reply"))
        if said not in (None, "", False, [], {}):
            raise _ERRORS[self.mapping.errors.kind](
                f"the service {self.mapping.name!r} says {presentable(said, _SAID)}"
            )

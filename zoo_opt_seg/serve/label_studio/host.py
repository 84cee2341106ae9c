"""The Label Studio that a project is in: its images, its annotations, and what it must know of us."""

from __future__ import annotations

import base64
import binascii
import io
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo_opt_seg.data.limits import check_pixels

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_MOST_BYTES = 1 << 26  # of an image; chosen
_MOST_HOPS = 3  # redirections within the host
_SECONDS = 60.0  # for an image as a whole
_LASTS = 200.0  # seconds that a short token is used; it is good for five minutes


class LabelStudioHost:
    """Asks a Label Studio, with a token that no other host is ever sent.

    Parameters
    ----------
    url : str
        Its address, http or https.
    token : str
        Of a user: an access token (the older kind), or a personal one, by which short ones are fetched.
    client : httpx2.Client, optional
        By default one of its own.

    Raises
    ------
    ValueError
        If the address is none.
    """

    def __init__(self, url: str, token: str, client: httpx2.Client | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError(f"url must be http://HOST or https://HOST, got {url!r:.80}")
        self.url, self._origin = url.rstrip("/") + "/", _origin(url)
        self._token, self._bearer, self._until = token, "", -1.0
        self._http = client or httpx2.Client(timeout=httpx2.Timeout(30.0, connect=10.0), follow_redirects=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --------------------------------------------------------------------------------------------------------- images

    def image(self, address: str, size: tuple[int, int]) -> Image.Image:
        """Return the image at an address, RGB, turned as its EXIF orientation says, which is how a browser shows it.

        Parameters
        ----------
        address : str
            As a task has it: a path of this host, its full address, or a ``data:`` address. Of other hosts nothing is
            fetched.
        size : tuple of int
            Width and height as Label Studio says.

        Raises
        ------
        ValueError
            If it is elsewhere, too large, no image, or of another size.
        httpx2.HTTPError
            If it cannot be fetched.
        """
        content = _in_address(address) if address.startswith("data:") else self._fetched(address)
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                check_pixels("the image", *image.size)
                turned = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, UnidentifiedImageError, SyntaxError) as error:
            raise ValueError(f"the image must be one of {', '.join(FORMATS)}: {error}") from None
        if turned.size != size:
            raise ValueError(
                f"the image must be of {size[0]} x {size[1]} pixels, as Label Studio says, "
                f"got {turned.size[0]} x {turned.size[1]}"
            )
        return turned

    def _fetched(self, address: str) -> bytes:
        place, until = urljoin(self.url, address), time.monotonic() + _SECONDS
        for _ in range(_MOST_HOPS + 1):
            if _origin(place) != self._origin:
                raise ValueError(f"images must be of {self._origin} or uploaded there, got one of {_origin(place)}")
            with self._http.stream("GET", place, headers=self._headers()) as reply:
                if reply.is_redirect:
                    place = urljoin(place, reply.headers.get("location", ""))
                    continue
                reply.raise_for_status()
                content = bytearray()
                for part in reply.iter_bytes():
                    content += part
                    if len(content) > _MOST_BYTES or time.monotonic() > until:
                        raise ValueError(f"the image must come within {_SECONDS:g} s and {_MOST_BYTES >> 20} MiB")
                return bytes(content)
        raise ValueError(f"the image must be at its address, got {_MOST_HOPS + 1} redirections")

    # ------------------------------------------------------------------------------------------------------- projects

    def configuration(self, project: int) -> str:
        """Return the labelling configuration of a project."""
        return str(self._asked("GET", f"api/projects/{project}/")["label_config"])

    def annotations(self, project: int) -> Iterator[tuple[int, int, list[Any]]]:
        """Return task, number and result of each annotation that was submitted so far."""
        exported = self._asked("GET", f"api/projects/{project}/export?exportType=JSON")
        for task in exported if isinstance(exported, list) else []:
            for annotation in task.get("annotations") or []:
                if not annotation.get("was_cancelled"):
                    yield task["id"], annotation["id"], annotation["result"]

    def connect(self, project: int, url: str, title: str, user: str = "", password: str = "") -> None:
        """Have a project ask a backend at ``url``, and tell it what is submitted; what is there already stays.

        Parameters
        ----------
        project : int
        url : str
            Of the backend, as this Label Studio reaches it.
        title : str
        user, password : str
            That the backend asks for; "" for none.
        """
        backend = {"url": url, "project": project, "title": title, "is_interactive": True}
        hook: dict[str, Any] = {"url": f"{url}/webhook", "project": project, "send_payload": True}
        hook |= {"send_for_all_actions": True, "headers": {}}
        if password:
            backend |= {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}
            hook["headers"] = {"Authorization": _basic(user, password)}
        known = self._asked("GET", f"api/ml?project={project}")
        there = next((one["id"] for one in known if one["url"].rstrip("/") == url), None)
        self._asked(*(("POST", "api/ml") if there is None else ("PATCH", f"api/ml/{there}")), json=backend)
        hooks = self._asked("GET", f"api/webhooks/?project={project}")  # adding a backend makes one, without password
        there = next((one["id"] for one in hooks if one["url"] == hook["url"]), None)
        self._asked(*(("POST", "api/webhooks/") if there is None else ("PATCH", f"api/webhooks/{there}/")), json=hook)

    def _asked(self, method: str, path: str, json: Any = None) -> Any:
        reply = self._http.request(method, urljoin(self.url, path), headers=self._headers(), json=json)
        if not reply.is_success:
            raise ValueError(f"Label Studio answers {method} /{path} with {reply.status_code}: {reply.text[:200]}")
        return reply.json()

    def _headers(self) -> dict[str, str]:
        if self._token.count(".") != 2:
            return {"Authorization": f"Token {self._token}"}
        if time.monotonic() > self._until:  # a personal token
            reply = self._http.post(urljoin(self.url, "api/token/refresh"), json={"refresh": self._token})
            if not reply.is_success:
                raise ValueError(f"Label Studio does not take the personal token: status {reply.status_code}")
            self._bearer, self._until = reply.json()["access"], time.monotonic() + _LASTS
        return {"Authorization": f"Bearer {self._bearer}"}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    try:
        port = parts.port or default
    except ValueError:
        port = None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _in_address(address: str) -> bytes:
    head, comma, body = address.partition(",")
    if not comma or not head.endswith(";base64") or len(body) > 4 * _MOST_BYTES // 3:
        raise ValueError(f"a data address must be data:image/...;base64, and at most {_MOST_BYTES >> 20} MiB")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a data address must be base64: {error}") from None

"""What a mapping consists of: what is sent, how prompts and images are written, what is read, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt_seg.remote.codecs.masks import MaskForm
from zoo_opt_seg.remote.mapping.paths import JsonPath

UNITS = ("px", "fraction", "percent")
MERGES = ("only", "best", "union", "first")
KINDS = ("failed", "retry", "refuse")
POINT_NAMES = ("x", "y", "label")
BOX_NAMES = ("x0", "y0", "x1", "y1", "cx", "cy", "w", "h")
PROMPT_NAMES = ("points", "labels", "positive", "negative", "box", "boxes", "text")


@dataclass(frozen=True, kw_only=True)
class SentBody:
    """A request.

    Parameters
    ----------
    url : str
        A template, as all texts of the body are.
    method : str
    headers : mapping of str to str
        Those without credentials.
    body : str
        How it is sent: "json", "multipart", "raw", or "" for nothing.
    template : object
        Of the body.
    most_bytes : int
        That the service takes; 0 is not known.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    template: Any = None
    most_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ImageForm:
    """How the image is written, see `zoo_opt_seg.remote.codecs.images.encoded`."""

    encoding: str = "base64"
    layout: str = "hwc"
    range: str = "0-255"


@dataclass(frozen=True, kw_only=True)
class PlaceForm:
    """How a point or a box is written.

    Parameters
    ----------
    item : object
        A template with the names of `POINT_NAMES` or `BOX_NAMES`.
    units : {"px", "fraction", "percent"}
        Pixels of the image, or shares of its width and height, of 1 or of 100.
    whole : bool
        Whether numbers are rounded to whole ones.
    join : str or None
        What several are joined by to one text; None is a list.
    object, background : object
        The labels of points.
    """

    item: Any
    units: str = "px"
    whole: bool = False
    join: str | None = None
    object: Any = 1
    background: Any = 0


@dataclass(frozen=True, kw_only=True)
class JobForm:
    """How a result is waited for.

    Parameters
    ----------
    names : mapping of str to JsonPath
        What is kept of the first reply, for ``{job.NAME}``.
    url : str
        Where the state is asked for.
    every : float
        Seconds between two looks.
    state : JsonPath or None
        Of the state in a reply; None where the status of HTTP says it.
    done, failed : tuple of str
        States.
    waiting : tuple of int
        Statuses of HTTP that say that it is not done.
    error : JsonPath or None
        What a job that failed says.
    result : str
        Where the result is fetched once it is done; "" where it is in the reply itself.
    """

    names: Mapping[str, JsonPath]
    url: str
    every: float = 1.0
    state: JsonPath | None = None
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    waiting: tuple[int, ...] = ()
    error: JsonPath | None = None
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class AnswerForm:
    """Where the masks of a reply are, and which of them is the answer.

    Parameters
    ----------
    form : MaskForm
    path : JsonPath
        Of the instances in the reply.
    mask, label, score : JsonPath
        Of its parts in an instance. An instance counts where its label is the text that was asked for.
    scores : JsonPath or None
        Of the scores of all instances in the reply, where they stand apart.
    array, score_array : str
        Of an npz file.
    by_url : bool
        Whether a mask is an address to fetch it from.
    hosts : tuple of str
        From which, beside the service's own; ``*.HOST`` is each below it.
    merge : {"only", "best", "union", "first"}
        Of several instances: there must be no more than one, the one with the best score, all, the first.
    """

    form: MaskForm
    path: JsonPath = field(default_factory=JsonPath)
    mask: JsonPath = field(default_factory=JsonPath)
    label: JsonPath | None = None
    score: JsonPath | None = None
    scores: JsonPath | None = None
    array: str = ""
    score_array: str = ""
    by_url: bool = False
    hosts: tuple[str, ...] = ()
    merge: str = "only"


@dataclass(frozen=True, kw_only=True)
class ErrorForm:
    """What a service says goes wrong.

    Parameters
    ----------
    complaint : tuple of JsonPath
        Of what a reply with an error's status says.
    in_answer : JsonPath or None
        What stands in a reply without such a status if it is an error nevertheless.
    kind : {"failed", "retry", "refuse"}
        What that is: an image that fails, an outage, a refusal.
    retry, refuse : tuple of int
        Statuses of HTTP, beside the usual ones.
    """

    complaint: tuple[JsonPath, ...] = ()
    in_answer: JsonPath | None = None
    kind: str = "failed"
    retry: tuple[int, ...] = ()
    refuse: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServiceMapping:
    """A service's schema; made by `zoo_opt_seg.remote.mapping.reader.read_mapping`.

    Parameters
    ----------
    name : str
    about : str
    prompted_by : {"points", "boxes", "text"}
    request : SentBody
    credentials : mapping of str to str
        Headers with ``$NAME`` instead of secrets.
    optional : mapping of str to str
        Those that are sent only where the environment has their variables.
    sign : str
        See `zoo_opt_seg.remote.signing.signer`; "" where nothing is signed.
    image : ImageForm
    point, box : PlaceForm or None
    upload : SentBody or None
        By which the image is sent first, to be named by its address.
    uploaded : JsonPath
        Of the address in the upload's reply.
    job : JobForm or None
    answer : AnswerForm
    errors : ErrorForm
    used : frozenset of str
        Names that the body has.
    digest : str
        Of all that it says, options included.
    """

    name: str
    about: str
    prompted_by: str
    request: SentBody
    credentials: Mapping[str, str]
    optional: Mapping[str, str]
    sign: str
    image: ImageForm
    point: PlaceForm | None
    box: PlaceForm | None
    upload: SentBody | None
    uploaded: JsonPath
    job: JobForm | None
    answer: AnswerForm
    errors: ErrorForm
    used: frozenset[str]
    digest: str

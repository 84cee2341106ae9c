"""The mask in a service's reply: which instances there are, which of them is the answer, how several become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.codecs.arrays import npz_masks
from zoo_opt_seg.remote.codecs.reading import bytes_of, json_value, readable, shown
from zoo_opt_seg.remote.exchange import Reply, Request
from zoo_opt_seg.remote.mapping.forms import AnswerForm

WHAT = "the mask of the reply"
_INSTANCES = 1000  # of a reply; chosen
_BINARY = ("png", "npz")


@dataclass(frozen=True)
class Instance:
    """One of the masks of a reply, not decoded yet."""

    mask: Any
    score: float | None


def mask_of(
    answer: AnswerForm, content: bytes, size: tuple[int, int], text: str, fetched: Callable[[Any], Request]
) -> Generator[Request, Reply, Array]:
    """Read the reply that holds the answer, and return the mask; what has to be fetched is asked for.

    Parameters
    ----------
    answer : AnswerForm
    content : bytes
        Of the reply.
    size : (int, int)
        Height and width of the image.
    text : str
        That was asked for, which an instance's label must be where it has one.
    fetched : callable
        Makes the request for an address of the reply, or raises.

    Returns
    -------
    (H, W) array
        float32 or bool. Where there is no instance, nothing was found: an empty mask.

    Raises
    ------
    Unanswerable
        If the reply cannot be read.
    """
    with readable("the reply"):
        instances = list(_instances(answer, content, text))
    if answer.merge == "only" and len(instances) > 1:
        raise Unanswerable(f"the reply has {len(instances)} masks, and answer.merge does not say which is meant")
    if answer.merge == "best" and instances:
        instances = [max(instances, key=lambda one: -math.inf if one.score is None else one.score)]
    elif answer.merge == "first":
        instances = instances[:1]
    mask: Array = np.zeros(size, np.float32 if answer.form.soft else np.bool_)
    for instance in instances:
        value = instance.mask
        if answer.by_url and not (isinstance(value, str) and value[:5].lower() == "data:"):
            reply = yield fetched(value)
            value = reply.content
        if answer.form.codec == "npz" and not isinstance(value, np.ndarray):
            value = _only(_arrays(answer, value))
        np.maximum(mask, answer.form.read(value, size, WHAT), out=mask)
    return mask


def _instances(answer: AnswerForm, content: bytes, text: str) -> Sequence[Instance]:
    form = answer.form
    if form.codec in _BINARY and not (answer.path.steps or answer.mask.steps or answer.by_url):
        if form.codec == "png":
            return [Instance(content, None)]
        return _arrays(answer, content)
    told = json_value(content, "the reply")
    found = answer.path.all(told, "the reply")
    if len(found) > _INSTANCES:
        raise Unanswerable(f"the reply has {len(found)} masks, more than {_INSTANCES}")
    scores: list[Any] = [None] * len(found)
    if answer.scores is not None:
        scores = answer.scores.all(told, "the reply")
        if len(scores) != len(found):
            raise Unanswerable(f"the reply has {len(scores)} scores for {len(found)} masks")
    instances = []
    for one, score in zip(found, scores, strict=True):
        if answer.label is not None and not _same(answer.label.one(one, "a mask of the reply"), text):
            continue
        if answer.score is not None:
            score = answer.score.one(one, "a mask of the reply")
        instances.append(Instance(answer.mask.one(one, "a mask of the reply"), _score(score)))
    return instances


def _arrays(answer: AnswerForm, content: Any) -> Sequence[Instance]:
    masks, scores = npz_masks(bytes_of(content, WHAT), WHAT, answer.array, answer.score_array)
    return [Instance(mask, _score(scores[i] if scores else None)) for i, mask in enumerate(masks)]


def _only(instances: Sequence[Instance]) -> Any:
    if len(instances) != 1:
        raise Unanswerable(f"{WHAT} must be one array, got {len(instances)}")
    return instances[0].mask


def _same(label: Any, text: str) -> bool:
    return isinstance(label, str) and label.strip().casefold() == text.strip().casefold()


def _score(value: Any) -> float | None:
    if value is None or (type(value) in (int, float) and math.isfinite(value)):
        return value  # type: ignore[no-any-return]
    raise Unanswerable(f"a mask of the reply must have a number as its score, got {shown(value)}")

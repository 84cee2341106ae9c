"""Text prompts of Poudel et al. (medvlsm): annotation files that hold a split and, for each mask, what to ask by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.readers.lists import read_json
from zoo_opt_seg.data.samples import Texts
from zoo_opt_seg.prompts import is_unicode

FILES = {"train": "train.json", "validation": "val.json", "test": "test.json"}
_EMPTY = "p0"  # the key of the empty prompt, which asks for nothing
_LOG = logging.getLogger("zoo_opt_seg.data")


@dataclass(frozen=True)
class Annotation:
    """One entry of an annotation file.

    Parameters
    ----------
    image, mask : str
        File names, as the files have them; of another copy of the images, perhaps.
    texts : Texts
        For each of p1, p2, ... its strings.
    """

    image: str
    mask: str
    texts: Texts


def read_texts(folder: str | Path, name: str = "") -> dict[str, list[Annotation]]:
    """Read ``anns/train.json``, ``anns/val.json`` and ``anns/test.json``.

    Each is a list of objects with ``img_name``, ``mask_name`` and ``prompts``, which maps ``p0``, ``p1``, ... to a
    string or a list of strings. ``p0``, the empty prompt, is left out.

    Parameters
    ----------
    folder : path
        The folder ``anns``, the one of the set that holds it, or one that holds several sets.
    name : str
        Of the set's folder there, as "clinicdb_polyp".

    Returns
    -------
    dict
        Annotations of "train", "validation" and "test", in the order of the files.

    Raises
    ------
    DataError
        For a file that is missing, is no JSON, or has an entry of another form; it names the file and the entry.
    """
    base = Path(folder)
    places = [base / name / "anns", base / "anns", base] if name else [base / "anns", base]
    place = next((path for path in places if (path / FILES["train"]).is_file()), places[0])
    return {split: _read(place / file) for split, file in FILES.items()}


def attach(
    records: Mapping[str, list[Record]],
    annotations: Mapping[str, list[Annotation]],
    named: Callable[[str, str, str], tuple[str, ...]],
    where: str,
) -> dict[str, list[Record]]:
    """Return the records that are annotated, with their texts, divided as the annotations are.

    An image that the files have in two splits (the published ISIC files have three of the test images among those for
    training) is kept in the last of them alone, so that a test stays one.

    Parameters
    ----------
    records : mapping
        Of any division.
    annotations : mapping
        See :func:`read_texts`.
    named : callable (image, mask, split) -> tuple of str
        Names of the record that an annotation means; the first that there is counts.
    where : str
        Where the annotations come from, for messages.

    Raises
    ------
    DataError
        For an annotation without a record, or a split that is empty then.
    """
    known = {record.name: record for part in records.values() for record in part}
    found: dict[str, dict[str, Record]] = {split: {} for split in FILES}
    twice = 0
    for split, file in FILES.items():
        for annotation in annotations[split]:
            keys = named(annotation.image, annotation.mask, split)
            key = next((key for key in keys if key in known), None)
            if key is None:
                raise DataError(f"{where}, {file}: {annotation.mask} has no sample {keys[-1]!r} in the data")
            twice += sum(part.pop(key, None) is not None for part in found.values())
            found[split][key] = replace(known[key], texts=annotation.texts)
    for split, file in FILES.items():
        if not found[split]:
            raise DataError(f"{where}, {file}: later files have all its samples, are they for another release?")
    if twice:
        _LOG.warning("%s: %d samples are there twice, and count once, in the last split", where, twice)
    left = len(known) - sum(map(len, found.values()))
    if left:
        _LOG.info("left out: %d samples without an annotation in %s", left, where)
    return {split: list(part.values()) for split, part in found.items()}


def _read(file: Path) -> list[Annotation]:
    entries = read_json(file, "text prompts")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{file}: expected a list of annotations, got {entries!r:.40}")
    return [_annotation(entry, f"{file}, entry {row}") for row, entry in enumerate(entries)]


def _annotation(entry: Any, where: str) -> Annotation:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, got {entry!r:.40}")
    image, mask, prompts = (entry.get(key) for key in ("img_name", "mask_name", "prompts"))
    if not isinstance(image, str) or not image:
        raise DataError(f"{where}: expected img_name as a string, got {image!r:.40}")
    if not isinstance(prompts, dict):
        raise DataError(f"{where} ({image}): expected prompts as an object with p0, p1, ..., got {prompts!r:.40}")
    texts = []
    for key, value in prompts.items():
        if key == _EMPTY:
            continue
        strings = [value] if isinstance(value, str) else value
        if not (isinstance(strings, list) and strings and all(isinstance(s, str) and s.strip() for s in strings)):
            raise DataError(f"{where} ({image}): expected {key} as a text or a list of texts, got {value!r:.40}")
        if not all(map(is_unicode, strings)):
            raise DataError(f"{where} ({image!r:.40}): expected {key!r:.10} in Unicode, got half of a character")
        texts.append(tuple(strings))
    if not texts:
        raise DataError(f"{where} ({image}): expected a prompt beside p0, found none")
    return Annotation(image, mask if isinstance(mask, str) else image, tuple(texts))

"""The rows of an adaptation's test, and in words what it was worth beside its start and beside what asks nobody."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

ZERO_SHOT, START, ADAPTED, REFINED = "zero-shot", "start", "adapted", "refined"  # rows that asked the black box
FLOOR = "without the box"  # the row of the refiner's network trained without the black box
_FLOORS = {
    FLOOR: "the same network on the same labels without the black box",
    "disk": "the best disk, no model",
    "ellipse": "the ellipse in the box, no model",
    "whole image": "the whole image, no model",
    "region growing": "region growing, no model",
}


def last_row(rows: Iterable[str]) -> str:
    """Return which row of the test is the result."""
    return REFINED if REFINED in rows else ADAPTED


def best_floor(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which row that asks nobody has the best Dice; "" where there is none."""
    known = {who: row["dice"] for who, row in rows.items() if who in _FLOORS and not math.isnan(row["dice"])}
    return max(known, key=lambda who: known[who], default="")


def said_of(test: Mapping[str, Any]) -> list[str]:
    """Return in words whether the training and the black box were worth their calls, as far as it was measured.

    Parameters
    ----------
    test : mapping
        ``metrics["test"]`` of an adaptation.
    """
    return [said for said in (_of_start(test), _of_floor(test)) if said]


def _of_start(test: Mapping[str, Any]) -> str:
    """Return whether the prompt's training has gained anything over its start; "" where that was not measured."""
    over = test.get("over_start")
    if not over:
        return ""
    views = over["views"]
    instead = f"an ensemble of {views} views" if views > 1 else "the start's doing"
    start, trained = (say(test["rows"][who]["dice"]) for who in (START, ADAPTED))
    if over["kept"]:
        return f"The untrained start is what is kept: this is {instead}, not training; Dice {start}."
    compared = f"untrained Dice {start}, trained {trained}"
    if over["low"] is None:
        return f"No interval for what training gained, as there is one group of images; {compared}."
    if over["low"] > 0:
        return f"Training gained over its start; {compared} ({_interval(over)})."
    does = "does better" if over["high"] < 0 else "does as well"
    return f"The untrained start {does}: this is {instead}, not training; {compared} ({_interval(over)})."


def _of_floor(test: Mapping[str, Any]) -> str:
    """Return whether the black box was worth asking; "" where no floor was measured."""
    over = test.get("over_floor")
    if not over:
        return ""
    rows, who = test["rows"], over.get("row", FLOOR)
    floor, last = (say(rows[name]["dice"]) for name in (who, last_row(rows)))
    compared = f"{_FLOORS[who]}: Dice {floor}, with it {last}"
    if over["low"] is None:
        return f"No interval, as there is one group of images; {compared}."
    compared = f"{compared} ({_interval(over)})"
    if over["high"] < 0:
        return f"You do not need the black box for this; {compared}."
    if over["low"] <= 0:
        return f"You may not need the black box for this; {compared}."
    if FLOOR in rows:
        return f"The black box is worth its calls here; {compared}."
    return (
        f"The black box is above what needs no model; {compared}. Whether a small network on the same labels does as "
        "well without it, --refine measures."
    )


def _interval(over: Mapping[str, Any]) -> str:
    return f"difference {over['dice']:+.3f}, 95 % interval {over['low']:+.3f} to {over['high']:+.3f}"


def say(value: Any, digits: int = 3) -> str:
    """Return a measure with so many digits, a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"

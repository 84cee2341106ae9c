"""The page of an adaptation: one HTML file that needs no network and no other file. Its script only saves figures."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from zoo_opt.bench.report.template import asset, fill, scripts
from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.atomic import write_atomically
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.adaptation.charts import Chart, smoothed
from zoo_opt_seg.adaptation.folder import (
    Line,
    RunFolder,
    read_lines,
    without_secrets,
)
from zoo_opt_seg.adaptation.panel.cells import panel_html
from zoo_opt_seg.data.draws import asked_by
from zoo_opt_seg.measures.verdicts import ADAPTED, FLOOR, REFINED, START, ZERO_SHOT, last_row, said_of, say

NAMES = {
    ZERO_SHOT: "Zero-shot",
    START: "Untrained start",
    ADAPTED: "Adapted",
    REFINED: "Refined",
    FLOOR: "Without the box",
    "disk": "Best disk",
    "whole image": "Whole image",
}
WHAT = {
    ZERO_SHOT: "the black box as it is",
    START: "the visual prompt before its training",
    ADAPTED: "with the visual prompt",
    REFINED: "its answers corrected by the refiner",
    FLOOR: "the refiner's network, trained on the same labels without the black box",
    "disk": "around {place}, no model; radius fitted on the training images",
    "ellipse": "in the box, no model",
    "whole image": "everything is object",
    "region growing": "what has the colour of {place}, no model",
}
PLACES = {"text": "the middle", "box": "the box's middle"}  # by what the black box is asked; else the point
PROMPTED = {  # likewise: an option of predict, and what to call the prompts
    "text": ('--text "..."', "texts"),
    "box": ("--box x0,y0,x1,y1", "boxes"),
    "box+point": ("--box x0,y0,x1,y1 --point x,y", "prompts"),
}
# Options of adapt that predict, evaluate and serve need too
_OF_MODEL = {"--model", "--also", "--model-name", "--device", "--dtype", "--header", "-m", "--model-option"}
_OF_IMAGE = {"--window"}
_OF_DATA = {"--data", "--data-seed", "--data-option", "--points", "--text"}


def write_page(folder: RunFolder) -> None:
    """Write ``index.html`` from the other files of a result folder.

    Parameters
    ----------
    folder : RunFolder
        With ``config.json``, ``metrics.json`` and ``log.jsonl``; the panel is shown where it is there.
    """
    config, metrics = (read_json(path, CheckpointError) for path in (folder.config, folder.metrics))
    log = read_lines(folder.log)
    try:
        fields = _fields(folder, without_secrets(config), metrics, log)
    except Exception as error:  # whatever comes of values that a run has never written
        said = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{folder.path} does not hold what a run has written ({said:.200})") from error
    page = fill("zoo_opt_seg.adaptation", "page", fields)
    write_atomically(folder.page, page.encode(errors="backslashreplace"))


def _fields(
    folder: RunFolder, config: Mapping[str, Any], metrics: Mapping[str, Any], log: Sequence[Line]
) -> dict[str, str]:
    """Return HTML for each field of the page: texts through `esc`, numbers by a format, which no text has."""
    test, kind = metrics.get("test"), config.get("points", "random")
    title = f"{config['data']['name']}: {config['prompt']['name']} prompt for {config['model']}"
    return {
        "title": esc(title),
        "facts": "".join(f"<li>{esc(fact)}</li>" for fact in _facts(config, metrics)),
        "glance": _glance(test, metrics, kind),
        "pictures": _pictures(folder, kind),
        "curves": _curves(config, metrics, log),
        "images": _images(test),
        "measures": _measures(test, kind, config.get("test", {}).get("measure", "asked")),
        "use": _use(config),
        "made": _made(config, metrics),
        "js": scripts("dom", "save", "rows") + asset("zoo_opt_seg.adaptation", "page.js"),
    }


def esc(value: object) -> str:
    """Return ``value`` as HTML text."""
    return html.escape(str(value))


def _facts(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    prompt, method = config["prompt"], config["method"].partition("(")[0]
    return [
        f"{metrics['calls']:,} of {config['calls']:,} calls",
        f"{method}, {metrics['evaluations']:,} evaluations of {config['batch']} images",
        f"{prompt['dim']:,} parameters",
        f"seed {config['seed']}",
        f"{metrics['seconds']:,.0f} s",
        *_paid(metrics),
        config.get("started", "")[:10],
        f"zoo-opt {config.get('versions', {}).get('zoo-opt', '')}",
    ]


def _paid(metrics: Mapping[str, Any]) -> list[str]:
    """Return what a service was asked, where there was one."""
    if "spent" not in metrics:
        return []
    spent = metrics["spent"]
    perhaps = f", {spent['perhaps']:,} of them perhaps" if spent["perhaps"] else ""
    money = [f"{spent['money']:,.8g} paid"] if spent["money"] else []
    return [f"{spent['calls']:,} calls of the service paid{perhaps}", *money, f"{spent['seconds']:,.0f} s of its time"]


def _glance(test: Mapping[str, Any] | None, metrics: Mapping[str, Any], kind: Any) -> str:
    """Return the gain in one sentence and a bar for each row."""
    if test is None:
        marks = metrics["marks"]
        if not marks:
            return "<p>Neither validation nor test images were evaluated.</p>"
        first, chosen = marks[0]["dice"], metrics["chosen"]["dice"]
        return f'<p class="lead">Validation Dice {say(first)} → <b>{say(chosen)}</b></p>'
    rows, gain = test["rows"], test["gain"]
    last = last_row(rows)
    before, after = rows[ZERO_SHOT], rows[last]
    lead = f'<p class="lead">Dice {say(before["dice"])} → <b>{say(after["dice"])}</b></p>'
    if gain:
        sign = "better" if gain["dice"] > 0 else "worse" if gain["dice"] < 0 else "same"
        interval = "no interval: one group of images"
        if gain["low"] is not None:
            over = f"{gain['groups']:,} groups of images" if "groups" in gain else "images"
            interval = f"95 % interval {gain['low']:+.3f} to {gain['high']:+.3f}, paired bootstrap over {over}"
        lead += (
            f'<p><b class="{sign}">{gain["dice"]:+.3f}</b> on {after["images"]:,} test images with '
            f"{esc(asked_by(kind, after['repeats']))} ({interval}); {100 * gain['better']:.0f} % of the images "
            "gained.</p>"
        )
    if metrics["chosen"]["mark"] is not None and not metrics["chosen"]["nfev"] and START not in rows:
        lead += "<p>The search found nothing better on the validation images: the prompt is its start.</p>"
    lead += "".join(f"<p>{esc(said)}</p>" for said in said_of(test))
    bars, place = [], PLACES.get(kind, "the point")
    for who, row in rows.items():
        value = row["dice"] or 0.0
        name, what = NAMES.get(who, who.capitalize()), WHAT.get(who, "").format(place=place)
        bars.append(
            f'<div class="who">{esc(name)}<small>{esc(what)}</small></div>'
            f'<div class="bar"><span class="{"own" if who == last else "base" if who == ZERO_SHOT else "plain"}" '
            f'style="width:{100 * value:.1f}%"></span></div><div class="value">{say(row["dice"])}</div>'
        )
    return f'{lead}<div class="bars" role="group" aria-label="Dice by row">{"".join(bars)}</div>'


def _pictures(folder: RunFolder, kind: Any) -> str:
    if not folder.panel.exists():
        return ""
    return (
        '<section id="pictures"><h2>Pictures</h2><p class="sub">Images from the largest loss (top) to the largest gain '
        f"(bottom), evenly spaced in rank, with {esc(asked_by(kind, 1))}. Dice is that of this prompt.</p>"
        f"{panel_html(folder.panel)}</section>"
    )


def _curves(config: Mapping[str, Any], metrics: Mapping[str, Any], log: Sequence[Line]) -> str:
    charts = []
    steps = [(x["calls"], x["loss"], x["spread"] or 0.0) for x in log if x["kind"] == "step" and x["loss"] is not None]
    calls = (0.0, float(config["calls"]))
    if steps:
        losses = sorted(loss for _, loss, _ in steps)
        low, high = losses[0], losses[min(len(losses) - 1, int(0.98 * len(losses)))]
        room = 0.08 * (high - low or 1.0)
        chart = Chart("calls", f"training loss ({esc(config['loss'])})", calls, (max(0.0, low - room), high + room))
        shown = [(x, y) for x, y, _ in steps if y <= high + room]
        chart.dots(shown, "faint", 2.2)
        chart.line(smoothed(shown), "c0")
        charts.append(
            f"<figure>{chart.svg('Training loss over calls')}<figcaption>Mean loss of each step's candidates, on a new "
            "minibatch each; the line is its running mean.</figcaption></figure>"
        )
    marks = [m for m in metrics["marks"] if m["dice"] is not None]
    if marks:
        values = [m["dice"] for m in marks]
        room = max(0.02, 0.15 * (max(values) - min(values)))
        y_range = (max(0.0, min(values) - room), min(1.0, max(values) + room))
        chart = Chart("calls", "validation Dice", calls, y_range)
        points = [(m["calls"] if m["mark"] else 0, m["dice"]) for m in marks]
        titles = [f"{m['nfev']} evaluations: Dice {m['dice']:.4f}" for m in marks]
        chart.line(points, "c2")
        chart.dots(points, "c2", 4, titles)
        chosen = [p for p, m in zip(points, marks, strict=True) if m["mark"] == metrics["chosen"]["mark"]]
        chart.dots(chosen, "ring", 8)
        charts.append(
            f"<figure>{chart.svg('Validation Dice over calls')}<figcaption>The optimizer's mean on "
            f"{marks[0]['images']:,} validation images; the ring is the iterate that was kept.</figcaption></figure>"
        )
    return "".join(charts)


def _images(test: Mapping[str, Any] | None) -> str:
    """Return a chart of Dice before and after, a dot for each test image."""
    if test is None:
        return ""
    images = test["images"]
    pairs = [
        (b, a, name)
        for name, b, a in zip(images["names"], images[ZERO_SHOT], images[last_row(images)], strict=True)
        if b is not None and a is not None
    ]
    chart = Chart("zero-shot Dice", f"{last_row(images)} Dice", (0.0, 1.0), (0.0, 1.0))
    chart.line([(0.0, 0.0), (1.0, 1.0)], "level")
    titles = [f"{name}: {b:.3f} to {a:.3f}" for b, a, name in pairs]
    chart.dots([(b, a) for b, a, _ in pairs], "c0", 4, titles)
    return (
        f"<figure>{chart.svg('Dice of each test image, before and after')}<figcaption>A dot for each test image, the "
        "mean over its prompts; above the line it gained.</figcaption></figure>"
    )


def _measures(test: Mapping[str, Any] | None, kind: Any, measure: str) -> str:
    if test is None:
        return ""
    headings = ["Masks", "Dice", "± sd", "IoU", "± sd", "HD95, pixels", "± sd"]
    body = [
        [NAMES.get(who, who.capitalize())]
        + [say(row[key]) for key in ("dice", "dice_sd", "iou", "iou_sd")]
        + [say(row[key], 1) for key in ("hd95", "hd95_sd")]
        for who, row in test["rows"].items()
    ]
    some = next(iter(test["rows"].values()))
    note = f"Means over {some['images']:,} test images with {esc(asked_by(kind, some['repeats']))}; sd over images."
    note += " Measured at the resolution of the files, on the masks as they are there." if measure == "original" else ""
    return f'<section id="measures"><h2>Measures</h2><p class="sub">{note}</p>{table(headings, body)}</section>'


def _use(config: Mapping[str, Any]) -> str:
    words = config.get("command", [])
    asked, prompts = PROMPTED.get(config.get("points", ""), ("--point x,y", "points"))
    model, image = repeated(words, _OF_MODEL) or "--model MODEL", repeated(words, _OF_IMAGE)
    data = repeated(words, _OF_IMAGE | _OF_DATA) or "--data DATA"
    folder = repeated(words, {"--out"})[len("--out ") :] or "."
    loading = 'load_prompt("prompt.npz")'
    imports = "from zoo_opt_seg.visual_prompts import load_prompt\n\n"
    if config.get("refine"):
        loading = 'RefinedPrompt(load_prompt("prompt.npz"), load_refiner("refiner.safetensors"))'
        imports = "from zoo_opt_seg.refine import RefinedPrompt, load_refiner\n" + imports
    about = " ".join(filter(None, (model, image, "--image FILE", asked, "--out mask.png")))
    shell = (
        f"zoo-opt-seg predict --prompt {folder} {about}\n"
        f"zoo-opt-seg evaluate --prompt {folder} {model} {data}\n"
        f"zoo-opt-seg serve --adapted {folder} {model}"
    )
    code = (
        f"{imports}prompt = {loading}\n"
        f"prompted = prompt.apply(images, {prompts})  # what to show the black box\n"
        f"masks = prompt.predict(model, images, {prompts})"
    )
    return f'<pre tabindex="0">{esc(shell)}</pre><pre tabindex="0">{esc(code)}</pre>'


def repeated(words: Sequence[str], names: Collection[str]) -> str:
    """Return those options of a command that have one of the names, with their values, as a shell takes them.

    Parameters
    ----------
    words : sequence of str
        Of the command; an option's value is a word of its own, or follows it and an equals sign.
    names : collection of str
    """
    found: list[str] = []
    for place, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if name in names and word.startswith("-"):
            found += [word] if equals else words[place : place + 2]
    return shlex.join(found)


def _made(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    entries = {
        "command": f"<code>{esc(shlex.join(config['command']))}</code>" if config.get("command") else "",
        "method": f"<code>{esc(config['method'])}</code>",
        "calls": f"{metrics['calls']:,}: {metrics['evaluations']:,} evaluations of {config['batch']:,} images, and "
        f"{metrics['validation_calls']:,} for validation"
        + (f"; {metrics['refiner']['calls']:,} for the refiner's questions" if "refiner" in metrics else "")
        + (f"; {measuring(metrics['test'])}" if "test" in metrics else "")
        + (f"; {metrics['panel_calls']:,} more for the pictures" if "panel_calls" in metrics else ""),
        "kept": esc(kept(metrics["chosen"])),
        "refiner": esc(refiner(metrics["refiner"])) if "refiner" in metrics else "",
        "failed": esc(", ".join(f"{n} {why}" for why, n in metrics["failures"].items()) or "no evaluation"),
        "versions": esc(" · ".join(f"{name} {version}" for name, version in config.get("versions", {}).items())),
    }
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in entries.items() if value)
    text = esc(json.dumps(config, indent=1, ensure_ascii=False))
    return (
        f'<div class="scroll" tabindex="0"><table>{body}</table></div>'
        f'<details><summary>config.json</summary><pre tabindex="0">{text}</pre></details>'
    )


def kept(chosen: Mapping[str, Any]) -> str:
    """Return in words which iterate was kept, from ``metrics["chosen"]``."""
    if chosen["mark"] is not None:
        by = f"by validation {chosen['by'].replace('dice', 'Dice')}"
        which = f"the mean after {chosen['nfev']:,} evaluations" if chosen["nfev"] else "the start"
        return f"{which}, the best {by}"
    return {"best loss": "the candidate of lowest loss"}.get(chosen["by"], f"the {chosen['by']}")


def measuring(test: Mapping[str, Any]) -> str:
    """Return in words what the test images cost, from ``metrics["test"]``."""
    start = test.get("start_calls", 0)
    return f"{test['calls']:,} more to measure the test images" + (f", {start:,} of them the start" if start else "")


def refiner(about: Mapping[str, Any]) -> str:
    """Return in words how the refiner was trained, from ``metrics["refiner"]``."""
    judged, shares = "", about["shares"]
    if shares:
        by = {"validation": "on the validation images", "left out": "on labelled images that each network had not seen"}
        share = f"{about['share']:g}"
        judged = (
            f"; followed to {100 * about['share']:.0f} %, the best of {', '.join(shares)}: "
            f"Dice {say(shares['0'])} to {say(shares[share])} {by[about['judged']]}"
        )
    return (
        f"{about['networks']} networks, {about['parameters']:,} weights, {about['steps']} steps each on "
        f"{about['answers']:,} answers, {about['of_the_search']:,} of them from the search{judged}"
    )


def table(headings: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    """Return an HTML table; numbers are aligned right."""
    head = "".join(f'<th scope="col"{" class=n" if i else ""}>{esc(h)}</th>' for i, h in enumerate(headings))
    rows = "".join(
        f'<tr><th scope="row">{esc(first)}</th>' + "".join(f'<td class="n">{esc(v)}</td>' for v in rest) + "</tr>"
        for first, *rest in body
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'

"""What the commands do, and what they print."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from zoo_opt.cli.exits import DONE, UsageError
from zoo_opt.cli.listing import show
from zoo_opt.cli.reading import read_options
from zoo_opt.support.secrets import hidden_command
from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.cli import inputs, services
from zoo_opt_seg.data.registry import DATA_SETS, VOLUMES
from zoo_opt_seg.remote.mapping.factories import presets
from zoo_opt_seg.visual_prompts.registry import PROMPTS
from zoo_opt_seg.whitebox.comparators import COMPARATORS


def do_adapt(arguments: argparse.Namespace) -> int:
    """Train a visual prompt and say what it gained."""
    from zoo_opt_seg.adaptation.folder import RunFolder
    from zoo_opt_seg.adaptation.page import kept, measuring
    from zoo_opt_seg.adaptation.plan import method_from, planned
    from zoo_opt_seg.adaptation.run import adapt
    from zoo_opt_seg.adaptation.settings import SETTINGS, settings_from
    from zoo_opt_seg.measures.verdicts import said_of
    from zoo_opt_seg.remote.found import services_of
    from zoo_opt_seg.visual_prompts import prompt_for

    size = inputs.size_for(arguments.model, arguments.size)
    out, ledger = Path(arguments.out), None
    given = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    given |= {"options": read_options(arguments.option)}
    given |= {"test": arguments.test_images != 0, "test_images": arguments.test_images or None}
    settings_from(given)
    if services.is_service(arguments.model):
        ledger = RunFolder(out).path / "ledger.jsonl"
    with services.black_box(arguments, arguments.out, ledger) as model:
        given |= {"points": inputs.prompted(model, arguments.text, arguments.points)}
        prompt = prompt_for(model, arguments.prompt, size, **read_options(arguments.prompt_option))
        method_from(arguments.method, given["options"], 1, prompt.dim)
        prepared = inputs.prepared(arguments)
        splits = _splits(arguments, size, prepared)  # last, as it takes longest: what is wrong elsewhere is said before
        if services_of(model) and not (out / "metrics.json").exists():
            plan = planned(model, prompt, splits, *settings_from(given))
            if not services.agreed(plan, arguments.yes or (out / "log.jsonl").exists()):
                return DONE
        if (out / "log.jsonl").exists():
            print(f"going on in {arguments.out}; delete it to start anew", file=sys.stderr)
        about = {"command": arguments.words, "prepared": prepared}
        given |= {"out": arguments.out, "progress": not arguments.quiet, "about": about}
        result = adapt(model, prompt, splits, **given)
    print(f"{result.calls} calls, {result.nfev} evaluations; kept {kept(result.metrics['chosen'])}")
    if "test" in result.metrics:
        test = result.metrics["test"]
        print("\n".join([measuring(test), _rows(test["rows"]), *said_of(test)]))
    if "spent" in result.metrics:
        print(services.spent_words(result.metrics["spent"]))
    print(f"{out / 'index.html'}")
    return 0


def do_evaluate(arguments: argparse.Namespace) -> int:
    """Measure a prompt."""
    from zoo_opt_seg.adaptation.folder import write_json
    from zoo_opt_seg.adaptation.retrying import Retrying, controls
    from zoo_opt_seg.measures.evaluation import evaluate
    from zoo_opt_seg.measures.trivial import baselines

    settings: dict[str, Any] = {"repeats": arguments.repeats, "seed": arguments.seed, "batch": arguments.batch}
    settings["measure"] = arguments.measure
    rows = {}
    with services.black_box(arguments, f"evaluate {arguments.data} {arguments.prompt or ''}".strip()) as model:
        prompt, size = inputs.prompt_and_size(arguments, model)
        settings["draw"] = inputs.prompted(model, arguments.text, inputs.kind_of_points(arguments))
        splits = _splits(arguments, size, inputs.prepared(arguments, arguments.prompt))
        samples = getattr(splits, arguments.split)
        if settings["draw"] != "text":  # no point or box can lie on an empty mask
            samples = samples.select(samples.with_object)
        if not len(samples):
            raise UsageError(f"--split {arguments.split}: {arguments.data} has no such images to be asked about")
        if samples.size != (size, size) and (prompt or arguments.size):
            shape = " x ".join(map(str, samples.size))
            raise UsageError(f"--data must have images of {size} pixels square, as --size or the prompt, got {shape}")
        asked = Retrying(model, controls(splits.train, settings["draw"]), arguments.wait)
        rows["zero-shot"] = evaluate(asked, samples, **settings).summary()
        if prompt is not None:
            rows["adapted"] = evaluate(asked, samples, prompt=prompt, **settings).summary()
    for name, trivial in baselines(splits, points=settings["draw"]).items():
        rows[name] = evaluate(trivial, samples, **settings).summary()
    print(_rows(rows))
    if arguments.save:
        about = {name: getattr(arguments, name) for name in ("model", "data", "split", "seed", "measure")}
        about |= {"model": hidden_command(arguments.model), "points": settings["draw"]}
        write_json(Path(arguments.save), {**about, "rows": rows})
    return 0


def _splits(arguments: argparse.Namespace, size: int, prepared: dict[str, Any]) -> Any:
    words: dict[str, Any] = {"seed": arguments.data_seed, "options": arguments.data_option, "texts": arguments.text}
    words |= {"window": inputs.window(arguments.window), "cache": arguments.data_cache}
    return inputs.splits(arguments.data, size=size, **words, **prepared)


def do_list(_: argparse.Namespace) -> int:
    """Print what there is."""
    show("black boxes (zoo-opt-seg adapt --model NAME, and in tables)", BLACK_BOXES.lines())
    show("mappings of services (zoo-opt-seg adapt --model service:NAME@URL)", presets())
    show("data sets (zoo-opt-seg adapt --data NAME or NAME:PATH, and in tables)", DATA_SETS.lines())
    show("sets of volumes (in tables)", VOLUMES.lines())
    show("visual prompts (zoo-opt-seg adapt --prompt NAME, and in tables)", PROMPTS.lines())
    show("comparators (use = NAME in tables)", COMPARATORS.lines())
    return 0


def _rows(rows: dict[str, dict[str, float]]) -> str:
    """Return the measures as text."""
    lines = [f"{'':>16}  {'Dice':>15}  {'IoU':>15}  {'HD95':>15}"]
    for who, row in rows.items():
        values = {name: math.nan if value is None else value for name, value in row.items()}  # as JSON has no NaN
        cells = "  ".join(f"{values[m]:8.3f} ± {values[m + '_sd']:<5.3f}"[:16] for m in ("dice", "iou", "hd95"))
        lines.append(f"{who:>16}  {cells}")
    return "\n".join(lines)

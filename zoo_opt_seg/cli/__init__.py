"""The command line of the plugin: ``zoo-opt-seg adapt | evaluate | predict | table``."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_opt.cli.run import UsageError, read_options

MAIN = """\
Adapt a promptable segmentation model that can only be called: train a visual prompt for it by function values.

examples:
  zoo-opt-seg adapt --model tiny --data polyp --prompt filter --method cma-es -o sigma0=0.1 --out results/polyp
  zoo-opt-seg evaluate --model tiny --data polyp --prompt results/polyp
  zoo-opt-seg predict --model tiny --prompt results/polyp --image photo.png --point 210,155 --out mask.png
  zoo-opt-seg table benchmarks/baps_table1.toml --out results/table1
"""

WORDS = """\
MODEL is
  tiny                          the small SAM that comes with this package
  sam:TYPE:CHECKPOINT           Segment Anything: vit_b, vit_l or vit_h, and a checkpoint file
  tiny-clipseg                  the small CLIPSeg that comes with this package; it is asked by text
  clipseg:FOLDER                CLIPSeg in a folder of transformers; without one, rd64-refined from its cache
  module:factory                a function of yours that returns the black box, or one that is it:
                                (images, prompts) -> probabilities or bool masks
  process:"command"             a program that answers on its standard output (zoo_opt_seg.blackbox.serve)
DATA is
  skin, disc, tool, polyp       drawn images
  folder:PATH                   images/ and masks/, or train/, validation/ and test/ with these
  kvasir-seg:PATH, isic2018:PATH, polypgen:PATH, ...
  module:function               a function of yours that returns zoo_opt_seg.data.Splits
"""

ADAPT = f"""\
Train a visual prompt. One call is one image evaluated; validation is paid for from the same budget.

{WORDS}
Everything goes into the folder OUT: the prompt, log, measures, pictures and a page. Interrupted or killed? The same
command goes on where it was, and pays for nothing twice but what was in flight.

examples:
  zoo-opt-seg adapt --model tiny --data polyp --prompt filter --method cma-es -o sigma0=0.1 --out results/polyp
  zoo-opt-seg adapt --model sam:vit_b:sam_vit_b_01ec64.pth --data folder:scans --prompt filter --out results/scans
  zoo-opt-seg adapt --model mymodel:connect --data folder:scans --prompt filter --method auto --out results/scans
  zoo-opt-seg adapt --model tiny --data disc --prompt baps --method spsa-geass -o lr=0.001 --out results/baps
  zoo-opt-seg adapt --model clipseg:rd64 --data folder:scans --text "a polyp" --prompt filter --out results/text
"""

EVALUATE = f"""\
Measure a trained prompt on the test images of a data set, beside the black box without it and trivial baselines.

{WORDS}"""

PREDICT = f"""\
Segment one image with a trained prompt.

{WORDS}"""


PASSED = ("calls", "batch", "seed", "loss", "augment", "validate", "validation_images", "select", "repeats")


def parser() -> argparse.ArgumentParser:
    """The argument parser, for the program and for the documentation."""
    from zoo_opt._version import __version__

    raw: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    top = argparse.ArgumentParser("zoo-opt-seg", description=MAIN, **raw)
    top.add_argument("--version", action="version", version=f"zoo-opt {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    sub = commands.add_parser("adapt", help="train a visual prompt", description=ADAPT, **raw)
    _model(sub)
    _data(sub)
    sub.add_argument(
        "--prompt", default="filter", help="filter, baps, blackvip, vpt, bar, lowrank or views (default: filter)"
    )
    sub.add_argument("-p", "--prompt-option", **_options("option of the prompt"))
    sub.add_argument("--method", default="cma-es", help='registered name, as in "zoo-opt list" (default: cma-es)')
    sub.add_argument("-o", "--option", **_options("hyper-parameter of the method"))
    sub.add_argument("--calls", type=int, default=3200, metavar="N", help="budget in images (default: 3200)")
    sub.add_argument("--batch", type=int, default=16, metavar="N", help="images of a minibatch (default: 16)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    sub.add_argument("--out", required=True, metavar="DIR", help="result folder")
    sub.add_argument("--loss", default="bce+dice", help='"bce+dice" (default), "bce", or "dice" (for hard masks)')
    sub.add_argument("--augment", choices=("paper", "released"), help="augmentation of the training images")
    sub.add_argument("--validate", type=int, default=6, metavar="N", help="marks to validate at (default: 6; 0: none)")
    sub.add_argument("--validation-images", type=int, metavar="N", help="default: all, for a fifth of the calls")
    sub.add_argument("--select", choices=("dice", "loss"), default="dice", help="by what the iterate is kept")
    sub.add_argument("--test-images", type=int, metavar="N", help="the first N test images only; 0: none")
    _repeats(sub)
    sub.add_argument("--quiet", action="store_true", help="no progress bar")
    sub.set_defaults(do=do_adapt)

    sub = commands.add_parser("evaluate", help="measure a trained prompt", description=EVALUATE, **raw)
    _model(sub)
    _data(sub)
    sub.add_argument("--prompt", metavar="FILE", help="prompt.npz or a result folder (default: zero-shot only)")
    sub.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of the points or texts (default: 0)")
    _repeats(sub)
    sub.add_argument("--batch", type=int, default=16, metavar="N", help="images in a question (default: 16)")
    sub.add_argument("--save", metavar="FILE", help="write the measures as JSON")
    sub.set_defaults(do=do_evaluate)

    sub = commands.add_parser("predict", help="segment one image", description=PREDICT, **raw)
    _model(sub)
    _texts(sub, "what to find, for a black box that is asked by text")
    sub.add_argument("--prompt", metavar="FILE", help="prompt.npz or a result folder (default: zero-shot)")
    sub.add_argument("--image", required=True, metavar="FILE", help="the image")
    sub.add_argument(
        "--point", action="append", default=[], metavar="X,Y", help="in pixels of the image; X,Y,0: not it"
    )
    sub.add_argument("--out", required=True, metavar="FILE", help="the mask, 0 and 255, as large as the image")
    sub.add_argument("--probabilities", action="store_true", help="write 255 times the probability instead")
    sub.set_defaults(do=do_predict)

    commands.add_parser("table", help="fill a table of methods, data and seeds", add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    sys.path.insert(0, os.getcwd())
    if words[:1] == ["table"]:
        from zoo_opt_seg.tables import run as tables

        return int(tables.main(words[1:]))
    arguments = parser().parse_args(words)
    arguments.words = ["zoo-opt-seg", *words]
    try:
        return int(arguments.do(arguments))
    except (UsageError, ValueError, TypeError) as error:
        print(f"zoo-opt-seg: {error}", file=sys.stderr)
        return 2
    except (ImportError, OSError, RuntimeError) as error:
        again = "; nothing paid for is lost: the same command goes on" if arguments.command == "adapt" else ""
        print(f"zoo-opt-seg: {error}{again}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = "; the same command goes on from here" if arguments.command == "adapt" else ""
        print(f"zoo-opt-seg: interrupted{again}", file=sys.stderr)
        return 130


def do_adapt(arguments: argparse.Namespace) -> int:
    """Train a visual prompt and say what it gained."""
    from zoo_opt_seg.adaptation.page import kept
    from zoo_opt_seg.adaptation.run import adapt
    from zoo_opt_seg.cli import inputs as cli_inputs
    from zoo_opt_seg.visual_prompts import prompt_for

    size = cli_inputs.size_for(arguments.model, arguments.size)
    splits = _splits(arguments, size)
    with cli_inputs.black_box(arguments.model, device=arguments.device, cache=arguments.cache) as model:
        kind = cli_inputs.prompted(model, arguments.text)
        prompt = prompt_for(model, arguments.prompt, size, **read_options(arguments.prompt_option))
        if (Path(arguments.out) / "log.jsonl").exists():
            print(f"going on in {arguments.out}; delete it to start anew", file=sys.stderr)
        result = adapt(
            model,
            prompt,
            splits,
            points=kind,
            method=arguments.method,
            options=read_options(arguments.option),
            out=arguments.out,
            test=arguments.test_images != 0,
            test_images=arguments.test_images or None,
            progress=not arguments.quiet,
            about={"command": arguments.words},
            **{name: getattr(arguments, name) for name in PASSED},
        )
    print(f"{result.calls} calls, {result.nfev} evaluations; kept {kept(result.metrics['chosen'])}")
    if "test" in result.metrics:
        print(_rows(result.metrics["test"]["rows"]))
    print(f"{Path(arguments.out) / 'index.html'}")
    return 0


def do_evaluate(arguments: argparse.Namespace) -> int:
    """Measure a prompt."""
    from zoo_opt_seg.adaptation.folder import write_json
    from zoo_opt_seg.adaptation.reporting import Patient, controls
    from zoo_opt_seg.cli import inputs as cli_inputs
    from zoo_opt_seg.measures.baselines import baselines
    from zoo_opt_seg.measures.evaluation import evaluate

    settings: dict[str, Any] = {"repeats": arguments.repeats, "seed": arguments.seed, "batch": arguments.batch}
    rows = {}
    with cli_inputs.black_box(arguments.model, device=arguments.device, cache=arguments.cache) as model:
        prompt, size = _prompt(arguments, model)
        splits = _splits(arguments, size)
        settings["draw"] = cli_inputs.prompted(model, arguments.text)
        samples = getattr(splits, arguments.split)
        if settings["draw"] != "text":  # no point can lie on an empty mask
            samples = samples[samples.with_object]
        if not len(samples):
            raise UsageError(f"--split {arguments.split}: {arguments.data} has no such images to be asked about")
        if samples.size != (size, size) and (prompt or arguments.size):
            shape = " x ".join(map(str, samples.size))
            raise UsageError(f"--data must have images of {size} pixels square, as --size or the prompt, got {shape}")
        asked = Patient(model, controls(splits, settings["draw"]))
        rows["zero-shot"] = evaluate(asked, samples, **settings).summary()
        if prompt is not None:
            rows["adapted"] = evaluate(asked, samples, prompt=prompt, **settings).summary()
    for name, trivial in baselines(splits, points=settings["draw"]).items():
        rows[name] = evaluate(trivial, samples, **settings).summary()
    print(_rows(rows))
    if arguments.save:
        about = {"model": arguments.model, "data": arguments.data, "split": arguments.split, "seed": arguments.seed}
        write_json(Path(arguments.save), {**about, "rows": rows})
    return 0


def do_predict(arguments: argparse.Namespace) -> int:
    """Segment one image."""
    import numpy as np
    from PIL import Image

    from zoo_opt_seg.adaptation.marks import BlackBoxDown
    from zoo_opt_seg.adaptation.reporting import Patient
    from zoo_opt_seg.cli import inputs as cli_inputs
    from zoo_opt_seg.prompts import Prompts

    points, labels = cli_inputs.points(arguments.point)
    texts = arguments.text
    if len(texts) > 1:
        raise UsageError(f"--text must be given once for an image, got {len(texts)}")
    if not points and not texts:
        raise UsageError('--point must be given at least once, as x,y in pixels of the image, or --text "..."')
    image = cli_inputs.Photo(arguments.image)
    width, height = image.size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(f"--point must lie in the image of {width} x {height}, got {x:g},{y:g}")
    with cli_inputs.black_box(arguments.model, device=arguments.device, cache=arguments.cache) as model:
        if cli_inputs.prompted(model, texts) == "text" and not texts:
            raise UsageError(f"--text must say what to find, for {arguments.model} is asked by text")
        prompt, size = _prompt(arguments, model)
        small = image.pixels(size)[None]
        where = {"points": np.array([points], np.float32), "labels": np.array([labels])} if points else {}
        given = Prompts(**where, texts=tuple(texts) or None)
        scale = np.array([size / width, size / height])
        given = given.moved(lambda xy: np.clip((xy + 0.5) * scale - 0.5, 0, size - 1))  # pixel centres: whole numbers
        asked = Patient(model)
        answer = asked(small, given) if prompt is None else prompt.predict(asked, small, given)
        if np.isnan(answer).any():
            raise BlackBoxDown(f"the black box answers to a part of {arguments.image} only: one view of it failed")
    large = Image.fromarray(answer[0].astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(large)
    mask = np.rint(values * 255) if arguments.probabilities else np.where(values > 0.5, 255, 0)
    try:
        Image.fromarray(mask.astype(np.uint8)).save(arguments.out)
    except (OSError, ValueError) as error:
        raise UsageError(f"--out {arguments.out}: {error}") from error
    share = float((values > 0.5).mean())
    print(json.dumps({"mask": arguments.out, "object": round(share, 4)}))
    return 0


def _prompt(arguments: argparse.Namespace, model: Any) -> tuple[Any, int]:
    """Return the trained prompt, or None, and the side of the images to ask about."""
    from zoo_opt_seg.cli import inputs as cli_inputs

    prompt = cli_inputs.trained(arguments.prompt, model) if arguments.prompt else None
    size = prompt.prompt.size if prompt else cli_inputs.size_for(arguments.model, arguments.size)
    if arguments.size not in (None, size):
        raise UsageError(f"--size must be {size}, that of the prompt, got {arguments.size}")
    return prompt, size


def _splits(arguments: argparse.Namespace, size: int) -> Any:
    from zoo_opt_seg.cli import inputs as cli_inputs

    words: dict[str, Any] = {"seed": arguments.data_seed, "options": arguments.data_option, "texts": arguments.text}
    return cli_inputs.splits(arguments.data, size=size, **words)


def _model(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--model", required=True, help="the black box, see above")
    sub.add_argument("--device", default="cpu", help="of a SAM or CLIPSeg: cpu (default), cuda, ...")
    sub.add_argument(
        "--size", type=int, metavar="N", help="side of the images in pixels (96 tiny, 512 SAM, 352 CLIPSeg, else 224)"
    )
    sub.add_argument("--cache", metavar="DIR", help="keep answers here, and ask nothing twice")


def _data(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", required=True, help="the labelled images, see above")
    sub.add_argument("--data-seed", type=int, default=0, metavar="N", help="of the split (default: 0)")
    sub.add_argument("--data-option", **_options("option of the loader"))
    _texts(sub, "what to find in the images, instead of the data's own texts; again: one of these is drawn")


def _texts(sub: argparse.ArgumentParser, what: str) -> None:
    sub.add_argument("--text", action="append", default=[], metavar="TEXT", help=what)


def _repeats(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="random points or texts per image (default: 3)"
    )


def _options(what: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": what}


def _rows(rows: dict[str, dict[str, float]]) -> str:
    """Return the measures as text."""
    lines = [f"{'':>16}  {'Dice':>15}  {'IoU':>15}  {'HD95':>15}"]
    for who, row in rows.items():
        values = {name: math.nan if value is None else value for name, value in row.items()}  # as JSON has no NaN
        cells = "  ".join(f"{values[m]:8.3f} ± {values[m + '_sd']:<5.3f}"[:16] for m in ("dice", "iou", "hd95"))
        lines.append(f"{who:>16}  {cells}")
    return "\n".join(lines)

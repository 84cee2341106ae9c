"""The commands' arguments and help."""

from __future__ import annotations

import argparse
from typing import Any

from zoo_opt.outage import WAIT
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, PRECISIONS
from zoo_opt_seg.cli import commands, services
from zoo_opt_seg.cli.descriptions import ADAPT, EVALUATE, LABEL_STUDIO, MAIN, PREDICT, SERVE, SPEND, words
from zoo_opt_seg.cli.labelling import do_label_studio
from zoo_opt_seg.cli.predict import do_predict
from zoo_opt_seg.cli.serving import do_serve
from zoo_opt_seg.cli.spend import do_spend
from zoo_opt_seg.visual_prompts.registry import PROMPTS

NO_START = "do not measure the prompt before its training (this saves calls if that prompt changes the images)"


def parser() -> argparse.ArgumentParser:
    """The argument parser, for the program and for the documentation."""
    from zoo_opt._version import __version__

    raw: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    about = words()
    top = argparse.ArgumentParser("zoo-opt-seg", description=MAIN, **raw)
    top.add_argument("--version", action="version", version=f"zoo-opt {__version__}")
    names = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    sub = names.add_parser("adapt", help="train a visual prompt", description=ADAPT.format(words=about), **raw)
    _model(sub)
    _data(sub)
    _prepared(sub, "")
    sub.add_argument("--prompt", default="filter", help=f"{', '.join(PROMPTS)} (default: filter)")
    sub.add_argument("-p", "--prompt-option", **_options("option of the prompt"))
    sub.add_argument("--method", default="cma-es", help='as in "zoo-opt list", or NAME:PRESET (default: cma-es)')
    sub.add_argument("-o", "--option", **_options("hyper-parameter of the method"))
    sub.add_argument("--calls", type=int, default=3200, metavar="N", help="budget in images (default: 3200)")
    sub.add_argument("--batch", type=int, metavar="N", help="images of a minibatch (default: 1 to 16, by the calls)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random (default: 0)")
    sub.add_argument("--out", required=True, metavar="DIR", help="result folder")
    losses = '"bce+dice" (default; Dice alone if the model answers with hard masks), "bce" or "dice"'
    sub.add_argument("--loss", default="bce+dice", help=losses)
    sub.add_argument(
        "--reduction",
        choices=("image", "batch"),
        default="image",
        help="average the Dice loss over images or over the batch (default: image)",
    )
    sub.add_argument(
        "--smooth", type=float, default=1e-6, metavar="S", help="smoothing term of the Dice loss (default: 1e-6)"
    )
    sub.add_argument("--train-images", type=int, metavar="N", help="labelled images to train on (default: all)")
    sub.add_argument(
        "--race",
        type=float,
        default=0.4,
        metavar="S",
        help="share of the evaluations that choose the start (default: 0.4)",
    )
    sub.add_argument("--refine", action="store_true", help="also train small networks that correct the answers")
    length = "training steps of each network of --refine (default: three passes over the answers, at least 200)"
    sub.add_argument("--refine-steps", type=int, metavar="N", help=length)
    sub.add_argument(
        "--refine-networks",
        type=int,
        default=4,
        metavar="N",
        help="networks of --refine, whose answers are averaged (default: 4)",
    )
    side = "pixels of the longer side at which the networks of --refine work, at most (default: 128)"
    sub.add_argument("--refine-side", type=int, default=128, metavar="N", help=side)
    sub.add_argument(
        "--refine-share", type=float, default=0.2, metavar="S", help="share of the calls for --refine (default: 0.2)"
    )
    sub.add_argument(
        "--augment",
        choices=("paper", "released"),
        help="augment the training images, as the paper or as its released code does (default: not)",
    )
    sub.add_argument(
        "--validate",
        type=int,
        default=6,
        metavar="N",
        help="how often to validate, evenly spaced (default: 6, 0 for never)",
    )
    sub.add_argument(
        "--validation-images",
        type=int,
        metavar="N",
        help="validation images (default: all that a fifth of the calls pays for)",
    )
    sub.add_argument(
        "--select",
        choices=("dice", "loss"),
        default="dice",
        help="measure on the validation images that chooses the prompt to keep (default: dice)",
    )
    sub.add_argument(
        "--test-images",
        type=int,
        metavar="N",
        help="measure only the first N test images, or none with 0 (default: all)",
    )
    _repeats(sub)
    sub.add_argument("--no-test-start", dest="test_start", action="store_false", help=NO_START)
    sub.add_argument("--quiet", action="store_true", help="no progress bar")
    sub.add_argument("--yes", action="store_true", help="do not ask whether to go on with what a service will cost")
    sub.set_defaults(do=commands.do_adapt)

    sub = names.add_parser("evaluate", help="measure a trained prompt", description=EVALUATE.format(words=about), **raw)
    _model(sub)
    _data(sub)
    _prepared(sub)
    sub.add_argument("--prompt", metavar="FILE", help="prompt.npz or a result folder (default: zero-shot only)")
    sub.add_argument(
        "--split", choices=("train", "validation", "test"), default="test", help="images to measure on (default: test)"
    )
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the points or texts (default: 0)")
    _repeats(sub)
    sub.add_argument(
        "--batch", type=int, default=16, metavar="N", help="images in a question to the model (default: 16)"
    )
    sub.add_argument("--save", metavar="FILE", help="write the measures as JSON")
    sub.set_defaults(do=commands.do_evaluate)

    sub = names.add_parser("predict", help="segment images", description=PREDICT.format(words=about), **raw)
    _model(sub)
    _texts(sub, "what to find, for a black box that is asked by text; with --images, in all of them")
    sub.add_argument("--prompt", metavar="FILE", help="prompt.npz or a result folder (default: zero-shot)")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", metavar="FILE", help="the image; DICOM and NIfTI too")
    what.add_argument("--images", metavar="DIR", help="a folder of images, for --ask or --text")
    _window(sub)
    _prepared(sub)
    sub.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="X,Y",
        help="a point on the object, in pixels of the image, or with X,Y,0 beside it; may be repeated",
    )
    sub.add_argument("--box", metavar="X0,Y0,X1,Y1", help="box of the object: its first and last pixel")
    sub.add_argument(
        "--ask", metavar="FILE", help="CSV or JSON file with points, boxes or texts of the images, see above"
    )
    masks = "the mask, 0 and 255, as large as the image; a folder of them with --images"
    sub.add_argument("--out", required=True, metavar="PATH", help=masks)
    sub.add_argument("--probabilities", action="store_true", help="write 255 times the probability instead")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")
    sub.set_defaults(do=do_predict)

    sub = names.add_parser("serve", help="serve a model over HTTP", description=SERVE.format(words=about), **raw)
    _model(sub, waits=False)
    sub.add_argument("--adapted", metavar="DIR", help="result folder of adapt (default: the model as it is)")
    _server(sub)
    sub.add_argument("--workers", type=int, default=1, metavar="N", help="processes, each with a model (default: 1)")
    sub.set_defaults(do=do_serve)

    sub = names.add_parser("spend", help="sum up the costs in ledgers of services", description=SPEND, **raw)
    sub.add_argument(
        "ledgers", nargs="+", metavar="LEDGER", help="file of --ledger, or ledger.jsonl of a result folder"
    )
    sub.add_argument("--json", action="store_true", help="print it as JSON")
    sub.set_defaults(do=do_spend)

    told = LABEL_STUDIO.format(words=about)
    sub = names.add_parser("label-studio", help="annotate with a model that learns", description=told, **raw)
    _model(sub, waits=False, workers=True)
    _label_studio(sub)
    sub.set_defaults(do=do_label_studio)

    sub = names.add_parser("list", help="black boxes, data sets, visual prompts and comparators")
    sub.set_defaults(do=commands.do_list)

    names.add_parser("table", help="fill a table of methods, data and seeds", add_help=False)
    return top


def _model(sub: argparse.ArgumentParser, waits: bool = True, workers: bool | None = None) -> None:
    sub.add_argument("--model", required=True, help="the black box, see above")
    words = "another black box with the same answers; each image goes to one that is free; may be repeated"
    sub.add_argument("--also", action="append", default=[], metavar="MODEL", help=words)
    sub.add_argument(
        "--model-name", metavar="NAME", help="one name for MODEL and --also, needed if their own names differ"
    )
    sub.add_argument("--device", default="cpu", help="where a SAM or CLIPSeg runs: cpu (default), cuda, ...")
    sub.add_argument(
        "--dtype",
        default=PRECISIONS[0],
        choices=PRECISIONS,
        help="number type of the image encoder of a SAM or CLIPSeg (default: float32)",
    )
    sizes = ", ".join(f"{entry.size} {entry.name}" for entry in BLACK_BOXES.entries())
    sub.add_argument("--size", type=int, metavar="N", help=f"side of the images in pixels (default: {sizes}, else 224)")
    sub.add_argument("--cache", metavar="DIR", help="keep the answers in this folder, and ask nothing twice")
    services.add_options(sub, workers=waits if workers is None else workers)  # of serve they are processes
    if waits:
        sub.add_argument(
            "--wait",
            type=float,
            default=WAIT,
            metavar="SECONDS",
            help=f"how long to wait in an outage (default: {WAIT:g})",
        )


def _server(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--name", help="name of the model in addresses (default: the first word of --model)")
    _address(sub, 8000)
    words = "secret that clients must send (Authorization: Bearer); '$NAME' takes it from the environment"
    sub.add_argument("--token", metavar="TOKEN", help=words)
    sub.add_argument(
        "--most-body", type=int, default=32 << 20, metavar="BYTES", help="largest request (default: 32 MiB)"
    )
    sub.add_argument(
        "--most-pixels", type=int, default=4096**2, metavar="N", help="most pixels of an image (default: 4096 x 4096)"
    )
    sub.add_argument(
        "--most-points", type=int, default=1000, metavar="N", help="most points of a question (default: 1000)"
    )
    words = "longest time that a request may take to arrive (default: 30)"
    sub.add_argument("--body-seconds", type=float, default=30.0, metavar="SECONDS", help=words)
    sub.add_argument("--queue", type=int, default=64, metavar="N", help="most questions that wait (default: 64)")
    sub.add_argument(
        "--batch", type=int, default=8, metavar="N", help="most images in one call of the model (default: 8)"
    )
    words = "how long the first question of a batch waits for others (default: 5)"
    sub.add_argument("--batch-wait-ms", type=float, default=5.0, metavar="MS", help=words)


def _address(sub: argparse.ArgumentParser, port: int) -> None:
    sub.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine only)")
    words = f"port (default: {port}); 0: a free one, which is printed"
    sub.add_argument("--port", type=int, default=port, metavar="N", help=words)


def _label_studio(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--project", type=int, required=True, metavar="N", help="number of the Label Studio project, as in its address"
    )
    sub.add_argument("--url", required=True, help="address of Label Studio")
    sub.add_argument(
        "--token", required=True, help="access token of a Label Studio user; '$NAME' takes it from the environment"
    )
    sub.add_argument(
        "--out", required=True, metavar="DIR", help="folder for versions and answers; an existing one is continued"
    )
    sub.add_argument("--adapted", metavar="DIR", help="result folder of adapt to start from (default: the model alone)")
    sub.add_argument(
        "--every",
        type=int,
        default=5,
        metavar="N",
        help="learn a new version after N more labelled images (default: 5)",
    )
    sub.add_argument(
        "--most-questions", type=int, metavar="N", help="most questions to the model, over all runs (default: no limit)"
    )
    words = "clicks on an object that ask the model; further ones move the border of its answer (default: 1)"
    sub.add_argument("--ask-clicks", type=int, default=1, metavar="N", help=words)
    _address(sub, 9090)
    sub.add_argument("--password", help="password that Label Studio must send; '$NAME' takes it from the environment")
    sub.add_argument(
        "--own-url", metavar="URL", help="address by which Label Studio reaches this server (default: its own)"
    )
    sub.add_argument("--no-connect", dest="connect", action="store_false", help="do not add the server to the project")


def _data(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", required=True, help="the labelled images, see above")
    sub.add_argument("--data-seed", type=int, default=0, metavar="N", help="seed of the split (default: 0)")
    sub.add_argument("--data-option", **_options("option of the loader"))
    sub.add_argument("--data-cache", metavar="DIR", help="keep the prepared images here, not all of them in memory")
    _window(sub)
    _texts(sub, "what to find in the images, instead of the data's own texts; again: one of these is drawn")
    words = "kind of prompt: a number of points in the object (default: 1), centre, box (moved a little in training), "
    sub.add_argument("--points", metavar="KIND", help=words + "box+point, or text")


def _texts(sub: argparse.ArgumentParser, what: str) -> None:
    sub.add_argument("--text", action="append", default=[], metavar="TEXT", help=what)


def _window(sub: argparse.ArgumentParser) -> None:
    words = (
        "what becomes black and white in images of more than 8 bits: full, percentile or LOW,HIGH, as --window=-160,240"
    )
    sub.add_argument("--window", metavar="WINDOW", help=words)


def _prepared(sub: argparse.ArgumentParser, first: str = "as in the result folder of --prompt, else ") -> None:
    words = f"how an image becomes a square; pad keeps the aspect ratio (default: {first}stretch)"
    sub.add_argument("--fit", choices=("stretch", "pad"), help=words)
    words = f"pixels to leave out along the borders of each image (default: {first}none)"
    sub.add_argument("--crop", metavar="TOP,BOTTOM,LEFT,RIGHT", help=words)


def _repeats(sub: argparse.ArgumentParser) -> None:
    words = "random points or texts per image (default: 3); an image has one box and one centre"
    sub.add_argument("--repeats", type=int, default=3, metavar="N", help=words)
    words = "measure at the size of the questions (asked, the default), or on the masks of the image files (original)"
    sub.add_argument("--measure", choices=("asked", "original"), default="asked", help=words)


def _options(what: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": what}

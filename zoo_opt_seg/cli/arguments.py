"""The commands' arguments and help."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from zoo_opt.outage import WAIT
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, PRECISIONS
from zoo_opt_seg.cli import commands, services
from zoo_opt_seg.cli.labelling import do_label_studio
from zoo_opt_seg.cli.predict import do_predict
from zoo_opt_seg.cli.serving import do_serve
from zoo_opt_seg.cli.spend import do_spend
from zoo_opt_seg.data.registry import DATA_SETS
from zoo_opt_seg.visual_prompts.registry import PROMPTS

MAIN = """\
Adapt a promptable segmentation model that can only be called: train a visual prompt for it by function values.

examples:
  zoo-opt-seg adapt --model tiny --data polyp --prompt filter --method cma-es -o sigma0=0.1 --out results/polyp
  zoo-opt-seg evaluate --model tiny --data polyp --prompt results/polyp
  zoo-opt-seg predict --model tiny --prompt results/polyp --image photo.png --point 210,155 --out mask.png
  zoo-opt-seg table benchmarks/baps_table1.toml --out results/table1
  zoo-opt-seg label-studio --model tiny --project 1 --url http://127.0.0.1:8080 --token '$LS_TOKEN' --out labels
  zoo-opt-seg list                              what there is: black boxes, data sets, visual prompts, comparators
"""

ADAPT = """\
Train a visual prompt. One call is one image evaluated; validation is paid for from the same budget.

{words}
Everything goes into the folder OUT: the prompt, log, measures, pictures and a page. Interrupted or killed? The same
command goes on where it was, and pays for nothing twice but what was in flight.

examples:
  zoo-opt-seg adapt --model tiny --data polyp --prompt filter --method cma-es -o sigma0=0.1 --out results/polyp
  zoo-opt-seg adapt --model sam:vit_b:sam_vit_b_01ec64.pth --data folder:scans --prompt filter --out results/scans
  zoo-opt-seg adapt --model mymodel:connect --data folder:scans --prompt filter --method auto --out results/scans
  zoo-opt-seg adapt --model tiny --data disc --prompt baps --method spsa-geass -o lr=0.001 --out results/baps
  zoo-opt-seg adapt --model clipseg:rd64 --data folder:scans --text "a polyp" --prompt filter --out results/text
"""

EVALUATE = """\
Measure a trained prompt on the test images of a data set, beside the black box without it and trivial baselines.

{words}"""

NO_START = "do not measure the prompt before its training, which costs calls where it changes what is shown"
PREDICT = """\
Segment one image, or a folder of them, with a trained prompt or without.

{words}
--ask is a file in which each image of the folder --images has its points, its box or its text. CSV has a first line of
columns, image and some of these, in any order:
  image          file in the folder
  name           of the object, where an image has several: each has a mask, IMAGE-NAME.png
  x, y, label    a point in pixels of the image; label 0: not on the object (default: 1)
  x0,y0,x1,y1    a box: the first and the last pixel of the object
  text           what to find
Lines of one image and name belong together: several points, a box. JSON is a list of
  {{"image": FILE, "name": NAME, "points": [[x, y], [x, y, label]], "box": [x0, y0, x1, y1], "text": TEXT}}
Masks are written one by one into the folder --out, with a line each in predictions.jsonl. An image that fails is
passed over and said; the same command goes on, and asks nothing twice that it has a mask of.

examples:
  zoo-opt-seg predict --model tiny --prompt results/polyp --image photo.png --point 210,155 --out mask.png
  zoo-opt-seg predict --model tiny --prompt results/polyp --images photos --ask boxes.csv --out masks
  zoo-opt-seg predict --model clipseg:rd64 --images photos --text "a polyp" --out masks
"""

SERVE = """\
Serve a model, adapted or not: over HTTP, to curl, to clients of the Open Inference Protocol v2, to browsers' tools.

{words}
With --adapted it is the adapted model that answers: visual prompt, refiner, size, fit and crop of the result folder.
Without it images are asked about as they are, or as squares of --size pixels.

examples:
  zoo-opt-seg serve --model tiny --adapted results/polyp
  curl --data-binary @photo.png "http://127.0.0.1:8000/segment?point=210,155" -o mask.png
  zoo-opt-seg serve --model sam:vit_b:sam_vit_b_01ec64.pth --adapted results/scans --host 0.0.0.0 --token '$TOKEN'
"""

SPEND = """\
Sum up what services were asked, by run, model and day. Columns are the paid calls and images, and of these the ones
that are perhaps paid (no answer came) or failed. Then what is not paid: refused, not served, not sent. The last are
money, the service's seconds, and the bytes of its answers.

example:
  zoo-opt-seg spend results/*/ledger.jsonl
"""


LABEL_STUDIO = """\
Answer the clicks and boxes of a project of Label Studio, and learn from what is submitted there.

{words}
A click costs one call of the model; learning costs none. After every few labelled images a small network learns in the
background to correct the model's answers. Labels that it has not seen decide how far it is followed. The page of the
server shows its versions, and can take one back.

examples:
  zoo-opt-seg label-studio --model tiny --project 1 --url http://127.0.0.1:8080 --token '$LS_TOKEN' --out labels
  zoo-opt-seg label-studio --model sam:vit_b:sam_vit_b_01ec64.pth --adapted results/scans --project 1 \\
    --url https://labels.example.org --token '$LS_TOKEN' --out labels --most-questions 2000 \\
    --password '$PASSWORD' --host 0.0.0.0 --own-url http://10.0.0.7:9090
"""


def words() -> str:
    """What the words of --model and --data stand for, from the registries."""
    boxes = {entry.form: entry.about for entry in BLACK_BOXES.entries()}
    boxes["module:factory"] = "a function of yours that returns the black box, or one that is it:"
    boxes[""] = "(images, prompts) -> probabilities or bool masks"
    drawn = ", ".join(entry.name for entry in DATA_SETS.entries() if entry.drawn)
    read = ", ".join(entry.name for entry in DATA_SETS.entries() if not entry.drawn)
    return "\n".join(
        [
            "MODEL is",
            *(f"  {form:<29} {about}" for form, about in boxes.items()),
            "DATA is",
            *textwrap.wrap(drawn, 76, initial_indent="  ", subsequent_indent="  "),
            "NAME:PATH, a data set in a folder, with NAME one of",
            *textwrap.wrap(read, 76, initial_indent="  ", subsequent_indent="  "),
            "  (folder:PATH has images/ and masks/, or train/, validation/ and test/ with these)",
            "or module:function, a function of yours that returns zoo_opt_seg.data.Splits",
            "",
        ]
    )


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
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    sub.add_argument("--out", required=True, metavar="DIR", help="result folder")
    losses = '"bce+dice" (default; of hard masks Dice alone), "bce" or "dice"'
    sub.add_argument("--loss", default="bce+dice", help=losses)
    sub.add_argument(
        "--reduction", choices=("image", "batch"), default="image", help="of the Dice loss (default: image)"
    )
    sub.add_argument("--smooth", type=float, default=1e-6, metavar="S", help="in the Dice ratio (default: 1e-6)")
    sub.add_argument("--train-images", type=int, metavar="N", help="labelled images to train on (default: all)")
    sub.add_argument(
        "--race", type=float, default=0.4, metavar="S", help="of the evaluations, to choose the start by (default: 0.4)"
    )
    sub.add_argument("--refine", action="store_true", help="train a small network that corrects the answers")
    length = "of each network (default: three passes over the answers, 200 at least)"
    sub.add_argument("--refine-steps", type=int, metavar="N", help=length)
    sub.add_argument("--refine-networks", type=int, default=4, metavar="N", help="that are averaged (default: 4)")
    sub.add_argument("--refine-share", type=float, default=0.2, metavar="S", help="of the calls (default: 0.2)")
    sub.add_argument("--augment", choices=("paper", "released"), help="augmentation of the training images")
    sub.add_argument(
        "--validate",
        type=int,
        default=6,
        metavar="N",
        help="how often to validate, evenly spaced (default: 6, 0 for never)",
    )
    sub.add_argument("--validation-images", type=int, metavar="N", help="default: all, for a fifth of the calls")
    sub.add_argument("--select", choices=("dice", "loss"), default="dice", help="by what the iterate is kept")
    sub.add_argument("--test-images", type=int, metavar="N", help="the first N test images only; 0: none")
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
    sub.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of the points or texts (default: 0)")
    _repeats(sub)
    sub.add_argument("--batch", type=int, default=16, metavar="N", help="images in a question (default: 16)")
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
        "--point", action="append", default=[], metavar="X,Y", help="in pixels of the image; X,Y,0: not it"
    )
    sub.add_argument("--box", metavar="X0,Y0,X1,Y1", help="in pixels of the image: the object's first and last")
    sub.add_argument("--ask", metavar="FILE", help="points, boxes or texts of the images, CSV or JSON: see above")
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

    sub = names.add_parser("spend", help="what ledgers of services come to", description=SPEND, **raw)
    sub.add_argument("ledgers", nargs="+", metavar="LEDGER", help="of --ledger, or ledger.jsonl of a result folder")
    sub.add_argument("--json", action="store_true", help="as JSON")
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
    words = "another black box with the same answers: images go to whichever is free"
    sub.add_argument("--also", action="append", default=[], metavar="MODEL", help=words)
    sub.add_argument("--model-name", metavar="NAME", help="of the black boxes of --also, if their own names differ")
    sub.add_argument("--device", default="cpu", help="of a SAM or CLIPSeg: cpu (default), cuda, ...")
    sub.add_argument("--dtype", default=PRECISIONS[0], choices=PRECISIONS, help="of its image encoder")
    sizes = ", ".join(f"{entry.size} {entry.name}" for entry in BLACK_BOXES.entries())
    sub.add_argument("--size", type=int, metavar="N", help=f"side of the images in pixels (default: {sizes}, else 224)")
    sub.add_argument("--cache", metavar="DIR", help="keep answers here, and ask nothing twice")
    services.add_options(sub, workers=waits if workers is None else workers)  # of serve they are processes
    if waits:
        sub.add_argument(
            "--wait", type=float, default=WAIT, metavar="SECONDS", help=f"for an outage (default: {WAIT:g})"
        )


def _server(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--name", help="of the model in addresses (default: the first word of --model)")
    _address(sub, 8000)
    words = "what clients must say (Authorization: Bearer); '$NAME' stands for the environment's"
    sub.add_argument("--token", metavar="TOKEN", help=words)
    sub.add_argument("--most-body", type=int, default=32 << 20, metavar="BYTES", help="of a request (default: 32 MiB)")
    sub.add_argument("--most-pixels", type=int, default=4096**2, metavar="N", help="of an image (default: 4096 x 4096)")
    sub.add_argument("--most-points", type=int, default=1000, metavar="N", help="of a question (default: 1000)")
    words = "that a request may take to arrive (default: 30)"
    sub.add_argument("--body-seconds", type=float, default=30.0, metavar="SECONDS", help=words)
    sub.add_argument("--queue", type=int, default=64, metavar="N", help="questions that may wait (default: 64)")
    sub.add_argument("--batch", type=int, default=8, metavar="N", help="images asked about at once (default: 8)")
    words = "how long the first of a batch waits for others that are on their way (default: 5)"
    sub.add_argument("--batch-wait-ms", type=float, default=5.0, metavar="MS", help=words)


def _address(sub: argparse.ArgumentParser, port: int) -> None:
    sub.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine only)")
    words = f"default: {port}; 0: a free one, which is said"
    sub.add_argument("--port", type=int, default=port, metavar="N", help=words)


def _label_studio(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--project", type=int, required=True, metavar="N", help="its number, as in its address")
    sub.add_argument("--url", required=True, help="address of Label Studio")
    sub.add_argument("--token", required=True, help="a user's access token there; '$NAME' stands for the environment's")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder of the project; what is there goes on")
    sub.add_argument("--adapted", metavar="DIR", help="result folder of adapt to start from (default: the model alone)")
    sub.add_argument("--every", type=int, default=5, metavar="N", help="labelled images for a version (default: 5)")
    sub.add_argument("--most-questions", type=int, metavar="N", help="to the model, in all runs (default: no limit)")
    words = "of an object that the model is asked by; further ones move the border of its answer (default: 1)"
    sub.add_argument("--ask-clicks", type=int, default=1, metavar="N", help=words)
    _address(sub, 9090)
    sub.add_argument("--password", help="that Label Studio is told to give; '$NAME' stands for the environment's")
    sub.add_argument(
        "--own-url", metavar="URL", help="by which Label Studio reaches this server (default: its address)"
    )
    sub.add_argument("--no-connect", dest="connect", action="store_false", help="do not add the server to the project")


def _data(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", required=True, help="the labelled images, see above")
    sub.add_argument("--data-seed", type=int, default=0, metavar="N", help="of the split (default: 0)")
    sub.add_argument("--data-option", **_options("option of the loader"))
    sub.add_argument("--data-cache", metavar="DIR", help="keep the prepared images here, not all of them in memory")
    _window(sub)
    _texts(sub, "what to find in the images, instead of the data's own texts; again: one of these is drawn")
    words = "what to ask by: so many points in the object (default: 1), centre, box (in training its sides are moved), "
    sub.add_argument("--points", metavar="KIND", help=words + "box+point, or text")


def _texts(sub: argparse.ArgumentParser, what: str) -> None:
    sub.add_argument("--text", action="append", default=[], metavar="TEXT", help=what)


def _window(sub: argparse.ArgumentParser) -> None:
    words = (
        "what becomes black and white in images of more than 8 bits: full, percentile or LOW,HIGH, as --window=-160,240"
    )
    sub.add_argument("--window", metavar="WINDOW", help=words)


def _prepared(sub: argparse.ArgumentParser, first: str = "as in the result folder of --prompt, else ") -> None:
    words = f"of an image to a square; pad keeps the aspect ratio (default: {first}stretch)"
    sub.add_argument("--fit", choices=("stretch", "pad"), help=words)
    words = f"pixels to leave out along the borders of each image (default: {first}none)"
    sub.add_argument("--crop", metavar="TOP,BOTTOM,LEFT,RIGHT", help=words)


def _repeats(sub: argparse.ArgumentParser) -> None:
    words = "random points or texts per image (default: 3); an image has one box and one centre"
    sub.add_argument("--repeats", type=int, default=3, metavar="N", help=words)
    words = "at the resolution asked at (default), or at that of the image files, on their masks as they are"
    sub.add_argument("--measure", choices=("asked", "original"), default="asked", help=words)


def _options(what: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": what}

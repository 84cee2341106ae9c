"""What the help of each command says: its description, with the words of --model and --data, and its examples."""

from __future__ import annotations

import textwrap

from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.data.registry import DATA_SETS

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
Everything goes into the folder OUT: the prompt, log, measures, pictures and a page. If it is interrupted or
killed, the same command resumes it. Only the calls in flight at that moment may be paid for twice.

examples:
  zoo-opt-seg adapt --model tiny --data polyp --prompt filter --method cma-es -o sigma0=0.1 --out results/polyp
  zoo-opt-seg adapt --model sam:vit_b:sam_vit_b_01ec64.pth --data folder:scans --prompt filter --out results/scans
  zoo-opt-seg adapt --model mymodel:connect --data folder:scans --prompt filter --method auto --out results/scans
  zoo-opt-seg adapt --model tiny --data disc --prompt baps --method spsa-geass -o lr=0.001 --out results/baps
  zoo-opt-seg adapt --model clipseg:rd64 --data folder:scans --text "a polyp" --prompt filter --out results/text
"""

EVALUATE = """\
Measure a trained prompt on the test images of a data set. For comparison it also measures the black box without the
prompt, and trivial baselines.

{words}"""

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
reported and skipped. The same command resumes, and asks about no image twice that has a mask.

examples:
  zoo-opt-seg predict --model tiny --prompt results/polyp --image photo.png --point 210,155 --out mask.png
  zoo-opt-seg predict --model tiny --prompt results/polyp --images photos --ask boxes.csv --out masks
  zoo-opt-seg predict --model clipseg:rd64 --images photos --text "a polyp" --out masks
"""

SERVE = """\
Serve a model, adapted or not, over HTTP: for curl, clients of the Open Inference Protocol v2, and tools in browsers.

{words}
With --adapted the adapted model answers, with the visual prompt, refiner, size, fit and crop of the result folder.
Without it the model gets the images as they are, or as squares of --size pixels.

examples:
  zoo-opt-seg serve --model tiny --adapted results/polyp
  curl --data-binary @photo.png "http://127.0.0.1:8000/segment?point=210,155" -o mask.png
  zoo-opt-seg serve --model sam:vit_b:sam_vit_b_01ec64.pth --adapted results/scans --host 0.0.0.0 --token '$TOKEN'
"""

SPEND = """\
Sum up the requests to services, by run, model and day. Columns are the paid calls and images, and of these the ones
that were perhaps paid (no answer came) or failed. Then come those that cost nothing: refused, not served, not sent. The
last are money, the service's seconds, and the bytes of its answers.

example:
  zoo-opt-seg spend results/*/ledger.jsonl
"""


LABEL_STUDIO = """\
Answer the clicks and boxes of a Label Studio project, and learn from the annotations that are submitted there.

{words}
A click costs one call of the model; learning costs none. After every few labelled images a small network learns in the
background to correct the model's answers. Labels that it has not seen decide how far it is followed. The page of the
server shows the versions and can go back to an earlier one.

examples:
  zoo-opt-seg label-studio --model tiny --project 1 --url http://127.0.0.1:8080 --token '$LS_TOKEN' --out labels
  zoo-opt-seg label-studio --model sam:vit_b:sam_vit_b_01ec64.pth --adapted results/scans --project 1 \\
    --url https://labels.example.org --token '$LS_TOKEN' --out labels --most-questions 2000 \\
    --password '$PASSWORD' --host 0.0.0.0 --own-url http://10.0.0.7:9090
"""


def words() -> str:
    """What the words of --model and --data stand for, from the registries."""
    boxes = {entry.form: entry.about for entry in BLACK_BOXES.entries()}
    boxes["module:factory"] = "a function of yours that returns the black box, or that is the black box:"
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

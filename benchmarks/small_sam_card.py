"""Measure the small SAM for its card: on the design part of its pictures, and on the real sets that it is shown with.

    python benchmarks/small_sam_card.py          # prints the tables of docs/seg-small-sam.md

Rows are sets, columns the prompts and, beside them, what needs no model: the best disk around the point, its radius
chosen on pictures of the same kind that it was trained on or on the training split, and the ellipse in the box. Every
object is asked about three times; Dice, mean over objects and repeats. With ``--model`` another black box is measured.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretrain_sam import boxes_about
from pretrain_small_sam import PER_SET, PICTURES, objects_by_set
from real_pictures import read_pictures

from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.data import load_data
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.embedded import TINY_SIZE
from zoo_opt_seg.measures.evaluation import evaluate
from zoo_opt_seg.measures.trivial import EllipseInBox, best_disk
from zoo_opt_seg.prompts import Prompts

SHOWN = ("polypgen", "dsb2018", "chase_db1")
HEADER = "| set | objects | disk | point | point, best of three | 3 points | ellipse in the box | box |"


def boxes(masks: np.ndarray, seed: Any) -> Prompts:
    """A box about each mask, every side moved by about a twentieth of its length."""
    return Prompts(boxes=boxes_about(masks, np.random.default_rng(seed)))


def line(name: str, box: Any, best: Any, samples: Samples, train: Samples) -> str:
    """A row of the table: a set's name, and the mean Dice of what is in `HEADER`."""

    def figure(model: Callable[..., Any], **how: Any) -> str:
        return f"{evaluate(model, samples, distances=False, **how).dice.mean():.3f}".lstrip("0")

    cells = [figure(best_disk(train)), figure(box), figure(best), figure(box, points=3)]
    cells += [figure(model, draw=boxes) for model in (EllipseInBox(), box)]
    return f"| {name} | {len(samples)} | {' | '.join(cells)} |"


def samples_of(images: np.ndarray, masks: np.ndarray) -> Samples:
    """Pictures as samples without names of their own."""
    return Samples(images, masks, tuple(map(str, range(len(images)))))


def joined(*parts: Samples) -> Samples:
    """All splits of a set together."""
    arrays = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "masks"))
    return samples_of(*arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of medical, photos and the sets shown")
    parser.add_argument("--model", default="small", help="a black box's name")
    parser.add_argument("--design", action="store_true", help="the design part alone: nothing is chosen by the others")
    args = parser.parse_args()
    torch.set_num_threads(1)
    make = BLACK_BOXES.find(args.model).load()
    box, best = make(), make(masks="best")
    print(f"{box.name}\n\n{HEADER}\n|{'---|' * HEADER.count(' |')}")
    parts = read_pictures(args.pictures, TINY_SIZE).values()
    train, design = (objects_by_set([part[i] for part in parts]) for i in (0, 1))
    for name, objects in design.items():
        few = samples_of(*train[name])
        print(
            line(
                name if len(objects[0]) < PER_SET else f"{name}, {PER_SET} of them",
                box,
                best,
                samples_of(*objects),
                few,
            )
        )
    for name in () if args.design else SHOWN:
        splits = load_data(name, args.pictures / name, TINY_SIZE)
        print(line(f"{name}, test split", box, best, splits.test, splits.train))
        print(line(f"{name}, all", box, best, joined(splits.train, splits.validation, splits.test), splits.train))


if __name__ == "__main__":
    main()

"""How many corrections an image needs while a learner looks on: a simulated annotator, three sets of images.

The annotator clicks on the middle of an object, then corrects: a click in the middle of the largest region that is
wrong, until Dice is .9 or ten corrections were made. The learner is that of the server for Label Studio
(`zoo_opt_seg.serve.label_studio.learning.learnt`): it sees the answers to the annotator's first clicks and the masks
that were submitted, so that it costs no call. It is measured on 24 images that it has never seen, the same for all:

- with the untouched black box, asked by all clicks,
- with nothing learnt, and the border of its answer moved past the clicks after the first one,
- so after 5, 10, 20 and 50 annotated images,
- and, the floor, with the same networks taught by the same labels without the black box.

    python benchmarks/annotation_study.py --seeds 3 4 5        measure what is not in the record yet
    python benchmarks/annotation_study.py --figure docs/annotation-study.png
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).parent / "results" / "annotation_study.json"
STAGES, IMAGES, MOST, ENOUGH, SIZE = (5, 10, 20, 50), 24, 10, 0.9, 96
DOMAINS = {"disc": ("disc", "TinySam"), "polyp": ("polyp", "TinySam"), "dsb2018": ("dsb2018", "SmallSam")}
FLOORS = (20,)  # stages at which the floor is measured


def corrections(model: Any, images: np.ndarray, truths: np.ndarray) -> list[int]:
    """Return the corrections that each image took, `MOST` where they did not suffice."""
    from zoo_opt_seg.data.points import centre_points
    from zoo_opt_seg.measures.metrics import dice
    from zoo_opt_seg.prompts import Prompts
    from zoo_opt_seg.refine.clicks import next_click

    clicks = [[(x, y, 1)] for x, y in centre_points(truths).points[:, 0].tolist()]
    taken, left = [MOST] * len(images), list(range(len(images)))
    for count in range(MOST + 1):
        rows = [np.array([clicks[i]]) for i in left]
        prompts = Prompts.concatenate([Prompts(row[..., :2], row[..., 2].astype(int)) for row in rows])
        masks = model(images[left], prompts) > 0.5
        scores, still = dice(masks, truths[left]), []
        for i, mask, score in zip(left, masks, scores, strict=True):
            if score >= ENOUGH:
                taken[i] = count
            elif count < MOST:
                clicks[i].append(next_click(truths[i], mask))
                still.append(i)
        if not (left := still):
            break
    return taken


def measured(domain: str, seed: int, root: Path | None) -> dict[str, Any]:
    """Return the study of one domain and seed."""
    from zoo_opt_seg import blackbox
    from zoo_opt_seg.blackbox.cache import Cached, MaskMemory
    from zoo_opt_seg.data import load_data
    from zoo_opt_seg.data.points import centre_points
    from zoo_opt_seg.refine import Answers, FollowingClicks, Refined, Silent
    from zoo_opt_seg.serve.label_studio.learning import learnt

    name, model = DOMAINS[domain]
    data = load_data(name, root, SIZE, seed)
    box, rng = getattr(blackbox, model)(), np.random.default_rng(seed)
    train, test = (part.select(part.with_object) for part in (data.train, data.test))
    train, test = train[rng.permutation(len(train))[: STAGES[-1]]], test[rng.permutation(len(test))[:IMAGES]]
    images, truths = np.asarray(train.images), np.asarray(train.masks)
    fresh, right = np.asarray(test.images), np.asarray(test.masks)
    begin = time.process_time()
    line: dict[str, Any] = {"domain": domain, "seed": seed, "box": box.name, "images": len(fresh)}
    line["untouched"] = corrections(box, fresh, right)
    paying = Cached(box, MaskMemory())
    used, before, clicks = FollowingClicks(paying), 0, 0
    line |= {"followed": corrections(FollowingClicks(box), fresh, right), "stages": {}, "floors": {}}
    for stage in STAGES:
        taken = corrections(used, images[before:stage], truths[before:stage])
        clicks, before = clicks + sum(taken) + len(taken), stage
        calls = paying.misses
        prompts = centre_points(truths[:stage])
        answers = Answers(images[:stage], truths[:stage], range(stage), prompts, paying(images[:stage], prompts))
        done = learnt(answers, seed)
        used = FollowingClicks(Refined(paying, done.refiner))
        line["stages"][stage] = {
            "corrections": corrections(FollowingClicks(Refined(box, done.refiner)), fresh, right),
            "while_annotating": taken,
            "clicks": clicks,
            "calls": calls,
            "share": done.refiner.share,
            "seconds": round(done.seconds, 1),
        }
        assert paying.misses == calls  # to learn costs none
        if stage in FLOORS:
            blind = dataclasses.replace(answers, answers=np.full(answers.answers.shape, 0.5, np.float32))
            floor = FollowingClicks(Refined(Silent(), learnt(blind, seed).refiner))
            line["floors"][stage] = corrections(floor, fresh, right)
    line["cpu_seconds"] = round(time.process_time() - begin, 1)
    return line


def known() -> list[dict[str, Any]]:
    """Return what is in the record."""
    return json.loads(RECORD.read_text()) if RECORD.is_file() else []


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return mean and standard deviation over seeds of the mean corrections, by domain and row."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for domain in DOMAINS:
        own = [line for line in lines if line["domain"] == domain]
        rows = {name: [line[name] for line in own] for name in ("untouched", "followed")}
        for stage in map(str, STAGES):
            rows[stage] = [line["stages"][stage]["corrections"] for line in own]
        for stage in map(str, FLOORS):
            rows[f"floor {stage}"] = [line["floors"][stage] for line in own]
        if own:
            means = {name: [float(np.mean(values)) for values in row] for name, row in rows.items()}
            found[domain] = {name: (float(np.mean(row)), float(np.std(row))) for name, row in means.items()}
    return found


def figure(path: Path) -> None:
    """Draw the record."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    rows = summary(known())
    fig, axes = plt.subplots(1, len(rows), figsize=(3.3 * len(rows), 3.4), sharey=True, layout="constrained")
    for axis, (domain, row) in zip(np.atleast_1d(axes), rows.items(), strict=True):
        names = ["untouched", "followed", *map(str, STAGES)]
        mean, spread = np.array([row[name] for name in names]).T
        colors = ["0.65", "tab:cyan", *["tab:blue"] * len(STAGES)]
        axis.bar(range(len(names)), mean, yerr=spread, color=colors, capsize=3)
        for stage in map(str, FLOORS):
            place, height = names.index(stage), row[f"floor {stage}"][0]
            axis.plot([place - 0.42, place + 0.42], [height, height], "k--", lw=1.6, label="without the black box")
        axis.axhline(row["untouched"][0] / 2, color="tab:red", lw=0.9, ls=":", label="half")
        axis.set_xticks(range(len(names)), ["black\nbox", "border\nmoved", *names[2:]])
        axis.set_title(domain)
        axis.set_xlabel("annotated images seen")
        axis.spines[["top", "right"]].set_visible(False)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("corrections an image (to Dice .9)")
    first.legend(frameon=False, fontsize=8)
    fig.savefig(path, dpi=110)


def main() -> None:
    """Measure, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[3, 4, 5])
    parser.add_argument("--domains", nargs="*", default=list(DOMAINS), choices=list(DOMAINS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with dsb2018")
    parser.add_argument("--record", type=Path, help="another file for the record")
    parser.add_argument("--figure", type=Path, help="draw the record into this file, and measure nothing")
    words = parser.parse_args()
    if words.figure:
        figure(words.figure)
        return
    import torch

    torch.set_num_threads(1)
    record = words.record or RECORD
    for seed in words.seeds:
        for domain in words.domains:
            lines = json.loads(record.read_text()) if record.is_file() else []
            if any((line["domain"], line["seed"]) == (domain, seed) for line in lines):
                continue
            root = words.data / domain if domain == "dsb2018" else None
            if root is not None and not root.is_dir():
                print(f"skipped {domain}: there is no {root}")
                continue
            line = json.loads(json.dumps(measured(domain, seed, root)))
            lines = json.loads(record.read_text()) if record.is_file() else []
            order = {name: place for place, name in enumerate(DOMAINS)}
            lines = sorted([*lines, line], key=lambda one: (order[one["domain"]], one["seed"]))
            record.write_text("[\n" + ",\n".join(json.dumps(one) for one in lines) + "\n]\n")
            print(domain, seed, line["cpu_seconds"], summary([line])[domain], flush=True)


if __name__ == "__main__":
    main()

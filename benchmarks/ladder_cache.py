"""What keeping SAM's embeddings on disk saves a ladder: seconds per epoch without, with an empty, with a full cache.

python benchmarks/ladder_cache.py                              # the embedded SAM on drawn CT
python benchmarks/ladder_cache.py --sam vit_b --slices 12      # ViT-B at 512 px, random weights: the time is the same
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from zoo_opt_seg.data.slice_augmentation import augment_slices
from zoo_opt_seg.data.volumes import VolumeSplits, load_volumes
from zoo_opt_seg.whitebox.core.trainer import seeded
from zoo_opt_seg.whitebox.ladder.embeddings import CachedEmbeddings
from zoo_opt_seg.whitebox.ladder.model import Ladder, LadderSam, sam_of_size
from zoo_opt_seg.whitebox.ladder.training import LadderTraining

BATCH = 24


def vit_b() -> torch.nn.Module:
    from segment_anything import sam_model_registry

    with seeded((0,)):
        return sam_of_size(sam_model_registry["vit_b"](), 512)


def tiny() -> torch.nn.Module:
    from zoo_opt_seg.embedded.sam import tiny_sam

    return tiny_sam()


def epoch(task: LadderTraining, number: int, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """One pass over the training slices: CPU seconds and seconds by the clock."""
    task.train(True)
    order = np.random.default_rng([0, number]).permutation(task.size)
    cpu, wall = time.process_time(), time.perf_counter()
    for i in range(0, task.size, BATCH):
        optimizer.zero_grad()
        task.loss(order[i : i + BATCH], (0, number, i)).backward()
        optimizer.step()
    return time.process_time() - cpu, time.perf_counter() - wall


def row(what: str, seconds: tuple[float, float], share: float) -> None:
    print(f"{what:34} {seconds[0]:8.2f} {seconds[1]:8.2f} {share:8.0%}", flush=True)


def measure(make: Callable[[], torch.nn.Module], splits: VolumeSplits, encoders: str, augment: str | None) -> None:
    """Print a line each for no cache, an empty cache, and the second epoch with it."""
    sam = make()
    with tempfile.TemporaryDirectory() as folder:
        for cache in (None, folder):
            ladder = LadderSam(sam, Ladder(9, encoders))
            task = LadderTraining(ladder, splits, augment=augment, cache=cache)
            optimizer = torch.optim.AdamW(ladder.trained().values(), lr=1e-3)
            if cache is None:
                row(f"{encoders}, augment {augment}: no cache", epoch(task, 1, optimizer), 1.0)
                continue
            assert isinstance(task.embed, CachedEmbeddings)
            for number, which in ((1, "empty cache"), (2, "epoch after it")):
                before = task.embed.misses
                seconds = epoch(task, number, optimizer)
                row(f"{encoders}, augment {augment}: {which}", seconds, (task.embed.misses - before) / task.size)
        files = [path.stat().st_size for path in Path(folder).glob("*/*")]
        print(f"{len(files)} embeddings of {np.mean(files) / 1e6:.3f} MB\n", flush=True)


def distinct(epochs: int) -> float:
    """Encodings per slice in so many epochs of released augmentation, by drawing them."""
    image = np.arange(64 * 64, dtype=np.float32).reshape(1, 64, 64) / 4096
    label = np.zeros((1, 64, 64), np.uint8)
    seeds = ([augment_slices(image, label, (seed, k))[0].tobytes() for k in range(epochs)] for seed in range(20))
    return float(np.mean([len(set(results)) for results in seeds]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam", choices=["tiny", "vit_b"], default="tiny")
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--encoders", nargs="+", default=["both", "sam"])
    parser.add_argument("--augment", nargs="+", default=["none", "released"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = 96 if options.sam == "tiny" else 512
    splits = load_volumes("ct", size=size, cases=(1 + options.slices // 20, 1, 1))
    splits = VolumeSplits("ct", splits.classes, splits.train[: options.slices], splits.validation, splits.test)
    print(f"{options.sam} at {size} px, {len(splits.train)} slices, batch {BATCH}, one thread")
    print(f"{'':34} {'CPU s':>8} {'clock s':>8} {'encoded':>8}")
    for encoders in options.encoders:
        for augment in options.augment:
            measure(tiny if options.sam == "tiny" else vit_b, splits, encoders, None if augment == "none" else augment)
    print(f"released augmentation, 200 epochs: {distinct(200):.1f} different results of a slice instead of 200")


if __name__ == "__main__":
    main()

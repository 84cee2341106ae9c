"""The cost of a step of `zo.torch.Trainer` beside the forward passes: time over one in-place add, and memory.

For each size a process of its own makes tensors of uneven sizes, and times, in turn, one in-place addition over all of
them (the floor), steps of SPSA with signs (two probes) and with normals, of FZOO with eight directions, and MeZO's loop
as published (`torch.normal` of each tensor, four passes). The losses are constants, so that the forward passes cost
nothing. Extra memory is the highest resident size of the process in a step less that before it (Linux).

    python benchmarks/torch_step.py [--sizes 1e6 1e7 1e8] [--device cpu]
    python benchmarks/torch_step.py --vit [--device cpu]

With ``--vit`` the forward passes are real: a ViT of 86 million random parameters (timm's ``vit_base_patch16_224``), two
images of 224 by 224; the seconds in the loss and in moving, and the memory of a step beside that of one forward pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import zoo_opt as zo

TENSORS = 50
ROUNDS, REAL_ROUNDS = 5, 2
METHODS = {
    "SPSA, signs, two probes": zo.SPSA(lr=1e-6, c=2**-10, draws=zo.Rademacher()),
    "SPSA, normals, two probes": zo.SPSA(lr=1e-6, c=2**-10, draws=zo.Gaussian()),
    "FZOO, signs, nine probes": zo.FZOO(lr=1e-9, c=2**-10),
}


def uneven(d: int, device: str) -> torch.nn.ParameterList:
    """Return tensors of uneven sizes with d numbers in all."""
    shares = np.random.default_rng(0).dirichlet(np.ones(TENSORS))
    sizes = np.maximum(1, (shares * d).astype(int))
    sizes[-1] += d - sizes.sum()
    torch.manual_seed(0)
    return torch.nn.ParameterList([torch.nn.Parameter(0.02 * torch.randn(int(n), device=device)) for n in sizes])


class MeZO:
    """MeZO's loop (Malladi et al. 2023, algorithm 1): normals of one seed for each tensor, four passes."""

    def __init__(self, module: torch.nn.Module, lr: float = 1e-6, c: float = 1e-3) -> None:
        self.parameters, self.lr, self.c, self.t = list(module.parameters()), lr, c, 0

    def perturb(self, scale: float) -> None:
        """Add ``scale`` times c z."""
        torch.manual_seed(self.t)
        for p in self.parameters:
            z = torch.normal(mean=0, std=1, size=p.data.size(), device=p.data.device, dtype=p.data.dtype)
            p.data = p.data + scale * z * self.c

    def step(self, loss: Callable[[], float]) -> None:
        """Make one step: two losses."""
        with torch.no_grad():
            self.perturb(1)
            plus = loss()
            self.perturb(-2)
            minus = loss()
            self.perturb(1)
            torch.manual_seed(self.t)
            for p in self.parameters:
                z = torch.normal(mean=0, std=1, size=p.data.size(), device=p.data.device, dtype=p.data.dtype)
                p.data = p.data - self.lr * (plus - minus) / (2 * self.c) * z
        self.t += 1


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize()


def peak_of(call: Callable[[], object], device: str) -> float:
    """Return by how many MB memory grew at most during the call; NaN where that cannot be told."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        call()
        return (status("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def status(field: str) -> int:
    """Return a field of this process's status, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def steps_of(d: int, device: str) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name, for d parameters."""
    losses = iter(float(i % 7) for i in range(10**9))
    module, other = uneven(d, device), uneven(d, device)  # MeZO's loop puts its parameters elsewhere

    def loss() -> float:
        return next(losses)

    def add() -> None:
        with torch.no_grad():
            for p in module:
                p.add_(1e-3)

    steps: dict[str, Callable[[], object]] = {"one in-place add": add}
    for name, method in METHODS.items():
        trainer = zo.torch.Trainer(module, method, rng=0)
        steps[name] = lambda trainer=trainer: trainer.step(loss)  # type: ignore[misc]
    mezo = MeZO(other)
    steps["MeZO's loop, two probes"] = lambda: mezo.step(loss)
    return steps


def measure(d: int, device: str) -> dict[str, dict[str, float]]:
    """Return for each the least milliseconds of a step, and by how many MB memory grew in one."""
    torch.set_num_threads(1)
    steps = steps_of(d, device)
    best: dict[str, dict[str, float]] = {}
    for name, step in steps.items():
        best[name] = {"ms": float("inf"), "MB": peak_of(step, device)}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            synchronize(device)
            start = time.perf_counter()
            step()
            synchronize(device)
            best[name]["ms"] = min(best[name]["ms"], 1e3 * (time.perf_counter() - start))
    return best


def vit(device: str) -> str:
    """Return a table of what steps of a ViT cost."""
    import timm

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = timm.create_model("vit_base_patch16_224", pretrained=False).eval().to(device)
    images = torch.randn(2, 3, 224, 224, device=device)
    labels = torch.tensor([3, 5], device=device)

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(module(images), labels)

    def forward() -> None:
        with torch.inference_mode():
            loss().item()

    forward()
    seconds = []
    for _ in range(REAL_ROUNDS):
        start = time.perf_counter()
        forward()
        seconds.append(time.perf_counter() - start)
    d = sum(p.numel() for p in module.parameters())
    lines = [f"{d} parameters, device {device}", "| | s in the loss | s in moving | MB more |", "|---|---|---|---|"]
    lines.append(f"| one forward pass | {min(seconds):.2f} | | {peak_of(forward, device):.1f} |")
    for name, method in METHODS.items():
        trainer = zo.torch.Trainer(module, method, rng=0)
        trainer.step(loss)
        memory, spent = peak_of(lambda trainer=trainer: trainer.step(loss), device), []  # type: ignore[misc]
        for _ in range(REAL_ROUNDS):
            before = trainer.cost.forward_seconds, trainer.cost.move_seconds
            trainer.step(loss)
            spent.append((trainer.cost.forward_seconds - before[0], trainer.cost.move_seconds - before[1]))
        least = [min(column) for column in zip(*spent, strict=True)]
        lines.append(f"| {name} | {least[0]:.2f} | {least[1]:.2f} | {memory:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table of ratios and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1e6", "1e7", "1e8"], help="numbers of parameters")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--vit", action="store_true", help="a ViT of 86 million parameters, its forward passes too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.vit:
        print(vit(args.device))
        return
    if args.one:
        print(json.dumps(measure(int(float(args.sizes[0])), args.device)))
        return
    found = {}
    for size in args.sizes:
        command = [sys.executable, __file__, "--one", "--sizes", size, "--device", args.device]
        found[size] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"device {args.device}, float32, torch {torch.__version__}; best of {ROUNDS}, all in turn")
    print("| | " + " | ".join(f"d = {size}: ms, over the add, MB more" for size in args.sizes) + " |")
    print("|---" * (1 + len(args.sizes)) + "|")
    for name in next(iter(found.values())):
        cells = []
        for table in found.values():
            ms, floor = table[name]["ms"], table["one in-place add"]["ms"]
            cells.append(f"{ms:.2f}, {ms / floor:.1f}, {table[name]['MB']:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
